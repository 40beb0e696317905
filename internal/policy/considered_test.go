package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExplainAllSaysWhy(t *testing.T) {
	s := load(t, `  - { id: denies, match: { kind: data.export, env: prod }, when: data.rows > 10, then: deny, unless: { break_glass: true, approval: { from: [group:x], count: 2 } } }
  - { id: dev, match: { kind: data.export, env: dev }, then: deny }
  - { id: guess, match: { kind: data.export }, when: data.bytes > 5, then: review, `+reviewers+` }
  - { id: sure, match: { kind: data.export, env: prod }, when: data.bytes < 5, then: allow }
  - { id: nowhere, match: { kind: data.export, resource: "x:*" }, then: allow }
  - { id: small, match: { kind: data.export }, when: data.rows < 5, then: allow }
  - { id: clean, match: { kind: data.export }, when: data.rows < 5 && data.rows > 2, then: allow }
  - { id: off, match: { kind: data.export }, mode: off, then: deny }
  - { id: watches, match: { kind: data.export }, mode: shadow, until: 2999-12-31, then: deny }
  - { id: opens, match: { kind: data.export }, mode: shadow, until: 2020-12-31, then: allow }
  - { id: any, match: { kind: data.export }, then: mask, mask: { email: redact } }
  - { id: other, match: { kind: data.read }, then: allow }
`)
	in, err := Given("x", []byte(`{"kind": "data.export",
	"env": "prod", "rows": 20, "time": "2026-11-24T12:00:00Z", "actor": "agent"}`), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	x := s.ExplainAll(in)
	got := map[string]string{}
	var order []string
	for _, c := range x.Considered {
		got[c.Rule] = c.Why
		order = append(order, c.Rule)
	}
	want := map[string]string{
		"denies":  "its conditions hold",
		"dev":     "'env in [dev]' doesn't hold",
		"guess":   "'data.bytes > 5' is unknown, and a rule that restricts matches what it can't rule out",
		"sure":    "'data.bytes < 5' is unknown, and a rule that permits must be sure",
		"nowhere": "'resource in [x:*]' is unknown, and a rule that permits must be sure",
		"small":   "'data.rows < 5' doesn't hold",
		"clean":   "its condition doesn't hold",
		"off":     "it is off",
		"watches": "it matches and only watches until 2999-12-31",
		"opens":   "it matches and only watches: a permitting rule in shadow mode never begins to permit",
		"any":     "it matches whatever is of its kinds",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if first := strings.Join(order, " "); first != "denies watches guess opens any dev off clean nowhere small sure" || x.Elsewhere != 1 || x.Verdict != Deny {
		t.Errorf("%s; %d elsewhere, %v", first, x.Elsewhere, x.Verdict)
	}
	in.Action.Claims.BreakGlass = true
	x = s.ExplainAll(in)
	if len(x.Requirements) != 2 || x.Requirements[0].Asks() != "2 of group:x, within 30m0s" {
		t.Errorf("%+v", x.Requirements)
	}
}

// Facts that say no time are of now, where a shadow mode has not ended.
func TestExplainIsOfNow(t *testing.T) {
	s := load(t, "  - { id: watches, match: { kind: data.read }, mode: shadow, until: 2026-12-31, then: deny }\n  - { id: reads, match: { kind: data.read }, then: allow }\n")
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		given   string
		now     time.Time
		watches bool
		verdict Verdict
		why     string
	}{
		{"kind: data.read\n", now, true, Allow, "it matches and only watches until 2026-12-31"},
		{`{"kind": "data.read"}`, now, true, Allow, "it matches and only watches until 2026-12-31"},
		{"kind: data.read\ntime: unknown\n", now, false, Deny, "it matches and acts: at an unknown time its shadow mode may have ended, on 2026-12-31"},
		{"kind: data.read\ntime: \"2027-01-01T00:00:00Z\"\n", now, false, Deny, "it matches and acts: its shadow mode ended on 2026-12-31"},
		{"kind: data.read\n", time.Time{}, false, Deny, "it matches and acts: at an unknown time its shadow mode may have ended, on 2026-12-31"},
	} {
		in, err := Given("x", []byte(c.given), c.now)
		if err != nil {
			t.Fatal(err)
		}
		x := s.ExplainAll(in)
		for _, r := range x.Considered {
			if r.Rule == "watches" && (r.Why != c.why || r.Watches != c.watches || x.Verdict != c.verdict) {
				t.Errorf("%q: %v, %v, %s", c.given, x.Verdict, r.Watches, r.Why)
			}
		}
	}
}

// Every fact can be said on a command line, and then it is said.
func TestGivenWords(t *testing.T) {
	samples := map[string][]string{
		"kind": {"data.read", "data.export"}, "labels": {"team=billing: x", "b=c"}, "classes": {"email", "card"}, "groups": {"pii"}, "findings": {"email=3"}, "read_1h": {"all=5", "email=1"},
		"inferred_of": {"email"}, "computed_of": {"email"}, "aggregated_of": {"email"}, "destination_trust": {"external"}, "subject_groups": {"group:a", "group:b"}, "time": {"2026-11-24T12:00:00Z"},
		"actor": {"nightly"}, "delegation": {"a", "b"}, "destination": {`https://"x"\y`},
	}
	for _, g := range GivenFacts() {
		tried := false
		for _, values := range [][]string{samples[g.Key], {"true"}, {"5"}, {"words: 'of' \"x\" {"}} {
			if len(values) == 0 {
				continue
			}
			if _, err := Given("x", []byte(GivenWords(g.Key, values)), time.Time{}); err == nil {
				tried = true
				break
			}
		}
		if !tried {
			t.Errorf("%s can't be said: %q", g.Key, GivenWords(g.Key, samples[g.Key]))
		}
	}
	in, err := Given("x", []byte(GivenWords("labels", samples["labels"])+GivenWords("subject_groups", samples["subject_groups"])+GivenWords("rows", []string{"unknown"})+GivenWords("classes", []string{""})+GivenWords("destination", samples["destination"])), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if in.Action.Resource.Labels["team"] != "billing: x" || len(in.SubjectGroups) != 2 || in.Action.Data.Rows.Known || !in.Action.Data.ClassesKnown || in.Action.Data.Destination != `https://"x"\y` {
		t.Errorf("%+v", in.Action)
	}
}

func FuzzGiven(f *testing.F) {
	for _, s := range []string{"kind: data.read\nrows: 5\n", `{"kind":["data.read"],"labels":{"a":"b"}}`, "rows: -1\n", "kind: [", "{}", "time: x\n", "read_1h: { all: 5 }\n"} {
		f.Add([]byte(s))
	}
	s, err := Default(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in, err := Given("x", text, time.Time{})
		if err != nil {
			_ = err.Error()
			return
		}
		x := s.ExplainAll(in)
		for _, c := range x.Considered {
			if c.Why == "" || c.Matched != (c.Mode != "off" && s.rule(c.Pack, c.Rule).matches(x.sees(s.rule(c.Pack, c.Rule), in))) {
				t.Errorf("%+v", c)
			}
		}
	})
}
