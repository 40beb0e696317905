package kubernetes

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	classify "github.com/assenthq/assent/internal/classify/kubernetes"
	"github.com/assenthq/assent/internal/recording"
	"github.com/assenthq/assent/internal/webwire"
	"github.com/gorilla/websocket"
)

// Protocols that are spoken over a WebSocket: remote commands in channels, and the
// tunnel of port-forward (KEP-4006).
const (
	channelsV5 = "v5.channel.k8s.io"
	channelsV4 = "v4.channel.k8s.io"
	tunnel     = "SPDY/3.1+portforward.k8s.io"
)

// Channels of a remote command.
const (
	chanOut    = 1
	chanErr    = 2
	chanStatus = 3
	chanResize = 4
)

const (
	maxFrame  = 4 << 20
	dialTime  = 15 * time.Second
	writeTime = 30 * time.Second
)

func streams(r *classify.Reading) bool {
	return r.Subresource == "exec" || r.Subresource == "attach" || r.Subresource == "portforward"
}

// mayStream says what is wrong with the way in which a stream is asked for.
func (g *Gate) mayStream(x *httpgate.Exchange, r *classify.Reading) error {
	if !websocket.IsWebSocketUpgrade(x.Came) || x.Came.Method != http.MethodGet {
		if d := g.late.find(x.Came, x.Credential); d != nil {
			return d
		}
		return &gate.Denied{Status: gate.StatusDenied, Reason: r.Subresource + " is taken over a WebSocket only", Hint: "use kubectl 1.31 or newer, without KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false or KUBECTL_PORT_FORWARD_WEBSOCKETS=false"}
	}
	if x.Came.Header.Get("Origin") != "" {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "web pages may not open a stream", Hint: "use kubectl"}
	}
	if protocol(x.Came, r) == "" {
		return &gate.Denied{Status: gate.StatusUnreadable, Reason: "the WebSocket's protocol is on no list", Hint: "use kubectl 1.31 or newer"}
	}
	if r.Subresource != "portforward" && g.o.Recordings == nil {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "there is nowhere to record it, so there is no " + r.Subresource, Hint: "an operator can look"}
	}
	g.late.note(x.Request, x.Credential)
	return nil
}

// protocol is the one of those that a client offers which is spoken with the API server.
func protocol(r *http.Request, reading *classify.Reading) string {
	offered := websocket.Subprotocols(r)
	want := []string{channelsV5, channelsV4}
	if reading.Subresource == "portforward" {
		want = []string{tunnel}
	}
	for _, p := range want {
		if slices.Contains(offered, p) {
			return p
		}
	}
	return ""
}

// stream relays a permitted exec, attach or port-forward.
func (g *Gate) stream(ctx context.Context, w http.ResponseWriter, x *httpgate.Exchange, p gate.Permit, r *classify.Reading, a *action.Action) gate.Outcome {
	failed := gate.Outcome{State: gate.Failed, Code: "not sent"}
	up, err := g.dial(ctx, w, x, p, r)
	if up == nil {
		if err != nil {
			g.Refuse(w, x.Request, http.StatusBadGateway, &gate.Denied{Status: gate.StatusUnreachable, Reason: "the API server can't be reached; nothing ran", Hint: "try again later"})
		} else {
			failed.Code = "refused by the API server"
		}
		return failed
	}
	defer func() { _ = up.Close() }()
	s := &relay{permit: p, up: up, raw: r.Subresource == "portforward"}
	if !s.raw {
		if s.rec, err = g.o.Recordings.New(g.header(a, r, p)); err != nil {
			g.o.Log.Error("a terminal can't be recorded, so there is none", "gate", g.o.Name, "err", err)
			g.Refuse(w, x.Request, http.StatusInternalServerError, &gate.Denied{Status: gate.StatusNobody, Reason: "it can't be recorded, so there is none", Hint: "an operator must look: the data directory may be full"})
			return failed
		}
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{up.Subprotocol()}, ReadBufferSize: 32 << 10, WriteBufferSize: 32 << 10, CheckOrigin: func(*http.Request) bool { return true }}
	s.down, err = upgrader.Upgrade(w, x.Came, nil)
	if err != nil {
		return gate.Outcome{State: gate.Unknown, Code: "the client left"}
	}
	webwire.Aside(s.down.NetConn())
	defer func() { _ = s.down.Close() }()
	s.tty = x.Request.URL.Query().Get("tty") == "true"
	return s.run(ctx)
}

// dial opens the stream at the API server. Without an error, nil means that the server refused, and that the
// client was told what it said.
func (g *Gate) dial(ctx context.Context, w http.ResponseWriter, x *httpgate.Exchange, p gate.Permit, r *classify.Reading) (*websocket.Conn, error) {
	h := http.Header{"User-Agent": {x.Request.UserAgent()}}
	if err := g.sign(ctx, h); err != nil {
		return nil, err
	}
	to := *g.o.Upstream
	to.Scheme = map[string]string{"https": "wss", "http": "ws"}[to.Scheme]
	escaped := strings.TrimSuffix(g.o.Upstream.EscapedPath(), "/") + x.Request.URL.EscapedPath()
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, err
	}
	to.Path, to.RawPath, to.RawQuery = plain, escaped, x.Request.URL.RawQuery
	d := websocket.Dialer{
		HandshakeTimeout: dialTime, TLSClientConfig: g.dialTLS(), Subprotocols: []string{protocol(x.Came, r)},
		NetDialContext: g.o.Transport.DialContext, ReadBufferSize: 32 << 10, WriteBufferSize: 32 << 10,
	}
	up, resp, err := d.DialContext(ctx, to.String(), h)
	if err == nil && up.Subprotocol() == "" {
		_ = up.Close()
		return nil, errProtocol
	}
	if err == nil || resp == nil {
		return up, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(max(resp.StatusCode, 400))
	_, _ = w.Write(p.Text(b))
	return nil, nil
}

type protocolError struct{}

func (protocolError) Error() string { return "the API server speaks no protocol that was offered" }

var errProtocol = protocolError{}

func (g *Gate) header(a *action.Action, r *classify.Reading, p gate.Permit) recording.Header {
	h := recording.Header{Width: 80, Height: 24, Title: string(p.Text([]byte(a.Title))), About: recording.About{
		Subject: a.Subject, Gate: g.o.Name, Resource: a.Resource.URN, User: r.Target, Command: string(p.Text([]byte(strings.Join(r.Command, " ")))),
	}}
	if len(a.Actors) > 0 {
		h.About.Actor = a.Actors[0].ID
	}
	return h
}

// A relay passes messages between a client and the API server.
type relay struct {
	permit   gate.Permit
	up, down *websocket.Conn
	rec      *recording.Recording
	tty, raw bool

	mu    sync.Mutex // a permit and a connection's writing side are used by one goroutine at a time; guards what follows
	outs  map[byte]*channel
	bytes int64
	code  string
	told  bool // how the command ended
}

// A channel is one stream of output, masked as it comes.
type channel struct {
	r      *relay
	n      byte
	stream gate.Stream
}

// Write takes what is masked, and passes it on once it is recorded. r.mu is held.
func (c *channel) Write(b []byte) (int, error) {
	if c.r.rec != nil {
		if err := c.r.rec.Output(b); err != nil {
			return 0, &gate.Denied{Status: gate.StatusLimit, Reason: "it can't be recorded any further, so it ends"}
		}
	}
	return len(b), c.r.send(append([]byte{c.n}, b...))
}

func (r *relay) send(b []byte) error {
	_ = r.down.SetWriteDeadline(time.Now().Add(writeTime))
	return r.down.WriteMessage(websocket.BinaryMessage, b)
}

// run relays until one side ends, or ctx does: the session was cut.
func (r *relay) run(ctx context.Context) gate.Outcome {
	r.outs = map[byte]*channel{}
	r.up.SetReadLimit(maxFrame)
	r.down.SetReadLimit(maxFrame)
	ended := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() { _ = r.up.Close() })
	defer stopped()
	go func() { // the client's side: ends when either connection is closed
		defer close(ended)
		r.inward()
		_ = r.up.Close()
	}()
	err := r.outward()
	if ctx.Err() != nil {
		err = &gate.Denied{Status: gate.StatusDenied, Reason: "the session was ended", Hint: "ask for a new credential"}
	}
	r.finish(err)
	_ = r.down.Close()
	<-ended
	out := gate.Outcome{State: gate.Executed, Code: r.code, Bytes: r.bytes}
	switch {
	case ctx.Err() != nil:
		out.State, out.Code = gate.Unknown, "the session was ended"
	case r.code == gate.StatusLost:
		out.State = gate.Unknown
	}
	if r.rec != nil {
		digest, err := r.rec.Close()
		out.Kept = r.rec.ID
		if err == nil {
			out.KeptDigest = digest
		}
	}
	return out
}

// inward passes what the client sends. Of a size it takes note for the recording.
func (r *relay) inward() {
	for {
		kind, b, err := r.down.ReadMessage()
		if err != nil {
			return
		}
		if !r.raw && r.rec != nil && len(b) > 1 && b[0] == chanResize {
			if w, h, ok := size(b[1:]); ok {
				_ = r.rec.Resize(w, h)
			}
		}
		_ = r.up.SetWriteDeadline(time.Now().Add(writeTime))
		if r.up.WriteMessage(kind, b) != nil {
			return
		}
	}
}

// outward masks and passes what the API server sends.
func (r *relay) outward() error {
	for {
		kind, b, err := r.up.ReadMessage()
		if err != nil {
			return err
		}
		r.mu.Lock()
		err = r.show(kind, b)
		r.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (r *relay) show(kind int, b []byte) error {
	if err := r.permit.Count(0, int64(len(b))); err != nil {
		return err
	}
	r.bytes += int64(len(b))
	switch {
	case r.raw:
		_ = r.down.SetWriteDeadline(time.Now().Add(writeTime))
		return r.down.WriteMessage(kind, b)
	case kind != websocket.BinaryMessage || len(b) == 0:
		return nil
	case b[0] == chanOut || b[0] == chanErr:
		c := r.outs[b[0]]
		if c == nil {
			c = &channel{r: r, n: b[0]}
			c.stream = r.permit.Stream(c, false)
			r.outs[b[0]] = c
		}
		if len(b) == 1 { // kubelets open a channel so
			return r.send(b)
		}
		if _, err := c.stream.Write(b[1:]); err != nil {
			return err
		}
		if last := b[len(b)-1]; r.tty || last == '\n' || len(b) < 1<<10 {
			return c.stream.Flush() // somebody may wait for a prompt
		}
		return nil
	case b[0] == chanStatus:
		if err := r.flush(); err != nil {
			return err
		}
		if len(b) > 1 {
			r.told, r.code = true, exitOf(b[1:])
			b = append([]byte{chanStatus}, r.permit.Text(b[1:])...)
		}
	}
	return r.send(b)
}

func (r *relay) flush() error {
	for _, c := range r.outs {
		if err := c.stream.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// finish passes on what is kept back, and says why the stream ended.
func (r *relay) finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.flush()
	code, why := websocket.CloseNormalClosure, ""
	d := denied(err)
	if d == nil && !r.told && !r.raw {
		d = &gate.Denied{Status: gate.StatusLost, Reason: "the stream ended without saying how: nobody here knows what became of the command"}
	}
	if d != nil {
		code, why = websocket.ClosePolicyViolation, clip(message(d), 120)
		r.code = d.Status
	}
	if d != nil && !r.raw && !r.told { // clients take an end without a status for success
		b, err := json.Marshal(status{Kind: "Status", APIVersion: "v1", Status: "Failure", Message: message(d), Reason: "Forbidden", Code: http.StatusForbidden})
		if err == nil {
			_ = r.send(append([]byte{chanStatus}, b...))
		}
	}
	_ = r.down.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(time.Second))
}

// exitOf is what became of a command, by the Status that ends it.
func exitOf(b []byte) string {
	if s := string(b); strings.Contains(s, `"status":"Success"`) {
		return "0"
	} else if _, rest, is := strings.Cut(s, `"reason":"ExitCode","message":"`); is {
		if n, _, is := strings.Cut(rest, `"`); is {
			if _, err := strconv.Atoi(n); err == nil {
				return n
			}
		}
	}
	return "failed"
}
