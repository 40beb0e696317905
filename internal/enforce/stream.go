package enforce

import (
	"io"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/mask"
)

// Stream masks text that comes in pieces. What it masked is counted, and what the actor
// is about to see noted, before the piece that shows it goes on.
func (p *permit) Stream(to io.Writer, fill bool) gate.Stream {
	s := &stream{permit: p, to: to}
	if fill {
		s.w = p.set.Filler(s.passing())
	} else {
		s.w = p.set.Writer(s.passing())
	}
	return s
}

// Clear says that nothing is masked in v, called name.
func (p *permit) Clear(name string, v []byte) bool { return p.set.Clear(name, v) }

// Bare says that nothing at all is masked.
func (p *permit) Bare() bool { return p.set.Bare() }

type stream struct {
	permit *permit
	to     io.Writer
	w      *mask.Writer
	noted  map[string]int64 // of w's counts
}

func (s *stream) Write(b []byte) (int, error) { return s.w.Write(b) }
func (s *stream) Flush() error                { return s.w.Flush() }
func (s *stream) Close() error                { return s.w.Close() }

// passing is where masked text comes by on its way.
func (s *stream) passing() io.Writer { return passing{s} }

type passing struct{ *stream }

func (s passing) Write(b []byte) (int, error) {
	more := false
	for c, n := range s.w.Counts() {
		if n == s.noted[c] {
			continue
		}
		if s.stream.noted == nil {
			s.stream.noted = map[string]int64{}
		}
		s.permit.text[c] += n - s.noted[c]
		s.noted[c], more = n, true
	}
	if more {
		if err := s.permit.show(s.permit.e.o.Now()); err != nil {
			return 0, err
		}
		if err := s.permit.keep(); err != nil {
			return 0, err
		}
	}
	return s.to.Write(b)
}
