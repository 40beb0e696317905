// Package proxy is the gate before web applications and APIs: an identity-aware
// reverse proxy. It knows who comes, by token, certificate or a sign-in of its own
// in a browser, says it to the upstream in a signed header, and has each request
// decided before it goes on.
//
// It promises that nothing reaches an upstream but what a route names, that no
// credential or cookie of ours goes there, that what comes back leads nowhere else,
// and that a browser is let in by the session of this gate and this host alone. It
// refuses hosts, paths and methods that no route has.
//
// It can't see what a request means to the application beyond its route's mapping,
// nor what passes inside a connection that the mapping or the route calls opaque.
package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	classify "github.com/assenthq/assent/internal/classify/http"
)

// Own is where the gate's own pages are, on each host: never an upstream's.
const Own = "/.assent/"

// A Route is one application, or a part of one.
type Route struct {
	Name      string
	Host      string     // "billing.example.com", with a port where it isn't the listener's or the scheme's
	Path      string     // prefix, whole segments: "/", "/api"
	Upstreams []*url.URL // scheme and host; a path belongs in Prepend
	Transport http.RoundTripper
	TLS       *tls.Config // towards upstreams, for what is dialled without Transport; nil: as the system has it
	// Dial opens connections that Transport doesn't, those of WebSockets; nil: net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Headers hold the real credential, read anew for each request; nil: there is none.
	Headers func(ctx context.Context) (http.Header, error)

	Strip, Prepend string   // of the path, on its way
	KeepHost       bool     // the upstream hears the host that the client asked for
	Methods        []string // nil: all
	MaxBody        int64    // 0: the gate's
	Timeout        time.Duration
	Health         *Health // nil: upstreams are taken to be there

	Untrusted string // everything it answers was written by others, and is what
	Opaque    bool   // bodies aren't read, either way
	People    bool   // people may sign in

	Audience string // of the identity header; "": none is sent
	Groups   bool   // and the subject's groups in it

	Mapping *classify.Mapping // nil: methods say what is done
	Streams []string          // methods of gRPC whose requests have no end that could be waited for

	pool *pool
	urn  string
}

// Health says how it is found out whether an upstream answers.
type Health struct {
	Path    string
	Every   time.Duration
	Timeout time.Duration
	Status  int // 0: any of 200 to 399
}

// routes are all routes of a gate, by host; of one host the longest path first.
type routes map[string][]*Route

func newRoutes(all []*Route) routes {
	out := routes{}
	for _, r := range all {
		r.pool = newPool(r)
		host := strings.ToLower(r.Host)
		out[host] = append(out[host], r)
	}
	for _, of := range out {
		slices.SortStableFunc(of, func(a, b *Route) int { return len(b.Path) - len(a.Path) })
	}
	return out
}

// host finds the routes of what a request names as its host. A port counts where a
// route has one; otherwise it must be the scheme's own or port, the listener's.
func (t routes) host(name, port string) []*Route {
	name = strings.ToLower(name)
	if found := t[name]; found != nil {
		return found
	}
	bare, said, has := strings.Cut(name, ":")
	if !has || said != port && said != "443" && said != "80" {
		return nil
	}
	return t[bare]
}

// path finds the route of a path. The path as it is written and as it is meant must
// lead to the same one: what strips or compares it elsewhere may read it either way.
func route(of []*Route, u *url.URL) *Route {
	written, meant := longest(of, u.EscapedPath()), longest(of, u.Path)
	if written != meant {
		return nil
	}
	return meant
}

func longest(of []*Route, path string) *Route {
	for _, r := range of {
		if within(path, r.Path) {
			return r
		}
	}
	return nil
}

// within says that path is prefix or lies below it.
func within(path, prefix string) bool {
	rest, is := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return is && (rest == "" || strings.HasPrefix(rest, "/"))
}

// back is the path that a client would ask for to reach path at the upstream.
func (r *Route) back(path string) (string, bool) {
	if p := strings.TrimSuffix(r.Prepend, "/"); p != "" {
		if !within(path, p) {
			return "", false
		}
		path = strings.TrimPrefix(path, p)
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return strings.TrimSuffix(r.Strip, "/") + path, true
}
