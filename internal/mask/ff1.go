package mask

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math/big"

	"github.com/assenthq/assent/internal/detect"
)

// errDomain: fewer than a million values would be found by trying them all
// (NIST SP 800-38G revision 1 section 5).
var errDomain = errors.New("too few values to encrypt them in their own format")

// ff1 encrypts numerals (each below radix) under NIST SP 800-38G, algorithm 7.
// The result has the same length and radix.
func ff1(block cipher.Block, tweak []byte, radix int, x []uint16) ([]uint16, error) {
	n := len(x)
	domain := 1.0
	for range n {
		domain *= float64(radix)
		if domain >= 1e6 {
			break
		}
	}
	if radix < 2 || domain < 1e6 {
		return nil, errDomain
	}
	u := n / 2
	v := n - u
	a, b := append([]uint16(nil), x[:u]...), append([]uint16(nil), x[u:]...)
	size := (bitsFor(radix, v) + 7) / 8
	d := 4*((size+3)/4) + 4
	p := [16]byte{1, 2, 1, byte(radix >> 16), byte(radix >> 8), byte(radix), 10, byte(u)}
	binary.BigEndian.PutUint32(p[8:], uint32(n))
	binary.BigEndian.PutUint32(p[12:], uint32(len(tweak)))
	for round := range 10 {
		y := ff1Round(block, p, tweak, byte(round), size, d, number(b, radix))
		m := u
		if round%2 == 1 {
			m = v
		}
		mod := new(big.Int).Exp(big.NewInt(int64(radix)), big.NewInt(int64(m)), nil)
		c := y.Add(y, number(a, radix))
		a, b = b, numerals(c.Mod(c, mod), radix, m)
	}
	return append(a, b...), nil
}

// ff1Round computes the round function: CBC-MAC over P and Q, stretched to d bytes.
func ff1Round(block cipher.Block, p [16]byte, tweak []byte, round byte, size, d int, half *big.Int) *big.Int {
	q := make([]byte, 0, len(tweak)+size+32)
	q = append(q, tweak...)
	for (len(q)+1+size)%16 != 0 {
		q = append(q, 0)
	}
	q = append(q, round)
	q = append(q, half.FillBytes(make([]byte, size))...)
	var r [16]byte
	block.Encrypt(r[:], p[:])
	for ; len(q) > 0; q = q[16:] {
		for k := range r {
			r[k] ^= q[k]
		}
		block.Encrypt(r[:], r[:])
	}
	s := append([]byte(nil), r[:]...)
	for j := uint64(1); len(s) < d; j++ {
		t := r
		var count [8]byte
		binary.BigEndian.PutUint64(count[:], j)
		for k := range count {
			t[8+k] ^= count[k]
		}
		block.Encrypt(t[:], t[:])
		s = append(s, t[:]...)
	}
	return new(big.Int).SetBytes(s[:d])
}

// bitsFor returns how many bits radix^n - 1 has.
func bitsFor(radix, n int) int {
	most := new(big.Int).Exp(big.NewInt(int64(radix)), big.NewInt(int64(n)), nil)
	return most.Sub(most, big.NewInt(1)).BitLen()
}

func number(x []uint16, radix int) *big.Int {
	out, base := new(big.Int), big.NewInt(int64(radix))
	for _, d := range x {
		out.Mul(out, base)
		out.Add(out, big.NewInt(int64(d)))
	}
	return out
}

func numerals(v *big.Int, radix, n int) []uint16 {
	out, base, rest := make([]uint16, n), big.NewInt(int64(radix)), new(big.Int)
	v = new(big.Int).Set(v)
	for k := n - 1; k >= 0; k-- {
		v.DivMod(v, base, rest)
		out[k] = uint16(rest.Int64())
	}
	return out
}

// format encrypts the digits of v in place, so that it keeps length and
// separators. A card that passes Luhn still does.
func (r rule) format(c detect.Class, v []byte) (string, bool) {
	switch c {
	case detect.Card, detect.USSSN, detect.Phone:
	default:
		return "", false
	}
	if _, n := lastDigits(v); n < 0 {
		return "", false
	}
	d := digitsOf(v)
	for k := range d {
		d[k] -= '0'
	}
	// The check digit follows from the others: it is computed, not encrypted.
	body, luhn := d, c == detect.Card && detect.Luhn(d)
	if luhn {
		body = d[:len(d)-1]
	}
	x := make([]uint16, len(body))
	for k, b := range body {
		x[k] = uint16(b)
	}
	y, err := ff1(r.ff1, []byte(string(c)+" "+r.origin()), 10, x)
	if err != nil {
		return "", false
	}
	for k := range y {
		d[k] = byte(y[k])
	}
	if luhn {
		for d[len(d)-1] = 0; !detect.Luhn(d); d[len(d)-1]++ {
		}
	}
	out, k := []byte(string(v)), 0
	for i, b := range out {
		if b >= '0' && b <= '9' {
			out[i] = d[k] + '0'
			k++
		}
	}
	return string(out), true
}
