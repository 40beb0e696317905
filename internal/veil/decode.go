package veil

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	mostCodings = 3
	freeDecoded = 64 << 20 // bytes
	mostRatio   = 300      // decoded bytes for each that came, past freeDecoded
)

// codingsOf are those of a Content-Encoding, the last one applied last.
func codingsOf(headers []string) (out []string) {
	for _, h := range headers {
		for c := range strings.SplitSeq(h, ",") {
			if c = strings.ToLower(strings.TrimSpace(c)); c != "" && c != "identity" && c != "aws-chunked" {
				out = append(out, c)
			}
		}
	}
	return out
}

// decoded undoes codings as r is read, within bounds. An error means that somebody would have to know more of them.
func decoded(r io.Reader, codings []string) (*decoder, error) {
	if len(codings) > mostCodings {
		return nil, opaque("so many codings")
	}
	d := &decoder{}
	d.from.r = r
	var in io.Reader = &d.from
	for i := len(codings) - 1; i >= 0; i-- {
		open := decoders[codings[i]]
		if open == nil {
			return nil, opaque("a coding that is not known here")
		}
		in = &later{open: open, from: in, d: d}
	}
	d.to = in
	return d, nil
}

type decoder struct {
	from  metered
	to    io.Reader
	out   int64
	close []func()
}

func (d *decoder) Read(p []byte) (int, error) {
	n, err := d.to.Read(p)
	if d.out += int64(n); d.out > freeDecoded && d.out > mostRatio*d.from.n {
		return 0, errBomb
	}
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err //nolint:wrapcheck // io.EOF
	case d.from.err != nil && !errors.Is(d.from.err, io.EOF):
		return n, d.from.err // of the wire
	}
	return n, errBroken
}

func (d *decoder) end() {
	for _, f := range d.close {
		f()
	}
	d.close = nil
}

// metered counts what is read, and remembers why it ended.
type metered struct {
	r   io.Reader
	n   int64
	err error
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	if err != nil {
		m.err = err
	}
	return n, err //nolint:wrapcheck // the decoder's business
}

// later opens a decoder with its first byte: nobody waits for one before.
type later struct {
	open func(io.Reader) (io.Reader, func(), error)
	from io.Reader
	d    *decoder
	r    io.Reader
	err  error
}

func (l *later) Read(p []byte) (int, error) {
	if l.r == nil && l.err == nil {
		var end func()
		if l.r, end, l.err = l.open(l.from); l.err == nil && end != nil {
			l.d.close = append(l.d.close, end)
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.r.Read(p) //nolint:wrapcheck // the decoder's business
}

// decoders undo codings, by their names. Nothing at all is nothing in each of them.
var decoders = map[string]func(io.Reader) (io.Reader, func(), error){
	"gzip":   ungzip,
	"x-gzip": ungzip,
	"br":     func(r io.Reader) (io.Reader, func(), error) { return brotli.NewReader(r), nil, nil },
	"deflate": func(r io.Reader) (io.Reader, func(), error) {
		b := bufio.NewReader(r)
		h, err := b.Peek(2)
		switch {
		case errors.Is(err, io.EOF) && len(h) == 0:
			return nil, nil, io.EOF
		case err == nil && h[0]&0x0f == 8 && (uint(h[0])<<8|uint(h[1]))%31 == 0:
			z, err := zlib.NewReader(b)
			return z, nil, err //nolint:wrapcheck // of Read
		}
		return flate.NewReader(b), nil, nil
	},
	"zstd": func(r io.Reader) (io.Reader, func(), error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, nil, err //nolint:wrapcheck // of Read
		}
		return d, d.Close, nil
	},
}

func ungzip(r io.Reader) (io.Reader, func(), error) {
	z, err := gzip.NewReader(r)
	return z, nil, err //nolint:wrapcheck // of Read
}

// inflate decodes one message of at most most bytes.
func inflate(coding string, msg []byte, most int) ([]byte, error) {
	coding = strings.ToLower(strings.TrimSpace(coding))
	if decoders[coding] == nil {
		return nil, opaque("a coding that is not known here")
	}
	d, err := decoded(bytes.NewReader(msg), []string{coding})
	if err != nil {
		return nil, err
	}
	defer d.end()
	out, err := io.ReadAll(io.LimitReader(d, int64(most)+1))
	switch {
	case err != nil:
		return nil, errBroken
	case len(out) > most:
		return nil, errLong
	}
	return out, nil
}

// utf16Sink makes UTF-8, with its mark, of what has two bytes a character.
type utf16Sink struct {
	to   sink
	big  bool
	odd  []byte
	high rune // first half of a pair
	any  bool
	out  []byte
}

func (w *utf16Sink) write(p []byte) error {
	if len(w.odd) > 0 {
		p = append(w.odd, p...)
		w.odd = nil
	}
	w.out = w.out[:0]
	if !w.any {
		w.any = true
		w.out = append(w.out, "\xef\xbb\xbf"...)
	}
	for ; len(p) >= 2; p = p[2:] {
		c := rune(p[0]) | rune(p[1])<<8
		if w.big {
			c = rune(p[1]) | rune(p[0])<<8
		}
		switch {
		case w.high != 0:
			w.out = utf8.AppendRune(w.out, utf16.DecodeRune(w.high, c))
			w.high = 0
		case utf16.IsSurrogate(c):
			w.high = c
		case c != 0xfeff:
			w.out = utf8.AppendRune(w.out, c)
		}
	}
	w.odd = append([]byte(nil), p...)
	return w.to.write(w.out)
}

func (w *utf16Sink) end() error {
	if len(w.odd) > 0 || w.high != 0 {
		return errCut
	}
	return w.to.end()
}
