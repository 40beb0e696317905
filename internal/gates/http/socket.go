package proxy

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
)

// socket opens a WebSocket at the upstream, takes the client's, and passes messages
// until either side ends. Its opening was decided; each message is looked into.
func (g *Gate) socket(ctx context.Context, w http.ResponseWriter, x *httpgate.Exchange, rt *Route, call *httpgate.Call, p gate.Permit) gate.Outcome {
	out := gate.Outcome{State: gate.Failed, Code: "not sent", Untrusted: call.Reply.Untrusted}
	u := rt.pool.pick()
	if u == nil {
		g.Refuse(w, x.Request, http.StatusServiceUnavailable, noUpstream)
		return out
	}
	u.open.Add(1)
	defer u.open.Add(-1)
	up, status, err := g.dial(ctx, x, rt, call, u, p)
	if err != nil {
		d := &gate.Denied{Status: gate.StatusUnreachable, Reason: "the system behind the gate can't be reached", Hint: "try again later"}
		if status != 0 {
			out.Code = strconv.Itoa(status)
			d = &gate.Denied{Status: gate.StatusLost, Reason: "the system behind the gate took no WebSocket there; it answered " + out.Code}
		}
		g.o.Log.Warn("a WebSocket's upstream", "gate", g.o.Name, "route", rt.Name, "code", out.Code)
		g.Refuse(w, x.Request, http.StatusBadGateway, d)
		return out
	}
	passing := httpgate.Socket{Upstream: up, Permit: p, Limit: rt.MaxBody, Find: g.o.Find}
	done := passing.Serve(ctx, w, x)
	done.Untrusted = out.Untrusted
	return done
}

// dial opens the upstream's side with the headers that any request of the route has. status is what the
// upstream answered, 0 if it didn't.
func (g *Gate) dial(ctx context.Context, x *httpgate.Exchange, rt *Route, call *httpgate.Call, u *upstream, p gate.Permit) (c *websocket.Conn, status int, err error) {
	req := &http.Request{Method: http.MethodGet, Header: httpgate.SocketHeader(x), Host: call.Upstream.Host}
	httpgate.Traced(req.Header, p)
	if err := g.out(ctx, rt, x, req); err != nil {
		return nil, 0, err
	}
	if req.Host != "" {
		req.Header.Set("Host", req.Host) // gorilla takes it from there
	}
	at := url.URL{Scheme: "ws" + strings.TrimPrefix(u.url.Scheme, "http"), Host: u.url.Host, RawQuery: x.Request.URL.RawQuery}
	path := rt.pathFor(x.Request.URL)
	plain, err := url.PathUnescape(path)
	if err != nil {
		return nil, 0, err
	}
	at.Path, at.RawPath = plain, path
	d := websocket.Dialer{NetDialContext: rt.Dial, TLSClientConfig: rt.TLS.Clone(), HandshakeTimeout: 15 * time.Second, Subprotocols: websocket.Subprotocols(x.Came)}
	c, resp, err := d.DialContext(ctx, at.String(), req.Header)
	if resp != nil {
		status = resp.StatusCode
		_ = resp.Body.Close()
	}
	return c, status, err
}
