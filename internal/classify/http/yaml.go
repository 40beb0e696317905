package http

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Limits of a mapping file, far above any real one.
const (
	maxFile  = 4 << 20
	maxLine  = 8 << 10
	maxDepth = 64
)

// An Error is one mistake in a mapping, with its place and what to do.
type Error struct {
	File         string
	Line, Column int // from 1; 0: the whole file
	Msg, Remedy  string
}

func (e *Error) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
	}
	if e.Remedy == "" {
		return at + ": " + e.Msg
	}
	return at + ": " + e.Msg + "\n    " + e.Remedy
}

// Errors are all mistakes of a file, in their order.
type Errors []*Error

func (e Errors) Error() string {
	parts := make([]string, len(e))
	for i, x := range e {
		parts[i] = x.Error()
	}
	return strings.Join(parts, "\n")
}

// value is a YAML value with its place: without anchors, aliases, tags and merge keys.
type yvalue struct {
	kind         ykind
	text         string
	line, column int
	fields       []yfield
	items        []*yvalue
}

type yfield struct{ key, value *yvalue }

type ykind uint8

const (
	yNull ykind = iota
	yText
	yMap
	yList
)

// loader reads one file and keeps its mistakes.
type loader struct {
	file string
	errs Errors
}

func (l *loader) fail(v *yvalue, msg, remedy string) {
	e := &Error{File: l.file, Msg: msg, Remedy: remedy}
	if v != nil {
		e.Line, e.Column = v.line, v.column
	}
	if len(l.errs) < 50 {
		l.errs = append(l.errs, e)
	}
}

// parse reads one document. The parser is someone else's code on bytes from outside: a panic in it is an error here.
func (l *loader) parse(data []byte) (root *yvalue) {
	defer func() {
		if r := recover(); r != nil {
			l.fail(nil, "this is not YAML that can be read", "")
			root = nil
		}
	}()
	if len(data) > maxFile {
		l.fail(nil, "a mapping over 4 MiB", "split it by route")
		return nil
	}
	depth := 0
	for i, line := range strings.Split(string(data), "\n") {
		at := &yvalue{line: i + 1, column: 1}
		depth += strings.Count(line, "[") + strings.Count(line, "{") - strings.Count(line, "]") - strings.Count(line, "}")
		switch {
		case len(line) > maxLine:
			l.fail(at, "a line over 8 KiB", "break it")
			return nil
		case !utf8.ValidString(line) || strings.ContainsRune(line, 0):
			l.fail(at, "bytes that are not UTF-8 text", "save the file as UTF-8")
			return nil
		case depth+strings.Count(line, "- ")+strings.Count(line, "? ")+strings.Count(line, "[")+strings.Count(line, "{") > 10*maxDepth:
			l.fail(at, "nested too deeply", "")
			return nil
		}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil && y.GetToken().Position != nil {
			p := y.GetToken().Position
			l.fail(&yvalue{line: p.Line, column: p.Column}, y.GetMessage(), "")
			return nil
		}
		first, _, _ := strings.Cut(err.Error(), "\n")
		l.fail(nil, first, "")
		return nil
	}
	for i, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if root != nil || i > 0 {
			l.fail(nil, "a second YAML document", "one mapping a file")
			return nil
		}
		root = l.convert(doc.Body, 0)
	}
	if root == nil {
		l.fail(nil, "an empty mapping", "it has rows:, each with match: and kinds:")
	}
	return root
}

func (l *loader) convert(n ast.Node, depth int) *yvalue {
	if n == nil {
		return &yvalue{line: 1, column: 1}
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
	out := &yvalue{line: tok.Position.Line, column: tok.Position.Column}
	if depth > maxDepth {
		l.fail(out, "nested too deeply", "")
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		l.fields(out, n.Values, depth)
	case *ast.MappingValueNode:
		l.fields(out, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out.kind = yList
		for _, v := range n.Values {
			out.items = append(out.items, l.convert(v, depth+1))
		}
	case *ast.NullNode:
	case *ast.LiteralNode:
		out.kind, out.text = yText, n.Value.Value
	case *ast.StringNode:
		out.kind, out.text = yText, n.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = yText, tok.Value
	default:
		l.fail(out, "anchors, aliases, tags and merge keys have no place in a mapping", "write the value out")
	}
	return out
}

func (l *loader) fields(out *yvalue, values []*ast.MappingValueNode, depth int) {
	out.kind = yMap
	seen := map[string]bool{}
	for _, v := range values {
		key := l.convert(v.Key, depth+1)
		switch {
		case key.kind != yText:
			l.fail(key, "a key must be a plain word", "quote it")
			continue
		case seen[key.text]:
			l.fail(key, fmt.Sprintf("%s stands twice", key.text), "keep one")
			continue
		}
		seen[key.text] = true
		out.fields = append(out.fields, yfield{key: key, value: l.convert(v.Value, depth+1)})
	}
}
