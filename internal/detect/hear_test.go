package detect

import (
	"math/rand/v2"
	"testing"
)

// What is not listened to holds no word that would be heard.
func TestMayHear(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for w := range heardWords {
		words = append(words, w)
	}
	random := rand.New(rand.NewPCG(3, 3))
	heardAny := 0
	for range 20_000 {
		var text []byte
		for len(text) < 120 {
			w := []byte(words[random.IntN(len(words))])
			switch random.IntN(6) {
			case 0:
				w = w[:1+random.IntN(len(w))]
			case 1:
				w[random.IntN(len(w))] = byte('a' + random.IntN(26))
			case 2:
				w[0] &^= 0x20
			case 3:
				for k := range w {
					w[k] = byte('a' + random.IntN(26))
				}
			}
			text = append(append(text, w...), []string{" ", "", "_", "7", ": ", "É"}[random.IntN(6)]...)
		}
		s := new(scan)
		s.reset(e, text, nil)
		s.final = true
		if random.IntN(2) == 0 {
			s.skimmer.fill(s, 0, 1)
		}
		lo := random.IntN(40)
		hi := lo + 1 + random.IntN(48)
		heard := false
		s.words(lo, hi, func(_, _ int, w []byte) { heard = heard || len(heardWords[string(w)]) > 0 })
		if heard {
			heardAny++
			if !s.mayHear(lo, hi) {
				t.Fatalf("a word of %q is not listened to", text[lo:hi])
			}
		}
	}
	if heardAny < 1000 {
		t.Errorf("only %d texts had a word: this proves little", heardAny)
	}
}
