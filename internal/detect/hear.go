package detect

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// contextGrams are what all words of the table begin with.
var contextGrams = func() *bits65536 {
	t := &bits65536{}
	add := func(words string) {
		for _, w := range strings.Fields(words) {
			if len(w) >= 3 {
				t.set(gramOf(w))
				continue
			}
			for c := range byte(32) { // whatever follows it
				t.set(gram(w[0], w[1], c))
			}
		}
	}
	for i := range table {
		add(table[i].words)
	}
	return t
}()

// mayHear reports whether a word of the table could begin in [lo, hi). It errs only towards true.
func (s *scan) mayHear(lo, hi int) bool {
	if k := &s.skimmer; lo >= k.from && hi+2 <= k.to && hi-lo <= 64 && hi > lo {
		return s.mayHearIn(lo, hi)
	}
	before := uint8(0)
	for p := lo; p < hi; p++ {
		k := kinds[s.t[p]]
		if k&isHigh != 0 {
			return true
		}
		if k&(isUp|isLow) != 0 && (before&(isUp|isLow) == 0 || k&isUp != 0) && contextGrams.has(gram(s.t[p], s.byte(p+1), s.byte(p+2))) {
			return true
		}
		before = k
	}
	return false
}

// byte is at without asking for more.
func (s *scan) byte(p int) byte {
	if p < len(s.t) {
		return s.t[p]
	}
	return 0
}

// mayHearIn is mayHear of bytes whose blocks are made.
func (s *scan) mayHearIn(lo, hi int) bool {
	const high = 0x8080808080808080
	or, p := uint64(0), lo
	for ; p+8 <= hi; p += 8 {
		or |= binary.LittleEndian.Uint64(s.t[p:])
	}
	for ; p < hi; p++ {
		or |= uint64(s.t[p])
	}
	if or&high != 0 {
		return true
	}
	k := &s.skimmer
	b, i := (lo-k.from)>>6, (lo-k.from)&63
	letter, upper := k.blocks[b].letter>>i, k.blocks[b].upper>>i
	if i > 0 && b+1 < len(k.blocks) {
		letter |= k.blocks[b+1].letter << (64 - i)
		upper |= k.blocks[b+1].upper << (64 - i)
	}
	mask := ^uint64(0) >> (64 - (hi - lo))
	for m := (letter&^(letter<<1) | upper) & letter & mask; m != 0; m &= m - 1 {
		p := lo + bits.TrailingZeros64(m)
		if contextGrams.has(gram(s.t[p], s.t[p+1], s.t[p+2])) {
			return true
		}
	}
	return false
}
