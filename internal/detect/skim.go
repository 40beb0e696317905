package detect

import (
	"bytes"
	"math/bits"
)

// lookAhead is what skim may have to know of the bytes behind a position to pass over it.
const lookAhead = 128

// skim does what each does, but visits only the positions where a step could
// find something or begin what a later one goes on with. In text that is not
// complete it stops some way before its end, at a place where each can go on.
func (s *scan) skim() {
	end := len(s.t)
	if !s.final {
		end -= lookAhead
	}
	if !s.forced() {
		return
	}
	pos := s.i
	k := &s.skimmer
	k.begin(s, pos)
	for pos < end {
		n := (end - pos) >> 6
		if s.final && (end-pos)&63 != 0 {
			n++
		}
		if n = min(n, blocksAtOnce); n == 0 {
			break
		}
		k.fill(s, pos, n)
		for b := range n {
			if at := pos + b<<6; s.i < at+64 {
				for m := k.look(s, at, &k.blocks[b], &k.blocks[b+1]); m != 0; {
					p := at + bits.TrailingZeros64(m)
					if p >= s.i {
						if kinds[s.t[p]]&isWord != 0 {
							p = s.wordStart(p)
						}
						s.i = p
						if !s.visit() || !s.forced() {
							return
						}
					}
					if m &= m - 1; s.i > at {
						m = m >> min(s.i-at, 64) << min(s.i-at, 64)
					}
				}
			}
			k.carry(&k.blocks[b])
		}
		pos += n << 6
	}
	if pos > s.i {
		s.i = s.backTo(min(pos, len(s.t)))
	}
}

// backTo returns where each may begin, so that it sees the word or escape around p whole.
func (s *scan) backTo(p int) int {
	if p >= len(s.t) {
		return p
	}
	if kinds[s.t[p]]&isWord != 0 {
		p = s.wordStart(p)
	}
	if p > s.i && s.t[p-1] == '\\' {
		p--
	}
	return p
}

// wordStart returns where the word around p begins, but nothing before s.i.
func (s *scan) wordStart(p int) int {
	for p > s.i && kinds[s.t[p-1]]&isWord != 0 && !s.escapeLetter(p-1) {
		p--
	}
	return p
}

// escapeLetter reports whether the byte at p is the last one of "\n", "\r" or "\t".
func (s *scan) escapeLetter(p int) bool {
	return p > 0 && s.t[p-1] == '\\' && (s.t[p] == 'n' || s.t[p] == 'r' || s.t[p] == 't')
}

// forced visits positions for as long as what the last step left wants them
// visited. It returns false when a step wants bytes that are not there yet.
func (s *scan) forced() bool {
	for s.i > 0 && s.i < len(s.t) && (s.run == s.i || s.pem == s.i ||
		kinds[s.t[s.i]]&isWord != 0 && (kinds[s.t[s.i-1]]&isWord != 0 || s.t[s.i-1] == '\\')) {
		if !s.visit() {
			return false
		}
	}
	return true
}

// A skimmer is what skim keeps from one block to the next.
type skimmer struct {
	blocks   [blocksAtOnce + 1]block
	last     [64]byte // bytes of a block that the text does not fill
	from, to int      // the bytes of the text that they tell of
	provider int      // where the newest name of a provider stands
	carried
}

// carried are the last bits of the block before.
type carried struct {
	word, base64, letter, low, back, tail uint64
	smear                                 uint64 // in what stands behind the name of a secret
}

func (k *skimmer) begin(s *scan, pos int) {
	k.carried, k.provider = carried{}, -maxBehind*2
	if pos == 0 {
		return
	}
	k.provider = pos
	c := s.t[pos-1]
	k.tail, k.smear = 1, 1 // the name of a secret may stand before
	if c == '\\' {
		k.back = 1
	}
	if s.escapeLetter(pos - 1) {
		return
	}
	kind := kinds[c]
	if kind&isWord != 0 {
		k.word = 1
	}
	if kind&isB64 != 0 {
		k.base64 = 1
	}
	if kind&(isUp|isLow) != 0 {
		k.letter = 1
	}
	if kind&isLow != 0 {
		k.low = 1
	}
}

func (k *skimmer) carry(b *block) {
	k.word = b.word() >> 63
	k.base64 = (b.word() | b.join) >> 63
	k.letter = b.letter >> 63
	k.low = b.letter &^ b.upper >> 63
}

// fill makes n blocks from pos on and the one behind them.
func (k *skimmer) fill(s *scan, pos, n int) {
	k.from, k.to = pos, min(pos+(n+1)<<6, len(s.t))
	whole := min(n+1, (len(s.t)-pos)>>6)
	classify(s.t[pos:], k.blocks[:whole])
	if whole <= n {
		k.last = [64]byte{}
		if rest := pos + whole<<6; rest < len(s.t) {
			copy(k.last[:], s.t[rest:])
		}
		classify(k.last[:], k.blocks[whole:whole+1])
		k.last = [64]byte{}
		if whole < n {
			k.blocks[n] = block{}
		}
	}
	back := k.back
	for b := range n + 1 {
		o := &k.blocks[b]
		if b == n {
			k.back = back
		}
		if (o.back<<1|back)&o.letter != 0 {
			o.unescaped(s.t, pos+b<<6, back)
		}
		back = o.back >> 63
	}
}

// look returns the bytes of the block c at which, or in whose word, a step could
// find something. n is the block behind it.
func (k *skimmer) look(s *scan, at int, c, n *block) uint64 {
	t := s.t
	found := c.at
	word, nextWord := c.word(), n.word()
	start := word &^ (word<<1 | k.word)
	letter1 := ahead(c.letter, n.letter, 1)
	upper1 := ahead(c.upper, n.upper, 1)

	// Words that lead a value.
	low := c.letter &^ c.upper
	parts := c.letter&^(c.letter<<1|k.letter) | c.upper&(low<<1|k.low|ahead(low, n.letter&^n.upper, 1))
	for m := parts & letter1 & ahead(c.letter, n.letter, 2); m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		p := at + i
		if place, ok := leadPlaces.at(t, p); ok {
			what := s.leadsAt(p, place)
			if what&ofSecret != 0 || what&ofKeyword != 0 && s.digitWithin(p) {
				found |= 1 << i
			}
			if what&ofProvider != 0 {
				k.provider = p
			}
		}
	}

	// Runs of base64: tokens and encoded text.
	{
		all, next := word|c.join, nextWord|n.join
		r := all & ahead(all, next, 1)
		rn := next & (next >> 1)
		r &= ahead(r, rn, 2)
		rn &= rn >> 2
		r &= ahead(r, rn, 4)
		rn &= rn >> 4
		r &= ahead(r, rn, minToken-8)
		joined := all<<1 | k.base64
		lettered := c.letter & letter1 & ahead(c.digit, n.digit, 2)
		for m := start & r; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m)
			if tokenStarts.begins.has(place(t[at+i], t[at+i+1], t[at+i+2])) && s.tokenLead(at+i) {
				found |= 1 << i
				continue
			}
			if window(all, next, i)&0xffff != 0xffff {
				continue
			}
			if at+i-k.provider <= maxBehind {
				found |= 1 << i
				continue
			}
			w := window(word, nextWord, i)
			size := bits.TrailingZeros64(^w)
			upper := window(c.upper, n.upper, i)
			if size >= minRun {
				digits := window(c.digit, n.digit, i) << (64 - size)
				if size == 32 && s.byte(at+i+32) == '-' && s.byte(at+i+33) == 'u' || size == 64 && kinds[s.byte(at+i+64)]&isWord != 0 || digits != 0 && (upper<<(64-size) != 0 || t[at+i] == '0' || lettered>>i&1 != 0) ||
					fifteen(digits) || s.encoded(at+i, upper != 0) {
					found |= 1 << i
				}
			} else if joined>>i&1 == 0 && s.encoded(at+i, upper != 0) {
				found |= 1 << i
			}
		}
		for m := start & (ahead(c.under, n.under, 2) | (word&^c.upper)&upper1); m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m)
			if at+i+2 < len(t) && tokenStarts.begins.has(place(t[at+i], t[at+i+1], t[at+i+2])) && s.tokenLead(at+i) {
				found |= 1 << i
			}
		}
	}
	for m := word & ahead(c.dot, n.dot, 1); m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		if tokenStarts.dots.has(pair(s.before(at+i), t[at+i])) && (kinds[s.byte(at+i+2)]&isB64 != 0 || s.byte(at+i+2) == '.') {
			found |= 1 << i
		}
	}

	// Names of secrets before '=' and ':': a run of other bytes than letters that
	// begins behind a letter that may end a name carries over in a sum.
	other := ^c.letter
	sum, out := bits.Add64(other, (c.tail<<1|k.tail)&other|k.smear&other, 0)
	for m := (c.colon | c.equal) & other &^ sum; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		if s.keyed(at + i) {
			found |= 1 << i
		}
	}
	k.tail, k.smear = c.tail>>63, out

	if c.equal != 0 { // quoted-printable
		hex, next := c.digit|c.upper, n.digit|n.upper
		for m := c.equal & ahead(hex, next, 1) & ahead(hex, next, 2); m != 0; m &= m - 1 {
			if i := bits.TrailingZeros64(m); s.printable(at + i) {
				found |= 1 << i
			}
		}
	}
	if c.digit|n.digit != 0 {
		found |= k.lookDigits(s, at, c, n, start)
	}
	if c.colon != 0 {
		found |= s.lookColons(at, c, n, start)
	} else if n.colon&0xf != 0 {
		found |= start & (ahead(0, n.colon, 1) | ahead(0, n.colon, 2) | ahead(0, n.colon, 3) | ahead(0, n.colon, 4)) // as it may be cut here
	}
	if c.colon|n.colon != 0 { // hardware addresses
		found |= start & ahead(c.colon, n.colon, 2) & ahead(c.colon, n.colon, 5) & ahead(c.colon, n.colon, 8)
	}
	if dashes := c.join & c.sep; dashes != 0 {
		next := n.join & n.sep
		two := dashes & ahead(dashes, next, 1)
		found |= two & ahead(two, next&(next>>1), 2) & ahead(dashes, next, 4) & ahead(c.upper, n.upper, 5)
	}
	if other := c.escape | c.back | c.odd; other != 0 {
		found |= s.lookOthers(at, other)
	}
	return found
}

// encoded reports whether the run of base64 at p, of minRun characters at least,
// may be encoded text or a key of AWS or Azure. upper: it has a capital in 64 bytes.
func (s *scan) encoded(p int, upper bool) bool {
	v := s.t[p:min(p+maxTold, len(s.t))]
	text, acc := likeness{}, uint32(0)
	for k, c := range v {
		value := base64Values[c]
		if value < 0 {
			return true
		}
		if acc = acc<<6 | uint32(value); k&3 == 3 && !(text.next(byte(acc>>16)) && text.next(byte(acc>>8)) && text.next(byte(acc))) {
			return k == 3 && looksWide(byte(acc>>16), byte(acc>>8)) || hexed(v) || s.runOf(p+minRun, 40-minRun) && (upper || s.runOf(p+40, 24))
		}
	}
	return true
}

// fifteen reports fifteen bits in a row.
func fifteen(x uint64) bool {
	x &= x << 1
	x &= x << 2
	x &= x << 4
	return x&(x<<7) != 0
}

// maxTold is how many bytes of a run are looked at to tell whether it is encoded text.
const maxTold = 64

// hexed reports whether v, behind an "x" or "0x", may be text in hex.
func hexed(v []byte) bool {
	if v[0] == '0' && v[1] == 'x' {
		v = v[2:]
	} else if v[0] == 'x' {
		v = v[1:]
	}
	text := likeness{}
	for k := 0; k+1 < len(v); k += 2 {
		a, b := hexValue(v[k]), hexValue(v[k+1])
		if a < 0 || b < 0 {
			return k >= 12
		}
		if !text.next(byte(a<<4 | b)) {
			return k < 4 && len(v) >= 4 && looksWide(byte(hexValue(v[0])<<4|hexValue(v[1])), byte(hexValue(v[2])<<4|hexValue(v[3])))
		}
	}
	return true
}

// lookDigits returns where numbers and ids may begin, or what they hold.
func (k *skimmer) lookDigits(s *scan, at int, c, n *block, start uint64) (found uint64) {
	digit1 := ahead(c.digit, n.digit, 1)
	chain, next := c.digit|c.sep|c.lead, n.digit|n.sep|n.lead
	x := chain & ahead(chain, next, 1)
	xn := next & (next >> 1)
	x &= ahead(x, xn, 2)
	xn &= xn >> 2
	x &= ahead(x, xn, 3)
	for m := x & (start&c.digit | c.lead&(digit1|ahead(c.lead, n.lead, 1))); m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		size := min(bits.TrailingZeros64(^window(chain, next, i)), maxNumber)
		digits := bits.OnesCount64(window(c.digit, n.digit, i) << (64 - size))
		if (digits >= minDigits || digits >= 4 && bits.OnesCount64(window(c.dot, n.dot, i)<<(64-size)) >= 3) && !s.day(at+i) && !s.fraction(at+i) &&
			(s.t[at+i] != '(' || s.inBrackets(at+i)) && !(digits <= 8 && size <= 10 && k.plainNumber(s, at+i)) {
			found |= 1 << i
		}
	}
	upper1 := ahead(c.upper, n.upper, 1)
	digit2 := ahead(c.digit, n.digit, 2)
	digit3 := ahead(c.digit, n.digit, 3)
	found |= start & c.letter & ahead(c.letter, n.letter, 1) & digit2 & digit3
	found |= start & c.digit & upper1 & (digit2 | ahead(c.upper, n.upper, 2)) & digit3
	found |= start & c.upper & upper1 & ahead(c.sep, n.sep, 2) & digit3 & ahead(c.digit, n.digit, 4)
	four := c.digit & digit1 & digit2 & digit3
	fourNext := n.digit & (n.digit >> 1) & (n.digit >> 2) & (n.digit >> 3)
	found |= c.upper&ahead(four, fourNext, 1) | four&ahead(c.upper, n.upper, 4)
	return found
}

// plainNumber reports a number of seven or eight digits at p that is nothing, as
// nothing near it says what it is.
func (k *skimmer) plainNumber(s *scan, p int) bool {
	if p-k.provider <= maxBehind || s.before(p) == '-' || s.t[p] == '+' || s.t[p] == '(' {
		return false
	}
	end := p
	for kinds[s.byte(end)]&isDigit != 0 {
		end++
	}
	switch c := s.byte(end); {
	case kinds[c]&(isWord|isHigh|isMark) != 0, end-p < 7,
		isSeparator(c) && (kinds[s.byte(end+1)]&(isWord|isHigh) != 0 || isSeparator(s.byte(end+1)) || s.byte(end+1) == '+'):
		return false
	}
	return !s.mayHear(max(0, p-wordsBefore), p) && !s.mayHear(end, min(end+wordsAfter, len(s.t)))
}

// lookColons returns where URLs with a password and addresses may begin.
func (s *scan) lookColons(at int, c, n *block, start uint64) (found uint64) {
	for m := c.colon & ahead(c.join, n.join, 1) & ahead(c.join, n.join, 2); m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		rest := s.t[at+i:]
		if near := rest[:min(len(rest), 3+512)]; bytes.IndexByte(near, '@') >= 0 || !s.final && len(near) < 3+512 {
			found |= 1 << i
		}
	}
	word, nextWord := c.word(), n.word()
	colon4 := ahead(c.colon, n.colon, 4)
	four := start & ahead(word, nextWord, 1) & ahead(word, nextWord, 2) & ahead(word, nextWord, 3) & colon4
	for m := four; m != 0; m &= m - 1 {
		if i := bits.TrailingZeros64(m); s.prefix6(at + i) {
			found |= 1 << i
		}
	}
	// Eight groups: three colons, each near the next, begin seven.
	near := func(x, next uint64) uint64 {
		return ahead(x, next, 2) | ahead(x, next, 3) | ahead(x, next, 4) | ahead(x, next, 5)
	}
	two, twoNext := c.colon&near(c.colon, n.colon), n.colon&near(n.colon, ^uint64(0))
	if three := c.colon & near(two, twoNext); three != 0 || n.colon != 0 {
		threeNext := n.colon & near(twoNext, ^uint64(0))
		colon := func(k uint) uint64 { return ahead(three, threeNext, k) }
		found |= start & (colon(1) | colon(2) | colon(3) | colon(4))
	}
	return found
}

// lookOthers returns which of the bytes m are an escape, or begin a character in disguise.
func (s *scan) lookOthers(at int, m uint64) (found uint64) {
	for ; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		if s.oddAt(at + i) {
			found |= 1 << i
		}
	}
	return found
}

func (s *scan) oddAt(p int) bool {
	switch c := s.t[p]; c {
	case '%':
		return (isHex(s.at(p+1)) || s.at(p+1)|0x20 == 'u') && isHex(s.at(p+2))
	case '&':
		return s.at(p+1) == '#' || s.reference(p) != nil
	case 0x1b:
		return s.styled(p)
	case '~':
		return s.tilde(p)
	case '\\':
		c := s.at(p + 1)
		return c|0x20 == 'x' || c|0x20 == 'u' || c == '/' || c >= '0' && c <= '3' || c == '\\'
	}
	disguised, _ := s.disguised(p)
	return disguised
}
