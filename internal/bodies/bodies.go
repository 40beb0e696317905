// Package bodies reads bodies of requests once: into memory, then into encrypted temporary
// files, finding classes of sensitive data on the way.
//
// It promises bounded memory whatever a body holds, that what is read back is what came, and that
// nothing of a body can be read from the disk without its key, which is in memory only. What
// it could not decode it calls unscanned. It can't see what is encrypted, what an image shows,
// or what was compressed by a method that it doesn't know; those are unscanned too.
package bodies

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// Errors of bodies that can't be kept.
var (
	ErrTooLarge = errors.New("the body is larger than this gate takes")
	ErrNoSpace  = errors.New("bodies of other requests take all the room there is now")
	ErrShort    = errors.New("the body is not as long as it was said to be")
)

// errSent says that a body that nobody keeps was opened before.
var errSent = errors.New("the body is on its way already, and was not kept")

const (
	inMemory = 256 << 10 // bytes of one body
	piece    = 32 << 10  // bytes read at once
)

// A Body is one request's body, read once. It is used by one goroutine at a time; Found and
// Close by any.
type Body struct {
	store *Store
	wire  io.Reader
	said  int64 // -1: not known
	head  http.Header

	mem    []byte
	file   *file // nil: all that was read is in mem
	ended  error // io.EOF: all of it was read
	opened bool  // passed on without being kept
	held   int64 // bytes that store counts

	n      atomic.Int64 // bytes that came from the wire
	mu     sync.Mutex   // guards what follows
	sum    hash.Hash
	look   *look
	closed bool
}

// Body returns the body that src brings, which stays the caller's to close. length is what it is said
// to have, -1: not known.
func (s *Store) Body(src io.Reader, length int64) *Body {
	if src == nil {
		src = http.NoBody
	}
	return &Body{store: s, wire: src, said: length}
}

// Headed tells the body what headers it came with, before anything was read. Without them it is
// decoded by what its first bytes show.
func (b *Body) Headed(h http.Header) { b.head = h }

// Length is how long the body is, or is said to be; -1: not known.
func (b *Body) Length() int64 {
	if b.Kept() {
		return b.n.Load()
	}
	return b.said
}

// Wrap puts f between the wire and everything else, to decode or verify what comes. length is what
// f makes of the body, -1: not known. Before anything was read.
func (b *Body) Wrap(f func(io.Reader) io.Reader, length int64) {
	b.wire, b.said = f(b.wire), length
}

// Kept says that all of the body was read, and is here.
func (b *Body) Kept() bool { return !b.opened && b.ended == io.EOF } //nolint:errorlint // ours, as it is

// Whole is all of the body, in memory, for who doesn't change it. With more than max bytes it is
// ErrTooLarge, and what was read stays, to be kept or opened.
func (b *Body) Whole(max int64) ([]byte, error) {
	switch {
	case b.opened:
		return nil, errSent
	case b.said > max || b.n.Load() > max:
		return nil, ErrTooLarge
	}
	if b.file != nil {
		if !b.Kept() {
			return nil, b.ended
		}
		r, err := b.Open()
		if err != nil {
			return nil, err
		}
		out := make([]byte, b.n.Load())
		if _, err := io.ReadFull(r, out); err != nil {
			return nil, err
		}
		return out, nil
	}
	for b.ended == nil && int64(len(b.mem)) <= max {
		if err := b.more(); err != nil {
			return nil, err
		}
	}
	switch {
	case int64(len(b.mem)) > max:
		return nil, ErrTooLarge
	case b.ended != io.EOF: //nolint:errorlint // ours, as it is
		return nil, b.ended
	}
	return b.mem, nil
}

// Keep reads all of the body. What it refuses is refused before it is read, where its length is known.
func (b *Body) Keep(ctx context.Context) error {
	switch {
	case b.opened:
		return errSent
	case b.Kept():
		return nil
	case b.ended != nil:
		return b.ended
	case b.said > b.store.each:
		return ErrTooLarge
	}
	for b.ended == nil && len(b.mem) < inMemory && b.file == nil {
		if err := errors.Join(ctx.Err(), b.more()); err != nil {
			return err
		}
		if b.n.Load() > b.store.each {
			b.ended = ErrTooLarge
		}
	}
	if b.ended == nil {
		if err := b.spool(ctx); err != nil {
			return err
		}
	}
	if b.Kept() {
		return nil
	}
	return b.ended
}

// more reads another piece into memory.
func (b *Body) more() error {
	if cap(b.mem)-len(b.mem) == 0 {
		size := max(512, 2*cap(b.mem))
		if b.mem == nil && b.said >= 0 {
			size = int(min(b.said+1, 16<<10)) // one more than it has, to see its end
		}
		if err := b.hold(int64(size - cap(b.mem))); err != nil {
			return err
		}
		b.mem = append(make([]byte, 0, size), b.mem...)
	}
	n := b.read(b.mem[len(b.mem):min(cap(b.mem), len(b.mem)+piece)])
	b.mem = b.mem[:len(b.mem)+n]
	return nil
}

// spool reads the rest into a file.
func (b *Body) spool(ctx context.Context) (err error) {
	if b.file == nil {
		if b.file, err = b.store.create(); err != nil {
			b.ended = err
			return err
		}
	}
	buffer := make([]byte, piece)
	for b.ended == nil {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("keeping a body: %w", err)
		}
		n := b.read(buffer)
		if err := b.hold(int64(n)); err != nil {
			return err
		}
		if b.n.Load() > b.store.each {
			b.ended = ErrTooLarge
		} else if err := b.file.write(buffer[:n]); err != nil {
			b.ended = err
		}
	}
	if b.ended == io.EOF { //nolint:errorlint // ours, as it is
		if err := b.file.end(); err != nil {
			b.ended = err
		}
	}
	return nil
}

// hold counts more of what is kept.
func (b *Body) hold(n int64) error {
	if err := b.store.hold(n); err != nil {
		b.ended = err
		return err
	}
	b.held += n
	return nil
}

// read reads once from the wire, and looks at what came. An end or error goes to b.ended.
func (b *Body) read(p []byte) int {
	n, err := b.wire.Read(p)
	b.took(p[:n])
	got := b.n.Load()
	switch {
	case b.said >= 0 && got > b.said, errors.Is(err, io.EOF) && b.said >= 0 && got < b.said:
		b.end(ErrShort)
	case errors.Is(err, io.EOF):
		b.end(io.EOF)
	case err != nil:
		b.end(fmt.Errorf("reading a body: %w", err))
	}
	return n
}

// took takes note of what came.
func (b *Body) took(p []byte) {
	if len(p) == 0 {
		return
	}
	b.n.Add(int64(len(p)))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	if b.sum == nil {
		b.sum = sha256.New()
	}
	b.sum.Write(p)
	if b.look == nil {
		b.look = newLook(b.store.engine, &b.n, b.head)
	}
	b.look.write(p)
}

func (b *Body) end(why error) {
	b.ended = why
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.look != nil {
		b.look.end(why == io.EOF) //nolint:errorlint // ours, as it is
	}
}

// Sum is the SHA-256 of a kept body, or of what has passed of another so far.
func (b *Body) Sum() (sum [sha256.Size]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sum == nil {
		return sha256.Sum256(nil)
	}
	b.sum.Sum(sum[:0])
	return sum
}

// Found is what was found in what has passed so far, by class, and whether something of it
// could not be looked into.
func (b *Body) Found() (classes map[string]int64, unscanned bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.look == nil {
		return nil, false
	}
	return b.look.result()
}

// Open reads the body: what was read so far, then what is still on the wire. A kept body can be
// opened again.
func (b *Body) Open() (io.ReadCloser, error) {
	switch {
	case b.opened:
		return nil, errSent
	case b.Kept() && b.file == nil:
		return &memory{b.mem}, nil
	case b.Kept():
		return &both{mem: b.mem, file: b.file.open()}, nil
	case b.ended != nil || b.file != nil: // given up on
		return nil, errors.Join(b.ended, errors.New("the body was not read to its end"))
	}
	b.opened = true
	return &passing{body: b, mem: b.mem}, nil
}

// Close forgets the body. What it was read from stays open.
func (b *Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if b.look != nil {
		b.look.end(false)
	}
	b.store.hold(-b.held) //nolint:errcheck // giving back
	if b.file != nil {
		return b.file.close()
	}
	return nil
}

type memory struct{ rest []byte }

func (m *memory) Read(p []byte) (int, error) {
	if len(m.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func (*memory) Close() error { return nil }

// both reads what is in memory, then the file.
type both struct {
	mem  []byte
	file io.Reader
}

func (r *both) Read(p []byte) (int, error) {
	if len(r.mem) > 0 {
		n := copy(p, r.mem)
		r.mem = r.mem[n:]
		return n, nil
	}
	return r.file.Read(p)
}

func (*both) Close() error { return nil }

// passing passes a body on that nobody keeps.
type passing struct {
	body *Body
	mem  []byte
}

func (r *passing) Read(p []byte) (int, error) {
	if len(r.mem) > 0 {
		n := copy(p, r.mem)
		r.mem = r.mem[n:]
		return n, nil
	}
	b := r.body
	if b.ended != nil || len(p) == 0 {
		return 0, b.ended
	}
	n := b.read(p)
	return n, b.ended
}

func (*passing) Close() error { return nil }
