package console

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/show"
)

func join(pieces []Piece) string {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.Text)
	}
	return b.String()
}

func TestOnlySQLIsColouredAsSQL(t *testing.T) {
	for kind, want := range map[string]int{"postgres": 2, "": 2, "aws": 0, "command": 0} {
		a := &approval.Approval{}
		a.Resource.Type, a.Statement = kind, "drop partner --force сustomers"
		lines, _ := linesOf(a, a.Statement)
		var text strings.Builder
		colours := 0
		for _, p := range lines[0] {
			text.WriteString(p.Text)
			if p.Class == "kw" || p.Class == "com" {
				colours++
			}
		}
		odd := slices.ContainsFunc(lines[0], func(p Piece) bool { return p.Class == "odd" })
		if colours != want || text.String() != a.Statement || odd != (want == 0) {
			t.Errorf("%q: %q", kind, lines)
		}
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain – ünïcode 中文 ✓":      "plain – ünïcode 中文 ✓",
		"a\u202eb\u2066c":           `a\u202eb\u2066c`,
		"zero\u200bwidth\ufeff":     `zero\u200bwidth\ufeff`,
		"nb\u00a0sp\u3000ace":       `nb\u00a0sp\u3000ace`,
		"esc\x1b[31m\x07\x7f":       `esc\u001b[31m\u0007\u007f`,
		"tags \U000e0041 here":      `tags \U000e0041 here`,
		"bad \xff\xfe bytes":        `bad \xff\xfe bytes`,
		"two\nlines\tand a tab":     "two⏎lines⇥and a tab",
		"not ⏎ our ⇥ signs":         `not \u23ce our \u21e5 signs`,
		"filler\u3164\u2800\u115f":  `filler\u3164\u2800\u115f`,
		"z\u0301\u0301\u0301ok":     "z\u0301\u0301\u0301ok",
		"z\u0301\u0301\u0301\u0301": "z\u0301\u0301\u0301" + `\u0301`,
	} {
		if got := join(visible(in, 100)); got != want {
			t.Errorf("visible(%+q) = %+q, want %+q", in, got, want)
		}
	}
	cut := visible(strings.Repeat("ä", 100), 51)
	if got := join(cut); got != strings.Repeat("ä", 25)+"…" || cut[len(cut)-1].Title != "150 more bytes" {
		t.Errorf("cut: %q, %+v", got, cut)
	}
}

func TestStatementTokens(t *testing.T) {
	lines, cut := statementLines("SELECT 'it''s' , E'a\\'b', \"Col\", $1, $x$ -- no $x$ /* a /* b */ c */\nFROM tаble -- end", nil)
	if cut != 0 || len(lines) != 2 {
		t.Fatalf("%d lines, %d cut", len(lines), cut)
	}
	want := []Line{
		{
			{"kw", "SELECT", ""},
			{"", " ", ""},
			{"str", "'it''s'", ""},
			{"", " , ", ""},
			{"str", `E'a\'b'`, ""},
			{"", ", ", ""},
			{"qid", `"Col"`, ""},
			{"", ", ", ""},
			{"num", "$1", ""},
			{"", ", ", ""},
			{"str", "$x$ -- no $x$", ""},
			{"", " ", ""},
			{"com", "/* a /* b */ c */", ""},
		},
		{{"kw", "FROM", ""}, {"", " ", ""}, {"odd", "tаble", "has letters outside ASCII"}, {"", " ", ""}, {"com", "-- end", ""}},
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
}

func TestMaskedSpans(t *testing.T) {
	text := "a = '[masked:email]' -- [partly]"
	at := strings.Index(text, "[masked")
	part := strings.Index(text, "[partly")
	lines, _ := statementLines(text, []approval.Span{{Start: part, End: len(text), Class: "card"}, {Start: at, End: at + 14, Class: "email"}, {Start: 3, End: 900, Class: "wrong"}, {Start: at + 2, End: at + 5, Class: "inside"}})
	var chips []Piece
	for _, p := range lines[0] {
		if p.Class == "mask" {
			chips = append(chips, p)
		}
	}
	if d := cmp.Diff([]Piece{{"mask", "••••", "email"}, {"mask", "[partly]", "card"}}, chips); d != "" {
		t.Error(d)
	}
}

func FuzzVisible(f *testing.F) {
	for _, s := range []string{"", "a\u202eb", "\xff", "<script>alert(1)</script>", "\U000e0001", strings.Repeat("\u0301", 9), "\r\n\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range join(visible(s, 500)) {
			if show.Deceiving(r) || r == '\n' || r == '\t' || r == utf8.RuneError && !strings.ContainsRune(s, utf8.RuneError) {
				t.Fatalf("%U got through of %+q", r, s)
			}
		}
	})
}

func FuzzStatement(f *testing.F) {
	for _, s := range []string{"SELECT 1", "'", "E'\\", "$a$ b", "/* /*", "--", "\"x", "$", "$$", "1e", "a\nb\r\n", "\xc3", "e", "-/-"} {
		f.Add(s, 0, 1)
		f.Add(s+" tail", 2, 4)
	}
	f.Fuzz(func(t *testing.T, s string, from, to int) {
		lines, _ := statementLines(s, []approval.Span{{Start: from, End: to, Class: "x"}})
		for _, l := range lines {
			for _, p := range l {
				for _, r := range p.Text {
					if show.Deceiving(r) || r == '\n' {
						t.Fatalf("%U got through of %+q", r, s)
					}
				}
			}
		}
		if len(s) > maxShown {
			return
		}
		// without masks and escapes every byte comes out again, in order
		if plainText := func() bool {
			for _, r := range s {
				if show.Deceiving(r) {
					return false
				}
			}
			return utf8.ValidString(s)
		}(); plainText && !strings.ContainsRune(s, 0x301) {
			lines, _ := statementLines(s, nil)
			var out []string
			escaped := false
			for _, l := range lines {
				out = append(out, join(l))
				for _, p := range l {
					escaped = escaped || p.Class == "esc"
				}
			}
			if got := strings.Join(out, "\n"); !escaped && got != s {
				t.Fatalf("%+q came out as %+q", s, got)
			}
		}
	})
}
