package detect

import "math/bits"

// A block tells of 64 bytes which kinds they are: bit k stands for byte k.
type block struct {
	digit, letter, upper, under uint64
	join                        uint64 // '+', '/', '-'
	sep                         uint64 // isSeparator
	dot, colon, equal, at, back uint64 // '.', ':', '=', '@', '\\'
	lead                        uint64 // '+', '('
	escape                      uint64 // '%', '&'
	odd                         uint64 // '~', and bytes that begin the UTF-8 of characters in disguise and of a few others
	tail                        uint64 // letters that end the name of a secret, and a few others
}

// blocksAtOnce is how many blocks are made before they are looked at: their
// bits stay in the nearest cache.
const blocksAtOnce = 64

// nibbles are the kinds that are a set of low halves of a byte, each with a set of
// high halves, as a vector instruction looks them up.
var nibbles = func() (t struct{ low, high [16]uint8 }) {
	set := func(bit uint8, high string, low string) {
		for _, c := range []byte(high) {
			t.high[hexValue(c)] |= bit
		}
		for _, c := range []byte(low) {
			t.low[hexValue(c)] |= bit
		}
	}
	set(nibSep, "2", "089def")
	set(nibJoin, "2", "bdf")
	set(nibLead, "2", "8b")
	set(nibEscape, "2", "56")
	set(nibOddC, "cd", "289abcdef")
	set(nibOddE, "1ef", "0123abf") // 1b: what terminals are told
	for _, w := range keyTails() {
		c := w[len(w)-1]
		t.low[c&15] |= nibTail
	}
	set(nibTilde, "7", "e")
	t.high[4] |= nibTail
	t.high[5] |= nibTail
	t.high[6] |= nibTail
	t.high[7] |= nibTail
	return t
}()

const (
	nibSep = 1 << iota
	nibJoin
	nibLead
	nibEscape
	nibOddC
	nibOddE
	nibTail
	nibTilde

	nibOdd = nibOddC | nibOddE | nibTilde
)

// lanes spreads the kinds of a byte over the eight bytes of a word, in the
// highest bit of each: eight bytes shifted and put together are eight bits of
// each kind. One lane stands for several kinds where another tells them apart.
var lanes = func() (t [256]uint64) {
	for c := range 256 {
		n := nibbles.low[c&15] & nibbles.high[c>>4]
		var kind uint8
		on := func(bit uint8, is bool) {
			if is {
				kind |= bit
			}
		}
		k := kinds[c]
		letter := k&(isUp|isLow) != 0
		on(laneDigit, k&isDigit != 0)
		on(laneLetter, letter)
		on(laneSep, n&nibSep != 0)
		on(laneJoin, n&nibJoin != 0 || c == '_')
		on(laneA, k&isUp != 0 || c == '.' || c == '+' || c == '=' || c == '@')
		on(laneB, letter && n&nibTail != 0 || n&nibLead != 0 || c == ':' || c == '@')
		on(laneC, n&nibEscape != 0 || c == '\\' || n&nibOdd != 0)
		on(laneD, c == '\\' || n&nibEscape != 0)
		if c == '\\' {
			kind |= laneA
		}
		for l := range 8 {
			if kind>>l&1 != 0 {
				t[c] |= 0x80 << (8 * l)
			}
		}
	}
	return t
}()

const (
	laneDigit = 1 << iota
	laneLetter
	laneSep
	laneJoin // or '_'
	laneA    // of letters: upper; of separators: '.'; of joins: '+'; of others: '=', '@', '\\'
	laneB    // of letters: tail; of the two before: lead; of others: ':', '@'
	laneC    // escape, '\\', odd
	laneD    // escape, '\\'
)

// classify makes the blocks of t, which has 64 bytes for each of them.
func classifyPortable(t []byte, out []block) {
	for k := range out {
		q := (*[64]byte)(t[k<<6:])
		var v [8]uint64
		for g := range 8 {
			o := (*[8]byte)(q[g<<3:])
			v[g] = lanes[o[0]]>>7 | lanes[o[1]]>>6 | lanes[o[2]]>>5 | lanes[o[3]]>>4 |
				lanes[o[4]]>>3 | lanes[o[5]]>>2 | lanes[o[6]]>>1 | lanes[o[7]]
		}
		transpose(&v)
		digit, letter, sep, join, a, b, c, d := v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
		rest := ^(digit | letter | sep | join)
		o := &out[k]
		o.digit, o.letter, o.sep = digit, letter, sep
		o.upper, o.tail = letter&a, letter&b
		o.lead = (sep | join) & b
		o.under = join &^ sep &^ a
		o.join = join &^ o.under
		o.dot = sep & a
		rest &^= c
		o.at, o.equal, o.colon = rest&a&b, rest&a&^b, rest&b&^a
		o.back, o.escape, o.odd = c&d&a, c&d&^a, c&^d
	}
}

// transpose swaps rows and columns of eight times eight bytes.
func transpose(v *[8]uint64) {
	for k := range 4 {
		a, b := v[k], v[k+4]
		v[k], v[k+4] = a&0x00000000ffffffff|b<<32, a>>32|b&0xffffffff00000000
	}
	for _, k := range [4]int{0, 1, 4, 5} {
		a, b := v[k], v[k+2]
		v[k], v[k+2] = a&0x0000ffff0000ffff|b&0x0000ffff0000ffff<<16, a>>16&0x0000ffff0000ffff|b&0xffff0000ffff0000
	}
	for k := 0; k < 8; k += 2 {
		a, b := v[k], v[k+1]
		v[k], v[k+1] = a&0x00ff00ff00ff00ff|b&0x00ff00ff00ff00ff<<8, a>>8&0x00ff00ff00ff00ff|b&0xff00ff00ff00ff00
	}
}

// word returns the bytes of words, and base64 those of base64.
func (b *block) word() uint64 { return b.digit | b.letter | b.under }

// ahead returns lo shifted by k, with what follows it from hi.
func ahead(lo, hi uint64, k uint) uint64 { return lo>>k | hi<<(64-k) }

// window returns 64 bits from bit i on.
func window(lo, hi uint64, i int) uint64 { return lo>>(i&63) | hi<<1<<(63-i&63) }

// unescaped takes the letter of "\n", "\r" and "\t" out of the block that begins at
// t[base]: it is none of the word behind it.
func (b *block) unescaped(t []byte, base int, backBefore uint64) {
	for m := (b.back<<1 | backBefore) & b.letter; m != 0; m &= m - 1 {
		k := bits.TrailingZeros64(m)
		if c := t[base+k]; c == 'n' || c == 'r' || c == 't' {
			b.letter &^= 1 << k
			b.tail &^= 1 << k
		}
	}
}
