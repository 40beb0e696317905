package policy

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assenthq/assent/action"
)

func TestEveryKindHasPoints(t *testing.T) {
	for i, k := range action.Kinds() {
		if i >= len(kindSteps) || kindSteps[i].why != string(k) {
			t.Fatalf("%s does not stand at %d", k, i)
		}
		if p := kindPoints(k); p < 20 || p > MaxRisk {
			t.Errorf("%s has %d points", k, p)
		}
	}
	if kindPoints("made.up") != kindPoints(action.Unknown) {
		t.Error("a kind that is not on the list is no unknown one")
	}
}

// An ordered fact has values from the harmless to the gravest.
type ordered struct {
	name string
	set  []func(*Input)
}

func count(at func(*Input) *action.Count, values ...int64) (out []func(*Input)) {
	for _, n := range values {
		out = append(out, func(in *Input) { *at(in) = action.KnownCount(n) })
	}
	return out
}

func tris(at func(*Input) *Tri) (out []func(*Input)) {
	for _, v := range []Tri{No, DontKnow, Yes} {
		out = append(out, func(in *Input) { *at(in) = v })
	}
	return out
}

func flags(at func(*Input) *bool, values ...bool) (out []func(*Input)) {
	for _, v := range values {
		out = append(out, func(in *Input) { *at(in) = v })
	}
	return out
}

func texts(at func(*Input) *string, values ...string) (out []func(*Input)) {
	for _, v := range values {
		out = append(out, func(in *Input) { *at(in) = v })
	}
	return out
}

func severities() []ordered {
	rows := func(in *Input) *action.Count { return &in.Action.Data.Rows }
	unknown := func(in *Input) { in.Action.Data.Rows = action.Count{} }
	return []ordered{
		{"rows", slices.Concat(count(rows, 0, 5, 999), []func(*Input){unknown}, count(rows, 1_000, 9_999, 10_000, 999_999, 1_000_000, 1<<60))},
		{"destroys", count(func(in *Input) *action.Count { return &in.Preview.Destroys }, 0, 1, 9, 10, 5_000)},
		{"env", texts(func(in *Input) *string { return &in.Action.Resource.Env }, "dev", "", "prod")},
		{"reversible", flags(func(in *Input) *bool { return &in.Action.Reversible }, true, false)},
		{"unscanned", flags(func(in *Input) *bool { return &in.Action.Data.Unscanned }, false, true)},
		{"classes known", flags(func(in *Input) *bool { return &in.Action.Data.ClassesKnown }, true, false)},
		{"inferred", flags(func(in *Input) *bool { return &in.Action.Data.Inferred }, false, true)},
		{"break-glass", flags(func(in *Input) *bool { return &in.Action.Claims.BreakGlass }, false, true)},
		{"trust", texts(func(in *Input) *string { return &in.Action.Data.DestinationTrust }, "internal", "", "external")},
		{"sensitive", tris(func(in *Input) *Tri { return &in.SawSensitive })},
		{"untrusted", tris(func(in *Input) *Tri { return &in.SawUntrusted })},
		{"shape", tris(func(in *Input) *Tri { return &in.NovelShape })},
		{"target", tris(func(in *Input) *Tri { return &in.NovelTarget })},
		{"groups", []func(*Input){func(in *Input) { in.Action.Data.Groups = nil }, func(in *Input) { in.Action.Data.Groups = []string{"pii"} }, func(in *Input) { in.Action.Data.Groups = []string{"pii", "secret"} }}},
		{"values", []func(*Input){func(in *Input) { in.Action.Data.Findings = nil }, func(in *Input) { in.Action.Data.Findings = map[string]int64{"email": 1} }, func(in *Input) { in.Action.Data.Findings = map[string]int64{"email": 60, "card": 40} }}},
	}
}

// Learning that a fact is graver than was thought never takes points away, whatever the others are.
func TestGraverFactsNeverScoreLess(t *testing.T) {
	facts := severities()
	rapid.Check(t, func(rt *rapid.T) {
		in := &Input{Action: &action.Action{}}
		in.Action.Data.Destination = rapid.SampledFrom([]string{"", "client", "https://elsewhere.test/"}).Draw(rt, "destination")
		for range rapid.IntRange(1, 3).Draw(rt, "kinds") {
			in.Action.Kinds = append(in.Action.Kinds, rapid.SampledFrom(action.Kinds()).Draw(rt, "kind"))
		}
		for _, f := range facts {
			f.set[rapid.IntRange(0, len(f.set)-1).Draw(rt, f.name)](in)
		}
		before := *in.Action
		score := RiskScore(in)
		one := facts[rapid.IntRange(0, len(facts)-1).Draw(rt, "fact")]
		last := -1
		for i, set := range one.set {
			own := before
			next := *in
			next.Action = &own
			set(&next)
			got := RiskScore(&next)
			if got < last {
				rt.Fatalf("%s: step %d has %d points, the one before %d", one.name, i, got, last)
			}
			if whole := RiskOf(&next); whole.Score != got {
				rt.Fatalf("the terms say %d, the score %d", whole.Score, got)
			}
			last = got
		}
		more := before
		more.Kinds = append(slices.Clone(before.Kinds), rapid.SampledFrom(action.Kinds()).Draw(rt, "one more"))
		in.Action = &more
		if got := RiskScore(in); got < score {
			rt.Fatalf("with %v it is %d, without the last %d", more.Kinds, got, score)
		}
	})
}

func TestAScoreNamesItsTerms(t *testing.T) {
	in := knownInput()
	in.Action.Data.DestinationTrust, in.Action.Data.Rows, in.Tainted, in.SawUntrusted = "external", action.Count{}, DontKnow, Yes
	want := "data.export 60 + production 10 + pii data 10 + classed values in the request 2 + rows not known 4 + destroys objects 4 + leaves for outside 12 + its actor has read what others wrote 6 + new to its actor 4 + on what is new to its actor 4, 99 at most"
	in.Preview.Rows = action.Count{}
	if r := RiskOf(in); r.Why() != want || r.Score != MaxRisk {
		t.Errorf("%d: %s\nwant %s", r.Score, r.Why(), want)
	}
	plain := RiskOf(&Input{
		Action:     &action.Action{Kinds: []action.Kind{action.DataRead}, Resource: action.Resource{Env: "dev"}, Data: action.Data{ClassesKnown: true, Rows: action.KnownCount(1)}},
		NovelShape: No, NovelTarget: No, SawSensitive: No, SawUntrusted: No,
	})
	if plain.Why() != "data.read 20" || plain.Score != 20 {
		t.Errorf("a small read: %d, %s", plain.Score, plain.Why())
	}
	if d := plain.Denied(); d.Score != 26 || len(plain.Terms) != 1 || !strings.HasSuffix(d.Why(), "denied before 6") {
		t.Errorf("denied before: %+v of %+v", d, plain)
	}
}

func TestAScoreAllocatesNothing(t *testing.T) {
	in := knownInput()
	if n := testing.AllocsPerRun(100, func() { RiskScore(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A rule that reads the score, or what is new, can only tighten.
func TestAScoreOnlyTightens(t *testing.T) {
	for name, tt := range map[string]struct{ rule, says string }{
		"permits":          {`when: risk.score < 60, then: allow`, "it can't permit anything"},
		"permits by none":  {`when: '!context.novel_shape', then: allow`, "it can't permit anything"},
		"permits anyhow":   {`when: 'data.rows < 5 || risk.score >= 60', then: allow`, "it can't permit anything"},
		"low is reviewed":  {`when: risk.score < 60, then: review, ` + reviewers, "write risk.score >= 60"},
		"at most":          {`when: risk.score <= 60, then: deny`, "write risk.score >= 60"},
		"equal":            {`when: risk.score == 60, then: deny`, "write risk.score >= 60"},
		"negated":          {`when: '!(risk.score >= 60)', then: deny`, "write risk.score >= 60"},
		"negated deeper":   {`when: '!(data.rows > 5 && risk.score >= 60)', then: deny`, "write risk.score >= 60"},
		"calculated":       {`when: 100 - risk.score > 40, then: deny`, "write risk.score >= 60"},
		"compared to rows": {`when: risk.score > data.rows, then: deny`, "write risk.score >= 60"},
		"choosing":         {`when: 'risk.score > 60 ? data.rows > 5 : data.rows > 1', then: deny`, "write risk.score >= 60"},
		"in a loop":        {`when: 'data.classes.exists(c, risk.score > 60)', then: deny`, "write risk.score >= 60"},
		"not new":          {`when: context.novel_target == false, then: deny`, "without ! before it"},
	} {
		_, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + "rules:\n  - { id: a, " + tt.rule + " }\n")}, Options{})
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
	for _, when := range []string{`risk.score >= 60`, `60 <= risk.score`, `data.rows > 5 && risk.score > 60`, `!(!(risk.score >= 60))`, `context.novel_shape || context.novel_target`} {
		load(t, "  - { id: a, when: '"+when+"', then: deny }\n")
	}
}

// Where nothing permits, a higher score doesn't turn the default's deny into a question.
func TestAHighScoreLiftsNoDeny(t *testing.T) {
	for name, rule := range map[string]string{
		"review":      "then: review, " + reviewers,
		"break-glass": "then: deny, unless: { break_glass: true, " + reviewers + " }",
	} {
		s := load(t, "  - { id: a, match: { kind: data.export }, when: risk.score >= 60, "+rule+" }\n")
		in := knownInput()
		in.Action.Claims.BreakGlass = true
		for _, score := range []int64{10, 90} {
			in.Risk = action.KnownCount(score)
			var d Decision
			if s.Decide(in, &d); d.Verdict != Deny {
				t.Errorf("%s: at %d it is %s", name, score, d.Verdict)
			}
		}
		permitted := load(t, "  - { id: a, match: { kind: data.export }, when: risk.score >= 60, "+rule+" }\n  - { id: b, match: { kind: data.export }, then: allow }\n")
		var d Decision
		if permitted.Decide(in, &d); d.Verdict != Review {
			t.Errorf("%s: where another rule permits, it is %s", name, d.Verdict)
		}
	}
}
