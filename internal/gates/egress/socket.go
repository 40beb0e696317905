package egress

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
)

// What a WebSocket is held to.
const (
	maxSocketMessage = 1 << 20
	socketBeat       = 20 * time.Second // how often each side is asked whether it is there
	socketWrite      = 30 * time.Second // how long one message may take to be taken
)

// wantsSocket says that a request would become a WebSocket.
func wantsSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && websocket.IsWebSocketUpgrade(r)
}

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
	header := x.Request.Header.Clone()
	for name := range header {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			delete(header, name)
		}
	}
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
	defer func() { _ = up.Close() }()
	take := websocket.Upgrader{HandshakeTimeout: 10 * time.Second, CheckOrigin: func(*http.Request) bool { return true }} // the host looks at it
	if chosen := up.Subprotocol(); chosen != "" {
		take.Subprotocols = []string{chosen}
	}
	client, err := take.Upgrade(w, x.Came, nil)
	if err != nil {
		out.State, out.Code = gate.Unknown, "the client left"
		return out
	}
	defer func() { _ = client.Close() }()
	s := &socket{ends: [2]*websocket.Conn{client, up}, permit: p, find: g.o.Classes, carried: map[string]int64{}}
	s.run(ctx)
	out.State, out.Code, out.Bytes = gate.Executed, "101", s.bytes
	if len(s.carried) > 0 {
		out.Carried = s.carried
	}
	return out
}

const toClient, toHost = 0, 1

// A socket is one WebSocket between a client and a host.
type socket struct {
	ends    [2]*websocket.Conn
	writing [2]sync.Mutex // one frame at a time
	permit  gate.Permit   // used by what comes back alone
	find    func(string) []string

	carried map[string]int64 // owned by what goes out until it has ended
	bytes   int64            // owned by what comes back until it has ended
}

// run passes messages both ways until one side ends, or ctx.
func (s *socket) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, c := range s.ends {
		c.SetReadLimit(maxSocketMessage)
		_ = c.SetReadDeadline(time.Now().Add(3 * socketBeat))
		c.SetPongHandler(func(string) error { return c.SetReadDeadline(time.Now().Add(3 * socketBeat)) })
	}
	var work sync.WaitGroup
	pass := func(from, to int, look func(kind int, msg []byte) ([]byte, error)) {
		defer cancel()
		for {
			kind, msg, err := s.ends[from].ReadMessage()
			if err == nil {
				msg, err = look(kind, msg)
			}
			if err == nil {
				err = s.write(to, kind, msg)
			}
			if err != nil {
				s.goodbye(to, err)
				return
			}
		}
	}
	work.Go(func() { pass(toClient, toHost, s.out) })
	work.Go(func() { pass(toHost, toClient, s.back) })
	work.Go(func() { s.beat(ctx) })
	<-ctx.Done()
	for _, c := range s.ends {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
	}
	work.Wait()
}

// out looks into a message of the client's.
func (s *socket) out(_ int, msg []byte) ([]byte, error) {
	for _, class := range s.find(string(msg)) {
		s.carried[class]++
	}
	return msg, nil
}

// back masks and counts a message of the host's. In what is no text a value's bytes become as many '*'.
func (s *socket) back(kind int, msg []byte) ([]byte, error) {
	if err := s.permit.Count(1, int64(len(msg))); err != nil {
		return nil, err
	}
	s.bytes += int64(len(msg))
	if kind == websocket.TextMessage {
		return s.permit.Text(msg), nil
	}
	if s.permit.Bare() {
		return msg, nil
	}
	var to bytes.Buffer
	st := s.permit.Stream(&to, true)
	if _, err := st.Write(msg); err != nil {
		return nil, err
	}
	err := st.Close()
	return to.Bytes(), err
}

func (s *socket) write(way, kind int, msg []byte) error {
	s.writing[way].Lock()
	defer s.writing[way].Unlock()
	_ = s.ends[way].SetWriteDeadline(time.Now().Add(socketWrite))
	return s.ends[way].WriteMessage(kind, msg)
}

// goodbye tells one side how the other ended, by a code: its words may hold anything.
func (s *socket) goodbye(way int, err error) {
	code, why := websocket.CloseGoingAway, ""
	var said *websocket.CloseError
	var d *gate.Denied
	switch {
	case errors.As(err, &d):
		code, why = websocket.ClosePolicyViolation, d.Status
	case errors.Is(err, websocket.ErrReadLimit):
		code = websocket.CloseMessageTooBig
	case errors.As(err, &said) && said.Code != websocket.CloseNoStatusReceived && said.Code != websocket.CloseAbnormalClosure && said.Code != websocket.CloseTLSHandshake:
		code = said.Code
	}
	_ = s.ends[way].WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(time.Second))
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
		for _, c := range s.ends {
			_ = c.WriteControl(websocket.PingMessage, nil, time.Now().Add(5*time.Second))
		}
	}
}
