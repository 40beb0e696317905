package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A job is one file, and the way of what is found in it to the sink.
type job struct {
	name     string
	explicit bool // named by the caller: looked into whatever it is
	open     func() (io.ReadCloser, int64, error)
	note     *Note   // instead of a file
	lines    []lines // only what lies on them counts; nil: all
	out      chan item
}

// An item is a finding or a note.
type item struct {
	finding *Finding
	note    *Note
}

// queue gives jobs to workers, and to the one who tells what they found, in the same order:
// the first job that is not done is always being worked on, so nobody waits for ever.
type queue struct {
	work, order chan *job
}

func (q *queue) add(ctx context.Context, j *job) error {
	j.out = make(chan item, 16)
	if j.note != nil {
		j.out <- item{note: j.note}
		close(j.out)
	}
	select {
	case q.order <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	if j.note != nil {
		return nil
	}
	select {
	case q.work <- j:
		return nil
	case <-ctx.Done():
		close(j.out)
		return ctx.Err()
	}
}

// Paths scans files and folders. A path that can't be read is a note.
func (s *Scanner) Paths(ctx context.Context, paths []string, to Sink) (Sum, error) {
	return s.run(ctx, to, func(jobs *queue) error {
		for _, p := range paths {
			if err := s.walk(ctx, p, jobs); err != nil {
				return err
			}
		}
		return nil
	})
}

// Why something is left out as agreed.
const (
	whyFolder  = "folder of version control, left out"
	whyIgnored = "ignored"
	whyBinary  = "binary, left out"
	whyOwn     = "the scan's own"
)

// tally is a Sum that several goroutines add to.
type tally struct {
	files, bytes atomic.Int64
}

// run lets workers scan what list adds, and tells what they find, in order.
func (s *Scanner) run(ctx context.Context, to Sink, list func(*queue) error) (Sum, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q := &queue{work: make(chan *job), order: make(chan *job, 256)}
	t := &tally{}
	var listed error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(q.order)
		defer close(q.work)
		listed = list(&queue{q.work, q.order})
	})
	for range s.o.Workers {
		wg.Go(func() {
			w := s.worker(t)
			for j := range q.work {
				w.do(ctx, j)
				close(j.out)
			}
		})
	}
	var sum Sum
	var told error
	for j := range q.order {
		for it := range j.out {
			if told == nil {
				told = s.tell(&sum, to, it)
			}
			if told != nil {
				cancel()
			}
		}
	}
	wg.Wait()
	sum.Files, sum.Bytes = t.files.Load(), t.bytes.Load()
	return sum, errors.Join(told, listed)
}

func (s *Scanner) tell(sum *Sum, to Sink, it item) error {
	if it.note != nil {
		switch it.note.Why {
		case whyFolder:
			sum.Folders++
		case whyIgnored, whyOwn:
			sum.Ignored++
		case whyBinary:
			sum.Binary++
		}
		if it.note.Lost {
			sum.Lost++
		}
		return to.Note(it.note)
	}
	if it.finding.Known {
		sum.Known++
	} else {
		sum.Findings++
	}
	return to.Finding(it.finding)
}

// walk adds what lies at a path. Links inside folders are not followed.
func (s *Scanner) walk(ctx context.Context, root string, jobs *queue) error {
	info, err := os.Stat(root)
	if err != nil {
		return jobs.add(ctx, &job{note: lost(root, plainError(err))})
	}
	if !info.IsDir() {
		return jobs.add(ctx, fileJob(root, true))
	}
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error { //nolint:wrapcheck // ctx's
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return jobs.add(ctx, &job{note: lost(p, plainError(err))})
		case p == root:
			return nil
		case d.IsDir() && s.o.Skipped[d.Name()]:
			return skip(jobs.add(ctx, &job{note: &Note{File: p, Why: whyFolder}}))
		case s.ignored(root, p, d.IsDir()) && d.IsDir():
			return skip(jobs.add(ctx, &job{note: &Note{File: p, Why: whyIgnored}}))
		case s.ignored(root, p, false):
			return jobs.add(ctx, &job{note: &Note{File: p, Why: whyIgnored}})
		case !d.Type().IsRegular():
			return nil // folders are walked; links lead to files that are, or lie elsewhere; devices hold no files
		case s.own(p):
			return jobs.add(ctx, &job{note: &Note{File: p, Why: whyOwn}})
		}
		return jobs.add(ctx, fileJob(p, false))
	})
}

// skip leaves a folder out, unless something went wrong.
func skip(err error) error {
	if err != nil {
		return err
	}
	return fs.SkipDir
}

// ignored reports whether one of the patterns fits a path below root, its last element, or a folder's name.
func (s *Scanner) ignored(root, p string, dir bool) bool {
	if len(s.o.Ignore) == 0 {
		return false
	}
	rel, err := filepath.Rel(root, p)
	if err != nil {
		return false
	}
	rel = filepath.ToSlash(rel)
	return slices.ContainsFunc(s.o.Ignore, func(pattern string) bool {
		pattern, folder := strings.CutSuffix(pattern, "/")
		if folder && !dir {
			return false
		}
		whole, _ := path.Match(pattern, rel)
		last, _ := path.Match(pattern, path.Base(rel))
		return whole || last
	})
}

// own reports whether a file is one of the scan's own.
func (s *Scanner) own(p string) bool {
	return slices.ContainsFunc(s.o.Own, func(name string) bool {
		if filepath.Base(name) != filepath.Base(p) {
			return false
		}
		a, err := os.Stat(name)
		if err != nil {
			return false
		}
		b, err := os.Stat(p)
		return err == nil && os.SameFile(a, b)
	})
}

func fileJob(p string, explicit bool) *job {
	return &job{name: p, explicit: explicit, open: func() (io.ReadCloser, int64, error) {
		f, err := os.Open(p)
		if err != nil {
			return nil, 0, err
		}
		size := int64(-1)
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		return f, size, nil
	}}
}

func lost(file, why string) *Note { return &Note{File: file, Why: why, Lost: true} }

// plainError is what an error says without the path, which stands before it.
func plainError(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Sprintf("%s: %v", p.Op, p.Err)
	}
	return err.Error()
}
