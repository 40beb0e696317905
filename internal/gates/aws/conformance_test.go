package aws_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/sigv4"
)

// TestConformance runs what every gate must pass: a client that signs, and a table that keeps one value.
func TestConformance(t *testing.T) {
	var mu sync.Mutex
	value := ""
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		b, _ := io.ReadAll(r.Body)
		var in struct{ Item map[string]map[string]string }
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutItem") {
			if err := json.Unmarshal(b, &in); err != nil {
				t.Error(err)
			}
			value = in.Item["v"]["S"]
			_, _ = io.WriteString(w, "{}")
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Item": map[string]any{"v": map[string]string{"S": value}}})
	}))
	t.Cleanup(up.Close)
	keys, mine := pair(t)
	gatetest.Run(t, gatetest.Harness{
		Upstream: up.Listener.Addr().String(),
		Serve: func(t *testing.T, upstream string, a gate.Authority) func(context.Context, net.Listener) error {
			return gateOf(t, keys, "http://"+upstream, a, nil)
		},
		Dial: func(_ *testing.T, addr string) gatetest.Client {
			return dial(addr, sigv4.Key{ID: mine.ID, Secret: mine.Secret, Token: mine.Token})
		},
		IsWrite: func(a *action.Action) bool { return a.Verb == "dynamodb:putitem" },
		Sent: func(a *action.Action, wire []byte) bool {
			_, v, has := strings.Cut(a.Statement, "Item.v.S = ")
			return has && strings.Contains(string(wire), strings.TrimSpace(v))
		},
	})
}

type client struct {
	*http.Transport
	addr string
	key  sigv4.Key

	mu    sync.Mutex
	conns []net.Conn
}

func dial(addr string, key sigv4.Key) *client {
	c := &client{addr: addr, key: key}
	c.Transport = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conns = append(c.conns, conn)
		return conn, err
	}}
	return c
}

func (c *client) do(op, body string) (string, error) {
	r, err := http.NewRequest(http.MethodPost, "http://"+c.addr+"/", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	if _, err := c.key.Sign(r, "eu-central-1", "dynamodb", hexOf(sha([]byte(body))), time.Now()); err != nil {
		return "", err
	}
	resp, err := c.RoundTrip(r)
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

func (c *client) Write(value string) error {
	v, _ := json.Marshal(value)
	_, err := c.do("PutItem", `{"TableName":"t","Item":{"v":{"S":`+string(v)+`}}}`)
	return err
}

func (c *client) Read() (string, error) {
	out, err := c.do("GetItem", `{"TableName":"t","Key":{"id":{"S":"1"}}}`)
	if err != nil {
		return "", err
	}
	var doc struct{ Item map[string]map[string]string }
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		return "", err
	}
	return doc.Item["v"]["S"], nil
}

func (c *client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
	c.CloseIdleConnections()
}

func (c *client) Junk() error {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: "+c.addr+"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"); err != nil {
		return err
	}
	b, err := io.ReadAll(conn)
	if err == nil && !strings.HasPrefix(string(b), "HTTP/1.1 400 ") {
		err = errors.New("answered " + string(b))
	}
	return err
}
