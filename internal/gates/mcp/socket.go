package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// The protocol of assent mcp: messages of a client on standard input and output, and
// of the server that it starts, over one WebSocket. The first byte of each frame
// says whose it is.
const (
	subprotocol = "assent-mcp.1"
	frameHello  = 'h' // the first from the client: what it runs
	frameClient = 'c' // a message from or for the client
	frameServer = 's' // a message from or for the server it runs
	frameNote   = 'e' // text for a person, from the gate
)

// hello begins a socket.
type hello struct {
	Command []string `json:"command,omitempty"`
}

// socketBeat is how often the gate looks whether the other side is there.
const socketBeat = 20 * time.Second

// socket serves one assent mcp.
func (g *Gate) socket(w http.ResponseWriter, r *http.Request, s *Server, in *caller) {
	kept := false
	defer func() {
		if !kept {
			in.release()
		}
	}()
	up := websocket.Upgrader{Subprotocols: []string{subprotocol}, CheckOrigin: func(*http.Request) bool { return true }} // looked at before
	c, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	c.SetReadLimit(MaxMessage + 1)
	k := &socket{c: c, fromServer: make(chan []byte), over: make(chan struct{})}
	if c.Subprotocol() != subprotocol {
		k.end("this is for assent mcp of the same version")
		return
	}
	h, err := k.hello()
	if err != nil {
		k.end("the first message must say what runs")
		return
	}
	if (len(h.Command) > 0) != s.Tunnel {
		k.end("server " + s.Name + " " + map[bool]string{true: "is started by its client: assent mcp --server " + s.Name + " -- COMMAND", false: "runs elsewhere: leave the command out"}[s.Tunnel])
		return
	}
	var start func() (pipe, error)
	var command string
	if s.Tunnel {
		b, _ := json.Marshal(h.Command)
		command = string(b)
		start = func() (pipe, error) { return &socketPipe{k}, nil }
	}
	v, err := g.beginAt(context.WithoutCancel(r.Context()), in, s, true, start, command)
	if err != nil {
		k.end(err.Error())
		return
	}
	kept = true
	defer v.close()
	defer k.close()
	defer context.AfterFunc(r.Context(), k.close)()
	defer context.AfterFunc(v.ctx, k.close)()
	k.run(v)
}

// socket is the connection of one assent mcp.
type socket struct {
	c          *websocket.Conn
	fromServer chan []byte
	over       chan struct{}
	once       sync.Once

	mu sync.Mutex // one frame at a time is written
}

func (k *socket) hello() (hello, error) {
	_ = k.c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, b, err := k.c.ReadMessage()
	var h hello
	if err != nil || len(b) == 0 || b[0] != frameHello {
		return h, errors.New("no greeting")
	}
	d := json.NewDecoder(bytes.NewReader(b[1:]))
	d.DisallowUnknownFields()
	return h, d.Decode(&h)
}

func (k *socket) write(tag byte, msg []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.c.SetWriteDeadline(time.Now().Add(time.Minute))
	w, err := k.c.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte{tag}); err != nil {
		return err
	}
	if _, err := w.Write(compact(msg)); err != nil {
		return err
	}
	return w.Close()
}

// end says why and closes.
func (k *socket) end(why string) {
	_ = k.write(frameNote, []byte(why))
	k.close()
}

func (k *socket) close() {
	k.once.Do(func() {
		close(k.over)
		_ = k.c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
		_ = k.c.Close()
	})
}

// run takes frames until either side ends.
func (k *socket) run(v *conversation) {
	done, ok := v.use()
	if !ok {
		return
	}
	defer done()
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(v.ctx)
	defer cancel()
	work.Go(func() { k.beat(ctx) })
	if _, is := v.up.(*local); is {
		work.Go(func() { _ = v.listen(ctx, "", nil, func() {}, k) })
	}
	listening := false
	for {
		_ = k.c.SetReadDeadline(time.Now().Add(3 * socketBeat))
		_, b, err := k.c.ReadMessage()
		if err != nil || len(b) == 0 {
			return
		}
		switch b[0] {
		case frameServer:
			select {
			case k.fromServer <- b[1:]:
			case <-k.over:
				return
			}
		case frameClient:
			m, err := read(b[1:])
			if err != nil {
				v.session.Refused(ctx, "a message that can't be read: "+err.Error())
				_ = k.write(frameClient, unreadable(err))
				continue
			}
			head := v.heads(m)
			t := &socketTaker{socket: k, begun: make(chan struct{})}
			work.Go(func() {
				defer t.opened()
				if o := v.exchange(ctx, m, head, t); len(o.last.data) > 0 {
					_ = k.write(frameClient, o.last.data)
				}
			})
			<-t.begun
			if _, here := v.up.(*local); !here && !listening && m.method == "notifications/initialized" {
				listening = true
				work.Go(func() { _ = v.listen(ctx, "", head, func() {}, k) })
			}
		default:
			return
		}
	}
}

func (k *socket) beat(ctx context.Context) {
	k.c.SetPongHandler(func(string) error { return k.c.SetReadDeadline(time.Now().Add(3 * socketBeat)) })
	tick := time.NewTicker(socketBeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.over:
			return
		case <-tick.C:
			_ = k.c.WriteControl(websocket.PingMessage, nil, time.Now().Add(5*time.Second))
		}
	}
}

func (k *socket) event(e event) error {
	if len(e.data) == 0 {
		return nil
	}
	return k.write(frameClient, e.data)
}

func (k *socket) opened() {}

// socketTaker keeps the order of what refers to each other: the next message is
// taken once this one has its place.
type socketTaker struct {
	*socket
	begun chan struct{}
	once  sync.Once
}

func (t *socketTaker) opened() { t.once.Do(func() { close(t.begun) }) }

// socketPipe is the server that the client runs.
type socketPipe struct{ k *socket }

func (p *socketPipe) send(msg []byte) error { return p.k.write(frameServer, msg) }

func (p *socketPipe) receive() ([]byte, error) {
	select {
	case b := <-p.k.fromServer:
		return b, nil
	case <-p.k.over:
		return nil, errEnded
	}
}

func (p *socketPipe) close() { p.k.close() }

// heads are the headers of streamable HTTP for a message that came without any.
func (v *conversation) heads(m *message) http.Header {
	h := http.Header{}
	version := ""
	if v.guard != nil {
		v.guard.mu.Lock()
		version = v.guard.version
		v.guard.mu.Unlock()
	}
	if said := text(member(m.params, "_meta"), metaVersion); said != "" {
		version = said
	}
	if version != "" {
		h.Set(headVersion, version)
	}
	if version < Stateless || m.method == "" {
		return h
	}
	h.Set(headMethod, m.method)
	switch m.method {
	case "tools/call", "prompts/get":
		h.Set(headName, encoded(text(m.params, "name")))
	case "resources/read":
		h.Set(headName, encoded(text(m.params, "uri")))
	}
	return h
}
