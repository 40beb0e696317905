// Package bodies reads bodies of requests once: into memory, then into encrypted temporary
// files, finding classes of sensitive data on the way.
//
// It promises bounded memory whatever a body holds, that what is read back is what came,
// and that nothing of a body can be read from the disk without the key, which is in memory only. What it could
// not decode it calls unscanned.
package bodies

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/assenthq/assent/internal/detect"
)

// Errors of bodies that can't be kept.
var (
	ErrTooLarge = errors.New("the body is larger than this gate takes")
	ErrNoSpace  = errors.New("too much is kept of other requests now")
	ErrShort    = errors.New("the body is not as long as it was said to be")
)

// A Store keeps bodies of requests.
type Store struct {
	dir         string
	total, each int64
	engine      *detect.Engine
}

// NewStore returns a store with its files in dir, which holds up to total bytes of all bodies and each of one.
// Without an engine nothing is looked into.
func NewStore(dir string, total, each int64, e *detect.Engine) (*Store, error) {
	return &Store{dir, total, each, e}, nil
}

// Close ends the store.
func (s *Store) Close() error { return nil }

// Body returns the body that src brings; length is what it is said to have, -1: not known.
func (s *Store) Body(src io.Reader, length int64) *Body { return &Body{} }

// A Body is one request's body, read once. It is used by one goroutine at a time; Found by any.
type Body struct{}

// Headed tells the body what its Content-Type and Content-Encoding are, before anything was read. Without
// it, decoding goes by what the first bytes show.
func (b *Body) Headed(h http.Header) {}

// Length is how long the body is, or is said to be; -1: not known.
func (b *Body) Length() int64 { return -1 }

// Wrap puts f between the wire and everything else, to decode or verify what comes. length is what f
// makes of the body, -1: not known. Before anything was read.
func (b *Body) Wrap(f func(io.Reader) io.Reader, length int64) {}

// Whole is all of the body, in memory; ErrTooLarge if it has more than max bytes. What was read stays to be kept or opened.
func (b *Body) Whole(max int64) ([]byte, error) { return nil, ErrTooLarge }

// Keep reads all of the body.
func (b *Body) Keep(ctx context.Context) error { return ErrTooLarge }

// Kept says that all of the body was read and is here.
func (b *Body) Kept() bool { return false }

// Sum is the SHA-256 of a kept body, or of what has passed of another so far.
func (b *Body) Sum() [32]byte { return [32]byte{} }

// Open reads the body: what was read so far, then what is still on the wire. A kept body can be opened again.
func (b *Body) Open() (io.ReadCloser, error) { return nil, ErrTooLarge }

// Found is what was found in what has passed so far, by class, and whether something of it could not be looked into.
func (b *Body) Found() (classes map[string]int64, unscanned bool) { return nil, true }

// Close forgets the body.
func (b *Body) Close() error { return nil }
