package egress

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
)

// socket makes call one that opens a WebSocket: what will be sent in it nobody knows before.
func (g *Gate) socket(call *httpgate.Call, h *Host, a *action.Action, scheme string) {
	a.Verb, a.Title, a.Routine, a.Reversible = "websocket", "WebSocket to "+a.Data.Destination, false, false
	a.Data.Unscanned = true
	if h.external() && !slices.Contains(a.Kinds, action.DataExport) {
		a.Kinds = append(a.Kinds, action.DataExport)
	}
	call.Live = true
	call.Loose = append(call.Loose, "Sec-Websocket-Key")
	call.Take = func(ctx context.Context, w http.ResponseWriter, x *httpgate.Exchange, p gate.Permit) gate.Outcome {
		return g.talk(ctx, w, x, call, h, scheme, p)
	}
}

// talk opens a WebSocket at the host, takes the client's, and passes messages until one side ends.
func (g *Gate) talk(ctx context.Context, w http.ResponseWriter, x *httpgate.Exchange, call *httpgate.Call, h *Host, scheme string, p gate.Permit) gate.Outcome {
	out := gate.Outcome{State: gate.Failed, Code: "not sent", Untrusted: call.Reply.Untrusted}
	header := httpgate.SocketHeader(x)
	header.Set("Host", x.Request.Host) // gorilla takes it from there
	d := websocket.Dialer{
		NetDialContext: h.Upstream.dial, TLSClientConfig: h.Upstream.tls.Clone(), HandshakeTimeout: 15 * time.Second,
		Subprotocols: websocket.Subprotocols(x.Came),
	}
	in := x.Request.URL
	at := url.URL{Scheme: "ws" + strings.TrimPrefix(scheme, "http"), Host: call.Upstream.URL.Host, Path: in.Path, RawPath: in.RawPath, RawQuery: in.RawQuery}
	up, resp, err := d.DialContext(ctx, at.String(), header) //nolint:bodyclose // of a copy that gorilla made
	if err != nil {
		denied := &gate.Denied{Status: gate.StatusUnreachable, Reason: call.Upstream.URL.Host + " can't be reached; nothing was sent"}
		if resp != nil {
			out.Code = strconv.Itoa(resp.StatusCode)
			denied = &gate.Denied{Status: gate.StatusLost, Reason: "the host took no WebSocket there; it answered " + out.Code}
		}
		_ = errors.As(explain(call.Upstream.URL.Hostname(), err), &denied)
		protocol{g}.Refuse(w, x.Request, http.StatusBadGateway, denied)
		return out
	}
	passing := httpgate.Socket{Upstream: up, Permit: p, Find: func(msg []byte) map[string]int64 {
		found := map[string]int64{}
		for _, class := range g.o.Classes(string(msg)) {
			found[class]++
		}
		return found
	}}
	done := passing.Serve(ctx, w, x)
	done.Untrusted = out.Untrusted
	return done
}
