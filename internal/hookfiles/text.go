package hookfiles

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// A value is one JSON value with its place in the text, which may hold comments and
// commas at the end as agents' settings do.
type value struct {
	start, end int
	kind       byte // '{', '[', '"' or 0 for the rest
	text       string
	names      []string // of an object's members, in their order
	keys       []int    // where each name begins
	items      []*value // of an array, or of an object's members
}

func (v *value) member(name string) *value {
	if v == nil || v.kind != '{' {
		return nil
	}
	for i, n := range v.names {
		if n == name {
			return v.items[i]
		}
	}
	return nil
}

// begin is where entry i of v begins, with its name.
func (v *value) begin(i int) int {
	if v.kind == '{' {
		return v.keys[i]
	}
	return v.items[i].start
}

type reader struct {
	data  []byte
	at    int
	depth int
}

// parse reads a whole text. The empty text is an empty object.
func parse(data []byte) (*value, error) {
	r := &reader{data: data}
	if err := r.space(); err != nil {
		return nil, err
	}
	v, err := r.value()
	if err != nil {
		return nil, err
	}
	if err := r.space(); err != nil {
		return nil, err
	}
	if r.at < len(data) {
		return nil, r.fail("something follows the value")
	}
	if v.kind != '{' {
		return nil, r.fail("it is not an object")
	}
	return v, nil
}

func (r *reader) fail(problem string) error {
	return fmt.Errorf("line %d: %s", 1+bytes.Count(r.data[:min(r.at, len(r.data))], []byte("\n")), problem)
}

func (r *reader) peek() byte {
	if r.at < len(r.data) {
		return r.data[r.at]
	}
	return 0
}

// space passes over blanks and comments.
func (r *reader) space() error {
	for r.at < len(r.data) {
		rest := r.data[r.at:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			r.at++
		case bytes.HasPrefix(rest, []byte("//")):
			if i := bytes.IndexByte(rest, '\n'); i >= 0 {
				r.at += i
			} else {
				r.at = len(r.data)
			}
		case bytes.HasPrefix(rest, []byte("/*")):
			i := bytes.Index(rest[2:], []byte("*/"))
			if i < 0 {
				return r.fail("a comment is not closed")
			}
			r.at += i + 4
		default:
			return nil
		}
	}
	return nil
}

func (r *reader) value() (*value, error) {
	if r.depth++; r.depth > 100 {
		return nil, r.fail("nested too deeply")
	}
	defer func() { r.depth-- }()
	v := &value{start: r.at}
	var err error
	switch c := r.peek(); {
	case c == '{' || c == '[':
		v.kind = c
		err = r.entries(v, map[byte]byte{'{': '}', '[': ']'}[c])
	case c == '"':
		v.kind = '"'
		v.text, err = r.text()
	default:
		for r.at < len(r.data) && strings.IndexByte(" \t\r\n,]}/", r.data[r.at]) < 0 {
			r.at++
		}
		if !json.Valid(r.data[v.start:r.at]) {
			return nil, r.fail("no value")
		}
	}
	v.end = r.at
	return v, err
}

func (r *reader) entries(v *value, last byte) error {
	r.at++
	for {
		if err := r.space(); err != nil {
			return err
		}
		if r.peek() == last {
			r.at++
			return nil
		}
		if err := r.entry(v); err != nil {
			return err
		}
		if err := r.space(); err != nil {
			return err
		}
		switch r.peek() {
		case ',':
			r.at++
		case last:
		default:
			return r.fail("a comma or the end of what was opened is missing")
		}
	}
}

func (r *reader) entry(v *value) error {
	if v.kind == '{' {
		begin := r.at
		if r.peek() != '"' {
			return r.fail("no name of a member")
		}
		name, err := r.text()
		if err != nil {
			return err
		}
		if v.member(name) != nil {
			return r.fail("a member stands twice")
		}
		if err := r.space(); err != nil {
			return err
		}
		if r.peek() != ':' {
			return r.fail("no colon after a name")
		}
		r.at++
		if err := r.space(); err != nil {
			return err
		}
		v.names, v.keys = append(v.names, name), append(v.keys, begin)
	}
	item, err := r.value()
	if err != nil {
		return err
	}
	v.items = append(v.items, item)
	return nil
}

func (r *reader) text() (string, error) {
	begin := r.at
	for r.at++; r.at < len(r.data); r.at++ {
		switch r.data[r.at] {
		case '\\':
			r.at++
		case '"':
			r.at++
			var s string
			if err := json.Unmarshal(r.data[begin:r.at], &s); err != nil {
				return "", r.fail("a string is not one")
			}
			return s, nil
		}
	}
	return "", r.fail("a string is not closed")
}

// plain is v without comments, for those who compare.
func (v *value) plain(data []byte) any {
	switch v.kind {
	case '{':
		m := map[string]any{}
		for i, n := range v.names {
			m[n] = v.items[i].plain(data)
		}
		return m
	case '[':
		list := []any{}
		for _, item := range v.items {
			list = append(list, item.plain(data))
		}
		return list
	case '"':
		return v.text
	}
	var x any
	_ = json.Unmarshal(data[v.start:v.end], &x)
	return x
}

// indentOf is the blanks before the place in its line.
func indentOf(data []byte, at int) string {
	begin := bytes.LastIndexByte(data[:at], '\n') + 1
	end := begin
	for end < at && (data[end] == ' ' || data[end] == '\t') {
		end++
	}
	return string(data[begin:end])
}

// add puts an entry behind the last one of v. text is several lines, indented by two from zero.
func add(data []byte, v *value, text string) []byte {
	outer := indentOf(data, v.start)
	unit := "  "
	if n := len(v.items); n > 0 {
		at := v.begin(n - 1)
		if inner := indentOf(data, at); strings.HasPrefix(inner, outer) && len(inner) > len(outer) {
			unit = inner[len(outer):]
		}
	} else if strings.Contains(string(data), "\n\t") {
		unit = "\t"
	}
	text = strings.ReplaceAll(text, "\n  ", "\n\x00  ")
	for strings.Contains(text, "\x00  ") {
		text = strings.ReplaceAll(text, "\x00  ", unit+"\x00")
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\x00", ""), "\n", "\n"+outer+unit)
	if n := len(v.items); n > 0 {
		at := v.items[n-1].end
		return splice(data, at, at, ",\n"+outer+unit+text)
	}
	return splice(data, v.start+1, v.end-1, "\n"+outer+unit+text+"\n"+outer)
}

// remove takes entry i out of v, with its comma.
func remove(data []byte, v *value, i int) []byte {
	switch {
	case len(v.items) == 1:
		return splice(data, v.start+1, v.end-1, "")
	case i == len(v.items)-1:
		return splice(data, v.items[i-1].end, v.items[i].end, "")
	}
	return splice(data, v.begin(i), v.begin(i+1), "")
}

func splice(data []byte, from, to int, text string) []byte {
	out := append([]byte{}, data[:from]...)
	out = append(out, text...)
	return append(out, data[to:]...)
}
