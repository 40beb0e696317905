package scan

import (
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// unmarked tells UTF-16 without its mark, in which most characters are of ASCII: 'l' with the
// lower byte first, 'b' with the higher; 0 for anything else.
func unmarked(head []byte) byte {
	head = head[:min(len(head), 512)&^1]
	var zeros [2]int
	for i, c := range head {
		if c == 0 {
			zeros[i&1]++
		} else if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return 0
		}
	}
	pairs := len(head) / 2
	switch {
	case pairs < 4:
	case zeros[1]*10 > pairs*9 && zeros[0] == 0:
		return 'l'
	case zeros[0]*10 > pairs*9 && zeros[1] == 0:
		return 'b'
	}
	return 0
}

// A wideReader makes UTF-8 of UTF-16 that begins with its mark, unless it is begun.
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
