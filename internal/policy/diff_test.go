package policy

import (
	"strings"
	"testing"
	"time"

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
		"p/cond":      "changed both when",
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

// A changed condition is tried: the direction is what actions show, with one that shows it.
func TestConditionsAreTried(t *testing.T) {
	const review = ", then: review, " + reviewers
	for _, c := range []struct {
		name, then, before, after string
		want                      Direction
		shown                     []string // parts of the actions, looser first
	}{
		{"a deny of less", ", then: deny", "data.rows > 10", "data.rows > 100", Looser, []string{"rows: 11"}},
		{"a deny of more", ", then: deny", "data.rows > 100", "data.rows > 10", Stricter, []string{"rows: 11"}},
		{"an allow of more", ", then: allow", "data.rows <= 10", "data.rows <= 100", Looser, []string{"rows: "}},
		{"an allow of less", ", then: allow", "data.rows <= 100", "data.rows <= 10", Stricter, []string{"rows: "}},
		{"moved", ", then: deny", "data.rows > 10 && !data.inferred", "data.rows > 100 || data.inferred", Both, []string{"inferred: false, rows: 11", "inferred: true, rows: 9"}},
		{"said otherwise", ", then: deny", "!(data.rows > 10 || data.inferred)", "data.rows <= 10 && !data.inferred", Same, nil},
		{"only where it is unknown", ", then: deny", "data.rows > 10", "data.rows > 10 && data.rows == data.rows", Unsure, nil},
		{"another class", ", then: deny", `"email" in data.classes`, `"card" in data.classes`, Both, []string{"email", "card"}},
		{"a class less", ", then: deny", `"email" in data.classes || "card" in data.classes`, `"card" in data.classes`, Looser, []string{"email"}},
		{"a pattern", ", then: deny", `action.target.matches("^pay(roll)?_[0-9]{2}$")`, `action.target.matches("^payroll_[0-9]{2}$")`, Looser, []string{"pay_00"}},
		{"a label", ", then: allow", `resource.labels["tier"] == "gold"`, `resource.labels["tier"] in ["gold", "silver"]`, Looser, []string{`labels: { tier: silver }`}},
		{"a time", ", then: deny", `context.time < timestamp("2026-12-01T00:00:00Z")`, `context.time < timestamp("2026-11-01T00:00:00Z")`, Looser, []string{"2026-1"}},
		{"hours", ", then: deny", "context.hour < 6", "context.hour < 8", Stricter, []string{"T06:00"}},
		{"a rate", ", then: deny", "context.rate_1h > 50", "context.rate_1h > 500", Looser, []string{"rate_1h: 51"}},
		{"a group", ", then: allow", `"group:a" in subject.groups`, `"group:a" in subject.groups || "group:b" in subject.groups`, Looser, []string{"group:b"}},
		{"a count of findings", ", then: deny", `data.finding_counts["email"] > 5`, `data.finding_counts["email"] > 50`, Looser, []string{"findings: { email: "}},
		{"none before", ", then: deny", "", "data.rows > 5", Looser, []string{"rows: "}},
		{"none after", ", then: deny", "data.rows > 5", "", Stricter, []string{"rows: "}},
		// Nothing else permits or denies here: a review that holds less leaves the rest to the default, a deny.
		{"a review of less", review, "data.rows > 10", "data.rows > 100", Unsure, []string{"rows: 11"}},
		{"a review of more", review, "data.rows > 100", "data.rows > 10", Looser, []string{"rows: 11"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := func(when string) *Set {
				rule := "  - { id: a, match: { kind: data.export, env: [prod], resource: \"postgres:*\" }"
				if when != "" {
					rule += ", when: '" + when + "'"
				}
				return load(t, rule+c.then+" }\n")
			}
			before, after := set(c.before), set(c.after)
			got := Compare(before, after)
			if len(got) != 1 || len(got[0].Parts) != 1 {
				t.Fatalf("%+v", got)
			}
			p := got[0].Parts[0]
			if p.Direction != c.want || got[0].Direction != c.want || len(p.Shown) != len(c.shown) || p.Tried == "" {
				t.Fatalf("%s, %d shown, %s: %+v", p.Direction, len(p.Shown), p.Tried, p)
			}
			for i, s := range p.Shown {
				if !strings.Contains(s.Given, c.shown[i]) {
					t.Errorf("%q is not in %s", c.shown[i], s.Given)
				}
				// What is shown is an action as explain takes it, and is so.
				in, err := Given("x", []byte(s.Given), time.Time{})
				if err != nil {
					t.Fatalf("%s: %v", s.Given, err)
				}
				was, is := before.rules[0].matches(in), after.rules[0].matches(in)
				var d, e Decision
				before.Decide(in, &d)
				after.Decide(in, &e)
				if was == is || is != s.Now || d.Verdict.String() != s.Before || e.Verdict.String() != s.After {
					t.Errorf("%s: matched %t, matches %t, %v before, %v after; said %+v", s.Given, was, is, d.Verdict, e.Verdict, s)
				}
			}
		})
	}
}

// Who is told and how long a gate waits is no part of who may approve.
func TestTellingAndWaitingDecideNothing(t *testing.T) {
	asks := func(more string) *Set {
		return load(t, "  - { id: a, match: { kind: data.export }, then: review, approval: { from: [group:x], count: 2, expires: 30m"+more+" } }\n")
	}
	for _, c := range []struct {
		before, after string
		want          Direction
	}{
		{"", ", notify: ['slack:#a']", Same},
		{", notify: ['slack:#a']", ", notify: ['slack:#b']", Same},
		{"", ", assurance: token", Looser},
		{"", ", assurance: chat", Looser},
		{"", ", assurance: console", Stricter},
		{", assurance: passkey", "", Looser},
		{", assurance: token", ", assurance: chat", Stricter},
		{", wait: 1m", ", wait: 5m", Same},
		{", wait: 5m", "", Same},
		{", use_within: 5m", ", use_within: 10m, notify: ['slack:#b']", Looser},
		{", use_within: 10m", ", use_within: 5m, wait: 5m", Stricter},
		{", fall_back: { after: 20m, to: [group:y] }", ", fall_back: { after: 1m, to: [group:y] }", Looser},
		{", fall_back: { after: 1m, to: [group:y] }", ", fall_back: { after: 20m, to: [group:y] }", Stricter},
	} {
		got := Compare(asks(c.before), asks(c.after))
		if len(got) != 1 || got[0].Direction != c.want {
			t.Errorf("%q to %q: %+v", c.before, c.after, got)
		}
	}
}

// A mask that does more opens a rule that permits what is inferred of masked values.
func TestAMaskMayLoosen(t *testing.T) {
	const masks = "  - { id: m, match: { kind: data.read }, then: mask, mask: { email: redact } }\n"
	for _, c := range []struct {
		rule string
		want Direction
	}{
		{"when: data.inferred, then: allow", Looser},
		{"when: 'data.rows < 5 && data.aggregated', then: allow", Looser},
		{"when: '!data.inferred', then: deny", Looser},
		{"when: 'data.computed == false', then: deny", Looser},
		{"when: '!data.inferred', then: allow", Stricter},
		{"when: data.inferred, then: deny", Stricter},
		{"then: allow", Stricter},
	} {
		rule := "  - { id: r, match: { kind: data.read }, " + c.rule + " }\n"
		if got := Compare(load(t, rule), load(t, rule+masks)); len(got) != 1 || got[0].Direction != c.want {
			t.Errorf("%s: %+v", c.rule, got)
		}
	}
	rule := "  - { id: r, match: { kind: data.read }, when: data.inferred, then: allow }\n"
	in, err := Given("x", []byte("{ kind: data.read, env: prod, resource: x, inferred_of: [email] }"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var before, after Decision
	load(t, rule).Decide(in, &before)
	load(t, rule+masks).Decide(in, &after)
	if before.Verdict != Deny || after.Verdict != Allow {
		t.Errorf("%v before, %v after", before.Verdict, after.Verdict)
	}
}
