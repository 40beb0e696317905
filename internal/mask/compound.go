package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"slices"

	"github.com/assenthq/assent/internal/detect"
)

// maxNesting bounds records in arrays in records.
const maxNesting = 8

// arrayBinary masks each element of an array in the format of array_send:
// dimensions, flags, element type, (length, lower bound)…, (size, value)….
func (r *Rows) arrayBinary(c *column, v []byte) ([]byte, error) {
	if len(v) < 12 {
		return nil, errMalformed
	}
	dims, oid := binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[8:])
	if dims > 6 || uint64(len(v)) < 12+8*uint64(dims) {
		return nil, errMalformed
	}
	k := kindOf(oid)
	if k == kindArray {
		return nil, errMalformed
	}
	head := 12 + 8*int(dims)
	return r.fields(c, v, head, false, k)
}

// recordBinary masks each field of a record in the format of record_send:
// fields, then (type, size, value)….
func (r *Rows) recordBinary(c *column, v []byte) ([]byte, error) {
	if len(v) < 4 {
		return nil, errMalformed
	}
	return r.fields(c, v, 4, true, kindOther)
}

// fields masks (size, value)… from v[head:], each with its type before it when
// typed.
func (r *Rows) fields(c *column, v []byte, head int, typed bool, k kind) ([]byte, error) {
	out := append(make([]byte, 0, len(v)+32), v[:head]...)
	rest := v[head:]
	field := *c
	for len(rest) > 0 {
		if typed {
			if len(rest) < 4 {
				return nil, errMalformed
			}
			k = kindOf(binary.BigEndian.Uint32(rest))
			out, rest = append(out, rest[:4]...), rest[4:]
		}
		if len(rest) < 4 {
			return nil, errMalformed
		}
		size := int32(binary.BigEndian.Uint32(rest))
		rest = rest[4:]
		if size == -1 {
			out = binary.BigEndian.AppendUint32(out, 0xffffffff)
			continue
		}
		if size < 0 || int(size) > len(rest) {
			return nil, errMalformed
		}
		if typed {
			field.class, field.rule, field.known = c.class, c.rule, c.known // fields are columns of their own
		}
		masked, err := r.nested(&field, k, rest[:size])
		if err != nil {
			return nil, err
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(masked)))
		out, rest = append(out, masked...), rest[size:]
	}
	if !typed {
		c.class, c.rule, c.known = field.class, field.rule, field.known
	}
	return out, nil
}

// nested masks a value inside another, not deeper than maxNesting.
func (r *Rows) nested(c *column, k kind, v []byte) ([]byte, error) {
	if c.depth >= maxNesting {
		return nil, errMalformed
	}
	c.depth++
	defer func() { c.depth-- }()
	return r.mask(c, k, v)
}

// arrayText masks each element of an array literal, {a,"b c",NULL,{…}}, with
// bounds before it or not.
func (r *Rows) arrayText(c *column, v []byte) ([]byte, error) {
	at := bytes.IndexByte(v, '{')
	if at < 0 || at > 0 && v[at-1] != '=' {
		return nil, errMalformed
	}
	out := append(make([]byte, 0, len(v)+32), v[:at]...)
	depth := 0
	for at < len(v) {
		switch v[at] {
		case '{':
			depth++
		case '}':
			depth--
		case ',':
		default:
			elem, next, quoted, err := arrayElement(v, at)
			if err != nil || depth <= 0 {
				return nil, errMalformed
			}
			if !quoted && bytes.EqualFold(elem, []byte("null")) {
				out = append(out, v[at:next]...)
			} else {
				masked, err := r.nested(c, c.elem, elem)
				if err != nil {
					return nil, err
				}
				if bytes.Equal(masked, elem) {
					out = append(out, v[at:next]...)
				} else {
					out = appendQuoted(out, masked)
				}
			}
			at = next
			continue
		}
		out = append(out, v[at])
		at++
		if depth < 0 || depth == 0 && at < len(v) {
			return nil, errMalformed
		}
	}
	if depth != 0 {
		return nil, errMalformed
	}
	return out, nil
}

// arrayElement reads the element at v[at:] without its quotes and escapes.
func arrayElement(v []byte, at int) (elem []byte, next int, quoted bool, err error) {
	elem = []byte{}
	if v[at] != '"' {
		for next = at; next < len(v) && v[next] != ',' && v[next] != '}' && v[next] != '{' && v[next] != '"'; next++ {
			if v[next] == '\\' {
				next++
			}
			if next < len(v) {
				elem = append(elem, v[next])
			}
		}
		if next >= len(v) || v[next] == '{' || v[next] == '"' {
			return nil, 0, false, errMalformed
		}
		return elem, next, false, nil
	}
	for next = at + 1; next < len(v) && v[next] != '"'; next++ {
		if v[next] == '\\' {
			next++
		}
		if next < len(v) {
			elem = append(elem, v[next])
		}
	}
	if next+1 >= len(v) || v[next+1] != ',' && v[next+1] != '}' {
		return nil, 0, false, errMalformed
	}
	return elem, next + 1, true, nil
}

func appendQuoted(out, elem []byte) []byte {
	out = append(out, '"')
	for _, b := range elem {
		if b == '"' || b == '\\' {
			out = append(out, '\\')
		}
		out = append(out, b)
	}
	return append(out, '"')
}

// jsonBody takes the version byte off a jsonb value in binary format.
func (c *column) jsonBody(k kind, v []byte) (body, version []byte, err error) {
	if k == kindJSON || !c.Binary {
		return v, nil, nil
	}
	if len(v) < 1 || v[0] != 1 {
		return nil, nil, errMalformed
	}
	return v[1:], []byte{1}, nil
}

// json masks the strings and numbers of a document. What stands under a key that
// names a class is masked as a whole, as in a column of that name; keys are
// scanned like any other text. So is a token in which only the document around it
// tells a value ("password": "…").
func (r *Rows) json(v []byte) ([]byte, error) {
	if !json.Valid(v) {
		return nil, errMalformed
	}
	w := jsonWalk{rows: r, in: v}
	for _, f := range r.set.engine.Scan(v, nil) {
		if _, ok := r.set.rules[f.Class]; ok {
			w.found = append(w.found, f)
		}
	}
	if err := w.value(column{}); err != nil {
		return nil, err
	}
	if !w.changed {
		return v, nil
	}
	w.copySpace()
	return w.out, nil
}

// A jsonWalk copies a valid document, token by token.
type jsonWalk struct {
	rows    *Rows
	in, out []byte
	at      int
	changed bool
	found   []detect.Finding // in the document as text
}

// spotted returns the first finding that reaches into the token ending at w.at.
func (w *jsonWalk) spotted(token []byte) (detect.Class, bool) {
	for len(w.found) > 0 && w.found[0].End <= w.at-len(token) {
		w.found = w.found[1:]
	}
	if len(w.found) > 0 && w.found[0].Start < w.at {
		return w.found[0].Class, true
	}
	return "", false
}

// copySpace copies white space and separators.
func (w *jsonWalk) copySpace() {
	for w.at < len(w.in) && bytes.IndexByte([]byte(" \t\r\n,:"), w.in[w.at]) >= 0 {
		w.out = append(w.out, w.in[w.at])
		w.at++
	}
}

// value copies one value; under is the class its key gives it.
func (w *jsonWalk) value(under column) error {
	w.copySpace()
	switch w.in[w.at] {
	case '{', '[':
		return w.compound(under, w.in[w.at] == '{')
	case '"':
		token := w.token()
		w.text(under, token)
	default:
		token := w.token()
		w.scalar(under, token)
	}
	return nil
}

func (w *jsonWalk) compound(under column, object bool) error {
	if under.depth++; under.depth > 512 {
		return errMalformed
	}
	w.out = append(w.out, w.in[w.at])
	w.at++
	for {
		w.copySpace()
		if w.in[w.at] == '}' || w.in[w.at] == ']' {
			w.out = append(w.out, w.in[w.at])
			w.at++
			return nil
		}
		child := under
		if object {
			key := w.token()
			if class, _ := w.rows.set.engine.Column(string(unquoted(key)), nil); class != "" {
				w.rows.learn(&child, class)
			}
			w.text(column{}, key)
		}
		if err := w.value(child); err != nil {
			return err
		}
	}
}

// token takes the string, number or word at the current place.
func (w *jsonWalk) token() []byte {
	start := w.at
	if w.in[w.at] == '"' {
		for w.at++; w.in[w.at] != '"'; w.at++ {
			if w.in[w.at] == '\\' {
				w.at++
			}
		}
		w.at++
		return w.in[start:w.at]
	}
	for w.at < len(w.in) && bytes.IndexByte([]byte(" \t\r\n,:]}"), w.in[w.at]) < 0 {
		w.at++
	}
	return w.in[start:w.at]
}

func (w *jsonWalk) text(under column, token []byte) {
	plain := unquoted(token)
	if under.known {
		w.replace(under.class, jsonString(under.rule.value(under.class, plain)))
		return
	}
	masked := w.rows.free(plain)
	if len(plain) > 0 && (len(masked) == 0 || &masked[0] != &plain[0]) {
		w.changed = true
		w.out = append(w.out, jsonString(string(masked))...)
		return
	}
	if class, ok := w.spotted(token); ok {
		rule := w.rows.set.rules[class]
		w.replace(class, jsonString(rule.value(class, plain)))
		return
	}
	w.out = append(w.out, token...)
}

// scalar copies a number or word. A masked one becomes 0, or stays null.
func (w *jsonWalk) scalar(under column, token []byte) {
	number := token[0] == '-' || token[0] >= '0' && token[0] <= '9'
	class, ok := under.class, under.known
	if !ok {
		class, ok = w.spotted(token)
	}
	if !ok && number && bytes.ContainsAny(token, "eE") {
		class, ok = w.rows.numberOf(plain(string(token)))
	}
	if number && ok {
		w.replace(class, []byte("0"))
		return
	}
	w.out = append(w.out, token...)
}

func (w *jsonWalk) replace(class detect.Class, with []byte) {
	w.rows.counts[string(class)]++
	w.changed = true
	w.out = append(w.out, with...)
}

// unquoted returns the text of a JSON string, or v itself when it is none.
func unquoted(v []byte) []byte {
	var text string
	if json.Unmarshal(v, &text) != nil {
		return v
	}
	return []byte(text)
}

func jsonString(text string) []byte {
	out, err := json.Marshal(text)
	if err != nil {
		return slices.Clone([]byte(`"[masked]"`)) // a string always marshals
	}
	return out
}
