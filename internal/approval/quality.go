package approval

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// How the log shows that somebody approves without reading.
const (
	fast      = 3 * time.Second // nobody reads a card in less
	fewest    = 10              // approvals that it takes to say anything
	fastShare = 2               // one of so many
)

// A Reviewer is how one person reviews, as the log tells.
type Reviewer struct {
	Person   string
	Reviews  int
	Approved int
	Fast     int           // approvals within three seconds of the asking, or of their own review before
	Median   time.Duration // from then to the review
	P90      time.Duration // nine of ten took no longer
	Canaries int           // holds that nobody asked for, which they answered
	Missed   int           // of them, approved
	Hours    [24]int       // reviews by hour of the day, UTC
	Pairs    []Pair        // with whom they approve each other's, the most first
	last     time.Time
	took     []time.Duration
}

// A Pair are two people who approve each other's actions.
type Pair struct {
	With   string
	Given  int // approved by this reviewer for the other
	Gotten int // by the other for this one
}

// Stamps says why it looks as if nothing was read; "" when it doesn't.
func (r *Reviewer) Stamps() string {
	if 2*r.Missed > r.Canaries {
		return fmt.Sprintf("%d of %d canaries approved", r.Missed, r.Canaries)
	}
	if r.Approved < fewest || r.Fast*fastShare < r.Approved {
		return ""
	}
	return fmt.Sprintf("%d of %d approvals within %d seconds", r.Fast, r.Approved, int(fast.Seconds()))
}

// Quality reads review records, in any order, and says of each reviewer how they
// review. It needs nothing that a browser tells: a review can't be slower than the
// time since the action was asked, nor than since the same person's review before.
func Quality(records []audit.Record) []Reviewer {
	records = slices.Clone(records)
	slices.SortFunc(records, func(a, b audit.Record) int { return cmp.Compare(a.Index, b.Index) })
	by := map[string]*Reviewer{}
	given := map[[2]string]int{} // approver, for whom
	for i := range records {
		rec := &records[i]
		if rec.Type != audit.TypeReview && rec.Type != audit.TypeCanary || rec.Person == "" {
			continue
		}
		r := by[rec.Person]
		if r == nil {
			r = &Reviewer{Person: rec.Person}
			by[rec.Person] = r
		}
		if rec.Type == audit.TypeCanary {
			r.canary(rec)
			continue
		}
		r.add(rec)
		if rec.Decision == Approve {
			for whom := range strings.FieldsSeq(rec.Detail["behind"]) {
				given[[2]string{rec.Person, whom}]++
			}
		}
	}
	out := make([]Reviewer, 0, len(by))
	for _, r := range by {
		r.finish(given)
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Reviewer) int {
		return cmp.Or(cmp.Compare(b.Fast, a.Fast), cmp.Compare(b.Reviews, a.Reviews), cmp.Compare(a.Person, b.Person))
	})
	return out
}

func (r *Reviewer) add(rec *audit.Record) {
	since := r.last
	if asked, err := time.Parse(time.RFC3339Nano, rec.Detail["asked"]); err == nil && asked.After(since) {
		since = asked
	}
	r.Reviews++
	r.Hours[rec.Time.UTC().Hour()]++
	r.last = rec.Time
	if rec.Decision == Approve {
		r.Approved++
	}
	if since.IsZero() {
		return // a record of an earlier version says nothing of the time
	}
	took := max(rec.Time.Sub(since), 0)
	r.took = append(r.took, took)
	if rec.Decision == Approve && took < fast {
		r.Fast++
	}
}

func (r *Reviewer) canary(rec *audit.Record) {
	switch rec.Decision {
	case Approve:
		r.Canaries++
		r.Missed++
	case Deny:
		r.Canaries++
	}
}

func (r *Reviewer) finish(given map[[2]string]int) {
	if len(r.took) > 0 {
		slices.Sort(r.took)
		r.Median, r.P90 = r.took[len(r.took)/2], r.took[len(r.took)*9/10]
	}
	for pair, n := range given {
		if pair[0] != r.Person || pair[1] == r.Person {
			continue
		}
		if back := given[[2]string{pair[1], pair[0]}]; back > 0 {
			r.Pairs = append(r.Pairs, Pair{With: pair[1], Given: n, Gotten: back})
		}
	}
	slices.SortFunc(r.Pairs, func(a, b Pair) int {
		return cmp.Or(cmp.Compare(min(b.Given, b.Gotten), min(a.Given, a.Gotten)), cmp.Compare(a.With, b.With))
	})
}
