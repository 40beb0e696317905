package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate/gatetest"
)

// A request that calls itself gRPC gets from an application that speaks none what any request gets.
func TestARequestThatIsNoGRPC(t *testing.T) {
	const mail = "ana.lopes@example.net"
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Owner", mail)
		switch r.URL.Path {
		case "/moved":
			w.Header().Set("Location", "/of/"+mail)
			w.WriteHeader(http.StatusFound)
			return
		case "/frames":
			w.Header().Set("Content-Type", "application/grpc")
			_, _ = io.WriteString(w, "\x00\x00\x00\x00\x15"+mail)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		if enc := r.Header.Get("Accept-Encoding"); enc != "identity" || r.Header.Get("Range") != "" {
			t.Errorf("the application was asked for %q, %q", enc, r.Header.Get("Range"))
		}
		_, _ = io.WriteString(w, "of "+mail)
	}))
	t.Cleanup(up.Close)
	addr := serve(t, newGate(t, up.Listener.Addr().String(), &gatetest.Authority{Mask: hide}, nil))
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	for path, want := range map[string]string{"/moved": "", "/plain": "of [masked:email]", "/frames": "\x00\x00\x00\x00\x15*********************"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header = http.Header{"Authorization": {"Bearer " + gatetest.Token}, "Content-Type": {"application/grpc"}, "Accept-Encoding": {"gzip"}, "Range": {"bytes=3-"}}
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", path, b, err)
		}
		for name, values := range resp.Header {
			if strings.Contains(strings.Join(values, " "), mail) {
				t.Errorf("%s: %s: %v", path, name, values)
			}
		}
	}
}

// What is said in a WebSocket nobody knows: where no row of a mapping names it, it isn't a read.
func TestWebSocketIsNoRead(t *testing.T) {
	seen := make(chan *http.Request, 1)
	a := &gatetest.Authority{}
	addr := serve(t, newGate(t, echo(t, seen), a, nil))
	if _, _, err := dialSocket(t, addr, "/ws", nil); err != nil {
		t.Fatal(err)
	}
	if act := a.Actions()[0]; !slices.Contains(act.Kinds, action.Unknown) {
		t.Errorf("asked for %v", act.Kinds)
	}
}

// JSON in a WebSocket's messages is masked by its names, as it is in a body.
func TestWebSocketNames(t *testing.T) {
	seen := make(chan *http.Request, 1)
	addr := serve(t, newGate(t, echo(t, seen), &gatetest.Authority{Mask: hide}, nil))
	c, _, err := dialSocket(t, addr, "/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"mail":"ana.lopes\u0040example.net","data":"{\"to\":\"ana.lopes\\u0040example.net\"}"}`)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.ReadMessage(); err != nil || string(got) != `{"mail":"[masked:email]","data":"{\"to\":\"[masked:email]\"}"}` {
		t.Errorf("came back as %s, %v", got, err)
	}
}
