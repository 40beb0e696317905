package proxy

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
)

// What a WebSocket is held to.
const (
	maxSocketMessage = 1 << 20          // bytes, where the route says nothing
	socketBeat       = 20 * time.Second // how often each side is asked whether it is there
	socketWrite      = 30 * time.Second // how long one message may take to be taken
)

func wantsSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && websocket.IsWebSocketUpgrade(r)
}

// A socket is one WebSocket between a client and an upstream.
type socket struct {
	client, upstream *websocket.Conn
	permit           gate.Permit // used by down alone
	find             func([]byte) map[string]int64

	carried map[string]int64 // owned by up until it has ended
	bytes   int64            // owned by down until it has ended
	denied  *gate.Denied     // likewise

	writing [2]sync.Mutex // one frame at a time: to the client, to the upstream
}

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
	up, status, err := g.dial(ctx, x, rt, call, u)
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
	defer func() { _ = up.Close() }()
	take := websocket.Upgrader{HandshakeTimeout: 10 * time.Second, CheckOrigin: func(*http.Request) bool { return true }} // looked at before
	if chosen := up.Subprotocol(); chosen != "" {
		take.Subprotocols = []string{chosen}
	}
	client, err := take.Upgrade(w, x.Came, nil)
	if err != nil {
		out.State, out.Code = gate.Unknown, "the client left"
		return out
	}
	defer func() { _ = client.Close() }()
	limit := rt.MaxBody
	if limit <= 0 {
		limit = maxSocketMessage
	}
	client.SetReadLimit(limit)
	up.SetReadLimit(limit)
	s := &socket{client: client, upstream: up, permit: p, find: g.o.Find, carried: map[string]int64{}}
	s.run(ctx)
	out.State, out.Code, out.Bytes = gate.Executed, "101", s.bytes
	if len(s.carried) > 0 {
		out.Carried = s.carried
	}
	if s.denied != nil {
		out.Code = s.denied.Status
	}
	return out
}

// dial opens the upstream's side with the headers that any request of the route has. status is what the
// upstream answered, 0 if it didn't.
func (g *Gate) dial(ctx context.Context, x *httpgate.Exchange, rt *Route, call *httpgate.Call, u *upstream) (c *websocket.Conn, status int, err error) {
	req := &http.Request{Method: http.MethodGet, Header: x.Request.Header.Clone(), Host: call.Upstream.Host}
	for name := range req.Header {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			delete(req.Header, name)
		}
	}
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
	d := websocket.Dialer{TLSClientConfig: rt.TLS.Clone(), HandshakeTimeout: 15 * time.Second, Subprotocols: websocket.Subprotocols(x.Came)}
	c, resp, err := d.DialContext(ctx, at.String(), req.Header)
	if resp != nil {
		status = resp.StatusCode
		_ = resp.Body.Close()
	}
	return c, status, err
}

const toClient, toUpstream = 0, 1

// run passes messages both ways until one side ends, or ctx.
func (s *socket) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, c := range []*websocket.Conn{s.client, s.upstream} {
		_ = c.SetReadDeadline(time.Now().Add(3 * socketBeat))
		c.SetPongHandler(func(string) error { return c.SetReadDeadline(time.Now().Add(3 * socketBeat)) })
	}
	var work sync.WaitGroup
	work.Go(func() {
		defer cancel()
		s.end(toUpstream, s.up(ctx), nil)
	})
	work.Go(func() {
		defer cancel()
		s.end(toClient, s.down(ctx), s.permit)
	})
	work.Go(func() { s.beat(ctx) })
	<-ctx.Done()
	for way, c := range []*websocket.Conn{s.client, s.upstream} {
		s.goodbye(way, websocket.CloseGoingAway, "")
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
	}
	work.Wait()
}

// up passes the client's messages on.
func (s *socket) up(ctx context.Context) error {
	for ctx.Err() == nil {
		kind, msg, err := s.client.ReadMessage()
		if err != nil {
			return err
		}
		if s.find != nil {
			for class, n := range s.find(msg) {
				s.carried[class] += n
			}
		}
		if err := s.write(toUpstream, kind, msg); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// down masks and counts the upstream's messages. Text is masked as text is; in what is
// no text a value's bytes become as many '*'.
func (s *socket) down(ctx context.Context) error {
	for ctx.Err() == nil {
		kind, msg, err := s.upstream.ReadMessage()
		if err != nil {
			return err
		}
		if err := s.permit.Count(1, int64(len(msg))); err != nil {
			errors.As(err, &s.denied)
			return err
		}
		s.bytes += int64(len(msg))
		if kind == websocket.TextMessage {
			msg = s.permit.Text(msg)
		} else if !s.permit.Bare() {
			if msg, err = filled(s.permit, msg); err != nil {
				return err
			}
		}
		if err := s.write(toClient, kind, msg); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func filled(p gate.Permit, msg []byte) ([]byte, error) {
	var to bytes.Buffer
	st := p.Stream(&to, true)
	if _, err := st.Write(msg); err != nil {
		return nil, err
	}
	err := st.Close()
	return to.Bytes(), err
}

func (s *socket) to(way int) *websocket.Conn {
	if way == toClient {
		return s.client
	}
	return s.upstream
}

func (s *socket) write(way, kind int, msg []byte) error {
	s.writing[way].Lock()
	defer s.writing[way].Unlock()
	c := s.to(way)
	_ = c.SetWriteDeadline(time.Now().Add(socketWrite))
	return c.WriteMessage(kind, msg)
}

// end tells one side how the other ended.
func (s *socket) end(way int, err error, p gate.Permit) {
	code, why := websocket.CloseGoingAway, ""
	var said *websocket.CloseError
	var d *gate.Denied
	switch {
	case errors.As(err, &d):
		code, why = websocket.ClosePolicyViolation, httpgate.Sentence(d)
	case errors.Is(err, websocket.ErrReadLimit):
		code = websocket.CloseMessageTooBig
	case errors.As(err, &said) && said.Code != websocket.CloseNoStatusReceived && said.Code != websocket.CloseAbnormalClosure && said.Code != websocket.CloseTLSHandshake:
		code, why = said.Code, said.Text
		if p != nil {
			why = string(p.Text([]byte(why)))
		}
	}
	s.goodbye(way, code, why)
}

func (s *socket) goodbye(way, code int, why string) {
	for len(why) > 123 { // RFC 6455 section 5.5
		why = strings.ToValidUTF8(why[:123], "")
	}
	_ = s.to(way).WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(time.Second))
}

// beat has both sides say that they are there.
func (s *socket) beat(ctx context.Context) {
	tick := time.NewTicker(socketBeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, c := range []*websocket.Conn{s.client, s.upstream} {
			_ = c.WriteControl(websocket.PingMessage, nil, time.Now().Add(5*time.Second))
		}
	}
}
