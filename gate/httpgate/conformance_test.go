package httpgate_test

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
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/bodies"
)

// plain is the least of a Protocol: a token, reads and writes.
type plain struct {
	up   *url.URL
	call func(*httpgate.Exchange, *httpgate.Call)
}

func (plain) Caller(r *http.Request) (httpgate.Caller, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	r.Header.Del("Authorization")
	if token == "" {
		return httpgate.Caller{}, httpgate.ErrNoCredential
	}
	return httpgate.Caller{Bearer: token}, nil
}

func (p plain) Describe(_ context.Context, x *httpgate.Exchange) (*httpgate.Call, error) {
	kind := action.DataWrite
	if x.Request.Method == http.MethodGet {
		kind = action.DataRead
	}
	c := &httpgate.Call{
		Actions:  []*action.Action{{Kinds: []action.Kind{kind}, Verb: strings.ToLower(x.Request.Method), Target: x.Request.URL.Path, Title: x.Request.Method + " " + x.Request.URL.Path}},
		Upstream: httpgate.Upstream{URL: p.up, Transport: http.DefaultTransport},
	}
	if p.call != nil {
		p.call(x, c)
	}
	return c, nil
}

func (plain) Refuse(w http.ResponseWriter, _ *http.Request, status int, d *gate.Denied) {
	httpgate.Problem(w, status, d)
}

// newGate is a gate in front of upstream.
func newGate(t *testing.T, upstream string, a *gatetest.Authority, call func(*httpgate.Exchange, *httpgate.Call)) *httpgate.Gate {
	t.Helper()
	store, err := bodies.NewStore(t.TempDir(), 1<<30, 1<<28, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := httpgate.New(httpgate.Config{
		Name: "web", Authority: a, Protocol: plain{&url.URL{Scheme: "http", Host: upstream}, call}, Bodies: store, Log: slog.New(slog.DiscardHandler),
		Refused: func(ctx context.Context, from gate.Peer, what string) {
			v, _ := a.Bearer(ctx, gatetest.Token)
			s, err := a.Login(ctx, v, from)
			if err == nil {
				s.Refused(ctx, what)
				s.Close()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
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
			return newGate(t, upstream, a.(*gatetest.Authority), func(_ *httpgate.Exchange, c *httpgate.Call) {
				c.Upstream.Transport = &http.Transport{DisableKeepAlives: true}
			}).Serve
		},
		Dial: func(t *testing.T, addr string) gatetest.Client {
			return dial(addr)
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
	mu    sync.Mutex
	conns []net.Conn // owned by mu
}

func (c *client) do(method, body string) (string, error) {
	req, err := http.NewRequest(method, "http://"+c.addr+"/value", strings.NewReader(body))
	if err != nil {
		return "", err
	}
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

// Close leaves, whatever is under way.
func (c *client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.CloseIdleConnections()
}

func dial(addr string) *client {
	c := &client{addr: addr}
	c.Transport = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conns = append(c.conns, conn)
		return conn, err
	}}
	return c
}

func (c *client) Junk() error {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "POST /value HTTP/1.1\r\nHost: "+c.addr+"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /value HTTP/1.1\r\n\r\n")
	if err != nil {
		return err
	}
	b, err := io.ReadAll(conn)
	if err == nil && !strings.HasPrefix(string(b), "HTTP/1.1 400 ") {
		err = errors.New("answered " + string(b))
	}
	return err
}
