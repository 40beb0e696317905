package asktools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/assenthq/assent/client"
)

// maxBody is the largest message that a client may send, in bytes.
const maxBody = 1 << 20

// Handler serves the tools over streamable HTTP, without sessions: any revision from
// 2024-11-05 on, and any node of a deployment answers any request. api is the HTTP API
// that the tools call, in this process, with the request's own credential; it has
// admitted the request before it comes here.
func Handler(version string, api http.Handler) http.Handler {
	s := Server(version, func(ctx context.Context) (*client.Client, error) {
		r, ok := ctx.Value(requestKey{}).(*http.Request)
		if !ok {
			return nil, errors.New("a tool call without its request")
		}
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		return client.New("http://localhost", token, inside{api, r})
	})
	tools := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{
		Stateless: true, MaxRequestBodyBytes: maxBody, PropagateRequestCancellation: true,
		DisableLocalhostProtection: true, // the API's own guard has compared the host with all of ours
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the message is larger than 1 MiB, or broke off", http.StatusRequestEntityTooLarge)
			return
		}
		// The deadline for the body must not end the wait that follows it.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, r))
		r.Body = io.NopCloser(bytes.NewReader(body))
		tools.ServeHTTP(w, r)
	})
}

// requestKey holds the HTTP request that a tool call came in.
type requestKey struct{}

// inside carries a client's requests to a handler in this process, as part of
// another request: they end with it, and its client certificate counts for them.
type inside struct {
	to   http.Handler
	from *http.Request
}

func (t inside) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	defer context.AfterFunc(t.from.Context(), cancel)()
	in := req.Clone(ctx)
	in.Host, in.RequestURI, in.RemoteAddr, in.TLS = req.URL.Host, req.URL.RequestURI(), t.from.RemoteAddr, t.from.TLS
	if in.Body == nil {
		in.Body = http.NoBody
	}
	out := &answer{header: http.Header{}}
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, fmt.Errorf("the API broke off: %T", p)
		}
	}()
	t.to.ServeHTTP(out, in)
	if out.status == 0 {
		out.status = http.StatusOK
	}
	return &http.Response{
		Status: http.StatusText(out.status), StatusCode: out.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: out.header, Body: io.NopCloser(&out.body), ContentLength: int64(out.body.Len()), Request: req,
	}, nil
}

// answer collects what a handler writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}
