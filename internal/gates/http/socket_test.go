package proxy

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

// hide masks one planted value, wherever it stands.
func hide(v []byte) []byte {
	return bytes.ReplaceAll(v, []byte("ana.lopes@example.net"), []byte("[masked:email]"))
}

// echo is an upstream of WebSockets that sends back what it is sent, and tells of its first request.
func echo(t *testing.T, seen chan<- *http.Request) string {
	t.Helper()
	take := websocket.Upgrader{Subprotocols: []string{"chat"}, CheckOrigin: func(*http.Request) bool { return true }}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		if r.URL.Path != "/ws" {
			http.NotFound(w, r)
			return
		}
		c, err := take.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		for {
			kind, msg, err := c.ReadMessage()
			if err != nil {
				return
			}
			if string(msg) == "bye" {
				_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "seen by ana.lopes@example.net"), time.Now().Add(time.Second))
				continue
			}
			if c.WriteMessage(kind, msg) != nil {
				return
			}
		}
	}))
	t.Cleanup(up.Close)
	return up.Listener.Addr().String()
}

func dialSocket(t *testing.T, addr, path string, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Host", host)
	if header.Get("Authorization") == "" {
		header.Set("Authorization", "Bearer "+gatetest.Token)
	}
	c, resp, err := (&websocket.Dialer{Subprotocols: []string{"other", "chat"}, EnableCompression: true}).Dial("ws://"+addr+path, header)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, resp, err
}

func TestWebSocket(t *testing.T) {
	seen := make(chan *http.Request, 10)
	a := &gatetest.Authority{Mask: hide}
	found := make(chan string, 10)
	addr := serve(t, newGate(t, echo(t, seen), a, func(o *Config) {
		o.Routes[0].MaxBody = 1000
		o.Find = func(b []byte) map[string]int64 { found <- string(b); return map[string]int64{"card": 1} }
	}))
	c, resp, err := dialSocket(t, addr, "/ws?room=1", http.Header{"X-Forwarded-User": {"admin"}, "Cookie": {"a=1; assent-web-0=x"}})
	if err != nil {
		t.Fatal(err, resp)
	}
	r := <-seen
	if r.Header.Get("Authorization") != "" || r.Header.Get("X-Forwarded-User") != "" || r.Header.Get("Cookie") != "a=1" || r.RequestURI != "/ws?room=1" || strings.Contains(r.Header.Get("Sec-Websocket-Extensions"), "deflate") {
		t.Errorf("the upstream got %s %v", r.RequestURI, r.Header)
	}
	if c.Subprotocol() != "chat" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
	for _, m := range []struct {
		kind       int
		sent, want string
	}{
		{websocket.TextMessage, "hello", "hello"},
		{websocket.TextMessage, "to ana.lopes@example.net!", "to [masked:email]!"},
		{websocket.BinaryMessage, "\x00\x15ana.lopes@example.net\x01", "\x00\x15*********************\x01"},
	} {
		if err := c.WriteMessage(m.kind, []byte(m.sent)); err != nil {
			t.Fatal(err)
		}
		kind, got, err := c.ReadMessage()
		if err != nil || kind != m.kind || string(got) != m.want {
			t.Errorf("%q came back as %q, %v", m.sent, got, err)
		}
		if got := <-found; got != m.sent {
			t.Errorf("looked into %q", got)
		}
	}
	if err := c.WriteMessage(websocket.TextMessage, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	var said *websocket.CloseError
	if _, _, err := c.ReadMessage(); !errors.As(err, &said) || said.Code != 4001 || said.Text != "seen by [masked:email]" {
		t.Errorf("closed by %v", err)
	}
	_ = c.Close()
	o := outcome(t, a)
	if o.State != gate.Executed || o.Code != "101" || o.Carried["card"] != 4 || o.Bytes == 0 {
		t.Errorf("outcome %+v", o)
	}
	act := a.Actions()[0]
	if act.Verb != "get" || !act.Data.Unscanned {
		t.Errorf("asked for %+v", act)
	}

	big, _, err := dialSocket(t, addr, "/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = big.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("x"), 1001))
	if _, _, err := big.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
		t.Errorf("a long message: %v", err)
	}
}

// outcome waits for the first outcome.
func outcome(t *testing.T, a *gatetest.Authority) gate.Outcome {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if all := a.Outcomes(); len(all) > 0 {
			return all[0]
		}
	}
	t.Fatal("no outcome")
	return gate.Outcome{}
}

// What must be decided is decided before the upstream hears anything.
func TestWebSocketRefused(t *testing.T) {
	seen := make(chan *http.Request, 10)
	a := &gatetest.Authority{Decide: func(context.Context, *action.Action, func(gate.Held)) error {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "not today"}
	}}
	addr := serve(t, newGate(t, echo(t, seen), a, nil))
	for name, header := range map[string]http.Header{"denied": {}, "a wrong token": {"Authorization": {"Bearer wrong"}}} {
		_, resp, err := dialSocket(t, addr, "/ws", header)
		want := map[string]int{"denied": http.StatusForbidden, "a wrong token": http.StatusUnauthorized}[name]
		if err == nil || resp == nil || resp.StatusCode != want {
			t.Errorf("%s: %v", name, resp)
		}
	}
	if len(seen) > 0 {
		t.Error("the upstream heard of it")
	}
	other := serve(t, newGate(t, echo(t, seen), &gatetest.Authority{}, nil))
	if _, resp, err := dialSocket(t, other, "/nothing", nil); err == nil || resp == nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("an upstream that takes none: %v", resp)
	}
}

// A session that ends, ends its WebSockets.
func TestWebSocketCut(t *testing.T) {
	a := &gatetest.Authority{}
	addr := serve(t, newGate(t, echo(t, make(chan *http.Request, 10)), a, nil))
	c, _, err := dialSocket(t, addr, "/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Cut()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("after the cut: %v", err)
	}
}
