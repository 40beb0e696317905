package mcp

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/jsontext"
)

// A schema is what of a tool's schema says which arguments travel in headers too
// (x-mcp-header, SEP-2243).
type schema struct {
	Header     json.RawMessage   `json:"x-mcp-header"`
	Properties map[string]schema `json:"properties"`
}

// paramHeaders are the headers that a call's arguments have, by its tool's
// definition: from the arguments that were judged, never from the client.
func paramHeaders(t *Tool, params []byte) http.Header {
	out := http.Header{}
	var s schema
	if t == nil || json.Unmarshal(member(t.Raw, "inputSchema"), &s) != nil {
		return out
	}
	s.collect(member(params, "arguments"), out, 0)
	return out
}

func (s *schema) collect(arguments []byte, out http.Header, depth int) {
	if depth > 16 {
		return
	}
	for _, a := range members(arguments) {
		p, has := s.Properties[a.Name]
		if !has {
			continue
		}
		var name string
		if json.Unmarshal(p.Header, &name) == nil && name != "" && token(name) {
			if value, is := scalar(a.Value); is {
				out.Set(headParam+name, encoded(value))
			}
		}
		p.collect(a.Value, out, depth+1)
	}
}

// scalar is a text, a whole number or a boolean as a header carries it.
func scalar(raw []byte) (string, bool) {
	if t, is := jsontext.Text(raw); is {
		return t, true
	}
	if string(raw) == "true" || string(raw) == "false" {
		return string(raw), true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != float64(int64(f)) || f >= 1<<53 || f <= -1<<53 {
		return "", false
	}
	return strconv.FormatInt(int64(f), 10), true
}

// token says whether name may be part of a header's name (RFC 9110).
func token(name string) bool {
	for _, c := range name {
		if !strings.ContainsRune("!#$%&'*+-.^_`|~", c) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(name) <= 128
}

// withParams is head with the headers of the arguments in it. What the client itself
// put there must say the same, or the answer is what differs.
func withParams(head http.Header, t *Tool, m *message, version string) (http.Header, string) {
	said := 0
	for name := range head {
		if strings.HasPrefix(name, headParam) {
			said++
		}
	}
	if m.method != "tools/call" || version < Stateless || t == nil {
		if said == 0 {
			return head, ""
		}
		head = head.Clone()
		for name := range head {
			if strings.HasPrefix(name, headParam) {
				delete(head, name)
			}
		}
		return head, ""
	}
	want := paramHeaders(t, m.params)
	if len(want) == 0 && said == 0 {
		return head, ""
	}
	out := head.Clone()
	for name, values := range head {
		if !strings.HasPrefix(name, headParam) {
			continue
		}
		if len(values) != 1 || want.Get(name) == "" && len(want.Values(name)) == 0 || decoded(values[0]) != decoded(want.Get(name)) {
			return nil, "header mismatch: " + name + " says something else than the arguments"
		}
	}
	for name, values := range want {
		if head.Get(headMethod) != "" && len(head.Values(name)) == 0 && said > 0 {
			return nil, "header mismatch: " + name + " is missing"
		}
		out[name] = values
	}
	return out, ""
}
