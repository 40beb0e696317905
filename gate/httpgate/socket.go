package httpgate

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/veil"
)

// What a WebSocket is held to.
const (
	maxSocketMessage = 1 << 20          // bytes, where nothing else is said
	socketBeat       = 20 * time.Second // how often each side is asked whether it is there
	socketWrite      = 30 * time.Second // how long one message may take to be taken
)

// WantsSocket says that a request would become a WebSocket (RFC 6455).
func WantsSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && websocket.IsWebSocketUpgrade(r)
}

// SocketHeader is the header with which an upstream is asked for a WebSocket in place of who came for it.
func SocketHeader(x *Exchange) http.Header {
	h := x.Request.Header.Clone()
	for name := range h {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			delete(h, name)
		}
	}
	return h
}

// A Socket passes the messages of a WebSocket, whose opening was permitted, between a client and an upstream.
type Socket struct {
	Upstream *websocket.Conn
	Permit   gate.Permit
	Limit    int64                         // of one message, in bytes; 0: 1 MiB
	Find     func([]byte) map[string]int64 // what a message of the client's holds, by class; may be nil

	ends    [2]*websocket.Conn
	writing [2]sync.Mutex // one frame at a time

	carried map[string]int64 // owned by what goes up until it has ended
	bytes   int64            // owned by what comes down until it has ended
	denied  *gate.Denied     // likewise
}

const toClient, toUpstream = 0, 1

// Serve takes the client's side, and passes messages until either side ends, or ctx. It closes both. Each message that
// comes back is masked and counted; what goes up is looked into for the record.
func (s *Socket) Serve(ctx context.Context, w http.ResponseWriter, x *Exchange) gate.Outcome {
	defer func() { _ = s.Upstream.Close() }()
	out := gate.Outcome{State: gate.Unknown, Code: "the client left"}
	take := websocket.Upgrader{HandshakeTimeout: 10 * time.Second, CheckOrigin: func(*http.Request) bool { return true }} // the gate or the upstream has looked at it
	if chosen := s.Upstream.Subprotocol(); chosen != "" {
		take.Subprotocols = []string{chosen}
	}
	client, err := take.Upgrade(w, x.Came, nil)
	if err != nil {
		return out
	}
	defer func() { _ = client.Close() }()
	s.ends, s.carried = [2]*websocket.Conn{client, s.Upstream}, map[string]int64{}
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

// run passes messages both ways until one side ends, or ctx.
func (s *Socket) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := s.Limit
	if limit <= 0 {
		limit = maxSocketMessage
	}
	for _, c := range s.ends {
		c.SetReadLimit(limit)
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
	work.Go(func() { pass(toClient, toUpstream, s.up) })
	work.Go(func() { pass(toUpstream, toClient, s.down) })
	work.Go(func() { s.beat(ctx) })
	<-ctx.Done()
	for i, c := range s.ends {
		s.goodbye(i, context.Canceled)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
	}
	work.Wait()
}

// up looks into a message of the client's.
func (s *Socket) up(_ int, msg []byte) ([]byte, error) {
	if s.Find != nil {
		for class, n := range s.Find(msg) {
			s.carried[class] += n
		}
	}
	return msg, nil
}

// down masks and counts a message of the upstream's. What is JSON is masked by its names too; in what is no
// text a value's bytes become as many '*'.
func (s *Socket) down(kind int, msg []byte) ([]byte, error) {
	if err := s.Permit.Count(1, int64(len(msg))); err != nil {
		errors.As(err, &s.denied)
		return nil, err
	}
	s.bytes += int64(len(msg))
	if s.Permit.Bare() {
		return msg, nil
	}
	if kind == websocket.TextMessage {
		return veil.Message(s.Permit, msg)
	}
	var to bytes.Buffer
	st := s.Permit.Stream(&to, true)
	if _, err := st.Write(msg); err != nil {
		return nil, err
	}
	err := st.Close()
	return to.Bytes(), err
}

func (s *Socket) write(way, kind int, msg []byte) error {
	s.writing[way].Lock()
	defer s.writing[way].Unlock()
	_ = s.ends[way].SetWriteDeadline(time.Now().Add(socketWrite))
	return s.ends[way].WriteMessage(kind, msg)
}

// goodbye tells one side how the other ended. Its words are a message as any other.
func (s *Socket) goodbye(way int, err error) {
	code, why := websocket.CloseGoingAway, ""
	var said *websocket.CloseError
	var d *gate.Denied
	switch {
	case errors.As(err, &d):
		code, why = websocket.ClosePolicyViolation, Sentence(d)
	case errors.Is(err, websocket.ErrReadLimit):
		code = websocket.CloseMessageTooBig
	case errors.As(err, &said) && said.Code != websocket.CloseNoStatusReceived && said.Code != websocket.CloseAbnormalClosure && said.Code != websocket.CloseTLSHandshake:
		code = said.Code
		if said.Text != "" {
			if words, err := s.words(way, []byte(said.Text)); err == nil {
				why = string(words)
			}
		}
	}
	for len(why) > 123 { // RFC 6455 section 5.5
		why = strings.ToValidUTF8(why[:123], "")
	}
	_ = s.ends[way].WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(time.Second))
}

func (s *Socket) words(way int, said []byte) ([]byte, error) {
	if way == toUpstream {
		return s.up(websocket.TextMessage, said)
	}
	return s.down(websocket.TextMessage, said)
}

// beat has both sides say that they are there.
func (s *Socket) beat(ctx context.Context) {
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
