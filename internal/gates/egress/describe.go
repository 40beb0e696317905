package egress

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	classify "github.com/assenthq/assent/internal/classify/http"
	"github.com/assenthq/assent/internal/webwire"
)

const headProxyAuth = "Proxy-Authorization"

// protocol is what is this gate's own of HTTP.
type protocol struct{ g *Gate }

// Caller takes the credential of a proxy: the tunnel's, or the request's own. Nothing else
// counts: an Authorization header is for the host.
func (p protocol) Caller(r *http.Request) (httpgate.Caller, error) {
	c := httpgate.Caller{Session: r.Header.Get("Assent-Session")}
	r.Header.Del("Assent-Session")
	if t := within(r); t != nil {
		c.Bearer = t.bearer
		return c, nil
	}
	if len(r.Header[headProxyAuth]) > 1 {
		return c, errors.New("two credentials for the proxy")
	}
	c.Bearer = bearer(r)
	delete(r.Header, headProxyAuth)
	if c.Bearer == "" {
		return c, httpgate.ErrNoCredential
	}
	return c, nil
}

// bearer is the token of a Proxy-Authorization header: a Bearer, or the password of a Basic one,
// which is what the variables of tools make of http://user:token@proxy.
func bearer(r *http.Request) string {
	scheme, value, _ := strings.Cut(r.Header.Get(headProxyAuth), " ")
	value = strings.TrimSpace(value)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return value
	case strings.EqualFold(scheme, "Basic"):
		pair, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return ""
		}
		_, token, _ := strings.Cut(string(pair), ":")
		return token
	}
	return ""
}

// Describe says what a request does.
func (p protocol) Describe(_ context.Context, x *httpgate.Exchange) (*httpgate.Call, error) {
	r, t := x.Request, within(x.Request)
	switch {
	case r.Method == http.MethodConnect && t != nil:
		return nil, errors.New("a CONNECT inside a tunnel")
	case r.Method == http.MethodConnect:
		return p.g.connect(x)
	case r.Method == http.MethodTrace:
		return nil, &gate.Denied{Status: gate.StatusDenied, Reason: "TRACE would show what is not the agent's to see"}
	case t != nil:
		return p.inside(x, t)
	}
	return p.plain(x)
}

// inside describes a request that came through a tunnel.
func (p protocol) inside(x *httpgate.Exchange, t *tunnel) (*httpgate.Call, error) {
	r := x.Request
	if !strings.HasPrefix(r.RequestURI, "/") {
		return nil, errors.New("an address in place of a path, inside a tunnel")
	}
	name, _, port, err := target(r.Host, 443)
	if err != nil {
		return nil, err
	}
	if name != t.name || port != t.port {
		return nil, errors.New("a request for another host than the tunnel's")
	}
	return p.g.call(x, t.host, "https", name, port)
}

// plain describes a request for http:// to the proxy itself.
func (p protocol) plain(x *httpgate.Exchange) (*httpgate.Call, error) {
	r := x.Request
	if r.URL.Scheme != "http" || r.URL.Host == "" || r.URL.User != nil {
		return nil, errors.New("this is a proxy: it takes CONNECT and http:// addresses")
	}
	name, literal, port, err := target(r.URL.Host, 80)
	if err != nil {
		return nil, err
	}
	other, _, at, err := target(r.Host, 80)
	if err != nil || other != name || at != port {
		return nil, errors.New("an address and a Host that disagree")
	}
	h, err := p.g.judged(x, name, literal, port, true)
	if err != nil {
		return nil, err
	}
	if h.Blind {
		return nil, &gate.Denied{Status: gate.StatusDenied, Reason: name + " is reached by https only", Hint: "ask for https://" + name}
	}
	return p.g.call(x, h, "http", name, port)
}

// rules are which paths are taken. Servers read them in many ways, and which of them
// matters only where somebody judged by path: dot segments are never taken.
func (h *Host) rules() webwire.Rules {
	r := webwire.Rules{EncodedSlash: true, Params: true, QuerySemicolons: true, AnyBytes: true, RawText: true}
	if h.registry == "" && h.Map == nil {
		r.Backslash, r.EmptySegments, r.DoubleEncoding, r.Controls = true, true, true, true
	}
	return r
}

// call describes one request for a host.
func (g *Gate) call(x *httpgate.Exchange, h *Host, scheme, name string, port int) (*httpgate.Call, error) {
	r := x.Request
	if err := webwire.Target(r, h.rules()); err != nil {
		return nil, err
	}
	for _, v := range r.Header["Authorization"] {
		if bound(v) {
			return nil, &gate.Denied{Status: gate.StatusDenied, Reason: "NTLM and Negotiate sign in a connection, and the gate's are shared", Hint: "use another scheme of authentication"}
		}
	}
	if !h.allows(r.Method) {
		x.Session.Refused(r.Context(), "a method on no list")
		return nil, &gate.Denied{Status: gate.StatusDenied, Reason: r.Method + " is not a method that " + name + " may be asked by", Hint: "an administrator can add it to methods of the host"}
	}
	host := hostport(scheme, name, port)
	call := &httpgate.Call{
		Upstream: httpgate.Upstream{URL: &url.URL{Scheme: scheme, Host: host}, Host: r.Host, Transport: h.Upstream},
		Reply:    httpgate.Reply{Opaque: h.external(), Untrusted: h.wrote()},
	}
	path := r.URL.EscapedPath()
	a := g.action(r, h, host, path)
	if h.Map != nil {
		res, err := mapped(x, h, a, path)
		if err != nil {
			return nil, err
		}
		if res.Untrusted != "" {
			call.Reply.Untrusted = res.Untrusted
		}
	}
	if err := g.leaves(x, h, a, said(r, path)); err != nil {
		return nil, err
	}
	call.Actions = []*action.Action{a}
	if httpgate.WantsSocket(x.Came) {
		g.socket(call, h, a, scheme)
		return call, nil
	}
	if h.packages(r.Method, path, r.URL.RawQuery) && x.Body.Length() == 0 && len(a.Data.Classes) == 0 {
		a.Routine = true
		call.Reply.Body = asItIs
	}
	return call, nil
}

// reads says that a request asks for something and sends nothing.
func reads(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions) && r.ContentLength == 0
}

// action is what a request does, as far as its method and its target tell.
func (g *Gate) action(r *http.Request, h *Host, host, path string) *action.Action {
	a := &action.Action{
		Verb: strings.ToLower(r.Method), Target: host + path, Title: r.Method + " " + host,
		Shape: shape(r.Method, host, path, r.URL.Query()), Objects: []string{host + path},
		Resource: action.Resource{URN: "egress:" + g.o.Name + "/" + host},
		State:    map[string]string{"host": host},
	}
	a.Data.Destination, a.Data.DestinationTrust = host, Internal
	if h.external() {
		a.Data.DestinationTrust = External
	}
	switch {
	case reads(r) && h.external():
		a.Kinds, a.Routine, a.Reversible = []action.Kind{action.NetFetch}, h.Routine, true
	case reads(r):
		a.Kinds, a.Routine, a.Reversible = []action.Kind{action.DataRead}, h.Routine, true
	case h.external() && r.Method == http.MethodDelete:
		a.Kinds = []action.Kind{action.DataDelete, action.DataExport}
	case h.external():
		a.Kinds = []action.Kind{action.DataExport}
	case r.Method == http.MethodDelete:
		a.Kinds = []action.Kind{action.DataDelete}
	default:
		a.Kinds = []action.Kind{action.DataWrite}
	}
	return a
}

// mapped tells a what the host's mapping says of a request. What no row names is
// besides what its method and the host's trust make of it.
func mapped(x *httpgate.Exchange, h *Host, a *action.Action, path string) (classify.Result, error) {
	r := x.Request
	var body []byte
	if n := x.Body.Length(); n >= 0 && n <= httpgate.Small {
		var err error
		if body, err = x.Body.Whole(httpgate.Small); err != nil {
			return classify.Result{}, err
		}
	}
	res := h.Map.Classify(r.Method, path, r.URL.RawQuery, r.Header, body)
	if res.Refused != "" {
		return res, errors.New(res.Refused)
	}
	if res.Row == "" {
		a.Kinds = append(a.Kinds, res.Kinds...)
		slices.Sort(a.Kinds)
		a.Kinds = slices.Compact(a.Kinds)
		a.Routine = a.Routine && !slices.Contains(a.Kinds, action.Unknown)
		return res, nil
	}
	a.Kinds, a.Verb, a.Reversible, a.Routine = slices.Clone(res.Kinds), res.Verb, res.Reversible, res.Routine
	a.Title = a.Data.Destination + ": " + res.Title
	if res.Target != "" {
		a.Target = res.Target
	}
	if res.Resource != "" {
		a.Resource.URN = res.Resource
	}
	a.Data.Rows, a.Data.Classes, a.Data.Groups = res.Data.Rows, slices.Clone(res.Data.Classes), slices.Clone(res.Data.Groups)
	if res.Data.Destination != "" {
		a.Data.Destination, a.Data.DestinationTrust = res.Data.Destination, res.Data.DestinationTrust
	}
	return res, nil
}

// leaves looks for sensitive data in what goes to an external host besides what is an export
// anyway: in its target and its headers, and in its body where it is short. A body that was not
// looked into may hold anything.
func (g *Gate) leaves(x *httpgate.Exchange, h *Host, a *action.Action, said string) error {
	found := g.o.Classes(said)
	if len(found) > 0 {
		a.Data.Classes = append(a.Data.Classes, found...)
		slices.Sort(a.Data.Classes)
		a.Data.Classes = slices.Compact(a.Data.Classes)
		a.Routine = false
	}
	if !h.external() || slices.Contains(a.Kinds, action.DataExport) {
		return nil
	}
	out := len(found) > 0
	switch n := x.Body.Length(); {
	case n < 0 || n > httpgate.Small:
		out = true
	case n > 0:
		if err := x.Body.Keep(x.Request.Context()); err != nil {
			return err
		}
		classes, unscanned := x.Body.Found()
		out = out || len(classes) > 0 || unscanned
	}
	if out {
		a.Kinds, a.Routine = append(a.Kinds, action.DataExport), false
	}
	return nil
}

// said is what a request says outside of its body, without the credentials that it
// shows to its host.
func said(r *http.Request, path string) string {
	var b strings.Builder
	b.WriteString(path)
	b.WriteByte('\n')
	if plain, err := url.PathUnescape(path); err == nil && plain != path {
		b.WriteString(plain)
		b.WriteByte('\n')
	}
	if q := r.URL.RawQuery; q != "" {
		if plain, err := url.QueryUnescape(q); err == nil {
			b.WriteString(strings.ReplaceAll(plain, "&", "\n"))
		}
		b.WriteByte('\n')
		b.WriteString(q)
		b.WriteByte('\n')
	}
	for name, values := range r.Header {
		if credential(name) {
			continue
		}
		for _, v := range values {
			b.WriteString(name)
			b.WriteString(": ")
			b.WriteString(v)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// credential says that a header is where clients show who they are.
func credential(name string) bool {
	switch name {
	case "Authorization", "Cookie", "X-Api-Key", "Api-Key", "Private-Token", "X-Auth-Token", "X-Amz-Security-Token", "X-Goog-Api-Key", "X-Vault-Token", "Job-Token", "Deploy-Token":
		return true
	}
	return false
}

// shape is a request without what differs from one to the next: numbers and ids in
// its path, and the values of its query.
func shape(method, host, path string, query url.Values) string {
	var b strings.Builder
	b.WriteString("egress/1 " + method + " " + host)
	for s := range strings.SplitSeq(path, "/") {
		b.WriteByte('/')
		if slices.ContainsFunc([]byte(s), func(c byte) bool { return c >= '0' && c <= '9' }) {
			s = "#"
		}
		b.WriteString(s)
	}
	keys := make([]string, 0, len(query))
	for k := range query {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		b.WriteString("\n" + k)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:16])
}

// hostport is a host with its port, where that is not the scheme's own.
func hostport(scheme, name string, port int) string {
	if scheme == "https" && port == 443 || scheme == "http" && port == 80 {
		if strings.Contains(name, ":") {
			return "[" + name + "]"
		}
		return name
	}
	return net.JoinHostPort(name, strconv.Itoa(port))
}

// Refuse answers a request that goes no further. To the proxy itself that is a
// proxy's answer (RFC 9110 §15.5.8, RFC 9209); inside a tunnel it is the host's.
func (p protocol) Refuse(w http.ResponseWriter, r *http.Request, status int, d *gate.Denied) {
	if within(r) == nil {
		h := w.Header()
		if status == http.StatusUnauthorized {
			status = http.StatusProxyAuthRequired
			h.Set("Proxy-Authenticate", `Basic realm="assent"`)
			h.Add("Proxy-Authenticate", `Bearer realm="assent"`)
			d = &gate.Denied{Status: d.Status, Reason: d.Reason, Hint: "HTTPS_PROXY=http://agent:TOKEN@… carries a token of Assent; assent run -- PROGRAM sets it"}
		}
		h.Set("Proxy-Status", `assent; error=http_request_denied; details="`+quotable(detail(d))+`"`)
		if r.Method == http.MethodConnect {
			h.Set("Connection", "close")
		}
	}
	if status == http.StatusUnauthorized { // inside: the host's own 401 means something else
		status = http.StatusForbidden
	}
	httpgate.Problem(w, status, d)
}

// detail is a decision with its reason: of an answer to CONNECT most clients show no
// body, and curl -v and logs of clients show this.
func detail(d *gate.Denied) string {
	if d.Reason == "" {
		return httpgate.Decision(d)
	}
	return httpgate.Decision(d) + ": " + d.Reason
}

// quotable is what may stand in a quoted string of a header.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, s)
}
