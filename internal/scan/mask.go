package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
)

// A Masking says how a text is masked.
type Masking struct {
	Engine *detect.Engine
	Set    *mask.Set
	Format Format // "": by name and content
	// Columns of CSV whose values are masked whole, by their names in the first line, in any case.
	Columns map[string]detect.Class
}

// maxUnsettled bounds what waits for its end while masking.
const maxUnsettled = 64 << 20

// Errors of texts that are not masked.
var (
	errPacked    = errors.New("is compressed or an archive: unpack it first, since what is inside can't be masked")
	errWide      = errors.New("is UTF-16: make it UTF-8 first (iconv -f UTF-16 -t UTF-8)")
	errUnsettled = errors.New("more than 64 MiB wait for the end of one value: stopped, nothing of them was passed on")
	errColumns   = errors.New("columns are named, and the text is no CSV")
)

// masking is what a text has that is masked on its way.
type masking struct {
	set    *mask.Set
	to     io.Writer
	at     int64 // passed on, up to here
	out    []byte
	all    []detect.Finding
	counts map[string]int64
	bare   func(start, end int64) byte // the quote that a mask needs there, 0 none; may be nil
	check  func(all bool) error        // of the columns that were asked for; may be nil
}

// Mask copies from r to w with values masked, in bounded memory, and returns how many by class. What
// may still become part of a value is kept back until it is settled. An error means
// that the rest was not copied.
func (m Masking) Mask(ctx context.Context, name string, r io.Reader, w io.Writer) (map[string]int64, error) {
	head, err := begin(r)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f := m.Format
	switch kind := kindOf(name, head); {
	case kind == "wide":
		return nil, errWide
	case kind == "binary":
		f = cmp.Or(f, Text)
	case kind != "":
		return nil, errPacked
	}
	if f = cmp.Or(f, formatOf(name, head)); len(m.Columns) > 0 && f == Text && m.Format == "" {
		f = CSV
	}
	to := &masking{set: m.Set, to: w, counts: map[string]int64{}}
	one := &worker{s: &Scanner{o: Options{Engine: m.Engine}}, sum: &tally{}}
	t := &one.one
	t.begin(ctx, one, name, f, false, nil)
	t.mask, t.stream = to, m.Engine.Stream()
	if err := t.ask(m.Columns); err != nil {
		return nil, err
	}
	return to.counts, t.copy(head, r, err)
}

// ask tells the fields which names are asked for, and asks them where quotes are needed.
func (t *text) ask(columns map[string]detect.Class) error {
	switch f := t.fields.(type) {
	case *csvFields:
		f.over = map[string]detect.Class{}
		for name, class := range columns {
			f.over[strings.ToLower(name)] = class
		}
		f.v.pieces, t.mask.check = true, f.missing
		return nil
	case *jsonFields:
		f.v.pieces = true
		f.bare = &bareSpans{}
		t.mask.bare = f.bare.at('"')
	case *sqlFields:
		f.v.pieces = true
		f.bare = &bareSpans{}
		t.mask.bare = f.bare.at('\'')
	}
	if len(columns) > 0 {
		return errColumns
	}
	return nil
}

// copy passes all of a text through.
func (t *text) copy(head []byte, r io.Reader, ended error) error {
	buf := make([]byte, 64<<10)
	for part := head; ; {
		if err := t.write(part); err != nil {
			return err
		}
		if ended != nil {
			break
		}
		var n int
		n, ended = r.Read(buf)
		part = buf[:n]
	}
	if !errors.Is(ended, io.EOF) {
		return fmt.Errorf("reading: %w", ended)
	}
	return t.end()
}

// begin reads enough to tell what a text is, without waiting for more where a line is there.
func begin(r io.Reader) ([]byte, error) {
	head := make([]byte, 0, 4<<10)
	for {
		n, err := r.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if err != nil || len(head) == cap(head) || len(head) >= 16 && slices.Contains(head[8:], '\n') {
			return head, err //nolint:wrapcheck // the caller's own
		}
	}
}

// pass masks what is settled and passes it on.
func (t *text) pass(settled int64) error {
	m := t.mask
	if m.check != nil {
		if err := m.check(settled == math.MaxInt64); err != nil {
			return err
		}
	}
	m.all = m.all[:0]
	for _, list := range []*[]detect.Finding{&t.found, &t.named} {
		n := 0
		for n < len(*list) && int64((*list)[n].Start) < settled {
			if f := (*list)[n]; m.set.Has(f.Class) || f.Score >= asked {
				m.all = append(m.all, f)
			}
			n++
		}
		*list = slices.Delete(*list, 0, n)
	}
	slices.SortStableFunc(m.all, func(a, b detect.Finding) int { return a.Start - b.Start })
	m.out = m.out[:0]
	for i := 0; i < len(m.all); {
		f := m.all[i]
		for i++; i < len(m.all) && m.all[i].Start < f.End; i++ { // overlapping ones are masked as one
			if g := m.all[i]; g.Score > f.Score {
				f.Class, f.Score = g.Class, g.Score
			}
			f.End = max(f.End, m.all[i].End)
		}
		t.mask.one(&t.win, int64(f.Start), int64(f.End), f.Class)
	}
	end := min(settled, t.win.base+int64(len(t.win.buf)))
	m.out = append(m.out, t.win.bytes(m.at, end)...)
	m.at = max(m.at, end)
	if len(m.out) > 0 {
		if _, err := m.to.Write(m.out); err != nil {
			return fmt.Errorf("passing on: %w", err)
		}
	}
	t.win.forget(m.at)
	if len(t.win.buf) > maxUnsettled {
		return errUnsettled
	}
	return nil
}

func (m *masking) one(win *window, start, end int64, c detect.Class) {
	quote := byte(0)
	if m.bare != nil {
		quote = m.bare(start, end)
	}
	m.out = append(m.out, win.bytes(m.at, start)...)
	if quote != 0 {
		m.out = append(m.out, quote)
	}
	m.out = m.set.Append(m.out, c, win.bytes(start, end))
	if quote != 0 {
		m.out = append(m.out, quote)
	}
	m.at = end
	m.counts[string(c)]++
}

// bareSpans are the last numbers that stand without quotes.
type bareSpans struct{ list [][2]int64 }

func (b *bareSpans) add(start, end int64) {
	if b == nil {
		return
	}
	b.list = append(b.list, [2]int64{start, end})
}

// at returns the quote for a mask of [start, end), which come in order.
func (b *bareSpans) at(quote byte) func(start, end int64) byte {
	return func(start, end int64) byte {
		n := 0
		for n < len(b.list) && b.list[n][1] < end {
			n++
		}
		b.list = slices.Delete(b.list, 0, n)
		if len(b.list) > 0 && b.list[0][0] <= start && end <= b.list[0][1] {
			return quote
		}
		return 0
	}
}
