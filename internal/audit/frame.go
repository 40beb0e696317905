package audit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// A segment of the spool is a sequence of frames:
//
//	length u32 | seq u64 | crc32c u32 | payload
//
// all big-endian; the checksum covers length, seq and payload. A payload is a
// record's leaf. Zeros may follow, which are no frame. The last frame of a segment that was closed in good order has
// the top bit of its length set and holds the segment's Seal as JSON.
const (
	frameHeader  = 16
	trailerBit   = 1 << 31
	segmentName  = "%08d.spool"
	maxSegments  = 99999999
	trailerSpace = 1024 // more than any trailer needs
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errBadFrame ends a segment: what follows can't be told from garbage.
var errBadFrame = errors.New("bad frame")

type frame struct {
	seq     int64
	trailer bool
	payload []byte
}

func appendFrame(b []byte, f frame) []byte {
	start := len(b)
	b = append(b, make([]byte, frameHeader)...)
	putHeader(b[start:], f.seq, f.trailer, f.payload)
	return append(b, f.payload...)
}

func putHeader(h []byte, seq int64, trailer bool, payload []byte) {
	length := uint32(len(payload))
	if trailer {
		length |= trailerBit
	}
	binary.BigEndian.PutUint32(h, length)
	binary.BigEndian.PutUint64(h[4:], uint64(seq))
	sum := crc32.Update(crc32.Checksum(h[:12], castagnoli), castagnoli, payload)
	binary.BigEndian.PutUint32(h[12:], sum)
}

// readFrame reads one frame into buf. io.EOF is a clean end; errBadFrame
// anything that isn't a whole frame; other errors are the file's.
func readFrame(r io.Reader, buf []byte) (frame, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return frame{}, torn(err)
	}
	f, length, err := headerOf(h[:])
	if err != nil {
		return frame{}, err
	}
	f.payload = buf[:length]
	if _, err := io.ReadFull(r, f.payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the header promised more
		}
		return frame{}, torn(err)
	}
	return f.checked(h[:])
}

// parseFrame is readFrame of what b begins with, without a copy.
func parseFrame(b []byte) (frame, error) {
	if len(b) < frameHeader {
		return frame{}, errBadFrame
	}
	f, length, err := headerOf(b)
	if err != nil || len(b)-frameHeader < length {
		return frame{}, errBadFrame
	}
	f.payload = b[frameHeader : frameHeader+length]
	return f.checked(b)
}

// headerOf reads a header. The length is bounded before anything is read into
// memory: it may be garbage.
func headerOf(h []byte) (f frame, length int, err error) {
	n := binary.BigEndian.Uint32(h)
	f = frame{seq: int64(binary.BigEndian.Uint64(h[4:12])), trailer: n&trailerBit != 0}
	n &^= trailerBit
	if n == 0 || n > MaxLeaf || f.seq < 0 {
		return frame{}, 0, errBadFrame
	}
	return f, int(n), nil
}

// checked is f if its header h bears its checksum.
func (f frame) checked(h []byte) (frame, error) {
	if sum := crc32.Update(crc32.Checksum(h[:12], castagnoli), castagnoli, f.payload); sum != binary.BigEndian.Uint32(h[12:]) {
		return frame{}, errBadFrame
	}
	return f, nil
}

func torn(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errBadFrame
	}
	return err
}

// A Seal is what the log records about a closed segment of a spool.
type Seal struct {
	Node    string    `json:"node"`
	Segment int64     `json:"segment"` // number of the segment, from 1
	First   int64     `json:"first"`   // seq of its first record
	Count   int64     `json:"count"`
	Root    tlog.Hash `json:"root"`  // RFC 6962 root over its records
	Clean   bool      `json:"clean"` // closed in good order; false: by a crash, and its last records may be missing
}

// Record is the record that puts the seal into the log.
func (s Seal) Record() *Record {
	return &Record{Type: TypeSpoolSeal, Detail: map[string]string{
		"node": s.Node, "segment": strconv.FormatInt(s.Segment, 10),
		"first": strconv.FormatInt(s.First, 10), "count": strconv.FormatInt(s.Count, 10),
		"root": s.Root.String(), "clean": strconv.FormatBool(s.Clean),
	}}
}

// sealOf reads back what Record wrote.
func sealOf(r *Record) (Seal, error) {
	var errs [5]error
	s := Seal{Node: r.Detail["node"]}
	s.Segment, errs[0] = strconv.ParseInt(r.Detail["segment"], 10, 64)
	s.First, errs[1] = strconv.ParseInt(r.Detail["first"], 10, 64)
	s.Count, errs[2] = strconv.ParseInt(r.Detail["count"], 10, 64)
	s.Root, errs[3] = tlog.ParseHash(r.Detail["root"])
	s.Clean, errs[4] = strconv.ParseBool(r.Detail["clean"])
	if err := errors.Join(errs[:]...); err != nil {
		return Seal{}, fmt.Errorf("reading a spool seal: %w", err)
	}
	return s, nil
}

// A Segment is what a segment file was found to hold.
type Segment struct {
	Seal
	Path  string
	Bytes int64 // of the file, but for room
	Lost  int64 // bytes after the last good frame; they can't be read

	room int64 // zeros at the end of the file: reserved, and never written
}

// scanSegment reads frames up to the first bad one, hands each record to fn
// (which may be nil, and must not keep the leaf), and tells what it found. First
// is -1 when not even one frame could be read.
func scanSegment(r io.Reader, fn func(seq int64, leaf []byte) error) (Segment, error) {
	s := Segment{Seal: Seal{First: -1}}
	var tree frontier
	good := int64(0)
	buf := make([]byte, MaxLeaf)
	for !s.Clean {
		f, err := readFrame(r, buf)
		if errors.Is(err, io.EOF) || errors.Is(err, errBadFrame) {
			break
		}
		if err != nil {
			return s, err
		}
		if s.First < 0 {
			s.First = f.seq
		}
		if f.seq != s.First+tree.size {
			break
		}
		if f.trailer {
			t, ok := trailerOf(f.payload, s.First, &tree)
			if !ok {
				break
			}
			s.Node, s.Segment, s.Clean = t.Node, t.Segment, true
		} else {
			tree.add(tlog.RecordHash(f.payload), nil)
			if fn != nil {
				if err := fn(f.seq, f.payload); err != nil {
					return s, err
				}
			}
		}
		good += frameHeader + int64(len(f.payload))
	}
	s.Count, s.Root, s.Bytes = tree.size, tree.root(), good
	return s, nil
}

// trailerOf reads the seal in a trailer, which must be the seal of the records before it.
func trailerOf(payload []byte, first int64, tree *frontier) (Seal, bool) {
	var t Seal
	err := json.Unmarshal(payload, &t)
	return t, err == nil && t.First == first && t.Count == tree.size && t.Root == tree.root()
}

// ReadSpool reads every record of the spool in dir in order. It may run beside
// a writer, whose last segment then appears as not closed. A missing segment is
// an error; damage inside a segment ends that segment and shows as Lost bytes.
func ReadSpool(dir string, fn func(seq int64, leaf []byte) error) ([]Segment, error) {
	numbers, err := segmentsIn(dir)
	if err != nil {
		return nil, fmt.Errorf("reading spool: %w", err)
	}
	return readSegments(numbers, 1, nobody, readIn(dir, fn))
}

// readIn reads segments by their number in dir.
func readIn(dir string, fn func(seq int64, leaf []byte) error) func(int64) (Segment, error) {
	return func(n int64) (Segment, error) {
		return readSegment(filepath.Join(dir, fmt.Sprintf(segmentName, n)), fn)
	}
}

// nobody is for readSegments where no segment may be missing.
func nobody(int64) bool { return false }

// readSegments reads numbers, which must go from first on without a hole but for those that are gone.
func readSegments(numbers []int64, first int64, gone func(int64) bool, read func(int64) (Segment, error)) ([]Segment, error) {
	var out []Segment
	next := int64(0)
	want := first
	for i, n := range numbers {
		for ; want < n; want++ {
			if !gone(want) {
				return out, fmt.Errorf("reading spool: segment %d is missing; if it was archived, audit.archive must say where", want)
			}
		}
		want = n + 1
		s, err := read(n)
		if errors.Is(err, fs.ErrNotExist) && gone(n) {
			continue // since it was listed
		}
		if err != nil {
			return out, fmt.Errorf("reading spool: %w", err)
		}
		if s.First < 0 {
			if i == 0 && first > 1 {
				return out, fmt.Errorf("reading spool: segment %d can't be read, and those before it were archived: put it back as it was, or give the node a new name", n)
			}
			s.First = next
		}
		next = max(next, s.First+s.Count)
		out = append(out, s)
	}
	return out, nil
}

func readSegment(path string, fn func(int64, []byte) error) (Segment, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(path), ".spool"), 10, 64)
	if err != nil {
		return Segment{}, fmt.Errorf("%s isn't named like a segment: %w", path, err)
	}
	if filepath.Base(path) != fmt.Sprintf(segmentName, n) {
		return Segment{}, fmt.Errorf("%s isn't named like a segment", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return Segment{}, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return Segment{}, err
	}
	s, err := segmentAt(f, info.Size(), n, fn)
	s.Path = path
	return s, err
}

// segmentAt reads size bytes of r, which must hold segment n, whatever its name.
func segmentAt(r io.ReaderAt, size, n int64, fn func(int64, []byte) error) (Segment, error) {
	s, err := scanSegment(bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10), fn)
	if err != nil {
		return s, fmt.Errorf("segment %d: %w", n, err)
	}
	if s.Clean && s.Segment != n {
		return s, fmt.Errorf("segment %d bears the number %d inside", n, s.Segment)
	}
	end, err := lastByte(r, s.Bytes, size)
	if err != nil {
		return s, err
	}
	s.Segment = n
	s.Lost, s.Bytes, s.room = end-s.Bytes, end, max(size-end, 0)
	return s, nil
}

// lastByte is where the zeros at the end of r begin, from from on. A segment that
// is written to, or was when its process ended, has such zeros: a frame doesn't end with one.
func lastByte(r io.ReaderAt, from, size int64) (int64, error) {
	end := from
	buf := make([]byte, 64<<10)
	for at := from; at < size; at += int64(len(buf)) {
		n, err := r.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if k := len(bytes.TrimRight(buf[:n], "\x00")); k > 0 {
			end = at + int64(k)
		}
	}
	return end, nil
}
