// Package recording keeps what a terminal showed, as asciicast version 2 files
// in one directory.
//
// It promises that a recording is written before what it records is shown, that
// it ends, with its terminal, once it can't be written or is full, and that its
// SHA-256 is known when it is closed, so that another file in its place shows.
// What is typed is in it only as the terminal echoes it. It masks nothing: who
// records hands over what may be seen.
package recording

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// MaxBytes is how long one recording may become.
const MaxBytes = 64 << 20

// Errors of recordings.
var (
	ErrFull  = errors.New("the recording is full")
	ErrNone  = errors.New("no such recording")
	errEnded = errors.New("the recording has ended")
)

// A Header is the first line of a recording.
type Header struct {
	Version   int               `json:"version"`
	Width     int               `json:"width"`
	Height    int               `json:"height"`
	Timestamp int64             `json:"timestamp"`
	Title     string            `json:"title,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	About     About             `json:"assent"`
}

// About says whose terminal it was.
type About struct {
	ID       string `json:"id"`
	Actor    string `json:"actor"`
	Subject  string `json:"subject,omitempty"`
	Gate     string `json:"gate"`
	Resource string `json:"resource"`
	User     string `json:"user"`
	Command  string `json:"command,omitempty"`
}

// A Store is a directory of recordings.
type Store struct{ dir string }

// Open makes the directory where it is not there.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of recordings: %w", err)
	}
	return &Store{dir}, nil
}

// A Recording is one that is being written. It is safe for concurrent use.
type Recording struct {
	ID string

	began time.Time
	limit int64

	mu      sync.Mutex // guards what follows
	file    *os.File
	sum     hash.Hash
	size    int64
	partial []byte // the beginning of a rune
	err     error
}

// New begins a recording.
func (s *Store) New(h Header) (*Recording, error) {
	r := &Recording{ID: "rec_" + strings.ToLower(rand.Text())[:16], began: time.Now(), limit: MaxBytes, sum: sha256.New()}
	h.Version, h.Timestamp, h.About.ID = 2, r.began.Unix(), r.ID
	f, err := os.OpenFile(s.path(r.ID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("beginning a recording: %w", err)
	}
	r.file = f
	if err := r.line(h); err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

func (s *Store) path(id string) string { return filepath.Join(s.dir, id+".cast") }

// Output records what was shown. What is not UTF-8 is kept as U+FFFD.
func (r *Recording) Output(b []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b = append(r.partial, b...)
	n := len(b)
	for back := 1; back < utf8.UTFMax && back <= n; back++ {
		if utf8.RuneStart(b[n-back]) {
			if !utf8.FullRune(b[n-back:]) {
				n -= back
			}
			break
		}
	}
	r.partial = slices.Clone(b[n:])
	if n == 0 {
		return r.err
	}
	return r.event("o", string(b[:n]))
}

// Resize records that the terminal has another size.
func (r *Recording) Resize(columns, rows uint32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.event("r", fmt.Sprintf("%dx%d", columns, rows))
}

// event writes one line; mu is held.
func (r *Recording) event(kind, data string) error {
	at := float64(time.Since(r.began).Microseconds()) / 1e6
	return r.line([]any{at, kind, strings.ToValidUTF8(data, "\uFFFD")})
}

func (r *Recording) line(v any) error {
	if r.err != nil {
		return r.err
	}
	if r.file == nil {
		return errEnded
	}
	b, err := json.Marshal(v)
	if err != nil {
		r.err = fmt.Errorf("recording: %w", err)
		return r.err
	}
	b = append(b, '\n')
	if r.size+int64(len(b)) > r.limit {
		r.err = ErrFull
		return r.err
	}
	if _, err := r.file.Write(b); err != nil {
		r.err = fmt.Errorf("recording: %w", err)
		return r.err
	}
	r.sum.Write(b)
	r.size += int64(len(b))
	return nil
}

// Close ends the recording and returns the SHA-256 of its file, in hex.
func (r *Recording) Close() (digest string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return "", errEnded
	}
	err = errors.Join(r.file.Sync(), r.file.Close())
	r.file = nil
	if err != nil {
		return "", fmt.Errorf("ending a recording: %w", err)
	}
	return hex.EncodeToString(r.sum.Sum(nil)), nil
}

// An Info is what a recording says of itself. Who can write the directory can
// change it: the digest in the audit log is what counts.
type Info struct {
	Header
	Bytes int64
}

// List is every recording, newest first. A file that is none is left out.
func (s *Store) List() ([]Info, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("reading recordings: %w", err)
	}
	var out []Info
	for _, e := range entries {
		id, is := strings.CutSuffix(e.Name(), ".cast")
		if !is {
			continue
		}
		if f, info, err := s.Read(id); err == nil {
			_ = f.Close()
			out = append(out, info)
		}
	}
	slices.SortFunc(out, func(a, b Info) int {
		if a.Timestamp != b.Timestamp {
			return int(b.Timestamp - a.Timestamp)
		}
		return strings.Compare(a.About.ID, b.About.ID)
	})
	return out, nil
}

var validID = regexp.MustCompile(`^rec_[a-z2-7]{16}$`)

// Read opens a recording, from its first line on.
func (s *Store) Read(id string) (*os.File, Info, error) {
	if !validID.MatchString(id) {
		return nil, Info{}, ErrNone
	}
	f, err := os.Open(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Info{}, ErrNone
	}
	if err != nil {
		return nil, Info{}, fmt.Errorf("reading a recording: %w", err)
	}
	info, err := infoOf(f, id)
	if err != nil {
		_ = f.Close()
		return nil, Info{}, err
	}
	return f, info, nil
}

func infoOf(f *os.File, id string) (Info, error) {
	stat, err := f.Stat()
	if err != nil {
		return Info{}, fmt.Errorf("reading a recording: %w", err)
	}
	line, err := bufio.NewReader(io.LimitReader(f, 64<<10)).ReadBytes('\n')
	info := Info{Bytes: stat.Size()}
	if err != nil || json.Unmarshal(line, &info.Header) != nil || info.Version != 2 || info.About.ID != id {
		return Info{}, fmt.Errorf("%w: %s is none", ErrNone, id)
	}
	_, err = f.Seek(0, io.SeekStart)
	return info, err
}

// Digest is the SHA-256 of a recording's file as it is now, in hex.
func (s *Store) Digest(id string) (string, error) {
	f, _, err := s.Read(id)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading a recording: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
