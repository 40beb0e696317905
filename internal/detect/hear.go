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

// heardBegins are what words of the table begin with: by five bytes, or whole where
// they are short.
var heardBegins, heardShort = func() (*fives, *bits65536) {
	long, short := &fives{}, &bits65536{}
	for i := range table {
		for _, w := range strings.Fields(table[i].words) {
			switch len(w) {
			case 1, 2, 3:
				short.set(gram(w[0], (w + "\x00\x00")[1], (w + "\x00\x00")[2]))
			default:
				long.add(w, w[3], "")
			}
		}
	}
	return long, short
}()

// mayBegin reports whether a word of the table may begin at p in t, which ends
// where words do.
func mayBegin(t []byte, p int) bool {
	n := 1
	for ; n < 4 && p+n < len(t) && kinds[t[p+n]]&(isUp|isLow) != 0; n++ {
		if isUpper(t[p+n]) && isLower(t[p+n-1]) {
			return true // "IdNr", of which the part counts and the whole
		}
	}
	if n > 3 {
		_, ok := heardBegins.at(t, p)
		return ok
	}
	var w [3]byte
	copy(w[:n], t[p:])
	return heardShort.has(gram(w[0], w[1], w[2]))
}

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
		if k&(isUp|isLow) != 0 && (before&(isUp|isLow) == 0 || k&isUp != 0 && before&isLow != 0) && mayBegin(s.t[:hi], p) {
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
	mask, t := ^uint64(0)>>(64-(hi-lo)), s.t[:hi]
	for m := (letter&^(letter<<1) | upper&((letter&^upper)<<1)) & mask; m != 0; m &= m - 1 {
		if mayBegin(t, lo+bits.TrailingZeros64(m)) {
			return true
		}
	}
	return false
}
