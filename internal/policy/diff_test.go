package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompareByMeaning(t *testing.T) {
	before := load(t, `  - { id: same, match: { kind: [data.read, data.write], env: [dev, prod] }, when: 'data.rows>1', then: deny }
  - { id: reads, match: { kind: data.read, env: [dev] }, then: allow }
  - { id: exports, match: { kind: data.export }, then: review, approval: { from: [group:x], count: 2, expires: 10m } }
  - { id: asks-more, match: { kind: data.write }, then: review, approval: { from: [group:x], count: 1 } }
  - { id: gone, match: { kind: data.delete }, then: deny }
  - { id: cond, match: { kind: data.delete }, when: 'action.target == "a  b"', then: deny }
  - { id: masks, match: { kind: data.read }, then: mask, mask: { email: redact } }
  - { id: off, match: { kind: execute }, mode: off, then: deny }
  - { id: words, match: { kind: execute }, then: deny, reason: one }
  - { id: narrower, match: { kind: execute, env: [dev, prod] }, then: allow }
`)
	after := load(t, `  - { id: reads, match: { kind: data.read, env: [dev, prod] }, then: allow }
  - { id: same, when: "data.rows > 1", match: { env: [prod, dev], kind: [data.write, data.read] }, then: deny }
  - { id: exports, match: { kind: data.export }, then: review, approval: { from: [group:x], count: 1, expires: 10m } }
  - { id: asks-more, match: { kind: data.write }, then: review, approval: { from: [group:x], count: 2 } }
  - { id: cond, match: { kind: data.delete }, when: 'action.target == "a b"', then: deny }
  - { id: masks, match: { kind: data.read }, then: mask, mask: { email: redact, card: partial } }
  - { id: off, match: { kind: execute }, then: deny }
  - { id: words, match: { kind: execute }, then: deny, reason: two }
  - { id: narrower, match: { kind: execute, env: [dev] }, then: allow }
  - { id: new, match: { kind: payment }, then: allow }
  - { id: stop, match: { kind: deploy }, then: deny }
`)
	got := map[string]string{}
	for _, c := range Compare(before, after) {
		keys := ""
		for _, p := range c.Parts {
			keys += " " + p.Key
		}
		got[c.Rule] = c.What + " " + string(c.Direction) + keys
	}
	want := map[string]string{
		"p/reads":     "changed looser env",
		"p/exports":   "changed looser approval",
		"p/asks-more": "changed stricter approval",
		"p/gone":      "removed looser",
		"p/cond":      "changed looser when",
		"p/masks":     "changed stricter mask",
		"p/off":       "changed stricter mode",
		"p/words":     "changed same reason",
		"p/narrower":  "changed stricter env",
		"p/new":       "added looser",
		"p/stop":      "added stricter",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Calendars and locks are no text of a rule, and mean something.
	nights := func(more string) *Set {
		s, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + more + "rules:\n  - { id: late, match: { kind: data.write }, when: '!in_calendar(\"w\")', then: deny }\n  - { id: reads, match: { kind: data.read }, then: allow }\n")}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	night := nights("calendars: { w: { tz: UTC, days: [tue], from: \"20:00\", to: \"22:00\" } }\n")
	for name, more := range map[string]string{
		"days":  "calendars: { w: { tz: UTC, days: [tue, wed], from: \"20:00\", to: \"22:00\" } }\n",
		"hours": "calendars: { w: { tz: UTC, days: [tue], from: \"20:00\", to: \"21:00\" } }\n",
		"zone":  "calendars: { w: { tz: Europe/Berlin, days: [tue], from: \"20:00\", to: \"22:00\" } }\n",
	} {
		if c := Compare(night, nights(more)); len(c) != 1 || c[0].Rule != "p/late" || c[0].Direction != Looser || c[0].Parts[0].Key != "calendar w" {
			t.Errorf("other %s: %+v", name, c)
		}
	}
	locked := nights("locked: true\ncalendars: { w: { tz: UTC, days: [tue], from: \"20:00\", to: \"22:00\" } }\n")
	if c := Compare(locked, night); len(c) != 1 || c[0].Rule != "p" || c[0].Direction != Looser {
		t.Errorf("unlocked: %+v", c)
	}
	if c := Compare(night, locked); len(c) != 1 || c[0].Direction != Stricter {
		t.Errorf("locked: %+v", c)
	}
	if same := Compare(before, before); len(same) != 0 {
		t.Errorf("a policy differs from itself: %v", same)
	}
}
