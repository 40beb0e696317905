package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on a request's body.
const (
	maxBody  = 2 << 20
	maxDepth = 16
)

// object is a JSON object; its members' names are looked up whatever their case
// (RFC 7643 section 2.1).
type object = map[string]any

// parse reads one JSON object so that no second parser could have read another
// one: no member twice or in two spellings, nothing behind it, no lost bytes.
func parse(data []byte) (object, error) {
	if len(data) > maxBody {
		return nil, fmt.Errorf("the body is larger than %d bytes", maxBody)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := value(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	o, ok := v.(object)
	if !ok {
		return nil, errors.New("the body is not a JSON object")
	}
	return o, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, errors.New("the body is not JSON (RFC 8259)")
	}
	switch t := t.(type) {
	case json.Delim:
		if depth >= maxDepth {
			return nil, fmt.Errorf("the body nests deeper than %d", maxDepth)
		}
		if t == '[' {
			return array(d, depth+1)
		}
		return members(d, depth+1)
	case string:
		if strings.ContainsRune(t, utf8.RuneError) {
			return nil, errors.New("a string lost bytes on the way (U+FFFD)")
		}
	}
	return t, nil
}

func array(d *json.Decoder, depth int) (any, error) {
	out := []any{}
	for d.More() {
		v, err := value(d, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("the body is not JSON (RFC 8259)")
	}
	return out, nil
}

func members(d *json.Decoder, depth int) (any, error) {
	out, seen := object{}, map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("the body is not JSON (RFC 8259)")
		}
		if low := folded(name); seen[low] {
			return nil, fmt.Errorf("member %.64q comes twice, or in two spellings", name)
		} else {
			seen[low] = true
		}
		if out[name], err = value(d, depth); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("the body is not JSON (RFC 8259)")
	}
	return out, nil
}

// folded is the same for names that member takes for one: some letters beyond
// ASCII are another spelling of one within it (U+017F is an s).
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

// member finds one by its name, whatever its case.
func member(o object, name string) (any, bool) {
	if v, ok := o[name]; ok {
		return v, true
	}
	for k, v := range o {
		if strings.EqualFold(k, name) {
			return v, true
		}
	}
	return nil, false
}

// text is a member that is a string; "" when it is absent or null.
func text(o object, name string) (string, error) {
	v, ok := member(o, name)
	if !ok || v == nil {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", wrong("invalidValue", "%s must be a string", name)
	}
	return s, nil
}

// truth reads a boolean, and the strings that Entra writes for one.
func truth(v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		switch {
		case strings.EqualFold(v, "true"):
			return true, nil
		case strings.EqualFold(v, "false"):
			return false, nil
		}
	}
	return false, wrong("invalidValue", "a boolean must be true or false")
}
