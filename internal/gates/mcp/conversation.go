package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
)

// A conversation is one client's with one server.
type conversation struct {
	gate       *Gate
	server     *Server
	guard      *Guard
	up         conn // nil where hub is not
	hub        *hub
	within     *conversation // that of the hub which it is a part of
	session    gate.Session
	credential string
	id         string             // as the client knows it; "" for one request
	ctx        context.Context    // ends with the conversation
	stop       context.CancelFunc // ends it
	release    func()

	mu    sync.Mutex
	own   map[string]chan *message // owned by mu: what we asked the client ourselves, by id
	head  http.Header              // owned by mu: of the newest request, for those of our own
	timer *time.Timer              // owned by mu: ends it when nobody uses it
	users int                      // owned by mu
	over  bool                     // owned by mu
}

// A taker takes what a conversation sends to the client on one stream.
type taker interface {
	// event sends what is not the last message of the stream.
	event(e event) error
	// opened is told once a request has its place among those under way.
	opened()
}

// An outcome is how the exchange about one message ended.
type outcome struct {
	last   event // the answer; without data there is none
	open   bool  // the answer will come on another stream
	status int   // as the server gave it over HTTP; 0: it is our own answer, or there is none
	stream bool  // the server answered by a stream, so the client gets one too
}

// exchange takes one message of the client and gives it what follows.
func (v *conversation) exchange(ctx context.Context, m *message, head http.Header, out taker) outcome {
	if v.hub != nil {
		return v.hub.exchange(ctx, m, head, out)
	}
	if v.answersUs(m) {
		return outcome{}
	}
	v.mu.Lock()
	v.head = head
	v.mu.Unlock()
	if !m.request() || v.gate.pauser == nil {
		o, _ := v.forward(ctx, ctx, m, head, out, nil)
		return o
	}
	w := v.waiting(m, out)
	var mu sync.Mutex
	var ran outcome // owned by mu: a pauser may run it on after its answer
	w.Run = func(ctx, deciding context.Context, params []byte, held func(gate.Held)) ([]byte, *gate.Denied) {
		m := m
		if params != nil {
			m = &message{raw: object("jsonrpc", "2.0", "id", m.id, "method", m.method, "params", params), key: m.key, id: m.id, method: m.method, params: params}
		}
		o, d := v.forward(ctx, deciding, m, head, out, held)
		mu.Lock()
		defer mu.Unlock()
		ran = o
		return o.last.data, d
	}
	var answer []byte
	if m.method == "tools/call" {
		answer = v.gate.pauser.Call(ctx, w)
	} else {
		var mine bool
		if answer, mine = v.gate.pauser.Method(ctx, w); !mine {
			o, _ := v.forward(ctx, ctx, m, head, out, nil)
			return o
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if string(answer) != string(ran.last.data) { // the pauser's own
		return answered(answer)
	}
	return ran
}

func answered(b []byte) outcome { return outcome{last: event{data: b}} }

func (v *conversation) waiting(m *message, out taker) *Waiting {
	c := &call{id: m.id, method: m.method}
	c.meta(m.params)
	if c.version == "" {
		v.guard.mu.Lock()
		c.version, c.declared = v.guard.version, v.guard.declared
		v.guard.mu.Unlock()
	}
	w := &Waiting{
		Server: v.server.Name, Credential: v.credential, Method: m.method, ID: m.id, Params: m.params,
		Version: c.version, Capabilities: c.declared, Progress: c.token,
		Tell: func(b []byte) { _ = out.event(event{data: b}) },
		Keep: v.keep,
		Deny: func(d *gate.Denied) []byte {
			if t, _ := v.guard.tools.find(text(m.params, "name")); t != nil {
				c.tool = t
			}
			return v.guard.deny(c, d)
		},
	}
	if c.version < Stateless && v.id != "" {
		w.Ask = func(ctx context.Context, method string, params []byte) ([]byte, error) {
			return v.askClient(ctx, out, method, params)
		}
	}
	return w
}

// forward judges a message, sends it on, and passes on what comes back until the answer.
func (v *conversation) forward(ctx, deciding context.Context, m *message, head http.Header, out taker, held func(gate.Held)) (outcome, *gate.Denied) {
	m.trace = head.Get("Traceparent")
	step := v.guard.client(deciding, m, held, out.opened)
	if step.Forward == nil {
		return answered(step.Answer), step.Denied
	}
	if step.call != nil {
		var wrong string
		if head, wrong = withParams(head, step.call.tool, m, step.call.version); wrong != "" {
			v.guard.NotSent(step.call, wrong)
			return outcome{last: event{data: fail(m.id, codeMismatch, wrong)}, status: http.StatusBadRequest}, nil
		}
		head = step.call.onward(head)
	}
	s, err := v.up.post(ctx, step.Forward, m, head)
	if err != nil {
		v.gate.log.Debug("a message was not taken", "gate", v.gate.name, "server", v.server.Name, "err", err)
		if gone(err) {
			v.close()
		}
		if step.call == nil {
			return outcome{}, nil
		}
		var refused *statusError
		if errors.As(err, &refused) && refused.code < 500 {
			return outcome{last: event{data: v.guard.NotSent(step.call, "the server refused the request: "+err.Error())}, status: refused.code}, nil
		}
		if sent(err) {
			return answered(v.guard.Lost(step.call, "the connection to the server was lost")), nil
		}
		return answered(v.guard.NotSent(step.call, "the server behind the gate can't be reached")), nil
	}
	if s == nil {
		return outcome{}, nil
	}
	defer s.close()
	return v.relay(ctx, s, step.call, out), nil
}

// sent says that the server may have got the message before the error.
func sent(err error) bool {
	var op *net.OpError
	return !errors.Is(err, errNotStarted) && !(errors.As(err, &op) && op.Op == "dial")
}

// relay passes on what a stream brings until the answer to c.
func (v *conversation) relay(ctx context.Context, s stream, c *call, out taker) outcome {
	place := false
	for {
		e, err := s.next()
		if err != nil {
			switch {
			case errors.Is(err, errEnded):
			case place && v.id != "" && (errors.Is(err, io.EOF) || ctx.Err() != nil):
				return outcome{open: true} // the client comes back for it, with the place it knows
			case ctx.Err() != nil:
				v.guard.Lost(c, "the client left")
				return outcome{open: true}
			}
			return answered(v.guard.Lost(c, "the connection to the server was lost"))
		}
		place = place || e.hasID
		if len(e.data) == 0 {
			_ = out.event(e)
			continue
		}
		r := v.guard.Server(ctx, e.data, c)
		switch {
		case r.call == c:
			e.data = r.Send
			_, streams := s.(*eventStream)
			return outcome{last: e, status: s.status(), stream: streams}
		case r.Send == nil && !e.hasID:
			continue
		}
		e.data = r.Send
		_ = out.event(e) // a client that left is noticed by ctx
	}
}

// listen passes on what belongs to no request, until either side ends it.
func (v *conversation) listen(ctx context.Context, last string, head http.Header, open func(), out taker) error {
	if v.hub != nil {
		return v.hub.listen(ctx, last, head, open, out)
	}
	s, err := v.up.listen(ctx, last, head)
	if err != nil {
		return err
	}
	defer s.close()
	open()
	for {
		e, err := s.next()
		if err != nil {
			return nil
		}
		if len(e.data) > 0 {
			e.data = v.guard.Server(ctx, e.data, nil).Send
			if e.data == nil && !e.hasID {
				continue
			}
		}
		if err := out.event(e); err != nil {
			return nil
		}
	}
}

// begun says that the server has taken the client's initialize.
func (v *conversation) begun() bool {
	if v.hub != nil {
		return v.hub.begun()
	}
	v.guard.mu.Lock()
	defer v.guard.mu.Unlock()
	return v.guard.version != ""
}

// use keeps the conversation from ending for want of use; the caller calls what it returns.
func (v *conversation) use() (func(), bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return nil, false
	}
	v.users++
	if v.timer != nil {
		v.timer.Stop()
		v.timer = nil
	}
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		switch v.users--; {
		case v.users > 0 || v.over:
		case v.id != "":
			v.timer = time.AfterFunc(v.gate.idle, v.close)
		default: // of one request, and of what it left to be done
			v.over = true
			v.closeGuards()
			v.stop()
			v.release()
		}
	}, true
}

// during is ctx, ended with the conversation and with the credential too.
func (v *conversation) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-v.session.Cut():
		case <-v.ctx.Done():
		case <-ctx.Done():
		}
		cancel()
	}()
	return ctx, cancel
}

// keep lets what a request began outlast it. The context ends with the
// conversation, and with the session of its credential.
func (v *conversation) keep() (context.Context, func()) {
	if v.within != nil {
		return v.within.keep()
	}
	done, ok := v.use()
	if !ok {
		ctx, stop := context.WithCancel(v.ctx)
		stop()
		return ctx, func() {}
	}
	ctx, stop := context.WithCancel(v.ctx)
	go func() {
		select {
		case <-v.session.Cut():
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { stop(); done() }
}

// close ends the conversation on both sides.
func (v *conversation) close() {
	v.mu.Lock()
	if v.over {
		v.mu.Unlock()
		return
	}
	v.over = true
	if v.timer != nil {
		v.timer.Stop()
	}
	v.mu.Unlock()
	v.gate.forget(v)
	v.stop()
	defer v.release()
	if v.hub != nil {
		v.hub.close()
		return
	}
	v.guard.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	v.up.end(ctx)
}

// closeGuards ends a conversation of one request, whose way to the server is others' too.
func (v *conversation) closeGuards() {
	if v.hub == nil {
		v.guard.Close()
		return
	}
	for _, p := range v.hub.servers() {
		p.guard.Close()
	}
}

// compact takes line ends out of a message for transports of lines.
func compact(raw []byte) []byte {
	for _, c := range raw {
		if c == '\n' || c == '\r' {
			var b bytes.Buffer
			if json.Compact(&b, raw) == nil {
				return b.Bytes()
			}
			break
		}
	}
	return raw
}
