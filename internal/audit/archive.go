package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrConflict says that a node has two segments of one number with different
// records: somebody wrote history anew, and which of the two is true isn't for a
// program to say.
var ErrConflict = errors.New("the archive holds another segment of that node and number")

// A Shelf keeps files that are written once, for an Archive. Names are relative and have
// slashes; a file that isn't there is fs.ErrNotExist. It is safe for concurrent use.
type Shelf interface {
	// Names are those of the files in dir, in any order; none if there is no such directory.
	Names(ctx context.Context, dir string) ([]string, error)
	Open(ctx context.Context, name string) (ShelfFile, error)
	// Put keeps all of r under name, and returns when that is durable. fs.ErrExist: there is such a file, which stays.
	Put(ctx context.Context, name string, r *io.SectionReader) error
	// Remove deletes a file for good; one that is gone is no error.
	Remove(ctx context.Context, name string) error
	// Locked is until when the shelf itself keeps a file from being removed. The zero
	// time: it doesn't; one that is far off where that has no end.
	Locked(ctx context.Context, name string) (time.Time, error)
}

// A ShelfFile is a file on a Shelf, opened for reading.
type ShelfFile interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes
}

// An Archive keeps closed segments of spools on a shelf, whole and as the log has
// their seals: node-NODE/00000001.spool. Nodes may share it. What is in it is
// never written again.
type Archive struct {
	shelf Shelf

	mu     sync.Mutex
	newest map[string]Segment // of each node, as it was read back when it came
}

// NewArchive is the archive on a shelf.
func NewArchive(shelf Shelf) *Archive { return &Archive{shelf: shelf, newest: map[string]Segment{}} }

// nodePrefix keeps a node called ".." inside.
const nodePrefix = "node-"

func nodeDir(node string) string { return nodePrefix + url.PathEscape(node) }

func archived(node string, segment int64) string {
	return nodeDir(node) + "/" + fmt.Sprintf(segmentName, segment)
}

// Ingest keeps the segment in r, which must hold what seal says: the caller has
// seen that seal in the log. Segments of a node come in order. The same one again
// is no error; another under its number is ErrConflict, and the first stays. When
// it returns nil the segment is durable, and was read back.
func (a *Archive) Ingest(ctx context.Context, seal Seal, r *io.SectionReader) error {
	if err := a.ingest(ctx, seal, r); err != nil {
		return fmt.Errorf("archiving segment %d of %s: %w", seal.Segment, seal.Node, err)
	}
	return nil
}

func (a *Archive) ingest(ctx context.Context, seal Seal, r *io.SectionReader) error {
	switch held, err := a.read(ctx, seal.Node, seal.Segment, nil); {
	case err == nil && held.fits(seal):
		a.note(seal.Node, held)
		return nil
	case err == nil:
		return ErrConflict
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := a.follows(ctx, seal); err != nil {
		return err
	}
	sent, err := segmentAt(r, r.Size(), seal.Segment, nil)
	if err != nil {
		return err
	}
	if !sent.fits(seal) {
		return fmt.Errorf("it isn't what was sealed: it holds %d records of %d", sent.Count, seal.Count)
	}
	put := a.shelf.Put(ctx, archived(seal.Node, seal.Segment), r)
	if put != nil && !errors.Is(put, fs.ErrExist) {
		return put
	}
	// What counts is what was stored, not what was sent.
	got, err := a.read(ctx, seal.Node, seal.Segment, nil)
	switch {
	case err != nil:
		return fmt.Errorf("reading it back: %w", err)
	case !got.fits(seal) && put != nil:
		return ErrConflict // somebody was faster
	case !got.fits(seal):
		return errors.New("what the archive gives back isn't what it was given")
	}
	a.note(seal.Node, got)
	return nil
}

// Open opens a segment of a node.
func (a *Archive) Open(ctx context.Context, node string, segment int64) (ShelfFile, error) {
	return a.shelf.Open(ctx, archived(node, segment))
}

func (a *Archive) note(node string, g Segment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.newest[node] = g
}

// follows checks that seal goes on where the segment before it ended.
func (a *Archive) follows(ctx context.Context, seal Seal) error {
	if seal.Segment == 1 {
		return nil
	}
	a.mu.Lock()
	before := a.newest[seal.Node]
	a.mu.Unlock()
	if before.Segment != seal.Segment-1 {
		var err error
		if before, err = a.read(ctx, seal.Node, seal.Segment-1, nil); err != nil {
			return fmt.Errorf("the segment before it: %w", err)
		}
	}
	// Behind a crash numbers may be missing; none comes twice.
	if next := before.First + before.Count; seal.First < next || before.Clean && seal.First != next {
		return fmt.Errorf("it begins with record %d, and the segment before it ends with %d", seal.First, next-1)
	}
	return nil
}

// read reads a segment, hands each record to fn, which may be nil, and tells what it found.
func (a *Archive) read(ctx context.Context, node string, segment int64, fn func(int64, []byte) error) (Segment, error) {
	f, err := a.shelf.Open(ctx, archived(node, segment))
	if err != nil {
		return Segment{}, err
	}
	defer func() { _ = f.Close() }() // only read
	return segmentAt(f, f.Size(), segment, fn)
}

// fits reports whether the segment is the one that was sealed.
func (g Segment) fits(seal Seal) bool {
	return g.Count == seal.Count && g.Root == seal.Root && g.First == seal.First && g.Clean == seal.Clean && (!g.Clean || g.Lost == 0 && g.Node == seal.Node)
}

// Segments are the numbers of the node's segments, ascending.
func (a *Archive) Segments(ctx context.Context, node string) ([]int64, error) {
	names, err := a.shelf.Names(ctx, nodeDir(node))
	if err != nil {
		return nil, fmt.Errorf("reading the archive of traffic: %w", err)
	}
	return segmentsAmong(nodeDir(node), names)
}

// segmentsIn are the numbers of the segments in dir, ascending; none if there is no such directory.
func segmentsIn(dir string) ([]int64, error) {
	names, err := namesIn(dir)
	if err != nil {
		return nil, err
	}
	return segmentsAmong(dir, names)
}

func segmentsAmong(dir string, names []string) ([]int64, error) {
	var out []int64
	for _, name := range names {
		digits, is := strings.CutSuffix(name, ".spool")
		if !is {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || name != fmt.Sprintf(segmentName, n) {
			return nil, fmt.Errorf("%s isn't named like a segment", filepath.Join(dir, name))
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out, nil
}

// ReadTraffic is ReadSpool of all that a node has recorded: of the segments in
// archive, and of those that are still in dir. A segment that is gone may be missing.
func ReadTraffic(ctx context.Context, archive *Archive, node, dir string, gone func(segment int64) bool, fn func(seq int64, leaf []byte) error) ([]Segment, error) {
	if archive == nil {
		return ReadSpool(dir, fn)
	}
	// The spool first: what moves meanwhile is then found in the archive.
	here, err := segmentsIn(dir)
	if err != nil {
		return nil, fmt.Errorf("reading spool: %w", err)
	}
	there, err := archive.Segments(ctx, node)
	if err != nil {
		return nil, err
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(here, there))))
	return readSegments(all, 1, gone, func(n int64) (Segment, error) {
		s, err := readSegment(filepath.Join(dir, fmt.Sprintf(segmentName, n)), fn)
		if errors.Is(err, fs.ErrNotExist) {
			return archive.read(ctx, node, n, fn)
		}
		return s, err
	})
}

// Ship moves closed segments into the spool's archive, oldest first, as long as
// recorded says that the log has their seals, and tells how many it moved. The
// newest that has records stays, because a restart goes on behind it.
func (s *Spool) Ship(ctx context.Context, recorded func(Seal) bool) (int, error) {
	if s.o.Archive == nil {
		return 0, errors.New("shipping traffic: the spool has no archive")
	}
	s.shipping.Lock()
	defer s.shipping.Unlock()
	seals := s.Seals()
	for len(seals) > 0 && seals[len(seals)-1].Count == 0 {
		seals = seals[:len(seals)-1]
	}
	moved := 0
	for i, seal := range seals {
		if i == len(seals)-1 || !recorded(seal) {
			break
		}
		if err := s.ship(ctx, seal); err != nil {
			return moved, err
		}
		moved++
	}
	return moved, nil
}

// ship moves the oldest segment.
func (s *Spool) ship(ctx context.Context, seal Seal) error {
	path := filepath.Join(s.o.Dir, fmt.Sprintf(segmentName, seal.Segment))
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("shipping traffic: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		err = s.o.Archive.Ingest(ctx, seal, io.NewSectionReader(f, 0, info.Size()))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("shipping traffic: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("shipping traffic: %w", err)
	}
	// One at a time: after a power cut no hole is left among the numbers.
	if err := s.o.disk.syncDir(s.o.Dir); err != nil {
		return fmt.Errorf("shipping traffic: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total -= info.Size()
	s.seals = slices.DeleteFunc(s.seals, func(x Seal) bool { return x.Segment == seal.Segment })
	return nil
}

// oldest is the number that the first segment in the spool's directory must have,
// given those that are there: 1, or the one behind what was shipped.
func (s *Spool) oldest(here []int64) (int64, error) {
	if s.o.Archive == nil {
		return 1, nil
	}
	there, err := s.o.Archive.Segments(context.Background(), s.o.Node)
	switch {
	case err != nil && len(here) > 0:
		// It is away. What is missing there is found before anything leaves the spool: see follows.
		return here[0], nil
	case err != nil:
		return 0, fmt.Errorf("the spool is empty, and what was archived of it can't be asked for: %w", err)
	case len(there) == 0:
		return 1, nil
	}
	if len(here) == 0 {
		return 0, fmt.Errorf("segment %d was archived and nothing is left in %s, where newer ones were: put them back, or give the node a new name", there[len(there)-1], s.o.Dir)
	}
	if _, found := slices.BinarySearch(there, here[0]-1); found {
		return here[0], nil
	}
	return 1, nil
}

// open opens a segment of this spool, wherever it is by now.
func (s *Spool) open(segment int64) (readerAtCloser, error) {
	f, err := os.Open(filepath.Join(s.o.Dir, fmt.Sprintf(segmentName, segment)))
	if err == nil {
		return f, nil
	}
	if errors.Is(err, fs.ErrNotExist) && s.o.Archive != nil {
		return s.o.Archive.Open(context.Background(), s.o.Node, segment)
	}
	return nil, err // not a nil *os.File in an interface
}

type readerAtCloser interface {
	io.ReaderAt
	io.Closer
}

// numbers are those of all segments of this spool, also in the archive, ascending.
func (s *Spool) numbers() ([]int64, error) {
	out, err := segmentsIn(s.o.Dir)
	if err != nil || s.o.Archive == nil {
		return out, err
	}
	there, err := s.o.Archive.Segments(context.Background(), s.o.Node)
	out = append(out, there...)
	slices.Sort(out)
	return slices.Compact(out), err
}
