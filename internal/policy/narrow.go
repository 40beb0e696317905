package policy

import "slices"

// What is inferred of a value, computed with it or aggregated over it matters to who
// sees it masked. So the masks of a decision are found first, and the rules that
// decide are asked about the masked classes only. A rule that masks is asked about
// any class: what is masked can't hang on what is masked.

// hides reports whether one of classes is masked here. Where nobody says which
// classes there are, or what is masked is not found yet, it may be.
func (in *Input) hides(classes []string) bool {
	if len(classes) == 0 || !in.masked {
		return true
	}
	return slices.ContainsFunc(classes, func(class string) bool {
		_, is := in.masks[class]
		return is || class == "*" && len(in.masks) > 0
	})
}

// narrow finds the masks of in and returns what other rules are asked with: in
// itself where it makes no difference.
func (s *Set) narrow(in *Input, d *Decision) *Input {
	data := &in.Action.Data
	if len(data.InferredOf)+len(data.ComputedOf)+len(data.AggregatedOf) == 0 {
		return in
	}
	id, kinds := maskID(0), kindsOf(in.Action)
	for _, r := range s.maskRules {
		if r.kinds&kinds != 0 && r.matches(in) && !r.watching(in) {
			id = s.masks.union(id, r.maskID)
		}
	}
	if d.narrowed == nil {
		d.narrowed = new(Input)
	}
	*d.narrowed, d.narrow = *in, true
	d.narrowed.masked, d.narrowed.masks = true, s.masks.of(id)
	return d.narrowed
}

// sees is what r was asked with when d was decided.
func (d *Decision) sees(r *rule, in *Input) *Input {
	if d.narrow && r.then != thenMask {
		return d.narrowed
	}
	return in
}
