package recording

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// An Event is one line of a recording after the first.
type Event struct {
	At   float64 // seconds from the beginning
	Kind string  // "o": shown, "r": another size
	Data string
}

// ReadEvents reads a recording's header and hands its events to each, in order.
func ReadEvents(r io.Reader, each func(Event) error) (Header, error) {
	lines := bufio.NewScanner(io.LimitReader(r, 2*MaxBytes))
	lines.Buffer(nil, 1<<20)
	var h Header
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &h) != nil || h.Version != 2 {
		return h, errors.Join(lines.Err(), errors.New("this is no asciicast of version 2"))
	}
	for lines.Scan() {
		var parts []json.RawMessage
		var e Event
		if json.Unmarshal(lines.Bytes(), &parts) != nil || len(parts) != 3 ||
			json.Unmarshal(parts[0], &e.At) != nil || json.Unmarshal(parts[1], &e.Kind) != nil || json.Unmarshal(parts[2], &e.Data) != nil {
			return h, errors.New("a line of this recording can't be read")
		}
		if err := each(e); err != nil {
			return h, err
		}
	}
	if err := lines.Err(); err != nil {
		return h, fmt.Errorf("reading a recording: %w", err)
	}
	return h, nil
}

// Play shows a recording as it was, speed times as fast, with pauses of idle at
// most. What reaches w can move a cursor and colour text, and nothing else.
func Play(ctx context.Context, r io.Reader, w io.Writer, speed float64, idle time.Duration) error {
	var clean Cleaner
	last := 0.0
	_, err := ReadEvents(r, func(e Event) error {
		wait := min(time.Duration((e.At-last)/speed*float64(time.Second)), idle)
		last = e.At
		if wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			select {
			case <-t.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if e.Kind != "o" {
			return nil
		}
		_, err := io.WriteString(w, clean.Clean(e.Data))
		return err
	})
	_, _ = io.WriteString(w, "\x1b[0m\x1b[?25h\x1b[?1049l\r\n")
	return err
}

// A Cleaner takes out of a terminal's output what could act on who watches it: title,
// clipboard, links, answers to be typed, keyboard and mouse modes. It carries a
// sequence that is cut over two parts.
type Cleaner struct {
	state byte // 0: text; otherwise the last byte that decides
	seq   strings.Builder
}

const maxSequence = 64

// Clean returns what may be shown of s.
func (c *Cleaner) Clean(s string) string {
	var out strings.Builder
	for _, r := range s {
		switch c.state {
		case 0:
			c.text(r, &out)
		case 0x1b:
			c.escape(r, &out)
		case '[':
			c.control(r, &out)
		case '(':
			c.state = 0 // a character set: one letter
		case ']': // a string until BEL or ESC \
			switch r {
			case 0x07, 0x9c:
				c.state = 0
			case 0x1b:
				c.state = '\\'
			}
		case '\\':
			if r == '\\' {
				c.state = 0
			} else if r != 0x1b {
				c.state = ']'
			}
		}
	}
	return out.String()
}

func (c *Cleaner) text(r rune, out *strings.Builder) {
	switch {
	case r == 0x1b:
		c.state = 0x1b
	case r == 0x9b:
		c.state = '['
		c.seq.Reset()
	case r == 0x90 || r == 0x98 || r >= 0x9d && r <= 0x9f:
		c.state = ']'
	case r == '\n' || r == '\r' || r == '\t' || r == '\b':
		out.WriteRune(r)
	case r < 0x20 || r >= 0x7f && r < 0xa0:
	default:
		out.WriteRune(r)
	}
}

func (c *Cleaner) escape(r rune, out *strings.Builder) {
	c.state = 0
	switch r {
	case '[':
		c.state = '['
		c.seq.Reset()
	case ']', 'P', 'X', '^', '_':
		c.state = ']'
	case '(', ')', '*', '+', '#', '%', ' ':
		c.state = '('
	case 0x1b:
		c.state = 0x1b
	case '7', '8', 'D', 'E', 'M':
		out.WriteString("\x1b" + string(r))
	}
}

func (c *Cleaner) control(r rune, out *strings.Builder) {
	switch {
	case r == 0x1b:
		c.state = 0x1b
	case r >= 0x40 && r <= 0x7e:
		c.state = 0
		p := c.seq.String()
		private := strings.IndexFunc(p, func(r rune) bool { return (r < '0' || r > '9') && r != ';' && r != ':' }) >= 0
		mode := p == "?25" || p == "?7" || p == "?1049" || p == "?47" || p == "?1047"
		if !private && strings.ContainsRune("@ABCDEFGHIJKLMPSTXZ`adefmrsu", r) || mode && (r == 'h' || r == 'l') {
			out.WriteString("\x1b[" + p + string(r))
		}
	case r >= 0x20 && r < 0x40 && c.seq.Len() < maxSequence:
		c.seq.WriteRune(r)
	case r >= 0x20 && r < 0x40:
	default:
		c.state = 0
	}
}
