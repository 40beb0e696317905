package console

import (
	"sort"
	"strings"
	"unicode"

	"github.com/assenthq/assent/internal/approval"
)

// A Line is one line of a statement.
type Line []Piece

// statementLines colours a masked statement. It shows every byte: colours are a help
// for the eye and never decide what is left out. cut is how many bytes were
// too many to show.
func statementLines(text string, masked []approval.Span) (lines []Line, cut int) {
	return coloured(text, masked, token)
}

// linesOf is the statement of an action, coloured as SQL where it is SQL: in a command
// or a request -- begins no comment, and drop is no keyword.
func linesOf(a *approval.Approval, text string) (lines []Line, cut int) {
	if t := a.Resource.Type; t != "" && t != "postgres" {
		return coloured(text, a.Masked, word)
	}
	return coloured(text, a.Masked, token)
}

func coloured(text string, masked []approval.Span, token func(string, int) (string, int)) (lines []Line, cut int) {
	text, cut = bounded(text, maxShown)
	spans := sortedSpans(masked, len(text))
	lines = []Line{nil}
	add := func(p Piece) {
		for i, part := range strings.Split(p.Text, "\n") {
			if i > 0 {
				lines = append(lines, nil)
			}
			if part != "" {
				last := len(lines) - 1
				lines[last] = append(lines[last], Piece{p.Class, part, p.Title})
			}
		}
	}
	for pos := 0; pos < len(text); {
		class, end := token(text, pos)
		for pos < end {
			stop, chip := cutAt(spans, pos, end)
			if chip != nil {
				add(Piece{"mask", maskText(text[pos:stop], chip.Class), plain(chip.Class, 40)})
			} else {
				for _, p := range escapes(text[pos:stop], class) {
					add(oddLetters(p))
				}
			}
			pos = stop
		}
	}
	return lines, cut
}

// maskText is what stands in a chip beside the class: dots for a value of
// which nothing is left, else what is left of it.
func maskText(s, class string) string {
	if s == "[masked:"+class+"]" {
		return "••••"
	}
	return plain(s, maxTitle)
}

// sortedSpans returns the spans that lie inside a text of n bytes and don't overlap.
func sortedSpans(in []approval.Span, n int) []approval.Span {
	s := append([]approval.Span(nil), in...)
	sort.Slice(s, func(i, j int) bool { return s[i].Start < s[j].Start })
	var out []approval.Span
	at := 0
	for _, m := range s {
		if m.Start >= at && m.End > m.Start && m.End <= n {
			out, at = append(out, m), m.End
		}
	}
	return out
}

// cutAt tells how far from pos the look stays the same: inside a masked span
// to its end (the token goes on behind it), else to the next span or the token's end.
func cutAt(spans []approval.Span, pos, end int) (int, *approval.Span) {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].End > pos })
	if i == len(spans) {
		return end, nil
	}
	if m := &spans[i]; m.Start <= pos {
		return m.End, m
	}
	return min(end, spans[i].Start), nil
}

// oddLetters marks words with letters outside ASCII: "сustomers" with a
// Cyrillic с is another table.
func oddLetters(p Piece) Piece {
	if p.Class != "" && p.Class != "qid" {
		return p
	}
	for _, r := range p.Text {
		if r > 0x7f && unicode.IsLetter(r) {
			return Piece{"odd", p.Text, "has letters outside ASCII"}
		}
	}
	return p
}

// token returns the class and the end of the SQL token at pos (PostgreSQL
// documentation, section 4.1, Lexical Structure). An unfinished token reaches to the end.
func token(s string, pos int) (class string, end int) {
	rest := s[pos:]
	switch c := s[pos]; {
	case strings.HasPrefix(rest, "--"):
		return "com", pos + until(rest, "\n", 0)
	case strings.HasPrefix(rest, "/*"):
		return "com", pos + blockComment(rest)
	case c == '\'':
		return "str", pos + quoted(rest, '\'', 1, false)
	case (c == 'e' || c == 'E') && strings.HasPrefix(rest[1:], "'"):
		return "str", pos + quoted(rest, '\'', 2, true)
	case c == '"':
		return "qid", pos + quoted(rest, '"', 1, false)
	case c == '$':
		return dollar(s, pos)
	case c >= '0' && c <= '9':
		return "num", pos + run(rest, func(c byte) bool { return wordByte(c) || c == '.' })
	case wordByte(c):
		end = pos + run(rest, wordByte)
		if keywords[strings.ToLower(s[pos:end])] {
			return "kw", end
		}
		return "", end
	}
	return "", pos + max(1, run(rest, func(c byte) bool { return !wordByte(c) && !strings.ContainsRune(`'"$-/`, rune(c)) }))
}

// word returns the end of the word at pos, or of what stands between words.
func word(s string, pos int) (class string, end int) {
	in := wordByte(s[pos])
	return "", pos + run(s[pos:], func(c byte) bool { return wordByte(c) == in })
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

func run(s string, in func(byte) bool) int {
	for i := range len(s) {
		if !in(s[i]) {
			return i
		}
	}
	return len(s)
}

// until returns the index just before the next sep at or after from, else the length.
func until(s, sep string, from int) int {
	if i := strings.Index(s[from:], sep); i >= 0 {
		return from + i
	}
	return len(s)
}

// blockComment returns the length of a comment; they nest.
func blockComment(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// quoted returns the length of a literal whose text starts at from; a doubled
// quote is a quote, and so is one behind a backslash where those count.
func quoted(s string, quote byte, from int, backslash bool) int {
	for i := from; i < len(s); i++ {
		switch {
		case backslash && s[i] == '\\':
			i++
		case s[i] != quote:
		case i+1 < len(s) && s[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return len(s)
}

// dollar reads $1 or $tag$ … $tag$.
func dollar(s string, pos int) (string, int) {
	n := 1 + run(s[pos+1:], wordByte)
	tag := s[pos:min(len(s), pos+n+1)]
	if !strings.HasSuffix(tag, "$") || len(tag) < 2 || len(tag) > 2 && tag[1] >= '0' && tag[1] <= '9' {
		return "num", pos + n
	}
	end := until(s, tag, pos+len(tag))
	return "str", min(len(s), end+len(tag))
}

// keywords are the words worth a colour; which of them are reserved matters to the parser only.
var keywords = wordSet(`select insert update delete copy from where and or not in is null like ilike between exists
 into values set join left right full inner outer cross lateral on using group by order having limit offset fetch
 distinct all any as asc desc union intersect except with recursive returning case when then else end cast
 create alter drop truncate table view materialized index schema database role user function procedure trigger
 sequence type extension policy grant revoke to program stdout stdin format begin commit rollback
 savepoint release transaction declare cursor for close execute prepare deallocate discard explain analyze verbose
 vacuum lock listen notify do call show reset only if cascade restrict default primary key references unique check
 constraint add column rename owner superuser login password option admin true false interval timestamp
 window over partition rows range filter within merge matched nothing conflict security definer invoker language
 returns replace temp temporary unlogged local session authorization refresh reassign owned comment import foreign server`)

func wordSet(s string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(s) {
		out[w] = true
	}
	return out
}
