package scan

import (
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// A wideReader makes UTF-8 of UTF-16 that begins with its mark.
type wideReader struct {
	r     io.Reader
	big   bool
	begun bool
	in    [4096]byte
	n     int    // bytes of in
	out   []byte // not read yet
	err   error
}

func (u *wideReader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.fill()
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *wideReader) fill() {
	n, err := u.r.Read(u.in[u.n:])
	u.n += n
	u.err = err
	b := u.in[:u.n]
	if !u.begun && len(b) >= 2 {
		u.begun, u.big = true, b[0] == 0xfe
		b = b[2:]
	}
	u.out = u.out[:0]
	for u.begun && len(b) >= 2 {
		c, size := u.unit(b), 2
		if utf16.IsSurrogate(c) {
			if len(b) < 4 && err == nil {
				break // its other half is not here yet
			}
			second := rune(0)
			if len(b) >= 4 {
				second = u.unit(b[2:])
			}
			if c = utf16.DecodeRune(c, second); c != utf8.RuneError {
				size = 4
			}
		}
		u.out = utf8.AppendRune(u.out, c)
		b = b[size:]
	}
	u.n = copy(u.in[:], b)
}

func (u *wideReader) unit(b []byte) rune {
	if u.big {
		return rune(b[0])<<8 | rune(b[1])
	}
	return rune(b[1])<<8 | rune(b[0])
}
