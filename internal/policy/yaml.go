package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a pack file. They stand far above any real one and keep the YAML
// parser, which recurses, away from what would exhaust its stack.
const (
	maxPackBytes = 1 << 20
	maxLineBytes = 8 << 10
	maxDepth     = 64
	maxKeys      = 2000
	maxErrors    = 100 // of one file that are told
)

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	mappingNode
	sequenceNode
	nullNode
)

func (k nodeKind) String() string {
	return [...]string{"a single value", "a mapping", "a list", "empty"}[k]
}

// A node is a YAML value with its place: the plain subset that a pack may use,
// without anchors, aliases, tags and merge keys.
type node struct {
	kind         nodeKind
	text         string // of a scalar
	quoted       bool   // '…' or "…"
	single       bool   // '…'
	block        bool   // | or >
	header       string // what stands behind them: |-
	flow         bool   // {…} or […]
	end          int    // line of the bracket that ends it
	line, column int
	fields       []field
	items        []*node
}

type field struct{ key, value *node }

// field is the value of a mapping's key, or nil.
func (n *node) field(key string) *node {
	for _, f := range n.fields {
		if f.key.text == key {
			return f.value
		}
	}
	return nil
}

// canonical is the node as action.Canonical takes it. What a value means is
// decided by where it stands, so text is enough.
func (n *node) canonical() any {
	switch n.kind {
	case mappingNode:
		m := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			m[f.key.text] = f.value.canonical()
		}
		return m
	case sequenceNode:
		l := make([]any, len(n.items))
		for i, x := range n.items {
			l[i] = x.canonical()
		}
		return l
	}
	return n.text
}

// parseYAML reads one document. The parser is someone else's code on bytes
// from outside: a panic in it is an error here, never the end of the process.
func (d *decoder) parseYAML(data []byte) (root *node) {
	defer func() {
		if r := recover(); r != nil {
			d.fail(place{file: d.file}, "this is not YAML that can be read", "")
			root = nil
		}
	}()
	data, ok := d.text(data)
	if !ok || d.tooMuch() {
		return nil
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.syntaxError(err)
		return nil
	}
	var docs []*ast.DocumentNode
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType {
			docs = append(docs, doc)
		}
	}
	if len(file.Docs) > 1 && len(docs) > 0 {
		last := file.Docs[1]
		p := place{file: d.file}
		if last.Start != nil {
			p = d.place(last.Start.Position.Line, 1)
		}
		d.fail(p, "a second YAML document", "one pack a file: move it to a file of its own")
		return nil
	}
	if len(docs) == 0 {
		d.fail(place{file: d.file}, "an empty pack", "a pack has apiVersion, kind, metadata and rules")
		return nil
	}
	return d.convert(docs[0].Body, 0)
}

// unreadable says what is wrong with a line that is no text of a pack.
func unreadable(line string) (problem, remedy string) {
	if len(line) > maxLineBytes {
		return fmt.Sprintf("a line over %d bytes", maxLineBytes), "break it"
	}
	if !utf8.ValidString(line) {
		return "bytes that are not UTF-8 text", "save the file as UTF-8"
	}
	for _, r := range line {
		switch {
		case r < ' ' && r != '\t', r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff:
			return fmt.Sprintf("a control character (U+%04X)", r), "save the file as plain text"
		case unicode.Is(unicode.Bidi_Control, r):
			return fmt.Sprintf("a character that turns the direction of text (U+%04X)", r), "leave it out: with it a rule reads otherwise than it decides"
		}
	}
	return "", ""
}

// escapes refuses what "\u202e" and its like put into a value: it doesn't show in the pack,
// and would turn or overwrite the text of a card or a terminal.
func (d *decoder) escapes(n *node) {
	if !n.quoted || n.single {
		return
	}
	for _, r := range n.text {
		if r == '\n' || r == '\t' {
			continue
		}
		if problem, _ := unreadable(string(r)); problem != "" {
			d.failAt(n, problem+", written as an escape", "leave it out")
			return
		}
	}
}

// invisible is the first character of s that can't be seen, "" when there is none: with it
// a value is another than the one that is read.
func invisible(s string) string {
	for _, r := range s {
		if r != '\n' && r != '\t' && (!unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)) {
			return fmt.Sprintf("U+%04X", r)
		}
	}
	return ""
}

// tooMuch reports text that the parser should not be asked to follow: nested deeper
// than its stack should go, or a mapping of more keys than it takes in good time.
func (d *decoder) tooMuch() bool {
	depth := 0
	var keys []int // of the mappings that a line stands in, by their indentation
	for i, line := range d.lines {
		// Brackets in strings count too: a pack with that many unbalanced ones is not a pack.
		open := strings.Count(line, "[") + strings.Count(line, "{")
		depth += open - strings.Count(line, "]") - strings.Count(line, "}")
		if depth+open+strings.Count(line, "- ")+strings.Count(line, "? ") > 10*maxDepth {
			d.fail(d.place(i+1, 0), "nested too deeply", "")
			return true
		}
		text := strings.TrimLeft(line, " ")
		if text == "" || text[0] == '#' {
			continue
		}
		indent := len(line) - len(text)
		for len(keys) <= indent {
			keys = append(keys, 0)
		}
		keys = keys[:indent+1]
		if text[0] != '-' && strings.Contains(text, ":") {
			keys[indent]++
		}
		if keys[indent] > maxKeys {
			d.fail(d.place(i+1, 0), fmt.Sprintf("a mapping of more than %d keys", maxKeys), "")
			return true
		}
	}
	return false
}

func (d *decoder) syntaxError(err error) {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil && y.GetToken().Position != nil {
		p := y.GetToken().Position
		remedy := ""
		if strings.Contains(y.GetMessage(), "value is not allowed") {
			remedy = "put quotes around all of it, as in when: 'a ? b : c', or write it below `when: |`: a ': ' in it, or a quote before it, means something to YAML"
		}
		d.fail(d.place(p.Line, p.Column), y.GetMessage(), remedy)
		return
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	d.fail(place{file: d.file}, first, "")
}

func (d *decoder) convert(n ast.Node, depth int) *node {
	if n == nil {
		return &node{kind: nullNode, line: 1, column: 1}
	}
	tok := n.GetToken()
	switch n := n.(type) { // a block mapping's own token is its first colon
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			tok = n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		tok = n.Key.GetToken()
	}
	out := &node{line: tok.Position.Line, column: tok.Position.Column}
	if depth > maxDepth {
		d.failAt(out, "nested too deeply", "")
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		d.convertMapping(out, n.Values, depth)
		out.bracketed(n.IsFlowStyle, n.End)
		if n.Start == nil || n.Start.Value != "{" {
			out.rejoin()
		}
	case *ast.MappingValueNode:
		d.convertMapping(out, []*ast.MappingValueNode{n}, depth)
		out.rejoin()
	case *ast.SequenceNode:
		out.kind = sequenceNode
		out.bracketed(n.IsFlowStyle, n.End)
		for _, v := range n.Values {
			out.items = append(out.items, d.convert(v, depth+1))
		}
	case *ast.NullNode:
		out.kind = nullNode
	case *ast.LiteralNode:
		out.text, out.block, out.header = n.Value.Value, true, n.Start.Value
	case *ast.StringNode:
		out.text = n.Value
		out.single = tok.Type == token.SingleQuoteType
		out.quoted = out.single || tok.Type == token.DoubleQuoteType
		d.escapes(out)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		out.text = tok.Value
	default:
		d.failAt(out, "anchors, aliases, tags and merge keys have no place in a pack", "write the value out; text that begins with !, & or * stands in quotes, as in when: '!data.inferred'")
	}
	return out
}

func (n *node) bracketed(flow bool, end *token.Token) {
	if flow && end != nil {
		n.flow, n.end = true, end.Position.Line
	}
}

func (d *decoder) convertMapping(out *node, values []*ast.MappingValueNode, depth int) {
	out.kind = mappingNode
	for _, v := range values {
		key := d.convert(v.Key, depth+1)
		if key.kind != scalarNode {
			d.failAt(key, "a key must be a plain word", "")
			continue
		}
		out.fields = append(out.fields, field{key: key, value: d.convert(v.Value, depth+1)})
	}
}

// rejoin undoes what goccy/go-yaml makes of group:name inside {…[…]…}: YAML
// takes a colon without a space for a part of the word, that parser for a key.
func (n *node) rejoin() {
	if len(n.fields) != 1 {
		return
	}
	k, v := n.fields[0].key, n.fields[0].value
	if k.quoted || v.quoted || v.kind != scalarNode || v.line != k.line || v.column != k.column+utf8.RuneCountInString(k.text)+1 {
		return
	}
	*n = node{text: k.text + ":" + v.text, line: k.line, column: k.column}
}
