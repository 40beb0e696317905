package api

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on what a request body may hold.
const (
	maxBody  = 1 << 20    // bytes, where an operation doesn't say otherwise
	maxBulk  = maxCommand // the most that one says
	maxDepth = 32         // nested objects and arrays
)

var (
	errNotJSON     = errors.New("the body is not one JSON value (RFC 8259)")
	errNotUTF8     = errors.New("the body is not UTF-8")
	errReplacement = errors.New("a string holds U+FFFD or half a surrogate pair: bytes were lost on the way")
	errDepth       = fmt.Errorf("the body nests deeper than %d", maxDepth)
)

// decodeStrict reads one JSON value into v so that no second parser could have
// read another one: names match exactly, none is unknown and none comes twice
// or in two spellings, nothing follows, and no string lost bytes
// (CVE-2026-27896 and its kin).
func decodeStrict(data []byte, v any) error {
	switch {
	case len(data) > maxBulk: // each operation's own bound stands before this
		return fmt.Errorf("the body is larger than %d bytes", maxBulk)
	case !utf8.Valid(data):
		return errNotUTF8
	case !json.Valid(data):
		return errNotJSON
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := checkValue(dec, reflect.TypeOf(v), 0); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return decodeError(err)
	}
	return nil
}

// decodeError says what has the wrong type and where, never the value.
func decodeError(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s must be %s", wrong.Field, jsonName(wrong.Type))
	}
	return errors.New("a value has the wrong form")
}

func jsonName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "an integer"
}

// checkValue walks one value of text that json.Valid has accepted. t is the
// Go type that it will be read into, nil where any name is allowed.
func checkValue(dec *json.Decoder, t reflect.Type, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return errNotJSON
	}
	switch tok := tok.(type) {
	case string:
		return checkString(tok)
	case json.Delim:
		if depth >= maxDepth {
			return errDepth
		}
		if tok == '[' {
			return checkArray(dec, elem(t), depth+1)
		}
		return checkObject(dec, t, depth+1)
	}
	return nil
}

func checkArray(dec *json.Decoder, t reflect.Type, depth int) error {
	for dec.More() {
		if err := checkValue(dec, t, depth); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func checkObject(dec *json.Decoder, t reflect.Type, depth int) error {
	names, closed := members(t)
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return errNotJSON
		}
		name, _ := tok.(string)
		if err := checkString(name); err != nil {
			return err
		}
		folded := fold(name)
		if seen[folded] {
			return fmt.Errorf("member %.64q comes twice, or in two spellings", name)
		}
		seen[folded] = true
		member, known := names[name]
		if closed && !known {
			return fmt.Errorf("member %.64q is not known here", name)
		}
		if !closed {
			member = elem(t)
		}
		if err := checkValue(dec, member, depth); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func checkString(s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return errReplacement
	}
	return nil
}

// members are the JSON names of a struct's fields. closed is false when t has
// no fixed names: a map, an interface, or a type that reads itself.
func members(t reflect.Type) (names map[string]reflect.Type, closed bool) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct || readsItself(t) {
		return nil, false
	}
	names = map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		names[name] = f.Type
	}
	return names, true
}

func elem(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || readsItself(t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return t.Elem()
	}
	return nil
}

func readsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// fold maps every spelling that differs only in case to one, as
// case-insensitive parsers do (Unicode simple folding: K, k and the Kelvin sign are one).
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, s)
}
