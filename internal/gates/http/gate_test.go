package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/bodies"
)

// host is the routes' in tests.
const host = "app.example.com"

func store(t testing.TB) *bodies.Store {
	t.Helper()
	s, err := bodies.NewStore(t.TempDir(), 1<<30, 1<<28, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newGate is a gate before upstream, with one route for everything.
func newGate(t testing.TB, upstream string, a *gatetest.Authority, change func(*Config)) *Gate {
	t.Helper()
	o := Config{
		Name: "web", Authority: a, Bodies: store(t), Log: slog.New(slog.DiscardHandler),
		Routes: []*Route{{Name: "app", Host: host, Path: "/", Upstreams: []*url.URL{{Scheme: "http", Host: upstream}}, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}},
		Refused: func(ctx context.Context, from gate.Peer, what string) {
			if s, err := a.Login(ctx, gate.Verifier{Proved: true, Credential: "cred_gatetest"}, from); err == nil {
				s.Refused(ctx, what)
				s.Close()
			}
		},
	}
	if change != nil {
		change(&o)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// serve runs a gate until the test ends and returns its address.
func serve(t testing.TB, g *Gate) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestConformance(t *testing.T) {
	var mu sync.Mutex
	value := ""
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPut {
			b, _ := io.ReadAll(r.Body)
			value = string(b)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, value)
	}))
	t.Cleanup(up.Close)
	gatetest.Run(t, gatetest.Harness{
		Upstream: up.Listener.Addr().String(),
		Serve: func(t *testing.T, upstream string, a gate.Authority) func(context.Context, net.Listener) error {
			return newGate(t, upstream, a.(*gatetest.Authority), nil).Serve
		},
		Dial: func(t *testing.T, addr string) gatetest.Client {
			ctx, cancel := context.WithCancel(t.Context())
			return &client{addr: addr, Transport: &http.Transport{}, ctx: ctx, leave: cancel}
		},
		IsWrite: func(a *action.Action) bool { return a.Verb == "put" },
		Sent: func(a *action.Action, wire []byte) bool {
			_, body, _ := strings.Cut(a.Statement, "\n\n")
			return body != "" && strings.Contains(string(wire), body)
		},
	})
}

type client struct {
	*http.Transport
	addr  string
	ctx   context.Context
	leave func()
}

func (c *client) do(method, body string) (string, error) {
	req, err := http.NewRequestWithContext(c.ctx, method, "http://"+c.addr+"/value", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Host = host
	req.Header.Set("Authorization", "Bearer "+gatetest.Token)
	resp, err := c.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 400 {
		err = fmt.Errorf("%d: %s", resp.StatusCode, b)
	}
	return string(b), err
}

func (c *client) Write(value string) error { _, err := c.do(http.MethodPut, value); return err }
func (c *client) Read() (string, error)    { return c.do(http.MethodGet, "") }
func (c *client) Close()                   { c.leave(); c.CloseIdleConnections() }

func (c *client) Junk() error {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err = io.WriteString(conn, "POST /value HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /value HTTP/1.1\r\n\r\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return nil // it was cut off
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 400") {
		return fmt.Errorf("answered %q", answer)
	}
	return nil
}
