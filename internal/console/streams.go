package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	maxStreams    = 512 // open event streams of everybody together
	maxOwnStreams = 32  // of one person: nobody takes them all
	streamWrite   = 10 * time.Second
)

// streams counts the open event streams by person. The zero value is ready.
type streams struct {
	mu  sync.Mutex
	all int            // owned by mu
	by  map[string]int // owned by mu
}

// begin reports whether one more may open; then end must follow.
func (s *streams) begin(person string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]int{}
	}
	if s.all >= maxStreams || s.by[person] >= maxOwnStreams {
		return false
	}
	s.all++
	s.by[person]++
	return true
}

func (s *streams) end(person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.by[person]--; s.by[person] <= 0 {
		delete(s.by, person)
	}
}

// beginStream opens an event stream; false: it told why not. A reader that takes
// nothing for a while is cut off: nobody looks whether they are still signed in.
func (c *Console) beginStream(w http.ResponseWriter, p *who) (write func(format string, args ...any) bool, ok bool) {
	if !c.streams.begin(p.ID) {
		http.Error(w, "Too many pages are open. Close some and reload.", http.StatusServiceUnavailable)
		return nil, false
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	out := http.NewResponseController(w)
	return func(format string, args ...any) bool {
		_ = out.SetWriteDeadline(time.Now().Add(streamWrite)) // not every writer of a test has one
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && out.Flush() == nil
	}, true
}

// A download is a long answer to somebody signed in. It breaks off when they no
// longer are, or take nothing for a while: slow reading keeps nobody in.
type download struct {
	c      *Console
	w      http.ResponseWriter
	r      *http.Request
	stop   context.CancelFunc // of what is still being looked for
	looked time.Time
}

func (d *download) Write(b []byte) (int, error) {
	if time.Since(d.looked) > time.Second {
		if _, still := d.c.visitor(d.r); !still {
			d.stop()
			return 0, errors.New("nobody is signed in any more")
		}
		d.looked = time.Now()
	}
	_ = http.NewResponseController(d.w).SetWriteDeadline(time.Now().Add(streamWrite)) // not every writer of a test has one
	n, err := d.w.Write(b)
	if err != nil {
		d.stop()
	}
	return n, err
}
