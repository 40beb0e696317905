package policy

import (
	"math/bits"

	"github.com/assenthq/assent/action"
)

// rule is the rule with that id, or nil.
func (s *Set) rule(pack, id string) *rule { return s.byName[[2]string{pack, id}] }

// Explain decides as Decide does, renders the reasons, and fills in the atoms
// of each rule that matched, and under Considered those of the rules for these
// kinds and this place that did not. It takes its time.
func (s *Set) Explain(in *Input) Decision {
	var d Decision
	s.Decide(in, &d)
	if s == nil || in == nil || in.Action == nil {
		return d
	}
	d.RenderReason(in)
	for _, hits := range [][]Hit{d.Rules, d.Shadow} {
		for i := range hits {
			if r := s.rule(hits[i].Pack, hits[i].Rule); r != nil {
				hits[i].Atoms, hits[i].Tags = r.atoms(d.sees(r, in)), r.tags
			}
		}
	}
	kinds := kindsOf(in.Action)
	for _, r := range s.rules {
		if r.mode == off || r.kinds&kinds == 0 || holds(r.lines, in) == No || r.matches(d.sees(r, in)) {
			continue
		}
		h := r.hit
		h.Atoms, h.Tags = r.atoms(d.sees(r, in)), r.tags
		d.Considered = append(d.Considered, h)
	}
	sortHits(d.Considered)
	return d
}

func (r *rule) atoms(in *Input) []Atom {
	var out []Atom
	for i := range r.lines {
		out = append(out, r.lines[i].explain(in))
	}
	if r.when != nil {
		for i := range r.when.atoms {
			out = append(out, r.when.atoms[i].explain(in))
		}
	}
	return out
}

// uncovered names the kinds of in that no rule permits or holds.
func (s *Set) uncovered(in *Input) []string {
	kinds := kindsOf(in.Action)
	open := kinds
	for _, r := range s.rules {
		lifts := r.then == thenAllow || r.then == thenReview && !r.claims && !r.raises || r.then == thenDeny
		if lifts && r.mode != off && r.kinds&open != 0 && r.matches(in) && !r.watching(in) {
			open &^= r.kinds
		}
	}
	if open == noKind {
		return []string{"an action without kinds"}
	}
	var out []string
	for set := open &^ noKind; set != 0; set &= set - 1 {
		out = append(out, string(action.Kinds()[bits.TrailingZeros32(uint32(set))]))
	}
	return out
}
