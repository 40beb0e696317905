package llm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/llm"
)

// maxEvent is how many bytes one event of a stream may have.
const maxEvent = 16 << 20

// maxTexts is how many texts of a stream may be open at once.
const maxTexts = 1024

// A passage is a stream on its way to the client.
type passage struct {
	*answer
	flush http.Flusher
	open  map[string]*channel
	order []string // of open, as they began

	sequence int64 // of the last event that had a number
	shift    int64 // numbers given to events of our own
}

// A channel is one text that comes in pieces.
type channel struct {
	mask    gate.Stream // nil: nothing is masked
	restore restorer
	kept    bool // nothing is restored
	out     []byte
	last    *llm.Node // the event that brought a piece last
	event   string    // and its name
}

// Write takes what is masked.
func (c *channel) Write(b []byte) (int, error) {
	if c.kept {
		c.out = append(c.out, b...)
	} else {
		c.out = c.restore.add(c.out, b)
	}
	return len(b), nil
}

func (c *channel) add(text string) error {
	if c.mask == nil {
		_, err := c.Write([]byte(text))
		return err
	}
	_, err := c.mask.Write([]byte(text))
	return err
}

// end is the rest of the text.
func (c *channel) end() error {
	if c.mask != nil {
		if err := c.mask.Close(); err != nil {
			return err
		}
	}
	c.out = c.restore.end(c.out)
	return nil
}

func (c *channel) take() string {
	out := string(c.out)
	c.out = c.out[:0]
	return out
}

func (q *question) url() *url.URL { return &url.URL{Path: "/" + q.provider.Name + q.path} }

// stream passes events on, one by one.
func (a *answer) stream(ctx context.Context, body io.Reader) error {
	s := &passage{answer: a, open: map[string]*channel{}}
	s.flush, _ = a.w.(http.Flusher)
	err := s.run(body)
	if err == nil {
		return nil
	}
	if gone(ctx) {
		a.outcome.State = gate.Unknown
		return err
	}
	var d *gate.Denied
	switch {
	case ctx.Err() != nil:
		a.outcome.State = gate.Unknown
		d = ended()
	case !errors.As(err, &d):
		a.outcome.State = gate.Unknown
		d = &gate.Denied{Status: gate.StatusLost, Reason: "the answer broke off", Hint: "ask again if that is acceptable"}
	}
	a.outcome.Code += " broken off"
	_, _ = a.w.Write(broken(a.q, d, s.sequence+s.shift+1))
	s.flushed()
	return err
}

// gone says that the client left.
func gone(ctx context.Context) bool { return errors.Is(context.Cause(ctx), context.Canceled) }

// ended is a refusal in the middle of something that the session did not outlive.
func ended() *gate.Denied {
	return &gate.Denied{Status: gate.StatusDenied, Reason: "the session was ended", Hint: "ask for a new credential"}
}

func (s *passage) flushed() {
	if s.flush != nil {
		s.flush.Flush()
	}
}

func (s *passage) run(body io.Reader) error {
	r := bufio.NewReaderSize(body, 32<<10)
	var name string
	var data []byte
	begun := false
	for {
		line, err := readLine(r, maxEvent-len(data))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		end := errors.Is(err, io.EOF)
		switch {
		case len(line) == 0: // ends an event, also at the end of the stream
			if begun {
				if err := s.event(name, data); err != nil {
					return err
				}
			}
			name, data, begun = "", data[:0], false
		case line[0] == ':':
			if _, err := io.WriteString(s.w, ":\n\n"); err != nil {
				return err
			}
			s.flushed()
		default:
			field, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimPrefix(value, []byte(" "))
			switch string(field) {
			case "event":
				name = word(value)
			case "data":
				if begun {
					data = append(data, '\n')
				}
				data, begun = append(data, value...), true
			}
		}
		if end {
			if begun {
				if err := s.event(name, data); err != nil {
					return err
				}
			}
			return s.closed([]string{""})
		}
	}
}

// readLine reads one line of at most n bytes, without its end.
func readLine(r *bufio.Reader, n int) ([]byte, error) {
	var out []byte
	for {
		piece, err := r.ReadSlice('\n')
		if len(out)+len(piece) > n {
			return nil, errors.New("an event that is too long")
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			out = append(out, piece...)
			continue
		}
		if out != nil {
			piece = append(out, piece...)
		}
		return bytes.TrimRight(piece, "\r\n"), err
	}
}

// word is the name of an event, if it is one that may be passed on.
func word(v []byte) string {
	for _, c := range v {
		if c != '.' && c != '_' && (c < 'a' || c > 'z') {
			return ""
		}
	}
	return string(v[:min(len(v), 80)])
}

// event passes one event on.
func (s *passage) event(name string, data []byte) error {
	if string(data) == "[DONE]" {
		if err := s.closed([]string{""}); err != nil {
			return err
		}
		return s.write(name, data)
	}
	n, err := llm.Parse(slices.Clone(data))
	if err != nil {
		text, err := s.whole(string(data), false, false)
		if err != nil {
			return err
		}
		return s.write(name, []byte(text))
	}
	s.note(n)
	deltas := llm.Deltas(n)
	for _, d := range deltas {
		s.written += int64(len(d.Node.Text))
	}
	if s.plain {
		return s.write(name, data)
	}
	ended := llm.Ended(n)
	if err := s.closedBut(ended, deltas); err != nil {
		return err
	}
	for _, d := range deltas {
		if err := s.piece(&d, name, n, ended); err != nil {
			return err
		}
	}
	if err := llm.Texts(n, deltas, s.whole); err != nil {
		return err
	}
	llm.DropLogprobs(n)
	s.number(n)
	return s.write(name, n.Append(nil))
}

// number keeps the numbers of events in a row where some are our own.
func (s *passage) number(n *llm.Node) {
	if k, ok := n.Int("sequence_number"); ok {
		s.sequence = k
		if s.shift > 0 {
			n.Put("sequence_number", strconv.FormatInt(k+s.shift, 10))
		}
	}
}

// piece puts into an event what of its text is certain by now.
func (s *passage) piece(d *llm.Delta, name string, ev *llm.Node, ended []string) error {
	c := s.open[d.Key]
	if c == nil {
		if len(s.open) >= maxTexts {
			return errors.New("too many texts at once")
		}
		c = &channel{restore: restorer{tokens: s.tokens, escaped: d.JSON}, kept: d.Kept}
		if !s.permit.Bare() {
			c.mask = s.permit.Stream(c, false)
		}
		s.open[d.Key] = c
		s.order = append(s.order, d.Key)
	}
	if err := c.add(d.Node.Text); err != nil {
		return err
	}
	c.last, c.event = ev, name
	if ends(ended, d.Key) {
		if err := c.end(); err != nil {
			return err
		}
		s.forget(d.Key)
	}
	if out := c.take(); out != d.Node.Text {
		d.Node.Set(out)
	}
	return nil
}

func ends(prefixes []string, key string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

func (s *passage) forget(key string) {
	delete(s.open, key)
	s.order = slices.DeleteFunc(s.order, func(k string) bool { return k == key })
}

func (s *passage) closed(prefixes []string) error { return s.closedBut(prefixes, nil) }

// closedBut sends the rest of the texts that end, except those that go on in this very event.
func (s *passage) closedBut(prefixes []string, now []llm.Delta) error {
	if len(prefixes) == 0 {
		return nil
	}
	for _, key := range slices.Clone(s.order) {
		if !ends(prefixes, key) || slices.ContainsFunc(now, func(d llm.Delta) bool { return d.Key == key }) {
			continue
		}
		c := s.open[key]
		s.forget(key)
		if err := c.end(); err != nil {
			return err
		}
		rest := c.take()
		if rest == "" {
			continue
		}
		llm.Rest(c.last, key, rest)
		if _, ok := c.last.Int("sequence_number"); ok {
			s.shift++
			c.last.Put("sequence_number", strconv.FormatInt(s.sequence+s.shift, 10))
		}
		if err := s.write(c.event, c.last.Append(nil)); err != nil {
			return err
		}
	}
	return nil
}

// write passes an event on at once.
func (s *passage) write(name string, data []byte) error {
	if err := s.permit.Count(0, int64(len(data))); err != nil {
		return err
	}
	var b bytes.Buffer
	if name != "" {
		b.WriteString("event: " + name + "\n")
	}
	b.WriteString("data: ")
	b.Write(bytes.ReplaceAll(data, []byte("\n"), []byte("\ndata: ")))
	b.WriteString("\n\n")
	s.outcome.Bytes += int64(b.Len())
	_, err := s.w.Write(b.Bytes())
	s.flushed()
	return err
}
