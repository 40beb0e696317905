package httpgate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/gate/httpgate"
)

// open is a gate that serves, in front of a handler.
func open(t *testing.T, a *gatetest.Authority, up http.HandlerFunc, call func(*httpgate.Exchange, *httpgate.Call)) (addr string) {
	t.Helper()
	upstream := httptest.NewServer(up)
	t.Cleanup(upstream.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(t, upstream.Listener.Addr().String(), a, call)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		a.Check(t)
	})
	return l.Addr().String()
}

func request(t *testing.T, method, addr, path string, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+addr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+gatetest.Token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A long body that policy lets pass unseen passes as it comes; one that it doesn't is read whole first,
// bound to what is asked, and goes on as it came.
func TestLongBodies(t *testing.T) {
	long := make([]byte, 3<<20)
	_, _ = rand.Read(long)
	for name, flows := range map[string]bool{"it flows": true, "it is seen first": false} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var arrived []byte
			a := &gatetest.Authority{Flows: func(*action.Action) bool { return flows }}
			addr := open(t, a, func(_ http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				arrived = b
			}, nil)
			resp := request(t, http.MethodPut, addr, "/long", bytes.NewReader(long))
			if resp.StatusCode != http.StatusOK || !bytes.Equal(arrived, long) {
				t.Fatalf("%d, %d bytes arrived", resp.StatusCode, len(arrived))
			}
			asked := a.Actions()
			if len(asked) != 1 {
				t.Fatalf("%d actions", len(asked))
			}
			if bound := bytes.Contains(asked[0].Payload, []byte("SHA-256")); bound == flows || flows && !asked[0].Data.Unscanned {
				t.Errorf("unscanned %v, payload %q", asked[0].Data.Unscanned, asked[0].Payload)
			}
		})
	}
}

// What is bound changes with whatever goes upstream and means something.
func TestPayloadTellsApart(t *testing.T) {
	a := &gatetest.Authority{}
	addr := open(t, a, func(http.ResponseWriter, *http.Request) {}, nil)
	send := func(method, path, content string, header ...string) string {
		req, _ := http.NewRequest(method, "http://"+addr+path, strings.NewReader(content))
		req.Header.Set("Authorization", "Bearer "+gatetest.Token)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		all := a.Actions()
		return string(all[len(all)-1].Payload)
	}
	base := send("PUT", "/a?x=1", "one", "User-Agent", "tool/1", "X-Request-Id", "7")
	if again := send("PUT", "/a?x=1", "one", "User-Agent", "tool/2", "X-Request-Id", "8"); again != base {
		t.Errorf("who carries it changed what is bound:\n%s\n%s", base, again)
	}
	for name, other := range map[string]string{
		"method": send("POST", "/a?x=1", "one"), "path": send("PUT", "/b?x=1", "one"), "query": send("PUT", "/a?x=2", "one"),
		"body": send("PUT", "/a?x=1", "two"), "header": send("PUT", "/a?x=1", "one", "X-Scope", "all"), "no query": send("PUT", "/a", "one"),
		"escaped path": send("PUT", "/%61?x=1", "one"),
	} {
		if other == base {
			t.Errorf("%s: nothing of it is bound", name)
		}
	}
}

// One refused action of several stops them all, and what was permitted is told that it didn't run.
func TestAllOrNothing(t *testing.T) {
	a := &gatetest.Authority{Decide: func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
		if a.Verb == "second" {
			return &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
		}
		return nil
	}}
	reached := false
	addr := open(t, a, func(http.ResponseWriter, *http.Request) { reached = true }, func(_ *httpgate.Exchange, c *httpgate.Call) {
		second := *c.Actions[0]
		second.Verb = "second"
		c.Actions = append(c.Actions, &second)
	})
	resp := request(t, http.MethodPut, addr, "/", strings.NewReader("x"))
	if resp.StatusCode != http.StatusForbidden || reached {
		t.Errorf("%d, reached: %v", resp.StatusCode, reached)
	}
	if got := a.Outcomes(); len(got) != 1 || got[0].State != gate.NotRun {
		t.Errorf("outcomes %+v", got)
	}
}

// What an upstream says that no answer is, and where it sends a client, is not passed on or followed.
func TestUpstreamsSay(t *testing.T) {
	var hits int
	addr := open(t, &gatetest.Authority{Mask: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("ssn"), []byte("***")) }}, func(w http.ResponseWriter, r *http.Request) {
		hits++
		switch r.URL.Path {
		case "/hints":
			w.Header().Set("Link", "</ssn>")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			w.Header().Set("X-Who", "ssn")
			_, _ = io.WriteString(w, "the ssn")
		case "/elsewhere":
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		case "/switch":
			c, rw, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\nssn")
				_ = rw.Flush()
				_ = c.Close()
			}
		}
	}, nil)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET /hints HTTP/1.1\r\nHost: "+addr+"\r\nAuthorization: Bearer "+gatetest.Token+"\r\nConnection: close\r\n\r\n")
	b, _ := io.ReadAll(conn)
	if s := string(b); !strings.HasPrefix(s, "HTTP/1.1 200 ") || strings.Contains(s, "ssn") || !strings.Contains(s, "***") {
		t.Errorf("%s", s)
	}
	if resp := request(t, http.MethodGet, addr, "/elsewhere", nil); resp.StatusCode != http.StatusFound || hits != 2 {
		t.Errorf("%d after %d hits", resp.StatusCode, hits)
	}
	if resp := request(t, http.MethodGet, addr, "/switch", nil); resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusBadGateway || strings.Contains(body(t, resp), "ssn") {
		t.Errorf("a change of protocol: %d", resp.StatusCode)
	}
}

// Whoever asks hears what became of it in a document.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		want   string
	}{
		"denied":    {&gate.Denied{Status: gate.StatusDenied, Reason: "rule x"}, http.StatusForbidden, "denied"},
		"pending":   {&gate.Denied{Status: gate.StatusPending, ID: "apr_1", Reason: "still waiting"}, http.StatusForbidden, "pending_approval"},
		"undecided": {errors.New("the store at 10.0.0.1 is down"), http.StatusServiceUnavailable, gate.StatusNobody},
	} {
		t.Run(name, func(t *testing.T) {
			addr := open(t, &gatetest.Authority{Decide: func(context.Context, *action.Action, func(gate.Held)) error { return c.err }},
				func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }, nil)
			resp := request(t, http.MethodGet, addr, "/", nil)
			text := body(t, resp)
			var doc struct{ Decision, Detail, ApprovalID string }
			if err := json.Unmarshal([]byte(text), &doc); err != nil || resp.StatusCode != c.status || doc.Decision != c.want || strings.Contains(text, "10.0.0.1") {
				t.Errorf("%d %s (%v)", resp.StatusCode, text, err)
			}
			if (c.want == "pending_approval") != (resp.Header.Get("Retry-After") != "") {
				t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
			}
		})
	}
}

// A Host other than the name that TLS was asked for is for another connection; other doubts are plain refusals.
func TestMisdirected(t *testing.T) {
	g := newGate(t, "127.0.0.1:1", &gatetest.Authority{}, nil)
	for target, want := range map[string]int{"https://other.example/": http.StatusMisdirectedRequest, "https://asked.example/a/../b": http.StatusBadRequest} {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.RequestURI = r.URL.Path
		r.TLS = &tls.ConnectionState{ServerName: "asked.example"}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	_ = l.Close()
	a := &gatetest.Authority{}
	addr := open(t, a, func(http.ResponseWriter, *http.Request) {}, func(_ *httpgate.Exchange, c *httpgate.Call) {
		c.Upstream.URL = &url.URL{Scheme: "http", Host: dead}
	})
	resp := request(t, http.MethodPut, addr, "/", strings.NewReader("x"))
	if text := body(t, resp); resp.StatusCode != http.StatusBadGateway || !strings.Contains(text, gate.StatusUnreachable) {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	if got := a.Outcomes(); len(got) != 1 || got[0].State != gate.Failed || got[0].Code != "not sent" {
		t.Errorf("outcomes %+v", got)
	}
}

// A session that is cut ends what it has under way, also in the middle of an answer.
func TestCutInTheMiddle(t *testing.T) {
	a := &gatetest.Authority{}
	begun := make(chan struct{})
	addr := open(t, a, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: one\n\n")
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-r.Context().Done()
	}, nil)
	resp := request(t, http.MethodGet, addr, "/", nil)
	<-begun
	a.Cut()
	done := make(chan error, 1)
	go func() { _, err := io.ReadAll(resp.Body); done <- err }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the answer looks whole")
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
}
