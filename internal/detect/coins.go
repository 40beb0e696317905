package detect

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58Values are places in base58, and one; 0: none.
var base58Values = func() (t [256]uint8) {
	for k := range len(base58) {
		t[base58[k]] = uint8(k + 1)
	}
	return t
}()

// bitcoin tries an address in the word [i, j).
func (s *scan) bitcoin(i, j int) int {
	t := s.t[i:j]
	ok := false
	switch {
	case (t[0] == '1' || t[0] == '3') && len(t) <= 35:
		ok = base58check(t)
	case t[0]|0x20 == 'b' && t[1]|0x20 == 'c' && t[2] == '1':
		ok = bech32(t)
	}
	if !ok || s.e.off[Bitcoin] {
		return 0
	}
	s.add(i, j, Bitcoin, 1)
	return j
}

// base58check reports 21 bytes and the first four of their double SHA-256.
func base58check(t []byte) bool {
	var b [25]byte
	for _, c := range t {
		carry := int(base58Values[c]) - 1
		if carry < 0 {
			return false
		}
		for k := len(b) - 1; k >= 0; k-- {
			carry += int(b[k]) * 58
			b[k] = byte(carry)
			carry >>= 8
		}
		if carry > 0 {
			return false
		}
	}
	once := sha256.Sum256(b[:21])
	sum := sha256.Sum256(once[:])
	return (b[0] == 0 || b[0] == 5) && string(sum[:4]) == string(b[21:])
}

// bech32 reports an address of the network "bc", by either of the two constants.
func bech32(t []byte) bool {
	const letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	generators := [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3}
	sum := uint32(1)
	add := func(v byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for k, g := range generators {
			if top>>k&1 != 0 {
				sum ^= g
			}
		}
	}
	for _, v := range [5]byte{'b' >> 5, 'c' >> 5, 0, 'b' & 31, 'c' & 31} {
		add(v)
	}
	small, large := false, false
	for _, c := range t {
		small, large = small || isLower(c), large || isUpper(c)
	}
	if small && large || len(t) < 14 || len(t) > 74 {
		return false
	}
	for _, c := range t[3:] {
		if isUpper(c) {
			c |= 0x20
		}
		v := 0
		for v < len(letters) && letters[v] != c {
			v++
		}
		if v == len(letters) {
			return false
		}
		add(byte(v))
	}
	return sum == 1 || sum == 0x2bc830a3
}

// ethereum tries "0x" and 40 digits at [i, j). Where there are small letters and capitals,
// these are the checksum.
func (s *scan) ethereum(i, j int) int {
	var low [40]byte
	small, large, run := false, false, 0
	for k := range low {
		c := s.t[i+2+k]
		if !isHex(c) {
			return 0
		}
		small, large = small || isLower(c), large || isUpper(c)
		if low[k] = c; isUpper(c) {
			low[k] = c | 0x20
		}
		if k > 0 && low[k] == low[k-1] {
			run++
		}
	}
	if !small && !large || run > 16 {
		return 0
	}
	if small && large {
		sum := keccak256(low[:])
		for k, c := range low {
			nibble := sum[k/2] >> (4 * (1 - k%2)) & 15
			if isLower(c) && isUpper(s.t[i+2+k]) != (nibble >= 8) {
				return 0
			}
		}
	}
	return s.propose(i, j, Ethereum, true)
}

// keccak256 is the hash that Ethereum uses, of up to 135 bytes: SHA-3's permutation with
// another padding.
func keccak256(b []byte) (out [32]byte) {
	var block [136]byte
	n := copy(block[:135], b)
	block[n] ^= 1
	block[135] ^= 0x80
	var a [25]uint64
	for k := range 17 {
		a[k] = binary.LittleEndian.Uint64(block[8*k:])
	}
	keccakF(&a)
	for k := range 4 {
		binary.LittleEndian.PutUint64(out[8*k:], a[k])
	}
	return out
}

// keccakF is the permutation of FIPS 202 section 3.3.
func keccakF(a *[25]uint64) {
	lfsr := uint8(1)
	for range 24 {
		var c [5]uint64
		for x := range 5 {
			c[x] = a[x] ^ a[x+5] ^ a[x+10] ^ a[x+15] ^ a[x+20]
		}
		for x := range 5 {
			d := c[(x+4)%5] ^ bits.RotateLeft64(c[(x+1)%5], 1)
			for y := 0; y < 25; y += 5 {
				a[x+y] ^= d
			}
		}
		x, y, last := 1, 0, a[1]
		for t := range 24 {
			x, y = y, (2*x+3*y)%5
			a[x+5*y], last = bits.RotateLeft64(last, (t+1)*(t+2)/2), a[x+5*y]
		}
		for y := 0; y < 25; y += 5 {
			row := [5]uint64(a[y : y+5])
			for x := range 5 {
				a[x+y] = row[x] ^ ^row[(x+1)%5]&row[(x+2)%5]
			}
		}
		for k := range 7 {
			if lfsr&1 != 0 {
				a[0] ^= 1 << (1<<k - 1)
			}
			lfsr = lfsr<<1 ^ lfsr>>7*0x71
		}
	}
}
