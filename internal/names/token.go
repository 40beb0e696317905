package names

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Sorts of tokens.
const (
	aWord = iota
	aNumber
	aMark
	aBreak // one or more ends of line
)

// Shapes of words; a number's shape is its length, from shapeDigits on.
const (
	shapeLower = iota
	shapeTitle
	shapeUpper
	shapeInitial // one capital
	shapeMixed
	shapeOther // of a script without capitals
	shapeMark
	shapeBreak
	shapeDigits
)

// A token is a word, a number, a mark or an end of line.
type token struct {
	start, end int32  // in the segment
	from, to   int32  // in the folded text
	hash       uint32 // of the folded text
	key        uint32 // the word before the last ':' or '=' of this line
	since      uint8  // tokens since that, up to 3
	sort       uint8
	shape      uint8
	bits       uint8 // what the lists say
	line       uint8 // how the line is written
	glued      bool  // nothing is between it and the token before
	ident      bool  // it is part of an identifier
	code       bool  // or its line is of a programming language
	active     bool  // it is near something that may be a name
}

// Text is one segment cut into tokens. It is used again and again, by one goroutine.
type Text struct {
	tokens []token
	folded []byte
	codes  int // lines that look like code, and words that are written like names in programs
	work   work
}

// Len is the number of tokens.
func (t *Text) Len() int { return len(t.tokens) }

// Bounds returns the place of token i in the segment.
func (t *Text) Bounds(i int) (start, end int) { return int(t.tokens[i].start), int(t.tokens[i].end) }

// Active reports whether token i is looked at.
func (t *Text) Active(i int) bool { return t.tokens[i].active }

// Forget clears what t keeps of a text.
func (t *Text) Forget() { clear(t.folded[:cap(t.folded)]) }

// Read cuts seg into tokens.
func (t *Text) Read(seg []byte, l *Lists) {
	t.tokens, t.folded, t.codes = t.tokens[:0], t.folded[:0], 0
	glued := false
	for i := 0; i < len(seg); {
		c := seg[i]
		switch {
		case c == '\n' || c == '\r':
			i = t.newline(seg, i, i+1)
			glued = false
			continue
		case c <= ' ':
			i++
			glued = false
			continue
		case c == '\\' && i+1 < len(seg) && (seg[i+1] == 'n' || seg[i+1] == 'r'):
			i = t.newline(seg, i, i+2)
			glued = false
			continue
		case c == '\\' && i+1 < len(seg) && (seg[i+1] == 't' || seg[i+1] == '"' || seg[i+1] == '/'):
			i += 2
			glued = false
			continue
		}
		r, size := runeAt(seg, i)
		if space(r) {
			i += size
			glued = false
			continue
		}
		k := token{start: int32(i), from: int32(len(t.folded)), glued: glued}
		switch {
		case r >= '0' && r <= '9' && size == 1: // not one that is escaped: its bytes are none
			i = t.number(seg, i, &k)
		case letter(r):
			i = t.word(seg, i, &k)
			k.bits = l.of(k.hash)
		default:
			t.folded = utf8.AppendRune(t.folded, r)
			k.sort, k.shape, k.hash = aMark, shapeMark, hash(t.folded[k.from:])
			i += size
		}
		k.end, k.to = int32(i), int32(len(t.folded))
		t.tokens = append(t.tokens, k)
		glued = true
	}
	t.mark(seg)
}

func (t *Text) newline(seg []byte, i, end int) int {
	if n := len(t.tokens); n > 0 && t.tokens[n-1].sort == aBreak {
		t.tokens[n-1].end = int32(end)
		return end
	}
	at := int32(len(t.folded))
	t.tokens = append(t.tokens, token{start: int32(i), end: int32(end), from: at, to: at, sort: aBreak, shape: shapeBreak, hash: 10})
	return end
}

func (t *Text) number(seg []byte, i int, k *token) int {
	n := 0
	for i < len(seg) && seg[i] >= '0' && seg[i] <= '9' {
		i++
		n++
	}
	k.sort, k.shape = aNumber, uint8(shapeDigits+min(n, 12))
	k.hash = uint32(k.shape)
	return i
}

// word reads letters, with an apostrophe between two of them, as in O'Brien.
func (t *Text) word(seg []byte, i int, k *token) int {
	begin, n, upper, lower := i, 0, 0, 0
	firstUpper, other := seg[i] >= 'A' && seg[i] <= 'Z', false
	for ; i < len(seg) && i-begin <= 64; i++ { // most words are plain
		c := seg[i]
		if c|0x20 < 'a' || c|0x20 > 'z' {
			break
		}
		if c >= 'a' {
			lower++
		} else {
			upper++
		}
		t.folded = append(t.folded, c|0x20)
		n++
	}
	for i < len(seg) && i-begin <= 64 {
		r, size := runeAt(seg, i)
		if !letter(r) && (n == 0 || !apostrophe(r) || !letterAfter(seg, i+size)) {
			break
		}
		if n > 0 && ideograph(r) != other && ideograph(r) || other && n > 0 {
			break // one token for each
		}
		other = ideograph(r)
		switch {
		case r >= utf8.RuneSelf && unicode.IsUpper(r), r >= 'A' && r <= 'Z':
			upper++
			firstUpper = firstUpper || n == 0
		case r >= utf8.RuneSelf && unicode.IsLower(r), r >= 'a' && r <= 'z':
			lower++
		}
		if !apostrophe(r) {
			t.folded = fold(t.folded, r)
		}
		n++
		i += size
	}
	k.sort, k.hash = aWord, hash(t.folded[k.from:])
	switch {
	case upper+lower == 0:
		k.shape = shapeOther
	case upper == 0:
		k.shape = shapeLower
	case upper == 1 && lower == 0:
		k.shape = shapeInitial
	case lower == 0:
		k.shape = shapeUpper
	case firstUpper && (upper == 1 || upper == 2 && inner(t.folded[k.from:])):
		k.shape = shapeTitle
	default:
		k.shape = shapeMixed
	}
	return i
}

// inner reports names that have a capital within: McDonald, O'Brien, DeLuca.
func inner(folded []byte) bool {
	for _, p := range []string{"mc", "mac", "o", "d", "de", "di", "du", "la", "le", "van", "von", "fitz", "el", "al", "mb", "n"} {
		if len(folded) > len(p)+2 && string(folded[:len(p)]) == p {
			return true
		}
	}
	return false
}

// runeAt reads the character at i, written as \u00e9 too.
func runeAt(seg []byte, i int) (rune, int) {
	c := seg[i]
	if c == '\\' && i+5 < len(seg) && seg[i+1] == 'u' {
		v := rune(0)
		for _, d := range seg[i+2 : i+6] {
			x := hexValue(d)
			if x < 0 {
				return '\\', 1
			}
			v = v<<4 | x
		}
		return v, 6
	}
	if c < utf8.RuneSelf {
		return rune(c), 1
	}
	return utf8.DecodeRune(seg[i:])
}

func hexValue(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return -1
}

func letterAfter(seg []byte, i int) bool {
	if i >= len(seg) {
		return false
	}
	r, _ := runeAt(seg, i)
	return letter(r)
}

func letter(r rune) bool {
	if r < utf8.RuneSelf {
		return r|0x20 >= 'a' && r|0x20 <= 'z'
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsMark(r))
}

func apostrophe(r rune) bool { return r == '\'' || r == 0x2019 }

func space(r rune) bool {
	return r == 0xa0 || r >= 0x2000 && r <= 0x200f || r == 0x202f || r == 0x3000 || r == 0xfeff
}

// ideograph reports characters that are words, or parts of them, without spaces between.
func ideograph(r rune) bool {
	return r >= 0x3400 && (r <= 0x9fff || r >= 0xf900 && r <= 0xfaff || r >= 0x20000 && r <= 0x3ffff) || r >= 0x3040 && r <= 0x309f
}

// base is the letter under the accents of Latin letters.
var base = func() (t [0x250]byte) {
	for r := range rune(len(t)) {
		d := norm.NFD.PropertiesString(string(r)).Decomposition()
		for len(d) > 0 && d[0] >= utf8.RuneSelf { // a letter with two accents
			again, _ := utf8.DecodeRune(d)
			if next := norm.NFD.PropertiesString(string(again)).Decomposition(); next != nil {
				d = next
				continue
			}
			break
		}
		if len(d) > 0 && letter(rune(d[0])) {
			t[r] = d[0] | 0x20
		}
	}
	for _, pair := range []string{"øo", "Øo", "łl", "Łl", "đd", "Đd", "ðd", "Ðd", "þt", "Þt", "ßs", "æa", "Æa", "œo", "Œo", "ıi", "ħh", "Ħh"} {
		r, size := utf8.DecodeRuneInString(pair)
		t[r] = pair[size]
	}
	return t
}()

// fold appends r in lower case and without accents.
func fold(dst []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		return append(dst, byte(r)|0x20)
	}
	if int(r) < len(base) && base[r] != 0 {
		return append(dst, base[r])
	}
	if unicode.IsMark(r) {
		return dst
	}
	return utf8.AppendRune(dst, unicode.ToLower(r))
}

// Fold is the form of a word under which lists know it, and its hash.
func Fold(word string) uint32 {
	var b []byte
	for _, r := range word {
		if letter(r) {
			b = fold(b, r)
		}
	}
	return hash(b)
}

func hash(b []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h ^ h>>15
}

// Hide takes from the words at the given offsets what the lists say of them.
// Training uses it: a name that no list has is a name too.
func (t *Text) Hide(at func(start int) bool) {
	for i := range t.tokens {
		if k := &t.tokens[i]; at(int(k.start)) {
			k.bits &= isCommon
		}
	}
	for i := range t.tokens {
		t.tokens[i].active = false
	}
	t.activate()
}
