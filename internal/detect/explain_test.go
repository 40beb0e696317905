package detect

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	outcome := func(x Explanation, c Class) string {
		for _, k := range x.Candidates {
			if k.Class == c {
				return k.Outcome
			}
		}
		return ""
	}
	would := func(x Explanation, c Class, what string) bool {
		return slices.ContainsFunc(x.Woulds, func(w Would) bool { return w.Class == c && strings.Contains(w.What, what) && w.Score >= threshold })
	}
	if x := e.Explain([]byte("paid with 4111 1111 1111 1111"), -1); outcome(x, Card) != Found || len(x.Findings) != 1 {
		t.Errorf("a card: %+v", x)
	}
	wrong := e.Explain([]byte("4111 1111 1111 1112"), -1)
	if len(wrong.Findings) != 0 || !would(wrong, Card, "word “card”") || !would(wrong, Card, "check") {
		t.Errorf("a card that fails its check: %+v", wrong)
	}
	if x := e.Explain([]byte("card 4111 1111 1111 1112"), -1); len(x.Findings) != 1 || !slices.ContainsFunc(x.Candidates, func(c Candidate) bool { return c.Class == Card && c.Context == "spoke" }) {
		t.Errorf("with a word near it: %+v", x)
	}
	text := strings.Repeat("some words. ", 4000) + "x 4111 1111 1111 1112 y " + strings.Repeat("some words. ", 4000)
	at := strings.Index(text, "1112")
	if x := e.Explain([]byte(text), at); text[x.Start:x.End] != "4111 1111 1111 1112" || !would(x, Card, "check") {
		t.Errorf("at an offset: %q, %+v", text[x.Start:x.End], x.Woulds)
	}
	if x := e.Explain([]byte("nothing"), -1); !x.Clean || len(x.Candidates) != 0 {
		t.Errorf("nothing: %+v", x)
	}
	packed := base64.StdEncoding.EncodeToString([]byte("to mira@example.com"))
	if x := e.Explain([]byte(packed), -1); len(x.Candidates) == 0 || !slices.ContainsFunc(x.Candidates, func(c Candidate) bool { return c.Decoded }) {
		t.Errorf("encoded: %+v", x)
	}
	off, err := New(Options{Off: []Class{Email}})
	if err != nil {
		t.Fatal(err)
	}
	if x := off.Explain([]byte("mira@example.com"), -1); outcome(x, Email) != Off {
		t.Errorf("switched off: %+v", x)
	}
}

// What is explained is what is found: the trace changes nothing.
func FuzzExplain(f *testing.F) {
	for i := range table {
		for _, text := range table[i].is {
			f.Add([]byte(strings.NewReplacer("«", "", "»", "").Replace(text)), -1)
		}
	}
	f.Add([]byte("x 4111 1111 1111 1112"), 7)
	e, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		x := e.Explain(text, at)
		if x.Start < 0 || x.End > len(text) || x.Start > x.End {
			t.Fatalf("about [%d, %d) of %d bytes", x.Start, x.End, len(text))
		}
		if want := e.Scan(text, nil); len(text) < maxTried && !slices.Equal(x.Findings, want) {
			t.Fatalf("explained %v, found %v", x.Findings, want)
		}
	})
}
