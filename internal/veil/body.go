package veil

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/assenthq/assent/gate"
)

const (
	piece   = 64 << 10 // bytes read at once
	sniffed = 512      // bytes that tell what a body is
	whole   = piece    // bytes of a body that is masked before its headers pass
)

// A sink masks what is written to it, on its way. It keeps nothing of p.
type sink interface {
	write(p []byte) error
	end() error // all of it came
}

// stream is a sink for text that is masked by what it holds.
type stream struct{ gate.Stream }

func (s stream) write(p []byte) error {
	_, err := s.Write(p)
	return err //nolint:wrapcheck // a Denied, told as it is
}

func (s stream) end() error { return s.Close() }

// still is a stream in which nothing moves.
type still struct{ stream }

// straight passes what nobody looks into.
type straight struct{ to io.Writer }

func (s straight) write(p []byte) error {
	_, err := s.to.Write(p)
	return err //nolint:wrapcheck // of what is behind
}

func (straight) end() error { return nil }

// A body masks what it reads.
type body struct {
	src    io.Reader // decoded
	closer io.Closer
	permit gate.Permit
	o      Options
	media  media
	coded  string // of messages in it
	exact  bool   // what comes out must be as long as what goes in
	middle bool   // it begins in the middle of something
	short  bool   // it was masked at once
	told   bool   // its trailers are masked
	resp   *http.Response
	shared Values // of texts that follow one another in it

	to   sink
	head []byte // what came before to was chosen
	out  pieces
	at   int // of out that was read
	in   *[]byte
	err  error // once out is read

	came, went int64
}

var buffers = sync.Pool{New: func() any { b := make([]byte, piece); return &b }}

func (b *body) Read(p []byte) (int, error) {
	for b.at == len(b.out) {
		if b.err != nil {
			b.trailers()
			return 0, b.err
		}
		b.went += int64(len(b.out))
		b.out, b.at = b.out[:0], 0
		b.step()
	}
	n := copy(p, b.out[b.at:])
	b.at += n
	return n, nil
}

// step reads once, and masks what came.
func (b *body) step() {
	if b.in == nil {
		b.in = buffers.Get().(*[]byte)
	}
	n, err := b.src.Read(*b.in)
	if n > 0 {
		if e := b.take((*b.in)[:n]); e != nil {
			b.fail(e)
			return
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.fail(b.finish())
	default:
		b.fail(err)
	}
}

// fail ends the body. nil: in order. What was masked before an error came is lost with it.
func (b *body) fail(err error) {
	if b.in != nil {
		buffers.Put(b.in)
		b.in = nil
	}
	switch {
	case err == nil:
		b.err = io.EOF
	default:
		b.out, b.at = b.out[:0], 0
		b.err = err
	}
}

func (b *body) take(p []byte) error {
	if err := b.permit.Count(0, int64(len(p))); err != nil {
		return err //nolint:wrapcheck // a Denied, told as it is
	}
	b.came += int64(len(p))
	if b.to == nil {
		if b.soon(p) {
			p = append(b.head, p...)
		} else {
			b.head = append(b.head, p...)
			return nil
		}
		if err := b.choose(p); err != nil {
			return err
		}
		b.head = nil
	}
	return told(b.to.write(p))
}

// soon says that what came is enough to begin with: what follows may take its time.
func (b *body) soon(p []byte) bool {
	n := len(b.head) + len(p)
	switch b.media.kind {
	case frames, frames64, proto, parts, sealed:
		return true
	}
	space := len(bytes.TrimLeft(b.head, " \t\r\n")) == 0 && len(bytes.TrimLeft(p, " \t\r\n")) == 0
	switch {
	case space: // it tells nothing yet
		return n >= whole
	case n >= sniffed:
		return true
	case b.media.kind == unknown || b.media.kind == unseen:
		return false
	case strings.HasSuffix(b.media.typ, "script"):
		return false
	}
	return (n >= 4 || bytes.IndexByte(p, '\n') >= 0) && isWords(b.head) && isWords(p)
}

func (b *body) finish() error {
	if b.to == nil {
		if err := b.choose(b.head); err != nil {
			return err
		}
		if err := b.to.write(b.head); err != nil {
			return told(err)
		}
	}
	if err := b.to.end(); err != nil {
		return told(err)
	}
	if b.exact && b.went+int64(len(b.out)) != b.came {
		return errMoved
	}
	return nil
}

// trailers masks what came with the end.
func (b *body) trailers() {
	if !b.told && errors.Is(b.err, io.EOF) {
		b.told = true
		if b.short && b.resp.ProtoMajor > 1 {
			_, _ = b.src.Read(make([]byte, 1)) // nobody has seen the end yet
		}
		maskHeader(b.resp.Trailer, b.permit)
	}
}

// choose finds out how the body is masked.
func (b *body) choose(head []byte) (err error) {
	b.to, err = b.sinkFor(&b.media, head, &b.out, b.coded)
	return err
}

// sinkFor makes the sink of a body or a part of one.
func (b *body) sinkFor(m *media, head []byte, to io.Writer, coded string) (sink, error) {
	k, wide, big := m.sees(head)
	if ok, _ := m.charset(); !ok && (k == plain || k == jsonText || k == table || k == form || k == xmlText || k == htmlText || k == yamlText) {
		k = sealed
	}
	p, fill := b.permit, b.o.Fill
	if b.middle && k != plain && k != events && !(k == unknown && isWords(head)) {
		if b.o.Opaque {
			return straight{to}, nil
		}
		return nil, errRange
	}
	if wide {
		if fill {
			return b.closed(to, "text of two bytes a character")
		}
		narrow := *m
		narrow.params = nil
		inner, err := b.byKind(&narrow, k, to, coded)
		return &utf16Sink{to: inner, big: big}, err
	}
	if k == unknown {
		return still{stream{p.Stream(to, true)}}, nil
	}
	return b.byKind(m, k, to, coded)
}

func (b *body) byKind(m *media, k kind, to io.Writer, coded string) (sink, error) {
	p, fill := b.permit, b.o.Fill
	switch k {
	case jsonText:
		d := newDocument(to, p, fill, Deepest)
		d.tagged = b.o.Tagged
		if b.to != nil { // one of several
			d.values = b.follows()
		}
		return d, nil
	case events:
		if !fill {
			return &eventSink{to: to, values: Values{Permit: p, flows: true}}, nil
		}
	case table:
		return &tableSink{to: to, permit: p, fill: fill}, nil
	case form:
		if !fill {
			return &formSink{to: to, values: Values{Permit: p}}, nil
		}
	case xmlText, htmlText:
		return newMarkup(to, p, fill, k == htmlText), nil
	case yamlText:
		return newYAML(to, p, fill), nil
	case parts:
		if mark := m.params["boundary"]; strings.HasPrefix(mark, "---BEGIN ") { // the first line of a key
			return b.closed(to, "parts between the lines of something else")
		} else if mark != "" {
			return newParts(b, to, mark), nil
		}
	case proto:
		if m.params["stream"] == "watch" {
			return &frameSink{to: to, permit: p, head: 4, most: maxFrame}, nil
		}
		return &protoSink{to: to, permit: p}, nil
	case frames:
		return &frameSink{to: to, permit: p, head: 5, most: maxFrame, coded: coded, json: isJSONFrames(m.typ), values: b.follows(), fill: fill}, nil
	case frames64:
		return &base64Sink{to: to, frames: frameSink{permit: p, head: 5, most: maxFrame, coded: coded, values: b.follows(), fill: fill}}, nil
	case unseen:
		return straight{to}, nil
	case sealed:
		return b.closed(to, "what is compressed, archived or encrypted")
	}
	return stream{p.Stream(to, fill)}, nil
}

// follows is for a text that follows others: they share their names, as many as there may be of them.
func (b *body) follows() Values {
	if b.shared.rows == nil {
		b.shared = Values{Permit: b.permit, rows: map[string]gate.Rows{}, flows: true}
	}
	return b.shared
}

// closed is for what can't be looked into.
func (b *body) closed(to io.Writer, what string) (sink, error) {
	if b.o.Opaque {
		return straight{to}, nil
	}
	return nil, opaque(what)
}

func (b *body) Close() error {
	if b.err == nil {
		b.fail(errClosed)
	}
	return b.closer.Close() //nolint:wrapcheck // of the reply itself
}

var errClosed = errors.New("read after Close")

// counted counts a body that nothing masks.
type counted struct {
	io.ReadCloser
	permit gate.Permit
	err    error
}

func (c *counted) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.ReadCloser.Read(p)
	if n > 0 {
		if e := c.permit.Count(0, int64(n)); e != nil {
			c.err = e
			return 0, e //nolint:wrapcheck // a Denied, told as it is
		}
	}
	return n, err //nolint:wrapcheck // of the reply itself
}
