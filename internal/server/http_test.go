package server

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc/oidctest"
	"github.com/assenthq/assent/internal/passport"
	"github.com/assenthq/assent/internal/session"
)

const webPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: web, version: 1.0.0, owner: tests }
rules:
  - id: writes-wait
    match: { kind: [data.write, data.delete, unknown] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
  - id: reads-flow
    match: { kind: [data.read] }
    then: allow
  - id: masked
    match: { actor: [agent] }
    then: mask
    mask: { email: redact }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

// arrived is what an upstream was sent.
type arrived struct {
	method, target, body string
	header               http.Header
}

// webHouse is a real server with an HTTP gate before a real upstream.
type webHouse struct {
	*bench
	idp  *oidctest.Provider
	seen chan arrived
	at   string // the gate
}

func newWebHouse(t *testing.T) *webHouse {
	t.Helper()
	h := &webHouse{seen: make(chan arrived, 100)}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		h.seen <- arrived{r.Method, r.RequestURI, string(b), r.Header.Clone()}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"owner":"ana.lopes@example.net","n":1}`)
	}))
	t.Cleanup(up.Close)
	var err error
	if h.idp, err = oidctest.New(oidctest.Options{Users: []oidctest.User{oidcMira, oidcOmar, stranger}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.idp.Close)
	s := testServer(t, webPack, `
issuers:
  - { name: corp, issuer: "`+h.idp.Issuer()+`", client_id: assent, client_secret: { file: corp.secret } }
people: [{ id: dana }, { id: omar, accounts: ["corp|00u3omar"], groups: [reviewers] }, { id: mira, groups: [reviewers] }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: web
    type: http
    env: prod
    listen: 127.0.0.1:0
    routes:
      - name: billing
        host: 127.0.0.1
        path: /billing
        upstreams: [`+up.URL+`]
        headers: { X-Api-Key: { file: key } }
        identity: { audience: billing, groups: true }
        strip: /billing
        prepend: /v1
        people: true
      - name: agents-only
        host: 127.0.0.1
        upstreams: [`+up.URL+`]
        methods: [GET]
`, map[string]string{"corp.secret": "secret\n", "key": "the-real-key\n"})
	h.bench = &bench{Server: s, t: t}
	h.at = "http://" + s.GateAddr("web")
	for end := time.Now().Add(10 * time.Second); s.issuers[0].Err() != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the issuer was not found")
		}
	}
	return h
}

// do sends a request and returns the answer's status, body and header.
func (h *webHouse) do(c *http.Client, method, path, body string, header ...string) (int, string, http.Header) {
	h.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = h.at + path
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header
}

// identity is the token that an upstream was sent, as an application verifies it.
func (h *webHouse) identity(got arrived) map[string]any {
	h.t.Helper()
	res, err := http.Get(h.URL() + "/.well-known/jwks.json")
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&keys); err != nil {
		h.t.Fatal(err)
	}
	all := got.header.Values(passport.Header)
	if len(all) != 1 {
		h.t.Fatalf("%d identity headers", len(all))
	}
	tok, err := jwt.ParseSigned(all[0], []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		h.t.Fatal(err)
	}
	out := map[string]any{}
	if err := tok.Claims(keys, &out); err != nil {
		h.t.Fatal(err)
	}
	if tok.Headers[0].ExtraHeaders["typ"] != passport.Type || out["iss"] != "http://localhost:8720" {
		h.t.Errorf("another kind of token: %v, %v", tok.Headers[0].ExtraHeaders, out)
	}
	return out
}

// surf is a browser that follows nothing by itself.
func surf(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

var navigation = []string{"Accept", "text/html,*/*;q=0.8", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "none"}

// signIn goes to a page as a browser does and signs sub in; it returns the page's address.
func (h *webHouse) signIn(c *http.Client, path, sub string) string {
	h.t.Helper()
	code, body, head := h.do(c, "GET", path, "", navigation...)
	to, err := url.Parse(head.Get("Location"))
	if err != nil || code != http.StatusSeeOther {
		h.t.Fatalf("not sent to sign in: %d %s", code, body)
	}
	form := to.Query()
	if got := form.Get("redirect_uri"); got != h.at+"/.assent/callback" || form.Get("code_challenge_method") != "S256" || form.Get("state") == "" {
		h.t.Errorf("asked with %v", form)
	}
	form.Set("sub", sub)
	to.RawQuery = ""
	code, body, head = h.do(c, "POST", to.String(), form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	if code != http.StatusSeeOther {
		h.t.Fatalf("the issuer: %d %s", code, body)
	}
	return head.Get("Location")
}

func (h *webHouse) agent() string {
	h.t.Helper()
	token, err := h.Mint(h.t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		h.t.Fatal(err)
	}
	return "Bearer " + token
}

// An agent's read comes back masked, its write waits for a person and goes on as it was,
// and the application hears who asks from nobody but the gate.
func TestHTTPGate(t *testing.T) {
	h := newWebHouse(t)
	c, token := surf(t), h.agent()
	lies := []string{
		"Authorization", token, "X-Assent-Identity", "lie", "x_forwarded_user", "admin", "X-Forwarded-For", "10.0.0.1", "X-Api-Key", "lie", "Remote-User", "admin",
		"Cookie", "app=1; assent-web-0=lie; __Host-assent-web=lie",
	}
	code, body, _ := h.do(c, "GET", "/billing/invoices?year=2026", "", lies...)
	if code != http.StatusOK || strings.Contains(body, "ana.lopes") || !strings.Contains(body, `"n":1`) {
		t.Errorf("read: %d %s", code, body)
	}
	got := <-h.seen
	if got.target != "/v1/invoices?year=2026" || got.header.Get("X-Api-Key") != "the-real-key" || got.header.Get("X-Forwarded-For") != "127.0.0.1" || got.header.Get("Cookie") != "app=1" {
		t.Errorf("the application got %+v", got)
	}
	for name := range got.header {
		if name == "Authorization" || name == "Remote-User" || strings.Contains(strings.ToLower(name), "_") {
			t.Errorf("%s went on", name)
		}
	}
	who := h.identity(got)
	if act, _ := who["act"].(map[string]any); who["sub"] != "person:dana" || act["sub"] != "agent:worker" || who["aud"] != "billing" {
		t.Errorf("it says %v", who)
	}

	answer := make(chan int, 1)
	go func() {
		code, _, _ := h.do(c, "POST", "/billing/refunds", `{"amount":5}`, "Authorization", token, "Content-Type", "application/json")
		answer <- code
	}()
	a := h.waiting(1)[0]
	if !strings.Contains(a.Statement, `{"amount":5}`) || len(h.seen) > 0 {
		t.Errorf("the card says %q; %d went on", a.Statement, len(h.seen))
	}
	h.approve(a)
	if code := <-answer; code != http.StatusOK {
		t.Errorf("approved: %d", code)
	}
	if got := <-h.seen; got.body != `{"amount":5}` || got.target != "/v1/refunds" {
		t.Errorf("the application got %+v", got)
	}

	for what, try := range map[string]struct {
		method, path string
		header       []string
		want         int
	}{
		"nobody":                       {"GET", "/billing/", nil, http.StatusUnauthorized},
		"a wrong token":                {"GET", "/billing/", []string{"Authorization", "Bearer ast_nonsense"}, http.StatusUnauthorized},
		"a method on no list":          {"POST", "/other", []string{"Authorization", token}, http.StatusMethodNotAllowed},
		"a path written otherwise":     {"GET", "/%62illing/x", []string{"Authorization", token}, http.StatusNotFound},
		"dot segments":                 {"GET", "/billing/%2e%2e/x", []string{"Authorization", token}, http.StatusBadRequest},
		"an encoded slash":             {"GET", "/billing%2fx", []string{"Authorization", token}, http.StatusBadRequest},
		"the gate's own place":         {"GET", "/.assent/x", []string{"Authorization", token}, http.StatusNotFound},
		"a navigation without people":  {"GET", "/page", navigation, http.StatusUnauthorized},
		"a method in another's header": {"GET", "/billing/", []string{"Authorization", token, "X-HTTP-Method-Override", "DELETE"}, http.StatusOK},
	} {
		if code, body, _ := h.do(c, try.method, try.path, "", try.header...); code != try.want {
			t.Errorf("%s: %d %s, want %d", what, code, body, try.want)
		}
	}
	for len(h.seen) > 0 {
		if got := <-h.seen; got.header.Get("X-Http-Method-Override") != "" {
			t.Errorf("an override went on: %+v", got)
		}
	}
	r, err := http.NewRequest("GET", h.at+"/billing/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example.com"
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a host without a route: %d", res.StatusCode)
	}
}

// A person comes in by a browser, is told to the application as themself, and doesn't
// review what they ask for; no other site acts in their name, and an end is an end.
func TestPeopleAtAnHTTPGate(t *testing.T) {
	h := newWebHouse(t)
	c := surf(t)
	if code, _, _ := h.do(c, "GET", "/billing/", "", "Accept", "application/json"); code != http.StatusUnauthorized {
		t.Errorf("what is no navigation is sent away: %d", code)
	}
	back := h.signIn(c, "/billing/invoices?a=1", oidcOmar.Sub)
	if code, _, _ := h.do(surf(t), "GET", back, "", navigation...); code != http.StatusForbidden {
		t.Errorf("the answer in another browser: %d", code)
	}
	code, body, head := h.do(c, "GET", back, "", navigation...)
	if code != http.StatusSeeOther || head.Get("Location") != "/billing/invoices?a=1" {
		t.Fatalf("the callback: %d %s %s", code, head.Get("Location"), body)
	}
	cookie := ""
	for _, line := range head.Values("Set-Cookie") {
		if strings.Contains(line, "-flow=") {
			continue
		}
		cookie = line
		for _, want := range []string{"HttpOnly", "SameSite=Lax", "Path=/"} {
			if !strings.Contains(line, want) {
				t.Errorf("the cookie is not %s: %s", want, strings.SplitN(line, "=", 2)[0])
			}
		}
	}
	if code, _, _ := h.do(c, "GET", back, "", navigation...); code != http.StatusForbidden {
		t.Errorf("the same answer again: %d", code)
	}
	code, body, _ = h.do(c, "GET", "/billing/invoices?a=1", "", navigation...)
	if code != http.StatusOK || !strings.Contains(body, "ana.lopes") {
		t.Fatalf("signed in: %d %s", code, body)
	}
	got := <-h.seen
	who := h.identity(got)
	if who["sub"] != "person:omar" || who["act"] != nil || got.header.Get("Cookie") != "" {
		t.Errorf("the application hears %v, and the cookie %q", who, got.header.Get("Cookie"))
	}
	if groups, _ := who["groups"].([]any); len(groups) != 1 || groups[0] != "group:reviewers" {
		t.Errorf("groups %v", who["groups"])
	}

	own := h.at
	for what, header := range map[string][]string{
		"another site":                    {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example.com"},
		"a sibling":                       {"Sec-Fetch-Site", "same-site", "Origin", own},
		"nobody says":                     {},
		"an origin alone of another port": {"Origin", "http://127.0.0.1:1"},
		"another origin":                  {"Origin", "https://evil.example.com"},
	} {
		if code, body, _ := h.do(c, "POST", "/billing/refunds", "x=1", append(header, "Content-Type", "application/x-www-form-urlencoded")...); code != http.StatusForbidden {
			t.Errorf("%s: %d %s", what, code, body)
		}
		if what != "nobody says" {
			if code, _, _ := h.do(c, "POST", "/.assent/signout", "", header...); code != http.StatusForbidden {
				t.Errorf("%s signs out: %d", what, code)
			}
		}
	}

	answer := make(chan int, 1)
	go func() {
		code, _, _ := h.do(c, "POST", "/billing/refunds", "x=1", "Sec-Fetch-Site", "same-origin", "Origin", own, "Content-Type", "application/x-www-form-urlencoded")
		answer <- code
	}()
	a := h.waiting(1)[0]
	omar, _ := h.Server.dir.Person("person:omar")
	if _, err := h.engine.Answer(t.Context(), approval.Answer{Approval: a.ID, Person: omar, Decision: approval.Approve, Channel: "api", Assurance: "token", Digest: a.Digest, Version: a.Version}); err == nil {
		t.Error("they reviewed what they had asked for")
	}
	h.approve(a)
	if code := <-answer; code != http.StatusOK {
		t.Errorf("approved by somebody else: %d", code)
	}
	<-h.seen

	all, err := h.sessions.List(t.Context(), "person:omar")
	if err != nil || len(all) != 1 || all[0].How != session.ByGate || !strings.HasPrefix(all[0].Gate, "web/127.0.0.1") {
		t.Fatalf("%+v, %v", all, err)
	}
	consoleGet(t, h.Server, strings.SplitN(strings.SplitN(cookie, ";", 2)[0], "=", 2)[1])
	if code, _, _ := h.do(c, "GET", "/page", "", navigation...); code != http.StatusUnauthorized {
		t.Errorf("a route without people: %d", code)
	}
	if err := h.sessions.End(t.Context(), all[0].ID, "person:mira", "ended in the console"); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := h.do(c, "GET", "/billing/", "", "Accept", "application/json"); code != http.StatusUnauthorized {
		t.Errorf("after its end: %d", code)
	}
	if code, _, _ := h.do(surf(t), "GET", h.signIn(surf(t), "/billing/", stranger.Sub), "", navigation...); code != http.StatusForbidden {
		t.Errorf("a stranger: %d", code)
	}
}

// consoleGet tries a gate's session at the console: it opens nothing there.
func consoleGet(t *testing.T, s *Server, secret string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.listener.Addr().String())
	}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequest("GET", "http://localhost:8720/approvals", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", "assent-8720="+secret)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		t.Errorf("the console took a gate's session: %d", res.StatusCode)
	}
}
