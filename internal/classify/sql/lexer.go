package sql

import (
	"strings"
	"unicode/utf8"
)

// The lexer reads PostgreSQL's lexical structure (manual section 4.1, with
// standard_conforming_strings on). It decides nothing: it keys the cache and
// bounds the nesting that the parser is asked to take.

// tokenKind is what next found.
type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokSpace
	tokComment
	tokWord    // identifier or keyword
	tokQuoted  // "identifier"
	tokString  // '…', the plain form
	tokOther   // E'…', U&'…', B'…', X'…', N'…', $tag$…$tag$
	tokUnicode // U&"…": its meaning depends on a later UESCAPE
	tokNumber  // a plain run of digits
	tokOddNum  // any other number
	tokParam   // $1
	tokOp
	tokOpen  // ( [
	tokClose // ) ]
	tokComma
	tokSemi
	tokBad // an unterminated string, comment or identifier: the rest of the text
)

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}
func isWord(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' }

func isOp(c byte) bool {
	switch c {
	case '~', '!', '@', '#', '^', '&', '|', '`', '?', '+', '-', '*', '/', '%', '<', '>', '=':
		return true
	}
	return false
}

// at returns s[i], or 0 past the end.
func at(s string, i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

// next returns the token of s at i and where it ends.
func next(s string, i int) (tokenKind, int) {
	if i >= len(s) {
		return tokEOF, i
	}
	switch c := s[i]; {
	case isSpace(c):
		for i < len(s) && isSpace(s[i]) {
			i++
		}
		return tokSpace, i
	case c == '-' && at(s, i+1) == '-':
		for i < len(s) && s[i] != '\n' && s[i] != '\r' { // a lone \r ends it too
			i++
		}
		return tokComment, i
	case c == '/' && at(s, i+1) == '*':
		return blockComment(s, i)
	case c == '\'':
		return quoted(s, i+1, '\'', tokString)
	case c == '"':
		return quoted(s, i+1, '"', tokQuoted)
	case isDigit(c):
		return number(s, i)
	case c == '.' && isDigit(at(s, i+1)):
		return tokOp, i + 1
	case c == '$':
		return dollar(s, i)
	case isWordStart(c):
		return word(s, i)
	case c == '(' || c == '[':
		return tokOpen, i + 1
	case c == ')' || c == ']':
		return tokClose, i + 1
	case c == ',':
		return tokComma, i + 1
	case c == ';':
		return tokSemi, i + 1
	default:
		return tokOp, operator(s, i)
	}
}

// operator returns the end of a run of operator characters; -- and /* end it.
func operator(s string, i int) int {
	start := i
	for i < len(s) && isOp(s[i]) {
		if two := s[i:min(i+2, len(s))]; i > start && (two == "--" || two == "/*") {
			break
		}
		i++
	}
	return max(i, start+1)
}

func blockComment(s string, i int) (tokenKind, int) {
	depth := 0
	for i < len(s) {
		switch {
		case s[i] == '/' && at(s, i+1) == '*':
			depth++
			i += 2
		case s[i] == '*' && at(s, i+1) == '/':
			depth--
			i += 2
			if depth == 0 {
				return tokComment, i
			}
		default:
			i++
		}
	}
	return tokBad, len(s)
}

// quoted ends at an undoubled quote.
func quoted(s string, i int, quote byte, kind tokenKind) (tokenKind, int) {
	for i < len(s) {
		if s[i] == quote {
			if at(s, i+1) != quote {
				return kind, i + 1
			}
			i++
		}
		i++
	}
	return tokBad, len(s)
}

// escaped ends at an undoubled quote that no backslash escapes.
func escaped(s string, i int) (tokenKind, int) {
	for i < len(s) {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '\'' && at(s, i+1) == '\'':
			i++
		case s[i] == '\'':
			return tokOther, i + 1
		}
		i++
	}
	return tokBad, len(s)
}

func number(s string, i int) (tokenKind, int) {
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	if c := at(s, i); !isWord(c) && c != '.' {
		return tokNumber, i
	}
	// 1.5, 1e5, 0x1F, 1_000, 12abc: what exactly differs between versions.
	for i < len(s) && (isWord(s[i]) || s[i] == '.') {
		i++
	}
	return tokOddNum, i
}

func dollar(s string, i int) (tokenKind, int) {
	j := i + 1
	if isDigit(at(s, j)) {
		for j < len(s) && isDigit(s[j]) {
			j++
		}
		return tokParam, j
	}
	for j < len(s) && (isWordStart(s[j]) || isDigit(s[j])) {
		j++
	}
	if at(s, j) != '$' {
		return tokOp, i + 1
	}
	tag := s[i : j+1]
	for k := j + 1; k+len(tag) <= len(s); k++ {
		if s[k:k+len(tag)] == tag {
			return tokOther, k + len(tag)
		}
	}
	return tokBad, len(s)
}

func word(s string, i int) (tokenKind, int) {
	if at(s, i+1) == '\'' {
		switch s[i] | 0x20 {
		case 'e':
			return escaped(s, i+2)
		case 'b', 'x', 'n':
			return quoted(s, i+2, '\'', tokOther)
		}
	}
	if s[i]|0x20 == 'u' && at(s, i+1) == '&' {
		switch at(s, i+2) {
		case '\'':
			return quoted(s, i+3, '\'', tokUnicode)
		case '"':
			return quoted(s, i+3, '"', tokUnicode)
		}
	}
	for i < len(s) && isWord(s[i]) {
		i++
	}
	return tokWord, i
}

// appendNormal appends s with plain strings and plain integers blanked out.
// All else, white space and comments too, is kept: that keeps apart what the
// grammar keeps apart. ok is false where a literal may be more than a value.
func appendNormal(b []byte, s string) (_ []byte, ok bool) {
	for i := 0; ; {
		kind, end := next(s, i)
		switch kind {
		case tokEOF:
			return b, true
		case tokString:
			if !utf8.ValidString(s[i:end]) || strings.IndexByte(s[i:end], 0) >= 0 {
				return b, false // such a text is refused, another one of this form is not
			}
			b = append(b, '\'', '\'')
		case tokNumber:
			b = append(b, '0')
		case tokSemi:
			if !blank(s[end:]) {
				return b, false // where each of several statements begins depends on literals
			}
			b = append(b, ';')
		case tokBad, tokUnicode:
			return b, false
		default:
			b = append(b, s[i:end]...)
		}
		i = end
	}
}

// blank reports whether s is white space and comments only.
func blank(s string) bool {
	for i := 0; ; {
		kind, end := next(s, i)
		switch kind {
		case tokEOF:
			return true
		case tokSpace, tokComment:
			i = end
		default:
			return false
		}
	}
}

// maxNesting bounds how deep the parser's tree can get, in tokens. libpg_query
// writes its tree by recursion: SELECT 1+1+…+1 with 100,000 terms overflows the
// C stack and kills the process, and from some 4,000 nested tokens on the
// WebAssembly build traps.
const maxNesting = 1500

// tooDeep reports whether s may nest deeper than maxNesting. A comma never
// deepens a tree, everything else might: so it adds up, over all open brackets,
// the tokens since the last comma.
func tooDeep(s string) bool {
	var open []int
	total, here := 0, 0
	for i := 0; ; {
		kind, end := next(s, i)
		switch kind {
		case tokEOF:
			return false
		case tokBad:
			return true // no statement; and where it ends is a guess
		case tokSpace, tokComment:
		case tokComma:
			total, here = total-here, 0
		case tokSemi:
			open, total, here = open[:0], 0, 0
		case tokOpen:
			open = append(open, here+1)
			total, here = total+1, 0
		case tokClose:
			total -= here
			here = 0
			if n := len(open); n > 0 {
				here, open = open[n-1], open[:n-1]
			}
		default:
			total, here = total+1, here+1
		}
		if total > maxNesting {
			return true
		}
		i = end
	}
}
