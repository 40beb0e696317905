package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/gate/gatetest"
)

// up is an upstream that says its name, and whether it is well.
func up(t *testing.T, name string, well *atomic.Bool) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" && !well.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, name)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func ask(t *testing.T, addr, path string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest("GET", "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("Authorization", "Bearer "+gatetest.Token)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// An upstream that fails its check is not asked until it passes one; without any the
// answer is 503, and nothing was decided or sent.
func TestHealth(t *testing.T) {
	var first, second atomic.Bool
	first.Store(true)
	second.Store(true)
	a := &gatetest.Authority{}
	g := newGate(t, "", a, func(o *Config) {
		o.Routes[0].Upstreams = []*url.URL{up(t, "first", &first), up(t, "second", &second)}
		o.Routes[0].Health = &Health{Path: "/healthz", Every: time.Hour}
	})
	p := g.o.Routes[0].pool
	addr := serve(t, g)
	seen := map[string]int{}
	for range 10 {
		_, body, _ := ask(t, addr, "/")
		seen[body]++
	}
	if seen["first"] == 0 || seen["second"] == 0 {
		t.Errorf("asked %v", seen)
	}
	first.Store(false)
	p.check(t.Context())
	for range 5 {
		if code, body, _ := ask(t, addr, "/"); code != http.StatusOK || body != "second" {
			t.Errorf("with the first away: %d %s", code, body)
		}
	}
	second.Store(false)
	p.check(t.Context())
	before := len(a.Actions())
	code, body, h := ask(t, addr, "/")
	if code != http.StatusServiceUnavailable || h.Get("Content-Type") != "application/problem+json" || h.Get("Retry-After") == "" || !strings.Contains(body, "nothing was sent") {
		t.Errorf("with both away: %d %s %v", code, body, h)
	}
	if len(a.Actions()) != before {
		t.Error("it was decided all the same")
	}
	if err := g.State()["app"]; err == nil || !strings.Contains(err.Error(), "/healthz answered 500") {
		t.Errorf("state: %v", err)
	}
	first.Store(true)
	p.check(t.Context())
	if code, body, _ := ask(t, addr, "/"); code != http.StatusOK || body != "first" {
		t.Errorf("with the first back: %d %s", code, body)
	}
}

// The upstream with the least to do is asked, and one that can't be dialled is left out until its next check.
func TestChoice(t *testing.T) {
	var well atomic.Bool
	well.Store(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	gone := &url.URL{Scheme: "http", Host: l.Addr().String()}
	r := &Route{Name: "r", Host: host, Path: "/", Upstreams: []*url.URL{gone, up(t, "there", &well)}, Transport: &http.Transport{}, Health: &Health{Path: "/"}}
	p := newPool(r)
	p.ups[0].open.Store(3)
	for range 5 {
		if u := p.pick(); u != p.ups[1] {
			t.Fatal("the busy one is asked")
		}
	}
	p.ups[1].open.Store(9)
	req := httptest.NewRequestWithContext(t.Context(), "GET", gone.String(), nil)
	if resp, err := p.RoundTrip(req); err == nil {
		_ = resp.Body.Close()
		t.Fatal("nobody is there, and it answered")
	}
	resp, err := p.RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", gone.String(), nil))
	if err != nil {
		t.Fatal(err)
	}
	if p.ups[1].open.Load() != 10 {
		t.Errorf("%d under way", p.ups[1].open.Load())
	}
	_ = resp.Body.Close()
	if p.ups[1].open.Load() != 9 {
		t.Errorf("%d under way after its end", p.ups[1].open.Load())
	}
}

// What leads away is bound to the gate, events pass one by one, and 1xx are heard by nobody.
func TestAnswers(t *testing.T) {
	next := make(chan struct{})
	var at atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			w.Header().Set("Location", "http://"+at.Load().(string)+"/there?x=1")
			w.Header().Set("Alt-Svc", `h3=":443"`)
			w.Header().Add("Set-Cookie", "sid=1; Domain=example.com; HttpOnly")
			w.Header().Add("Set-Cookie", "__Host-assent-web=forged; Secure; Path=/")
			w.WriteHeader(http.StatusFound)
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for range 2 {
				_, _ = io.WriteString(w, "data: one\n\n")
				_ = http.NewResponseController(w).Flush()
				<-next
			}
		}
	}))
	t.Cleanup(s.Close)
	at.Store(s.Listener.Addr().String())
	addr := serve(t, newGate(t, s.Listener.Addr().String(), &gatetest.Authority{}, func(o *Config) { o.HSTS = "max-age=1" }))
	code, _, h := ask(t, addr, "/away")
	if code != http.StatusFound || h.Get("Location") != "/there?x=1" || h.Get("Alt-Svc") != "" || strings.Join(h.Values("Set-Cookie"), "|") != "sid=1; HttpOnly" || h.Get("Strict-Transport-Security") != "max-age=1" {
		t.Errorf("%d %v", code, h)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("Authorization", "Bearer "+gatetest.Token)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	for range 2 { // the upstream says the second only when the first was read
		line, err := lines.ReadString('\n')
		if err != nil || line != "data: one\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if _, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		next <- struct{}{}
	}
}
