// Package accuracy tells how well sensitive data is found: precision, recall, F1
// and F2 over texts in which people, or whoever made them, labelled what is there.
//
// A finding is right when its class is one that the label stands for. It is
// strictly right when it also begins and ends where the label does; it overlaps
// when the two share a byte. A label without a class is left out: nobody is
// expected to find it, and what is found there is wrong all the same. What is
// found where nothing is labelled counts as wrong, though in many data sets
// something is there.
package accuracy

import (
	"cmp"
	"slices"

	"github.com/assenthq/assent/internal/detect"
)

// Counts are those of one row.
type Counts struct {
	Labelled int // values that are there
	Found    int // findings
	// Right findings, and labels that were found, by the whole span.
	Strict int
	// Labels that share a byte with a right finding, and right findings that share
	// one with a label: a label may be found in parts.
	Met, Meeting int
}

func (c *Counts) add(o Counts) {
	c.Labelled += o.Labelled
	c.Found += o.Found
	c.Strict += o.Strict
	c.Met += o.Met
	c.Meeting += o.Meeting
}

// Figures are what is computed from counts, each 0 to 1.
type Figures struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	F2        float64 `json:"f2"`
}

func figures(right, found, met, labelled int) Figures {
	var f Figures
	if found > 0 {
		f.Precision = float64(right) / float64(found)
	}
	if labelled > 0 {
		f.Recall = float64(met) / float64(labelled)
	}
	f.F1, f.F2 = fBeta(f, 1), fBeta(f, 4)
	return f
}

// fBeta weighs recall as squared times as much as precision.
func fBeta(f Figures, squared float64) float64 {
	if f.Precision+f.Recall == 0 {
		return 0
	}
	return (1 + squared) * f.Precision * f.Recall / (squared*f.Precision + f.Recall)
}

// StrictFigures are those of findings that are right by the whole span.
func (c Counts) StrictFigures() Figures { return figures(c.Strict, c.Found, c.Strict, c.Labelled) }

// OverlapFigures are those of findings that share a byte with what they should be.
func (c Counts) OverlapFigures() Figures { return figures(c.Meeting, c.Found, c.Met, c.Labelled) }

// An Error is a label that was missed, or a finding that is wrong. Nothing of
// the text is in it.
type Error struct {
	Missed bool // else wrong
	Row    string
	Class  string // of the finding, or the label
	Start  int    // bytes of the text
	End    int
	// Near is what was found there instead (missed), or the label there (wrong); "" is nothing.
	Near string
}

// A Report gathers the figures of many texts. It is used by one goroutine.
type Report struct {
	m     *Map
	rows  map[string]*Counts
	left  map[string]int // labels left out
	any   int            // labels with a class of which some byte was found as anything
	bare  int            // findings where nothing is labelled
	bytes int64
	texts int
}

// NewReport returns an empty report. A nil map takes labels for classes.
func NewReport(m *Map) *Report {
	return &Report{m: m, rows: map[string]*Counts{}, left: map[string]int{}}
}

// Add compares what was found in a text with its labels, and appends to errs what
// went wrong by overlap. It is an error for a label to be unknown to the map.
func (r *Report) Add(t *Text, found []detect.Finding, errs []Error) ([]Error, error) {
	all := make([]label, 0, len(t.Spans))
	for _, s := range t.Spans {
		right, ok, err := r.m.right(s.Label)
		if err != nil {
			return errs, err
		}
		all = append(all, label{Span: s, right: right, leftOut: !ok})
	}
	slices.SortStableFunc(all, func(a, b label) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), cmp.Compare(a.Label, b.Label))
	})
	all = slices.CompactFunc(all, func(a, b label) bool { return a.Span == b.Span })
	r.texts++
	r.bytes += int64(len(t.Text))
	errs = r.judgeFindings(all, found, errs)
	return r.judgeLabels(all, errs), nil
}

// A label is one span with what became of it.
type label struct {
	Span
	right       []string
	leftOut     bool
	met, strict bool
	near        string // class of any finding there
}

// judgeFindings looks at each finding with the labels around it.
func (r *Report) judgeFindings(all []label, found []detect.Finding, errs []Error) []Error {
	for _, f := range found {
		class := string(f.Class)
		best, optional, strict, near := -1, false, false, ""
		for i := range all {
			l := &all[i]
			if l.Start >= f.End || l.End <= f.Start {
				continue
			}
			if near == "" {
				near = l.Label
			}
			if l.near == "" {
				l.near = class
			}
			switch {
			case !fits(l.right, class):
			case l.leftOut:
				optional = true
			default:
				l.met = true
				same := l.Start == f.Start && l.End == f.End && !l.strict
				if best < 0 || same && !strict {
					best, strict = i, same
				}
			}
		}
		if best >= 0 {
			c := r.row(all[best].right[0])
			all[best].strict = all[best].strict || strict
			c.Found++
			c.Meeting++
			if strict {
				c.Strict++
			}
			continue
		}
		if optional {
			continue
		}
		row := r.m.row(class)
		r.row(row).Found++
		if near == "" {
			r.bare++
		}
		errs = append(errs, Error{Row: row, Class: class, Start: f.Start, End: f.End, Near: near})
	}
	return errs
}

// judgeLabels counts what was there.
func (r *Report) judgeLabels(all []label, errs []Error) []Error {
	for i := range all {
		l := &all[i]
		if l.leftOut {
			r.left[l.Label]++
			continue
		}
		c := r.row(l.right[0])
		c.Labelled++
		if l.near != "" {
			r.any++
		}
		if l.met {
			c.Met++
			continue
		}
		errs = append(errs, Error{Missed: true, Row: l.right[0], Class: l.Label, Start: l.Start, End: l.End, Near: l.near})
	}
	return errs
}

func (r *Report) row(name string) *Counts {
	c := r.rows[name]
	if c == nil {
		c = &Counts{}
		r.rows[name] = c
	}
	return c
}

// A Row is the figures of one class, or of all.
type Row struct {
	Class    string  `json:"class"`
	Labelled int     `json:"labelled"`
	Found    int     `json:"found"`
	Strict   Figures `json:"strict"`
	Overlap  Figures `json:"overlap"`
}

func rowOf(name string, c Counts) Row {
	return Row{name, c.Labelled, c.Found, c.StrictFigures(), c.OverlapFigures()}
}

// A Summary is a report's figures.
type Summary struct {
	Texts int   `json:"texts"`
	Bytes int64 `json:"bytes"`
	// Rows are those of each class, most labelled first.
	Rows []Row `json:"classes"`
	// All is every finding and label in one (micro average).
	All Row `json:"all"`
	// AllLeft is All when labels that are left out count as missed.
	AllLeft Row `json:"all_with_left_out"`
	// Any is the share of labels with a class of which some byte was found, as whatever class.
	Any float64 `json:"recall_as_any_class"`
	// Unlabelled counts findings where nothing is labelled: wrong by the labels, if they are complete.
	Unlabelled int `json:"found_unlabelled"`
	// LeftOut counts the labels that have no class.
	LeftOut []Left `json:"left_out"`
}

// Left counts a label that has no class.
type Left struct {
	Label string `json:"label"`
	Count int    `json:"count"`
	Why   string `json:"why"`
}

// Summary computes the figures of all texts added.
func (r *Report) Summary() Summary {
	s := Summary{Texts: r.texts, Bytes: r.bytes, Unlabelled: r.bare}
	var sum Counts
	for name, c := range r.rows {
		s.Rows = append(s.Rows, rowOf(name, *c))
		sum.add(*c)
	}
	slices.SortFunc(s.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Labelled, a.Labelled), cmp.Compare(b.Found, a.Found), cmp.Compare(a.Class, b.Class))
	})
	s.All = rowOf("all", sum)
	if sum.Labelled > 0 {
		s.Any = float64(r.any) / float64(sum.Labelled)
	}
	for label, n := range r.left {
		sum.Labelled += n
		s.LeftOut = append(s.LeftOut, Left{label, n, r.m.LeftOut[label]})
	}
	s.AllLeft = rowOf("all, left out ones missed", sum)
	slices.SortFunc(s.LeftOut, func(a, b Left) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Label, b.Label))
	})
	return s
}
