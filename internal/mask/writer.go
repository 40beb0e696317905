package mask

import (
	"io"

	"github.com/assenthq/assent/internal/detect"
)

// A Writer masks text on its way to another writer, however it is cut: what may
// still become part of a value is kept back until it is settled. It is used by
// one goroutine, and Close passes on the rest.
type Writer struct {
	set    *Set
	fill   bool
	to     io.Writer
	stream *detect.Stream
	kept   []byte // not passed on yet
	from   int    // offset of kept[0] in the stream
	found  []detect.Finding
	counts map[string]int64
}

// Writer returns a writer that masks for to.
func (s *Set) Writer(to io.Writer) *Writer {
	return &Writer{set: s, to: to, stream: s.engine.Stream(), counts: map[string]int64{}}
}

// Filler returns a writer that masks for to and moves nothing: each byte of a value becomes a '*'.
func (s *Set) Filler(to io.Writer) *Writer {
	w := s.Writer(to)
	w.fill = true
	return w
}

// Write takes all of p, or fails as the writer behind it does.
func (w *Writer) Write(p []byte) (int, error) {
	if len(w.set.rules) == 0 {
		return w.to.Write(p)
	}
	w.kept = append(w.kept, p...)
	w.found = w.stream.Write(p, w.found[:0])
	if err := w.pass(int(w.stream.Settled()) - w.from); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush passes on what is kept back as if the text ended here: what a later piece
// would have completed is then not found.
func (w *Writer) Flush() error {
	if len(w.kept) == 0 && w.from == 0 {
		return nil // nothing came since the last
	}
	w.found = w.stream.Close(w.found[:0])
	err := w.pass(len(w.kept))
	w.stream, w.from = w.set.engine.Stream(), 0
	return err
}

// Close is the last Flush. It closes nothing behind w.
func (w *Writer) Close() error { return w.Flush() }

// Kept reports whether text is kept back.
func (w *Writer) Kept() bool { return len(w.kept) > 0 }

// Counts is how many values were masked, by class.
func (w *Writer) Counts() map[string]int64 { return w.counts }

// pass passes on the first n bytes of what is kept, masked.
func (w *Writer) pass(n int) error {
	for i := range w.found {
		w.found[i].Start -= w.from
		w.found[i].End -= w.from
	}
	out := w.kept[:n]
	if w.fill {
		w.fillIn(out)
	} else {
		var counts map[string]int64
		out, counts = w.set.replace(out, w.found)
		for c, k := range counts {
			w.counts[c] += k
		}
	}
	var err error
	if len(out) > 0 {
		_, err = w.to.Write(out)
	}
	w.kept = w.kept[:copy(w.kept, w.kept[n:])]
	w.from += n
	return err
}

// fillIn fills what was found in b, which is kept's own.
func (w *Writer) fillIn(b []byte) {
	for _, f := range w.found {
		if _, is := w.set.rules[f.Class]; !is {
			continue
		}
		w.counts[string(f.Class)]++
		for i := f.Start; i < f.End; i++ {
			b[i] = '*'
		}
	}
}
