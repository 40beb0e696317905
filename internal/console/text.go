package console

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Piece is a run of text with one look. Class is a CSS class of ours, never text of an agent.
type Piece struct{ Class, Text, Title string }

const (
	maxTitle = 300     // bytes of a title or condition that are shown
	maxName  = 120     // bytes of a name or URN in the sentence at the top; the tooltip has more
	maxClaim = 4_000   // bytes of an agent's own words that are shown
	maxMarks = 3       // combining marks on one letter
	maxShown = 200_000 // bytes of a statement; a longer one can't be approved here, because it can't be read
)

// visible splits agent-controlled text into plain runs and escapes, so that
// nothing in it can reorder, hide or imitate (Trojan Source, CVE-2021-42574).
// Newlines and tabs become escapes too: what is shown so is one line.
func visible(s string, max int) []Piece {
	short, cut := bounded(s, max)
	out := escapes(short, "")
	for i := range out {
		out[i].Text = strings.NewReplacer("\n", "⏎", "\t", "⇥").Replace(out[i].Text)
	}
	if cut > 0 {
		out = append(out, Piece{"esc", "…", fmt.Sprintf("%s more bytes", thousands(int64(cut)))})
	}
	return out
}

// plain is visible without the markup, for attributes and page titles.
func plain(s string, max int) string {
	var b strings.Builder
	for _, p := range visible(s, max) {
		b.WriteString(p.Text)
	}
	return b.String()
}

// bounded cuts s to at most max bytes at a rune's border, and tells how much was cut.
func bounded(s string, max int) (string, int) {
	if len(s) <= max {
		return s, 0
	}
	n := max
	for n > 0 && n > max-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], len(s) - n
}

// escapes shows each deceiving rune of s as an escape; the rest keeps class.
func escapes(s, class string) []Piece {
	var out []Piece
	start, marks := 0, 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		if r == utf8.RuneError && n == 1 || deceiving(r) || marks > maxMarks {
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

// deceiving reports runes that are invisible, look like a plain space, or
// change the order in which their neighbours are shown.
func deceiving(r rune) bool {
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

// thousands writes n with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	neg := strings.TrimPrefix(s, "-")
	sign := s[:len(s)-len(neg)]
	for i := len(neg) - 3; i > 0; i -= 3 {
		neg = neg[:i] + "," + neg[i:]
	}
	return sign + neg
}
