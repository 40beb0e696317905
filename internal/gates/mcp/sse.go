package mcp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// An event is one message on a stream, with what a client needs to find its place again.
type event struct {
	id    string
	hasID bool
	retry string // milliseconds
	data  []byte // empty: the event only marks a place
}

// maxField bounds the id of an event.
const maxField = 1024

var errEvent = errors.New("a server-sent event that is too long or can't be read")

// events reads server-sent events (WHATWG HTML, section 9.2) that carry one JSON
// text each. An event that the stream ends within is not one.
type events struct {
	r     *bufio.Reader
	begun bool
}

func newEvents(r io.Reader) *events { return &events{r: bufio.NewReaderSize(r, 32<<10)} }

// next is io.EOF at the end.
func (s *events) next() (event, error) {
	var e event
	var some, kept bool
	for {
		line, err := s.line()
		if err != nil {
			return event{}, err
		}
		if !s.begun {
			s.begun = true
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(line) == 0 {
			if some || kept {
				return e, nil
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "data":
			if some {
				e.data = append(e.data, '\n')
			}
			some = true
			if e.data = append(e.data, value...); len(e.data) > MaxMessage {
				return event{}, errEvent
			}
		case "id":
			if len(value) > maxField || bytes.IndexByte(value, 0) >= 0 {
				return event{}, errEvent
			}
			e.id, e.hasID, kept = string(value), true, true
		case "retry":
			if n, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				e.retry, kept = strconv.FormatUint(n, 10), true
			}
		}
	}
}

// line reads one line without its end, which is CR, LF or both.
func (s *events) line() ([]byte, error) {
	var out []byte
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return nil, err
		}
		switch c {
		case '\n':
			return out, nil
		case '\r':
			if next, err := s.r.Peek(1); err == nil && next[0] == '\n' {
				_, _ = s.r.ReadByte()
			}
			return out, nil
		}
		if out = append(out, c); len(out) > MaxMessage+16 {
			return nil, errEvent
		}
	}
}

// write appends e as the wire has it.
func (e event) write(out []byte) []byte {
	if e.hasID {
		out = append(append(append(out, "id: "...), e.id...), '\n')
	}
	if e.retry != "" {
		out = append(append(append(out, "retry: "...), e.retry...), '\n')
	}
	if len(e.data) > 0 {
		out = append(out, "event: message\n"...)
	}
	for line := range bytes.SplitSeq(e.data, []byte("\n")) {
		line = bytes.ReplaceAll(line, []byte("\r"), nil) // outside of strings JSON has it for space alone
		out = append(append(append(out, "data: "...), line...), '\n')
	}
	return append(out, '\n')
}

func (e event) String() string { return fmt.Sprintf("event %q of %d bytes", e.id, len(e.data)) }
