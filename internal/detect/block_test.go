package detect

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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
			{&b.digit, k&isDigit != 0},
			{&b.letter, k&(isUp|isLow) != 0},
			{&b.upper, k&isUp != 0},
			{&b.under, c == '_'},
			{&b.join, c == '+' || c == '/' || c == '-'},
			{&b.sep, isSeparator(c)},
			{&b.dot, c == '.'},
			{&b.colon, c == ':'},
			{&b.equal, c == '='},
			{&b.at, c == '@'},
			{&b.back, c == '\\'},
			{&b.lead, c == '+' || c == '('},
			{&b.escape, c == '%' || c == '&'},
			{&b.odd, n&nibOdd != 0},
			{&b.tail, k&(isUp|isLow) != 0 && n&nibTail != 0},
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

// Every token, by itself, behind a name and among other text, is found whether most
// words are passed over or not.
func TestSkimOfTokens(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(4, 20))
	found := 0
	try := func(text string) {
		got, want := e.scanAll([]byte(text), nil), e.ScanEach([]byte(text))
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, visiting every word %v", text, got, want)
		}
		found += len(got)
	}
	for i := range forms {
		for n := range 4 {
			v := value(random, &forms[i], n%2 == 1)
			try(strings.Repeat(" ", n*17) + v)
			try("{\"a\": \"" + v + "\", \"password\": \"\"}" + strings.Repeat(" and more of it", 10))
		}
	}
	for i := range keyedForms {
		for n := range 4 {
			v := value(random, &keyedForms[i], n%2 == 1)
			for _, name := range []string{"%s_key = '%s'", "export %s=%s # 1", "%s:\n  token: %s", "{\"%sKey\":\"%s\"}"} {
				try(strings.Repeat("-", n*17) + fmt.Sprintf(name, keyedTable[i].word, v) + strings.Repeat(" or less", 20))
			}
		}
	}
	if found < 2*len(forms) {
		t.Errorf("only %d were found: this proves little", found)
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
