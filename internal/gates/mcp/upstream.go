package mcp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/assenthq/assent/internal/trace"
)

// A conn carries one conversation to its server.
type conn interface {
	// post sends one message. Of a request the stream ends with the answer; of
	// anything else there is none (nil).
	post(ctx context.Context, msg []byte, m *message, head http.Header) (stream, error)
	// listen opens the stream of what belongs to no request, from behind an event on.
	listen(ctx context.Context, last string, head http.Header) (stream, error)
	// end tells the server that the conversation is over.
	end(ctx context.Context)
}

// A stream is what a server sends, message by message.
type stream interface {
	next() (event, error) // io.EOF: it has ended
	status() int          // of HTTP; 0 for none
	close()
}

// A statusError is a server's answer without a message.
type statusError struct{ code int }

func (e *statusError) Error() string { return fmt.Sprintf("the server answered %d", e.code) }

// Headers of streamable HTTP.
const (
	headSession  = "Mcp-Session-Id"
	headVersion  = "Mcp-Protocol-Version"
	headMethod   = "Mcp-Method"
	headName     = "Mcp-Name"
	headParam    = "Mcp-Param-"
	headLast     = "Last-Event-Id"
	typeJSON     = "application/json"
	typeEvents   = "text/event-stream"
	acceptEither = typeJSON + ", " + typeEvents
)

// remote is a conversation with a server over streamable HTTP.
type remote struct {
	client  *http.Client
	url     string
	headers func(ctx context.Context) (http.Header, error) // the gate's own credential among them

	mu      sync.Mutex
	session string // owned by mu: as the server has named it
}

var revision = regexp.MustCompile(`^[0-9A-Za-z.-]{1,32}$`)

// travels are the headers of a client that go to the server: those that say what its
// message says too, and where it belongs in a trace. m is nil where there is none.
func travels(head http.Header, m *message) http.Header {
	out := http.Header{}
	one := func(name string, fits bool) {
		if fits && len(head[name]) == 1 {
			out[name] = head[name]
		}
	}
	one(headVersion, revision.MatchString(head.Get(headVersion)))
	_, traced := trace.Parse(head.Get("Traceparent"))
	one("Traceparent", traced)
	one("Tracestate", out["Traceparent"] != nil && len(head.Get("Tracestate")) <= 512)
	if m == nil {
		return out
	}
	one(headMethod, m.method != "" && head.Get(headMethod) == m.method)
	switch m.method {
	case "tools/call":
		for name := range head {
			one(name, strings.HasPrefix(name, headParam))
		}
		fallthrough
	case "prompts/get", "resources/read": // compared with the body
		one(headName, true)
	}
	return out
}

func (u *remote) request(ctx context.Context, method string, body []byte, head http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.url, bytes.NewReader(body)) // #nosec G704 -- the address is the configuration's
	if err != nil {
		return nil, err
	}
	for name, values := range head {
		if name != headLast {
			req.Header[name] = values
		}
	}
	own, err := u.headers(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotStarted, err)
	}
	for name, values := range own {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "assent")
	u.mu.Lock()
	if u.session != "" {
		req.Header.Set(headSession, u.session)
	}
	u.mu.Unlock()
	switch method {
	case http.MethodPost:
		req.Header.Set("Content-Type", typeJSON)
		req.Header.Set("Accept", acceptEither)
	case http.MethodGet:
		req.Header.Set("Accept", typeEvents)
		if last := head.Get(headLast); last != "" {
			req.Header.Set(headLast, last)
		}
	}
	return u.client.Do(req) // #nosec G704 -- likewise
}

func (u *remote) post(ctx context.Context, msg []byte, m *message, head http.Header) (stream, error) {
	resp, err := u.request(ctx, http.MethodPost, msg, travels(head, m))
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case !m.request() && resp.StatusCode/100 == 2:
		_ = resp.Body.Close()
		return nil, nil
	case kind == typeEvents && resp.StatusCode == http.StatusOK:
		u.named(m, resp)
		return &eventStream{resp: resp, events: newEvents(resp.Body)}, nil
	case kind == typeJSON:
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(io.LimitReader(resp.Body, MaxMessage+1))
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		if resp.StatusCode/100 != 2 {
			if answer, err := read(bytes.TrimSpace(b)); err != nil || !answer.response() {
				return nil, &statusError{resp.StatusCode}
			}
		}
		u.named(m, resp)
		return &oneMessage{data: bytes.TrimSpace(b), code: resp.StatusCode}, nil
	}
	_ = resp.Body.Close()
	return nil, &statusError{resp.StatusCode}
}

// named takes over the name that the server gives to the session.
func (u *remote) named(m *message, resp *http.Response) {
	if m.method != "initialize" || resp.StatusCode != http.StatusOK {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.session = resp.Header.Get(headSession)
}

func (u *remote) listen(ctx context.Context, last string, head http.Header) (stream, error) {
	head = travels(head, nil)
	if len(last) <= maxField {
		head.Set(headLast, last)
	}
	resp, err := u.request(ctx, http.MethodGet, nil, head)
	if err != nil {
		return nil, err
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode != http.StatusOK || kind != typeEvents {
		_ = resp.Body.Close()
		return nil, &statusError{resp.StatusCode}
	}
	return &eventStream{resp: resp, events: newEvents(resp.Body)}, nil
}

func (u *remote) end(ctx context.Context) {
	u.mu.Lock()
	named := u.session != ""
	u.mu.Unlock()
	if !named {
		return
	}
	if resp, err := u.request(ctx, http.MethodDelete, nil, http.Header{}); err == nil {
		_ = resp.Body.Close()
	}
}

type eventStream struct {
	resp   *http.Response
	events *events
}

func (s *eventStream) next() (event, error) { return s.events.next() }
func (s *eventStream) status() int          { return s.resp.StatusCode }
func (s *eventStream) close()               { _ = s.resp.Body.Close() }

type oneMessage struct {
	data []byte
	code int
}

func (s *oneMessage) next() (event, error) {
	if s.data == nil {
		return event{}, io.EOF
	}
	e := event{data: s.data}
	s.data = nil
	return e, nil
}
func (s *oneMessage) status() int { return s.code }
func (s *oneMessage) close()      {}

// gone says that the server no longer knows the conversation.
func gone(err error) bool {
	var s *statusError
	return errors.As(err, &s) && s.code == http.StatusNotFound
}

// errNotStarted says that nothing was sent to the server.
var errNotStarted = errors.New("the server was not asked")

// decoded is the value of a header that stands in base64 (SEP-2243).
func decoded(value string) string {
	inner, is := strings.CutPrefix(value, "=?base64?")
	inner, ends := strings.CutSuffix(inner, "?=")
	if !is || !ends {
		return value
	}
	b, err := base64.StdEncoding.DecodeString(inner)
	if err != nil {
		return value
	}
	return string(b)
}

// encoded is a value as a header may carry it.
func encoded(value string) string {
	safe := value == strings.TrimSpace(value) && !(strings.HasPrefix(value, "=?base64?") && strings.HasSuffix(value, "?="))
	for _, c := range []byte(value) {
		safe = safe && c >= 0x20 && c < 0x7f
	}
	if safe {
		return value
	}
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(value)) + "?="
}
