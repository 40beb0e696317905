package policy

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/assenthq/assent/action"
)

func TestExplainShowsValues(t *testing.T) {
	s := load(t, `  - id: a
    match: { kind: data.export, env: [prod] }
    when: data.rows > 1000 && "pii" in data.groups
    then: review
    approval: { from: [group:x] }
    reason: "{{data.rows}} rows with {{data.summary}} leave {{resource.urn}} for {{data.destination}}"
  - { id: b, match: { kind: data.export }, when: 'data.rows <= 1000 && resource.labels["x"] == ""', then: allow }
`)
	in := with(rows(4821))
	d := s.Explain(in)
	var got []string
	for _, h := range append(d.Rules, d.Considered...) {
		for _, a := range h.Atoms {
			got = append(got, h.Rule+": "+a.Value)
		}
	}
	want := []string{
		"a: env (prod) in [prod] ✓",
		"a: data.rows (4821) > 1000 ✓",
		`a: "pii" in data.groups (pii) ✓`,
		"b: data.rows (4821) <= 1000 ✗",
		`b: resource.labels["x"] ("") == "" ✓`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if want := "4821 rows with 2 email leave postgres:billing/prod/customers for client"; d.Reason != want || d.Requirements[0].Reason != want {
		t.Errorf("reason %q and %q", d.Reason, d.Requirements[0].Reason)
	}
	d = s.Explain(with(noRows))
	if len(d.Rules) != 2 || d.Rules[1].Atoms[0].Value != "data.rows (unknown) <= 1000 ✓, enforced as a limit" || d.Rules[0].Atoms[1].Value != "data.rows (unknown) > 1000 ?" {
		t.Errorf("%+v", d.Rules)
	}
}

func TestReasonNamesTheKindNobodyCovers(t *testing.T) {
	s := load(t, "  - { id: a, match: { kind: data.export }, then: review, "+reviewers+" }\n")
	d := s.Explain(with(kinds(action.DataRead, action.DataExport)))
	if d.Verdict != Deny || d.Reason != "no rule permits data.read" {
		t.Errorf("%v: %q", d.Verdict, d.Reason)
	}
}

func TestMapEntriesAndLinksInWords(t *testing.T) {
	s := load(t, `  - { id: a, when: 'resource.labels.tier == "gold" && data.finding_counts["email"] > 1 && has(resource.labels.tier)', then: deny, reason: "to {{data.destination}}" }
`)
	d := s.Explain(with(func(in *Input) { in.Action.Data.Destination = "https://u:pw@x.example/b/k?X-Amz-Signature=abc#f" }))
	var got []string
	for _, a := range d.Rules[0].Atoms {
		got = append(got, a.Value)
	}
	want := []string{`resource.labels.tier ("gold") == "gold" ✓`, `data.finding_counts["email"] (2) > 1 ✓`, `has(resource.labels.tier ("gold")) ✓`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if d.Reason != "to https://x.example/b/k" {
		t.Error(d.Reason)
	}
}

func TestWhatTheAskerSaysStaysOut(t *testing.T) {
	s := load(t, `  - { id: a, when: 'context.reason != "x" && context.ticket != "y"', then: deny, reason: "ticket {{context.ticket}}" }
`)
	d := s.Explain(with(func(in *Input) {
		in.Action.Claims.Reason = "my card is 4111111111111111"
		in.Action.Claims.Ticket = "T-1\x1b[2J\n" + strings.Repeat("z", 500)
	}))
	text := d.Reason
	for _, a := range d.Rules[0].Atoms {
		text += a.Value
	}
	if strings.Contains(text, "4111") || strings.ContainsAny(text, "\x1b\n") || len(text) > 700 {
		t.Errorf("it comes out as %q", text)
	}
}

func TestCalendars(t *testing.T) {
	s, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + `calendars:
  evening: { tz: Europe/Berlin, days: [tue, thu], from: "20:00", to: "22:00" }
  night: { tz: UTC, days: [sat], from: "23:00", to: "01:30" }
  day: { tz: UTC, days: [sun], from: "00:00", to: "24:00" }
rules:
  - { id: a, then: deny }
`)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		calendar, at string
		want         Tri
	}{
		{"evening", "2026-11-24T20:00:00+01:00", Yes},
		{"evening", "2026-11-24T19:00:00Z", Yes},
		{"evening", "2026-11-24T21:59:59+01:00", Yes},
		{"evening", "2026-11-24T22:00:00+01:00", No},
		{"evening", "2026-11-25T20:30:00+01:00", No},
		{"evening", "2026-07-21T18:30:00Z", Yes}, // summer time
		{"evening", "2026-07-21T20:30:00Z", No},
		{"night", "2026-11-28T23:00:00Z", Yes},
		{"night", "2026-11-29T01:29:00Z", Yes},
		{"night", "2026-11-29T01:30:00Z", No},
		{"night", "2026-11-28T01:00:00Z", No},
		{"day", "2026-11-29T23:59:59Z", Yes},
		{"day", "2026-11-30T00:00:00Z", No},
		{"day", "", DontKnow},
	} {
		var at time.Time
		if c.at != "" {
			if at, err = time.Parse(time.RFC3339, c.at); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.packs[0].calendars[c.calendar].open(at); got != c.want {
			t.Errorf("%s at %s: %v, want %v", c.calendar, c.at, got, c.want)
		}
	}
}

func TestQuorumOfATest(t *testing.T) {
	pack := func(approval, reviews, want string) []TestResult {
		return load(t, "  - { id: a, match: { kind: deploy }, then: review, approval: "+approval+" }\ntests:\n"+
			"  - { name: x, given: { kind: deploy, actor: bot, owner: olga, subject: sam }, reviews: "+reviews+", want: "+want+" }\n").Test()
	}
	for _, c := range []struct{ approval, reviews, want string }{
		{"{ from: [group:a], count: 2 }", "[bob, eve]", "{ granted: true, missing: 0, refused: {} }"},
		{"{ from: [group:a], count: 2 }", "[bob, bob]", "{ granted: false, missing: 1, refused: { bob: already reviewed } }"},
		{"{ from: [group:a] }", "[olga, bot, sam]", "{ granted: false, refused: { olga: owner, bot: actor, sam: subject } }"},
		{"{ from: [group:a] }", "[{ by: bob, groups: [group:b] }]", "{ granted: false, refused: { bob: not in the group } }"},
		{"{ all_of: [{ group: a }, { group: b }] }", "[{ by: bob, groups: [group:a, group:b] }]", "{ granted: false, missing: 1 }"},
		{"{ any_of: [{ group: a, count: 3 }, { group: b, count: 2 }] }", "[{ by: bob, groups: [group:a, group:b] }, { by: eve, groups: [group:a] }]", "{ granted: false, missing: 1, count: 2 }"},
		{"{ any_of: [{ group: a, count: 3 }, { group: b }] }", "[{ by: bob, groups: [group:b] }]", "{ granted: true }"},
		{"{ all_of: [{ group: a }, { group: b }] }", "[{ by: bob, groups: [group:a, group:b] }, { by: eve, groups: [group:a] }]", "{ granted: true }"},
	} {
		if r := pack(c.approval, c.reviews, c.want); !r[0].Passed {
			t.Errorf("%s by %s: %v", c.approval, c.reviews, r[0].Failures)
		}
	}
	if r := pack("{ from: [group:a], count: 2 }", "[bob]", "{ granted: true }"); r[0].Passed {
		t.Error("one of two is a quorum")
	}
}

func TestHolderKeepsTheLastGood(t *testing.T) {
	defer goleak.VerifyNone(t)
	var nothing Holder
	var d Decision
	nothing.Decide(knownInput(), &d)
	if d.Verdict != Deny || nothing.Current().Explain(knownInput()).Verdict != Deny {
		t.Error("without a policy something is allowed")
	}
	closed, open := load(t, "  - { id: a, then: deny }\n"), load(t, "  - { id: a, match: { env: prod }, then: allow }\n")
	h := NewHolder(closed)
	for _, load := range []func() (*Set, error){
		func() (*Set, error) { return nil, errors.New("disk is gone") },
		func() (*Set, error) { return nil, nil },
		func() (*Set, error) { return LoadFiles(map[string][]byte{"p.yaml": []byte("rules: [")}, Options{}) },
	} {
		if err := h.Reload(load); err == nil || h.Err() == nil || h.Current() != closed {
			t.Errorf("after a failed reload: %v, %v", err, h.Err())
		}
	}
	if err := h.Reload(func() (*Set, error) { return open, nil }); err != nil || h.Err() != nil || h.Current() != open {
		t.Errorf("after a good reload: %v, %v", err, h.Err())
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			var d Decision
			for range 200 {
				if i == 0 {
					_ = h.Reload(func() (*Set, error) { return closed, nil })
					_ = h.Reload(func() (*Set, error) { return open, nil })
				}
				h.Decide(knownInput(), &d)
				if (d.Verdict == Allow) != (d.set == open) {
					t.Error("a decision of two policies")
				}
			}
		})
	}
	wg.Wait()
}

func TestMaskSetsAreSafeTogether(t *testing.T) {
	s := load(t, `  - { id: a, match: { env: prod }, then: mask, mask: { email: partial } }
  - { id: b, match: { verb: copy }, then: mask, mask: { card: redact } }
  - { id: c, match: { actor: agent }, then: mask, mask: { phone: hash } }
`)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			in := with(func(in *Input) {
				if i&1 != 0 {
					in.Action.Resource.Env = "dev"
				}
				if i&2 != 0 {
					in.Action.Verb = "select"
				}
				if i&4 != 0 {
					in.ActorType = "human"
				}
			})
			_, want := model(s, in)
			var d Decision
			for range 50 {
				if s.Decide(in, &d); len(d.Masks) != len(want) {
					t.Errorf("masks %v, want %v", d.Masks, want)
				}
			}
		})
	}
	wg.Wait()
}

// Every key of `given:` sets the fact that a condition then reads.
func TestGivenSetsEveryFact(t *testing.T) {
	given := map[string][2]string{
		"kind":                {"[data.read, data.export]", `"data.export" in action.kinds`},
		"verb":                {"drop", `action.verb == "drop"`},
		"target":              {"t", `action.target == "t"`},
		"shape":               {"s", `action.shape == "s"`},
		"harmless":            {"h", `action.harmless == "h"`},
		"reversible":          {"true", "action.reversible"},
		"routine":             {"true", "action.routine"},
		"env":                 {"dev", `resource.env == "dev"`},
		"resource":            {"a:b/c", `resource.urn == "a:b/c"`},
		"type":                {"s3", `resource.type == "s3"`},
		"labels":              {"{ team: x }", `resource.labels["team"] == "x"`},
		"rows":                {"3", "data.rows == 3"},
		"bytes":               {"4", "data.bytes == 4"},
		"classes":             {"[card, email]", `"pci" in data.groups && "email" in data.classes`},
		"groups":              {"[phi]", `"phi" in data.groups && !("pii" in data.groups)`},
		"findings":            {"{ card: 2 }", `data.finding_counts["card"] == 2`},
		"unscanned":           {"true", "data.unscanned"},
		"read_1h":             {"{ email: 40, all: 90 }", `data.read_1h["email"] == 40 && data.read_1h["all"] == 90 && data.read_1h["card"] == 0`},
		"inferred":            {"true", "data.inferred"},
		"computed":            {"true", "data.computed"},
		"aggregated":          {"true", "data.aggregated"},
		"inferred_of":         {"[email]", "!data.inferred"}, // nothing is masked there
		"computed_of":         {"[email]", "!data.computed"},
		"aggregated_of":       {"[email]", "!data.aggregated"},
		"destination":         {"d", `data.destination == "d"`},
		"destination_trust":   {"external", `data.destination_trust == "external"`},
		"subject":             {"sam", `subject.id == "sam"`},
		"subject_groups":      {"[group:a]", `"group:a" in subject.groups`},
		"actor":               {"bot", `actor.id == "bot" && actor.type == "agent" && delegation.exists(x, x == "bot")`},
		"delegation":          {"[a, b]", `size(delegation) == 2 && delegation.exists(x, x == "b")`},
		"owner":               {"o", `actor.owner == "o"`},
		"model":               {"m", `actor.model == "m"`},
		"trust":               {"low", `actor.trust == "low"`},
		"time":                {`"2026-11-24T20:00:00+01:00"`, `context.hour == 19 && context.weekday == "tue"`},
		"ticket":              {"t", `context.ticket == "t"`},
		"reason":              {"r", `context.reason == "r"`},
		"session":             {"s", `context.session == "s"`},
		"break_glass":         {"true", "context.break_glass"},
		"intent_named_target": {"true", "context.intent_named_target"},
		"tainted":             {"true", "context.tainted"},
		"saw_sensitive":       {"true", "context.tainted && context.saw_sensitive"},
		"saw_untrusted":       {"true", "context.tainted && context.saw_untrusted"},
		"rate_1h":             {"1", "context.rate_1h == 1"},
		"rate_24h":            {"2", "context.rate_24h == 2"},
		"preview_rows":        {"1", "preview.rows == 1"},
		"preview_objects":     {"2", "preview.objects == 2"},
		"preview_creates":     {"3", "preview.creates == 3"},
		"preview_changes":     {"4", "preview.changes == 4"},
		"preview_destroys":    {"5", "preview.destroys == 5"},

		"preview_smallest_group": {"7", "preview.smallest_group == 7"},
	}
	tightens := map[string][3]string{ // harmless, grave, and what is asked: its opposite can't be
		"novel_shape":  {"false", "true", "context.novel_shape"},
		"novel_target": {"false", "true", "context.novel_target"},
		"risk":         {"6", "7", "risk.score >= 7"},
	}
	for _, f := range facts() {
		if c, ok := tightens[f.key]; ok {
			for i, value := range c[:2] {
				s := load(t, fmt.Sprintf("  - { id: yes, when: '%s', then: deny }\ntests:\n  - { name: x, given: { %s: %s, kind: deploy }, want: { decision: deny } }\n", c[2], f.key, value))
				if r := s.Test()[0]; contains(r.Rules, "yes") != (i == 1) {
					t.Errorf("%s: %s matched %v", f.key, value, r.Rules)
				}
			}
			continue
		}
		c, ok := given[f.key]
		if !ok {
			t.Errorf("%s has no case", f.key)
			continue
		}
		other := ", kind: deploy"
		if f.key == "kind" {
			other = ""
		}
		// An unknown fact would match both rules.
		s := load(t, fmt.Sprintf("  - { id: no, when: '!(%[1]s)', then: deny }\n  - { id: yes, when: '%[1]s', then: review, %[2]s }\ntests:\n  - { name: x, given: { %[3]s: %[4]s%[5]s }, want: { decision: review } }\n",
			c[1], reviewers, f.key, c[0], other))
		if r := s.Test()[0]; !contains(r.Rules, "yes") || contains(r.Rules, "no") {
			t.Errorf("%s: matched %v", f.key, r.Rules)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "a/b:c", true},
		{"a*", "ab", true},
		{"a*", "ba", false},
		{"a*", "", false},
		{"a/*", "a/", true},
		{"a/*", "a", false},
		{"*b", "aab", true},
		{"*b", "ba", false},
		{"a*c*e", "abcde", true},
		{"a*c*e", "abde", false},
		{"?b", "ab", true},
		{"?b*", "abc", true},
		{"?", "", false},
		{"a?*", "a", false},
		{"**", "x", true},
		{"a*a", "a", false},
		{"*a*a*a*a*b", strings.Repeat("a", 200), false},
	} {
		if got := glob(c.pattern, c.s); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// A window is what clocks on the wall show: what spring leaves out never comes, what autumn
// shows twice is open twice, and a zone whose rules change is read as it was on that day.
func TestCalendarsWhereClocksChange(t *testing.T) {
	s, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + `calendars:
  gap: { tz: Europe/Berlin, days: [sun], from: "02:15", to: "02:45" }
  around: { tz: Europe/Berlin, days: [sun], from: "01:30", to: "03:30" }
  over: { tz: Europe/Berlin, days: [sat], from: "23:00", to: "02:30" }
  apia: { tz: Pacific/Apia, days: [fri], from: "00:00", to: "24:00" }
  sao: { tz: America/Sao_Paulo, days: [mon, tue, wed, thu, fri, sat, sun], from: "09:00", to: "10:00" }
  north: { tz: Asia/Pyongyang, days: [fri, sat], from: "23:30", to: "00:15" }
rules:
  - { id: a, then: deny }
`)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		calendar, at string
		want         Tri
	}{
		{"gap", "2027-03-28T00:59:59Z", No}, // 01:59:59, and then 03:00
		{"gap", "2027-03-28T01:00:00Z", No},
		{"gap", "2027-03-28T01:30:00Z", No},
		{"gap", "2027-04-04T00:30:00Z", Yes}, // a week later, 02:30
		{"around", "2027-03-28T00:30:00Z", Yes},
		{"around", "2027-03-28T01:29:59Z", Yes}, // one hour later it is 03:29:59
		{"around", "2027-03-28T01:30:00Z", No},
		{"gap", "2026-10-25T00:30:00Z", Yes}, // 02:30 for the first time
		{"gap", "2026-10-25T00:50:00Z", No},
		{"gap", "2026-10-25T01:30:00Z", Yes}, // and for the second
		{"gap", "2026-10-25T01:50:00Z", No},
		{"over", "2026-10-25T00:29:00Z", Yes},
		{"over", "2026-10-25T00:31:00Z", No},
		{"over", "2026-10-25T01:29:00Z", Yes},
		{"over", "2026-10-25T01:31:00Z", No},
		{"apia", "2011-12-30T09:59:59Z", No}, // Thursday, and then Saturday: that Friday was left out
		{"apia", "2011-12-30T10:00:00Z", No},
		{"apia", "2012-01-05T10:00:00Z", Yes},
		{"sao", "2019-01-15T11:30:00Z", Yes}, // summer time
		{"sao", "2020-01-15T11:30:00Z", No},  // given up since
		{"sao", "2020-01-15T12:30:00Z", Yes},
		{"north", "2018-05-04T14:59:59Z", No}, // 23:29:59 at +08:30, and then 00:00 at +09:00 on Saturday
		{"north", "2018-05-04T15:10:00Z", Yes},
		{"north", "2018-05-04T15:15:00Z", No},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.packs[0].calendars[c.calendar].open(at); got != c.want {
			t.Errorf("%s at %s: %v, want %v", c.calendar, c.at, got, c.want)
		}
	}
}
