package controls

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// A Result is what was found.
type Result struct {
	Source     string           `json:"source"` // what was read, for people
	Verified   []string         `json:"verified"`
	From       time.Time        `json:"from"` // of the first and the last record
	To         time.Time        `json:"to"`
	First      int64            `json:"first"` // index of the first record of the log; -1: there is none
	End        int64            `json:"end"`   // the one behind its last
	Records    int64            `json:"records"`
	Traffic    int64            `json:"traffic"`
	Types      map[string]int64 `json:"types"`
	Earlier    int64            `json:"earlier"` // rest on records before the period, and were not judged
	Controls   []Checked        `json:"controls"`
	Exceptions []Exception      `json:"exceptions"` // up to 200 of each kind
	Stats      Stats            `json:"stats"`
}

// A Checked is a control with its counts.
type Checked struct {
	Control
	Records    []int64 `json:"records"`         // by query
	Found      []int64 `json:"found"`           // exceptions, by test
	Exceptions int64   `json:"exception_count"` // their sum
}

// Result ends the check.
func (c *Checker) Result() *Result {
	c.open()
	r := &Result{
		Verified: []string{}, From: c.from, To: c.to, First: c.first, End: c.end, Records: c.n[""], Types: c.types, Earlier: c.earlier,
		Exceptions: []Exception{}, Stats: c.stats.result(),
	}
	wanted := map[Test]bool{}
	for lane, n := range c.n {
		if lane != "" {
			r.Traffic += n
		}
	}
	for i := range c.controls {
		k := Checked{Control: c.controls[i], Records: c.behind[i], Found: []int64{}}
		for _, t := range k.Tests {
			wanted[t] = true
			k.Found = append(k.Found, c.counts[t])
			k.Exceptions += c.counts[t]
		}
		r.Controls = append(r.Controls, k)
	}
	for _, e := range c.listed {
		if wanted[e.Test] {
			r.Exceptions = append(r.Exceptions, e)
		}
	}
	return r
}

// Count is how many exceptions of the controls' kinds there are, each once.
func (r *Result) Count() (n int64) {
	seen := map[Test]bool{}
	for i := range r.Controls {
		for k, t := range r.Controls[i].Tests {
			if !seen[t] {
				seen[t] = true
				n += r.Controls[i].Found[k]
			}
		}
	}
	return n
}

// Stats is what plots show.
type Stats struct {
	Days      []Day      `json:"days"`
	Verdicts  [3]int64   `json:"verdicts"`   // deny, review, allow
	Decisions [7]int64   `json:"decisions"`  // approvals decided within Waits
	Median    float64    `json:"median_s"`   // seconds from request to decision; 0: none was decided
	P90       float64    `json:"p90_s"`      //
	Reviewers []Reviewer `json:"reviewers"`  // the most busy first
	Undecided int64      `json:"not_judged"` // approvals that ended without anybody's decision
}

// A Day is the requests of one day, in UTC, by verdict.
type Day struct {
	Date     string   `json:"date"`
	Verdicts [3]int64 `json:"verdicts"` // deny, review, allow
}

// A Reviewer is who answered how often.
type Reviewer struct {
	Person  string `json:"person"`
	Reviews int64  `json:"approved"`
	Denied  int64  `json:"denied"`
}

// Waits are the bounds of Stats.Decisions; the last has none.
func Waits() [7]time.Duration {
	return [7]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour}
}

// Verdicts are the names of the counts of a Day.
func Verdicts() [3]string { return [3]string{"deny", "review", "allow"} }

type stats struct {
	out   Stats
	who   map[string]*Reviewer
	waits []float32 // seconds
}

func (s *stats) init() { s.who = map[string]*Reviewer{} }

func (s *stats) add(r *audit.Record) {
	verdicts := Verdicts()
	i := slices.Index(verdicts[:], r.Decision)
	switch {
	case r.Type == audit.TypeReview && r.Decision == "deny" && r.Person != "":
		s.person(r.Person).Denied++
	case r.Type == audit.TypeRequest && i >= 0:
		s.out.Verdicts[i]++
		date := r.Time.UTC().Format(time.DateOnly)
		// The traffic comes after the log, with the same days again.
		at, is := slices.BinarySearchFunc(s.out.Days, date, func(d Day, date string) int { return cmp.Compare(d.Date, date) })
		if !is {
			s.out.Days = slices.Insert(s.out.Days, at, Day{Date: date})
		}
		s.out.Days[at].Verdicts[i]++
	}
}

func (s *stats) person(id string) *Reviewer {
	if s.who[id] == nil {
		s.who[id] = &Reviewer{Person: id}
	}
	return s.who[id]
}

func (s *stats) reviewed(r *audit.Record) {
	if r.Person != "" {
		s.person(r.Person).Reviews++
	}
}

func (s *stats) decided(h *held, r *audit.Record) {
	switch r.Decision {
	case "expired", "withdrawn":
		if !h.decided {
			s.out.Undecided++
		}
		h.decided = true
	case "approved", "denied":
		if h.decided || h.asked.IsZero() {
			return
		}
		h.decided = true
		wait := r.Time.Sub(h.asked)
		s.waits = append(s.waits, float32(wait.Seconds()))
		bounds := Waits()
		i := slices.IndexFunc(bounds[:], func(d time.Duration) bool { return wait < d })
		if i < 0 {
			i = len(bounds) - 1
		}
		s.out.Decisions[i]++
	}
}

func (s *stats) result() Stats {
	if n := len(s.waits); n > 0 {
		slices.Sort(s.waits)
		s.out.Median, s.out.P90 = float64(s.waits[n/2]), float64(s.waits[min(n*9/10, n-1)])
	}
	if s.out.Days == nil {
		s.out.Days = []Day{}
	}
	s.out.Reviewers = []Reviewer{}
	for _, id := range slices.Sorted(maps.Keys(s.who)) {
		s.out.Reviewers = append(s.out.Reviewers, *s.who[id])
	}
	slices.SortStableFunc(s.out.Reviewers, func(a, b Reviewer) int { return cmp.Compare(b.Reviews+b.Denied, a.Reviews+a.Denied) })
	return s.out
}
