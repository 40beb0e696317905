package bodies

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/assenthq/assent/internal/detect"
)

// A Store keeps bodies of requests. It is safe for concurrent use.
type Store struct {
	dir         string
	total, each int64
	engine      *detect.Engine
	held        atomic.Int64 // bytes kept of all bodies
}

// NewStore returns a store with its files in dir, which holds up to total bytes of all bodies,
// and each of one. Without an engine nothing is looked into.
func NewStore(dir string, total, each int64, e *detect.Engine) (*Store, error) {
	if dir == "" || total < inMemory || each < 1 {
		return nil, errors.New("bodies: a directory, room for a body and a bound for each are needed")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keeping bodies: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "body-*"))
	if err != nil {
		return nil, fmt.Errorf("keeping bodies: %w", err)
	}
	for _, f := range left { // of a process that ended between making one and unlinking it; its key is gone
		if err := os.Remove(f); err != nil {
			return nil, fmt.Errorf("keeping bodies: %w", err)
		}
	}
	return &Store{dir: dir, total: total, each: each, engine: e}, nil
}

// Held is how many bytes are kept now.
func (s *Store) Held() int64 { return s.held.Load() }

func (s *Store) hold(n int64) error {
	if s.held.Add(n) > s.total && n > 0 {
		s.held.Add(-n)
		return ErrNoSpace
	}
	return nil
}

const (
	chunk    = 64 << 10
	overhead = 16 // bytes that AES-GCM adds to one
)

// A file is the encrypted rest of one body, without a name in its directory. Its chunks are sealed with their
// number and whether they are the last (the STREAM construction): what was cut off,
// exchanged or changed can't be read.
type file struct {
	f      *os.File
	aead   cipher.AEAD
	plain  []byte // of the chunk that is being filled
	sealed []byte
	chunks uint64
	ended  bool
}

func (s *Store) create() (*file, error) {
	f, err := os.CreateTemp(s.dir, "body-")
	if err != nil {
		return nil, fmt.Errorf("keeping a body: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("keeping a body: %w", err), f.Close())
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails: it ends the process instead
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{f: f, aead: aead, plain: make([]byte, 0, chunk), sealed: make([]byte, 0, chunk+overhead)}, nil
}

// nonce is that of one chunk. The key is of this file alone.
func nonce(n uint64, last bool) []byte {
	out := make([]byte, 12)
	if last {
		out[0] = 1
	}
	binary.BigEndian.PutUint64(out[4:], n)
	return out
}

func (f *file) write(p []byte) error {
	for len(p) > 0 {
		if len(f.plain) == chunk {
			if err := f.seal(false); err != nil {
				return err
			}
		}
		n := min(len(p), chunk-len(f.plain))
		f.plain, p = append(f.plain, p[:n]...), p[n:]
	}
	return nil
}

func (f *file) seal(last bool) error {
	f.sealed = f.aead.Seal(f.sealed[:0], nonce(f.chunks, last), f.plain, nil)
	if _, err := f.f.Write(f.sealed); err != nil {
		return fmt.Errorf("keeping a body: %w", err)
	}
	f.chunks++
	f.plain = f.plain[:0]
	return nil
}

func (f *file) end() error {
	if err := f.seal(true); err != nil {
		return err
	}
	f.ended, f.plain, f.sealed = true, nil, nil
	return nil
}

func (f *file) close() error { return f.f.Close() }

// open reads the file from its beginning. Several may read at once.
func (f *file) open() io.Reader { return &reader{f: f} }

type reader struct {
	f      *file
	next   uint64
	sealed []byte
	plain  []byte
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 {
		if r.next == r.f.chunks {
			return 0, io.EOF
		}
		if r.sealed == nil {
			r.sealed = make([]byte, chunk+overhead)
		}
		n, err := r.f.f.ReadAt(r.sealed, int64(r.next)*(chunk+overhead))
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("reading a kept body: %w", err)
		}
		last := r.next == r.f.chunks-1
		if r.plain, err = r.f.aead.Open(r.sealed[:0], nonce(r.next, last), r.sealed[:n], nil); err != nil {
			return 0, errors.New("reading a kept body: its file was changed")
		}
		r.next++
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}
