package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/assenthq/assent/internal/jsontext"
)

// MaxMessage bounds one message of either side, in bytes.
const MaxMessage = 16 << 20

// A message is one JSON-RPC 2.0 message, read so that no other parser could
// have read another one.
type message struct {
	raw    []byte
	key    string // of its id: what two spellings of one id have in common; "" for none
	id     []byte // as it stands
	null   bool   // its id is null: an error that belongs to no request
	method string
	params []byte // as they stand; nil for none
	result []byte
	fault  []byte // the error member
	trace  string // the header traceparent that it came with
}

func (m *message) request() bool      { return m.method != "" && m.key != "" }
func (m *message) notification() bool { return m.method != "" && m.key == "" }
func (m *message) response() bool     { return m.method == "" }

// read takes a message apart. Its errors hold nothing of it.
func read(raw []byte) (*message, error) {
	if len(raw) > MaxMessage {
		return nil, fmt.Errorf("a message of more than %d MiB", MaxMessage>>20)
	}
	members, err := jsontext.Members(raw)
	if err != nil {
		return nil, err
	}
	m := &message{raw: raw}
	version := false
	for _, f := range members {
		switch f.Name {
		case "jsonrpc":
			v, is := jsontext.Text(f.Value)
			version = is && v == "2.0"
		case "id":
			m.id = f.Value
			if m.null = string(f.Value) == "null"; !m.null {
				if m.key, err = idKey(f.Value); err != nil {
					return nil, err
				}
			}
		case "method":
			var is bool
			if m.method, is = jsontext.Text(f.Value); !is || m.method == "" {
				return nil, errors.New("a method that is no name")
			}
		case "params":
			m.params = f.Value
		case "result":
			m.result = f.Value
		case "error":
			m.fault = f.Value
		default:
			return nil, errors.New("a member of the envelope that is on no list")
		}
	}
	return m, m.check(version)
}

func (m *message) check(version bool) error {
	switch {
	case !version:
		return errors.New("not JSON-RPC 2.0")
	case m.method != "" && (m.result != nil || m.fault != nil || m.null):
		return errors.New("a request and an answer in one")
	case m.method != "" && m.params != nil && m.params[0] != '{':
		return errors.New("params that are no object")
	case m.method == "" && (m.result == nil) == (m.fault == nil):
		return errors.New("neither a request nor one answer")
	case m.method == "" && m.params != nil:
		return errors.New("an answer with params")
	case m.method == "" && m.key == "" && (m.result != nil || !m.null):
		return errors.New("an answer to nothing")
	}
	return nil
}

// idKey is what an id is compared by. Numbers that some parsers round are refused.
func idKey(raw []byte) (string, error) {
	if text, is := jsontext.Text(raw); is {
		if len(text) > 256 {
			return "", errors.New("an id of more than 256 bytes")
		}
		return "s" + text, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n <= -1<<53 || n >= 1<<53 || strconv.FormatInt(n, 10) != string(raw) {
		return "", errors.New("an id that is neither text nor a whole number below 2^53")
	}
	return "n" + string(raw), nil
}

// member is one member of an object; nil when it has none of that name, or is no object.
func member(object []byte, name string) []byte {
	members, err := jsontext.Members(object)
	if err != nil {
		return nil
	}
	for _, m := range members {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// text is a member that is a string, "" for none.
func text(object []byte, name string) string {
	t, _ := jsontext.Text(member(object, name))
	return t
}

// object writes an object from names and values as they stand, in turn.
func object(pairs ...any) []byte {
	out := []byte{'{'}
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			out = append(out, ',')
		}
		out = jsontext.Append(out, []byte(pairs[i].(string)))
		out = append(out, ':')
		switch v := pairs[i+1].(type) {
		case []byte:
			out = append(out, v...)
		case string:
			out = jsontext.Append(out, []byte(v))
		case int:
			out = strconv.AppendInt(out, int64(v), 10)
		case bool:
			out = strconv.AppendBool(out, v)
		}
	}
	return append(out, '}')
}

// rename writes m with another id.
func (m *message) rename(id []byte) []byte {
	pairs := []any{"jsonrpc", "2.0", "id", id}
	for _, p := range []struct {
		name  string
		value []byte
	}{{"params", m.params}, {"result", m.result}, {"error", m.fault}} {
		if p.value != nil {
			pairs = append(pairs, p.name, p.value)
		}
	}
	if m.method != "" {
		pairs = append(pairs, "method", m.method)
	}
	return object(pairs...)
}

// pretty lays out JSON for people, every value as it stands.
func pretty(raw []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// Codes of JSON-RPC 2.0 and of MCP, and two of ours.
const (
	codeParse      = -32700
	codeInvalid    = -32600
	codeNoMethod   = -32601
	codeParams     = -32602
	codeInternal   = -32603
	codeNotFound   = -32002 // MCP: resource not found
	codeMismatch   = -32020 // MCP: a header says something else than the body
	codeMissing    = -32021 // MCP: the client did not declare what this takes
	codeOpenURL    = -32042 // MCP: the user must open an address first
	codeDenied     = -32010 // ours: not permitted, or not yet
	codeNotReached = -32011 // ours: the server behind the gate can't be reached
)

// fail answers a request by a JSON-RPC error.
func fail(id []byte, code int, text string, data ...[]byte) []byte {
	if id == nil {
		id = []byte("null")
	}
	pairs := []any{"code", code, "message", text}
	if len(data) > 0 && data[0] != nil {
		pairs = append(pairs, "data", data[0])
	}
	return object("jsonrpc", "2.0", "id", id, "error", object(pairs...))
}
