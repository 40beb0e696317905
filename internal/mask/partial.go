package mask

import (
	"bytes"
	"strings"

	"github.com/assenthq/assent/internal/detect"
)

// appendPartial appends the last four digits of a number or account, or the domain of an
// address: what a person needs to tell two apart. When it reports false, dst is as it was.
func appendPartial(dst []byte, c detect.Class, s shape, v []byte) ([]byte, bool) {
	if c == detect.Email {
		at := bytes.IndexByte(v, '@')
		if at <= 0 || bytes.IndexByte(v[at+1:], '@') >= 0 || bytes.ContainsAny(v[at:], " \t\r\n,;<>%\\\"'") {
			return dst, false
		}
		return append(append(dst, "***"...), v[at:]...), true
	}
	switch s {
	case shapeCard:
		if isPartial(v, "**** **** **** ") {
			return append(dst, v...), true
		}
		if last, n := lastDigits(v); n >= 13 && n <= 19 {
			return append(append(dst, "**** **** **** "...), last[:]...), true
		}
	case shapeDigits:
		if isPartial(v, "*** ** ") {
			return append(dst, v...), true
		}
		if last, n := lastDigits(v); n >= 9 && n <= 19 {
			return append(append(dst, "*** ** "...), last[:]...), true
		}
	case shapeMixed:
		if isPartial(v, "*** ** ") {
			return append(dst, v...), true
		}
		var few [maxFormat]byte
		if d, ok := appendAlnum(few[:0], v); ok && len(d) >= 9 {
			return append(append(dst, "*** ** "...), d[len(d)-4:]...), true
		}
	case shapeIBAN:
		if len(v) == 14 && isPartial(v[2:], "** **** ") {
			return append(dst, v...), true
		}
		var few [maxFormat]byte
		if d, ok := appendAlnum(few[:0], v); ok && len(d) >= 15 && len(d) <= 34 {
			return append(append(append(dst, d[:2]...), "** **** "...), d[len(d)-4:]...), true
		}
	}
	return dst, false
}

// isPartial reports whether v is a partial mask already: head, and four digits or letters.
func isPartial(v []byte, head string) bool {
	if len(v) != len(head)+4 || string(v[:len(head)]) != head {
		return false
	}
	for _, b := range v[len(head):] {
		if !isAlnum(b) {
			return false
		}
	}
	return true
}

// appendAlnum appends the letters and digits of v; false where it has anything but
// those and separators, or too many.
func appendAlnum(dst, v []byte) ([]byte, bool) {
	if len(v) > maxFormat {
		return dst, false
	}
	for _, b := range v {
		switch {
		case isAlnum(b):
			dst = append(dst, b)
		case written[b] != 0:
			return dst, false
		}
	}
	return dst, true
}

func isAlnum(b byte) bool {
	return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
}

// lastDigits returns the last four digits of v and how many it has, or -1 when it has
// anything but digits and separators.
func lastDigits(v []byte) (last [4]byte, n int) {
	all := uint8(0)
	for _, b := range v {
		n += int(written[b] & 1)
		all |= written[b]
	}
	if all > 1 {
		return last, -1
	}
	for i, k := len(v)-1, len(last)-1; i >= 0 && k >= 0; i-- {
		if written[v[i]] == 1 {
			last[k] = v[i]
			k--
		}
	}
	return last, n
}

// written is what a byte is in a number as people write it: 1 a digit, 0 a separator, 2 none of it.
var written = func() (t [256]uint8) {
	for c := range 256 {
		switch b := byte(c); {
		case b >= '0' && b <= '9':
			t[c] = 1
		case strings.IndexByte(" -./()+", b) < 0:
			t[c] = 2
		}
	}
	return t
}()
