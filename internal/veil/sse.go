package veil

import (
	"bytes"
	"io"
)

// maxEvent is how long an event may be.
const maxEvent = 16 << 20

// eventSink masks server-sent events, one after the other, each as soon as it is whole. Data that is JSON is
// masked by names too.
type eventSink struct {
	to     io.Writer
	values Values
	event  []byte // its lines so far
	line   int    // where the last of them begins
	cr     bool   // the last byte was a CR
}

func (s *eventSink) write(p []byte) error {
	for _, c := range p {
		if s.cr && c != '\n' { // the CR was a whole end
			if err := s.ended(); err != nil {
				return err
			}
		}
		s.cr = c == '\r'
		s.event = append(s.event, c)
		if c == '\n' {
			if err := s.ended(); err != nil {
				return err
			}
		}
	}
	if s.cr && len(bytes.TrimRight(s.event[s.line:], "\r")) == 0 && len(s.event) > 0 {
		// An event may end here, and what follows take its time: a LF that comes later is an end of its own.
		if err := s.ended(); err != nil {
			return err
		}
		s.cr = false
	}
	if len(s.event) > maxEvent {
		return errLong
	}
	return nil
}

// ended ends a line.
func (s *eventSink) ended() error {
	blank := len(bytes.TrimRight(s.event[s.line:], "\r\n")) == 0
	s.line = len(s.event)
	if !blank {
		return nil
	}
	return s.pass()
}

// pass masks an event, and passes it on.
func (s *eventSink) pass() error {
	out, err := s.masked(s.event)
	if err == nil {
		_, err = s.to.Write(out)
	}
	s.event, s.line = s.event[:0], 0
	return err
}

func (s *eventSink) masked(event []byte) ([]byte, error) {
	var data []byte
	lines, some := 0, false
	for line := range lines2(event) {
		if value, is := field(line, "data"); is {
			if lines > 0 {
				data = append(data, '\n')
			}
			data = append(data, value...)
			lines++
		}
	}
	shown, err := s.data(data)
	if err != nil {
		return nil, err
	}
	some = !bytes.Equal(shown, data)
	out := make([]byte, 0, len(event)+32)
	told := false
	var other []byte // lines that follow one another and are no data: a value may go over several
	text := func() {
		if len(other) > 0 && !s.values.Permit.Clear("", other) {
			other = s.values.Permit.Text(other)
		}
		out = append(out, other...)
		other = nil
	}
	for line := range lines2(event) {
		_, is := field(line, "data")
		if !is {
			other = append(other, line...)
			continue
		}
		text()
		if some {
			if !told {
				for part := range bytes.SplitSeq(shown, []byte{'\n'}) {
					out = append(append(append(out, "data: "...), bytes.TrimRight(part, "\r")...), '\n')
				}
			}
			told = true
			continue
		}
		out = append(out, line...)
	}
	text()
	return out, nil
}

// data masks the data of one event.
func (s *eventSink) data(data []byte) ([]byte, error) {
	if !isJSON(data) {
		return s.values.Text(data, Deepest)
	}
	out := make(pieces, 0, len(data)+64)
	d := newDocument(&out, s.values.Permit, false, Deepest)
	d.values.rows, d.values.flows = s.values.rows, true
	err := d.write(data)
	if err == nil {
		err = d.end()
	}
	s.values.rows = d.values.rows
	return out, err
}

func (s *eventSink) end() error {
	if len(s.event) == 0 {
		return nil
	}
	return s.pass()
}

// lines2 are the lines of an event with their ends: LF, CR or both.
func lines2(b []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := bytes.IndexAny(b, "\r\n")
			switch {
			case n < 0:
				n = len(b)
			case b[n] == '\r' && n+1 < len(b) && b[n+1] == '\n':
				n += 2
			default:
				n++
			}
			if !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// field is the value of a line, if it is of that field.
func field(line []byte, name string) ([]byte, bool) {
	line = bytes.TrimRight(line, "\r\n")
	rest, is := bytes.CutPrefix(line, []byte(name))
	switch {
	case !is || len(rest) > 0 && rest[0] != ':':
		return nil, false
	case len(rest) == 0:
		return nil, true
	}
	return bytes.TrimPrefix(rest[1:], []byte(" ")), true
}
