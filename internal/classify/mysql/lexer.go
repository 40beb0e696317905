package mysql

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokWord   tokenKind = iota // a keyword or an identifier without quotes
	tokQuoted                  // an identifier in backticks
	tokString
	tokNumber
	tokVar    // @x or @@x
	tokSymbol // one operator or punctuation mark
	tokParam  // ?
)

// A token is one lexical element. text is the word as written, the identifier without its
// quotes, the string's value; lower is a word in lower case.
type token struct {
	kind  tokenKind
	text  string
	lower string
	space bool // blanks or a comment stand before it
}

func (t *token) is(word string) bool { return t.kind == tokWord && t.lower == word }
func (t *token) sym(s string) bool   { return t.kind == tokSymbol && t.text == s }

// maxTokens bounds the tokens of a text that is parsed, and maxNesting its parentheses.
const (
	maxTokens  = 200_000
	maxNesting = 200
)

type lexer struct {
	s    string
	at   int
	out  []token
	why  string // why the text is not understood
	deep int
}

// lex splits a text by MySQL's lexical rules under UTF-8 (Reference Manual, "Language
// Structure"). why says what in it different servers or versions would read differently.
func lex(s string) (tokens []token, why string) {
	l := &lexer{s: s}
	for l.why == "" && l.next() {
		if len(l.out) > maxTokens {
			l.why = "the text is too long to be read"
		}
	}
	return l.out, l.why
}

func (l *lexer) peek(n int) byte {
	if l.at+n < len(l.s) {
		return l.s[l.at+n]
	}
	return 0
}

func (l *lexer) fail(why string) bool {
	l.why = why
	return false
}

// blanks skips what separates tokens; ok is false where it can't be told.
func (l *lexer) blanks() (some, ok bool) {
	for l.at < len(l.s) {
		switch c := l.s[l.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r':
			l.at++
		case c == '#', c == '-' && l.peek(1) == '-' && (l.at+2 == len(l.s) || l.peek(2) <= ' '):
			end := strings.IndexByte(l.s[l.at:], '\n')
			if end < 0 {
				l.at = len(l.s)
				return true, true
			}
			if strings.IndexByte(l.s[l.at:l.at+end], '\r') >= 0 {
				return true, l.fail("a comment with a carriage return in it")
			}
			l.at += end + 1
		case c == '/' && l.peek(1) == '*':
			switch l.peek(2) {
			case '!':
				return true, l.fail("a comment with code in it (/*!), which servers read by their version")
			case '+':
				return true, l.fail("an optimizer hint")
			case 'M', 'm':
				if l.peek(3) == '!' {
					return true, l.fail("a comment with code in it (/*M!), which MariaDB runs")
				}
			}
			end := strings.Index(l.s[l.at+2:], "*/")
			if end < 0 {
				return true, l.fail("a comment that does not end")
			}
			if strings.Contains(l.s[l.at+2:l.at+2+end], "/*") {
				return true, l.fail("a comment in a comment")
			}
			l.at += end + 4
		default:
			return some, true
		}
		some = true
	}
	return some, true
}

// next reads one token; false at the end, or where why says what is wrong.
func (l *lexer) next() bool {
	space, ok := l.blanks()
	if !ok || l.at >= len(l.s) {
		return false
	}
	c := l.s[l.at]
	switch {
	case c == '\'' || c == '"':
		return l.text(c, space)
	case c == '`':
		name, ok := l.quoted()
		if ok {
			l.push(token{kind: tokQuoted, text: name, space: space})
		}
		return ok
	case c == '@':
		return l.variable(space)
	case c >= '0' && c <= '9', c == '.' && isDigit(l.peek(1)):
		return l.number(space)
	case wordByte(c):
		return l.word(space)
	case c == '?':
		l.at++
		l.push(token{kind: tokParam, text: "?", space: space})
		return true
	}
	return l.symbol(space)
}

func (l *lexer) push(t token) { l.out = append(l.out, t) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '_' || c == '$' || c >= 0x80
}

// text reads a string. Strings that stand one behind the other are one (MySQL joins them).
func (l *lexer) text(quote byte, space bool) bool {
	var b strings.Builder
	l.at++
	for {
		if l.at >= len(l.s) {
			return l.fail("a string that does not end")
		}
		switch c := l.s[l.at]; {
		case c == quote && l.peek(1) == quote:
			b.WriteByte(quote)
			l.at += 2
		case c == quote:
			l.at++
			if n := len(l.out); n > 0 && l.out[n-1].kind == tokString {
				l.out[n-1].text += b.String()
				return true
			}
			l.push(token{kind: tokString, text: b.String(), space: space})
			return true
		case c == '\\':
			if l.at+1 >= len(l.s) {
				return l.fail("a string that does not end")
			}
			r, size := utf8.DecodeRuneInString(l.s[l.at+1:])
			b.WriteString(unescape(r))
			l.at += 1 + size
		default:
			b.WriteByte(c)
			l.at++
		}
	}
}

func unescape(r rune) string {
	switch r {
	case '0':
		return "\x00"
	case 'b':
		return "\b"
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case 'Z':
		return "\x1a"
	case '%', '_':
		return `\` + string(r)
	}
	return string(r)
}

// quoted reads an identifier in backticks.
func (l *lexer) quoted() (string, bool) {
	var b strings.Builder
	for l.at++; l.at < len(l.s); l.at++ {
		c := l.s[l.at]
		if c != '`' {
			b.WriteByte(c)
			continue
		}
		if l.peek(1) != '`' {
			l.at++
			name := b.String()
			if name == "" || strings.HasPrefix(name, "@") || strings.ContainsAny(name, "\x00\\`'\"") {
				return "", l.fail("a name that is empty, or has quotes, a backslash or an @ in it")
			}
			return name, true
		}
		b.WriteByte('`')
		l.at++
	}
	return "", l.fail("a name in quotes that does not end")
}

// variable reads @x, @'x', @`x` and @@x; the dots of @@session.x are in it.
func (l *lexer) variable(space bool) bool {
	start := l.at
	l.at++
	system := l.peek(0) == '@'
	if system {
		l.at++
	}
	from := l.at
	for l.at < len(l.s) && (wordByte(l.s[l.at]) || l.s[l.at] == '.') && l.s[l.at] < 0x80 {
		l.at++
	}
	if l.at == from || strings.HasSuffix(l.s[from:l.at], ".") || l.at < len(l.s) && (l.s[l.at] == '`' || l.s[l.at] >= 0x80) {
		return l.fail("a variable whose name is in quotes, or is none")
	}
	l.push(token{kind: tokVar, text: l.s[start:l.at], lower: strings.ToLower(l.s[start:l.at]), space: space})
	return true
}

// number reads a number. A word that begins with digits is a name to MySQL (1a), and
// 1.e is a number to some of its rules only, so neither is read.
func (l *lexer) number(space bool) bool {
	start := l.at
	if n := len(l.out); n > 0 && !space && (l.out[n-1].kind == tokWord || l.out[n-1].kind == tokQuoted || l.out[n-1].kind == tokVar || l.out[n-1].kind == tokNumber) || n > 0 && l.out[n-1].sym(".") {
		return l.fail("a name that begins with a digit")
	}
	digits := func(ok func(byte) bool) int {
		from := l.at
		for l.at < len(l.s) && ok(l.s[l.at]) {
			l.at++
		}
		return l.at - from
	}
	if l.s[l.at] == '0' && (l.peek(1) == 'x' || l.peek(1) == 'b') {
		hex := l.peek(1) == 'x'
		l.at += 2
		if digits(func(c byte) bool {
			return c == '0' || c == '1' || hex && (isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f')
		}) == 0 {
			return l.fail("a name that begins with a digit")
		}
	} else {
		digits(isDigit)
		if l.peek(0) == '.' {
			l.at++
			digits(isDigit)
		}
		if l.peek(0)|0x20 == 'e' {
			l.at++
			if l.peek(0) == '+' || l.peek(0) == '-' {
				l.at++
			}
			if digits(isDigit) == 0 {
				return l.fail("a name that begins with a digit")
			}
		}
	}
	if l.at < len(l.s) && (wordByte(l.s[l.at]) || l.s[l.at] == '.') {
		return l.fail("a name that begins with a digit")
	}
	l.push(token{kind: tokNumber, text: l.s[start:l.at], space: space})
	return true
}

func (l *lexer) word(space bool) bool {
	start := l.at
	for l.at < len(l.s) && wordByte(l.s[l.at]) {
		l.at++
	}
	w := l.s[start:l.at]
	if c := l.peek(0); c == '\'' && len(w) == 1 && strings.ContainsAny(w, "xXbB") {
		return l.fail("a literal in hexadecimal or binary quotes; 0x and 0b are read")
	}
	if (w == "n" || w == "N") && (l.peek(0) == '\'' || l.peek(0) == '"') {
		return l.fail("a national string")
	}
	l.push(token{kind: tokWord, text: w, lower: strings.ToLower(w), space: space})
	return true
}

// symbols of two and three bytes, longest first.
var symbols = []string{"<=>", "->>", "<<", ">>", "<=", ">=", "<>", "!=", ":=", "||", "&&", "->"}

// named reports whether a dot may stand here: behind a name, or in GRANT … ON *.*.
func (l *lexer) named() bool {
	n := len(l.out)
	if n == 0 {
		return false
	}
	last := &l.out[n-1]
	return last.kind == tokWord || last.kind == tokQuoted || last.sym("*") && (l.out[0].is("grant") || l.out[0].is("revoke"))
}

func (l *lexer) symbol(space bool) bool {
	for _, s := range symbols {
		if strings.HasPrefix(l.s[l.at:], s) {
			l.at += len(s)
			l.push(token{kind: tokSymbol, text: s, space: space})
			return true
		}
	}
	c := l.s[l.at]
	switch {
	case c == ';':
		l.at++
		if _, ok := l.blanks(); !ok {
			return false
		}
		if l.at < len(l.s) {
			return l.fail("more than one statement")
		}
		return false
	case strings.IndexByte("+-*/%=<>!&|^~(),.", c) < 0:
		return l.fail("a character that stands for nothing here")
	case c == '.' && !l.named():
		return l.fail("a dot that stands behind no name")
	case c == '(':
		if l.deep++; l.deep > maxNesting {
			return l.fail("nested too deeply")
		}
	case c == ')':
		l.deep--
	}
	l.at++
	l.push(token{kind: tokSymbol, text: string(c), space: space})
	return true
}

// glued are names that are functions only with their parenthesis directly behind them (Reference Manual,
// "Function Name Parsing and Resolution"; MariaDB has more of them than MySQL): with a blank between, the server
// calls a routine of that name that somebody made.
var glued = words(`adddate bit_and bit_or bit_xor cast count curdate curtime date_add date_sub extract group_concat max mid min now position session_user std stddev stddev_pop stddev_samp subdate substr
	substring sum sysdate system_user trim variance var_pop var_samp`,
	`add_months cume_dist date_format dense_rank first_value json_arrayagg json_objectagg lag last_value lead median nth_value ntile percent_rank percentile_cont percentile_disc rank row_number trim_oracle
	st_collect`)

// render writes tokens so that nobody can take them for others, and the same without literals.
func render(tokens []token) (text, shape string, why string) {
	var b, sh bytes.Buffer
	for i := range tokens {
		t := &tokens[i]
		after := i > 0 && tokens[i-1].sym(".")
		if i > 0 && !after && !(t.sym(".") || t.sym("(") && !t.space) {
			b.WriteByte(' ')
			sh.WriteByte(' ')
		}
		one := t.text
		if after && t.kind != tokWord && t.kind != tokQuoted && !t.sym("*") {
			return "", "", "a dot with no name behind it"
		}
		switch t.kind {
		case tokWord:
			if i+1 < len(tokens) && tokens[i+1].sym("(") && tokens[i+1].space && glued[t.lower] && !after {
				return "", "", "a blank between the name of a function and its parenthesis"
			}
			if after || strings.ContainsFunc(t.text, func(r rune) bool { return r == '$' || r >= 0x80 }) {
				one = "`" + t.text + "`"
			}
		case tokQuoted:
			if i+1 < len(tokens) && tokens[i+1].sym("(") && harmless[strings.ToLower(t.text)] {
				return "", "", "the name of a function in quotes" // which makes it a routine that somebody wrote
			}
			one = "`" + t.text + "`"
		case tokString:
			one = quote(t.text)
		}
		b.WriteString(one)
		switch t.kind {
		case tokString, tokNumber:
			sh.WriteByte('?')
		default:
			sh.WriteString(one)
		}
	}
	return b.String(), sh.String(), ""
}

// quote writes a string as a literal that every parser reads alike.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for i := range len(s) {
		switch c := s[i]; c {
		case '\'':
			b.WriteString("''")
		case '\\':
			b.WriteString(`\\`)
		case 0:
			b.WriteString(`\0`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

func words(list ...string) map[string]bool {
	m := map[string]bool{}
	for _, l := range list {
		for _, w := range strings.Fields(l) {
			m[w] = true
		}
	}
	return m
}
