package names

// A work is what finding needs for one run of tokens.
type work struct {
	weight, ahead, behind [][Labels]int32
	back                  [][Labels]uint8
	labels                []uint8
}

const never = -1 << 28

// Follows reports whether label b may follow label a.
func Follows(a, b uint8) bool { return b == 0 || b%2 == 1 || a == b || a+1 == b }

// anyLabel are all of them.
var anyLabel = func() (all [Labels]uint8) {
	for l := range all {
		all[l] = uint8(l)
	}
	return all
}()

// before are the labels that l may follow.
func before(l uint8) []uint8 {
	if l == 0 || l%2 == 1 {
		return anyLabel[:]
	}
	return anyLabel[l-1 : l+1]
}

// Find appends to dst what is in seg, which is one segment, in order and without
// overlaps. It uses t as its memory.
func (m *Model) Find(seg []byte, t *Text, dst []Span) []Span {
	if !Possible(seg) {
		return dst
	}
	t.Read(seg, &m.Lists)
	from := len(dst)
	for i := 0; i < len(t.tokens); {
		if !t.tokens[i].active {
			i++
			continue
		}
		j := i
		for j < len(t.tokens) && t.tokens[j].active {
			j++
		}
		dst = m.run(t, i, j, dst)
		i = j
	}
	kept := dst[:from]
	for _, s := range dst[from:] {
		if s.Score >= t.least(s.Kind) {
			kept = append(kept, s)
		}
	}
	return kept
}

// least is the score a span must have: more beside code, which has many names of
// nobody, and more for kinds that are often wrong.
func (t *Text) least(k Kind) float32 {
	switch {
	case t.codes > 1:
		return 0.86
	case t.codes > 0:
		return 0.75
	case k == Place, k == Organisation:
		return 0.65
	}
	return 0.5
}

// run labels the tokens [i, j).
func (m *Model) run(t *Text, i, j int, dst []Span) []Span {
	w := &t.work
	w.reset(j - i)
	for k := i; k < j; k++ {
		m.weigh(t, k, &w.weight[k-i])
	}
	best := m.label(w)
	if best == 0 {
		return dst
	}
	m.backwards(w)
	n := j - i
	for k := 0; k < n; {
		l := w.labels[k]
		if l == 0 {
			k++
			continue
		}
		margin, e := int32(1<<30), k
		for e < n && (e == k || w.labels[e] == l+1) {
			margin = min(margin, w.ahead[e][w.labels[e]]+w.behind[e][w.labels[e]]-w.ahead[e][0]-w.behind[e][0])
			e++
		}
		margin = max(margin, 0)
		if !t.plausible(i+k, i+e, kindOf(l)) {
			k = e
			continue
		}
		dst = append(dst, Span{
			Start: int(t.tokens[i+k].start), End: int(t.tokens[i+e-1].end), Kind: kindOf(l),
			Score: 0.5 + 0.5*(float32(margin)/float32(margin+2*int32(m.Scale))),
		})
		k = e
	}
	return dst
}

// plausible refuses what has the place of a name, but not the letters of one: mnemonics,
// registers, parts of numbers.
func (t *Text) plausible(i, j int, kind Kind) bool {
	long, digits := false, false
	for k := i; k < j; k++ {
		p := &t.tokens[k]
		switch {
		case p.sort == aNumber:
			digits = true
		case p.sort == aWord && (p.to-p.from >= 3 && !(p.glued && t.token(k-1).sort == aNumber) || p.shape == shapeOther):
			long = long || p.shape != shapeUpper || p.bits != 0
		}
	}
	first := &t.tokens[i]
	n := first.to - first.from
	switch {
	case kind == Address:
		return long && (digits || j-i > 1)
	case kind == Diagnosis, kind == Drug:
		return long
	case j-i > 1 || first.shape == shapeOther:
		return true
	case first.shape == shapeUpper:
		return n > 5 || first.bits&isFrequent != 0 && n > 2
	case first.shape == shapeLower:
		return n > 3
	}
	return n > 1
}

func (w *work) reset(n int) {
	if cap(w.weight) < n {
		n := max(n, maxSegment)
		w.weight, w.ahead, w.behind = make([][Labels]int32, n), make([][Labels]int32, n), make([][Labels]int32, n)
		w.back, w.labels = make([][Labels]uint8, n), make([]uint8, n)
	}
	w.weight, w.ahead, w.behind = w.weight[:n], w.ahead[:n], w.behind[:n]
	w.back, w.labels = w.back[:n], w.labels[:n]
}

// weigh adds up the weights of token i, eight bytes at a time: the even ones and
// the odd ones in lanes of 16 bits, which MaxFeatures bytes can't fill.
func (m *Model) weigh(t *Text, i int, sum *[Labels]int32) {
	const lanes = 0x00ff00ff00ff00ff
	var space [MaxFeatures]uint32
	var a, b, c, d uint64
	mask := uint32(len(m.Rows) - 1)
	features := t.Features(i, &space)
	for _, f := range features {
		row := &m.Rows[f&mask]
		a += row[0] & lanes
		b += row[0] >> 8 & lanes
		c += row[1] & lanes
		d += row[1] >> 8 & lanes
	}
	off := int32(len(features)) * zeroWeight
	for l := range sum {
		part := [4]uint64{a, b, c, d}[l>>3*2+l&1]
		sum[l] = int32(part>>(l>>1&3*16)&0xffff) - off + int32(m.Bias[l])
	}
}

// label finds the best labels of a run, and returns 0 when all are None.
func (m *Model) label(w *work) uint8 {
	n := len(w.weight)
	for k := range n {
		for l := range uint8(Labels) {
			best, from := int32(never), uint8(0)
			if k == 0 {
				if Follows(0, l) {
					best = int32(m.Begin[l])
				}
			} else {
				for _, p := range before(l) {
					if v := w.ahead[k-1][p] + m.steps[l][p]; v > best {
						best, from = v, p
					}
				}
			}
			w.ahead[k][l], w.back[k][l] = best+w.weight[k][l], from
		}
	}
	last := uint8(0)
	for l := range uint8(Labels) {
		if w.ahead[n-1][l] > w.ahead[n-1][last] {
			last = l
		}
	}
	some := uint8(0)
	for k := n - 1; k >= 0; k-- {
		w.labels[k] = last
		some |= last
		last = w.back[k][last]
	}
	return some
}

// backwards computes the best that can follow each label.
func (m *Model) backwards(w *work) {
	n := len(w.weight)
	w.behind[n-1] = [Labels]int32{}
	for k := n - 2; k >= 0; k-- {
		for l := range uint8(Labels) {
			w.behind[k][l] = never
		}
		for p := range uint8(Labels) {
			v := w.behind[k+1][p] + w.weight[k+1][p]
			for _, l := range before(p) {
				w.behind[k][l] = max(w.behind[k][l], v+m.steps[p][l])
			}
		}
	}
}

// All is Find for text of any length, segment by segment.
func (m *Model) All(text []byte, t *Text, dst []Span) []Span {
	for at := 0; at < len(text); {
		n := Segment(text[at:], true)
		from := len(dst)
		dst = m.Find(text[at:at+n], t, dst)
		for i := from; i < len(dst); i++ {
			dst[i].Start += at
			dst[i].End += at
		}
		at += n
	}
	return dst
}

// Possible reports, cheaply, that something may be found in text. Where it is
// false, nothing is.
func Possible(text []byte) bool {
	run := 0
	for _, c := range text {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			if run++; run == 2 {
				return true
			}
		case c >= 0x80 || c == '\\':
			return true
		default:
			run = 0
		}
	}
	return false
}
