package accuracy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Offsets say what the offsets of a file count.
type Offsets string

// The two ways to count.
const (
	Runes Offsets = "runes" // characters, as Python counts
	Bytes Offsets = "bytes" // of UTF-8
)

// A Span is one labelled value: bytes [Start, End) of the text.
type Span struct {
	Start, End int
	Label      string
}

// A Text is one labelled text.
type Text struct {
	Text  string
	Spans []Span
}

const maxLine = 64 << 20

// Read reads JSON lines {"text":…,"spans":[{"start":…,"end":…,"class":…}]} and calls f with each.
// Other members are ignored. An error names the line, and never what stands there.
func Read(r io.Reader, offsets Offsets, f func(line int, t *Text) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 1<<16), maxLine)
	line := 0
	for s.Scan() {
		line++
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		t, err := parse(s.Bytes(), offsets)
		if err == nil {
			err = f(line, t)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := s.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d bytes", maxLine)
		}
		return fmt.Errorf("line %d: %w", line+1, err)
	}
	return nil
}

func parse(text []byte, offsets Offsets) (*Text, error) {
	var doc struct {
		Text  *string `json:"text"`
		Spans []struct {
			Start, End *int
			Class      string
		} `json:"spans"`
	}
	if err := json.Unmarshal(text, &doc); err != nil || doc.Text == nil {
		// The decoder's error may quote the text.
		return nil, errors.New(`want {"text":…,"spans":[{"start":…,"end":…,"class":…}]}`)
	}
	t := &Text{Text: *doc.Text}
	at := func(n int) int { return n }
	size := len(t.Text)
	if offsets == Runes {
		if size = utf8.RuneCountInString(t.Text); size < len(t.Text) {
			begins := make([]int, 0, size+1)
			for i := range t.Text {
				begins = append(begins, i)
			}
			begins = append(begins, len(t.Text))
			at = func(n int) int { return begins[n] }
		}
	}
	for i, s := range doc.Spans {
		switch {
		case s.Start == nil || s.End == nil || s.Class == "":
			return nil, fmt.Errorf("span %d: it wants start, end and class", i)
		case *s.Start < 0 || *s.End > size || *s.Start >= *s.End:
			return nil, fmt.Errorf("span %d: %d to %d is no part of a text of %d %s", i, *s.Start, *s.End, size, offsets)
		}
		span := Span{at(*s.Start), at(*s.End), s.Class}
		if offsets == Bytes && (!utf8.RuneStart(t.Text[span.Start]) || span.End < len(t.Text) && !utf8.RuneStart(t.Text[span.End])) {
			return nil, fmt.Errorf("span %d cuts a character in two: are the offsets in runes?", i)
		}
		t.Spans = append(t.Spans, span)
	}
	return t, nil
}
