package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// info is what becomes known of a request on its way in; the request's own goroutine owns it.
type info struct {
	id        string // request id: the client's, when it sent a usable one
	operation string // template, never a path with ids in it
	caller    *identity.Caller
	bearer    string // that the caller presented; never logged
	remote    string // address it came from
	trace     string // where it belongs in a trace, as it says; "" for nowhere
	w         http.ResponseWriter
}

type infoKey struct{}

func infoOf(ctx context.Context) *info {
	if i, ok := ctx.Value(infoKey{}).(*info); ok {
		return i
	}
	return &info{}
}

// guard is what every request passes first: it names the request, notes how it
// ended, survives panics, and refuses foreign hosts and origins.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		in := &info{id: requestID(r), operation: "unmatched", remote: r.RemoteAddr, trace: r.Header.Get("Traceparent"), w: w}
		r = r.WithContext(context.WithValue(withCertificates(r), infoKey{}, in))
		rec := &recorder{ResponseWriter: w}
		secure(rec.Header(), r)
		rec.Header().Set("X-Request-ID", in.id)
		defer func() {
			if p := recover(); p != nil {
				s.recovered(rec, r, p)
			}
			s.finish(rec, r, in, time.Since(start))
		}()
		if p := s.foreign(r); p != nil {
			p.write(rec, r)
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// patient lets a request wait longer than its body may take to arrive.
func patient(ctx context.Context) {
	if w := infoOf(ctx).w; w != nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a writer without a deadline needs none
	}
}

// withCertificates notes the client's certificates, where TLS has verified them.
func withCertificates(r *http.Request) context.Context {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return r.Context()
	}
	return identity.WithCertificates(r.Context(), r.TLS.VerifiedChains[0])
}

// secure sets headers that turn a stray browser away. Nothing here is ever cached or framed.
func secure(h http.Header, r *http.Request) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	if r.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// foreign refuses what a browser sends for somebody else: a rebound DNS name
// (the Host isn't ours), or a page of another origin. Another port of the same
// host is another origin, though the same site.
func (s *server) foreign(r *http.Request) *Problem {
	if !s.hosts[hostname(r.Host)] {
		return problem(http.StatusMisdirectedRequest, "host", "This server doesn't answer to that host name. An administrator adds names under hosts.")
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return problem(http.StatusForbidden, "origin", "Another site's page sent this request.")
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) || (u.Scheme == "https") != (r.TLS != nil || strings.HasPrefix(s.base, "https:")) {
			return problem(http.StatusForbidden, "origin", "Another site's page sent this request.")
		}
	}
	if r.URL.Path == exchangePath {
		return bodyOnly(r, formType) // its credential stands in the body, never in what a browser adds
	}
	return bodyOnly(r, "application/json")
}

// bodyOnly refuses bodies of other types, such as a form or a simple cross-origin request can carry.
func bodyOnly(r *http.Request, want string) *Problem {
	if r.ContentLength == 0 {
		return nil
	}
	types := r.Header.Values("Content-Type")
	if len(types) == 1 {
		if t, params, err := mime.ParseMediaType(types[0]); err == nil && t == want && (params["charset"] == "" || strings.EqualFold(params["charset"], "utf-8")) {
			return nil
		}
	}
	return problem(http.StatusUnsupportedMediaType, "media-type", "Send the body as Content-Type: "+want+".")
}

// hostname is the host of a Host header without its port, in lower case.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// dispatch answers a path or method that doesn't exist with a problem too, and
// follows no spelling of a path but the plain one.
func (s *server) dispatch() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; p != path.Clean(p) && p != "/" {
			problem(http.StatusNotFound, "not-found", "There is nothing under this path.").write(w, r)
			return
		}
		h, pattern := s.mux.Handler(r)
		if pattern == "" {
			s.unmatched(h, w, r)
			return
		}
		if _, template, ok := strings.Cut(pattern, " "); ok {
			infoOf(r.Context()).operation = template
		}
		s.mux.ServeHTTP(w, r)
	})
}

// unmatched asks the mux's own error handler what is wrong, and says it our way.
func (s *server) unmatched(h http.Handler, w http.ResponseWriter, r *http.Request) {
	probe := &recorder{ResponseWriter: discard{http.Header{}}}
	h.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.Header().Get("Allow"))
		problem(http.StatusMethodNotAllowed, "method", "Allowed here: "+probe.Header().Get("Allow")).write(w, r)
		return
	}
	problem(http.StatusNotFound, "not-found", "There is nothing under this path.").write(w, r)
}

func (s *server) recovered(w *recorder, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	// The panic's value may quote a request, so its type is logged and the stack, which holds no values.
	s.Logger.ErrorContext(r.Context(), "handler panicked", "request_id", infoOf(r.Context()).id,
		"operation", infoOf(r.Context()).operation, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	asProblem(fmt.Errorf("panic")).write(w, r)
}

// finish logs and counts a request: no path, no query, no header, no body.
func (s *server) finish(w *recorder, r *http.Request, in *info, took time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	s.metrics.observe(r.Method, in.operation, status, took)
	attrs := []slog.Attr{
		slog.String("request_id", in.id), slog.String("method", r.Method), slog.String("operation", in.operation),
		slog.Int("status", status), slog.Int64("bytes", w.bytes), slog.Duration("took", took), slog.String("remote", r.RemoteAddr),
	}
	if in.caller != nil {
		attrs = append(attrs, slog.String("credential", in.caller.Token))
	}
	s.Logger.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
}

// requestID takes the client's X-Request-ID (AuthZEN section 10.1.3 wants it
// echoed) when it is short and plain, so that it can't forge a line of the log.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-ID")
	plain := strings.IndexFunc(id, func(c rune) bool {
		return !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("-_.:", c))
	}) < 0
	if id == "" || len(id) > 128 || !plain {
		return "req_" + rand.Text()
	}
	return id
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController find Flush and the deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// discard is a response nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
