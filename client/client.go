// Package client is the Go client of Assent's HTTP API: asking for actions,
// reviewing them, reading and following the log. It depends on nothing but the
// standard library.
//
// It promises that an error is never mistaken for a permission: whatever is not
// a complete, well-formed answer of the server is an error. It follows no
// redirects, so that a token goes to the server it was meant for only.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds an answer that isn't a stream, in bytes.
const maxAnswer = 16 << 20

// A Client talks to one server with one token. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New makes a client of the server at base ("https://assent.example.com").
// transport may be nil; a server whose certificate comes from a private
// authority takes one of its own. A token is sent over TLS or to loopback only.
func New(base, token string, transport http.RoundTripper) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("assent client: %q is not http(s)://host", base)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("assent client: %s would carry the token in clear: use https", u.Redacted())
	}
	if strings.ContainsAny(token, "\r\n ") {
		return nil, errors.New("assent client: the token has a line break or a space in it")
	}
	return &Client{base: u, token: token, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// An Error is a problem document of the server (RFC 9457).
type Error struct {
	Type      string       `json:"type"` // "urn:assent:problem:changed", …: see docs/api.md
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail"`
	Need      string       `json:"need"`     // the assurance that a review needs
	Approval  string       `json:"approval"` // of a command that may not run
	URL       string       `json:"url"`      // where that can be looked at
	RequestID string       `json:"request_id"`
	Fields    []ErrorField `json:"errors"`

	// RetryAfter is how long the server asks to wait; 0 when it doesn't say.
	RetryAfter time.Duration `json:"-"`
}

// An ErrorField says which part of a request was wrong.
type ErrorField struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%d %s", e.Status, e.Title)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	for _, f := range e.Fields {
		s += fmt.Sprintf(" (%s: %s)", f.Location, f.Message)
	}
	return s
}

// Is reports whether err is a problem of that kind: the last part of its type,
// "changed" of "urn:assent:problem:changed".
func Is(err error, kind string) bool {
	var e *Error
	return errors.As(err, &e) && strings.HasSuffix(e.Type, ":"+kind)
}

// do sends a request and reads the whole answer into out, unless that is nil.
// A *[]byte takes the body as it came.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	resp, err := c.send(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
	case len(body) > maxAnswer:
		return fmt.Errorf("the answer to %s %s is larger than %d bytes", method, path, maxAnswer)
	case out == nil:
		return nil
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = body
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("the answer to %s %s is not what it should be: %w", method, path, err)
	}
	return nil
}

// send returns a response with a success status; every other one is an error.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("writing the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", c.base.Host, err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readError(resp)
}

// readError makes an Error of any response, a problem document or not.
func readError(resp *http.Response) error {
	e := &Error{}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "application/problem+json" {
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(e); err != nil {
			e = &Error{}
		}
	}
	e.Status = resp.StatusCode
	if e.Title == "" {
		e.Title = http.StatusText(e.Status)
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

// An Identity is who a token stands for.
type Identity struct {
	Credential string    `json:"credential"`
	Kind       string    `json:"kind"` // actor, person, gate
	Scopes     []string  `json:"scopes"`
	Expires    time.Time `json:"expires"`
	Person     *Party    `json:"person"`
	Groups     []string  `json:"groups"`
	Subject    *Party    `json:"subject"`
	Chain      []Party   `json:"chain"`
}

// A Party is a person or an actor.
type Party struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// WhoAmI tells who the client's token stands for.
func (c *Client) WhoAmI(ctx context.Context) (*Identity, error) {
	var out Identity
	if err := c.do(ctx, http.MethodGet, "/v1/whoami", nil, nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Readiness is the truth about each part of the server.
type Readiness struct {
	Ready    bool    `json:"ready"`
	Degraded bool    `json:"degraded"` // something that the rest can do without doesn't work
	Checks   []Check `json:"checks"`
}

// A Check is one part.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
}

// Ready asks whether every part of the server works. A server that answers
// that one doesn't is no error.
func (c *Client) Ready(ctx context.Context) (*Readiness, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath("/readyz").String(), nil)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", c.base.Host, err)
	}
	defer resp.Body.Close()
	var out Readiness
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		return nil, readError(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&out); err != nil {
		return nil, fmt.Errorf("the answer of /readyz is not what it should be: %w", err)
	}
	out.Ready = out.Ready && resp.StatusCode == http.StatusOK
	return &out, nil
}
