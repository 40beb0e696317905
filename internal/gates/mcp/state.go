package mcp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/jsontext"
)

// statePrefix begins every requestState of ours. Any other is the server's own.
const statePrefix = "assent1."

// maxState bounds a requestState of ours, in bytes: it holds what the client sent
// to answer the server's own questions.
const maxState = 256 << 10

// A state is what a client that was shown an approval brings back with the same call.
// It opens nothing: it says which approval its user was shown, so that they are not asked again.
type state struct {
	Approval   string `json:"a"`
	Digest     string `json:"d"` // of what is asked for
	Credential string `json:"c"`
	Server     string `json:"s"`
	URL        string `json:"u"`
	Expires    int64  `json:"e"`
	Nonce      string `json:"n"`
	// What the call had brought for the server itself, as it stood.
	Responses []byte `json:"r,omitempty"`
	State     []byte `json:"t,omitempty"`
}

var errState = errors.New("not a request state of ours for this call")

// states makes and checks them.
type states struct{ key []byte }

func newStates(secret []byte) states {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("assent mcp requestState"))
	return states{m.Sum(nil)}
}

func (s states) sum(body string) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(statePrefix + body))
	return m.Sum(nil)
}

// seal writes st; "" when it would be too long.
func (s states) seal(st state) string {
	st.Nonce = rand.Text()
	b, err := json.Marshal(st)
	if err != nil {
		return ""
	}
	body := base64.RawURLEncoding.EncodeToString(b)
	if len(body) > maxState-100 {
		return ""
	}
	return statePrefix + body + "." + base64.RawURLEncoding.EncodeToString(s.sum(body))
}

// open reads what seal wrote for this credential, server and call, and nothing else.
func (s states) open(text, credential, server, digest string, now time.Time) (*state, error) {
	body, sum, found := strings.Cut(strings.TrimPrefix(text, statePrefix), ".")
	if !found || !strings.HasPrefix(text, statePrefix) || len(text) > maxState {
		return nil, errState
	}
	got, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err != nil || !hmac.Equal(got, s.sum(body)) {
		return nil, errState
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, errState
	}
	var st state
	if json.Unmarshal(b, &st) != nil || st.Credential != credential || st.Server != server || st.Digest != digest || now.Unix() >= st.Expires {
		return nil, errState
	}
	return &st, nil
}

// digestOf is what a request is recognised by: all of it but how it travels, and
// what answers questions.
func digestOf(method string, params []byte) string {
	h := sha256.New()
	h.Write(jsontext.Append(nil, []byte(method)))
	for _, f := range members(params) {
		if f.Name != "_meta" && f.Name != "inputResponses" && f.Name != "requestState" {
			h.Write(append(jsontext.Append(nil, []byte(f.Name)), ':'))
			h.Write(f.Value)
			h.Write([]byte{','})
		}
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// with writes params anew, with other members in the place of those named; nil takes one out.
func with(params []byte, other map[string][]byte) []byte {
	var pairs []any
	done := map[string]bool{}
	for _, f := range members(params) {
		v, changed := other[f.Name]
		if !changed {
			v = f.Value
		}
		done[f.Name] = true
		if v != nil {
			pairs = append(pairs, f.Name, v)
		}
	}
	for _, name := range []string{"inputResponses", "requestState"} {
		if v := other[name]; v != nil && !done[name] {
			pairs = append(pairs, name, v)
		}
	}
	return object(pairs...)
}
