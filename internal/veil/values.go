package veil

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/jsontext"
)

const (
	// maxNames is how many names of members are looked up as columns in one text.
	maxNames = 256
	// Deepest is how many texts of JSON inside each other are taken apart.
	Deepest = 8
	// Shortest is how many digits a number has that is looked at: fewer are no finding.
	Shortest = 7

	maxPrefix = 1 << 10 // bytes before the JSON of a message

	typeText = 25 // every value is looked at as text
)

// Values masks the values of one text of JSON, or of what is like it, by their names and by what
// they hold. It is used by one goroutine.
type Values struct {
	Permit gate.Permit
	rows   map[string]gate.Rows
	names  map[string]int
	flows  bool // a stream of texts: what a name held in one tells nothing of the next
}

// next begins another text of a stream.
func (v *Values) next() {
	v.flows, v.names = true, nil
	for key := range v.rows {
		if !v.named(key) {
			delete(v.rows, key)
		}
	}
}

// named says that values are masked for their name alone, whatever they hold.
func (v *Values) named(key string) bool { return !v.Permit.Clear(key, []byte("x")) }

// Member is what may be shown for text, the value of a member called key. It may be text itself, and
// is good until the next call. depth is how many texts of JSON inside each other may still come.
func (v *Values) Member(key string, text []byte, depth int) ([]byte, error) {
	text, err := v.unfolded(text, depth)
	if err != nil {
		return nil, err
	}
	return v.member(key, text)
}

func (v *Values) member(key string, text []byte) ([]byte, error) {
	rows := v.rows[key]
	if rows == nil {
		switch {
		case v.Permit.Clear(key, text):
			return text, nil
		case (v.flows || len(v.rows) >= maxNames) && !v.named(key):
			return v.Permit.Text(text), nil
		case len(v.rows) >= maxNames:
			return nil, errNames
		case v.rows == nil:
			v.rows = map[string]gate.Rows{}
		}
		key = strings.Clone(key)
		rows = v.Permit.Rows([]gate.Column{{Name: key, Type: typeText}})
		v.rows[key] = rows
	}
	return rows.Value(0, text) //nolint:wrapcheck // a Denied, told as it is
}

// Text masks free text. Text that is JSON is masked by its names too.
func (v *Values) Text(text []byte, depth int) ([]byte, error) {
	text, err := v.unfolded(text, depth)
	if err != nil || v.Permit.Clear("", text) {
		return text, err
	}
	return v.Permit.Text(text), nil
}

// Name masks the name of a member. Two names that become one get a number each.
func (v *Values) Name(name []byte) ([]byte, bool) {
	if v.Permit.Clear("", name) {
		return nil, false
	}
	out := v.Permit.Text(name)
	if bytes.Equal(out, name) {
		return nil, false
	}
	if v.names == nil {
		v.names = map[string]int{}
	}
	v.names[string(out)]++
	if n := v.names[string(out)]; n > 1 {
		out = append(slices.Clone(out), " "+strconv.Itoa(n)...)
	}
	return out, true
}

// unfolded is t with what stands in JSON in it masked: all of it, or line by line. Escapes
// there would hide it otherwise.
func (v *Values) unfolded(t []byte, depth int) ([]byte, error) {
	switch {
	case depth == 0 || len(t) < 2:
		return t, nil
	case isJSON(t):
		if jsontext.Check(t) == nil {
			return jsontext.Replace(t, v.inside(depth))
		}
	case bytes.IndexByte(t, '\n') < 0:
		return t, nil
	}
	if bytes.IndexByte(t, '\n') < 0 {
		return t, nil
	}
	var out []byte // nil: nothing was replaced yet
	at := 0
	for line := range bytes.Lines(t) {
		was := line
		if isJSON(line) && jsontext.Check(line) == nil {
			var err error
			if line, err = jsontext.Replace(line, v.inside(depth)); err != nil {
				return nil, err //nolint:wrapcheck // of Member
			}
		}
		if out == nil && !bytes.Equal(was, line) {
			out = append(make([]byte, 0, len(t)+64), t[:at]...)
		}
		if out != nil {
			out = append(out, line...)
		}
		at += len(was)
	}
	if out == nil {
		return t, nil
	}
	return out, nil
}

// Message masks one message of text that stands for itself: JSON by its names too, also behind a few characters that say what
// follows, as socket.io and STOMP have it.
func Message(p gate.Permit, msg []byte) ([]byte, error) {
	if p.Bare() {
		return msg, nil
	}
	v := Values{Permit: p}
	n, end := bytes.IndexAny(msg, "{["), len(bytes.TrimRight(msg, "\x00\r\n"))
	if n < 0 || n > maxPrefix || jsontext.Check(msg[n:end]) != nil {
		return v.Text(msg, Deepest)
	}
	head, err := v.Text(msg[:n], 0)
	if err != nil {
		return nil, err
	}
	out := bytes.Clone(head)
	rest, err := v.Text(msg[n:end], Deepest)
	return append(append(out, rest...), msg[end:]...), err
}

// inside masks what stands in a text of JSON in a value.
func (v *Values) inside(depth int) jsontext.Replacer {
	return func(x *jsontext.Value) ([]byte, bool, error) { return v.Value(x, depth-1) }
}

// Value masks one value of JSON by its name and its content.
func (v *Values) Value(x *jsontext.Value, depth int) ([]byte, bool, error) {
	if x.Kind == jsontext.Name {
		out, is := v.Name(x.Text)
		return out, is, nil
	}
	if x.Kind == jsontext.Number {
		depth = 0
	}
	if x.Kind == jsontext.Number && bytes.ContainsAny(x.Text, "eE") {
		out, err := v.number(x.Key(), x.Text)
		return out, err == nil && !bytes.Equal(out, x.Text), err
	}
	out, err := v.Member(x.Key(), x.Text, depth)
	if err != nil || bytes.Equal(out, x.Text) {
		return nil, false, err
	}
	return out, true, nil
}

// number is what may be shown of a number, also as the whole one that it is without an
// exponent: 4.00000000000001e15 is a card.
func (v *Values) number(key string, t []byte) ([]byte, error) {
	if bytes.ContainsAny(t, "eE") {
		if f, err := strconv.ParseFloat(string(t), 64); err == nil && math.Abs(f) < 1<<63 {
			whole := strconv.AppendFloat(nil, math.Trunc(f), 'f', -1, 64)
			if out, err := v.member(key, whole); err != nil || !bytes.Equal(out, whole) {
				return out, err
			}
		}
	}
	return v.member(key, t)
}

// isJSON says that t may be an object, a list or a string of JSON.
func isJSON(t []byte) bool {
	t = bytes.TrimSpace(t)
	return len(t) > 1 && (t[0] == '{' || t[0] == '[' || t[0] == '"')
}

// filled is before with a '*' for each byte between what it has in common with after at both ends, which
// after shows too. It is before itself where they are the same.
func filled(before, after []byte) []byte {
	if bytes.Equal(before, after) {
		return before
	}
	from, back, shorter := 0, 0, min(len(before), len(after))
	for from < shorter && before[from] == after[from] {
		from++
	}
	for back < shorter-from && before[len(before)-1-back] == after[len(after)-1-back] {
		back++
	}
	out := bytes.Clone(before)
	stars(out[from : len(out)-back])
	return out
}

func stars(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}

// pieces gathers what a stream passes on.
type pieces []byte

func (p *pieces) Write(b []byte) (int, error) {
	*p = append(*p, b...)
	return len(b), nil
}

// fill is text with what is masked in it filled. It may be text itself.
func fill(p gate.Permit, text []byte) ([]byte, error) {
	if p.Clear("", text) {
		return text, nil
	}
	out := make(pieces, 0, len(text))
	s := p.Stream(&out, true)
	if _, err := s.Write(text); err != nil {
		return nil, err //nolint:wrapcheck // a Denied, told as it is
	}
	if err := s.Close(); err != nil {
		return nil, err //nolint:wrapcheck // a Denied, told as it is
	}
	if len(out) != len(text) {
		return nil, errMoved
	}
	return out, nil
}
