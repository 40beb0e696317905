package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"
)

// Following says how files that grow are read.
type Following struct {
	Every time.Duration // how often is looked for more; 0: 250 ms
	// New leaves out what is there already.
	New bool
	// Stdin is what "-" reads.
	Stdin io.Reader
}

// Follow scans files as they grow, until ctx ends: across rotation, when another file takes the name,
// and truncation, when a file begins anew. A file that isn't there yet is waited for.
func (s *Scanner) Follow(ctx context.Context, paths []string, f Following, to Sink) (Sum, error) {
	if f.Every <= 0 {
		f.Every = 250 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &tally{}
	out := make(chan item, 16)
	left := len(paths)
	done := make(chan struct{})
	for _, p := range paths {
		go func() {
			w := s.worker(t)
			w.ctx, w.out = ctx, out
			tail := &tail{w: w, path: p, f: f}
			if p == "-" {
				tail.stdin(ctx)
			} else {
				tail.run(ctx)
			}
			done <- struct{}{}
		}()
	}
	var sum Sum
	var told error
	for left > 0 {
		select {
		case it := <-out:
			if told == nil {
				if told = s.tell(&sum, to, it); told != nil {
					cancel()
				}
			}
		case <-done:
			left--
		}
	}
	for len(out) > 0 && told == nil {
		told = s.tell(&sum, to, <-out)
	}
	sum.Files, sum.Bytes = t.files.Load(), t.bytes.Load()
	return sum, told
}

// A tail follows one name. It is used by one goroutine.
type tail struct {
	w    *worker
	path string
	f    Following

	file *os.File
	read int64 // bytes of file
	last byte
	open bool // a text is on its way
	told bool // that the file is not there
	buf  []byte
}

func (t *tail) run(ctx context.Context) {
	t.buf = make([]byte, 64<<10)
	tick := time.NewTicker(t.f.Every)
	defer tick.Stop()
	defer t.leave()
	begin := !t.f.New
	for {
		more := t.step(begin)
		begin = true // what takes the name later is new from its start
		if more {
			continue
		}
		t.settle()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// step reads once, and reports whether there may be more at once.
func (t *tail) step(fromStart bool) bool {
	if t.w.ctx.Err() != nil {
		return false
	}
	if t.file == nil && !t.enter(fromStart) {
		return false
	}
	n, err := t.file.Read(t.buf)
	if n > 0 {
		t.take(t.buf[:n])
		return true
	}
	if err != nil && !errors.Is(err, io.EOF) {
		t.w.lost(t.path, "not read any further: "+plainError(err))
		t.leave()
		return false
	}
	switch info, err := os.Stat(t.path); {
	case err != nil:
		return false // renamed, and nothing new yet: it may still grow
	case !t.is(info):
		if n, _ := t.file.Read(t.buf); n > 0 { // written between the last look and the rename
			t.take(t.buf[:n])
			return true
		}
		t.leave()
		return true
	case info.Size() < t.read:
		t.leave()
		return true
	}
	return false
}

func (t *tail) is(info os.FileInfo) bool {
	mine, err := t.file.Stat()
	return err == nil && os.SameFile(mine, info)
}

// enter opens what has the name now.
func (t *tail) enter(fromStart bool) bool {
	file, err := os.Open(t.path)
	if err != nil {
		if !t.told {
			t.told = true
			_ = t.w.send(t.w.ctx, t.w.out, item{note: &Note{File: t.path, Why: fmt.Sprintf("waiting for it: %s", plainError(err))}}) // an end is seen elsewhere
		}
		return false
	}
	t.file, t.read, t.told = file, 0, false
	t.w.one.win.line = 0
	if info, err := file.Stat(); !fromStart && err == nil && info.Mode().IsRegular() {
		t.pass()
	}
	t.w.sum.files.Add(1)
	return true
}

// pass reads what is there, for its lines alone.
func (t *tail) pass() {
	for t.w.ctx.Err() == nil {
		n, err := t.file.Read(t.buf)
		t.read += int64(n)
		t.w.one.win.line += bytes.Count(t.buf[:n], []byte{'\n'})
		if err != nil {
			return // its end; what is wrong shows at the next read
		}
	}
}

// stdin follows a stream that others write.
func (t *tail) stdin(ctx context.Context) {
	parts := make(chan []byte)
	go func() { // ends with the stream, or with the program
		defer close(parts)
		for {
			buf := make([]byte, 64<<10)
			n, err := t.f.Stdin.Read(buf)
			if n > 0 {
				select {
				case parts <- buf[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	defer t.finish()
	t.w.sum.files.Add(1)
	tick := time.NewTicker(t.f.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case p, more := <-parts:
			if !more {
				return
			}
			t.take(p)
		case <-tick.C:
			t.settle()
		}
	}
}

// take scans what was read.
func (t *tail) take(p []byte) {
	one := &t.w.one
	if !t.open {
		format := t.w.s.o.Format
		if format == "" {
			format = formatOf(t.path, nil)
		}
		if format == CSV || format == TSV {
			format = Text // its first line may have been long ago
		}
		line := one.win.line
		one.begin(t.w.ctx, t.w, t.path, format, false, t.w.out)
		one.stream = t.w.s.o.Engine.Stream()
		one.win.raw = t.read
		one.win.line = line
		t.open = true
	}
	t.read += int64(len(p))
	t.last = p[len(p)-1]
	_ = one.write(p) // only an end, which is seen elsewhere
}

// settle tells what a quiet file still may hold: nothing goes on behind the end of a line.
func (t *tail) settle() {
	if t.open && t.last == '\n' {
		t.finish()
	}
}

func (t *tail) finish() {
	if t.open {
		t.w.one.ctx = context.WithoutCancel(t.w.ctx) //nolint:fatcontext // one level, for what is told at the end
		_ = t.w.one.end()                            // only an end, which is seen elsewhere
		t.w.one.win.seek(math.MaxInt64)
		t.open = false
	}
}

func (t *tail) leave() {
	t.finish()
	if t.file != nil {
		_ = t.file.Close() // it was read
		t.file = nil
	}
}
