package kubernetes_test

import (
	"context"
	"encoding/json"
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
	"github.com/assenthq/assent/internal/gates/kubernetes"
	"github.com/assenthq/assent/internal/recording"
)

const target = "/api/v1/namespaces/shop/configmaps/value"

// The suite of every gate, with one configmap as the value.
func TestConformance(t *testing.T) {
	var mu sync.Mutex
	value := `{"kind":"ConfigMap","apiVersion":"v1","data":{"v":""}}`
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPut && r.URL.Query().Get("dryRun") == "" {
			b, _ := io.ReadAll(r.Body)
			value = string(b)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, value)
	}))
	t.Cleanup(up.Close)
	gatetest.Run(t, gatetest.Harness{
		Upstream: up.Listener.Addr().String(),
		Serve: func(t *testing.T, upstream string, a gate.Authority) func(context.Context, net.Listener) error {
			store, err := recording.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			p, err := kubernetes.New(kubernetes.Config{
				Name: "k8s", Upstream: &url.URL{Scheme: "http", Host: upstream}, Transport: &http.Transport{DisableKeepAlives: true}, Recordings: store, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			kept, err := bodies.NewStore(t.TempDir(), 1<<30, 1<<28, nil)
			if err != nil {
				t.Fatal(err)
			}
			g, err := httpgate.New(httpgate.Config{
				Name: "k8s", Authority: a, Protocol: p, Bodies: kept, Log: slog.New(slog.DiscardHandler),
				Refused: func(ctx context.Context, from gate.Peer, what string) {
					s, err := a.Login(ctx, gate.Verifier{Proved: true, Credential: "cred_gatetest"}, from)
					if err == nil {
						s.Refused(ctx, what)
						s.Close()
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			return g.Serve
		},
		Dial: func(t *testing.T, addr string) gatetest.Client {
			ctx, leave := context.WithCancel(context.Background())
			return &plainClient{addr: addr, Transport: &http.Transport{}, ctx: ctx, leave: leave}
		},
		IsWrite: func(a *action.Action) bool { return a.Verb == "update" },
		Sent: func(a *action.Action, wire []byte) bool {
			_, rest, _ := strings.Cut(a.Statement, `"v": "`)
			v, _, is := strings.Cut(rest, `"`)
			return is && v != "" && strings.Contains(string(wire), `"v":"`+v+`"`)
		},
	})
}

// plainClient reads and writes one configmap.
type plainClient struct {
	*http.Transport
	addr  string
	ctx   context.Context //nolint:containedctx // ends when the client leaves
	leave func()
}

func (c *plainClient) do(method, body string) (string, error) {
	req, err := http.NewRequestWithContext(c.ctx, method, "http://"+c.addr+target, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+gatetest.Token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
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

func (c *plainClient) Write(value string) error {
	b, err := json.Marshal(map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "data": map[string]string{"v": value}})
	if err != nil {
		return err
	}
	_, err = c.do(http.MethodPut, string(b))
	return err
}

func (c *plainClient) Read() (string, error) {
	b, err := c.do(http.MethodGet, "")
	if err != nil {
		return "", err
	}
	var o struct{ Data struct{ V string } }
	err = json.Unmarshal([]byte(b), &o)
	return o.Data.V, err
}

func (c *plainClient) Close() { c.leave(); c.CloseIdleConnections() }

func (c *plainClient) Junk() error {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "PUT "+target+" HTTP/1.1\r\nHost: "+c.addr+"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"); err != nil {
		return err
	}
	_, err = io.ReadAll(conn)
	return err
}
