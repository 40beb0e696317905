package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	deepest     = 3         // archives inside each other
	freeDecoded = 64 << 20  // bytes that a file may unpack to, however small it is
	inMemory    = 64 << 20  // bytes of a zip inside another archive
	directory   = 128 << 20 // bytes read to list a zip
	mostMembers = 1 << 20   // of one file
)

var (
	errBomb    = errors.New("unpacks to too much")
	errMembers = errors.New("has too many members")
)

// A worker scans one file at a time. It owns its buffers.
type worker struct {
	s     *Scanner
	sum   *tally
	one   text
	spare [][]byte

	// Of the file at hand.
	came    atomic.Int64 // bytes read of it
	decoded int64        // bytes unpacked
	members int
	lines   []lines
	out     chan<- item
	ctx     context.Context //nolint:containedctx // lives as long as one job
}

func (s *Scanner) worker(t *tally) *worker { return &worker{s: s, sum: t} }

func (w *worker) send(ctx context.Context, out chan<- item, it item) error {
	select {
	case out <- it:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *worker) lost(name, why string) {
	_ = w.send(w.ctx, w.out, item{note: lost(name, why)}) // an end is seen elsewhere
}

func (w *worker) take(n int) []byte {
	if k := len(w.spare) - 1; k >= 0 && cap(w.spare[k]) >= n {
		b := w.spare[k]
		w.spare = w.spare[:k]
		return b[:0]
	}
	return make([]byte, 0, n)
}

func (w *worker) give(b []byte) { w.spare = append(w.spare, b[:0]) }

// counted counts what is read of a file.
type counted struct {
	r io.Reader
	w *worker
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.w.came.Add(int64(n))
	if c.w.s.o.Passed != nil {
		c.w.s.o.Passed(int64(n))
	}
	return n, err //nolint:wrapcheck // the caller names the file
}

// unpacked counts what a decoder makes, and refuses too much.
type unpacked struct {
	r io.Reader
	w *worker
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.w.decoded += int64(n)
	if d := u.w.decoded; d > freeDecoded && d > u.w.s.o.Ratio*u.w.came.Load() {
		return 0, errBomb
	}
	return n, err //nolint:wrapcheck // the caller names the file
}

// level is where a file lies.
type level struct {
	name     string // what findings name
	outer    string // the compressed file that it is the content of, ""
	depth    int
	explicit bool
}

// do scans one file.
func (w *worker) do(ctx context.Context, j *job) {
	w.ctx, w.out, w.lines, w.decoded, w.members = ctx, j.out, j.lines, 0, 0
	w.came.Store(0)
	if ctx.Err() != nil {
		return
	}
	r, size, err := j.open()
	if err != nil {
		w.lost(j.name, plainError(err))
		return
	}
	defer func() { _ = r.Close() }()
	at, _ := r.(io.ReaderAt)
	if size < 0 {
		at = nil
	}
	w.file(level{name: j.name, explicit: j.explicit}, &counted{r, w}, at, size)
}

// file scans what r brings, which is at as well, where it can be read at any place.
func (w *worker) file(l level, r io.Reader, at io.ReaderAt, size int64) {
	head := w.take(chunk)
	defer func() { w.give(head) }()
	head, err := fill(r, head)
	whole := err != nil
	if whole && !errors.Is(err, io.EOF) {
		w.failed(l, err)
		if len(head) == 0 {
			return
		}
	}
	rest := func() io.Reader { return io.MultiReader(bytes.NewReader(head), r) }
	name := l.name
	switch kind := kindOf(name, head); {
	case kind == "tar":
		if l.outer != "" {
			name = l.outer
		}
		w.deeper(l, l.outer != "", func(next level) { w.tar(next, name, rest()) })
	case kind == "zip":
		w.deeper(l, l.outer != "", func(next level) { w.zip(next, l, rest(), at, size) })
	case decoders[kind] != nil:
		w.deeper(l, false, func(next level) {
			next.outer, next.explicit = name, l.explicit
			next.name = name + "!" + strings.TrimSuffix(path.Base(strings.ReplaceAll(name, "!", "/")), path.Ext(name))
			w.coded(l, next, kind, rest())
		})
	case kind == "unknown":
		w.lost(name, "an archive or coding that is not known here: not looked into")
	case kind == "wide":
		w.sum.files.Add(1)
		w.failed(l, w.wide(name, rest(), unmarked(head)))
	case kind == "binary" && !l.explicit && !w.s.o.Binary:
		_ = w.send(w.ctx, w.out, item{note: &Note{File: name, Why: whyBinary}}) // an end is seen elsewhere
	default:
		w.sum.files.Add(1)
		f := w.s.o.Format
		if f == "" {
			f = formatOf(name, head)
		}
		if kind == "binary" {
			f = Text
		}
		w.failed(l, w.text(w.ctx, name, f, head, whole, r, false, w.out))
	}
}

// fill reads until b has no more room. An error with less is the reader's own; io.EOF is its end.
func fill(r io.Reader, b []byte) ([]byte, error) {
	b = b[:0]
	for len(b) < cap(b) {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return b, err //nolint:wrapcheck // the caller names the file
		}
	}
	return b, nil
}

// deeper goes on inside an archive. same: what compresses an archive is no depth of its own; what
// compresses something compressed is one, or a file that unpacks to itself never ends.
func (w *worker) deeper(l level, same bool, into func(next level)) {
	next := level{depth: l.depth + 1}
	if same {
		next.depth = l.depth
	}
	if next.depth > deepest {
		w.lost(l.name, fmt.Sprintf("archives inside each other, more than %d deep: not looked into", deepest))
		return
	}
	into(next)
}

// failed tells why a file was not read to its end.
func (w *worker) failed(l level, err error) {
	switch {
	case err == nil, w.ctx.Err() != nil:
	case errors.Is(err, errBomb):
		w.lost(l.name, fmt.Sprintf("unpacks to more than %d times its size: what follows is not looked into (--max-ratio allows more)", w.s.o.Ratio))
	case errors.Is(err, errMembers):
		w.lost(l.name, fmt.Sprintf("has more than %d members: what follows is not looked into", mostMembers))
	default:
		w.lost(l.name, "not read to its end: "+plainError(err))
	}
}

// decoders undo codings of a whole file.
var decoders = map[string]func(io.Reader) (io.Reader, func(), error){
	"gzip": func(r io.Reader) (io.Reader, func(), error) {
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	},
	"bzip2": func(r io.Reader) (io.Reader, func(), error) { return bzip2.NewReader(r), func() {}, nil },
	"br":    func(r io.Reader) (io.Reader, func(), error) { return brotli.NewReader(r), func() {}, nil },
	"zstd": func(r io.Reader) (io.Reader, func(), error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
	},
}

// kindOf says what begins with head: "" for text.
func kindOf(name string, head []byte) string {
	begins := func(magic string) bool { return strings.HasPrefix(string(head[:min(len(head), 16)]), magic) }
	switch {
	case begins("\x1f\x8b\x08"):
		return "gzip"
	case begins("\x28\xb5\x2f\xfd"):
		return "zstd"
	case begins("BZh") && len(head) > 10 && string(head[4:10]) == "\x31\x41\x59\x26\x53\x59":
		return "bzip2"
	case begins("PK\x03\x04"), begins("PK\x05\x06"):
		return "zip"
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return "tar"
	case begins("\xfd7zXZ\x00"), begins("7z\xbc\xaf\x27\x1c"), begins("Rar!\x1a\x07"), begins("\x04\x22\x4d\x18"), begins("!<arch>\n"),
		begins("Salted__"), begins("age-encryption.org/"):
		return "unknown"
	case strings.EqualFold(path.Ext(name), ".br") && !plainText(head):
		return "br"
	case begins("\xff\xfe\x00\x00"), begins("\x00\x00\xfe\xff"):
		return "unknown"
	case (begins("\xff\xfe") || begins("\xfe\xff")) && bytes.IndexByte(head[:min(len(head), 8<<10)], 0) >= 0, unmarked(head) != 0:
		return "wide"
	case bytes.IndexByte(head[:min(len(head), 8<<10)], 0) >= 0:
		return "binary"
	}
	return ""
}

// plainText reports whether bytes have no controls that text lacks.
func plainText(head []byte) bool {
	for _, c := range head[:min(len(head), 512)] {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c >= 0x80 {
			return false
		}
	}
	return true
}

// coded scans what a coding hides.
func (w *worker) coded(l, next level, kind string, r io.Reader) {
	d, end, err := decoders[kind](r)
	if err != nil {
		w.failed(l, err)
		return
	}
	defer end()
	w.file(next, &unpacked{d, w}, nil, -1)
}

// member counts one file of an archive.
func (w *worker) member() error {
	if w.members++; w.members > mostMembers {
		return errMembers
	}
	return w.ctx.Err()
}

func (w *worker) tar(next level, name string, r io.Reader) {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = w.member()
		}
		if err != nil {
			w.failed(level{name: name}, err)
			return
		}
		if h.Typeflag == tar.TypeReg {
			next.name = name + "!" + h.Name
			w.file(next, &unpacked{t, w}, nil, -1)
		}
	}
}

// guarded refuses to read more than it has left.
type guarded struct {
	at   io.ReaderAt
	left int64
}

func (g *guarded) ReadAt(p []byte, off int64) (int, error) {
	if g.left -= int64(len(p)); g.left < 0 {
		return 0, errMembers
	}
	return g.at.ReadAt(p, off) //nolint:wrapcheck // the caller names the file
}

func (w *worker) zip(next, l level, r io.Reader, at io.ReaderAt, size int64) {
	if at == nil {
		all, err := io.ReadAll(io.LimitReader(r, inMemory+1))
		if err != nil {
			w.failed(l, err)
			return
		}
		if len(all) > inMemory {
			w.lost(l.name, "a zip of more than 64 MiB that can't be read at any place: unpack it first")
			return
		}
		at, size = bytes.NewReader(all), int64(len(all))
	}
	g := &guarded{at, directory}
	z, err := zip.NewReader(g, size)
	if err != nil {
		w.failed(l, err)
		return
	}
	g.left = 1 << 62
	z.RegisterDecompressor(93, zstd.ZipDecompressor(zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20)))
	z.RegisterDecompressor(12, func(r io.Reader) io.ReadCloser { return io.NopCloser(bzip2.NewReader(r)) })
	w.came.Store(max(w.came.Load(), size))
	for _, f := range z.File {
		if err := w.member(); err != nil {
			w.failed(l, err)
			return
		}
		next.name = l.name + "!" + f.Name
		if f.FileInfo().IsDir() {
			continue
		}
		if f.Flags&1 != 0 {
			w.lost(next.name, "encrypted: not looked into")
			continue
		}
		m, err := f.Open()
		if err != nil {
			w.failed(next, err)
			continue
		}
		w.file(next, &unpacked{m, w}, nil, -1)
		_ = m.Close() // it was read
	}
}

// wide scans UTF-16 as the text it is. order is of its bytes where it has no mark.
func (w *worker) wide(name string, r io.Reader, order byte) error {
	u := &wideReader{r: r, begun: order != 0, big: order == 'b'}
	head := w.take(chunk)
	defer func() { w.give(head) }()
	head, err := fill(u, head)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	f := w.s.o.Format
	if f == "" {
		f = formatOf(name, head)
	}
	w.one.begins = 2 // behind the mark
	if order != 0 {
		w.one.begins = 0
	}
	return w.text(w.ctx, name, f, head, err != nil, u, true, w.out)
}
