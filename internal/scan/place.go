package scan

import (
	"bytes"
	"unicode/utf8"
)

// A window keeps the bytes of a text that findings may still lie in, and tells lines and
// columns. What it has passed it forgets. It is used by one goroutine.
type window struct {
	buf  []byte
	base int64 // offset of buf[0]
	wide bool  // the file has two bytes for a character, and offsets are of the file

	// The cursor moves forward only.
	at        int64 // in the text
	raw       int64 // in the file
	line, col int   // from 0
}

func (w *window) reset() { *w = window{buf: w.buf[:0]} }

func (w *window) write(p []byte) { w.buf = append(w.buf, p...) }

// seek moves the cursor to an offset, which is in the window. What lies before the cursor stays there.
func (w *window) seek(to int64) {
	if to <= w.at {
		return
	}
	i, j := int(w.at-w.base), int(min(to-w.base, int64(len(w.buf))))
	part := w.buf[i:j]
	if k := bytes.LastIndexByte(part, '\n'); k >= 0 {
		w.line += bytes.Count(part, []byte{'\n'})
		w.col = 0
		w.col += characters(part[k+1:])
	} else {
		w.col += characters(part)
	}
	if w.wide {
		w.raw += wideLength(part)
	} else {
		w.raw += int64(len(part))
	}
	w.at += int64(len(part))
}

// forget drops what lies before an offset.
func (w *window) forget(to int64) {
	w.seek(to)
	n := int(w.at - w.base)
	if n <= 0 {
		return
	}
	rest := copy(w.buf, w.buf[n:])
	clear(w.buf[rest:])
	w.buf = w.buf[:rest]
	w.base = w.at
}

// bytes returns what lies in [start, end) of the text, as far as it is kept.
func (w *window) bytes(start, end int64) []byte {
	i, j := max(0, start-w.base), min(end-w.base, int64(len(w.buf)))
	if i >= j {
		return nil
	}
	return w.buf[i:j]
}

// characters counts those that begin in b.
func characters(b []byte) int {
	n := 0
	for _, c := range b {
		if c < utf8.RuneSelf || c >= 0xc0 {
			n++
		}
	}
	return n
}

// wideLength is how many bytes text takes in UTF-16.
func wideLength(b []byte) (n int64) {
	for _, c := range b {
		switch {
		case c >= 0xf0:
			n += 4
		case c < utf8.RuneSelf || c >= 0xc0:
			n += 2
		}
	}
	return n
}
