package mcp

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/jsontext"
)

// opaque are members that carry names by which something is found again: masking
// them would break what they are for.
var opaque = map[string]bool{
	"uri": true, "uriTemplate": true, "url": true, "nextCursor": true, "cursor": true, "requestState": true,
	"progressToken": true, "requestId": true, "taskId": true, "elicitationId": true,
}

// plain are values of type and role that need no look.
var plain = map[string]bool{"text": true, "image": true, "audio": true, "resource": true, "resource_link": true, "object": true, "string": true, "user": true, "assistant": true, "complete": true}

// maxNames is how many names of members are looked up as columns in one message.
const maxNames = 256

const typeText = 25 // every value is looked at as text

// A veil masks one message from a server through the permit that it came under.
type veil struct {
	permit gate.Permit
	rows   map[string]gate.Rows
	names  map[string]int

	unscanned string // type of content that could not be looked into; "" for none
}

// message is raw with every value masked that the permit masks.
func (v *veil) message(raw []byte) ([]byte, error) { return jsontext.Replace(raw, v.value) }

func (v *veil) value(x *jsontext.Value) ([]byte, bool, error) {
	if len(x.Path) == 0 || len(x.Path) == 1 && x.Kind != jsontext.Name && (x.Path[0] == "jsonrpc" || x.Path[0] == "id" || x.Path[0] == "method") {
		return nil, false, nil
	}
	if data(x.Path) {
		return v.data(x)
	}
	if x.Kind != jsontext.String {
		return nil, false, nil
	}
	key := x.Key()
	switch {
	case opaque[key], (key == "type" || key == "role" || key == "resultType") && plain[string(x.Text)]:
		return nil, false, nil
	case key == "data" && slices.Contains(x.Path, "content"), key == "blob":
		return v.blob(x.Text)
	}
	return v.text(x.Text)
}

// data says that a value stands in data of the server's own shape.
func data(path []string) bool {
	return len(path) > 1 && (path[1] == "structuredContent" || (path[0] == "params" || path[0] == "error") && path[1] == "data")
}

// data masks a value by its name and its content.
func (v *veil) data(x *jsontext.Value) ([]byte, bool, error) {
	if x.Kind == jsontext.Name {
		return v.name(x.Text)
	}
	key := x.Key()
	if x.Kind == jsontext.String && len(x.Text) > 1 && (x.Text[0] == '{' || x.Text[0] == '[') {
		return v.text(x.Text)
	}
	rows := v.rows[key]
	if rows == nil {
		if len(v.rows) >= maxNames {
			return changed(x.Text, v.permit.Text(x.Text))
		}
		if v.rows == nil {
			v.rows = map[string]gate.Rows{}
		}
		rows = v.permit.Rows([]gate.Column{{Name: key, Type: typeText}})
		v.rows[key] = rows
	}
	out, err := rows.Value(0, x.Text)
	if err != nil {
		return nil, false, err
	}
	return changed(x.Text, out)
}

// name masks the name of a member. Two names that become one get a number each.
func (v *veil) name(name []byte) ([]byte, bool, error) {
	out, is, err := changed(name, v.permit.Text(name))
	if !is || err != nil {
		return nil, false, err
	}
	if v.names == nil {
		v.names = map[string]int{}
	}
	v.names[string(out)]++
	if n := v.names[string(out)]; n > 1 {
		out = append(slices.Clone(out), " "+strconv.Itoa(n)...)
	}
	return out, true, nil
}

// text masks free text. Text that is JSON is masked by its names too.
func (v *veil) text(t []byte) ([]byte, bool, error) {
	out := t
	if trimmed := bytes.TrimSpace(t); len(trimmed) > 1 && (trimmed[0] == '{' || trimmed[0] == '[') {
		inner, err := jsontext.Replace(t, func(x *jsontext.Value) ([]byte, bool, error) {
			if x.Kind == jsontext.String && len(x.Text) > 1 && (x.Text[0] == '{' || x.Text[0] == '[') {
				return changed(x.Text, v.permit.Text(x.Text)) // no deeper: text in text in text is text
			}
			return v.data(x)
		})
		if err == nil {
			out = slices.Clone(inner)
		}
	}
	return changed(t, v.permit.Text(out))
}

// blob masks base64 that holds text, whatever it is declared to be. What holds
// anything else is not looked into.
func (v *veil) blob(encoded []byte) ([]byte, bool, error) {
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Decode(raw, encoded)
	if err != nil {
		return v.text(encoded)
	}
	raw = raw[:n]
	if !utf8.Valid(raw) || bytes.IndexByte(raw, 0) >= 0 {
		v.unscanned = http.DetectContentType(raw)
		return nil, false, nil
	}
	out, is, err := v.text(raw)
	if !is || err != nil {
		return nil, false, err
	}
	return []byte(base64.StdEncoding.EncodeToString(out)), true, nil
}

func changed(before, after []byte) ([]byte, bool, error) {
	if bytes.Equal(before, after) {
		return nil, false, nil
	}
	return after, true, nil
}
