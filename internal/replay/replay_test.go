package replay

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/policy"
)

func load(t *testing.T, name string) *policy.Set {
	t.Helper()
	s, err := policy.LoadPaths([]string{policy.BuiltinScheme + name}, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, dir string) *facts.Dir {
	t.Helper()
	d, err := facts.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func run(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is read back decides as what was live: under the same packs nothing changes, and
// under others the matrix is that of deciding the history as it is made.
func TestReplayIsDecide(t *testing.T) {
	const n = 20_000
	end := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	same, other := load(t, "default"), load(t, "databases")
	dir := t.TempDir()
	if err := Generate(dir, n, 7, end, same, nil); err != nil {
		t.Fatal(err)
	}
	if r := run(t, Options{Facts: open(t, dir), Policy: same, Workers: 2}); r.Changed != 0 || r.Actions != n {
		t.Errorf("under the same packs %d of %d change: %+v", r.Changed, r.Actions, r.Shapes[:min(3, len(r.Shapes))])
	}
	var want [3][3]int64
	var before, after policy.Decision
	asked := int64(0)
	h := newHistory(7)
	for i := range n {
		in := h.next(end.Add(-30*24*time.Hour + time.Duration(float64(i)/n*30*24*float64(time.Hour))))
		same.Decide(in, &before)
		other.Decide(in, &after)
		want[before.Verdict][after.Verdict]++
		if before.Verdict == policy.Review {
			asked++
			h.IntN(15)
			h.IntN(600)
		}
	}
	r := run(t, Options{Facts: open(t, dir), Policy: other, Workers: 2})
	if r.Matrix != want {
		t.Errorf("matrix %v, want %v", r.Matrix, want)
	}
	if r.Groups[0].Group != "group:reviewers" || r.Groups[0].Before != asked {
		t.Errorf("%d approvals were asked for: %+v", asked, r.Groups)
	}
	late := run(t, Options{Facts: open(t, dir), Policy: other, Span: facts.Span{From: end.Add(-24 * time.Hour)}})
	if each := fmt.Sprintf("%d are kept, %.1f bytes each", n, float64(r.Bytes)/n); late.Actions >= n/20 || !strings.Contains(late.Human(), each) || !strings.Contains(late.Human(), " since 2026-10-31 00:00 UTC") || strings.Contains(r.Human(), "since") {
		t.Errorf("of one day, want %q: %s", each, late.Human())
	}
	if again := t.TempDir(); Generate(again, n, 7, end, same, nil) != nil || open(t, again).Bytes != open(t, dir).Bytes {
		t.Error("the same seed made another history")
	}
	if err := Generate(dir, 1, 7, end, same, nil); err == nil {
		t.Error("a history was added to another")
	}
}

// Random inputs, facts of which are unknown as often as not, decide alike once read back.
func TestRandomInputsDecideAlike(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	count := func() action.Count {
		return action.Count{N: int64(rnd.IntN(3)) * 60, Known: rnd.IntN(2) == 0}
	}
	some := func() (c action.Count) {
		if c = count(); !c.Known {
			c.N = 0
		}
		return c
	}
	var sets []*policy.Set
	for _, name := range policy.StarterNames() {
		sets = append(sets, load(t, name))
	}
	for round, set := range sets {
		dir := t.TempDir()
		w, err := facts.Open(facts.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		var d policy.Decision
		for range 400 {
			in := policy.Input{
				Action: &action.Action{
					Kinds: []action.Kind{action.Kinds()[rnd.IntN(24)], action.Kinds()[rnd.IntN(24)]}[:rnd.IntN(3)], Verb: pick("", "select", "drop table", "get"), Target: pick("", "public.t", "main"),
					Shape: pick("", "a", "b"), Reversible: rnd.IntN(2) == 0, Routine: rnd.IntN(2) == 0,
					Resource: action.Resource{URN: pick("", "postgres:a/x", "s3:b"), Type: pick("", "postgres", "s3"), Env: pick("", "prod", "dev")},
					Data: action.Data{
						Rows: some(), Bytes: some(), ClassesKnown: rnd.IntN(2) == 0, Classes: []string{"card", "email"}[:rnd.IntN(3)], Groups: []string{"pci", "pii"}[:rnd.IntN(3)], Unscanned: rnd.IntN(4) == 0,
						Inferred: rnd.IntN(2) == 0, InferredOf: []string{"email"}[:rnd.IntN(2)], Aggregated: rnd.IntN(2) == 0, AggregatedOf: []string{"card"}[:rnd.IntN(2)], Computed: rnd.IntN(2) == 0, ComputedOf: []string{"*"}[:rnd.IntN(2)],
						Destination: pick("", "client", "https://x.example/y"), DestinationTrust: pick("", "internal", "external"),
					},
					Claims: action.Claims{Ticket: pick("", "OPS-1"), BreakGlass: rnd.IntN(3) == 0},
				},
				Harmless: pick("", "", "transaction control"), SubjectID: pick("", "person:x"), ActorID: "agent:a", ActorType: pick("", "agent", "human"), ActorTrust: pick("", "low", "high"),
				Rate1h: some(), Rate24h: some(), NovelShape: policy.Tri(rnd.IntN(3)), NovelTarget: policy.Tri(rnd.IntN(3)), Tainted: policy.Tri(rnd.IntN(3)), SawSensitive: policy.Tri(rnd.IntN(3)), SawUntrusted: policy.Tri(rnd.IntN(3)), IntentTarget: policy.Tri(rnd.IntN(3)),
				Preview: policy.Preview{Rows: some(), Objects: some(), Creates: some(), Changes: some(), Destroys: some(), SmallestGroup: some()}, Risk: some(),
			}
			if rnd.IntN(3) > 0 {
				in.Time = time.UnixMilli(1.79e12 + rnd.Int64N(1e10))
			}
			if rnd.IntN(2) == 0 {
				in.Read = &reads{int64(rnd.IntN(20000)), int64(rnd.IntN(200))}
			}
			set.Decide(&in, &d)
			w.Note(&in, &d, facts.Facts{})
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if r := run(t, Options{Facts: open(t, dir), Policy: set}); r.Changed != 0 || r.Actions != 400 {
			t.Errorf("%s: %d of %d change: %+v", policy.StarterNames()[round], r.Changed, r.Actions, r.Shapes)
		}
	}
}

func TestWhatIsLoosenedIsNamed(t *testing.T) {
	dir := t.TempDir()
	w, err := facts.Open(facts.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	note := func(shape string, v policy.Verdict, f facts.Facts) {
		a := &action.Action{Kinds: []action.Kind{action.DataRead}, Shape: shape, Verb: "<b>", Resource: action.Resource{URN: "postgres:a/x", Env: "dev"}}
		w.Note(&policy.Input{Action: a, ActorType: "agent", Time: time.UnixMilli(1.79e12)}, &policy.Decision{Verdict: v, Requirements: []policy.Requirement{{From: []string{"group:old"}}}}, f)
	}
	note("s1", policy.Deny, facts.Facts{})
	note("s1", policy.Deny, facts.Facts{Frozen: true})
	note("s2", policy.Deny, facts.Facts{Outside: []facts.Outside{{Verdict: policy.Deny}}})
	note("s3", policy.Review, facts.Facts{Outside: []facts.Outside{{Verdict: policy.Review, From: []string{"group:new"}}}})
	note("s3", policy.Review, facts.Facts{Joined: true})
	note("s3", policy.Review, facts.Facts{Outcome: facts.Standing})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	set := load(t, "default") // reads flow
	r := run(t, Options{Facts: open(t, dir), Policy: set})
	if want := [3][3]int64{{1, 0, 1}, {}, {}}; r.Matrix[0] != want[0] || r.Matrix[1] != [3]int64{0, 1, 2} || r.Frozen != 1 {
		t.Fatalf("matrix %v, %d frozen", r.Matrix, r.Frozen)
	}
	if len(r.Opened) != 1 || r.Opened[0].Shape != "s1" || r.Opened[0].Actions != 1 || r.Unacknowledged() != 1 {
		t.Fatalf("opened: %+v", r.Opened)
	}
	loads := map[string][2]int64{}
	for _, g := range r.Groups {
		loads[g.Group] = [2]int64{g.Before, g.After}
	}
	if len(loads) != 2 || loads["group:old"] != [2]int64{1, 0} || loads["group:new"] != [2]int64{0, 1} {
		t.Errorf("approvals: %v", loads)
	}
	for _, text := range []string{r.Human(), r.HTML()} {
		if !strings.Contains(text, r.Opened[0].ID) || !strings.Contains(text, "freeze") {
			t.Errorf("it names neither %s nor the freeze:\n%s", r.Opened[0].ID, text)
		}
	}
	if page := r.HTML(); strings.Contains(page, "<b>") || strings.Contains(page, "<script") || strings.Contains(page, "http://") || strings.Contains(page, "https://") {
		t.Error("the page holds markup of an action, a script, or an address elsewhere")
	}
	if r = run(t, Options{Facts: open(t, dir), Policy: set, Acked: map[string]bool{r.Opened[0].ID: true}}); r.Unacknowledged() != 0 {
		t.Error("what was acknowledged is not")
	}
	// With Held, what people were asked about and would flow is loosened too.
	r = run(t, Options{Facts: open(t, dir), Policy: set, Held: true})
	if r.Unacknowledged() != 2 || !strings.Contains(r.Human(), "From deny or review to allow") || !strings.Contains(r.HTML(), "From deny or review to allow") {
		t.Errorf("held: %+v\n%s", r.Opened, r.Human())
	}
	if r = run(t, Options{Facts: open(t, dir), Policy: set, Held: true, Acked: map[string]bool{r.Opened[0].ID: true, r.Opened[1].ID: true}}); r.Unacknowledged() != 0 {
		t.Error("what was held and acknowledged is not")
	}
}
