package detect

import (
	"math/rand/v2"
	"testing"
)

// naive makes a block as its definition says.
func naive(t []byte) (b block) {
	for i, c := range t[:64] {
		n, k := nibbles.low[c&15]&nibbles.high[c>>4], kinds[c]
		for _, of := range []struct {
			in *uint64
			is bool
		}{
			{&b.digit, k&isDigit != 0}, {&b.letter, k&(isUp|isLow) != 0}, {&b.upper, k&isUp != 0}, {&b.under, c == '_'},
			{&b.join, c == '+' || c == '/' || c == '-'}, {&b.sep, isSeparator(c)}, {&b.dot, c == '.'}, {&b.colon, c == ':'},
			{&b.equal, c == '='}, {&b.at, c == '@'}, {&b.back, c == '\\'}, {&b.lead, c == '+' || c == '('},
			{&b.escape, c == '%' || c == '&'}, {&b.odd, n&(nibOddC|nibOddE) != 0}, {&b.tail, k&(isUp|isLow) != 0 && n&nibTail != 0},
		} {
			if of.is {
				*of.in |= 1 << i
			}
		}
	}
	return b
}

func TestBlocks(t *testing.T) {
	random := rand.New(rand.NewPCG(64, 1))
	text := make([]byte, 64*66)
	for round := range 200 {
		for i := range text {
			if text[i] = byte(random.Uint32()); round%2 == 0 {
				text[i] = text[i]&0x7f | 0x20
			}
		}
		n := 1 + random.IntN(66)
		for _, by := range classifiers() {
			got := make([]block, n)
			by.make(text, got)
			for k := range n {
				if want := naive(text[k<<6:]); got[k] != want {
					t.Fatalf("%q by %s: %+v, want %+v", text[k<<6:][:64], by.name, got[k], want)
				}
			}
		}
	}
	for _, by := range classifiers() {
		t.Logf("blocks are made by %s", by.name)
	}
}

// Whatever stands for another character begins with a byte that a block calls odd.
func TestOdd(t *testing.T) {
	for r := rune(0x80); r <= 0x10ffff; r++ {
		if c := string(r)[0]; disguise(r) && nibbles.low[c&15]&nibbles.high[c>>4]&(nibOddC|nibOddE) == 0 {
			t.Fatalf("%U begins with %#x", r, c)
		}
	}
}
