package detect

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxRegion  = 1024 // bytes of escaped text decoded at once
	maxEncoded = 2048 // characters of base64 or hex decoded at once
	overlap    = 512  // characters that two such windows share
)

// nested scans what was decoded and takes over the findings at the place they
// came from.
func (s *scan) nested() {
	if s.inner == nil {
		s.inner = new(scan)
	}
	in := s.inner
	in.reset(s.e, s.plain, s.found[:0])
	in.final, in.depth, in.every = true, s.depth+1, s.every
	in.steps()
	s.found = in.out
	if s.trace != nil {
		s.trace.decoded = true
		defer func() { s.trace.decoded = false }()
	}
	for _, f := range s.found {
		if f.End <= s.fresh {
			continue // of the words before, which are looked into by themselves
		}
		s.add(int(s.from[f.Start]), int(s.to[f.End-1]), f.Class, f.Score)
	}
}

func (s *scan) emit(c byte, from, to int) {
	s.plain = append(s.plain, c)
	s.from = append(s.from, int32(from))
	s.to = append(s.to, int32(to))
}

func (s *scan) clearPlain() {
	s.plain, s.from, s.to, s.fresh = s.plain[:0], s.from[:0], s.to[:0], 0
}

// openLeft returns how far back from i a candidate may reach that is found only
// at i or later: the bytes of an address or encoded word, and digits with spaces.
func (s *scan) openLeft(i int) int {
	p := i
	for p > 0 && i-p < maxBehind-utf8.UTFMax {
		c := s.t[p-1]
		if kinds[c]&(isLocal|isMark) == 0 && c != '/' {
			if !isSeparator(c) || p < 2 || kinds[s.t[p-2]]&(isDigit|isHigh) == 0 && !isSeparator(s.t[p-2]) {
				break
			}
		}
		p--
	}
	return p
}

// high handles a byte of 0x80 or more at i and returns where to go on.
func (s *scan) high(i int) int {
	disguised, size := s.disguised(i)
	if disguised && i >= s.seen {
		s.region(i)
	}
	return i + size
}

// disguised reports whether the character at i stands for another or for nothing,
// where that could matter, and returns its size. A dash or space matters between digits.
func (s *scan) disguised(i int) (bool, int) {
	s.at(i + utf8.UTFMax - 1)
	r, size := utf8.DecodeRune(s.t[i:min(i+utf8.UTFMax, len(s.t))])
	if overlaid(r) {
		return kinds[s.before(i)]&isDigit != 0, size
	}
	if !disguise(r) {
		return false, size
	}
	if dash(r) || r == 0xa0 || r >= 0x2000 && r <= 0x200a || r == 0x202f || r == 0x3000 {
		a, b := kinds[s.before(i)], s.kind(i+size)
		return a&(isWord|isHigh) != 0 && b&(isWord|isHigh) != 0 && (a|b)&(isDigit|isHigh) != 0, size
	}
	return true, size
}

// escaped handles a '%', '&' or '\' at i.
func (s *scan) escaped(i int) {
	if i < s.seen || s.depth >= maxDepth {
		return
	}
	if _, size := s.unescape(i); size > 0 {
		s.region(i)
	}
}

// region decodes the text around the escape or disguise at i, and scans it.
func (s *scan) region(i int) {
	if s.depth >= maxDepth {
		return
	}
	s.clearPlain()
	p := s.openLeft(i)
	for q := s.wordsBack(p); q < p; q++ {
		s.emit(s.t[q], q, q+1)
	}
	s.fresh = len(s.plain)
	end := i + maxRegion
	for p < end {
		c := s.at(p)
		if c >= utf8.RuneSelf {
			p += s.plainRune(p)
			continue
		}
		if r, size := s.unescape(p); size > 0 {
			s.emitRune(r, p, p+size)
			p += size
			continue
		}
		if c == 0 || kinds[c]&(isLocal|isMark) == 0 && c != '/' && !(isSeparator(c) && (s.digitAhead(p+1) || s.kind(p+1)&isUp != 0)) && p >= i {
			break
		}
		s.emit(c, p, p+1)
		p++
	}
	s.seen = p
	s.nested()
}

// wordsBack returns where the words begin that may speak of what begins at p.
func (s *scan) wordsBack(p int) int {
	q := max(0, p-wordsBefore)
	for q > 0 && q < p && kinds[s.t[q-1]]&(isWord|isHigh|isLocal|isMark) != 0 {
		q++
	}
	return q
}

// digitAhead reports whether a digit, or what may be one in disguise, is at p.
func (s *scan) digitAhead(p int) bool {
	c := s.at(p)
	if isSeparator(c) {
		c = s.at(p + 1)
	}
	return kinds[c]&(isDigit|isHigh) != 0 || c == '%' || c == '\\' || c == '&' || c == 0x1b
}

// emitRune takes a decoded character; below 0x100 it may as well be a byte of UTF-8.
func (s *scan) emitRune(r rune, from, to int) {
	switch {
	case r == unseen:
		return
	case r < 0:
		s.emit(byte(-r), from, to) // a raw byte
		return
	}
	var b [utf8.UTFMax]byte
	for _, c := range b[:utf8.EncodeRune(b[:], r)] {
		s.emit(c, from, to)
	}
}

// plainRune takes the character at p without its disguise and returns its size.
func (s *scan) plainRune(p int) int {
	s.at(p + utf8.UTFMax - 1)
	raw := s.t[p:min(p+utf8.UTFMax, len(s.t))]
	r, size := utf8.DecodeRune(raw)
	switch {
	case r == utf8.RuneError && size == 1:
		s.emit(raw[0], p, p+1)
	case invisible(r), overlaid(r) && len(s.plain) > 0 && kinds[s.plain[len(s.plain)-1]]&isDigit != 0:
	case dash(r):
		s.emit('-', p, p+size)
	case unicode.IsSpace(r):
		s.emit(' ', p, p+size)
	case r == 0x3002 || r == 0x00b7 || r == 0x30fb:
		s.emit('.', p, p+size)
	case disguise(r):
		plain := norm.NFKD.Properties(raw[:size]).Decomposition() // allocates nothing, unlike NFKC; ASCII is the same in both
		if plain == nil {
			plain = raw[:size]
		}
		for _, c := range string(plain) {
			if v := digitValue(c); v >= 0 {
				c = '0' + v
			}
			s.emitRune(c, p, p+size)
		}
	default:
		for k := range size {
			s.emit(raw[k], p+k, p+k+1)
		}
	}
	return size
}

// disguise reports characters that stand for others or for nothing: not the
// letters of any script, so that plain text in it costs nothing.
func disguise(r rune) bool {
	switch {
	case r < 0xa0:
		return false
	case r < 0x2000:
		return r == 0xa0 || r == 0xb7 || r == 0xb2 || r == 0xb3 || r == 0xb9 || invisible(r) || digitValue(r) >= 0
	case r < 0x2070: // spaces and dashes, not quotes and bullets
		return r < 0x2016 || r == 0x2024 || r == 0x2027 || r >= 0x2028 && r <= 0x202f || r == 0x2044 || r >= 0x205f
	case r < 0x2190: // superscript, letter-like, but no signs of currencies
		return r < 0x20a0 || r >= 0x20d0
	case r < 0x3000: // minus, slash, ratio, enclosed, digits in circles
		return r == 0x2212 || r == 0x2215 || r == 0x2236 || r >= 0x2460 && r < 0x2500 || r >= 0x2c00 && digitValue(r) >= 0
	case r <= 0x3002, r == 0x30fb:
		return true
	case r >= 0xfe00 && r <= 0xffef: // presentation and full-width forms
		return true
	case r >= 0x1d400 && r <= 0x1d7ff, r >= 0x1f100 && r <= 0x1f1ff, r >= 0x1fbf0 && r <= 0x1fbf9:
		return true
	}
	return invisible(r) || digitValue(r) >= 0
}

// invisible reports characters that show nothing: zero width, bidi, tags, joiners.
func invisible(r rune) bool {
	return r == 0xad || r == 0x34f || r == 0x61c || r == 0x180e || r >= 0x180b && r <= 0x180d ||
		r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x206f ||
		r >= 0x334 && r <= 0x338 || r >= 0x20d0 && r <= 0x20ff || // strokes through what they stand on, and frames
		r >= 0xfe00 && r <= 0xfe0f || r == 0xfeff || r >= 0xe0000 && r <= 0xe0fff
}

// overlaid reports accents that stand on the character before: of a letter they are a part, of a digit they are none.
func overlaid(r rune) bool { return r >= 0x300 && r <= 0x36f && !invisible(r) }

func dash(r rune) bool {
	return r >= 0x2010 && r <= 0x2015 || r == 0x2212 || r == 0xfe58 || r == 0xfe63 || r == 0xff0d
}

// digitValue returns the value of a decimal digit of any script, or -1. The
// ranges of Nd begin with a zero and are whole sets of ten.
func digitValue(r rune) rune {
	if r >= '0' && r <= '9' {
		return r - '0'
	}
	if r < 0x660 {
		return -1
	}
	if r <= 0xffff {
		for _, set := range unicode.Nd.R16 {
			if rune(set.Lo) <= r && r <= rune(set.Hi) {
				return (r - rune(set.Lo)) % 10
			}
		}
		return -1
	}
	for _, set := range unicode.Nd.R32 {
		if rune(set.Lo) <= r && r <= rune(set.Hi) {
			return (r - rune(set.Lo)) % 10
		}
	}
	return -1
}

func (s *scan) hexDigits(p, n int) rune {
	v := rune(0)
	for k := range n {
		d := hexValue(s.at(p + k))
		if d < 0 {
			return -1
		}
		v = v<<4 | rune(d)
	}
	return v
}

// hex tries the word [i, j) as hex-encoded text, after an "x" or "0x".
func (s *scan) hex(i, j int) int {
	if s.t[i] == '0' && s.at(i+1) == 'x' {
		i += 2
	} else if s.t[i] == 'x' {
		i++
	}
	if (j-i)%2 != 0 && j-i < maxEncoded {
		return 0
	}
	return s.hexRun(i)
}

// hexRun decodes hex digits from i as long as they are text. It returns where
// to go on, or 0 when they are not.
func (s *scan) hexRun(i int) int {
	if s.depth >= maxDepth {
		return 0
	}
	s.clearPlain()
	p, text := i, wideness{}
	for p-i < maxEncoded {
		v := s.hexDigits(p, 2)
		if v < 0 {
			break
		}
		is, shown := text.next(byte(v))
		if !is {
			return 0
		}
		if shown {
			s.emit(byte(v), p, p+2)
		}
		p += 2
	}
	if len(s.plain) < 6 {
		return 0
	}
	s.nested()
	if p-i >= maxEncoded {
		return p - overlap // what remains is a word of its own
	}
	s.seam(i, p, 4)
	return p
}

// base64 decodes a run from i as long as it is text. It returns where to go
// on, or 0 when it is not.
func (s *scan) base64(i int) int {
	going := s.run == i && i > 0
	s.run = 0
	if s.depth >= maxDepth {
		return 0
	}
	if next := s.packed(i); next > 0 {
		return next
	}
	s.clearPlain()
	p, acc, bits := i, uint32(0), 0
	text := wideness{}
	for p-i < maxEncoded {
		v := base64Value(s.at(p))
		if v < 0 {
			break
		}
		acc, bits = acc<<6|uint32(v), bits+6
		p++
		if bits >= 8 {
			bits -= 8
			c := byte(acc >> bits)
			is, shown := text.next(c)
			if !is {
				return 0
			}
			if shown {
				s.emit(c, p-2, p)
			}
		}
	}
	if len(s.plain) < 6 && !going {
		return 0
	}
	s.nested()
	if p-i >= maxEncoded {
		s.run = p - overlap
		return s.run
	}
	s.seam(i, p, 6)
	return p
}

// base64Values are the values of base64 and base64url, -1 of other bytes.
var base64Values = func() (t [256]int8) {
	for c := range 256 {
		t[c] = -1
	}
	for v, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = int8(v)
	}
	t['-'], t['_'] = 62, 63
	return t
}()

func base64Value(c byte) int { return int(base64Values[c]) }

// likeness tells text from other bytes: it has no control characters but those
// of lines, and of its bytes at most one in eight is not UTF-8, as in text of
// another encoding. A window may cut the first character.
type likeness struct {
	good, bad int
	more      int // bytes of a character that are still to come
}

// next takes a byte and reports whether it still is text.
func (l *likeness) next(c byte) bool {
	switch {
	case c < 0x80:
		l.bad += max(l.more, 0)
		l.more = 0
		l.good++
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	case c < 0xc0 && l.more > 0:
		l.more--
		l.good++
	case c < 0xc0 && l.good == 0 && l.bad == 0 && l.more > -3:
		l.more-- // the rest of a character
	case c >= 0xf5:
		return false
	default:
		l.bad += max(l.more, 0)
		l.more = 0
		switch {
		case c >= 0xf0:
			l.more = 3
		case c >= 0xe0:
			l.more = 2
		case c >= 0xc2:
			l.more = 1
		default:
			l.bad++
		}
	}
	return l.bad*8 <= l.good+8
}

// wideness is likeness that also knows UTF-16 of ASCII, with its mark or without.
type wideness struct {
	likeness
	n     int  // bytes so far
	first byte // of them
	zero  int  // 1 or 2: this one of each two is none; 0: it is no UTF-16
}

// looksWide reports that what begins with two bytes may be UTF-16 of ASCII.
func looksWide(a, b byte) bool {
	return a == 0 && b > 0 && b < 0x80 || b == 0 && a > 0 && a < 0x80 || a^b == 1 && min(a, b) == 0xfe
}

// next takes a byte, and reports whether it still is text, and whether the byte is one of it.
func (w *wideness) next(c byte) (is, shown bool) {
	n := w.n
	w.n++
	switch {
	case w.zero != 0 && n&1 == w.zero-1:
		return c == 0, false
	case w.zero != 0:
		return w.likeness.next(c) && c < 0x80, true
	case n == 0 && (c == 0 || c >= 0xfe):
		w.first = c
		return true, false
	case n == 0:
		w.first = c
	case n == 1 && looksWide(w.first, c):
		if w.zero = 2; w.first == 0 || w.first == 0xfe {
			w.zero = 1
		}
		if c == 0 || c >= 0x80 {
			return true, false
		}
	case n == 1 && (w.first == 0 || w.first >= 0xfe):
		return false, false
	}
	return w.likeness.next(c), true
}
