package server

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Bounds on the text, because the parser's memory grows with the square of its
// nesting: a mebibyte of '[' took 24 GB.
const (
	maxConfig = 1 << 20 // bytes of the file
	maxLine   = 4096    // bytes of a line, each of which may be a "- " deeper
	maxDepth  = 64      // brackets that are open at once
)

// readable checks what YAML presupposes: UTF-8 without control characters. A
// byte order mark is dropped.
func readable(file string, text []byte) ([]byte, error) {
	if len(text) > maxConfig {
		return nil, &ConfigError{File: file, Line: 1, Column: 1, Problem: fmt.Sprintf("longer than %d KiB", maxConfig>>10), Remedy: "a configuration is a page or two: is this the right file?"}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	line, column, depth, began := 1, 1, 0, 0
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		switch r {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '\n':
			began = i
		}
		switch {
		case depth > maxDepth || i-began > maxLine:
			return nil, &ConfigError{File: file, Line: line, Column: column, Problem: "nested too deeply, or a line that is too long", Remedy: "a configuration needs neither: is this the right file?"}
		case r == utf8.RuneError && n == 1:
			return nil, &ConfigError{File: file, Line: line, Column: column, Problem: "not UTF-8 text", Remedy: "save the file as UTF-8"}
		case r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f:
			return nil, &ConfigError{File: file, Line: line, Column: column, Problem: "a control character", Remedy: "remove it"}
		case r == '\n':
			line, column = line+1, 0
		}
		i, column = i+n, column+1
	}
	return text, nil
}

// shape checks a node against the type that it is decoded into, so that every
// mistake has its place and our words. It says nothing of a value: where a
// section is wanted, what stands there may be a secret.
func (k *checker) shape(path string, n ast.Node, t reflect.Type) {
	if n == nil {
		return
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode, *ast.DirectiveNode:
		k.at(n.GetToken(), path, "anchors, aliases, tags and directives are not read here", "write the value out")
		return
	case *ast.NullNode:
		if strings.HasSuffix(path, "]") {
			k.at(n.GetToken(), path, "is empty", "remove the '-', or say what belongs there")
		}
		return
	}
	switch {
	case t.Kind() == reflect.Pointer:
		k.shape(path, n, t.Elem())
	case t == reflect.TypeFor[time.Duration]():
		s, ok := n.(*ast.StringNode)
		if ok {
			_, err := time.ParseDuration(s.Value)
			ok = err == nil
		}
		if !ok {
			k.at(n.GetToken(), path, "wants a duration", "for example 90s, 15m or 24h")
		}
	case t.Kind() == reflect.Struct:
		k.section(path, n, t)
	case t.Kind() == reflect.Map:
		k.labels(path, n, t)
	case t.Kind() == reflect.Slice:
		k.list(path, n, t)
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		if i, ok := n.(*ast.IntegerNode); !ok || !fits(i) {
			k.at(n.GetToken(), path, "wants a whole number", "")
		}
	case t.Kind() == reflect.Float64:
		_, whole := n.(*ast.IntegerNode)
		if _, ok := n.(*ast.FloatNode); !ok && !whole {
			k.at(n.GetToken(), path, "wants a number", "for example 2.5")
		}
	default:
		if _, ok := n.(ast.ScalarNode); !ok {
			k.at(n.GetToken(), path, "wants text", "if it is meant literally, put it in quotes")
		}
	}
}

func fits(n *ast.IntegerNode) bool {
	_, err := strconv.ParseInt(strings.ReplaceAll(fmt.Sprint(n.Value), "_", ""), 0, 64)
	return err == nil
}

// pairs is what a mapping holds.
func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func (k *checker) section(path string, n ast.Node, t reflect.Type) {
	keys := keysOf(t)
	values, ok := pairs(n)
	if !ok {
		remedy := "its keys are " + strings.Join(keys, ", ")
		if t == reflect.TypeFor[Secret]() {
			remedy = "a secret never stands in this file: name where it is, by file:, env: or command:"
		}
		k.at(n.GetToken(), path, "wants keys and values", remedy)
		return
	}
	for _, v := range values {
		key := v.Key.GetToken()
		i := slices.Index(keys, key.Value)
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			k.at(key, path, "anchors, aliases, tags and directives are not read here", "write the value out")
			continue
		}
		if i < 0 {
			k.at(key, path, fmt.Sprintf("unknown key %q", key.Value), meant(key.Value, keys)+"docs/configuration.md lists every key")
			continue
		}
		f, _ := fieldOf(t, keys[i])
		k.shape(path+"."+keys[i], v.Value, f.Type)
	}
}

func (k *checker) labels(path string, n ast.Node, t reflect.Type) {
	values, ok := pairs(n)
	if !ok {
		k.at(n.GetToken(), path, "wants keys and values", "for example { key: value }")
	}
	for _, v := range values {
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			k.shape(path, v.Key, t)
			continue
		}
		k.shape(path+"."+v.Key.GetToken().Value, v.Value, t.Elem())
	}
}

func (k *checker) list(path string, n ast.Node, t reflect.Type) {
	l, ok := n.(*ast.SequenceNode)
	if !ok {
		k.at(n.GetToken(), path, "wants a list", "for example [a, b], or a line for each that begins with '-'")
		return
	}
	for i, v := range l.Values {
		k.shape(fmt.Sprintf("%s[%d]", path, i), v, t.Elem())
	}
}

// keysOf is the keys of a section, in the order of the reference.
func keysOf(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		if key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); key != "" {
			out = append(out, key)
		}
	}
	return out
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	return t.FieldByNameFunc(func(name string) bool {
		f, _ := t.FieldByName(name)
		tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		return tag == key
	})
}

// meant names the key that differs least, if one is near.
func meant(word string, keys []string) string {
	best, least := "", 3
	for _, k := range keys {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "? "
}

// distance is Levenshtein's, in bytes; past a length that no key has it is not counted.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := last
			if a[i] != b[j] {
				d = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

// at reports a problem at the place of a token.
func (k *checker) at(t *token.Token, path, problem, remedy string) {
	e := &ConfigError{File: k.file, Line: 1, Column: 1, Problem: problem, Remedy: remedy}
	if path != "$" {
		e.Problem = strings.TrimPrefix(path, "$.") + ": " + problem
	}
	if t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	k.errs = append(k.errs, e)
}
