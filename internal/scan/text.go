package scan

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/detect"
)

const (
	chunk    = 1 << 20  // bytes read at once; what is shorter is scanned in one go
	maxValue = 4 << 10  // bytes of a value that is judged by the name it stands under
	maxOpen  = 16 << 20 // bytes kept because something in them is not settled
)

// A text is one text on its way through the detectors. It is used by one goroutine.
type text struct {
	w      *worker
	ctx    context.Context //nolint:containedctx // lives as long as one call of the worker
	name   string
	out    chan<- item
	stream *detect.Stream
	fields fields // nil: nothing in it stands under a name
	win    window
	begins int64            // offset where wide text begins in its file
	found  []detect.Finding // by content
	named  []detect.Finding // by the name they stand under
	mask   *masking         // nil: found, not masked
}

// A judge hears of each value that has a class by the name it stands under.
type judge func(start, end int64, value []byte, prior detect.Class, sure float32)

// fields finds values that stand under names.
type fields interface {
	write(p []byte, to judge)
	// settled is an offset before which no value is open.
	settled() int64
	end(to judge)
}

// text scans what r brings behind head. head may be all of it.
func (w *worker) text(ctx context.Context, name string, f Format, head []byte, whole bool, r io.Reader, wide bool, out chan<- item) error {
	t := &w.one
	t.begin(ctx, w, name, f, wide, out)
	if whole {
		return t.whole(head)
	}
	t.stream = w.s.o.Engine.Stream()
	var failed error
	for part := head; ; {
		if err := t.write(part); err != nil {
			return err
		}
		if failed != nil {
			break
		}
		part, failed = fill(r, head)
	}
	if errors.Is(failed, io.EOF) {
		failed = nil
	}
	return errors.Join(failed, t.end())
}

func (t *text) begin(ctx context.Context, w *worker, name string, f Format, wide bool, out chan<- item) {
	t.w, t.ctx, t.name, t.out, t.stream, t.mask = w, ctx, name, out, nil, nil
	t.found, t.named = t.found[:0], t.named[:0]
	t.win.reset()
	if wide {
		t.win.wide, t.win.raw = true, t.begins
	}
	t.fields = f.fields(w.s.o.Engine)
}

// whole scans a text that is all here.
func (t *text) whole(p []byte) error {
	t.w.sum.bytes.Add(int64(len(p)))
	kept := t.win.buf
	t.win.buf = p
	t.found = t.w.s.o.Engine.Scan(p, t.found)
	if t.fields != nil {
		t.fields.write(p, t.value)
		t.fields.end(t.value)
	}
	err := t.deliver(math.MaxInt64)
	t.win.buf = kept
	return err
}

// write scans the next piece.
func (t *text) write(p []byte) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	t.w.sum.bytes.Add(int64(len(p)))
	t.win.write(p)
	t.found = t.stream.Write(p, t.found)
	settled := t.stream.Settled()
	if t.fields != nil {
		t.fields.write(p, t.value)
		settled = min(settled, t.fields.settled())
	}
	return t.deliver(settled)
}

// end scans what is left.
func (t *text) end() error {
	t.found = t.stream.Close(t.found)
	if t.fields != nil {
		t.fields.end(t.value)
	}
	return t.deliver(math.MaxInt64)
}

// value takes a value that stands under a name of a class.
func (t *text) value(start, end int64, value []byte, prior detect.Class, sure float32) {
	if t.mask != nil {
		if v := string(value); v != "" && v != `\N` && !strings.EqualFold(v, "null") {
			t.named = append(t.named, detect.Finding{Start: int(start), End: int(end), Class: prior, Score: max(sure, 1)})
		}
		return
	}
	if !plausible(prior, value) {
		return
	}
	class, score := t.w.s.o.Engine.Value(value, prior)
	switch {
	case class == "":
		return
	case score > 0.5: // by its form
	case prior == detect.Sensitive || prior == detect.DSNPassword: // which have no form
		score = 0.8 * sure
	case sure < 0.9:
		score = 0.4
	}
	t.named = append(t.named, detect.Finding{Start: int(start), End: int(end), Class: class, Score: score})
}

// deliver hands out what lies before an offset.
func (t *text) deliver(settled int64) error {
	for _, list := range [][]detect.Finding{t.found, t.named} {
		for _, f := range list {
			if int64(f.End) > settled {
				settled = min(settled, int64(f.Start))
			}
		}
	}
	if t.mask != nil {
		return t.pass(settled)
	}
	ready := func(list []detect.Finding) int {
		n := 0
		for n < len(list) && int64(list[n].Start) < settled {
			n++
		}
		return n
	}
	n, m := ready(t.found), ready(t.named)
	found, named := t.found[:n], t.named[:m]
	for len(found)+len(named) > 0 {
		var f detect.Finding
		switch {
		case len(named) == 0 || len(found) > 0 && found[0].End <= named[0].Start:
			f, found = found[0], found[1:]
		case len(found) == 0 || named[0].End <= found[0].Start:
			f, named = named[0], named[1:]
		case found[0].Score >= named[0].Score: // they overlap
			named = named[1:]
			continue
		default:
			found = found[1:]
			continue
		}
		if err := t.emit(&f); err != nil {
			return err
		}
	}
	t.found = slices.Delete(t.found, 0, n)
	t.named = slices.Delete(t.named, 0, m)
	if settled != math.MaxInt64 {
		if len(t.win.buf) > maxOpen {
			settled = max(settled, t.win.base+int64(len(t.win.buf))-maxOpen/2)
		}
		t.win.forget(settled)
	}
	return nil
}

// emit tells of one finding.
func (t *text) emit(f *detect.Finding) error {
	s := t.w.s
	if !s.wants(f) {
		return nil
	}
	start, end := int64(f.Start), int64(f.End)
	t.win.seek(start)
	value := t.win.bytes(start, end)
	out := &Finding{File: t.name, Class: f.Class, Score: f.Score, Start: t.win.raw, End: t.win.raw + end - start, Line: t.win.line + 1, Col: t.win.col + 1}
	if t.win.wide {
		out.End = out.Start + wideLength(value)
	}
	after := window{buf: value, line: t.win.line, col: t.win.col}
	after.seek(int64(len(value)))
	out.EndLine, out.EndCol = after.line+1, after.col+1
	if !touches(t.w.lines, out) {
		return nil
	}
	if s.o.Reveal {
		out.Value = slices.Clone(value[:min(len(value), maxShown)])
	}
	if s.o.Prints != nil {
		out.Print = s.o.Prints.of(t.name, f.Class, value)
		out.Known = s.o.Prints.knows(out.Print)
	}
	return t.w.send(t.ctx, t.out, item{finding: out})
}

// plausible reports whether a value could be what its name says at all: nothing, and words
// for nothing, are no value, and what is made of digits has some.
func plausible(c detect.Class, v []byte) bool {
	digits := 0
	for _, b := range v {
		if b >= '0' && b <= '9' {
			digits++
		}
	}
	var few [16]byte
	word := few[:0]
	for _, b := range v[:min(len(v), len(few))] {
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		word = append(word, b)
	}
	switch string(word) {
	case "", "null", `\n`, "none", "nil", "true", "false", "n/a", "na", "-", "--", "?", "unknown", "undefined", "0", "[]", "{}", "yes", "no", "string", "number", "integer", "text":
		return false
	}
	switch c {
	case detect.Email:
		return slices.Contains(v, '@')
	case detect.Card, detect.Phone, detect.USSSN, detect.IBAN, detect.DateOfBirth:
		return digits >= 4
	case detect.PEM, detect.JWT:
		return len(v) >= 16
	case detect.MAC:
		return len(v) >= 12
	case detect.Sensitive, detect.DSNPassword:
		return len(v) >= 3
	case detect.Person, detect.Address, detect.Diagnosis, detect.Drug:
		return len(v) >= 2
	case detect.IP:
		return digits > 0 || slices.Contains(v, ':')
	}
	return true
}
