package policy

import (
	"fmt"
	"strings"
)

// Covered is what the tests of a pack showed of one rule.
type Covered struct {
	Pack    string        `json:"pack"`
	Rule    string        `json:"rule"`
	File    string        `json:"file"`
	Line    int           `json:"line"`
	Tests   int           `json:"tests"`   // whose action is of a kind that the rule is for
	Matched int           `json:"matched"` // of those
	Atoms   []CoveredAtom `json:"atoms"`
}

// A CoveredAtom is how often one condition of a rule was found true, false and unknown.
type CoveredAtom struct {
	Expr    string `json:"expr"`
	Line    int    `json:"line"`
	True    int    `json:"true"`
	False   int    `json:"false"`
	Unknown int    `json:"unknown"`
}

// Cover says of each rule which of its conditions the tests of its pack saw true,
// false and unknown. A condition that was never false may as well not be there.
func (s *Set) Cover() []Covered {
	var out []Covered
	for _, p := range s.packs {
		own := s.alone(p, "")
		covered := make([]Covered, len(own.rules))
		for i, r := range own.rules {
			covered[i] = Covered{Pack: p.name, Rule: r.id, File: r.at.file, Line: r.at.line, Atoms: r.uncovered()}
		}
		var d Decision
		for _, c := range p.tests {
			own.Decide(&c.in, &d)
			kinds := kindsOf(c.in.Action)
			for i, r := range own.rules {
				if r.mode != off && r.kinds&kinds != 0 {
					covered[i].count(r, d.sees(r, &c.in))
				}
			}
		}
		for i, r := range own.rules {
			if r.mode != off {
				out = append(out, covered[i])
			}
		}
	}
	return out
}

func (r *rule) uncovered() []CoveredAtom {
	out := []CoveredAtom{}
	for i := range r.lines {
		l := &r.lines[i]
		out = append(out, CoveredAtom{Expr: l.text(), Line: l.at})
	}
	if r.when != nil {
		for _, a := range r.when.atoms {
			out = append(out, CoveredAtom{Expr: a.text, Line: r.whenLine + r.inBlock(a.line)})
		}
	}
	return out
}

func (c *Covered) count(r *rule, in *Input) {
	c.Tests++
	if r.matches(in) {
		c.Matched++
	}
	saw := func(i int, t Tri) {
		a := &c.Atoms[i]
		*[]*int{&a.Unknown, &a.False, &a.True}[t]++
	}
	for i := range r.lines {
		saw(i, r.lines[i].test(in, r.lines[i].values))
	}
	if r.when != nil {
		for i := range r.when.atoms {
			saw(len(r.lines)+i, r.when.atoms[i].test(in, ""))
		}
	}
}

// never says what no test showed of a.
func (a *CoveredAtom) never() string {
	switch {
	case a.True+a.False+a.Unknown == 0:
		return "never asked"
	case a.False == 0:
		return "never false"
	case a.True == 0:
		return "never true"
	}
	return ""
}

// humanCover is the table of --cover.
func humanCover(b *strings.Builder, all []Covered) {
	if len(all) == 0 {
		return
	}
	atoms, both := 0, 0
	for _, c := range all {
		fmt.Fprintf(b, "cover %s:%d: %s/%s matched %d of %s of its kinds\n", c.File, c.Line, c.Pack, c.Rule, c.Matched, plural(c.Tests, "test"))
		for i := range c.Atoms {
			a := &c.Atoms[i]
			atoms++
			if a.never() == "" {
				both++
			}
			fmt.Fprintf(b, "      line %-4d true %-3d false %-3d unknown %-3d %-12s %s\n", a.Line, a.True, a.False, a.Unknown, a.never(), a.Expr)
		}
	}
	fmt.Fprintf(b, "%d of %s seen true and false\n", both, plural(atoms, "condition"))
}
