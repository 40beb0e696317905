package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/identity"
)

// wellKnown is where a client finds out who issues tokens (RFC 9728).
const wellKnown = "/.well-known/oauth-protected-resource"

// A caller is who sent a request.
type caller struct {
	session    gate.Session
	credential string
	release    func()
}

// route finds the server of a path.
func (g *Gate) route(path string) *Server {
	name, below := strings.CutPrefix(path, "/mcp/")
	switch {
	case below:
		return g.server(name)
	case path == "/mcp" && len(g.servers) == 1:
		return g.servers[0]
	case path == "/mcp":
		return g.joined
	}
	return nil
}

// stranger says why a browser of somebody else's page, or a name that was
// rebound to this address, is refused.
func (g *Gate) stranger(r *http.Request) string {
	host := hostOf(r.Host)
	if !g.mine(host) {
		return "this host name is not served here"
	}
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(g.o.Origins, origin) {
		return ""
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && hostOf(u.Host) == host {
		return ""
	}
	return "requests from this origin are not served"
}

func (g *Gate) mine(host string) bool {
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return true
	}
	if u, err := url.Parse(g.o.Resource); err == nil && u.Host != "" && hostOf(u.Host) == host {
		return true
	}
	return slices.Contains(g.o.Hosts, host)
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		hostport = host
	}
	return strings.ToLower(strings.Trim(hostport, "[]"))
}

// admit checks the bearer token. It answers who does not come in.
func (g *Gate) admit(w http.ResponseWriter, r *http.Request) (*caller, bool) {
	for name := range r.URL.Query() {
		if strings.Contains(strings.ToLower(name), "token") {
			g.challenge(w, r, http.StatusBadRequest, "invalid_request", "tokens belong in the Authorization header: an address ends up in logs")
			return nil, false
		}
	}
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") || len(r.Header.Values("Authorization")) > 1 {
		token = ""
	}
	token = strings.TrimSpace(token)
	if token == "" && len(identity.Certificates(r.Context())) == 0 {
		g.challenge(w, r, http.StatusUnauthorized, "", "")
		return nil, false
	}
	from := gate.Peer{Gate: g.name, Address: r.RemoteAddr, Client: clip(r.UserAgent(), 100)}
	token, err := g.exchange(r.Context(), token, g.resource(r))
	var in caller
	if err == nil {
		in.session, in.credential, in.release, err = g.sessions.Open(r.Context(), token, from, "")
	}
	var d *gate.Denied
	switch {
	case err == nil:
		return &in, true
	case errors.As(err, &d): // frozen
		http.Error(w, sentence(d), http.StatusForbidden)
	case errors.Is(err, identity.ErrBadToken):
		g.o.Refused(r.Context(), from, "a token that is not valid")
		g.challenge(w, r, http.StatusUnauthorized, "invalid_token", "the token is not valid here; it may have expired")
	default:
		g.log.Warn("nobody could say who asks", "gate", g.name, "err", err)
		g.o.Refused(r.Context(), from, "a token that could not be checked")
		g.challenge(w, r, http.StatusUnauthorized, "invalid_token", "the token can't be taken")
	}
	return nil, false
}

func (g *Gate) challenge(w http.ResponseWriter, r *http.Request, code int, problem, text string) {
	u := g.resource(r)
	if p, err := url.Parse(u); err == nil {
		p.Path = wellKnown + p.Path
		u = p.String()
	}
	head := `Bearer realm="assent", resource_metadata="` + u + `"`
	if problem != "" {
		head += `, error="` + problem + `", error_description="` + text + `"`
	}
	w.Header().Set("WWW-Authenticate", head)
	http.Error(w, orElse(text, "a bearer token is needed: send Authorization: Bearer ast_…, which assent token mint --actor NAME makes"), code)
}

// resource is how tokens name what a request is for.
func (g *Gate) resource(r *http.Request) string {
	path := strings.TrimPrefix(r.URL.Path, wellKnown)
	if g.o.Resource != "" {
		base := strings.TrimSuffix(g.o.Resource, "/")
		if rest, is := strings.CutPrefix(path, "/mcp/"); is && g.server(rest) != nil {
			return base + "/" + rest
		}
		return base
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if path == "" {
		path = "/mcp"
	}
	return (&url.URL{Scheme: scheme, Host: r.Host, Path: path}).String()
}

func (g *Gate) describeResource(w http.ResponseWriter, r *http.Request, path string) {
	if path != "" && path != "/mcp" && g.route(path) == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"resource": g.resource(r), "authorization_servers": g.o.Authorization, "bearer_methods_supported": []string{"header"},
		"scopes_supported": []string{identity.ScopeAct}, "resource_name": "Assent, gate " + g.name,
	})
}

// foreignToken is what a token of another issuer was exchanged for.
type foreignToken struct {
	token   string
	expires time.Time
}

// exchange returns one of our own tokens for what was presented.
func (g *Gate) exchange(ctx context.Context, token, resource string) (string, error) {
	if g.o.Exchange == nil || strings.Count(token, ".") != 2 {
		return token, nil
	}
	sum := sha256.Sum256([]byte(token + "\n" + resource))
	g.mu.Lock()
	have := g.foreign[sum]
	g.mu.Unlock()
	if time.Now().Before(have.expires) {
		return have.token, nil
	}
	ours, expires, err := g.o.Exchange(ctx, token, resource)
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, t := range g.foreign {
		if len(g.foreign) > 1000 || !time.Now().Before(t.expires) {
			delete(g.foreign, k)
		}
	}
	g.foreign[sum] = foreignToken{ours, expires}
	return ours, nil
}

// whoOf is the one that a session is for, from what it fills in itself.
func whoOf(s gate.Session) Who {
	var a action.Action
	s.Describe(&a)
	var who Who
	_, who.Person, _ = strings.Cut(a.Subject, ":")
	if len(a.Actors) > 0 {
		_, who.Actor, _ = strings.Cut(a.Actors[0].ID, ":")
	}
	return who
}
