package server

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An HTTPConfig says how clients find an HTTP gate, and how people sign in to it.
type HTTPConfig struct {
	Certificates []KeyPair     `yaml:"certificates" doc:"Certificates of the routes' hosts, beside or in place of tls. Each is shown for the names in it; changed files are taken over while running."`
	ACME         *ACMEConfig   `yaml:"acme" doc:"Who issues certificates for hosts that none of the certificates covers."`
	Redirect     string        `yaml:"redirect" doc:"Address of a plain listener that sends browsers to https and answers ACME's HTTP-01. Unset: there is none."`
	HSTS         time.Duration `yaml:"hsts" default:"8760h" doc:"How long browsers are told to come by https alone (Strict-Transport-Security). Negative: nothing is said."`
	SignIn       string        `yaml:"sign_in" doc:"Name of the issuer that people sign in through, where a route lets people in. Unset: the only one. Its client needs https://HOST/.assent/callback of each host as redirect address."`
	Public       string        `yaml:"public_port" doc:"Port that browsers use, where it is neither the listener's nor the scheme's own."`
	Wait         time.Duration `yaml:"wait" doc:"How long a request is kept waiting for people before it is told to come again." default:"50s"`
}

// An ACMEConfig names an authority (RFC 8555).
type ACMEConfig struct {
	Directory string `yaml:"directory" doc:"Address of the authority's directory. By naming it you agree to its terms." default:"https://acme-v02.api.letsencrypt.org/directory"`
	Email     string `yaml:"email" doc:"Where the authority writes to when a certificate is about to end."`
	CA        string `yaml:"ca" doc:"Certificate authorities that may sign the directory's own certificate (PEM). Unset: the system's."`
}

// A WebRouteConfig is one application behind an HTTP gate, or a part of one.
type WebRouteConfig struct {
	Name      string            `yaml:"name" doc:"Short name; the resource is http:GATE/NAME."`
	Host      string            `yaml:"host" doc:"Host that clients ask for, with a port where it isn't the listener's or the scheme's own."`
	Path      string            `yaml:"path" doc:"Prefix of the paths it takes, in whole segments. The longest wins." default:"/"`
	Upstreams []string          `yaml:"upstreams" doc:"Addresses of the application: https://HOST:PORT, or http on loopback. Of several the one with the least to do is asked."`
	CA        string            `yaml:"ca" doc:"Certificate authorities that may sign the upstreams' certificates (PEM). Unset: the system's."`
	Via       string            `yaml:"via" doc:"System that connectors serve, through which alone all of upstreams is reached (docs/connectors.md). Their hosts are then the names in their certificates."`
	Protocol  string            `yaml:"protocol" doc:"h2c: HTTP/2 without TLS, for gRPC on loopback. http1: no HTTP/2. Unset: what the upstream offers."`
	Headers   map[string]Secret `yaml:"headers" doc:"Headers with the gate's own credential for the application, such as Authorization."`
	Mapping   string            `yaml:"mapping" doc:"File that says what requests do (docs/http-mapping.md). Unset: methods say it, and what they would change is unknown."`
	Methods   []string          `yaml:"methods" doc:"Methods that are taken. Unset: all but CONNECT and TRACE."`
	Strip     string            `yaml:"strip" doc:"Prefix taken off the path on its way."`
	Prepend   string            `yaml:"prepend" doc:"Prefix put before the path on its way."`
	KeepHost  bool              `yaml:"keep_host" doc:"The application hears the host that the client asked for."`
	People    bool              `yaml:"people" doc:"People may sign in with a browser."`
	Identity  *IdentityConfig   `yaml:"identity" doc:"Tells the application who asks, in a signed header."`
	Untrusted string            `yaml:"untrusted" doc:"Everything that it answers was written by others, and is what: web page, mail, issue."`
	Opaque    bool              `yaml:"opaque" doc:"Answers that can't be looked into (images, archives) pass; otherwise they are withheld where anything is masked."`
	Timeout   time.Duration     `yaml:"timeout" doc:"How long the application may take to begin its answer." default:"60s"`
	Body      int64             `yaml:"body" doc:"Longest body of a request, in bytes; also of one message of a WebSocket, where it is 1 MiB unless set." default:"1073741824"`
	Streams   []string          `yaml:"streams" doc:"gRPC methods, /package.Service/Method, whose requests have no end that could be waited for: they pass as they come, unseen by who approves them."`
	Health    *HealthConfig     `yaml:"health" doc:"How it is found out whether an upstream answers. Unset: it is taken to."`
}

// An IdentityConfig says what an application hears about who asks.
type IdentityConfig struct {
	Audience string `yaml:"audience" doc:"aud of the token: the application takes no other."`
	Groups   bool   `yaml:"groups" doc:"The person's groups are in it."`
}

// A HealthConfig is a check of upstreams.
type HealthConfig struct {
	Path    string        `yaml:"path" doc:"What is asked for, by GET, with the route's headers." default:"/"`
	Every   time.Duration `yaml:"every" doc:"How often." default:"10s"`
	Timeout time.Duration `yaml:"timeout" doc:"How long an answer may take." default:"3s"`
	Status  int           `yaml:"status" doc:"Status that means that it is there. Unset: any of 200 to 399."`
}

func (g *GateConfig) fillHTTP() {
	if g.Type != "http" {
		return
	}
	if g.HTTP.HSTS == 0 {
		g.HTTP.HSTS = 365 * 24 * time.Hour
	}
	if a := g.HTTP.ACME; a != nil && a.Directory == "" {
		a.Directory = "https://acme-v02.api.letsencrypt.org/directory"
	}
	for i := range g.Routes {
		r := &g.Routes[i]
		if r.Path == "" {
			r.Path = "/"
		}
		if r.Timeout == 0 {
			r.Timeout = time.Minute
		}
		if h := r.Health; h != nil && h.Path == "" {
			h.Path = "/"
		}
	}
}

// secure says that clients reach the gate by TLS.
func (g *GateConfig) secure() bool {
	return g.TLS != nil || len(g.HTTP.Certificates) > 0 || g.HTTP.ACME != nil
}

func (k *checker) httpGate(at string, g *GateConfig) {
	k.noActors(at, g)
	if len(g.Routes) == 0 {
		k.fail(at+".routes", "is missing", "name at least one route, with name:, host: and upstreams:")
	}
	h := &g.HTTP
	for i := range h.Certificates {
		if h.Certificates[i].Cert == "" || h.Certificates[i].Key == "" {
			k.fail(fmt.Sprintf("%s.http.certificates[%d]", at, i), "needs both cert and key", "name two files in PEM form")
		}
	}
	if h.ACME != nil {
		if u, err := url.Parse(h.ACME.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
			k.fail(at+".http.acme.directory", "is not the address of a directory", "for example https://acme-v02.api.letsencrypt.org/directory")
		}
	}
	if h.Redirect != "" {
		if _, _, err := net.SplitHostPort(h.Redirect); err != nil {
			k.fail(at+".http.redirect", fmt.Sprintf("%q is not host:port", h.Redirect), "for example 0.0.0.0:80")
		}
		if !g.secure() {
			k.fail(at+".http.redirect", "there is no https to send anybody to", "give the gate a certificate, or leave it out")
		}
	}
	names, places := map[string]bool{}, map[string]string{}
	for i := range g.Routes {
		k.route(fmt.Sprintf("%s.routes[%d]", at, i), &g.Routes[i], names, places)
	}
}

// routeHost is a name, or an address, with or without a port.
var routeHost = regexp.MustCompile(`^([a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?$`)

// route checks one route. names and places are those of the routes before it.
func (k *checker) route(at string, r *WebRouteConfig, names map[string]bool, places map[string]string) {
	if !name.MatchString(r.Name) || names[r.Name] {
		k.fail(at+".name", fmt.Sprintf("%q is not a short name of its own", r.Name), "use lower-case letters, digits, '.', '_' and '-', and another name for each")
	}
	names[r.Name] = true
	if !routeHost.MatchString(r.Host) {
		k.fail(at+".host", fmt.Sprintf("%q is not a host", r.Host), "write it in small letters, without a scheme; each host has its own route")
	}
	for key, path := range map[string]string{"path": r.Path, "strip": r.Strip, "prepend": r.Prepend} {
		if path != "" && !plainPath(path) || key == "path" && path == "" {
			k.fail(at+"."+key, fmt.Sprintf("%q is not a plain path", path), "begin with '/', and use letters, digits, '-', '_', '.', '~' in whole segments")
		}
	}
	if other, taken := places[r.Host+" "+strings.TrimSuffix(r.Path, "/")]; taken {
		k.fail(at+".path", "route "+other+" has the same host and path", "give each route its own")
	}
	places[r.Host+" "+strings.TrimSuffix(r.Path, "/")] = r.Name
	k.upstreams(at, r)
	for name := range r.Headers {
		if !headerName(name) || strings.HasPrefix(strings.ToLower(name), "x-assent-") {
			k.fail(at+".headers."+name, "is not a header that may be set", "for example Authorization or X-Api-Key")
		}
	}
	k.secrets(at+".headers", r.Headers)
	for _, m := range r.Methods {
		if m != strings.ToUpper(m) || m == "" || m == http.MethodConnect || m == http.MethodTrace {
			k.fail(at+".methods", fmt.Sprintf("%q is not a method that may pass", m), "write it in capitals: GET, POST")
		}
	}
	for _, m := range r.Streams {
		if parts := strings.Split(m, "/"); len(parts) != 3 || parts[0] != "" || parts[1] == "" || parts[2] == "" {
			k.fail(at+".streams", fmt.Sprintf("%q is no method of gRPC", m), "write /package.Service/Method")
		}
	}
	if r.Identity != nil && r.Identity.Audience == "" {
		k.fail(at+".identity.audience", "is missing", "say for whom the token is; the application takes no other")
	}
	if h := r.Health; h != nil && (!plainPath(h.Path) || h.Every < 0 || h.Timeout < 0 || h.Status != 0 && (h.Status < 100 || h.Status > 599)) {
		k.fail(at+".health", "can't be asked for", "path: begins with '/', status: is one of HTTP, and times are not negative")
	}
	if r.Body < 0 || r.Timeout < 0 {
		k.fail(at, "body or timeout is negative", "leave it out for the default")
	}
}

func (k *checker) upstreams(at string, r *WebRouteConfig) {
	if len(r.Upstreams) == 0 {
		k.fail(at+".upstreams", "is missing", "name at least one, for example https://10.0.0.5:8443")
	}
	scheme := ""
	for i, text := range r.Upstreams {
		at := fmt.Sprintf("%s.upstreams[%d]", at, i)
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
			k.fail(at, "is not an address", "scheme, host and port, for example https://10.0.0.5:8443; a path belongs in prepend:")
		case u.User != nil:
			k.fail(at, "holds a credential", "credentials belong in headers:")
		case u.Scheme == "http" && !isLoopback(u.Hostname()):
			k.fail(at, "is not encrypted", "use https beyond loopback: what the gate sends holds its credential")
		case scheme != "" && scheme != u.Scheme:
			k.fail(at, "has another scheme than the first", "one route is http or https")
		case r.Protocol == "h2c" && u.Scheme != "http":
			k.fail(at, "is not plain, and h2c is", "leave protocol: out: https upstreams speak HTTP/2 by themselves")
		}
		if u != nil {
			scheme = u.Scheme
		}
	}
	if !slices.Contains([]string{"", "h2c", "http1"}, r.Protocol) {
		k.fail(at+".protocol", fmt.Sprintf("%q", r.Protocol), "write h2c or http1, or leave it out")
	}
}

// signsIn checks that people can sign in where a route lets them.
func (k *checker) signsIn(c *Config) {
	for i := range c.Gates {
		g := &c.Gates[i]
		at := fmt.Sprintf("$.gates[%d]", i)
		people := slices.ContainsFunc(g.Routes, func(r WebRouteConfig) bool { return r.People })
		if g.Type != "http" || !people && g.HTTP.SignIn == "" {
			continue
		}
		if _, ok := c.signsInBy(g); !ok {
			what, remedy := "names no issuer that people can sign in through", "name one of issuers:"
			if g.HTTP.SignIn == "" {
				what, remedy = "is not set, and there isn't exactly one issuer that people of a route with people: true could sign in through", "name one of issuers:, or take people: true out to let in agents alone"
			}
			k.fail(at+".http.sign_in", what, remedy)
		}
	}
}

// signsInBy is the issuer of a gate.
func (c *Config) signsInBy(g *GateConfig) (string, bool) {
	if g.HTTP.SignIn == "" && len(c.Issuers) == 1 {
		return c.Issuers[0].Name, true
	}
	return g.HTTP.SignIn, slices.ContainsFunc(c.Issuers, func(i IssuerConfig) bool { return i.Name == g.HTTP.SignIn })
}

func hostPort(s string) (host, port string) {
	if h, p, err := net.SplitHostPort(s); err == nil {
		return h, p
	}
	return s, ""
}

// plainPath says that nobody can read a path in two ways.
func plainPath(p string) bool {
	if !strings.HasPrefix(p, "/") || strings.Contains(p, "//") {
		return false
	}
	for seg := range strings.SplitSeq(p, "/") {
		if seg == "." || seg == ".." {
			return false
		}
	}
	return strings.Trim(strings.ToLower(p), "abcdefghijklmnopqrstuvwxyz0123456789-_.~/") == ""
}
