package audit

import (
	"errors"
	"io"
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
	file    readerAtCloser // of segment; nil: none is open
	segment int64
	buf     []byte // of the file from at on; its memory is that of chunk
	chunk   []byte
	at      int64
	end     int64 // where the last frame that was read ended
}

// readAhead is how much is read at a time for somebody who reads one record after the other.
const readAhead = 64 << 10

// Recent is for looking at what just happened. What was sealed into the log is what counts.
func (s *Spool) Recent() *Recent {
	return &Recent{s: s, chunk: make([]byte, max(readAhead, frameHeader+MaxLeaf))}
}

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
		f, err := r.s.open(p.segment)
		if err != nil {
			return nil, false
		}
		r.file, r.segment = f, p.segment
	}
	f, err := r.frame(p.at)
	return f.payload, err == nil && f.seq == seq && !f.trailer
}

// frame reads the frame at at: from what was read before, where it lies in that.
func (r *Recent) frame(at int64) (frame, error) {
	if from := at - r.at; from >= 0 && from < int64(len(r.buf)) {
		if f, err := parseFrame(r.buf[from:]); err == nil {
			r.end = at + frameHeader + int64(len(f.payload))
			return f, nil
		}
	}
	want := 4 << 10 // more than most records take
	if at == r.end {
		want = readAhead
	}
	for {
		n, err := r.file.ReadAt(r.chunk[:want], at)
		if r.at, r.buf = at, r.chunk[:n]; err != nil && !errors.Is(err, io.EOF) {
			return frame{}, err
		}
		f, err := parseFrame(r.buf)
		if err == nil {
			r.end = at + frameHeader + int64(len(f.payload))
		}
		if err == nil || n < want || want == len(r.chunk) {
			return f, err
		}
		want = len(r.chunk)
	}
}

func (r *Recent) place(seq int64) (place, bool) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if seq < max(r.s.recent.first, r.s.next-RecentKept) || seq >= r.s.next {
		return place{}, false
	}
	return r.s.recent.places[seq%RecentKept], true
}

// Close lets go of the file that was read last.
func (r *Recent) Close() {
	if r.file != nil {
		_ = r.file.Close() // only read
		r.file, r.buf, r.end = nil, nil, 0
	}
}
