package mask

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math/big"
	mathbits "math/bits"
	"sync"
)

// errDomain: fewer than a million values would be found by trying them all
// (NIST SP 800-38G revision 1 section 5).
var errDomain = errors.New("too few values to encrypt them in their own format")

// errNoWayBack: nothing was encrypted, or not by what is asked.
var errNoWayBack = errors.New("there is no way back from this mask")

// minDomain is how many values a format must have at least.
const minDomain = 1_000_000

// An ff1Work is the memory of one encryption, used again.
type ff1Work struct {
	p, r, t [16]byte // P, R, and what R is stretched with
	s       [16]byte // the count that it is stretched with
	half    [8]byte
	q, long []byte

	numerals, radix []uint16
	tweak           []byte
}

var ff1Works = sync.Pool{New: func() any { return new(ff1Work) }}

// ff1 encrypts the numerals of x (each below radix) in place, as NIST SP 800-38G
// algorithm 7 does, or decrypts them, algorithm 8.
func ff1(block cipher.Block, tweak []byte, radix int, x []uint16, back bool) error {
	n := len(x)
	domain := 1
	for i := 0; i < n && domain < minDomain; i++ {
		domain *= radix
	}
	if radix < 2 || radix > 1<<16 || domain < minDomain {
		return errDomain
	}
	w := ff1Works.Get().(*ff1Work)
	defer ff1Works.Put(w)
	u, v := n/2, n-n/2
	w.p = [16]byte{1, 2, 1, byte(radix >> 16), byte(radix >> 8), byte(radix), 10, byte(u)}
	binary.BigEndian.PutUint32(w.p[8:], uint32(n))
	binary.BigEndian.PutUint32(w.p[12:], uint32(len(tweak)))
	block.Encrypt(w.r[:], w.p[:])
	w.p = w.r // what every round begins with
	if most, fits := power(radix, v); fits {
		w.small(block, tweak, radix, x, most, back)
	} else {
		w.large(block, tweak, radix, x, back)
	}
	return nil
}

// power is radix to the n, when it and a sum of two below it fit.
func power(radix, n int) (uint64, bool) {
	out := uint64(1)
	for range n {
		hi, lo := mathbits.Mul64(out, uint64(radix))
		if hi != 0 || lo > 1<<63 {
			return 0, false
		}
		out = lo
	}
	return out, true
}

// small is ff1 where both halves are below 2^63. most is the radix to the length of the right half.
func (w *ff1Work) small(block cipher.Block, tweak []byte, radix int, x []uint16, most uint64, back bool) {
	u := len(x) / 2
	size := (mathbits.Len64(most-1) + 7) / 8
	d := 4*((size+3)/4) + 4 // at most 12
	mod := [2]uint64{most, most}
	if u < len(x)-u {
		mod[0] = most / uint64(radix)
	}
	a, b := uint64(0), uint64(0)
	for _, k := range x[:u] {
		a = a*uint64(radix) + uint64(k)
	}
	for _, k := range x[u:] {
		b = b*uint64(radix) + uint64(k)
	}
	for i := range 10 {
		round := i
		if back {
			round = 9 - i
			a, b = b, a
		}
		binary.BigEndian.PutUint64(w.half[:], b)
		s := w.round(block, tweak, byte(round), w.half[8-size:], d)
		hi, lo := uint64(0), uint64(0)
		for _, c := range s {
			hi, lo = hi<<8|lo>>56, lo<<8|uint64(c)
		}
		m := mod[round%2]
		y := mathbits.Rem64(hi, lo, m)
		if back {
			a = (a + m - y) % m
		} else {
			a, b = b, (a+y)%m
		}
	}
	// In both directions a is the left half now: ten rounds swap an even number of times.
	for k := u - 1; k >= 0; k-- {
		x[k], a = uint16(a%uint64(radix)), a/uint64(radix)
	}
	for k := len(x) - 1; k >= u; k-- {
		x[k], b = uint16(b%uint64(radix)), b/uint64(radix)
	}
}

// large is ff1 for numerals of any length.
func (w *ff1Work) large(block cipher.Block, tweak []byte, radix int, x []uint16, back bool) {
	u := len(x) / 2
	base := big.NewInt(int64(radix))
	mod := [2]*big.Int{new(big.Int).Exp(base, big.NewInt(int64(u)), nil), new(big.Int).Exp(base, big.NewInt(int64(len(x)-u)), nil)}
	size := (new(big.Int).Sub(mod[1], big.NewInt(1)).BitLen() + 7) / 8
	d := 4*((size+3)/4) + 4
	a, b := number(x[:u], base), number(x[u:], base)
	half := make([]byte, size)
	for i := range 10 {
		round := i
		if back {
			round = 9 - i
			a, b = b, a
		}
		y := new(big.Int).SetBytes(w.round(block, tweak, byte(round), b.FillBytes(half), d))
		m := mod[round%2]
		if back {
			a.Mod(a.Sub(a, y), m)
		} else {
			a, b = b, a.Mod(a.Add(a, y), m)
		}
	}
	numerals(x[:u], a, base)
	numerals(x[u:], b, base)
}

// round computes S: the CBC-MAC over P and Q, stretched to d bytes, good until the next round.
func (w *ff1Work) round(block cipher.Block, tweak []byte, round byte, half []byte, d int) []byte {
	q := append(w.q[:0], tweak...)
	for (len(q)+1+len(half))%16 != 0 {
		q = append(q, 0)
	}
	q = append(append(q, round), half...)
	w.q, w.r = q, w.p
	for ; len(q) > 0; q = q[16:] {
		for k := range w.r {
			w.r[k] ^= q[k]
		}
		block.Encrypt(w.r[:], w.r[:])
	}
	if d <= len(w.r) {
		return w.r[:d]
	}
	w.long = append(w.long[:0], w.r[:]...)
	for j := uint64(1); len(w.long) < d; j++ {
		w.t = w.r
		binary.BigEndian.PutUint64(w.s[8:], j)
		for k := 8; k < 16; k++ {
			w.t[k] ^= w.s[k]
		}
		block.Encrypt(w.t[:], w.t[:])
		w.long = append(w.long, w.t[:]...)
	}
	return w.long[:d]
}

func number(x []uint16, base *big.Int) *big.Int {
	out := new(big.Int)
	for _, d := range x {
		out.Mul(out, base)
		out.Add(out, big.NewInt(int64(d)))
	}
	return out
}

func numerals(x []uint16, v, base *big.Int) {
	rest := new(big.Int)
	for k := len(x) - 1; k >= 0; k-- {
		v.DivMod(v, base, rest)
		x[k] = uint16(rest.Int64())
	}
}
