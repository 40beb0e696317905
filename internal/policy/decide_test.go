package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/assenthq/assent/action"
)

// known is an input in which every fact is known, and given claims are made.
func knownInput() *Input {
	return &Input{
		Action: &action.Action{
			Kinds: []action.Kind{action.DataExport}, Verb: "copy", Target: "public.customers", Shape: "abc", Reversible: true,
			Resource: action.Resource{URN: "postgres:billing/prod/customers", Type: "postgres", Env: "prod", Labels: map[string]string{"tier": "gold"}},
			Data: action.Data{
				Rows: action.KnownCount(10), Bytes: action.KnownCount(1000), ClassesKnown: true, Classes: []string{"email"}, Groups: []string{"pii"},
				Findings: map[string]int64{"email": 2}, Destination: "client", DestinationTrust: "internal",
			},
			Actors: []action.Link{{ID: "agent:a", Type: "agent"}, {ID: "service:s", Type: "service"}},
			Claims: action.Claims{Reason: "because", Ticket: "T-1", Session: "s1"},
		},
		SubjectID: "sam", SubjectGroups: []string{"group:billing"},
		ActorID: "agent:a", ActorType: "agent", ActorOwner: "olga", ActorModel: "m1", ActorTrust: "low",
		Time: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Rate1h: action.KnownCount(1), Rate24h: action.KnownCount(2),
		NovelShape: Yes, NovelTarget: Yes, Tainted: No, SawSensitive: No, SawUntrusted: No, IntentTarget: Yes,
		Preview: Preview{Rows: action.KnownCount(1), Objects: action.KnownCount(1), Creates: action.KnownCount(1), Changes: action.KnownCount(1), Destroys: action.KnownCount(1), SmallestGroup: action.KnownCount(1)},
		Risk:    action.KnownCount(7),
		Read:    givenReads{"all": 7},
	}
}

// unknowns says, for every variable, what is true of knownInput and how the
// fact is lost. A nil loss: it can't be unknown, and why stands beside it.
func unknowns() map[string]struct {
	holds string
	lose  func(*Input)
} {
	type u = struct {
		holds string
		lose  func(*Input)
	}
	return map[string]u{
		"subject.id":                  {`subject.id == "sam"`, func(in *Input) { in.SubjectID = "" }},
		"subject.groups":              {`!("group:x" in subject.groups)`, func(in *Input) { in.SubjectID = "" }},
		"actor.id":                    {`actor.id == "agent:a"`, func(in *Input) { in.ActorID = "" }},
		"actor.type":                  {`actor.type != "human"`, func(in *Input) { in.ActorType = "" }},
		"actor.owner":                 {`actor.owner != "x"`, func(in *Input) { in.ActorOwner = "" }},
		"actor.model":                 {`actor.model.startsWith("m")`, func(in *Input) { in.ActorModel = "" }},
		"actor.trust":                 {`actor.trust in ["low", "high"]`, func(in *Input) { in.ActorTrust = "" }},
		"delegation":                  {`delegation.all(x, x != "agent:z")`, func(in *Input) { in.Action.Actors = nil }},
		"resource.urn":                {`resource.urn.contains("billing")`, func(in *Input) { in.Action.Resource.URN = "" }},
		"resource.type":               {`resource.type.matches("^post")`, func(in *Input) { in.Action.Resource.Type = "" }},
		"resource.env":                {`resource.env != "dev"`, func(in *Input) { in.Action.Resource.Env = "" }},
		"resource.labels":             {`resource.labels["tier"] == "gold"`, nil}, // a missing label reads as ""
		"action.kinds":                {`!("data.read" in action.kinds)`, nil},    // without kinds no rule with a kind line is asked
		"action.verb":                 {`action.verb != "drop"`, func(in *Input) { in.Action.Verb = "" }},
		"action.target":               {`action.target.endsWith("customers")`, func(in *Input) { in.Action.Target = "" }},
		"action.shape":                {`action.shape != "x"`, func(in *Input) { in.Action.Shape = "" }},
		"action.reversible":           {`action.reversible`, nil}, // two-valued in action.Action; false is the careful one
		"action.routine":              {`!action.routine`, nil},   // two-valued too: false is the careful one
		"action.harmless":             {`action.harmless == ""`, nil},
		"data.rows":                   {`data.rows > 5`, func(in *Input) { in.Action.Data.Rows = action.Count{} }},
		"data.bytes":                  {`data.bytes <= 1000`, func(in *Input) { in.Action.Data.Bytes = action.Count{} }},
		"data.classes":                {`!data.classes.exists(x, x == "card")`, func(in *Input) { in.Action.Data.ClassesKnown = false }},
		"data.groups":                 {`size(data.groups) == 1`, func(in *Input) { in.Action.Data.Unscanned = true }},
		"data.finding_counts":         {`data.finding_counts["card"] == 0`, func(in *Input) { in.Action.Data.Unscanned = true }},
		"data.read_1h":                {`data.read_1h["all"] == 7`, func(in *Input) { in.Read = nil }},
		"data.unscanned":              {`!data.unscanned`, nil}, // itself says what is unknown
		"data.inferred":               {`!data.inferred`, nil},  // two-valued in action.Action
		"data.computed":               {`!data.computed`, nil},
		"data.aggregated":             {`!data.aggregated`, nil},
		"data.destination":            {`data.destination == "client"`, func(in *Input) { in.Action.Data.Destination = "" }},
		"data.destination_trust":      {`data.destination_trust != "external"`, func(in *Input) { in.Action.Data.DestinationTrust = "" }},
		"context.time":                {`context.time > timestamp("2026-01-01T00:00:00Z")`, func(in *Input) { in.Time = time.Time{} }},
		"context.hour":                {`context.hour == 12`, func(in *Input) { in.Time = time.Time{} }},
		"context.weekday":             {`context.weekday == "tue"`, func(in *Input) { in.Time = time.Time{} }},
		"context.session":             {`context.session == "s1"`, nil}, // claims: what isn't said is known not to be said
		"context.ticket":              {`context.ticket == "T-1"`, nil},
		"context.reason":              {`context.reason == "because"`, nil},
		"context.break_glass":         {`!context.break_glass`, nil},
		"context.intent_named_target": {`context.intent_named_target`, func(in *Input) { in.IntentTarget = DontKnow }},
		"context.rate_1h":             {`context.rate_1h < 5`, func(in *Input) { in.Rate1h = action.Count{} }},
		"context.rate_24h":            {`context.rate_24h + 1 == 3`, func(in *Input) { in.Rate24h = action.Count{} }},
		"context.novel_shape":         {`context.novel_shape`, func(in *Input) { in.NovelShape = DontKnow }},
		"context.novel_target":        {`context.novel_target`, func(in *Input) { in.NovelTarget = DontKnow }},
		"context.tainted":             {`context.tainted ? false : true`, func(in *Input) { in.Tainted, in.SawUntrusted = DontKnow, DontKnow }},
		"context.saw_sensitive":       {`!context.saw_sensitive`, func(in *Input) { in.Tainted, in.SawSensitive = DontKnow, DontKnow }},
		"context.saw_untrusted":       {`context.saw_untrusted == false`, func(in *Input) { in.Tainted, in.SawUntrusted = DontKnow, DontKnow }},
		"preview.rows":                {`preview.rows < 2`, func(in *Input) { in.Preview.Rows = action.Count{} }},
		"preview.objects":             {`preview.objects * 2 == 2`, func(in *Input) { in.Preview.Objects = action.Count{} }},
		"preview.creates":             {`preview.creates - 1 == 0`, func(in *Input) { in.Preview.Creates = action.Count{} }},
		"preview.changes":             {`preview.changes % 2 == 1`, func(in *Input) { in.Preview.Changes = action.Count{} }},
		"preview.smallest_group":      {`preview.smallest_group >= 1`, func(in *Input) { in.Preview.SmallestGroup = action.Count{} }},
		"preview.destroys":            {`-preview.destroys < 0`, func(in *Input) { in.Preview.Destroys = action.Count{} }},
		"risk.score":                  {`risk.score >= 7`, func(in *Input) { in.Risk = action.Count{} }},
	}
}

const reviewers = "approval: { from: [group:x] }"

// Every variable × known, false, unknown × allow, mask, review, deny.
func TestUnknownRestrictsAndNeverPermits(t *testing.T) {
	table := unknowns()
	for _, v := range variables() {
		if v.reason {
			continue
		}
		u, ok := table[v.name]
		if !ok {
			t.Errorf("%s has no case", v.name)
			continue
		}
		for _, then := range effectNames() {
			t.Run(v.name+"/"+then, func(t *testing.T) {
				rule := func(when string) string {
					extra := map[string]string{"review": ", " + reviewers, "mask": ", mask: { card: redact }"}[then]
					return fmt.Sprintf("  - { id: a, match: { kind: data.export }, when: '%s', then: %s%s }\n", when, then, extra)
				}
				if then == "allow" && v.vouch == claimed {
					if _, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + "rules:\n" + rule(u.holds))}, Options{}); err == nil {
						t.Error("a claim permits")
					}
					return
				}
				if v.raises {
					onlyTightens(t, rule, u.holds, u.lose, then)
					return
				}
				yes, no := load(t, rule(u.holds)), load(t, rule("!("+u.holds+")"))
				if !matched(yes, knownInput()) || matched(no, knownInput()) {
					t.Fatal("a known fact is read wrongly")
				}
				if u.lose == nil {
					return
				}
				lost := knownInput()
				u.lose(lost)
				if want := then != "allow"; matched(yes, lost) != want || matched(no, lost) != want {
					t.Errorf("unknown matches: %v, negated: %v, want both %v", matched(yes, lost), matched(no, lost), want)
				}
			})
		}
	}
	said := slices.DeleteFunc(variables(), func(v variable) bool { return v.reason })
	if len(table) != len(said) {
		t.Errorf("%d cases for %d variables", len(table), len(said))
	}
}

// onlyTightens is TestUnknownRestrictsAndNeverPermits for a variable that may raise a
// verdict: no rule permits by it, and none is asked about its opposite.
func onlyTightens(t *testing.T, rule func(string) string, holds string, lose func(*Input), then string) {
	t.Helper()
	for _, when := range []string{holds, "!(" + holds + ")"} {
		if when == holds && then != "allow" {
			continue
		}
		if _, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + "rules:\n" + rule(when))}, Options{}); err == nil {
			t.Errorf("%s: it loads", when)
		}
	}
	if then == "allow" {
		return
	}
	s, lost := load(t, rule(holds)), knownInput()
	lose(lost)
	if !matched(s, knownInput()) || !matched(s, lost) {
		t.Error("it doesn't match what holds, or may hold")
	}
}

func matched(s *Set, in *Input) bool {
	var d Decision
	s.Decide(in, &d)
	for _, h := range d.Rules {
		if h.Rule == "a" {
			return true
		}
	}
	return false
}

func TestUnknownMatchLines(t *testing.T) {
	lines := map[string]struct {
		value string
		lose  func(*Input)
	}{
		"env":         {"prod", func(in *Input) { in.Action.Resource.Env = "" }},
		"verb":        {"copy", func(in *Input) { in.Action.Verb = "" }},
		"actor":       {"agent", func(in *Input) { in.ActorType = "" }},
		"resource":    {`"postgres:billing/*"`, func(in *Input) { in.Action.Resource.URN = "" }},
		"type":        {"postgres", func(in *Input) { in.Action.Resource.Type = "" }},
		"subject":     {`"group:billing"`, func(in *Input) { in.SubjectID = "" }},
		"destination": {"cli*", func(in *Input) { in.Action.Data.Destination = "" }},
		"class":       {"email", func(in *Input) { in.Action.Data.Classes, in.Action.Data.ClassesKnown = nil, false }},
		"group":       {"pii", func(in *Input) { in.Action.Data.Groups, in.Action.Data.ClassesKnown = nil, false }},
	}
	for _, spec := range lineSpecs() {
		c, ok := lines[spec.key]
		if !ok {
			t.Errorf("%s has no case", spec.key)
			continue
		}
		for _, then := range []string{"allow", "deny"} {
			s := load(t, fmt.Sprintf("  - { id: a, match: { kind: data.export, %s: %s }, then: %s }\n", spec.key, c.value, then))
			if !matched(s, knownInput()) {
				t.Errorf("%s %s: doesn't match what is known", spec.key, then)
			}
			lost := knownInput()
			c.lose(lost)
			if matched(s, lost) != (then == "deny") {
				t.Errorf("%s %s: unknown is decided wrongly", spec.key, then)
			}
		}
	}
}

// decide is the verdict, with what stands beside it in words.
func decide(s *Set, in *Input) string {
	var d Decision
	s.Decide(in, &d)
	out := d.Verdict.String()
	for _, h := range d.Rules {
		out += " " + h.Rule
	}
	if d.RowLimit.Known {
		out += fmt.Sprintf(" rows≤%d", d.RowLimit.N)
	}
	return out
}

func with(change ...func(*Input)) *Input {
	in := knownInput()
	for _, f := range change {
		f(in)
	}
	return in
}

func kinds(k ...action.Kind) func(*Input) { return func(in *Input) { in.Action.Kinds = k } }

func rows(n int64) func(*Input) {
	return func(in *Input) { in.Action.Data.Rows = action.KnownCount(n) }
}

func noRows(in *Input) { in.Action.Data.Rows = action.Count{} }

func glassBroken(in *Input) { in.Action.Claims.BreakGlass = true }

func TestDecisions(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		in          *Input
		want        string
	}{
		{"no match is a deny", "  - { id: a, match: { kind: data.read }, then: allow }\n", with(), "deny default"},
		{"every kind must be permitted", "  - { id: a, match: { kind: data.read }, then: allow }\n", with(kinds(action.DataRead, action.DataExport)), "deny default a"},
		{"by one rule or several", "  - { id: a, match: { kind: data.read }, then: allow }\n  - { id: b, match: { kind: data.export }, then: allow }\n", with(kinds(action.DataRead, action.DataExport)), "allow a b"},
		{"the strictest verdict over the kinds", "  - { id: a, match: { kind: data.read }, then: allow }\n  - { id: b, match: { kind: data.export }, then: review, " + reviewers + " }\n", with(kinds(action.DataRead, action.DataExport)), "review b a"},
		{"deny wins", "  - { id: a, match: { kind: data.export }, then: allow }\n  - { id: b, match: { env: prod }, then: deny }\n", with(), "deny b a"},
		{"review beats allow", "  - { id: a, match: { kind: data.export }, then: allow }\n  - { id: b, then: review, " + reviewers + " }\n", with(), "review b a"},
		{"a mask permits nothing", "  - { id: a, then: mask, mask: { email: redact } }\n", with(), "deny default a"},
		{"a kind nobody knows is unknown", "  - { id: a, match: { env: prod }, then: allow }\n", with(kinds("data.teleport")), "deny default"},
		{"unknown is never allowed", "  - { id: a, match: { env: prod }, then: allow }\n", with(kinds(action.Unknown)), "deny default"},
		{"nor together with another kind", "  - { id: a, match: { env: prod }, then: allow }\n", with(kinds(action.DataExport, action.Unknown)), "deny default a"},
		{"unknown can be held", "  - { id: a, match: { kind: unknown }, then: review, " + reviewers + " }\n", with(kinds(action.Unknown)), "review a"},
		{"masks apply to unknown", "  - { id: a, match: { kind: data.read }, then: mask, mask: { email: redact } }\n", with(kinds(action.Unknown)), "deny default a"},
		{"no kinds, no name", "  - { id: a, match: { env: prod }, then: allow }\n", with(kinds()), "deny default"},
		{"no kinds, harmless", "  - { id: a, match: { kind: data.read }, then: deny }\n", with(kinds(), func(in *Input) { in.Harmless = "transaction control" }), "allow harmless"},
		{"a deny without kind stops the harmless too", "  - { id: a, match: { actor: agent }, then: deny }\n", with(kinds(), func(in *Input) { in.Harmless = "transaction control" }), "deny a"},
		{"harmless beside kinds changes nothing", "  - { id: a, match: { kind: data.read }, then: allow }\n", with(func(in *Input) { in.Harmless = "transaction control" }), "deny default"},

		{"a known bound is a limit", "  - { id: a, match: { kind: data.export }, when: data.rows <= 10, then: allow }\n", with(), "allow a rows≤10"},
		{"and compared", "  - { id: a, match: { kind: data.export }, when: data.rows <= 10, then: allow }\n", with(rows(11)), "deny default"},
		{"an unknown one is a limit", "  - { id: a, match: { kind: data.export }, when: 'data.rows < 10 && !data.inferred', then: allow }\n", with(noRows), "allow a rows≤9"},
		{"written backwards", "  - { id: a, match: { kind: data.export }, when: 2 * 5 >= data.rows, then: allow }\n", with(noRows), "allow a rows≤10"},
		{"the smaller of two in one rule", "  - { id: a, match: { kind: data.export }, when: data.rows < 50 && (data.rows <= 10 && data.bytes > 0), then: allow }\n", with(noRows), "allow a rows≤10"},
		{"no limit when it need not hold", "  - { id: a, match: { kind: data.export }, when: data.rows <= 10 || data.bytes > 0, then: allow }\n", with(noRows), "allow a"},
		{"nor in a disjunction that is unknown", "  - { id: a, match: { kind: data.export }, when: data.rows <= 10 || data.bytes < 0, then: allow }\n", with(noRows), "deny default"},
		{"nor negated", "  - { id: a, match: { kind: data.export }, when: '!(data.rows <= 10)', then: allow }\n", with(noRows), "deny default"},
		{"nor from below", "  - { id: a, match: { kind: data.export }, when: data.rows >= 10, then: allow }\n", with(noRows), "deny default"},
		{"an impossible bound permits nothing", "  - { id: a, match: { kind: data.export }, when: data.rows < 0, then: allow }\n", with(noRows), "deny default"},
		{"the largest of several rules", "  - { id: a, match: { kind: data.export }, when: data.rows <= 100, then: allow }\n  - { id: b, match: { kind: data.export }, when: data.rows <= 500, then: allow }\n", with(noRows), "allow a b rows≤500"},
		{"none when one has none", "  - { id: a, match: { kind: data.export }, when: data.rows <= 100, then: allow }\n  - { id: b, match: { kind: data.export }, then: allow }\n", with(noRows), "allow a b"},
		{"the smallest over the kinds", "  - { id: a, match: { kind: data.export }, when: data.rows <= 100, then: allow }\n  - { id: b, match: { kind: data.read }, then: allow }\n", with(noRows, kinds(action.DataRead, action.DataExport)), "allow a b rows≤100"},

		{"unless needs the claim", unlessRule, with(), "deny a"},
		{"and turns its deny into a review", unlessRule, with(glassBroken), "review a"},
		{"but not another's", unlessRule + "  - { id: b, match: { kind: data.export }, then: deny }\n", with(glassBroken), "deny b a"},
		{"a claimed review doesn't lift the default deny", "  - { id: a, when: 'context.ticket != \"\"', then: review, " + reviewers + " }\n", with(), "deny default a"},
		{"it tightens an allow", "  - { id: a, when: 'context.ticket != \"\"', then: review, " + reviewers + " }\n  - { id: b, match: { kind: data.export }, then: allow }\n", with(), "review a b"},

		{"off", "  - { id: a, mode: off, then: deny }\n  - { id: b, match: { env: prod }, then: allow }\n", with(), "allow b"},
		{"shadow", "  - { id: a, mode: shadow, until: 2026-11-24, then: deny }\n  - { id: b, match: { env: prod }, then: allow }\n", with(), "allow b"},
		{"shadow is over", "  - { id: a, mode: shadow, until: 2026-11-23, then: deny }\n  - { id: b, match: { env: prod }, then: allow }\n", with(), "deny a b"},
		{"shadow at an unknown time is over", "  - { id: a, mode: shadow, until: 2026-11-24, then: deny }\n  - { id: b, match: { env: prod }, then: allow }\n", with(func(in *Input) { in.Time = time.Time{} }), "deny a b"},
		{"a permission never comes out of the shadow", "  - { id: a, mode: shadow, until: 2026-11-23, match: { env: prod }, then: allow }\n", with(), "deny default"},

		{"a pattern", "  - { id: a, match: { kind: data.export, resource: ['postgres:*/prod/*', 'mysql:*'] }, then: allow }\n", with(), "allow a"},
		{"a pattern with another beginning", "  - { id: a, match: { kind: data.export, resource: ['postgres:billing/dev/*'] }, then: allow }\n", with(), "deny default"},
		{"a pattern cut inside a word", "  - { id: a, match: { kind: data.export, resource: ['postgres:bill*'] }, then: allow }\n", with(), "allow a"},
		{"an exact resource", "  - { id: a, match: { kind: data.export, resource: 'postgres:billing/prod/customers' }, then: allow }\n", with(), "allow a"},
		{"a verb's first word", "  - { id: a, match: { kind: data.export, verb: copy }, then: allow }\n", with(func(in *Input) { in.Action.Verb = "copy to" }), "allow a"},
		{"not its first letters", "  - { id: a, match: { kind: data.export, verb: cop }, then: allow }\n", with(), "deny default"},
		{"no action", "  - { id: a, match: { env: prod }, then: allow }\n", &Input{}, "deny default"},
		{"no input", "  - { id: a, match: { env: prod }, then: allow }\n", nil, "deny default"},
		{"division by zero permits nothing", "  - { id: a, match: { env: prod }, when: data.rows / (data.rows - 10) != 5, then: allow }\n", with(), "deny default"},
		{"and restricts", "  - { id: a, match: { env: prod }, when: data.rows / (data.rows - 10) == 5, then: deny }\n", with(), "deny a"},
		{"overflow restricts", "  - { id: a, when: data.rows * 9223372036854775807 == 1, then: deny }\n", with(), "deny a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := decide(load(t, c.rules), c.in); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

const unlessRule = "  - { id: a, match: { kind: data.export }, then: deny, unless: { break_glass: true, approval: { from: [group:sre], count: 2 } } }\n"

func TestMasksUniteAndTheStrictestWins(t *testing.T) {
	s := load(t, `  - { id: a, then: mask, mask: { email: partial, card: redact } }
  - { id: b, then: mask, mask: { email: tokenize, phone: hash } }
  - { id: c, match: { env: prod }, then: mask, mask: { pii: format-preserving, email: partial } }
  - { id: d, match: { env: dev }, then: mask, mask: { card: partial } }
`)
	want := map[string]string{}
	for _, class := range classesOf("pii") {
		want[class] = "format-preserving"
	}
	want["email"], want["card"], want["phone"] = "tokenize", "redact", "hash"
	var d Decision
	for range 2 { // the second time from the kept union
		s.Decide(knownInput(), &d)
		if diff := cmp.Diff(want, d.Masks); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReviewsAddUp(t *testing.T) {
	s := load(t, `  - { id: b, then: review, approval: { from: [group:dba], count: 2, expires: 10m, assurance: passkey }, show: [ticket, rows], notify: ["slack:#x"] }
  - { id: a, then: review, approval: { all_of: [{ group: legal }, { group: "group:owners", count: 2 }], use_within: 5m, wait: 1m, escalate: [{ after: 5m, to: [group:boss] }] }, show: [rows] }
`)
	d := s.Explain(knownInput())
	want := []Requirement{
		{
			Rule: "a", Pack: "p", AllOf: []Seats{{"group:legal", 1}, {"group:owners", 2}}, Count: 3, Expires: defaultExpires,
			UseWithin: 5 * time.Minute, Wait: time.Minute, Escalate: []Escalation{{5 * time.Minute, []string{"group:boss"}}}, Unsaid: Unsaid{Expires: true},
		},
		{Rule: "b", Pack: "p", From: []string{"group:dba"}, Count: 2, Expires: 10 * time.Minute, UseWithin: defaultUseWithin, Unsaid: Unsaid{UseWithin: true}, Assurance: "passkey"},
	}
	if diff := cmp.Diff(want, d.Requirements); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"rows", "ticket"}, d.Show); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"slack:#x"}, d.Notify); diff != "" {
		t.Error(diff)
	}
}

func TestDefaults(t *testing.T) {
	rules := "  - { id: a, match: { kind: data.read }, then: allow }\n"
	o := Options{
		Default:            map[string]Verdict{"dev": Allow, "stage": Review, "": Deny},
		UnsafeDefaultAllow: []string{"dev"}, DefaultFrom: []string{"group:ops"},
	}
	env := func(e string) func(*Input) { return func(in *Input) { in.Action.Resource.Env = e } }
	s := load(t, rules, o)
	for _, c := range []struct {
		in   *Input
		want string
	}{
		{with(env("dev")), "allow default"},
		{with(env("stage")), "review default"},
		{with(env("prod")), "deny default"},
		{with(env("")), "deny default"}, // an unknown environment has the strictest default
		{with(env("dev"), kinds(action.Unknown)), "review default"},
		{with(env("dev"), kinds(action.DataRead, action.DataExport)), "allow a default"},
	} {
		if got := decide(s, c.in); got != c.want {
			t.Errorf("%s: %s, want %s", c.in.Action.Resource.Env, got, c.want)
		}
	}
	if got := decide(load(t, rules, Options{Default: map[string]Verdict{"dev": Allow}, UnsafeDefaultAllow: []string{"dev"}}), with(env("dev"), kinds(action.Unknown))); got != "deny default" {
		t.Errorf("unknown where nobody can be asked: %s", got)
	}
	var d Decision
	s.Decide(with(env("stage")), &d)
	if len(d.Requirements) != 1 || d.Requirements[0].Count != 1 || !contains(d.Requirements[0].From, "group:ops") {
		t.Errorf("requirements %+v", d.Requirements)
	}
	for _, bad := range []Options{
		{Default: map[string]Verdict{"prod": Allow}},
		{Default: map[string]Verdict{"prod": Review}},
		{Default: map[string]Verdict{"prod": Review}, DefaultFrom: []string{"ops"}},
		{Default: map[string]Verdict{"prod": 9}},
	} {
		if _, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + "rules:\n" + rules)}, bad); err == nil {
			t.Errorf("%+v loaded", bad)
		}
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	s, inputs := benchSet(t, 1000)
	var d Decision
	each := func() {
		for _, in := range inputs {
			s.Decide(in, &d)
		}
	}
	each()
	if n := testing.AllocsPerRun(100, each); n != 0 {
		t.Errorf("%v allocations in %d decisions", n, len(inputs))
	}
}

// same ignores what may differ between equal decisions: the set, the bundle
// (the packs are cut otherwise) and the pack of each hit.
var same = []cmp.Option{
	cmpopts.IgnoreUnexported(Decision{}, Hit{}), cmpopts.IgnoreFields(Decision{}, "Bundle"), cmpopts.EquateEmpty(),
}

// drawRule makes a rule over a small world, so that many of them match.
func drawRule(t *rapid.T, id int) string {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	then := pick("then", "allow", "deny", "review", "mask")
	var b strings.Builder
	fmt.Fprintf(&b, "  - id: r%d\n    match: { kind: %s", id, pick("kind", "data.read", "data.export", "[data.read, data.export]", "[unknown, data.write]"))
	b.WriteString(pick("env", "", ", env: prod", ", env: [prod, dev]", ", env: dev"))
	b.WriteString(pick("resource", "", ", resource: 'postgres:a/*'", ", resource: ['postgres:a/x', 'postgres:b/*']", ", resource: '*x'", ", resource: 'post*'"))
	b.WriteString(pick("actor", "", ", actor: agent") + " }\n")
	if when := pick("when", "", "data.rows <= 10", "data.rows > 10", `"pii" in data.groups`, `data.rows < 5 || actor.trust == "high"`); when != "" {
		b.WriteString("    when: '" + when + "'\n")
	}
	b.WriteString("    then: " + then + "\n")
	switch then {
	case "review":
		b.WriteString("    approval: { from: [group:x], count: " + pick("count", "1", "2") + " }\n    show: [" + pick("show", "rows", "ticket") + "]\n")
	case "mask":
		b.WriteString("    mask: { email: " + pick("method", maskNames()...) + " }\n")
	case "deny":
		if pick("unless", "", "x") != "" {
			b.WriteString("    unless: { break_glass: true, approval: { from: [group:y] } }\n")
		}
	}
	return b.String()
}

func drawInput(t *rapid.T) *Input {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	count := func(label string) action.Count {
		return rapid.SampledFrom([]action.Count{{}, action.KnownCount(1), action.KnownCount(7), action.KnownCount(11)}).Draw(t, label)
	}
	in := &Input{ActorType: pick("actor", "", "agent", "human"), ActorTrust: pick("trust", "", "high", "low"), Action: &action.Action{}}
	in.Action.Kinds = rapid.SliceOfNDistinct(rapid.SampledFrom([]action.Kind{action.DataRead, action.DataExport, action.DataWrite, action.Unknown, "nonsense"}), 0, 3, rapid.ID[action.Kind]).Draw(t, "kinds")
	in.Action.Resource = action.Resource{Env: pick("inEnv", "", "prod", "dev", "stage"), URN: pick("urn", "", "postgres:a/x", "postgres:a/y", "postgres:b/x", "mysql:a/x")}
	in.Action.Data.Rows = count("rows")
	in.Action.Data.ClassesKnown = rapid.Bool().Draw(t, "classesKnown")
	if rapid.Bool().Draw(t, "pii") {
		in.Action.Data.Groups = []string{"pii"}
	}
	in.Action.Claims.BreakGlass = rapid.Bool().Draw(t, "breakGlass")
	in.Harmless = pick("harmless", "", "transaction control")
	return in
}

func drawPack(rules []string, name string) []byte {
	return []byte(strings.Replace(header, "name: p", "name: "+name, 1) + "rules:\n" + strings.Join(rules, ""))
}

func TestOrderNeverMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := make([]string, rapid.IntRange(1, 8).Draw(t, "n"))
		for i := range rules {
			rules[i] = drawRule(t, i)
		}
		one, err := LoadFiles(map[string][]byte{"a.yaml": drawPack(rules, "p")}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		other, err := LoadFiles(map[string][]byte{"b.yaml": drawPack(rapid.Permutation(rules).Draw(t, "order"), "p")}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			in := drawInput(t)
			if diff := cmp.Diff(one.Explain(in), other.Explain(in), same...); diff != "" {
				t.Fatalf("order changes the decision: %s", diff)
			}
		}
	})
}

// model decides as docs/policy.md says, without an index and rule by rule.
func model(s *Set, in *Input) (Verdict, map[string]string) {
	open := map[action.Kind]bool{}
	for _, k := range in.Action.Kinds {
		open[k] = true
	}
	var denied, held bool
	masks := map[string]string{}
	for _, r := range s.rules {
		touched := false
		for _, k := range in.Action.Kinds {
			touched = touched || r.kinds&kindBit(k) != 0
		}
		if !touched || !r.matches(in) {
			continue
		}
		lifts := r.then == thenAllow || r.then == thenReview
		switch {
		case r.then == thenDeny && r.unless != nil && in.Action.Claims.BreakGlass:
			lifts, held = true, true
		case r.then == thenDeny:
			denied = true
		case r.then == thenReview:
			held = true
		case r.then == thenMask:
			for class, m := range r.masks {
				masks[class] = stricter(masks[class], m)
			}
		}
		for _, k := range in.Action.Kinds {
			if lifts && r.kinds&kindBit(k) != 0 {
				delete(open, k)
			}
		}
	}
	switch {
	case len(in.Action.Kinds) == 0 && in.Harmless != "":
		return Allow, masks
	case denied || len(open) > 0 || len(in.Action.Kinds) == 0:
		return Deny, masks
	case held:
		return Review, masks
	}
	return Allow, masks
}

func TestDecideIsItsModelAndPacksOnlyTighten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := make([]string, rapid.IntRange(1, 12).Draw(t, "n"))
		for i := range rules {
			rules[i] = drawRule(t, i)
		}
		files := map[string][]byte{"a.yaml": drawPack(rules, "p")}
		s, err := LoadFiles(files, Options{})
		if err != nil {
			t.Fatal(err)
		}
		extra := rapid.SampledFrom([]string{
			"  - { id: x, match: { kind: data.export }, then: deny }\n",
			"  - { id: x, match: { env: prod }, then: mask, mask: { email: redact } }\n",
			"  - { id: x, match: { actor: agent }, then: deny, when: data.rows > 10 }\n",
		}).Draw(t, "extra")
		files["b.yaml"] = drawPack([]string{extra}, "q")
		tighter, err := LoadFiles(files, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			in := drawInput(t)
			var d, e Decision
			s.Decide(in, &d)
			verdict, masks := model(s, in)
			if d.Verdict != verdict || cmp.Diff(masks, d.Masks, cmpopts.EquateEmpty()) != "" {
				t.Fatalf("%v with %v, the model says %v with %v", d.Verdict, d.Masks, verdict, masks)
			}
			if len(d.Rules) == 0 || d.Rules[0].Then != d.Verdict.String() {
				t.Fatalf("%v for the reason %+v", d.Verdict, d.Rules)
			}
			if (d.Verdict == Review) != (len(d.Requirements) > 0) {
				t.Fatalf("%v with requirements %+v", d.Verdict, d.Requirements)
			}
			if tighter.Decide(in, &e); e.Verdict > d.Verdict {
				t.Fatalf("a restricting pack made %v of %v", e.Verdict, d.Verdict)
			}
		}
	})
}

// What the default pack says to the kinds that classification finds.
func TestDefaultPackLevels(t *testing.T) {
	s, err := Default(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range action.Kinds() {
		want := Review
		switch k {
		case action.DataRead:
			want = Allow
		case action.AuditChange:
			want = Deny
		}
		for _, actor := range actorTypes() {
			var d Decision
			in := &Input{Action: &action.Action{Kinds: []action.Kind{k}}, ActorType: actor}
			if s.Decide(in, &d); d.Verdict != want {
				t.Errorf("%s by %s: %v, want %v", k, actor, d.Verdict, want)
			}
			in.Action.Kinds = []action.Kind{action.DataRead, k}
			if s.Decide(in, &d); d.Verdict != want {
				t.Errorf("data.read and %s by %s: %v, want %v", k, actor, d.Verdict, want)
			}
		}
	}
}
