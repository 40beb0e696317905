package policy

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

const formatWidth = 120 // characters up to which {…} and […] stay on one line

// Format lays a pack out as every pack is: two spaces a level, one blank line at
// most, no quotes that need escapes, {…} and […] on one line or as blocks. Keys keep their order
// and comments their places, and the pack means what it meant: what it says is
// compared before it is returned. It need not load, but must be YAML that a pack may be.
func Format(name string, data []byte) ([]byte, error) {
	before := newFormatter(name, data)
	if before.root == nil {
		return nil, before.d.errs
	}
	out := before.format()
	after := newFormatter(name, out)
	if after.root == nil || !sameText(before.root, after.root) || !slices.Equal(before.said(), after.said()) {
		return nil, fmt.Errorf("%s: this can't be laid out without a change of what it says: write it in a plainer way", name)
	}
	return out, nil
}

// A comment is one # with what follows it on its line.
type comment struct {
	line, column int
	text         string
	own          bool // nothing else stands on its line
}

type formatter struct {
	d        *decoder
	root     *node
	comments []comment // those not written yet
	out      bytes.Buffer
	begun    bool // something was written in this container
}

func newFormatter(name string, data []byte) *formatter {
	f := &formatter{d: &decoder{file: name}}
	if f.root = f.d.parseYAML(data); f.root == nil || len(f.d.errs) > 0 {
		if len(f.d.errs) == 0 {
			f.d.fail(place{file: name}, "an empty pack", "")
		}
		f.root = nil
		return f
	}
	for _, t := range lexer.Tokenize(strings.Join(f.d.lines, "\n")) {
		if t.Type != token.CommentType {
			continue
		}
		c := comment{line: t.Position.Line, text: "#" + strings.TrimRight(t.Value, " \t")}
		if c.line > len(f.d.lines) {
			continue
		}
		line := f.d.lines[c.line-1]
		text := strings.TrimLeft(line, " \t")
		c.own, c.column = strings.HasPrefix(text, "#"), len(line)-len(text)+1
		f.comments = append(f.comments, c)
	}
	return f
}

// said is what the comments say, sorted.
func (f *formatter) said() []string {
	var out []string
	for _, c := range f.comments {
		out = append(out, c.text)
	}
	slices.Sort(out)
	return out
}

// sameText reports whether two trees say the same. Whether a word is quoted is part of it.
func sameText(a, b *node) bool {
	if a.kind != b.kind || a.text != b.text || a.kind == scalarNode && (a.quoted || a.block) != (b.quoted || b.block) || len(a.fields) != len(b.fields) || len(a.items) != len(b.items) {
		return false
	}
	for i := range a.fields {
		if !sameText(a.fields[i].key, b.fields[i].key) || !sameText(a.fields[i].value, b.fields[i].value) {
			return false
		}
	}
	for i := range a.items {
		if !sameText(a.items[i], b.items[i]) {
			return false
		}
	}
	return true
}

func (f *formatter) format() []byte {
	kept := f.comments
	defer func() { f.comments = kept }()
	if len(f.root.fields)+len(f.root.items) == 0 {
		f.before(f.root.line, 0)
		f.out.WriteString(f.inline(f.root))
		f.end(f.root.line, math.MaxInt)
	} else {
		f.block(f.root, 0, false, math.MaxInt)
	}
	f.before(math.MaxInt, 0)
	return f.out.Bytes()
}

// A member is a key with its value, or an item of a list.
type member struct {
	key, value *node
	line       int
}

func entries(n *node) []member {
	var out []member
	for _, x := range n.fields {
		out = append(out, member{x.key, x.value, x.key.line})
	}
	for _, x := range n.items {
		out = append(out, member{nil, x, x.line})
	}
	return out
}

// block writes the entries of n, each on lines of its own. led says that the first
// one goes on the line that was begun. end is the line of what follows n.
func (f *formatter) block(n *node, indent int, led bool, end int) {
	all := entries(n)
	if n.flow {
		end = min(end, n.end+1)
	}
	for i, e := range all {
		next := end
		if i+1 < len(all) {
			next = all[i+1].line
		}
		if i > 0 || !led {
			from := e.line
			if e.value.kind == scalarNode {
				from = max(from, e.value.line)
			}
			f.begun = f.begun && (i > 0 || indent == 0)
			f.before(from, indent)
			f.blank(f.dash(e))
			f.out.WriteString(strings.Repeat(" ", indent))
		}
		f.begun = true
		if e.key != nil {
			f.out.WriteString(f.scalar(e.key) + ":")
		} else {
			f.out.WriteString("-")
		}
		f.value(e, indent, next)
	}
	for len(f.comments) > 0 && f.comments[0].line < end && (n.flow || f.comments[0].own && f.comments[0].column >= n.column) {
		f.before(f.comments[0].line+1, indent)
	}
}

// dash is the line that e begins on: a dash may stand alone above its item.
func (f *formatter) dash(e member) int {
	line := e.line
	for e.key == nil && line >= 2 && strings.Trim(f.d.lines[line-2], " -") == "" && strings.Contains(f.d.lines[line-2], "-") {
		line--
	}
	return line
}

func (f *formatter) value(e member, indent, next int) {
	v := e.value
	switch {
	case v.kind == scalarNode && v.block && !strings.ContainsAny(v.header, "0123456789") && strings.TrimSpace(v.text) != "":
		f.out.WriteString(" " + v.header)
		f.end(e.line, v.line+1)
		f.literal(v, indent+2)
		return
	case v.kind == scalarNode:
		f.out.WriteString(" " + f.scalar(v))
	case v.kind == nullNode:
	case len(v.fields)+len(v.items) == 0 || f.fits(v):
		f.out.WriteString(" " + f.inline(v))
	case e.key == nil: // - key: value
		f.out.WriteString(" ")
		f.block(v, indent+2, true, next)
		return
	default:
		f.end(e.line, max(e.line+1, min(entries(v)[0].line, next)))
		f.begun = false
		f.block(v, indent+2, false, next)
		return
	}
	f.end(e.line, next)
}

// fits reports whether v may stand on the line that was begun: it was written in
// brackets, it is short enough and no comment is inside.
func (f *formatter) fits(v *node) bool {
	if !v.flow || !flows(v) {
		return false
	}
	for _, c := range f.comments {
		if c.line >= v.line && c.line < v.end || c.own && c.line == v.end {
			return false
		}
	}
	text := f.out.Bytes()
	begun := text[bytes.LastIndexByte(text, '\n')+1:]
	return utf8.RuneCount(begun)+1+utf8.RuneCountInString(f.inline(v)) <= formatWidth
}

// flows reports whether all of v can stand within brackets.
func flows(v *node) bool {
	for _, e := range entries(v) {
		if e.value.block || len(entries(e.value)) > 0 && !flows(e.value) {
			return false
		}
	}
	return true
}

// inline is v on one line.
func (f *formatter) inline(v *node) string {
	var parts []string
	for _, x := range v.fields {
		parts = append(parts, f.scalar(x.key)+": "+f.inline(x.value))
	}
	for _, x := range v.items {
		parts = append(parts, f.inline(x))
	}
	switch {
	case v.kind == scalarNode:
		return f.scalar(v)
	case v.kind == nullNode:
		return "null"
	case v.kind == sequenceNode:
		return "[" + strings.Join(parts, ", ") + "]"
	case len(parts) == 0:
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func (f *formatter) scalar(n *node) string {
	if n.quoted || n.block {
		return quoted(n.text, n.single)
	}
	return n.text
}

// quoted is s in the quotes that it had, or in single ones where that saves escapes.
func quoted(s string, single bool) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	switch {
	case strings.IndexFunc(s, odd) >= 0:
		return strconv.QuoteToASCII(s)
	case single || strings.ContainsAny(s, `"\`):
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return `"` + s + `"`
}

// literal writes the lines of a block scalar as they are, at another indentation.
func (f *formatter) literal(v *node, indent int) {
	lines := f.d.lines[min(v.line, len(f.d.lines)):]
	own := f.d.indent(v.line)
	var out []string
	for _, l := range lines {
		text := strings.TrimLeft(l, " ")
		if text != "" && len(l)-len(text) < own {
			break
		}
		out = append(out, l[min(own, len(l)):])
	}
	last := len(out)
	for last > 0 && strings.TrimLeft(out[last-1], " ") == "" {
		last--
	}
	if strings.Contains(v.header, "+") {
		last = len(out)
		if last > 0 && v.line+last == len(f.d.lines) && out[last-1] == "" {
			last-- // what follows the last line break is no line
		}
	}
	for _, l := range out[:last] {
		if l != "" {
			f.out.WriteString(strings.Repeat(" ", indent) + l)
		}
		f.out.WriteByte('\n')
	}
}

// before writes the comments that stand before line, each on one of its own.
func (f *formatter) before(line, indent int) {
	for len(f.comments) > 0 && f.comments[0].line < line {
		c := f.comments[0]
		f.comments = f.comments[1:]
		f.blank(c.line)
		f.begun = true
		f.out.WriteString(strings.Repeat(" ", indent) + c.text + "\n")
	}
}

// blank keeps one blank line before what stood on line, unless it is the first in its place.
func (f *formatter) blank(line int) {
	if f.begun && line >= 2 && strings.TrimSpace(f.d.lines[line-2]) == "" && !bytes.HasSuffix(f.out.Bytes(), []byte("\n\n")) {
		f.out.WriteByte('\n')
	}
}

// end ends a line that began at line with the comments behind it, up to next.
func (f *formatter) end(line, next int) {
	for len(f.comments) > 0 && !f.comments[0].own && f.comments[0].line >= line && f.comments[0].line < next {
		f.out.WriteString(" " + f.comments[0].text)
		f.comments = f.comments[1:]
	}
	f.out.WriteByte('\n')
}
