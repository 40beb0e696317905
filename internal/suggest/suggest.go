// Package suggest reads in the log what people approve again and again, and writes the rule that
// would spare them the asking: as a change of a pack's text, with tests, an owner and a day on
// which it ends, and with what it would have done to the actions in the log.
//
// It promises never to apply anything, and never to suggest what one person's habit alone speaks
// for, what anybody denied, what was answered faster than it can be read, what a tainted actor
// asked, or a kind of action whose every instance is for people. It sees only what the log has:
// shapes and masked text, not what was sent.
package suggest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
)

// Options are how much it takes. Zero values are five approvals by two people on three days, for a rule of 90 days.
type Options struct {
	Approvals int // least approvals of one habit
	People    int // least people who gave them
	Days      int // least days on which they did
	Now       time.Time
	Life      time.Duration // how long a suggested rule permits
}

func (o Options) defaults() Options {
	o.Approvals, o.People, o.Days = cmp.Or(o.Approvals, 5), cmp.Or(o.People, 2), cmp.Or(o.Days, 3)
	o.Life = cmp.Or(o.Life, 90*24*time.Hour)
	return o
}

// Types are the records that History reads.
func Types() []string {
	return []string{audit.TypeRequest, audit.TypeReview, audit.TypeApproval, audit.TypeCanary, audit.TypeOutcome}
}

// A Habit is one actor that asks for one shape on one resource, again and again.
type Habit struct {
	Actor, Resource, Env, Verb, Target, Shape, Title string
	Kinds                                            []string
	Rules                                            []string // that held it, as records name them

	Asked    int // actions that people were asked about
	Approved int // of them, approved by people who took the time to read
	Quick    int // of them, approved within three seconds, or by who seems not to read: they don't count
	Denied   int // by people or policy
	Lapsed   int // expired or withdrawn
	Tainted  int // asked after the actor had seen what it shouldn't carry out
	People   []string
	Days     []string // on which approvals were given, UTC
	First    time.Time
	Last     time.Time
	Rows     action.Count // most rows that a run touched; unknown: some run was not counted
	runs     int
	counted  int
}

// key is what makes two actions one habit.
func key(r *audit.Record) string {
	kinds := slices.Sorted(slices.Values(r.Kinds))
	return strings.Join([]string{r.Actor, r.Resource, r.Env, r.Verb, r.Target, r.Shape, strings.Join(kinds, " ")}, "\x00")
}

// A History is what the log says, record by record.
type History struct {
	Requests []audit.Record // every action that was decided, oldest first
	Since    time.Time      // of the oldest record

	habits map[string]*Habit
	held   map[string]*held     // by approval
	asked  map[int64]string     // approval of a request, by its index
	canary map[string]bool      // approvals that nobody asked for
	stamps map[string]string    // who seems not to read, and why
	last   map[string]time.Time // newest review of each person
}

// held is one approval.
type held struct {
	request audit.Record
	reviews []audit.Record
	state   string
	quick   bool // somebody answered faster than anybody reads
	rows    *int64
	ended   bool
}

// Read gathers records, which may come in any order.
func Read(records []audit.Record) *History {
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b audit.Record) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Index, b.Index))
	})
	h := &History{habits: map[string]*Habit{}, held: map[string]*held{}, asked: map[int64]string{}, canary: map[string]bool{}, stamps: map[string]string{}, last: map[string]time.Time{}}
	if len(records) > 0 {
		h.Since = records[0].Time
	}
	for _, q := range approval.Quality(records) {
		if why := q.Stamps(); why != "" {
			h.stamps[q.Person] = why
		}
	}
	for i := range records {
		h.read(&records[i])
	}
	for _, id := range h.order() {
		h.count(h.held[id])
	}
	for i := range h.Requests { // what policy itself denied
		if r := &h.Requests[i]; r.Decision == "deny" {
			if b := h.habits[key(r)]; b != nil {
				b.Denied++
			}
		}
	}
	return h
}

func (h *History) read(r *audit.Record) {
	if r.Type == audit.TypeRequest {
		if r.Approval != "" {
			h.held[r.Approval] = &held{request: *r}
			h.asked[r.Index] = r.Approval
		}
		h.Requests = append(h.Requests, *r)
		return
	}
	if r.Type == audit.TypeReview {
		defer func() { h.last[r.Person] = r.Time }()
	}
	if r.Type == audit.TypeCanary {
		h.canary[r.Approval] = true
	}
	id := r.Approval
	if id == "" && r.Type == audit.TypeOutcome {
		id = h.asked[r.Previous]
	}
	of := h.held[id]
	if of == nil {
		return
	}
	switch r.Type {
	case audit.TypeReview:
		of.reviews = append(of.reviews, *r)
		asked, err := time.Parse(time.RFC3339Nano, r.Detail["asked"])
		if before := h.last[r.Person]; before.After(asked) {
			asked = before
		}
		of.quick = of.quick || err != nil || r.Time.Sub(asked) < fast || h.stamps[r.Person] != ""
	case audit.TypeApproval:
		of.state = r.Decision
	case audit.TypeOutcome:
		of.rows, of.ended = r.Rows, true
	}
}

// order is the approvals, oldest first, without canaries.
func (h *History) order() []string {
	var out []string
	for id := range h.held {
		if !h.canary[id] {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		x, y := &h.held[a].request, &h.held[b].request
		return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(x.Index, y.Index), cmp.Compare(a, b))
	})
	return out
}

// fast is how long nobody reads in.
const fast = 3 * time.Second

func (h *History) count(of *held) {
	r := &of.request
	b := h.habits[key(r)]
	if b == nil {
		b = &Habit{
			Actor: r.Actor, Resource: r.Resource, Env: r.Env, Verb: r.Verb, Target: r.Target, Shape: r.Shape, Title: r.Title,
			Kinds: slices.Sorted(slices.Values(r.Kinds)), First: r.Time,
		}
		h.habits[key(r)] = b
	}
	b.Asked, b.Last = b.Asked+1, r.Time
	for _, rule := range r.Rules {
		if !slices.Contains(b.Rules, rule) {
			b.Rules = append(b.Rules, rule)
		}
	}
	if r.Detail["saw"] != "" {
		b.Tainted++
	}
	denied := of.state == string(approval.Denied)
	for i := range of.reviews {
		denied = denied || of.reviews[i].Decision == approval.Deny
	}
	switch {
	case denied:
		b.Denied++
		return
	case of.state == string(approval.Expired) || of.state == string(approval.Withdrawn):
		b.Lapsed++
		return
	case of.state == "":
		b.Asked-- // it still waits
		return
	case of.quick || len(of.reviews) == 0:
		b.Quick++
		return
	}
	b.Approved++
	for i := range of.reviews {
		v := &of.reviews[i]
		if !slices.Contains(b.People, v.Person) {
			b.People = append(b.People, v.Person)
		}
		if day := v.Time.UTC().Format(time.DateOnly); !slices.Contains(b.Days, day) {
			b.Days = append(b.Days, day)
		}
	}
	if of.ended {
		b.runs++
		if of.rows != nil {
			b.counted++
			b.Rows = action.KnownCount(max(b.Rows.N, *of.rows))
		}
	}
}

// A Refused is a habit that is no rule, and why.
type Refused struct {
	*Habit
	Why string
}

// Habits are those that a rule may stand on, the most approved first, and those of as many
// approvals that it may not.
func (h *History) Habits(o Options) (good []*Habit, not []Refused) {
	o = o.defaults()
	for _, b := range h.habits {
		if b.Approved+b.Quick+b.Denied < o.Approvals {
			continue
		}
		if why := b.refusal(o); why != "" {
			not = append(not, Refused{b, why})
		} else {
			good = append(good, b)
		}
	}
	order := func(a, b *Habit) int {
		return cmp.Or(cmp.Compare(b.Approved, a.Approved), cmp.Compare(a.Actor, b.Actor), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Shape, b.Shape))
	}
	slices.SortFunc(good, order)
	slices.SortFunc(not, func(a, b Refused) int { return order(a.Habit, b.Habit) })
	return good, not
}

// refusal says why b is no rule, "" when it may be one.
func (b *Habit) refusal(o Options) string {
	for _, k := range b.Kinds {
		if approval.DecidedEach(action.Kind(k)) {
			return "each " + k + " is decided by itself"
		}
		if k != string(action.DataRead) && k != string(action.DataWrite) {
			return "a rule can't hold what a " + k + " carries and where it goes"
		}
	}
	switch {
	case len(b.Kinds) == 0 || b.Shape == "" || b.Actor == "" || b.Resource == "":
		return "the log doesn't say whose, where or what shape it is"
	case b.Tainted > 0:
		return fmt.Sprintf("%d of them were asked after the actor had seen what it must not carry out", b.Tainted)
	case b.Denied > 0:
		return fmt.Sprintf("%d of them were denied", b.Denied)
	case b.Lapsed > 0:
		return fmt.Sprintf("%d of them were never answered", b.Lapsed)
	case b.Approved < o.Approvals && b.Quick > 0:
		return fmt.Sprintf("%d of %d approvals were given without reading", b.Quick, b.Quick+b.Approved)
	case b.Approved < o.Approvals:
		return fmt.Sprintf("it was approved %d times, which is less than %d", b.Approved, o.Approvals)
	case len(b.People) < o.People:
		return fmt.Sprintf("it is the habit of %d reviewer; it takes %d", len(b.People), o.People)
	case len(b.Days) < o.Days:
		return fmt.Sprintf("it was approved on %d days; it takes %d", len(b.Days), o.Days)
	case b.counted == 0 || b.counted < b.runs:
		return "nothing would bound how many rows it touches: they were not counted"
	}
	return ""
}
