package bodies

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"io"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// A kind makes the sink of bytes that are not looked at as they are.
type kind func(depth int) sink

// kindOf says what begins with head; nil: bytes as they are.
func (l *look) kindOf(head []byte, is shape) kind {
	if n := len(is.codings); n > 0 {
		rest := is
		rest.codings, rest.seen = slices.Clone(is.codings[:n-1]), false
		return l.coded(is.codings[n-1], rest)
	}
	begins := func(magic string) bool { return strings.HasPrefix(string(head[:min(len(head), 16)]), magic) }
	switch {
	case begins("\x1f\x8b"):
		return l.coded("gzip", shape{})
	case begins("\x28\xb5\x2f\xfd"):
		return l.coded("zstd", shape{})
	case begins("BZh") && len(head) > 10 && string(head[4:10]) == "\x31\x41\x59\x26\x53\x59":
		return l.coded("bzip2", shape{})
	case begins("\x78\x01"), begins("\x78\x9c"), begins("\x78\xda"):
		return l.coded("deflate", shape{})
	case begins("PK\x03\x04"):
		return func(depth int) sink { return l.piped(func(r io.Reader) error { return l.zip(r, depth) }) }
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return func(depth int) sink { return l.piped(func(r io.Reader) error { return l.tar(r, depth) }) }
	case begins("\xff\xfe\x00\x00"), begins("\x00\x00\xfe\xff"), begins("%PDF-"), begins("age-encryption.org/"), begins("Salted__"):
		return l.unread
	case begins("\xff\xfe"):
		return func(int) sink { return &wide{look: l, to: l.plain(true, true)} }
	case begins("\xfe\xff"):
		return func(int) sink { return &wide{look: l, big: true, to: l.plain(true, true)} }
	case strings.HasPrefix(is.typ, "multipart/"):
		return func(depth int) sink {
			return &twice{l.plain(!is.seen, false), l.piped(func(r io.Reader) error { return l.multipart(r, is.params["boundary"], depth) })}
		}
	}
	if wideLike, big := twoByte(head); wideLike {
		return func(int) sink { return &wide{look: l, big: big, to: l.plain(true, true)} }
	}
	return nil
}

func (l *look) unread(int) sink {
	l.cant()
	return nowhere{}
}

// twoByte says that head looks like UTF-16 without its mark: mostly zeros at one of two places.
func twoByte(head []byte) (is, big bool) {
	var zeros [2]int
	for i, c := range head {
		if c == 0 {
			zeros[i&1]++
		}
	}
	pairs := len(head) / 2
	switch {
	case pairs < 2:
	case zeros[1]*2 > pairs && zeros[0]*20 < pairs:
		return true, false
	case zeros[0]*2 > pairs && zeros[1]*20 < pairs:
		return true, true
	}
	return false, false
}

// twice writes to both.
type twice [2]sink

func (t *twice) write(p []byte) { t[0].write(p); t[1].write(p) }
func (t *twice) end(whole bool) { t[0].end(whole); t[1].end(whole) }

// wide makes UTF-8 of UTF-16.
type wide struct {
	look *look
	big  bool
	to   sink
	odd  []byte
	high rune // first half of a pair
	out  []byte
}

func (w *wide) write(p []byte) {
	if len(w.odd) > 0 {
		p = append(w.odd, p...)
		w.odd = nil
	}
	w.out = w.out[:0]
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
	w.odd = append(w.odd, p...)
	if len(w.out) > 0 {
		w.to.write(w.out)
	}
}

func (w *wide) end(whole bool) {
	if len(w.odd) > 0 {
		w.look.cant()
	}
	w.to.end(whole)
}

// coded undoes one coding.
func (l *look) coded(coding string, rest shape) kind {
	decode := decoders[coding]
	if decode == nil {
		return l.unread
	}
	return func(depth int) sink {
		return l.piped(func(r io.Reader) error {
			d, end, err := decode(r)
			if err != nil {
				return errUnread
			}
			defer end()
			return l.inner(d, rest, depth+1)
		})
	}
}

func nothing() {}

// decoders undo codings, by their names in Content-Encoding.
var decoders = map[string]func(io.Reader) (io.Reader, func(), error){
	"gzip":   ungzip,
	"x-gzip": ungzip,
	"bzip2":  func(r io.Reader) (io.Reader, func(), error) { return bzip2.NewReader(r), nothing, nil },
	"br":     func(r io.Reader) (io.Reader, func(), error) { return brotli.NewReader(r), nothing, nil },
	"deflate": func(r io.Reader) (io.Reader, func(), error) {
		b := bufio.NewReader(r)
		if h, err := b.Peek(2); err == nil && h[0]&0x0f == 8 && (uint(h[0])<<8|uint(h[1]))%31 == 0 {
			z, err := zlib.NewReader(b)
			return z, nothing, err
		}
		return flate.NewReader(b), nothing, nil
	},
	"zstd": func(r io.Reader) (io.Reader, func(), error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
	},
}

func ungzip(r io.Reader) (io.Reader, func(), error) {
	z, err := gzip.NewReader(r)
	return z, nothing, err
}

// member counts one file of an archive and looks into its names.
func (l *look) member(names ...string) error {
	for _, n := range names {
		if n != "" {
			l.text([]byte(n))
		}
	}
	if l.members.Add(1) > mostMembers {
		return errUnread
	}
	return nil
}

func (l *look) tar(r io.Reader, depth int) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errUnread
		}
		if err := l.member(h.Name, h.Linkname, h.Uname, h.Gname); err != nil {
			return err
		}
		for k, v := range h.PAXRecords {
			l.text([]byte(k + ": " + v))
		}
		if err := l.inner(t, shape{}, depth+1); err != nil {
			return err
		}
	}
	var rest [512]byte
	for {
		n, err := r.Read(rest[:])
		if len(bytes.Trim(rest[:n], "\x00")) > 0 {
			return errUnread // behind its end
		}
		if err != nil {
			return nil //nolint:nilerr // its end
		}
	}
}

// multipart looks into parts that are more than they seem; what is text in them was seen as it passed.
func (l *look) multipart(r io.Reader, boundary string, depth int) error {
	b := bufio.NewReader(r)
	begin, err := b.Peek(min(len(boundary)+2, 80))
	if err != nil || boundary == "" || string(begin) != ("--" + boundary)[:len(begin)] {
		return errUnread
	}
	m := multipart.NewReader(b, boundary)
	for {
		part, err := m.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errUnread
		}
		if err := l.member(); err != nil {
			return err
		}
		is := of(http.Header(part.Header))
		is.seen = true
		var content io.Reader = part
		switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
		case "base64":
			content, is.seen = base64.NewDecoder(base64.StdEncoding, part), false
		case "quoted-printable":
			content, is.seen = quotedprintable.NewReader(part), false
		}
		if err := l.inner(content, is, depth+1); err != nil {
			return err
		}
	}
	rest, err := io.ReadAll(io.LimitReader(b, 512))
	if err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return errUnread // behind its end
	}
	return nil
}
