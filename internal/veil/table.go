package veil

import (
	"bytes"
	"io"
	"net/url"

	"github.com/assenthq/assent/gate"
)

const (
	maxField = 1 << 20 // bytes of a field or pair
	maxLine  = 64 << 10
)

// tableSink masks CSV field by field, by the names in its first line and by content.
type tableSink struct {
	to     io.Writer
	permit gate.Permit
	fill   bool

	comma  byte // 0: not known yet
	first  []byte
	names  []gate.Column // of the first line; nil: it goes on
	rows   gate.Rows
	column int
	field  []byte // as it stands
	quoted bool   // inside quotes
	out    []byte
}

func (t *tableSink) write(p []byte) error {
	if t.comma == 0 {
		t.first = append(t.first, p...)
		if bytes.IndexByte(t.first, '\n') < 0 && len(t.first) < maxLine {
			return nil
		}
		return t.begin()
	}
	for _, c := range p {
		switch {
		case c == '"' && (t.quoted || len(t.field) == 0 || closedQuote(t.field)):
			t.quoted = !t.quoted
		case !t.quoted && (c == t.comma || c == '\n'):
			if err := t.ended(c); err != nil {
				return err
			}
			continue
		}
		if t.field = append(t.field, c); len(t.field) > maxField {
			return errLong
		}
	}
	out := t.out
	t.out = t.out[:0]
	if len(out) == 0 {
		return nil
	}
	_, err := t.to.Write(out)
	return err //nolint:wrapcheck // of what is behind
}

// closedQuote says that a field was in quotes that ended: another quote opens them again.
func closedQuote(field []byte) bool {
	return len(field) > 1 && field[0] == '"' && field[len(field)-1] == '"'
}

// begin finds the comma: the one of four that the first line has most of.
func (t *tableSink) begin() error {
	line, _, _ := bytes.Cut(t.first, []byte{'\n'})
	most := 0
	t.comma = ','
	for _, c := range []byte(",;\t|") {
		if n := bytes.Count(line, []byte{c}); n > most {
			t.comma, most = c, n
		}
	}
	first := bytes.TrimPrefix(t.first, []byte("\xef\xbb\xbf"))
	t.out = append(t.out, t.first[:len(t.first)-len(first)]...)
	t.first = nil
	return t.write(first)
}

// ended ends a field, and with a line's end the line.
func (t *tableSink) ended(by byte) error {
	cr := by == '\n' && len(t.field) > 0 && t.field[len(t.field)-1] == '\r'
	if cr {
		t.field = t.field[:len(t.field)-1]
	}
	if err := t.value(); err != nil {
		return err
	}
	if cr {
		t.out = append(t.out, '\r')
	}
	t.out = append(t.out, by)
	if by == t.comma {
		t.column++
		return nil
	}
	if t.rows == nil {
		t.rows = t.permit.Rows(t.names)
	}
	t.column = 0
	return nil
}

// value masks one field.
func (t *tableSink) value() error {
	raw := t.field
	v := raw
	inQuotes := len(raw) > 1 && raw[0] == '"' && raw[len(raw)-1] == '"'
	if inQuotes {
		v = raw[1 : len(raw)-1]
		if bytes.IndexByte(v, '"') >= 0 {
			v = bytes.ReplaceAll(v, []byte(`""`), []byte(`"`))
		}
	}
	out := v
	var err error
	if t.rows == nil {
		t.names = append(t.names, gate.Column{Name: string(v), Type: typeText})
	}
	switch {
	case len(v) == 0:
	case t.rows == nil:
		if !t.permit.Clear("", v) {
			out = t.permit.Text(v)
		}
	case t.column < len(t.names):
		out, err = t.rows.Value(t.column, v)
	case !t.permit.Clear("", v):
		out = t.permit.Text(v)
	}
	if err != nil {
		return err //nolint:wrapcheck // a Denied, told as it is
	}
	switch {
	case same(out, v):
		t.out = append(t.out, raw...)
	case t.fill && inQuotes && len(v) != len(raw)-2:
		stars(raw[1 : len(raw)-1])
		t.out = append(t.out, raw...)
	case t.fill && inQuotes:
		t.out = append(append(append(t.out, '"'), filled(v, out)...), '"')
	case t.fill:
		t.out = append(t.out, filled(v, out)...)
	case inQuotes || bytes.IndexByte(out, t.comma) >= 0 || bytes.ContainsAny(out, "\"\r\n"):
		t.out = append(append(append(t.out, '"'), bytes.ReplaceAll(out, []byte(`"`), []byte(`""`))...), '"')
	default:
		t.out = append(t.out, out...)
	}
	t.field = t.field[:0]
	return nil
}

func (t *tableSink) end() error {
	if t.comma == 0 {
		if err := t.begin(); err != nil {
			return err
		}
	}
	if len(t.field) > 0 {
		if err := t.value(); err != nil {
			return err
		}
	}
	_, err := t.to.Write(t.out)
	return err //nolint:wrapcheck // of what is behind
}

// formSink masks a form's values by their names and by content.
type formSink struct {
	to     io.Writer
	values Values
	pair   []byte
}

func (f *formSink) write(p []byte) error {
	for {
		n := bytes.IndexByte(p, '&')
		if n < 0 {
			if f.pair = append(f.pair, p...); len(f.pair) > maxField {
				return errLong
			}
			return nil
		}
		f.pair = append(f.pair, p[:n]...)
		if err := f.pass("&"); err != nil {
			return err
		}
		p = p[n+1:]
	}
}

func (f *formSink) pass(behind string) error {
	raw := f.pair
	key, value, has := bytes.Cut(raw, []byte{'='})
	name := unquery(key)
	out := append([]byte(nil), key...)
	if shown, is := f.values.Name([]byte(name)); is {
		out = append(out[:0], url.QueryEscape(string(shown))...)
	}
	if has {
		plain := []byte(unquery(value))
		shown, err := f.values.Member(name, plain, Deepest)
		if err != nil {
			return err
		}
		out = append(out, '=')
		if bytes.Equal(shown, plain) {
			out = append(out, value...)
		} else {
			out = append(out, url.QueryEscape(string(shown))...)
		}
	}
	f.pair = f.pair[:0]
	_, err := f.to.Write(append(out, behind...))
	return err //nolint:wrapcheck // of what is behind
}

// unquery is what stands in a form, or as it stands where nobody can read it.
func unquery(b []byte) string {
	s, err := url.QueryUnescape(string(b))
	if err != nil {
		return string(b)
	}
	return s
}

func (f *formSink) end() error { return f.pass("") }
