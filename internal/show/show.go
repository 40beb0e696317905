// Package show makes text that agents wrote fit to be read: nothing in it can
// reorder, hide or imitate on any surface (Trojan Source, CVE-2021-42574).
// Each surface escapes its own markup besides.
package show

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Piece is a run of text with one look. Class is a CSS class of ours, never text of an agent.
type Piece struct{ Class, Text, Title string }

// maxMarks is how many combining marks one letter may have.
const maxMarks = 3

// The signs of ours for a line's end and a tab. Whoever writes one is shown its
// escape: "-- all of it ⏎ WHERE id = 1" must not look like two lines.
const newline, tab = '⏎', '⇥'

// Line splits at most max bytes of s into plain runs and escapes. Newlines and
// tabs become signs too: what is shown so is one line.
func Line(s string, max int) []Piece {
	short, cut := Bounded(s, max)
	out := Escapes(short, "")
	for i := range out {
		out[i].Text = strings.NewReplacer("\n", string(newline), "\t", string(tab)).Replace(out[i].Text)
	}
	if cut > 0 {
		out = append(out, Piece{"esc", "…", fmt.Sprintf("%s more bytes", Thousands(int64(cut)))})
	}
	return out
}

// Plain is Line without the markup.
func Plain(s string, max int) string {
	var b strings.Builder
	for _, p := range Line(s, max) {
		b.WriteString(p.Text)
	}
	return b.String()
}

// Bounded cuts s to at most max bytes at a rune's border, and tells how much was cut.
func Bounded(s string, max int) (string, int) {
	if len(s) <= max {
		return s, 0
	}
	n := max
	for n > 0 && n > max-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], len(s) - n
}

// Escapes shows each deceiving rune of s as an escape; the rest keeps class.
func Escapes(s, class string) []Piece {
	var out []Piece
	start, marks := 0, 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		if r == utf8.RuneError && n == 1 || Deceiving(r) || r == newline || r == tab || marks > maxMarks {
			if start < i {
				out = append(out, Piece{Class: class, Text: s[start:i]})
			}
			out = append(out, escape(r, s[i], n))
			start = i + n
		}
		i += n
	}
	if start < len(s) {
		out = append(out, Piece{Class: class, Text: s[start:]})
	}
	return out
}

func escape(r rune, first byte, n int) Piece {
	switch {
	case r == utf8.RuneError && n == 1:
		return Piece{"esc", fmt.Sprintf(`\x%02x`, first), "a byte that is not UTF-8"}
	case r > 0xffff:
		return Piece{"esc", fmt.Sprintf(`\U%08x`, r), fmt.Sprintf("%U, not visible", r)}
	}
	return Piece{"esc", fmt.Sprintf(`\u%04x`, r), fmt.Sprintf("%U, not visible or changes direction", r)}
}

// Deceiving reports runes that are invisible, look like a plain space, or
// change the order in which their neighbours are shown.
func Deceiving(r rune) bool {
	switch {
	case r == '\n' || r == '\t' || r == ' ':
		return false
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return true
	case unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Zs, unicode.Variation_Selector):
		return true
	}
	switch r { // letters and symbols that draw nothing
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0:
		return true
	}
	return !unicode.IsPrint(r) && !unicode.IsGraphic(r)
}

// Thousands writes n with commas.
func Thousands(n int64) string {
	s := fmt.Sprint(n)
	neg := strings.TrimPrefix(s, "-")
	sign := s[:len(s)-len(neg)]
	for i := len(neg) - 3; i > 0; i -= 3 {
		neg = neg[:i] + "," + neg[i:]
	}
	return sign + neg
}

// Text is s with escapes in place of what deceives and newlines kept: a block
// of several lines without markup. cut is how many bytes were beyond max.
func Text(s string, max int) (text string, cut int) {
	s, cut = Bounded(s, max)
	var b strings.Builder
	for _, p := range Escapes(s, "") {
		b.WriteString(p.Text)
	}
	return b.String(), cut
}

// Plural is a number with its noun: "1 row", "12,000 rows".
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Thousands(n) + " " + noun + "s"
}
