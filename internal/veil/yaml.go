package veil

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/assenthq/assent/gate"
)

// yamlSink masks YAML line by line: what stands behind a key that names a class, on its line
// or deeper below it, as a whole; what stands beside the name of one (name: password, value: …); and
// everything by what it holds. It needs not be exact: a line that is none of YAML's is text.
type yamlSink struct {
	text   stream
	values Values
	fill   bool

	line   []byte
	long   bool   // the line is too long for one with a key: it is text
	key    string // that names what stands deeper than indent; "": nothing
	indent int
	block  bool   // what stands there is a block of text
	beside string // what a line `name: …` named, for a line `value: …` of the same depth
	depth  int    // of that line
}

const maxYAMLLine = 1 << 20

func newYAML(to io.Writer, p gate.Permit, fill bool) *yamlSink {
	return &yamlSink{text: stream{p.Stream(to, fill)}, values: Values{Permit: p, flows: true}, fill: fill}
}

func (y *yamlSink) write(p []byte) error {
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(p)
		}
		if y.long {
			if err := y.text.write(p[:n]); err != nil {
				return err
			}
			y.long = !whole
			p = p[n:]
			continue
		}
		y.line = append(y.line, p[:n]...)
		p = p[n:]
		if !whole {
			if err := y.tooLong(); err != nil {
				return err
			}
			continue
		}
		if err := y.pass(); err != nil {
			return err
		}
	}
	return nil
}

// tooLong passes the beginning of a line that holds no name, and refuses one of which more
// must be known.
func (y *yamlSink) tooLong() error {
	if len(y.line) > maxYAMLLine {
		return errLong
	}
	if len(y.line) < maxText || y.key != "" {
		return nil
	}
	if k := readYAML(y.line); y.keyOf(&k) != "" {
		return nil
	}
	y.long = true
	line := y.line
	y.line = y.line[:0]
	return y.text.write(line)
}

func (y *yamlSink) end() error {
	if len(y.line) > 0 {
		if err := y.pass(); err != nil {
			return err
		}
	}
	return y.text.end()
}

// A yamlLine is a line taken apart: where its key is written, and its value.
type yamlLine struct {
	indent     int // of the key, behind dashes
	key        string
	start, end int  // of the value, without space around it
	blank      bool // nothing is on it
}

func readYAML(line []byte) yamlLine {
	k := yamlLine{}
	i := 0
	for i < len(line) && (line[i] == ' ' || line[i] == '\t' || line[i] == '-' && i+1 < len(line) && (line[i+1] == ' ' || line[i+1] == '\t')) {
		i++
	}
	k.indent = i
	end := len(bytes.TrimRight(line, " \t\r\n"))
	k.start, k.end = min(i, end), end
	if k.start == end || line[i] == '#' || bytes.HasPrefix(line[i:], []byte("---")) {
		k.blank = true
		return k
	}
	rest := line[i:end]
	n, key := -1, ""
	if q := rest[0]; q == '"' || q == '\'' {
		if m := bytes.IndexByte(rest[1:], q); m >= 0 && m+2 < len(rest) && rest[m+2] == ':' {
			n, key = m+2, string(rest[1:1+m])
		}
	} else if n = bytes.Index(rest, []byte(": ")); n < 0 && rest[len(rest)-1] == ':' {
		n = len(rest) - 1
	}
	if n < 0 || n > maxName {
		return k
	}
	if key == "" {
		key = string(bytes.TrimPrefix(bytes.TrimSpace(rest[:n]), []byte("? ")))
	}
	k.key = key
	k.start = min(i+n+1, end)
	for k.start < end && (line[k.start] == ' ' || line[k.start] == '\t') {
		k.start++
	}
	return k
}

// keyOf is what names the value of a line.
func (y *yamlSink) keyOf(k *yamlLine) string {
	switch {
	case y.key != "" && (k.indent > y.indent || k.blank):
		return y.key
	case k.key == "":
		return ""
	case y.beside != "" && k.indent == y.depth && among(valued, k.key):
		return y.beside
	case y.values.named(k.key):
		return k.key
	}
	return ""
}

// pass masks a line, and passes it on.
func (y *yamlSink) pass() error {
	line := y.line
	y.line = y.line[:0]
	k := readYAML(line)
	if k.blank && len(bytes.TrimSpace(line)) == 0 {
		return y.text.write(line)
	}
	if y.key != "" && k.indent <= y.indent && !(k.indent == y.indent && !y.block && bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("- "))) {
		y.key = ""
	}
	key, inside := y.keyOf(&k), y.key != ""
	value := line[k.start:k.end]
	if inside && y.block {
		k.start = min(k.indent, k.end)
		value = line[k.start:k.end]
	}
	if key == "" || k.blank && !y.block {
		y.names(&k, value)
		return y.text.write(line)
	}
	if head := blockHead(value); !inside && head != "" {
		y.key, y.indent, y.block = key, k.indent, head != "-"
		y.beside = ""
		return y.text.write(line)
	}
	if !inside {
		// What a plain value goes on with stands deeper too.
		y.key, y.indent, y.block = key, k.indent, true
	}
	if head := blockHead(value); inside && !y.block && head != "" {
		return y.text.write(line) // deeper below it is what counts
	}
	shown, err := y.shown(key, value)
	if err != nil {
		return err
	}
	out := append(append(append(make([]byte, 0, len(line)+32), line[:k.start]...), shown...), line[k.end:]...)
	return y.text.write(out)
}

// names remembers what a line `name: password` names.
func (y *yamlSink) names(k *yamlLine, value []byte) {
	if k.key == "" {
		return
	}
	if among(" name key ", k.key) && len(value) <= maxName {
		if said := strings.Trim(string(value), `"'`); y.values.named(said) {
			y.beside, y.depth = said, k.indent
			return
		}
	}
	if k.indent <= y.depth {
		y.beside = ""
	}
}

// blockHead tells a value that stands on the lines below: "-" for lines with keys of their own, "|" for text.
func blockHead(value []byte) string {
	switch v := strings.TrimSpace(string(value[:min(len(value), 64)])); {
	case v == "", v[0] == '&' && !strings.Contains(v, " "), v[0] == '!' && !strings.Contains(v, " "), v[0] == '#':
		return "-"
	case strings.Trim(v, "|>+-0123456789") == "" && (v[0] == '|' || v[0] == '>'):
		return "|"
	}
	return ""
}

// shown is what may be shown of a value of a scalar called key.
func (y *yamlSink) shown(key string, raw []byte) ([]byte, error) {
	plain := raw
	if q := raw[0]; len(raw) > 1 && (q == '"' || q == '\'') && raw[len(raw)-1] == q {
		plain = raw[1 : len(raw)-1]
		var s string
		if q == '"' && json.Unmarshal(raw, &s) == nil {
			plain = []byte(s)
		}
	}
	if len(plain) == 0 {
		return raw, nil
	}
	out, err := y.values.member(key, plain)
	switch {
	case err != nil:
		return nil, err
	case bytes.Equal(out, plain):
		return raw, nil
	case y.fill:
		return bytes.Repeat([]byte("*"), len(raw)), nil
	}
	quoted, err := json.Marshal(string(out))
	if err != nil {
		return nil, err //nolint:wrapcheck // a string always marshals
	}
	return quoted, nil
}
