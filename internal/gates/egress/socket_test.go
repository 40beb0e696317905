package egress

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

func TestWebSockets(t *testing.T) {
	up := websocket.Upgrader{}
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		for {
			kind, msg, err := c.ReadMessage()
			if err != nil {
				return
			}
			if err := c.WriteMessage(kind, append([]byte("secret "), msg...)); err != nil {
				return
			}
		}
	})
	a := &gatetest.Authority{Mask: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("secret"), []byte("[gone]")) }}
	p := serve(t, a, nil, at(s, "example.com", func(h *Host) { h.Routine = true }))
	d := websocket.Dialer{Proxy: http.ProxyURL(p.url(gatetest.Token)), TLSClientConfig: &tls.Config{RootCAs: p.ca}}
	c, resp, err := d.DialContext(t.Context(), "wss://example.com/talk", nil)
	if err != nil {
		t.Fatal(err, resp)
	}
	if err := c.WriteMessage(websocket.TextMessage, []byte("to mira@example.org")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.ReadMessage(); err != nil || string(got) != "[gone] to mira@example.org" {
		t.Errorf("%q, %v", got, err)
	}
	_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	_, _, _ = c.ReadMessage()
	_ = c.Close()
	asked := a.Actions()
	if len(asked) != 1 || asked[0].Verb != "websocket" || asked[0].Routine || !asked[0].Data.Unscanned || !slices.Contains(asked[0].Kinds, action.DataExport) {
		t.Errorf("%+v", asked)
	}
	for _, r := range s.requests() {
		if strings.Contains(r, gatetest.Token) || strings.Contains(r, "Proxy-") {
			t.Error(r)
		}
	}
	for range 200 {
		if o := a.Outcomes(); len(o) == 1 {
			if o[0].State != gate.Executed || o[0].Carried["email"] != 1 {
				t.Errorf("%+v", o[0])
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the permit was not completed")
}
