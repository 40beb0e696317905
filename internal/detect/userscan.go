package detect

import (
	"cmp"
	"slices"
	"strings"
)

// A deployment's own detectors read the text block by block, at multiples of
// ownBlock from its beginning. A match belongs to the block that it begins in,
// and is looked for in that block and MaxMatch bytes behind it, so that what is
// found is the same however a stream is cut.
const (
	ownBlock  = 256
	ownAhead  = ownBlock + MaxMatch + wordsAfter + 1 // bytes from where a block begins that it depends on
	ownBehind = wordsBefore + 1
)

// ownState is what a scan keeps of the deployment's detectors.
type ownState struct {
	at   int       // where the next block begins
	ends []int     // of each detector's last match
	out  []Finding // sorted by where they begin
}

func (o *ownState) reset(n int) {
	o.at, o.out = 0, o.out[:0]
	o.ends = slices.Grow(o.ends[:0], n)[:n]
	clear(o.ends)
}

func (o *ownState) drop(n int) {
	o.at -= n
	for i := range o.ends {
		o.ends[i] -= n
	}
	for i := range o.out {
		o.out[i].Start -= n
		o.out[i].End -= n
	}
}

// readOwn runs the deployment's detectors over the blocks that are there, and
// returns how far nothing more of theirs can begin.
func (s *scan) readOwn(safe int) int {
	if len(s.e.own) == 0 || s.depth > 0 {
		return safe
	}
	o := &s.own
	for o.at < len(s.t) && (s.final || o.at+ownAhead <= len(s.t)) {
		first := len(o.out)
		for i, u := range s.e.own {
			if u.anchored(s.t, o.at, min(o.at+ownBlock+MaxMatch, len(s.t))) {
				s.ownBlock(u, &o.ends[i])
			}
		}
		slices.SortStableFunc(o.out[first:], func(a, b Finding) int { return cmp.Compare(a.Start, b.Start) })
		o.at += ownBlock
	}
	return min(safe, o.at)
}

func (s *scan) ownBlock(u *own, last *int) {
	lo, hi := max(0, s.own.at-1), min(s.own.at+ownBlock+MaxMatch+1, len(s.t))
	for _, m := range u.re.FindAllIndex(s.t[lo:hi], -1) {
		start, end := lo+m[0], lo+m[1]
		if start < s.own.at || start >= s.own.at+ownBlock || end-start > MaxMatch || start < *last || start == end {
			continue
		}
		score := s.ownScore(u, start, end)
		if s.trace != nil {
			if words := u.keywords + u.context; words != "" {
				s.trace.asked(start, end, u.Class, s.near(start, -1, words) || s.near(end, 1, words))
			}
			s.trace.add(start, end, u.Class, score)
		}
		if score >= threshold && !s.e.off[u.Class] {
			s.own.out = append(s.own.out, Finding{start, end, u.Class, score})
			*last = end
		}
	}
}

// ownScore is how sure a match is: by its check, and by the words near it.
func (s *scan) ownScore(u *own, start, end int) float32 {
	near := func(words string) bool { return s.near(start, -1, words) || s.near(end, 1, words) }
	if u.keywords != "" && !near(u.keywords) {
		return 0
	}
	spoke := u.context != "" && near(u.context)
	switch {
	case u.Validator == "":
	case !u.valid(s.t[start:end]):
		if spoke {
			return threshold
		}
		return 0
	default:
		return max(u.Score, 0.95)
	}
	if spoke {
		return min(1, u.Score+0.15)
	}
	return u.Score
}

// combine appends to dst what a and own are together, as far as it ends by safe, and
// returns how many of each that took. Of what overlaps one finding is
// made, with the class that the deployment says.
func combine(dst, a, own []Finding, safe int) (out []Finding, na, nown int) {
	i, k := 0, 0
	for i < len(a) || k < len(own) {
		from, best := i, -1
		var first []Finding
		if k == len(own) || i < len(a) && a[i].Start <= own[k].Start {
			first = a[i:]
		} else {
			first = own[k:]
		}
		till := first[0].End
		start := till
		for {
			if i < len(a) && a[i].Start < till {
				start, till = min(start, a[i].Start), max(till, a[i].End)
				i++
			} else if k < len(own) && own[k].Start < till {
				start, till = min(start, own[k].Start), max(till, own[k].End)
				if best < 0 || own[k].Score > own[best].Score {
					best = k
				}
				k++
			} else {
				break
			}
		}
		if till > safe {
			return dst, na, nown
		}
		if best < 0 {
			dst = append(dst, a[from:i]...)
		} else {
			dst = append(dst, Finding{start, till, own[best].Class, own[best].Score})
		}
		na, nown = i, k
	}
	return dst, na, nown
}

// takeOwn puts what the deployment's detectors found among the findings of a whole text.
func (s *scan) takeOwn() {
	if len(s.e.own) == 0 {
		return
	}
	s.readOwn(len(s.t))
	if len(s.own.out) == 0 {
		return
	}
	ours := slices.Clone(s.out[s.lo:])
	s.out, _, _ = combine(s.out[:s.lo], ours, s.own.out, len(s.t))
	s.own.out = s.own.out[:0]
}

// ownColumn judges a name by the deployment's detectors: words in a row, " employee no ".
func (e *Engine) ownColumn(words string) Class {
	for _, u := range e.own {
		for _, c := range u.columns {
			if strings.Contains(words, c) && !e.off[u.Class] {
				return u.Class
			}
		}
	}
	return ""
}

// Own lists the classes of the deployment's own detectors that are no others', sorted.
func (e *Engine) Own() []Class {
	var all []Class
	for _, u := range e.own {
		if _, _, is := OwnClass(u.Class); is {
			all = append(all, u.Class)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Has reports whether c is a class of this edition or of the engine's own detectors.
func (e *Engine) Has(c Class) bool {
	_, known := byClass[c]
	return known || slices.Contains(e.Own(), c)
}
