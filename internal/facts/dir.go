package facts

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Dir is a directory of facts, as it was when it was opened. A server may go on
// writing to it.
type Dir struct {
	blocks  []place
	files   map[string]*os.File
	answers map[uint64]answer

	Rows    int64    // actions that are kept
	Dropped int64    // actions that were not
	Bytes   int64    // on disk
	Torn    []string // files whose last block is half written
	First   time.Time
	Last    time.Time
}

// OpenDir looks at the blocks of dir. Close it.
func OpenDir(dir string) (*Dir, error) {
	names, err := listFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("reading facts: %w", err)
	}
	d := &Dir{files: map[string]*os.File{}, answers: map[uint64]answer{}}
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, name := range names {
		if err := d.add(name); err != nil {
			return nil, errors.Join(fmt.Errorf("reading facts: %w", err), d.Close())
		}
	}
	seen := make(map[header]*place, len(d.blocks))
	for i := range d.blocks {
		h := &d.blocks[i].header
		if p := seen[*h]; p != nil && h.rows > 0 {
			return nil, errors.Join(fmt.Errorf("reading facts: %w", &BlockError{d.blocks[i].file, d.blocks[i].offset, fmt.Errorf("the same facts stand in %s, block at byte %d: they would count twice", p.file, p.offset)}), d.Close())
		}
		seen[*h] = &d.blocks[i]
		d.Rows += int64(h.rows)
		d.Dropped += int64(min(h.dropped, math.MaxInt64/2))
		if h.first <= h.last {
			first, last = min(first, h.first), max(last, h.last)
		}
	}
	if first <= last {
		d.First, d.Last = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
	}
	return d, nil
}

func (d *Dir) add(name fileName) error {
	f, err := os.Open(name.path)
	if errors.Is(err, os.ErrNotExist) && !name.sealed { // sealed meanwhile
		name.path, name.sealed = name.path[:len(name.path)-len(partSuffix)]+sealedSuffix, true
		f, err = os.Open(name.path)
	}
	if err != nil {
		return err
	}
	d.files[name.path] = f
	info, err := f.Stat()
	if err != nil {
		return err
	}
	blocks, end, torn, err := walk(name, f, info.Size())
	if err != nil {
		return err
	}
	if torn {
		d.Torn = append(d.Torn, name.path)
	}
	d.Bytes += end
	d.blocks = append(d.blocks, blocks...)
	for i := range blocks {
		p := &blocks[i]
		b := make([]byte, p.header.answers*answerSize)
		if _, err := f.ReadAt(b, p.offset+headerSize); err != nil && len(b) > 0 {
			return &BlockError{p.file, p.offset, err}
		}
		for ; len(b) > 0; b = b[answerSize:] {
			a := readAnswer(b)
			d.answers[a.ask] = a
		}
	}
	return nil
}

// Close closes the files.
func (d *Dir) Close() error {
	var errs []error
	for _, f := range d.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// A Span is when actions were decided: From included, To not. Zero is no bound.
type Span struct{ From, To time.Time }

// has reports whether a moment of a column is in the span. What has no time is in every span.
func (s *Span) bounds() (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if !s.From.IsZero() {
		from = s.From.UnixMilli()
	}
	if !s.To.IsZero() {
		to = s.To.UnixMilli()
	}
	return from, to
}

// Blocks is how many blocks there are: Record.Block is below it.
func (d *Dir) Blocks() int { return len(d.blocks) }

// Each calls f with every record of the span, from as many goroutines at once as
// there are workers, each with its number. A block is read by one worker, in order:
// begin, where it is not nil, is told of it first, and of how many rows it has. The
// error is the first of f's, or a *BlockError.
func (d *Dir) Each(ctx context.Context, span Span, workers int, begin func(worker, block, rows int), f func(worker int, r *Record) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, max(workers, 1))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for k := range errs {
		wg.Go(func() {
			if errs[k] = d.work(ctx, span, k, &next, begin, f); errs[k] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(errs...)
}

func (d *Dir) work(ctx context.Context, span Span, k int, next *atomic.Int64, begin func(worker, block, rows int), f func(worker int, r *Record) error) error {
	dec := &decoder{}
	defer dec.close()
	c := recorder{d: dec}
	var err error
	from, to := span.bounds()
	var buf []byte
	for {
		i := int(next.Add(1)) - 1
		if i >= len(d.blocks) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p := &d.blocks[i]
		if begin != nil {
			begin(k, i, p.header.rows)
		}
		if h := &p.header; h.first <= h.last && (h.last < from || h.first >= to) {
			continue
		}
		if buf, err = p.payload(d.files[p.file], buf); err != nil {
			return err
		}
		if _, err = dec.open(&p.header, buf); err == nil {
			err = c.open(i)
		}
		if err != nil {
			return &BlockError{p.file, p.offset, err}
		}
		var own error
		err = dec.each(func() error {
			if t := dec.v[colTime]; t != 0 {
				if ms := unzigzag(t - 1); ms < from || ms >= to {
					return nil
				}
			}
			r := c.record()
			if ask := dec.v[colAsk]; ask != 0 && r.Outcome == NoOutcome {
				if a, is := d.answers[ask]; is {
					r.Outcome, r.Took = a.outcome, time.Duration(a.took)*time.Second
				}
			}
			own = f(k, r)
			return own
		})
		if own != nil {
			return own
		}
		if err != nil {
			return &BlockError{p.file, p.offset, err}
		}
	}
}
