package mcp

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/jsontext"
	"github.com/assenthq/assent/internal/veil"
)

// opaque are members that carry names by which something is found again: masking
// them would break what they are for.
var opaque = map[string]bool{
	"uri": true, "uriTemplate": true, "url": true, "nextCursor": true, "cursor": true, "requestState": true,
	"progressToken": true, "requestId": true, "taskId": true, "elicitationId": true,
}

// plain are values of type and role that need no look.
var plain = map[string]bool{"text": true, "image": true, "audio": true, "resource": true, "resource_link": true, "object": true, "string": true, "user": true, "assistant": true, "complete": true}

// ours are names of members that the protocol gives.
var ours = map[string]bool{
	"result": true, "params": true, "error": true, "content": true, "contents": true, "messages": true, "structuredContent": true, "isError": true, "_meta": true,
	"type": true, "text": true, "data": true, "blob": true, "mimeType": true, "uri": true, "name": true, "title": true, "description": true, "role": true, "resource": true,
	"annotations": true, "audience": true, "priority": true, "message": true, "code": true, "level": true, "logger": true, "progress": true, "total": true,
	"progressToken": true, "resultType": true,
}

// A masker masks one message from a server through the permit that it came under.
type masker struct {
	values    veil.Values
	unscanned string // type of content that could not be looked into; "" for none
}

func newMasker(p gate.Permit) *masker { return &masker{values: veil.Values{Permit: p}} }

// message is raw with every value masked that the permit masks.
func (v *masker) message(raw []byte) ([]byte, error) { return jsontext.Replace(raw, v.value) }

func (v *masker) value(x *jsontext.Value) ([]byte, bool, error) {
	if len(x.Path) == 0 || len(x.Path) == 1 && x.Kind != jsontext.Name && (x.Path[0] == "jsonrpc" || x.Path[0] == "id" || x.Path[0] == "method") {
		return nil, false, nil
	}
	if data(x.Path) {
		return v.values.Value(x, veil.Deepest)
	}
	key := x.Key()
	switch {
	case x.Kind == jsontext.Name:
		if ours[string(x.Text)] || opaque[string(x.Text)] {
			return nil, false, nil
		}
		out, is := v.values.Name(x.Text)
		return out, is, nil
	case opaque[key]:
		return nil, false, nil
	case x.Kind == jsontext.Number:
		if len(x.Text) < veil.Shortest {
			return nil, false, nil
		}
		out, err := v.values.Text(x.Text, 0)
		if err != nil {
			return nil, false, err
		}
		return changed(x.Text, out)
	case (key == "type" || key == "role" || key == "resultType") && plain[string(x.Text)]:
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

// text masks free text. Text that is JSON is masked by its names too.
func (v *masker) text(t []byte) ([]byte, bool, error) {
	out, err := v.values.Text(t, veil.Deepest)
	if err != nil {
		return nil, false, err
	}
	return changed(t, out)
}

// blob masks base64 that holds text, whatever it is declared to be. What holds
// anything else is not looked into.
func (v *masker) blob(encoded []byte) ([]byte, bool, error) {
	raw, ok := unbase64(encoded)
	if !ok {
		return v.text(encoded)
	}
	plain, is := readable(raw)
	if !is {
		v.unscanned = http.DetectContentType(raw)
		return nil, false, nil
	}
	out, is, err := v.text(plain)
	if !is || err != nil {
		return nil, false, err
	}
	return []byte(base64.StdEncoding.EncodeToString(out)), true, nil
}

// unbase64 reads base64 as the most lenient client does: of either alphabet, with or
// without padding, past what belongs to neither.
func unbase64(encoded []byte) ([]byte, bool) {
	kept := make([]byte, 0, len(encoded))
	other := 0
	for _, c := range encoded {
		switch {
		case c == '-':
			c = '+'
		case c == '_':
			c = '/'
		case c == '=' || c == ' ' || c == '\t' || c == '\n' || c == '\r':
			continue
		case (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '+' && c != '/':
			other++
			continue
		}
		kept = append(kept, c)
	}
	if other > 0 && other*8 > len(kept) { // text that stands where base64 should
		return nil, false
	}
	if len(kept)%4 == 1 {
		kept = kept[:len(kept)-1]
	}
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(kept)))
	n, err := base64.RawStdEncoding.Decode(raw, kept)
	return raw[:n], err == nil
}

// readable is raw as UTF-8, if it is text: UTF-8, UTF-16 with its mark, or what looks like
// text of an alphabet of one byte.
func readable(raw []byte) ([]byte, bool) {
	if utf8.Valid(raw) && bytes.IndexByte(raw, 0) < 0 {
		return raw, true
	}
	switch kind := http.DetectContentType(raw); {
	case strings.HasPrefix(kind, "text/plain; charset=utf-16"):
		units := make([]uint16, 0, len(raw)/2)
		for i := 2; i+1 < len(raw); i += 2 {
			a, b := uint16(raw[i]), uint16(raw[i+1])
			if raw[0] == 0xff {
				a, b = b, a
			}
			units = append(units, a<<8|b)
		}
		return []byte(string(utf16.Decode(units))), true
	case strings.HasPrefix(kind, "text/"):
		out := make([]byte, 0, len(raw)+len(raw)/8)
		for _, c := range raw {
			out = utf8.AppendRune(out, rune(c))
		}
		return out, true
	}
	return nil, false
}

func changed(before, after []byte) ([]byte, bool, error) {
	if bytes.Equal(before, after) {
		return nil, false, nil
	}
	return after, true, nil
}
