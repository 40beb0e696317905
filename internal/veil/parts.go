package veil

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

const (
	maxPartHead = 64 << 10 // bytes of a part's headers
	maxPreamble = 64 << 10
	maxParts    = 10000
)

// partSink masks the parts of a multipart body, each by its own type.
type partSink struct {
	body  *body
	to    io.Writer
	mark  []byte // what stands between parts
	kept  []byte // not settled yet
	state partState
	part  sink
	media media
	begin []byte // of a part, until its sink is chosen
	count int
}

type partState uint8

const (
	beforeParts partState = iota
	atMark                // behind a mark, before the end of its line
	inHead
	inPart
	behindParts
)

func newParts(b *body, to io.Writer, boundary string) *partSink {
	return &partSink{body: b, to: to, mark: []byte("--" + boundary)}
}

func (s *partSink) write(p []byte) error {
	s.kept = append(s.kept, p...)
	for {
		more, err := s.step()
		if err != nil || !more {
			return err
		}
	}
}

// pass writes the first n bytes that are kept as they are, if nothing is masked in them.
func (s *partSink) pass(n int) error {
	b := s.kept[:n]
	out := b
	if !s.body.permit.Clear("", b) {
		if out = s.body.permit.Text(b); s.body.o.Fill {
			out = filled(b, out)
		}
	}
	_, err := s.to.Write(out)
	s.drop(n)
	return err //nolint:wrapcheck // of what is behind
}

func (s *partSink) drop(n int) { s.kept = s.kept[:copy(s.kept, s.kept[n:])] }

// find is where the next mark begins, and how much before it belongs to what came before; -1: none yet.
func (s *partSink) find() (at, before int) {
	for from := 0; ; {
		n := bytes.Index(s.kept[from:], s.mark)
		if n < 0 {
			return -1, 0
		}
		if n += from; n == 0 && (s.state != inPart || s.part == nil && s.begin == nil) || n > 0 && s.kept[n-1] == '\n' {
			before = n
			if before > 0 {
				before--
			}
			if before > 0 && s.kept[before-1] == '\r' {
				before--
			}
			return n, before
		}
		from = n + 1
	}
}

func (s *partSink) step() (more bool, err error) {
	switch s.state {
	case beforeParts:
		at, _ := s.find()
		if at < 0 {
			if len(s.kept) > maxPreamble {
				return false, errLong
			}
			return false, nil
		}
		s.state = atMark
		return true, s.pass(at)
	case atMark:
		rest := s.kept[len(s.mark):]
		n := bytes.IndexByte(rest, '\n')
		switch {
		case len(rest) >= 2 && rest[0] == '-' && rest[1] == '-':
			s.state = behindParts
			return true, s.raw(len(s.mark) + 2)
		case n < 0 && len(rest) > maxName:
			return false, errLong
		case n < 0:
			return false, nil
		}
		if s.count++; s.count > maxParts {
			return false, errLong
		}
		if len(bytes.Trim(rest[:n], " \t\r")) > 0 { // a line that only begins like a mark
			return false, errMark
		}
		s.state = inHead
		return true, s.raw(len(s.mark) + n + 1)
	case inHead:
		return s.head()
	case inPart:
		return s.content()
	default:
		if len(s.kept) > maxPreamble {
			return false, errLong
		}
		return false, nil
	}
}

// raw passes n bytes as they are.
func (s *partSink) raw(n int) error {
	_, err := s.to.Write(s.kept[:n])
	s.drop(n)
	return err //nolint:wrapcheck // of what is behind
}

// head reads a part's headers.
func (s *partSink) head() (more bool, err error) {
	at := 0
	for {
		n := bytes.IndexByte(s.kept[at:], '\n')
		if n < 0 {
			if len(s.kept) > maxPartHead {
				return false, errLong
			}
			return false, nil
		}
		line := bytes.TrimRight(s.kept[at:at+n], "\r")
		at += n + 1
		if len(line) == 0 {
			break
		}
	}
	head := string(s.kept[:at])
	s.media = mediaOf("text/plain")
	coding := ""
	for line := range strings.Lines(head) {
		name, value, is := strings.Cut(line, ":")
		if !is && strings.TrimSpace(line) != "" && line[0] != ' ' && line[0] != '\t' {
			return false, errMark
		}
		switch value = strings.TrimSpace(value); strings.ToLower(strings.TrimSpace(name)) {
		case "content-type":
			s.media = mediaOf(value)
		case "content-encoding":
			coding = value
		case "content-range":
			if !s.body.o.Opaque {
				return false, errRange
			}
		case "content-length":
			if !s.body.o.Fill {
				head = strings.Replace(head, line, "", 1)
			}
		}
	}
	if coding != "" && !strings.EqualFold(coding, "identity") {
		s.media = media{kind: sealed}
	}
	s.kept = append([]byte(head), s.kept[at:]...)
	s.state = inPart
	return true, s.pass(len(head))
}

// content passes on what is certain to belong to a part.
func (s *partSink) content() (more bool, err error) {
	at, before := s.find()
	n, last := before, at >= 0
	if !last { // a mark may begin in what is kept: a line's end, and all that it is
		n = len(s.kept) - len(s.mark) - 2
		if n <= 0 {
			return false, nil
		}
	}
	if n > 0 {
		if err := s.give(s.kept[:n], last); err != nil {
			return false, err
		}
		s.drop(n)
	}
	if !last {
		return false, nil
	}
	if err := s.close(); err != nil {
		return false, err
	}
	s.state = atMark
	return true, s.raw(at - before)
}

func (s *partSink) give(p []byte, last bool) (err error) {
	if s.part == nil {
		s.begin = append(s.begin, p...)
		if len(s.begin) < sniffed && !last {
			return nil
		}
		p = s.begin
		if s.part, err = s.body.sinkFor(&s.media, p, s.to, ""); err != nil {
			return err
		}
		s.begin = nil
	}
	return s.part.write(p)
}

func (s *partSink) close() error {
	if s.part == nil && len(s.begin) > 0 {
		if err := s.give(nil, true); err != nil {
			return err
		}
	}
	part := s.part
	s.part, s.begin = nil, nil
	if part == nil {
		return nil
	}
	return part.end()
}

func (s *partSink) end() error {
	if s.state == inPart { // cut off
		if err := s.give(s.kept, true); err != nil {
			return err
		}
		return s.close()
	}
	if s.state == inHead {
		return errCut
	}
	if s.state == beforeParts { // it has none, and is something else
		other, err := s.body.sinkFor(&media{}, s.kept, s.to, "")
		if err != nil {
			return err
		}
		return errors.Join(other.write(s.kept), other.end())
	}
	return s.pass(len(s.kept))
}
