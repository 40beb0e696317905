package audit

import (
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
)

// ErrConflict says that a node has two segments of one number with different
// records: somebody wrote history anew, and which of the two is true isn't for a
// program to say.
var ErrConflict = errors.New("the archive holds another segment of that node and number")

// An Archive is a directory that keeps closed segments of spools, whole and as
// the log has their seals: DIR/node-NODE/00000001.spool. Nodes may share it. What
// is in it is never written again.
type Archive struct{ dir string }

// OpenArchive opens the archive in dir, making the directory if need be.
func OpenArchive(dir string) (*Archive, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the archive of traffic: %w", err)
	}
	return &Archive{dir: dir}, nil
}

// nodeDir is where the segments of a node lie. The prefix keeps a node called ".." inside.
func (a *Archive) nodeDir(node string) string {
	return filepath.Join(a.dir, "node-"+url.PathEscape(node))
}

func (a *Archive) path(node string, segment int64) string {
	return filepath.Join(a.nodeDir(node), fmt.Sprintf(segmentName, segment))
}

// Ingest keeps the segment in r, which must hold what seal says: the caller has
// seen that seal in the log. Segments of a node come in order. The same one again
// is no error; another under its number is ErrConflict, and the first stays. When
// it returns nil the segment is durable.
func (a *Archive) Ingest(seal Seal, r io.Reader) error {
	if err := a.ingest(seal, r); err != nil {
		return fmt.Errorf("archiving segment %d of %s: %w", seal.Segment, seal.Node, err)
	}
	return nil
}

func (a *Archive) ingest(seal Seal, r io.Reader) error {
	to := a.path(seal.Node, seal.Segment)
	switch held, err := readSegment(to, nil); {
	case err == nil && held.fits(seal):
		return nil
	case err == nil:
		return ErrConflict
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := a.follows(seal); err != nil {
		return err
	}
	dir := a.nodeDir(seal.Node)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(a.dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "arriving-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when all went well
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// What is judged is what was stored, not what was sent.
	got, err := readSegmentAs(f.Name(), seal.Segment, nil)
	if err != nil {
		return err
	}
	if !got.fits(seal) {
		return fmt.Errorf("it isn't what was sealed: it holds %d records of %d", got.Count, seal.Count)
	}
	// A link, because it fails where somebody was faster; a rename would replace theirs.
	if err := os.Link(f.Name(), to); err != nil {
		return err
	}
	return syncDir(dir)
}

// follows checks that seal goes on where the segment before it ended.
func (a *Archive) follows(seal Seal) error {
	if seal.Segment == 1 {
		return nil
	}
	before, err := readSegment(a.path(seal.Node, seal.Segment-1), nil)
	if err != nil {
		return fmt.Errorf("the segment before it: %w", err)
	}
	// Behind a crash numbers may be missing; none comes twice.
	if next := before.First + before.Count; seal.First < next || before.Clean && seal.First != next {
		return fmt.Errorf("it begins with record %d, and the segment before it ends with %d", seal.First, next-1)
	}
	return nil
}

// fits reports whether the segment is the one that was sealed.
func (g Segment) fits(seal Seal) bool {
	return g.Count == seal.Count && g.Root == seal.Root && g.First == seal.First && g.Clean == seal.Clean && (!g.Clean || g.Lost == 0 && g.Node == seal.Node)
}

// Segments are the numbers of the node's segments, ascending.
func (a *Archive) Segments(node string) ([]int64, error) { return segmentsIn(a.nodeDir(node)) }

// segmentsIn are the numbers of the segments in dir, ascending; none if there is no such directory.
func segmentsIn(dir string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []int64
	for _, e := range entries {
		digits, is := strings.CutSuffix(e.Name(), ".spool")
		if !is {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || e.Name() != fmt.Sprintf(segmentName, n) {
			return nil, fmt.Errorf("%s isn't named like a segment", filepath.Join(dir, e.Name()))
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out, nil
}

// ReadTraffic is ReadSpool of all that a node has recorded: of the segments in
// archive, and of those that are still in dir.
func ReadTraffic(archive *Archive, node, dir string, fn func(seq int64, leaf []byte) error) ([]Segment, error) {
	if archive == nil {
		return ReadSpool(dir, fn)
	}
	// The spool first: what moves meanwhile is then found in the archive.
	here, err := segmentsIn(dir)
	if err != nil {
		return nil, fmt.Errorf("reading spool: %w", err)
	}
	there, err := archive.Segments(node)
	if err != nil {
		return nil, fmt.Errorf("reading the archive of traffic: %w", err)
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(here, there))))
	return readSegments(all, 1, func(n int64) (Segment, error) {
		s, err := readSegment(filepath.Join(dir, fmt.Sprintf(segmentName, n)), fn)
		if errors.Is(err, fs.ErrNotExist) {
			return readSegment(archive.path(node, n), fn)
		}
		return s, err
	})
}

// Ship moves closed segments into the spool's archive, oldest first, as long as
// recorded says that the log has their seals, and tells how many it moved. The
// newest that has records stays, because a restart goes on behind it.
func (s *Spool) Ship(recorded func(Seal) bool) (int, error) {
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
		if err := s.ship(seal); err != nil {
			return moved, err
		}
		moved++
	}
	return moved, nil
}

// ship moves the oldest segment.
func (s *Spool) ship(seal Seal) error {
	path := filepath.Join(s.o.Dir, fmt.Sprintf(segmentName, seal.Segment))
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("shipping traffic: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		err = s.o.Archive.Ingest(seal, f)
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
	there, err := s.o.Archive.Segments(s.o.Node)
	if err != nil || len(there) == 0 {
		return 1, err
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
func (s *Spool) open(segment int64) (*os.File, error) {
	f, err := os.Open(filepath.Join(s.o.Dir, fmt.Sprintf(segmentName, segment)))
	if errors.Is(err, fs.ErrNotExist) && s.o.Archive != nil {
		return os.Open(s.o.Archive.path(s.o.Node, segment))
	}
	return f, err
}

// numbers are those of all segments of this spool, also in the archive, ascending.
func (s *Spool) numbers() ([]int64, error) {
	out, err := segmentsIn(s.o.Dir)
	if err != nil || s.o.Archive == nil {
		return out, err
	}
	there, err := s.o.Archive.Segments(s.o.Node)
	out = append(out, there...)
	slices.Sort(out)
	return slices.Compact(out), err
}
