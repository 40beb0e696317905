package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// A Follow reads a Spool's records in order while it is written to, also those of
// earlier runs. It belongs to one goroutine, which closes it in the end.
type Follow struct {
	s       *Spool
	next    int64 // seq to read
	file    readerAtCloser
	segment int64
	at      int64  // where in file the next frame begins
	buf     []byte // of the file from at on; its memory is that of chunk
	chunk   []byte
}

// Follow reads from record seq on.
func (s *Spool) Follow(seq int64) *Follow {
	return &Follow{s: s, next: seq, chunk: make([]byte, max(readAhead, frameHeader+MaxLeaf))}
}

// Next is the seq after the newest record of the spool.
func (s *Spool) Next() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// Read returns the next record, which is good until the next call; ok is false
// where there is none yet. Its seq is larger than the one before by more than one
// where records between were lost or removed.
func (f *Follow) Read() (seq int64, leaf []byte, ok bool, err error) {
	for f.next < f.s.Next() {
		if f.file == nil {
			if err := f.open(); err != nil {
				return 0, nil, false, err
			}
		}
		fr, err := f.frame()
		switch {
		case errors.Is(err, errBadFrame) || err == nil && fr.trailer:
			// The segment's end: what is behind it can't be read.
			if err := f.turn(); err != nil {
				return 0, nil, false, err
			}
		case err != nil:
			return 0, nil, false, err
		case fr.seq < f.next: // before what is looked for
		case fr.seq >= f.s.Next():
			return 0, nil, false, nil // it is being written
		default:
			f.next = fr.seq + 1
			return fr.seq, fr.payload, true, nil
		}
	}
	return 0, nil, false, nil
}

// open opens the newest segment that begins at or before next, or the oldest of all.
func (f *Follow) open() error {
	numbers, err := f.s.numbers()
	if err != nil {
		return err
	}
	for i := len(numbers) - 1; i >= 0; i-- {
		if err := f.openSegment(numbers[i]); errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		} else if err != nil {
			return err
		}
		first, err := f.first()
		if err != nil {
			return err
		}
		if i == 0 || first >= 0 && first <= f.next {
			return nil
		}
		f.Close()
	}
	return errors.New("following the spool: it has no segment")
}

// first is the seq of the first frame; -1 where there is none.
func (f *Follow) first() (int64, error) {
	at := f.at
	fr, err := f.frame()
	f.at, f.buf = at, nil
	if errors.Is(err, errBadFrame) {
		return -1, nil
	}
	return fr.seq, err
}

// turn goes on to the segment after the current one.
func (f *Follow) turn() error {
	numbers, err := f.s.numbers()
	if err != nil {
		return err
	}
	i, _ := slices.BinarySearch(numbers, f.segment+1)
	if i == len(numbers) {
		return fmt.Errorf("following the spool: segment %d ends before record %d, and there is none after it", f.segment, f.next)
	}
	f.Close()
	return f.openSegment(numbers[i])
}

func (f *Follow) openSegment(n int64) error {
	file, err := f.s.open(n)
	if err != nil {
		return err
	}
	f.file, f.segment, f.at, f.buf = file, n, 0, nil
	return nil
}

// frame reads the frame at f.at and moves on behind it.
func (f *Follow) frame() (frame, error) {
	fr, err := parseFrame(f.buf)
	if err != nil { // not whole, or zeros that were read before it was written
		n, rerr := f.file.ReadAt(f.chunk, f.at)
		if rerr != nil && !errors.Is(rerr, io.EOF) {
			return frame{}, rerr
		}
		f.buf = f.chunk[:n]
		if fr, err = parseFrame(f.buf); err != nil {
			return frame{}, err
		}
	}
	size := int64(frameHeader + len(fr.payload))
	f.at += size
	f.buf = f.buf[size:]
	return fr, nil
}

// Close lets go of the segment that is open.
func (f *Follow) Close() {
	if f.file != nil {
		_ = f.file.Close() // only read
		f.file, f.buf = nil, nil
	}
}
