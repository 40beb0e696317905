package policy

import (
	"slices"
	"time"

	"github.com/assenthq/assent/action"
)

// input draws what a decision is made from: every fact known or, now and then, unknown.
func (d *drawer) input() *Input {
	lost := d.IntN(6) // 0: nothing is unknown, else one fact of so many
	gone := func() bool { return lost > 0 && d.IntN(1+lost) == 0 }
	text := func(from ...string) string {
		if gone() {
			return ""
		}
		if len(from) == 0 {
			from = words()[1:]
		}
		if d.IntN(200) == 0 {
			return "\xff\xfe"
		}
		return d.pick(from...)
	}
	count := func() action.Count {
		if gone() {
			return action.Count{}
		}
		n := d.integer().number.Int64()
		return action.KnownCount(n)
	}
	truth := func() Tri {
		if gone() {
			return DontKnow
		}
		return []Tri{No, Yes}[d.IntN(2)]
	}
	some := func(most int, from ...string) []string {
		var out []string
		for range d.IntN(most + 1) {
			if w := d.pick(from...); !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
		slices.Sort(out)
		return out
	}
	flag := func() bool { return d.IntN(2) == 0 }
	classes := []string{"email", "card", "us-ssn", "iban"}
	counts := func(keys ...string) map[string]int64 {
		out := map[string]int64{}
		for _, k := range keys {
			if flag() {
				out[k] = d.Int64N(12)
			}
		}
		return out
	}
	a := &action.Action{
		Verb: text("select", "drop", "drop table", "copy"), Target: text(), Shape: text("ab", "abc"), Reversible: flag(), Routine: flag(),
		Resource: action.Resource{
			URN: text("postgres:billing/prod/customers", "postgres:a/x", "mysql:a/x", "postgres:"), Type: text("postgres", "s3"),
			Env: text("prod", "dev", "stage"), Labels: map[string]string{},
		},
		Data: action.Data{
			Rows: count(), Bytes: count(), ClassesKnown: !gone(), Classes: some(3, classes...), Groups: some(2, groupNames()...),
			Unscanned: gone(), Inferred: flag(), Computed: flag(), Aggregated: flag(),
			Destination: text("client", "https://x.example/y"), DestinationTrust: text("internal", "external"),
		},
	}
	for range d.IntN(4) {
		a.Kinds = append(a.Kinds, action.Kinds()[d.IntN(6)])
	}
	if d.IntN(20) == 0 {
		a.Kinds = append(a.Kinds, "nonsense")
	}
	for _, key := range []string{"tier", "team", "ab"} {
		if flag() {
			a.Resource.Labels[key] = d.pick("gold", "a", "")
		}
	}
	if !gone() {
		a.Data.Findings = counts(classes...)
	}
	if d.IntN(4) == 0 {
		a.Data.InferredOf, a.Data.ComputedOf, a.Data.AggregatedOf = some(2, classes...), some(2, classes...), some(2, "card", "*")
	}
	if !gone() {
		for _, id := range some(2, "agent:a", "sam", "a") {
			a.Actors = append(a.Actors, action.Link{ID: id, Type: "agent"})
		}
	}
	a.Claims = action.Claims{Reason: d.pick(words()...), Ticket: d.pick("", "T-1"), Session: d.pick("", "a"), BreakGlass: flag()}
	in := &Input{
		Action: a, SubjectID: text("sam", "a"), SubjectGroups: some(2, "group:x", "group:y"),
		ActorID: text("agent:a", "ab"), ActorType: text(actorTypes()...), ActorOwner: text("sam", "a"), ActorModel: text("a", "ab"), ActorTrust: text("gold", "a"),
		Rate1h: count(), Rate24h: count(), NovelShape: truth(), NovelTarget: truth(),
		Tainted: truth(), SawSensitive: truth(), SawUntrusted: truth(), IntentTarget: truth(),
		Preview: Preview{Rows: count(), Objects: count(), Creates: count(), Changes: count(), Destroys: count(), SmallestGroup: count()}, Risk: count(),
	}
	if d.IntN(10) == 0 {
		in.Harmless = "transaction control"
	}
	if !gone() {
		in.Time = time.Date(2026, 11, 20+d.IntN(8), d.IntN(24), d.IntN(60), 0, d.IntN(2), time.UTC)
		if d.IntN(5) == 0 {
			in.Time = time.Date(2026, 11, 24, 12, 0, 0, 0, time.FixedZone("x", 3600*d.IntN(3)))
		}
	}
	if !gone() {
		in.Read = givenReads(counts("all", "email", "card"))
	}
	return in
}

// resets are ways to make an input smaller.
func resets() []func(*Input) {
	return []func(*Input){
		func(in *Input) { in.Action.Claims = action.Claims{} }, func(in *Input) { in.Action.Data = action.Data{} },
		func(in *Input) { in.Action.Data.Classes, in.Action.Data.Groups = nil, nil }, func(in *Input) { in.Action.Data.Findings = nil },
		func(in *Input) { in.Action.Data.Rows = action.Count{} }, func(in *Input) { in.Action.Data.Bytes = action.Count{} },
		func(in *Input) {
			in.Action.Data.InferredOf, in.Action.Data.ComputedOf, in.Action.Data.AggregatedOf = nil, nil, nil
		},
		func(in *Input) { in.Action.Resource = action.Resource{} }, func(in *Input) { in.Action.Resource.Labels = nil },
		func(in *Input) { in.Action.Actors = nil }, func(in *Input) { in.Action.Verb, in.Action.Target, in.Action.Shape = "", "", "" },
		func(in *Input) { in.Action.Kinds = nil }, func(in *Input) { in.Action.Kinds = in.Action.Kinds[:min(1, len(in.Action.Kinds))] },
		func(in *Input) { in.SubjectID, in.SubjectGroups = "", nil }, func(in *Input) { in.Preview, in.Risk = Preview{}, action.Count{} },
		func(in *Input) {
			in.ActorID, in.ActorType, in.ActorOwner, in.ActorModel, in.ActorTrust = "", "", "", "", ""
		},
		func(in *Input) { in.Rate1h, in.Rate24h = action.Count{}, action.Count{} }, func(in *Input) { in.Time = time.Time{} }, func(in *Input) { in.Read = nil },
		func(in *Input) {
			in.Tainted, in.SawSensitive, in.SawUntrusted, in.IntentTarget = DontKnow, DontKnow, DontKnow, DontKnow
		},
	}
}

// clone is a copy whose parts can be reset.
func (in *Input) clone() *Input {
	c, a := *in, *in.Action
	c.Action = &a
	return &c
}
