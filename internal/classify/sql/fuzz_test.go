package sql

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The lexer always moves on and never past the end, and its normal form is one:
// the normal form of a normal form is itself.
func FuzzLexer(f *testing.F) {
	for _, t := range texts(f) {
		f.Add(t)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i := 0; ; {
			kind, end := next(text, i)
			if kind == tokEOF {
				break
			}
			if end <= i || end > len(text) {
				t.Fatalf("%q: token %d at %d ends at %d", text, kind, i, end)
			}
			i = end
		}
		tooDeep(text)
		b, ok := appendNormal(nil, text)
		if !ok {
			return
		}
		if again, ok := appendNormal(nil, string(b)); !ok || string(again) != string(b) {
			t.Errorf("%q becomes %q and then %q", text, b, again)
		}
	})
}

// Classify never panics, always says something, and says the same twice, from
// the cache too.
func FuzzClassify(f *testing.F) {
	for _, t := range texts(f) {
		f.Add(t)
	}
	plain, cached := New(Options{CacheEntries: -1}), New(Options{})
	f.Fuzz(func(t *testing.T, text string) {
		a, b := plain.Classify(text, State{}), plain.Classify(text, State{})
		c := cached.Classify(text, State{})
		if diff := cmp.Diff(a, b, unexported); diff != "" {
			t.Fatalf("%q: not the same twice:\n%s", text, diff)
		}
		if diff := cmp.Diff(a, c, unexported); diff != "" {
			t.Fatalf("%q: cached differs:\n%s", text, diff)
		}
		for i := range a.Statements {
			s := &a.Statements[i]
			if (len(s.Kinds) == 0) == (s.Harmless == "") {
				t.Fatalf("%q: kinds %v, harmless %q", text, s.Kinds, s.Harmless)
			}
			if start, end := s.Span(text); start < 0 || end > len(text) || start > end {
				t.Fatalf("%q: span %d to %d", text, start, end)
			}
		}
	})
}

// A text a bomb was made of is refused before a parser written in C sees it.
func TestBombsAreRefused(t *testing.T) {
	c := New(Options{})
	r := strings.Repeat
	for _, text := range []string{
		"SELECT 1" + r("+1", 100_000), "SELECT " + r("(", 50_000) + "1" + r(")", 50_000), "SELECT " + r("NOT ", 50_000) + "true",
		"SELECT 1" + r(" UNION SELECT 1", 50_000), "SELECT a" + r("::int", 50_000), "SELECT " + r("ARRAY[", 50_000) + r("]", 50_000),
		"SELECT * FROM a" + r(" JOIN a ON true", 50_000), "SELECT " + r("- ", 50_000) + "1", r("(SELECT ", 50_000),
		"SELECT (1,2" + r("+(1,2", 50_000), "SELECT 1" + r(" /*,*/ +1", 50_000), "SELECT 1" + r("+','", 50_000),
		r("x", 5<<20), "SELECT 1\x00; DROP TABLE t", "SELECT '\xff'",
	} {
		if got := c.Classify(text, State{}); !got.ParseError || !got.Statements[0].Has("unknown") {
			t.Errorf("%.40q…: %v", text, all(got))
		}
	}
	wide := "INSERT INTO t VALUES (1, 'a')" + r(", (1, 'a')", 20_000) // long, not deep
	if got := c.Classify(wide, State{}); got.ParseError {
		t.Error("a long list of rows is refused")
	}
}
