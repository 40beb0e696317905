// Package replay decides recorded actions again under another policy and says what
// would have been different.
//
// It promises that each kept action is decided by the same code as a live one, from
// what was kept: rates, novelty, time and what decision points of others said as they
// were. It can't know what agents would have done after another answer, nor decide
// from what was not kept: Result says how much that is.
package replay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/policy"
)

// Options say what is replayed.
type Options struct {
	Facts    *facts.Dir
	Policy   *policy.Set
	Span     facts.Span
	Workers  int                     // 0: one for each core
	Progress func(done, total int64) // may be nil; called from several goroutines
	Acked    map[string]bool         // ids of changes that were acknowledged
	Held     bool                    // what people were asked about and would flow counts as loosened too
}

// A Change is one shape whose verdict is another.
type Change struct {
	ID       string   `json:"id"` // of shape and place, whatever the verdicts
	Kinds    []string `json:"kinds"`
	Resource string   `json:"resource"`
	Verb     string   `json:"verb"`
	Shape    string   `json:"shape"`
	Before   string   `json:"before"`
	After    string   `json:"after"`
	Rule     string   `json:"rule"` // that decides now, of one of them
	Actions  int64    `json:"actions"`
	Acked    bool     `json:"acknowledged,omitempty"`
}

// A Load is how many approvals a group is asked for.
type Load struct {
	Group        string  `json:"group"`
	Before       int64   `json:"before"`
	After        int64   `json:"after"`
	BeforePerDay float64 `json:"before_per_day"`
	AfterPerDay  float64 `json:"after_per_day"`
}

// A Day is how many approvals people were asked for, and would be.
type Day struct {
	Date   string `json:"date"`
	Before int64  `json:"before"`
	After  int64  `json:"after"`
}

// A Result is what a replay found.
type Result struct {
	Bundle  string           `json:"bundle"`
	Since   time.Time        `json:"since,omitzero"` // when they were looked for from; zero: no bound
	From    time.Time        `json:"from"`
	To      time.Time        `json:"to"`
	Days    float64          `json:"days"`
	Actions int64            `json:"actions"` // decided again
	Matrix  [3][3]int64      `json:"matrix"`  // before, after: deny, review, allow
	Changed int64            `json:"changed"`
	Groups  []Load           `json:"groups"`
	PerDay  []Day            `json:"per_day"`
	Shapes  []Change         `json:"shapes"`   // that changed, most actions first
	Opened  []Change         `json:"loosened"` // deny → allow, and review → allow where Options.Held
	Held    bool             `json:"held_too,omitempty"`
	Frozen  int64            `json:"frozen"`   // denied by a freeze: not in the matrix
	Dropped int64            `json:"not_kept"` // actions that no facts were kept of
	Torn    []string         `json:"torn,omitempty"`
	Inexact map[string]int64 `json:"inexact,omitempty"` // actions with a fact that is not kept as it was
	Took    time.Duration    `json:"took_ns"`
	Kept    int64            `json:"kept"`  // actions in all files, also those before Since
	Bytes   int64            `json:"bytes"` // of all files
	PerSec  float64          `json:"actions_per_second"`
}

// Unacknowledged is how many shapes are loosened without having been acknowledged.
func (r *Result) Unacknowledged() (n int) {
	for i := range r.Opened {
		if !r.Opened[i].Acked {
			n++
		}
	}
	return n
}

// tally is what one worker counts.
type tally struct {
	matrix   [3][3]int64
	groups   map[string]*[2]int64
	days     map[int64]*[2]int64
	changes  map[changeKey]*Change
	block    []seenChange // changes of the block at hand, by What
	inexact  [8]int64
	frozen   int64
	first    int64
	last     int64
	decision policy.Decision
	asked    []string
	day      int64 // and its counts
	today    *[2]int64
}

type changeKey struct {
	id            string
	before, after policy.Verdict
}

// seenChange saves finding the change of an action that is like the last.
type seenChange struct {
	what          int
	before, after policy.Verdict
	change        *Change
}

// Run decides everything again.
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	tallies := make([]tally, o.Workers)
	for i := range tallies {
		tallies[i] = tally{groups: map[string]*[2]int64{}, days: map[int64]*[2]int64{}, changes: map[changeKey]*Change{}}
	}
	var done atomic.Int64
	start := time.Now()
	err := o.Facts.Each(ctx, o.Span, o.Workers, func(worker, _, rows int) {
		tallies[worker].block = tallies[worker].block[:0]
		if n := done.Add(int64(rows)); o.Progress != nil {
			o.Progress(n, o.Facts.Rows)
		}
	}, func(worker int, r *facts.Record) error {
		tallies[worker].decide(o.Policy, r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := &Result{Held: o.Held, Since: o.Span.From, Kept: o.Facts.Rows, Bundle: o.Policy.Bundle(), Took: time.Since(start), Dropped: o.Facts.Dropped, Torn: o.Facts.Torn, Bytes: o.Facts.Bytes, Inexact: map[string]int64{}}
	out.sum(tallies, &o)
	return out, nil
}

func (t *tally) decide(set *policy.Set, r *facts.Record) {
	for bits, i := r.Inexact, 0; bits != 0; bits, i = bits>>1, i+1 {
		if bits&1 != 0 {
			t.inexact[i]++
		}
	}
	if at := r.Input.Time; !at.IsZero() {
		ms := at.UnixMilli()
		if t.first == 0 || ms < t.first {
			t.first = ms
		}
		t.last = max(t.last, ms)
		if day := at.Unix() / 86400; t.today == nil || day != t.day {
			if t.days[day] == nil {
				t.days[day] = new([2]int64)
			}
			t.day, t.today = day, t.days[day]
		}
	}
	if r.Frozen {
		t.frozen++
		return
	}
	d := &t.decision
	set.Decide(&r.Input, d)
	before, after := r.Verdict, min(d.Verdict, r.Outside)
	t.matrix[before][after]++
	if r.Prompted() {
		t.prompt(r.Asked, 0)
	}
	if after == policy.Review && !r.Joined && r.Outcome < facts.Refused {
		t.asked = t.asked[:0]
		if d.Verdict == policy.Review {
			t.asked = facts.Groups(d.Requirements, t.asked)
		}
		if r.Outside == policy.Review {
			t.asked = facts.Groups([]policy.Requirement{{From: r.Others}}, t.asked)
		}
		t.prompt(t.asked, 1)
	}
	if before != after {
		t.change(r, before, after).Actions++
	}
}

func (t *tally) prompt(groups []string, side int) {
	if t.today != nil {
		t.today[side]++
	}
	for _, g := range groups {
		n := t.groups[g]
		if n == nil {
			n = new([2]int64)
			t.groups[g] = n
		}
		n[side]++
	}
}

func (t *tally) change(r *facts.Record, before, after policy.Verdict) *Change {
	for i := len(t.block) - 1; i >= max(0, len(t.block)-6); i-- {
		if s := &t.block[i]; s.what == r.What && s.before == before && s.after == after {
			return s.change
		}
	}
	c := changeOf(r, before, after)
	key := changeKey{c.ID, before, after}
	if known := t.changes[key]; known != nil {
		c = known
	} else {
		c.Rule = deciding(&t.decision, after)
		t.changes[key] = c
	}
	t.block = append(t.block, seenChange{r.What, before, after, c})
	return c
}

// deciding names the rule that a verdict comes from.
func deciding(d *policy.Decision, v policy.Verdict) string {
	if d.Verdict != v {
		return "a decision point"
	}
	for i := range d.Rules {
		if d.Rules[i].Then == v.String() {
			if d.Rules[i].Pack == "" {
				return d.Rules[i].Rule
			}
			return d.Rules[i].Pack + "/" + d.Rules[i].Rule
		}
	}
	return ""
}

func changeOf(r *facts.Record, before, after policy.Verdict) *Change {
	a := r.Input.Action
	c := &Change{Resource: a.Resource.URN, Verb: a.Verb, Shape: a.Shape, Before: before.String(), After: after.String()}
	h := sha256.New()
	for _, k := range a.Kinds {
		c.Kinds = append(c.Kinds, string(k))
		h.Write(append([]byte(k), 0))
	}
	for _, s := range []string{a.Resource.URN, a.Resource.Env, a.Verb, a.Shape} {
		h.Write(append([]byte{1}, s...))
	}
	c.ID = hex.EncodeToString(h.Sum(nil)[:8])
	return c
}

// sum makes one result of what the workers counted.
func (r *Result) sum(tallies []tally, o *Options) {
	groups, days, changes := map[string]*Load{}, map[int64]*Day{}, map[changeKey]*Change{}
	first, last := int64(0), int64(0)
	names := [...]string{"resource.urn", "action.target", "data.destination", "context.session", "context.ticket", "context.reason"}
	for i := range tallies {
		t := &tallies[i]
		for b := range t.matrix {
			for a, n := range t.matrix[b] {
				r.Matrix[b][a] += n
				r.Actions += n
				if a != b {
					r.Changed += n
				}
			}
		}
		r.Frozen += t.frozen
		for k, name := range names {
			if t.inexact[k] > 0 {
				r.Inexact[name] += t.inexact[k]
			}
		}
		for g, n := range t.groups {
			if groups[g] == nil {
				groups[g] = &Load{Group: g}
			}
			groups[g].Before, groups[g].After = groups[g].Before+n[0], groups[g].After+n[1]
		}
		for d, n := range t.days {
			if days[d] == nil {
				days[d] = &Day{Date: time.Unix(d*86400, 0).UTC().Format(time.DateOnly)}
			}
			days[d].Before, days[d].After = days[d].Before+n[0], days[d].After+n[1]
		}
		for k, c := range t.changes {
			if known := changes[k]; known != nil {
				known.Actions += c.Actions
			} else {
				changes[k] = c
			}
		}
		if t.first != 0 && (first == 0 || t.first < first) {
			first = t.first
		}
		last = max(last, t.last)
	}
	if first != 0 {
		r.From, r.To = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
	}
	r.Days = max(r.To.Sub(r.From).Hours()/24, 1)
	r.PerSec = float64(r.Actions+r.Frozen) / max(r.Took.Seconds(), 1e-9)
	for _, g := range groups {
		g.BeforePerDay, g.AfterPerDay = float64(g.Before)/r.Days, float64(g.After)/r.Days
		r.Groups = append(r.Groups, *g)
	}
	slices.SortFunc(r.Groups, func(a, b Load) int { return compare(b.Before+b.After, a.Before+a.After, a.Group, b.Group) })
	for _, d := range days {
		r.PerDay = append(r.PerDay, *d)
	}
	slices.SortFunc(r.PerDay, func(a, b Day) int { return compare(0, 0, a.Date, b.Date) })
	for k, c := range changes {
		c.Acked = o.Acked[c.ID]
		r.Shapes = append(r.Shapes, *c)
		if k.after == policy.Allow && (k.before == policy.Deny || o.Held && k.before == policy.Review) {
			r.Opened = append(r.Opened, *c)
		}
	}
	for _, l := range [][]Change{r.Shapes, r.Opened} {
		slices.SortFunc(l, func(a, b Change) int { return compare(b.Actions, a.Actions, a.ID+a.After, b.ID+b.After) })
	}
}

func compare(a, b int64, s, t string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case s < t:
		return -1
	case s > t:
		return 1
	}
	return 0
}
