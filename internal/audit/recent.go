package audit

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// RecentKept is how many of the newest records of a running Spool can be read back by number.
const RecentKept = 4096

// recent remembers where the newest records lie. They are read from there: a
// harmless read pays for nothing that only somebody who looks needs.
type recent struct {
	first  int64 // seq of the first record of this run
	places []place
}

// place is where a frame begins.
type place struct{ segment, at int64 }

func (r *recent) add(seq int64, p place) {
	if r.places == nil {
		r.places = make([]place, RecentKept)
	}
	r.places[seq%RecentKept] = p
}

// A Recent reads back the newest records that a Spool has written in this run. It
// belongs to one goroutine, which closes it in the end.
type Recent struct {
	s       *Spool
	file    *os.File // of segment; nil: none is open
	segment int64
	buf     []byte
}

// Recent is for looking at what just happened. What was sealed into the log is what counts.
func (s *Spool) Recent() *Recent { return &Recent{s: s, buf: make([]byte, MaxLeaf)} }

// Bounds are the seq of the oldest record that can be read back, and that of the next to be written.
func (r *Recent) Bounds() (oldest, next int64) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return max(r.s.recent.first, r.s.next-RecentKept), r.s.next
}

// Leaf returns record seq, which is good until the next call; ok is false when it
// is not among the newest, or can't be read.
func (r *Recent) Leaf(seq int64) (leaf []byte, ok bool) {
	p, ok := r.place(seq)
	if !ok {
		return nil, false
	}
	if r.file == nil || r.segment != p.segment {
		r.Close()
		f, err := os.Open(filepath.Join(r.s.o.Dir, fmt.Sprintf(segmentName, p.segment)))
		if err != nil {
			return nil, false
		}
		r.file, r.segment = f, p.segment
	}
	f, err := readFrame(io.NewSectionReader(r.file, p.at, frameHeader+MaxLeaf), r.buf)
	return f.payload, err == nil && f.seq == seq && !f.trailer
}

func (r *Recent) place(seq int64) (place, bool) {
	oldest, next := r.Bounds()
	if seq < oldest || seq >= next {
		return place{}, false
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.recent.places[seq%RecentKept], true // of a newer record, if one came between: its seq will tell
}

// Close lets go of the file that was read last.
func (r *Recent) Close() {
	if r.file != nil {
		_ = r.file.Close() // only read
		r.file = nil
	}
}
