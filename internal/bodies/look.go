package bodies

import (
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/assenthq/assent/internal/detect"
)

// Bounds of what is decoded to be looked into.
const (
	deepest     = 4       // codings and archives inside each other
	mostDecoded = 1 << 30 // bytes
	freeDecoded = 16 << 20
	mostRatio   = 200   // decoded bytes for each that came, past freeDecoded
	mostMembers = 10000 // files in archives
	sniffed     = 4 << 10
)

// errUnread says that something can't be looked into.
var errUnread = errors.New("it can't be looked into")

// look finds what a body holds as it passes. It is pushed by one goroutine; decoders run in their own.
type look struct {
	engine *detect.Engine
	came   *atomic.Int64
	to     sink
	over   bool

	decoded, members atomic.Int64

	mu        sync.Mutex
	found     map[string]int64 // owned by mu
	unscanned bool             // owned by mu
}

// A sink takes what is looked into. Its end waits for whatever still looks.
type sink interface {
	write(p []byte)
	end(whole bool)
}

func newLook(e *detect.Engine, came *atomic.Int64, h http.Header) *look {
	l := &look{engine: e, came: came}
	if e == nil {
		l.unscanned, l.to = true, nowhere{}
		return l
	}
	l.to = &sniffer{look: l, is: of(h)}
	return l
}

func (l *look) write(p []byte) { l.to.write(p) }

func (l *look) end(whole bool) {
	if l.over {
		return
	}
	l.over = true
	if !whole {
		l.cant()
	}
	l.to.end(whole)
}

func (l *look) cant() {
	l.mu.Lock()
	l.unscanned = true
	l.mu.Unlock()
}

func (l *look) add(found []detect.Finding) {
	if len(found) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found == nil {
		l.found = map[string]int64{}
	}
	for _, f := range found {
		l.found[string(f.Class)]++
	}
}

// text looks into a short text.
func (l *look) text(p []byte) {
	f := l.engine.Find(p)
	l.add(f.List)
	f.Free()
}

func (l *look) result() (map[string]int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.found), l.unscanned
}

// spend takes n decoded bytes out of what may be decoded.
func (l *look) spend(n int) bool {
	d := l.decoded.Add(int64(n))
	return d <= mostDecoded && (d <= freeDecoded || d <= mostRatio*l.came.Load())
}

// nowhere takes what nobody looks into.
type nowhere struct{}

func (nowhere) write([]byte) {}
func (nowhere) end(bool)     {}

// shape is what headers say of bytes.
type shape struct {
	codings []string // the last one applied last
	typ     string
	params  map[string]string
	seen    bool // the bytes themselves are looked at elsewhere
}

func of(h http.Header) (s shape) {
	for _, c := range strings.Split(strings.Join(h["Content-Encoding"], ","), ",") {
		if c = strings.ToLower(strings.TrimSpace(c)); c != "" && c != "identity" && c != "aws-chunked" {
			s.codings = append(s.codings, c)
		}
	}
	if len(h["Content-Type"]) > 0 {
		s.typ, s.params, _ = mime.ParseMediaType(h["Content-Type"][0])
	}
	return s
}

// sniffer waits for the first bytes, and finds out what they begin.
type sniffer struct {
	look  *look
	is    shape
	depth int
	head  []byte
	to    sink
}

func (s *sniffer) write(p []byte) {
	if s.to != nil {
		s.to.write(p)
		return
	}
	if len(s.head)+len(p) < sniffed {
		s.head = append(s.head, p...)
		return
	}
	n := sniffed - len(s.head)
	s.head = append(s.head, p[:n]...)
	s.choose()
	if n < len(p) {
		s.to.write(p[n:])
	}
}

func (s *sniffer) end(whole bool) {
	if s.to == nil {
		if len(s.head) == 0 {
			return
		}
		if f := s.look.kindOf(s.head, s.is); f == nil && whole && !s.is.seen { // all of it is here, and it is text
			s.look.text(s.head)
			var c census
			if c.take(s.head); c.binary() {
				s.look.cant()
			}
			return
		}
		s.choose()
	}
	s.to.end(whole)
}

func (s *sniffer) choose() {
	f := s.look.kindOf(s.head, s.is)
	if f == nil {
		s.to = s.look.plain(!s.is.seen, true)
	} else {
		s.to = f(s.depth)
	}
	s.to.write(s.head)
	s.head = nil
}

// plain looks into bytes as they are. judge: where they are not text, they are unscanned.
func (l *look) plain(scan, judge bool) sink {
	p := &plain{look: l, judge: judge}
	if scan {
		p.stream = l.engine.Stream()
	}
	return p
}

type plain struct {
	look   *look
	stream *detect.Stream
	judge  bool
	census census
	found  []detect.Finding
}

func (p *plain) write(b []byte) {
	p.census.take(b)
	if p.stream != nil {
		p.found = p.stream.Write(b, p.found[:0])
		p.look.add(p.found)
	}
}

func (p *plain) end(bool) {
	if p.stream != nil {
		p.look.add(p.stream.Close(p.found[:0]))
	}
	if p.judge && p.census.binary() {
		p.look.cant()
	}
}

// census counts bytes that text doesn't have.
type census struct{ all, control, zero int64 }

func (c *census) take(b []byte) {
	c.all += int64(len(b))
	for _, x := range b {
		if x < ' ' && x != '\n' && x != '\r' && x != '\t' || x == 0x7f {
			c.control++
			if x == 0 {
				c.zero++
			}
		}
	}
}

// binary says that they are no text: text has no zeros, and controls now and then at most.
func (c *census) binary() bool { return c.zero > 0 || c.control*50 > c.all }

// piped lets f read what is written, in a goroutine of its own. What f fails at is unscanned.
func (l *look) piped(f func(io.Reader) error) sink {
	r, w := io.Pipe()
	p := &pipe{w: w, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		if err := f(r); err != nil {
			l.cant()
		}
		_ = r.Close() // what follows goes nowhere
	}()
	return p
}

type pipe struct {
	w    *io.PipeWriter
	done chan struct{}
}

func (p *pipe) write(b []byte) { _, _ = p.w.Write(b) }

func (p *pipe) end(whole bool) {
	if whole {
		_ = p.w.Close()
	} else {
		_ = p.w.CloseWithError(io.ErrUnexpectedEOF)
	}
	<-p.done
}

// inner lets what r decodes be looked into, by what it is.
func (l *look) inner(r io.Reader, is shape, depth int) error {
	if depth > deepest {
		return errUnread
	}
	s := &sniffer{look: l, is: is, depth: depth}
	buffer := make([]byte, piece)
	for {
		n, err := r.Read(buffer)
		if !l.spend(n) {
			s.end(false)
			return errUnread
		}
		s.write(buffer[:n])
		if err != nil {
			s.end(errors.Is(err, io.EOF))
			if errors.Is(err, io.EOF) {
				return nil
			}
			return errUnread
		}
	}
}
