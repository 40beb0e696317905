package http

import (
	"slices"
	"strings"
)

// node is a place in the index of paths. Literals are found folded.
type node struct {
	literals map[string]*node
	partials []*branch
	single   *node
	rest     []*row // whatever follows
	rows     []*row // whose path ends here
}

type branch struct {
	seg  seg
	next *node
}

func (n *node) add(w *row) {
	for i := range w.path.segs {
		s := &w.path.segs[i]
		switch s.kind {
		case rest:
			n.rest = append(n.rest, w)
			return
		case literal:
			if n.literals == nil {
				n.literals = map[string]*node{}
			}
			if n.literals[s.folded] == nil {
				n.literals[s.folded] = &node{}
			}
			n = n.literals[s.folded]
		case single:
			if n.single == nil {
				n.single = &node{}
			}
			n = n.single
		case partial:
			same := func(b *branch) bool { return b.seg.prefix == s.prefix && b.seg.suffix == s.suffix }
			at := slices.IndexFunc(n.partials, same)
			if at < 0 {
				n.partials = append(n.partials, &branch{seg: *s, next: &node{}})
				slices.SortStableFunc(n.partials, func(a, b *branch) int {
					return len(b.seg.prefix) + len(b.seg.suffix) - len(a.seg.prefix) - len(a.seg.suffix)
				})
				at = slices.IndexFunc(n.partials, same)
			}
			n = n.partials[at].next
		}
	}
	n.rows = append(n.rows, w)
}

// search goes through the index, the more specific first, until a row fits for certain. Each node is a place in a
// tree, so none is seen twice.
type search struct {
	r       *request
	hit     *row
	nears   []*row // those before it that fit but for their spelling
	may     []*row // those that may fit
	refused string
}

func (s *search) walk(n *node, i int) (done bool) {
	r := s.r
	if i == r.n {
		return s.try(n.rows) || s.try(n.rest)
	}
	v, last := r.segs[i], i == r.n-1
	if n.literals != nil {
		low := strings.ToLower(v)
		if next := n.literals[low]; next != nil && s.walk(next, i+1) {
			return true
		}
		if st := stem(low); last && st != low {
			if next := n.literals[st]; next != nil && s.walk(next, i+1) {
				return true
			}
		}
	}
	for _, b := range n.partials {
		if b.seg.one(v, last) != no && s.walk(b.next, i+1) {
			return true
		}
	}
	if n.single != nil && v != "" && s.walk(n.single, i+1) {
		return true
	}
	return s.try(n.rest)
}

// try takes the first of rows that fits.
func (s *search) try(rows []*row) (done bool) {
	for _, w := range rows {
		if !w.methods.has(s.r.method) {
			continue
		}
		spelled := w.path.fits(s.r)
		if spelled == no {
			continue
		}
		asked := yes
		for i := range w.conds {
			got, bad := w.conds[i].ask(s.r)
			if bad != "" {
				s.refused = bad
				return true
			}
			if asked = min(asked, got); asked == no {
				break
			}
		}
		switch {
		case asked == no:
		case spelled == near:
			s.nears = append(s.nears, w)
		case asked == maybe:
			s.may = append(s.may, w)
		default:
			s.hit = w
			return true
		}
	}
	return false
}
