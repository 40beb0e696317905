package proxy

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/bodies"
	classify "github.com/assenthq/assent/internal/classify/http"
	"github.com/assenthq/assent/internal/passport"
	"github.com/assenthq/assent/internal/session"
	"golang.org/x/net/http/httpguts"
)

// Config is a gate's. Name, Authority, Routes, Bodies and Log are needed.
type Config struct {
	Name      string
	Authority gate.Authority
	Routes    []*Route
	Port      string // of the listener
	Secure    bool   // browsers reach the gate by https
	TLS       *tls.Config
	HSTS      string // the header's value; "": none is sent
	People    *People
	Passport  *passport.Signer
	// Groups are those of a subject, as its credential counts for them.
	Groups func(ctx context.Context, subject, credential string) []string
	// Find looks into what passes in a WebSocket: findings by class. nil: nothing is found.
	Find    func(text []byte) map[string]int64
	Wait    time.Duration
	Bodies  *bodies.Store
	Refused func(ctx context.Context, from gate.Peer, detail string)
	Log     *slog.Logger
}

// A Gate is one listener and what is behind it.
type Gate struct {
	o            Config
	routes       routes
	cookie, flow string
	http         *httpgate.Gate
}

// New returns a gate.
func New(o Config) (*Gate, error) {
	if len(o.Routes) == 0 {
		return nil, errors.New("a gate without routes")
	}
	if o.Groups == nil {
		o.Groups = func(context.Context, string, string) []string { return nil }
	}
	g := &Gate{o: o, routes: newRoutes(o.Routes), cookie: "__Host-assent-" + o.Name}
	if !o.Secure { // loopback: browsers keep no cookie of that prefix there, and cookies ignore ports
		g.cookie = "assent-" + o.Name + "-" + o.Port
	}
	g.flow = g.cookie + "-flow"
	for _, r := range o.Routes {
		r.urn = "http:" + o.Name + "/" + r.Name
	}
	var err error
	g.http, err = httpgate.New(httpgate.Config{
		Name: o.Name, Authority: o.Authority, Protocol: g, TLS: o.TLS, H2C: !o.Secure, Own: g.first, Wait: o.Wait, Bodies: o.Bodies, Refused: o.Refused, Log: o.Log,
	})
	return g, err
}

// Serve serves l and looks after the upstreams until ctx ends.
func (g *Gate) Serve(ctx context.Context, l net.Listener) error {
	if at, is := l.Addr().(*net.TCPAddr); is && g.o.Port == "0" {
		g.o.Port = strconv.Itoa(at.Port)
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	for _, r := range g.o.Routes {
		work.Go(func() { r.pool.run(ctx) })
	}
	return g.http.Serve(ctx, l)
}

// ServeHTTP takes one request.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.http.ServeHTTP(w, r) }

// State is why routes have no upstream to ask, by their names; nil where there is one.
func (g *Gate) State() map[string]error {
	out := map[string]error{}
	for _, r := range g.o.Routes {
		out[r.Name] = r.pool.state()
	}
	return out
}

// first sees each request before anybody is asked who they are.
func (g *Gate) first(w http.ResponseWriter, r *http.Request) bool {
	if g.o.HSTS != "" {
		w.Header().Set("Strict-Transport-Security", g.o.HSTS)
	}
	if g.routes.host(r.Host, g.o.Port) == nil {
		if g.o.Refused != nil {
			g.o.Refused(r.Context(), gate.Peer{Gate: g.o.Name, Address: r.RemoteAddr}, "a host that has no route")
		}
		httpgate.Problem(w, http.StatusMisdirectedRequest, &gate.Denied{Status: gate.StatusDenied, Reason: "no route has this host", Hint: "ask for a host of the gate's configuration"})
		return true
	}
	return g.own(w, r)
}

// Caller says who asks: by a token of ours, by the session of this host, or by the
// connection's certificate. An Authorization header of somebody who came in by one of
// the latter is the application's own, and goes on.
func (g *Gate) Caller(r *http.Request) (httpgate.Caller, error) {
	cookies := withoutOurs(r.Header, g.cookie)
	name := r.Header.Get("X-Assent-Session")
	all := r.Header.Values("Authorization")
	if len(all) > 1 {
		return httpgate.Caller{}, errors.New("two Authorization headers")
	}
	token := ""
	if len(all) == 1 {
		if token = tokenIn(all[0]); strings.HasPrefix(token, "ast_") {
			r.Header.Del("Authorization")
			return httpgate.Caller{Bearer: token, Session: name}, nil
		}
	}
	rt := route(g.routes.host(r.Host, g.o.Port), r.URL)
	if rt != nil && rt.People {
		switch s, err := g.signedIn(r, cookies); {
		case err == nil:
			return httpgate.Caller{Proved: gate.Verifier{Credential: session.CredentialPrefix + s.ID, Proved: true}}, nil
		case !errors.Is(err, errNobody):
			return httpgate.Caller{}, err
		}
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return httpgate.Caller{Session: name}, nil
	}
	r.Header.Del("Authorization") // it was shown to us, whoever it is for
	if token != "" {
		return httpgate.Caller{Bearer: token, Session: name}, nil
	}
	return httpgate.Caller{}, httpgate.ErrNoCredential
}

// tokenIn is what may be a token of ours in an Authorization header: Bearer, or Basic
// with the token as password, for tools that know nothing else. "": it holds none.
func tokenIn(header string) string {
	scheme, rest, _ := strings.Cut(header, " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "bearer":
	case "basic":
		b, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return ""
		}
		_, rest, _ = strings.Cut(string(b), ":")
	default:
		return ""
	}
	return rest
}

// What a request is refused with that no route takes.
var (
	noRoute    = &gate.Denied{Status: gate.StatusDenied, Reason: "no route has this path", Hint: "ask for a path of the gate's configuration, written plainly"}
	noMethod   = &gate.Denied{Status: gate.StatusDenied, Reason: "the route does not take this method"}
	noUpstream = &gate.Denied{Status: gate.StatusUnreachable, Reason: "no upstream of the route answers; nothing was sent", Hint: "try again later; an operator can look: assent doctor"}
	crossSite  = &gate.Denied{Status: gate.StatusDenied, Reason: "another site's page made this request, or the browser does not say which did", Hint: "open the application itself and do it there"}
)

// statusOf are the HTTP statuses of refusals that have one of their own.
func statusOf(status int, d *gate.Denied) int {
	switch {
	case d == noRoute:
		return http.StatusNotFound
	case d == noMethod:
		return http.StatusMethodNotAllowed
	case d.Status == gate.StatusUnreachable:
		return http.StatusServiceUnavailable
	}
	return status
}

// Describe says what a request does and where it goes.
func (g *Gate) Describe(_ context.Context, x *httpgate.Exchange) (*httpgate.Call, error) {
	r := x.Request
	rt := route(g.routes.host(r.Host, g.o.Port), r.URL)
	switch {
	case rt == nil || !strings.HasPrefix(r.URL.Path, "/"):
		return nil, noRoute
	case len(rt.Methods) > 0 && !slices.Contains(rt.Methods, r.Method), r.Method == http.MethodTrace, r.Method == http.MethodConnect:
		return nil, noMethod
	}
	if err := rt.bound(x); err != nil {
		return nil, err
	}
	path := rt.pathFor(r.URL)
	j, err := rt.judge(x, path)
	if err != nil {
		return nil, err
	}
	socket := httpgate.WantsSocket(x.Came)
	if person := strings.HasPrefix(x.Credential, session.CredentialPrefix); person {
		if !rt.People {
			return nil, noRoute
		}
		if (!safe(r.Method) || socket || !reads(j.Kinds)) && !g.sameOrigin(r) {
			return nil, crossSite
		}
	}
	if rt.pool.state() != nil {
		return nil, noUpstream
	}
	call := &httpgate.Call{
		Actions:  []*action.Action{g.action(rt, r, &j)},
		Upstream: httpgate.Upstream{URL: rt.Upstreams[0], Transport: rt.pool, Path: path},
		Traced:   true,
		Out:      func(ctx context.Context, out *http.Request) error { return g.out(ctx, rt, x, out) },
		Reply:    httpgate.Reply{Opaque: rt.Opaque, Untrusted: rt.Untrusted},
		Loose:    loose,
	}
	if rt.KeepHost {
		call.Upstream.Host = r.Host
	}
	if j.Untrusted != "" {
		call.Reply.Untrusted = j.Untrusted
	}
	if isGRPC(r) {
		call.Live = slices.Contains(rt.Streams, r.URL.Path) || strings.HasPrefix(r.URL.Path, "/grpc.reflection.")
		call.Reply.Body = (&grpcReply{opaque: rt.Opaque}).mask
	}
	if socket {
		a := call.Actions[0]
		a.Data.Unscanned = true                                       // nobody knows yet what will be said
		if j.Row == "" && !slices.Contains(a.Kinds, action.Unknown) { // a GET reads; what is said in it may do anything
			a.Kinds, a.Routine, a.Reversible = append(slices.Clone(a.Kinds), action.Unknown), false, false
		}
		call.Take = func(ctx context.Context, w http.ResponseWriter, x *httpgate.Exchange, p gate.Permit) gate.Outcome {
			return g.socket(ctx, w, x, rt, call, p)
		}
	}
	return call, nil
}

// loose are headers of browsers that say how a page came to be asked for: after an
// approval it is asked for in another way.
var loose = []string{
	"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform",
	"Cache-Control", "Pragma", "Priority", "Referer", "Upgrade-Insecure-Requests", "Sec-Websocket-Key",
}

// bound holds a body to its route's limit.
func (r *Route) bound(x *httpgate.Exchange) error {
	if r.MaxBody <= 0 || x.Body.Length() == 0 {
		return nil
	}
	if x.Body.Length() > r.MaxBody {
		return bodies.ErrTooLarge
	}
	if x.Body.Length() < 0 {
		x.Body.Wrap(r.short, -1)
	}
	return nil
}

// action is what a request asks for.
func (g *Gate) action(rt *Route, r *http.Request, j *classify.Result) *action.Action {
	return &action.Action{
		Kinds: j.Kinds, Verb: j.Verb, Target: j.Target, Title: j.Title, Reversible: j.Reversible, Routine: j.Routine, Data: j.Data,
		Resource: action.Resource{URN: rt.urn},
		State:    map[string]string{"host": strings.ToLower(r.Host)},
	}
}

// out is the last change of what goes on.
func (g *Gate) out(ctx context.Context, rt *Route, x *httpgate.Exchange, out *http.Request) error {
	h := out.Header
	from, _, err := net.SplitHostPort(x.Request.RemoteAddr)
	if err == nil {
		h.Set("X-Forwarded-For", from)
	}
	h.Set("X-Forwarded-Host", x.Request.Host)
	h.Set("X-Forwarded-Proto", "http")
	if g.o.Secure {
		h.Set("X-Forwarded-Proto", "https")
	}
	if isGRPC(x.Request) {
		h.Set("Te", "trailers")
		h.Set("Grpc-Accept-Encoding", "identity") // what is compressed can't be masked
		h.Set("Accept-Encoding", "identity")      // nor a part, by whom gRPC is nothing
		h.Del("Range")
		h.Del("If-Range")
	}
	if rt.Audience != "" {
		token, err := g.identity(ctx, rt, x)
		if err != nil {
			return err
		}
		h.Set(passport.Header, token)
	}
	if rt.Headers == nil {
		return nil
	}
	own, err := rt.Headers(ctx)
	if err != nil {
		return err
	}
	for name, values := range own {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return errors.New("the credential of header " + name + " has a character that no header may have")
			}
		}
		h[http.CanonicalHeaderKey(name)] = values
	}
	return nil
}

// identity is the token that tells the upstream who asks.
func (g *Gate) identity(ctx context.Context, rt *Route, x *httpgate.Exchange) (string, error) {
	var who action.Action
	x.Session.Describe(&who)
	c := passport.Claims{Audience: rt.Audience, Subject: who.Subject}
	for _, l := range who.Actors {
		c.Actors = append(c.Actors, l.ID)
	}
	if n := len(c.Actors); n > 0 && (c.Subject == "" || c.Subject == c.Actors[n-1]) { // nobody stands behind the last
		c.Subject, c.Actors = c.Actors[n-1], c.Actors[:n-1]
	}
	if rt.Groups {
		c.Groups = g.o.Groups(ctx, who.Subject, x.Credential)
	}
	return g.o.Passport.Sign(c)
}

// Refuse answers in the form that the client understands: a page in a browser, a
// status of gRPC, a problem document.
func (g *Gate) Refuse(w http.ResponseWriter, r *http.Request, status int, d *gate.Denied) {
	status = statusOf(status, d)
	rt := route(g.routes.host(r.Host, g.o.Port), r.URL)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "10")
	}
	if d == noMethod && rt != nil {
		w.Header().Set("Allow", strings.Join(rt.Methods, ", "))
	}
	switch {
	case isGRPC(r):
		refuseGRPC(w, status, d)
	case status == http.StatusUnauthorized && rt != nil && rt.People && g.o.People != nil && navigates(r):
		g.begin(w, r, r.URL.RequestURI())
	case navigates(r):
		g.page(w, r, status, page{Title: httpgate.Title(d), Text: d.Reason + ".", Hint: d.Hint, Link: d.URL})
	default:
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		httpgate.Problem(w, status, d)
	}
}

// An UpstreamState is one upstream, for metrics.
type UpstreamState struct {
	Route, Address string
	Err            func() error // why it isn't asked; nil: it answers
}

// Upstreams are all upstreams of all routes.
func (g *Gate) Upstreams() (out []UpstreamState) {
	for _, r := range g.o.Routes {
		for _, u := range r.pool.ups {
			out = append(out, UpstreamState{Route: r.Name, Address: u.url.Host, Err: u.sick})
		}
	}
	return out
}
