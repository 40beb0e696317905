package api_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/identity"
)

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		if name == "Host" {
			r.Host = values[0]
			return
		}
		r.Header[name] = values
	}
}

func TestForeignHostsAreRefused(t *testing.T) {
	w := newWorld(t, func(o *api.Options) { o.Hosts = []string{"assent.example.com"} })
	_, port, _ := net.SplitHostPort(w.server.Listener.Addr().String())
	for _, host := range []string{"localhost", "localhost:" + port, "127.0.0.1:" + port, "[::1]:" + port, "assent.example.com", "Assent.Example.com:443"} {
		if a := w.call("GET", "/healthz", "", nil, header("Host", host)); a.status != 200 {
			t.Errorf("%s: %d", host, a.status)
		}
	}
	for _, host := range []string{"evil.example", "assent.example.com.evil.example", "xassent.example.com", "assent.example.com.", "127.0.0.1.nip.io", "0.0.0.0", "localhost.evil.example", "assent.example.com@evil.example"} {
		a := w.call("GET", "/healthz", "", nil, header("Host", host))
		if a.status != 421 && a.status != 400 {
			t.Errorf("%s: %d", host, a.status)
		}
	}
	w.call("GET", "/v1/approvals", w.mira, nil, header("Host", "evil.example:80")).problem(t, 421, "host")
}

func TestAnotherOriginChangesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	host := w.server.Listener.Addr().String()
	v := w.view(w.mira, id)
	body := map[string]any{"decision": "approve", "digest": v.Digest, "version": v.Version}
	path := "/v1/approvals/" + id + "/review"
	for name, h := range map[string]func(*http.Request){
		"another origin":           header("Origin", "https://evil.example"),
		"another port":             header("Origin", "http://127.0.0.1:1"),
		"another scheme":           header("Origin", "https://"+host),
		"a sandboxed frame":        header("Origin", "null"),
		"one of two":               header("Origin", "http://"+host, "https://evil.example"),
		"same site, other origin":  header("Sec-Fetch-Site", "same-site"),
		"cross site":               header("Sec-Fetch-Site", "cross-site"),
		"an unknown kind of fetch": header("Sec-Fetch-Site", "new-thing"),
	} {
		a := w.call("POST", path, w.mira, body, h)
		if a.status != 403 || !strings.Contains(string(a.body), "problem:origin") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json-seq", "application/vnd.x+json", "application/json; charset=utf-16", ""} {
		a := w.call("POST", path, w.mira, body, header("Content-Type", kind))
		a.problem(t, 415, "media-type")
	}
	if w.state(id) != "pending" {
		t.Fatal("one of them decided")
	}
	if a := w.call("POST", path, w.mira, body, header("Origin", "http://"+host), header("Sec-Fetch-Site", "same-origin"), header("Content-Type", "application/json; charset=UTF-8")); a.status != 200 {
		t.Fatalf("our own page: %d %s", a.status, a.body)
	}
}

func TestCredentialsStandInOnePlace(t *testing.T) {
	w := newWorld(t)
	for name, h := range map[string]func(*http.Request){
		"cookie":      header("Cookie", "token="+w.mira),
		"basic":       header("Authorization", "Basic "+w.mira),
		"two headers": header("Authorization", "Bearer "+w.agent, "Bearer "+w.mira),
		"no scheme":   header("Authorization", w.mira),
		"too long":    header("Authorization", "Bearer "+strings.Repeat("a", 600)),
		"x-header":    header("X-Forwarded-User", "person:mira"),
	} {
		a := w.call("GET", "/v1/whoami", "", nil, h)
		if a.status != 401 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	w.call("GET", "/v1/whoami?access_token="+w.mira, "", nil).problem(t, 401, "credential")
	if strings.Contains(w.logs.String(), w.mira) {
		t.Error("the log holds a token")
	}
	if a := w.call("GET", "/v1/whoami", w.mira, nil); a.status != 200 || !strings.Contains(string(a.body), `"id":"person:mira"`) || strings.Contains(string(a.body), w.mira) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestEveryErrorIsAProblem(t *testing.T) {
	w := newWorld(t)
	w.call("GET", "/v1/nothing", w.mira, nil).problem(t, 404, "not-found")
	w.call("GET", "/v1/approvals/", w.mira, nil).problem(t, 404, "not-found")
	w.call("GET", "/v1//approvals", w.mira, nil).problem(t, 404, "not-found")
	w.call("GET", "/v1/../v1/approvals", w.mira, nil).problem(t, 404, "not-found")
	w.call("GET", "/v1/tokens/..%2fapprovals", w.mira, nil).problem(t, 404, "not-found")
	not := w.call("PUT", "/v1/approvals", w.mira, nil)
	not.problem(t, 405, "method")
	if not.header.Get("Allow") == "" {
		t.Error("405 without Allow")
	}
	w.call("TRACE", "/v1/approvals", w.mira, nil).problem(t, 405, "method")
	w.call("POST", "/access/v1/evaluation", w.agent, `{"subject":`).problem(t, 400, "invalid")
	w.call("POST", "/access/v1/evaluation", w.agent, "").problem(t, 400, "invalid")
	w.call("POST", "/access/v1/evaluation", w.agent, `{"a":"`+strings.Repeat("x", 1<<20)+`"}`).problem(t, 413, "too-large")
	secret := w.call("POST", "/access/v1/evaluation", w.agent, `{"subject":{"type":"agent","id":"x"},"secret":"4111111111111111"}`)
	secret.problem(t, 422, "invalid")
	if strings.Contains(string(secret.body), "4111") {
		t.Errorf("the answer quotes the request: %s", secret.body)
	}
}

func TestHeadersAndRequestIDs(t *testing.T) {
	w := newWorld(t)
	a := w.call("GET", "/healthz", "", nil, header("X-Request-ID", "abc-123"))
	for name, want := range map[string]string{
		"X-Request-ID": "abc-123", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", a.header)
	}
	for _, id := range []string{strings.Repeat("a", 200), "a b", "a\"b", "é"} {
		if got := w.call("GET", "/healthz", "", nil, header("X-Request-Id", id)).header.Get("X-Request-ID"); got == id || got == "" {
			t.Errorf("%q was echoed as %q", id, got)
		}
	}
}

// fails is an enforcer that breaks.
type fails struct {
	api.Enforcer
	err   error
	panic any
}

func (f fails) Evaluate(context.Context, identity.Asker, *action.Action) (api.Evaluation, error) {
	if f.panic != nil {
		panic(f.panic)
	}
	return api.Evaluation{Verdict: 2}, f.err
}

func TestInnerErrorsStayInside(t *testing.T) {
	const detail = "dial tcp 10.1.2.3:5432: password=hunter2"
	w := newWorld(t, func(o *api.Options) { o.Enforcer = fails{Enforcer: o.Enforcer, err: errors.New(detail)} })
	d := w.call("POST", "/access/v1/evaluation", w.agent, question("data.read", "postgres:shop/orders", "select 1"))
	if d.status != 200 || !strings.Contains(string(d.body), `"decision":false`) || !strings.Contains(string(d.body), `"reason":"undecided"`) || strings.Contains(string(d.body), "hunter2") {
		t.Errorf("%d %s", d.status, d.body)
	}
	p := newWorld(t, func(o *api.Options) {
		o.Enforcer = fails{Enforcer: o.Enforcer, panic: fmt.Sprintf("index out of %s", detail)}
	})
	a := p.call("POST", "/access/v1/evaluation", p.agent, question("data.read", "postgres:shop/orders", "select 1"))
	a.problem(t, 500, "internal")
	if strings.Contains(string(a.body), "hunter2") || strings.Contains(p.logs.String(), "hunter2") || !strings.Contains(p.logs.String(), "handler panicked") {
		t.Errorf("%s", a.body)
	}
	if a := p.call("GET", "/healthz", "", nil); a.status != 200 {
		t.Error("a panic took the server with it")
	}
}

func TestTheLogHasTemplatesOnly(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	w.view(w.mira, id)
	w.call("GET", "/v1/approvals?actor=agent:secret-name", w.mira, nil)
	w.call("GET", "/signin/secret-name", "", nil)
	log := w.logs.String()
	if strings.Contains(log, id) || strings.Contains(log, "secret-name") || !strings.Contains(log, `"operation":"/v1/approvals/{id}"`) || !strings.Contains(log, `"operation":"unmatched"`) {
		t.Errorf("%s", log)
	}
	metrics := string(w.call("GET", "/metrics", w.reader, nil).body)
	if strings.Contains(metrics, id) || !strings.Contains(metrics, `assent_http_requests_total{method="GET",operation="/v1/approvals/{id}",status="200"} 1`) {
		t.Errorf("%s", metrics)
	}
	w.call("BREW", "/healthz", "", nil)
	if metrics := string(w.call("GET", "/metrics", w.reader, nil).body); strings.Contains(metrics, "BREW") {
		t.Error("a client's word became a label")
	}
}

func TestReadyTellsTheTruth(t *testing.T) {
	var broken error
	hang := make(chan struct{})
	defer close(hang)
	w := newWorld(t, func(o *api.Options) {
		o.Ready = append(o.Ready, api.Check{Name: "policy", Run: func(context.Context) error { return broken }})
	})
	if a := w.call("GET", "/readyz", "", nil); a.status != 200 || string(a.body) != `{"ready":true,"checks":[{"name":"store","ok":true},{"name":"policy","ok":true}]}`+"\n" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	broken = errors.New("no pack at /etc/secret/place")
	a := w.call("GET", "/readyz", "", nil)
	if a.status != 503 || !strings.Contains(string(a.body), `{"name":"policy","ok":false}`) || strings.Contains(string(a.body), "secret") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	if a := w.call("GET", "/readyz", "", nil); a.status != 503 {
		t.Fatalf("without a store: %d %s", a.status, a.body)
	}
	if a := w.call("GET", "/healthz", "", nil); a.status != 200 {
		t.Fatalf("the process answers: %d", a.status)
	}
	stuck := newWorld(t, func(o *api.Options) {
		o.Ready = []api.Check{{Name: "gate", Run: func(ctx context.Context) error { <-hang; return nil }}, {Name: "log", Run: func(context.Context) error { panic("x") }}}
	})
	if a := stuck.call("GET", "/readyz", "", nil); a.status != 503 || strings.Contains(string(a.body), `"ok":true`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	none := newWorld(t, func(o *api.Options) { o.Ready = nil })
	if a := none.call("GET", "/readyz", "", nil); a.status != 503 {
		t.Fatalf("nobody knows: %d", a.status)
	}
}

func TestWellKnownAndDocs(t *testing.T) {
	w := newWorld(t)
	var conf api.Configuration
	w.call("GET", "/.well-known/authzen-configuration", "", nil).json(t, &conf)
	if conf.DecisionPoint != "http://localhost:8720" || conf.RequestEndpoint != "http://localhost:8720/access/v1/requests" {
		t.Errorf("%+v", conf)
	}
	keys := w.call("GET", "/.well-known/jwks.json", "", nil)
	if strings.Contains(string(keys.body), `"d":`) || strings.Count(string(keys.body), `"kid"`) != 3 || keys.header.Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("%s", keys.body)
	}
	page := w.call("GET", "/docs", "", nil)
	body := string(page.body)
	for op := range mayCall {
		if _, path, _ := strings.Cut(op, " "); !strings.Contains(body, "<code>"+path+"</code>") {
			t.Errorf("the docs page lacks %s", op)
		}
	}
	for _, foreign := range []string{"//cdn", "<script", "style=", "https://unpkg"} {
		if strings.Contains(body, foreign) {
			t.Errorf("the docs page has %q", foreign)
		}
	}
	if csp := page.header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "style-src 'self'") {
		t.Errorf("%s", csp)
	}
	if css := w.call("GET", "/docs/style.css", "", nil); css.status != 200 || css.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("%d", css.status)
	}
}

func TestNewWantsEveryPart(t *testing.T) {
	for name, o := range map[string]api.Options{"nothing": {}, "no seed": {PublicURL: "http://localhost"}} {
		if h, err := api.New(o); err == nil || h != nil {
			t.Errorf("%s: it was made", name)
		}
	}
}

func TestTLSSetsHSTS(t *testing.T) {
	w := newWorld(t, func(o *api.Options) { o.PublicURL = "https://localhost" })
	r := must(http.NewRequest(http.MethodGet, "https://localhost/healthz", nil))(t)
	r.TLS = &tls.ConnectionState{}
	rec := &memory{header: http.Header{}}
	w.server.Config.Handler.ServeHTTP(rec, r)
	if rec.header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%v", rec.header)
	}
}

type memory struct{ header http.Header }

func (m *memory) Header() http.Header         { return m.header }
func (m *memory) Write(b []byte) (int, error) { return io.Discard.Write(b) }
func (m *memory) WriteHeader(int)             {}
