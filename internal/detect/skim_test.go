package detect_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/detect/detecttest"
)

// skimsAll fails where a scan that passes over most words finds something else
// than one that visits each.
func skimsAll(t interface{ Fatalf(string, ...any) }, e *detect.Engine, text string) {
	if diff := cmp.Diff(e.ScanEach([]byte(text)), e.ScanAll([]byte(text))); diff != "" {
		t.Fatalf("%q (-each word +skimmed):\n%s", text, diff)
	}
}

// Every sample at every distance from the borders of blocks.
func TestSkimOfSamples(t *testing.T) {
	e := engine(t, detect.Options{})
	for i, c := range append(append([]sample{}, positives...), negatives...) {
		for pad := range 130 {
			filler := []string{"word and ", "x=1, y:2 ", "12 3.4 (5) ", "\\n\\tq/", "—é “x” "}[(i+pad)%5]
			before := strings.Repeat(filler, 30)
			skimsAll(t, e, before[len(before)-pad:]+c.Text)
			skimsAll(t, e, before[len(before)-pad:]+" "+c.Text+" "+before)
		}
	}
	skimsAll(t, e, strings.Repeat(corpus(), 4))
	for _, kind := range detecttest.Kinds {
		skimsAll(t, e, string(detecttest.Make(kind, 3, 1<<17, 0.2).Text))
	}
}

func TestSkimProperty(t *testing.T) {
	e := engine(t, detect.Options{})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.OneOf(soup(), nearly()), 1, 6).Draw(t, "texts"), " ")
		skimsAll(t, e, text)
	})
}

// Texts over the bytes that matter, very many of them.
func TestSkimOfRandom(t *testing.T) {
	e := engine(t, detect.Options{})
	random := rand.New(rand.NewPCG(9, 64))
	n := 40_000
	if testing.Short() {
		n = 4_000
	}
	alphabets := []string{
		"0123456789 .-/()+", "0123456789. ", "aA0 .-_/+", "abJey0.-_", "DEGB0123456789 -x", "a@.b:'=%&\\c ", "\x00\x7f\x80\xc2\xa0 a1@", "nrt\\a0@.", "fe:80 2001", "\x1b[0;1mK 4", "=40F41a@.", "\\u{}U0123x7", "&amp;#64 ", "4\u0336\u0301\u20e3 ",
	}
	parts := []string{"password", "pwd", "token", "eyJ", "ghp_", "sk-", "SG.", "-----BEGIN ", "://", "\\n", "\\u0040", "%40", "&#64;", "\x1b[1m", "&commat;", "\\u{40}", "=40", "\\100", "%u0040", "bob", "corp.example", "AGIAbwBiAEAAYwBvAHIAcAAuAGUAeA", "Secret", "iban", "4111111111111111", "fe80::1", "é", "—", "\u200b", "１"}
	for _, alphabet := range alphabets {
		for range n / len(alphabets) {
			var text []byte
			for size := random.IntN(200); len(text) < size; {
				if random.IntN(12) == 0 {
					text = append(text, parts[random.IntN(len(parts))]...)
				}
				text = append(text, alphabet[random.IntN(len(alphabet))])
			}
			skimsAll(t, e, string(text))
		}
	}
}

func FuzzSkim(f *testing.F) {
	for i, c := range append(append([]sample{}, positives...), negatives...) {
		f.Add([]byte(fmt.Sprintf("%*s%s", i%64, "", c.Text)))
	}
	f.Add([]byte(corpus()))
	e := engine(f, detect.Options{})
	f.Fuzz(func(t *testing.T, text []byte) { skimsAll(t, e, string(text)) })
}
