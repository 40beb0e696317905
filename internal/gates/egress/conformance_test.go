package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/bodies"
	"github.com/assenthq/assent/internal/netguard"
)

// The suite looks at the bytes that reach the server, so it goes by http://; what is inside
// tunnels takes the same way through the gate.
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
			return conforming(t, upstream, a.(*gatetest.Authority)).Serve
		},
		Dial:    func(t *testing.T, addr string) gatetest.Client { return dial(addr) },
		IsWrite: func(a *action.Action) bool { return a.Verb == "put" },
		Sent: func(a *action.Action, wire []byte) bool {
			_, body, _ := strings.Cut(a.Statement, "\n\n")
			return body != "" && strings.Contains(string(wire), body)
		},
	})
}

func conforming(t *testing.T, upstream string, a *gatetest.Authority) *Gate {
	t.Helper()
	store, err := bodies.NewStore(t.TempDir(), 1<<30, 1<<28, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := []netip.AddrPort{netip.MustParseAddrPort(upstream)}
	u := NewUpstream(netguard.New(netguard.Options{}), nil, at)
	u.transport.DisableKeepAlives = true
	g, err := New(Config{
		Name: "out", Authority: a, CA: newCA(t, nil), Bodies: store, Log: slog.New(slog.DiscardHandler), Classes: func(string) []string { return nil },
		Hosts: []Host{{Pattern: "example.com", Plain: true, Trust: Internal, Upstream: u, Addresses: at}},
		Refused: func(ctx context.Context, from gate.Peer, what string) {
			v, _ := a.Bearer(ctx, gatetest.Token)
			if s, err := a.Login(ctx, v, from); err == nil {
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

type caller struct {
	*http.Transport
	addr  string
	mu    sync.Mutex
	conns []net.Conn // owned by mu
}

func dial(addr string) *caller {
	c := &caller{addr: addr}
	proxy := &url.URL{Scheme: "http", Host: addr, User: url.UserPassword("agent", gatetest.Token)}
	c.Transport = &http.Transport{Proxy: http.ProxyURL(proxy), DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conns = append(c.conns, conn)
		return conn, err
	}}
	return c
}

func (c *caller) do(method, body string) (string, error) {
	req, err := http.NewRequest(method, "http://example.com/value", strings.NewReader(body))
	if err != nil {
		return "", err
	}
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

func (c *caller) Write(value string) error { _, err := c.do(http.MethodPut, value); return err }
func (c *caller) Read() (string, error)    { return c.do(http.MethodGet, "") }

// Close leaves, whatever is under way.
func (c *caller) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.CloseIdleConnections()
}

func (c *caller) Junk() error {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "POST http://example.com/value HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /value HTTP/1.1\r\n\r\n")
	if err != nil {
		return err
	}
	b, err := io.ReadAll(conn)
	if err == nil && !strings.HasPrefix(string(b), "HTTP/1.1 400 ") {
		err = errors.New("answered " + string(b))
	}
	return err
}
