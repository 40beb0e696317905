package detect

import (
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// unseen is what an escape stands for that shows nothing.
const unseen rune = -1

// unescape reads an escape at p: %40, %u0040, \x40, \u0040, \u{40}, \U00000040, \100, &#64;, &commat;,
// =40, or what tells a terminal how to show what follows. It returns the character, or a raw byte as its
// negative, and the size of the escape; 0 when there is none.
func (s *scan) unescape(p int) (rune, int) {
	switch s.at(p) {
	case '%':
		if s.at(p+1)|0x20 == 'u' {
			if v := s.hexDigits(p+2, 4); v >= 0 {
				return v, 6
			}
		}
		if v := s.hexDigits(p+1, 2); v >= 0 {
			return rawByte(v), 3
		}
	case '\\':
		return s.backslash(p)
	case '&':
		return s.entity(p)
	case '=':
		if s.printable(p) {
			return rawByte(s.hexDigits(p+1, 2)), 3
		}
	case 0x1b:
		if n := s.style(p); n > 0 {
			return unseen, n
		}
	}
	return 0, 0
}

// backslash reads the escapes that begin so.
func (s *scan) backslash(p int) (rune, int) {
	switch c := s.at(p + 1); c {
	case 'x', 'X':
		if v := s.hexDigits(p+2, 2); v >= 0 {
			return rawByte(v), 4
		}
	case '/':
		return '/', 2
	case '\\': // of an escape that is escaped itself
		if s.at(p+2) == 'u' && s.hexDigits(p+3, 4) >= 0 || s.at(p+2) == 'x' && s.hexDigits(p+3, 2) >= 0 {
			return unseen, 1
		}
	case 'U':
		if v := s.hexDigits(p+2, 8); v >= 0 && v <= unicode.MaxRune {
			return v, 10
		}
	case 'u':
		if s.at(p+2) == '{' {
			v := rune(0)
			for q := p + 3; q < p+10; q++ {
				d := rune(hexValue(s.at(q)))
				if d < 0 {
					if s.at(q) == '}' && q > p+3 && v <= unicode.MaxRune {
						return v, q + 1 - p
					}
					break
				}
				v = v<<4 | d
			}
			return 0, 0
		}
		v := s.hexDigits(p+2, 4)
		if utf16.IsSurrogate(v) && s.at(p+6) == '\\' && s.at(p+7) == 'u' {
			return utf16.DecodeRune(v, s.hexDigits(p+8, 4)), 12
		}
		if v >= 0 {
			return v, 6
		}
	case '0', '1', '2', '3':
		if a, b := s.at(p+2)-'0', s.at(p+3)-'0'; a < 8 && b < 8 {
			return rawByte(rune(c-'0')<<6 | rune(a)<<3 | rune(b)), 4
		}
	}
	return 0, 0
}

func rawByte(v rune) rune {
	if v >= utf8.RuneSelf {
		return -v
	}
	return v
}

// A reference is a name that HTML has for a character that matters here.
type reference struct {
	name string
	r    rune
}

var references = []reference{
	{"amp;", '&'},
	{"commat;", '@'},
	{"period;", '.'},
	{"lowbar;", '_'},
	{"hyphen;", '-'},
	{"dash;", '-'},
	{"nbsp;", ' '},
	{"colon;", ':'},
	{"sol;", '/'},
	{"num;", '#'},
	{"plus;", '+'},
	{"equals;", '='},
	{"quot;", '"'},
	{"shy;", unseen},
	{"zwj;", unseen},
	{"zwnj;", unseen},
	{"ensp;", ' '},
	{"emsp;", ' '},
	{"thinsp;", ' '},
}

// reference reads the name of a character at p, an '&'; nil: it is none of them, or an '&' that nothing follows.
func (s *scan) reference(p int) *reference {
	c := s.at(p + 1)
	if c < 'a' || c > 'z' {
		return nil
	}
	for i := range references {
		r := &references[i]
		if r.name[0] != c || !s.literal(p+1, r.name) {
			continue
		}
		if next := s.at(p + 5); r.r == '&' && next != '#' && (next < 'a' || next > 'z') {
			return nil
		}
		return r
	}
	return nil
}

// entity reads a character reference of HTML, as browsers do: the semicolon of a number may be missing.
func (s *scan) entity(p int) (rune, int) {
	from := p
	for p-from < 12 && s.literal(p+1, "amp;") && s.reference(p) != nil { // escaped again
		p += 4
	}
	if s.at(p+1) != '#' {
		if r := s.reference(p); r != nil {
			return r.r, p - from + 1 + len(r.name)
		}
		return 0, 0
	}
	q, base := p+2, rune(10)
	if s.at(q)|0x20 == 'x' {
		q, base = q+1, 16
	}
	v, n := rune(0), 0
	for ; n < 12 && v <= unicode.MaxRune; n++ {
		d := rune(hexValue(s.at(q)))
		if d < 0 || d >= base {
			break
		}
		v = v*base + d
		q++
	}
	if n == 0 || v > unicode.MaxRune {
		return 0, 0
	}
	if s.at(q) == ';' {
		q++
	}
	return v, q - from
}

// printable reports a byte as quoted-printable writes it at p: an '@' in an address, or one of a row. Alone,
// "=41" is what stands behind a name.
func (s *scan) printable(p int) bool {
	if !capitalHex(s.at(p+1)) || !capitalHex(s.at(p+2)) {
		return false
	}
	if s.at(p+3) == '=' && capitalHex(s.at(p+4)) && capitalHex(s.at(p+5)) || p >= 3 && s.t[p-3] == '=' && capitalHex(s.t[p-2]) && capitalHex(s.t[p-1]) {
		return true
	}
	return s.at(p+1) == '4' && s.at(p+2) == '0' && kinds[s.before(p)]&isWord != 0 && s.kind(p+3)&(isUp|isLow) != 0
}

func capitalHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

// styled reports that the text at p tells a terminal how to show what it stands beside.
func (s *scan) styled(p int) bool {
	n := s.style(p)
	return n > 0 && (kinds[s.before(p)]|s.kind(p+n))&(isWord|isHigh) != 0
}

// style returns the size of an order to a terminal at p (ECMA-48, CSI), 0 when there is none.
func (s *scan) style(p int) int {
	if s.at(p) != 0x1b || s.at(p+1) != '[' {
		return 0
	}
	q := p + 2
	for q < p+24 && (s.kind(q)&isDigit != 0 || s.at(q) == ';' || s.at(q) == ':' || s.at(q) == '?') {
		q++
	}
	if s.kind(q)&(isUp|isLow) == 0 {
		return 0
	}
	return q + 1 - p
}
