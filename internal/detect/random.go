package detect

import (
	"bytes"
	"hash/crc32"
	"math"
)

// crc62 reports whether the last six characters are the CRC-32 of what stands
// before them, in base 62, as GitHub and npm make their tokens.
func crc62(t []byte) bool {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if len(t) < 7 {
		return false
	}
	at := len(t) - 6
	sum := crc32.ChecksumIEEE(t[:at])
	for k := len(t) - 1; k >= at; k-- {
		if t[k] != digits[sum%62] {
			return false
		}
		sum /= 62
	}
	return true
}

// nLogN is n·log₂n for the counts that occur.
var nLogN = func() (t [512]float32) {
	for n := 2; n < len(t); n++ {
		t[n] = float32(float64(n) * math.Log2(float64(n)))
	}
	return t
}()

// entropy returns the bits of a byte of v, as often as each occurs in it. It
// looks at the first 511 bytes.
func entropy(v []byte) float32 {
	v = v[:min(len(v), len(nLogN)-1)]
	if len(v) == 0 {
		return 0
	}
	var count [256]uint16
	for _, c := range v {
		count[c]++
	}
	sum := float32(0)
	for _, c := range v {
		sum += nLogN[count[c]]
		count[c] = 0
	}
	return (nLogN[len(v)] - sum) / float32(len(v))
}

// longest returns the longest run of bytes that each differ by step from the one before.
func longest(v []byte, step byte) int {
	n, most := 0, 0
	for k := 1; k < len(v); k++ {
		if n++; v[k] != v[k-1]+step {
			n = 0
		}
		most = max(most, n)
	}
	return most
}

// filled reports what stands for a value without being one: XXXXXXXX, 00000000.
func filled(v []byte) bool {
	n := longest(v, 0)
	return n >= 8 || n >= 4 && n*2 > len(v)
}

// sequence reports what is counted or spelt out: abcdefgh, 01234567.
func sequence(v []byte) bool { return longest(v, 1) >= 8 }

// example reports a value that documents show: it says so itself.
func example(v []byte) bool {
	return bytes.Contains(v, []byte("EXAMPLE")) || bytes.Contains(v, []byte("example")) || bytes.Contains(v, []byte("FAKE"))
}
