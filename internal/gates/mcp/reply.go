package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
)

// A Reply is what follows from a message of the server.
type Reply struct {
	Send []byte // for the client; nil: nothing
	call *call  // the request that it answers
}

// notices are what a server may tell a client unasked.
var notices = map[string]bool{
	"notifications/message": true, "notifications/progress": true, "notifications/cancelled": true,
	"notifications/resources/updated": true, "notifications/resources/list_changed": true,
	"notifications/tools/list_changed": true, "notifications/prompts/list_changed": true,
	"notifications/elicitation/complete": true, "notifications/subscriptions/acknowledged": true,
}

// questions are what a server may ask a client.
var questions = map[string]bool{"ping": true, "roots/list": true, "sampling/createMessage": true, "elicitation/create": true}

// Server judges a message of the server. of is the request on whose stream it
// came; nil: on none.
func (g *Guard) Server(ctx context.Context, raw []byte, of *call) Reply {
	m, err := read(raw)
	if err != nil {
		g.session.Refused(ctx, "a message of the server that can't be read: "+err.Error())
		if of != nil { // its answer may be what can't be read
			return Reply{Send: g.Lost(of, "the server's answer can't be read: "+err.Error()), call: of}
		}
		return Reply{}
	}
	switch {
	case m.response():
		return g.answer(ctx, m, of)
	case m.request():
		return g.question(ctx, m, of)
	}
	if !notices[m.method] {
		g.session.Refused(ctx, "a notification of the server on no list")
		return Reply{}
	}
	if m.method == "notifications/tools/list_changed" {
		g.tools.forget()
	}
	return g.masked(ctx, m, of)
}

// question passes a request of the server on.
func (g *Guard) question(ctx context.Context, m *message, of *call) Reply {
	if !questions[m.method] {
		g.session.Refused(ctx, "a request of the server on no list")
		return Reply{}
	}
	q := &question{method: m.method}
	g.mu.Lock()
	over := len(g.asked) >= maxOpen
	again := g.asked[m.key] != nil
	if g.asked == nil {
		g.asked = map[string]*question{}
	}
	for _, c := range g.calls {
		if (of == nil || of == c) && c.method == "tools/call" {
			q.kinds = union(q.kinds, c.kinds)
		}
	}
	if !over && !again {
		g.asked[m.key] = q
	}
	g.mu.Unlock()
	if over {
		g.session.Refused(ctx, "too many requests of the server under way")
		return Reply{}
	}
	// The same question again is what a client sees that lost its connection.
	return g.masked(ctx, m, of)
}

func union(a, b []action.Kind) []action.Kind {
	out := slices.Clone(a)
	for _, k := range b {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// masked passes a message on that belongs to a request, or to none.
func (g *Guard) masked(ctx context.Context, m *message, of *call) Reply {
	if m.params == nil {
		return Reply{Send: m.raw}
	}
	if of == nil {
		of = g.byToken(member(m.params, "progressToken"))
	}
	out, err := g.under(ctx, of, func(p gate.Permit) ([]byte, error) {
		if err := p.Count(0, int64(len(m.raw))); err != nil {
			return nil, err
		}
		return newMasker(p).message(m.raw)
	})
	if err != nil {
		g.session.Refused(ctx, "a message of the server that could not be masked or counted")
		return Reply{}
	}
	return Reply{Send: out}
}

func (g *Guard) byToken(token []byte) *call {
	if token == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.calls {
		if c.token != nil && string(c.token) == string(token) {
			return c
		}
	}
	return nil
}

// under calls f with the permit of a request, or with the one for what belongs to none.
func (g *Guard) under(ctx context.Context, of *call, f func(gate.Permit) ([]byte, error)) ([]byte, error) {
	if of != nil {
		of.mu.Lock()
		if of.permit != nil {
			defer of.mu.Unlock()
			return f(of.permit)
		}
		of.mu.Unlock()
	}
	g.ambientMu.Lock()
	defer g.ambientMu.Unlock()
	if g.ambient == nil {
		a := g.action("listen", g.server)
		a.Kinds, a.Reversible = []action.Kind{action.DataRead}, true
		a.Title, a.Statement, a.Payload = "listen to "+g.server, "listen to what the server tells unasked", []byte("listen")
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		p, err := g.enforce(ctx, a, nil)
		if err != nil { // asked again with the next message: people may have decided by then
			return nil, err
		}
		g.ambient = p
	}
	return f(g.ambient)
}

// answer passes an answer on to a request that is under way, once.
func (g *Guard) answer(ctx context.Context, m *message, of *call) Reply {
	g.mu.Lock()
	var c *call
	if m.null && of != nil {
		c = of // an error that names no request, on a stream of one
	} else {
		c = g.calls[m.key]
	}
	if c == nil || c.sent.IsZero() {
		again := g.again(m.raw)
		g.mu.Unlock()
		if again == nil {
			g.session.Refused(ctx, "an answer of the server to nothing that was asked, or twice")
		}
		return Reply{Send: again}
	}
	delete(g.calls, c.key)
	took := time.Since(c.sent)
	g.mu.Unlock()
	raw := m.raw
	if m.null {
		raw = m.rename(c.id)
	}
	out := g.settle(ctx, c, m, raw, took)
	g.mu.Lock()
	if len(out) <= largest && c.version < Stateless {
		g.answered[g.next] = replay{sha256.Sum256(m.raw), out}
		g.next = (g.next + 1) % replays
	}
	g.mu.Unlock()
	return Reply{Send: out, call: c}
}

// again is what was sent for the same bytes before. g.mu is held.
func (g *Guard) again(raw []byte) []byte {
	sum := sha256.Sum256(raw)
	for _, r := range g.answered {
		if r.sent != nil && r.sum == sum {
			return r.sent
		}
	}
	return nil
}

// settle masks and counts an answer, and completes the request's permit.
func (g *Guard) settle(ctx context.Context, c *call, m *message, raw []byte, took time.Duration) []byte {
	c.mu.Lock()
	none := c.permit == nil
	c.mu.Unlock()
	if m.fault == nil {
		raw = g.effects(ctx, c, m, raw)
	}
	if none {
		return g.harmless(ctx, c, m, raw)
	}
	c.mu.Lock()
	permit := c.permit
	o := gate.Outcome{State: gate.Executed, Bytes: int64(len(raw)), Duration: took}
	switch {
	case m.fault != nil:
		o.State, o.Code = gate.Failed, clip(string(member(m.fault, "code")), 20)
	case string(member(m.result, "isError")) == "true":
		o.State, o.Code = gate.Failed, "isError"
	}
	if r, is := permit.(gate.Reader); is && o.State == gate.Executed {
		r.Returned(texts(m.result))
	}
	v := newMasker(permit)
	err := permit.Count(0, int64(len(raw)))
	var out []byte
	if err == nil {
		out, err = v.message(raw)
	}
	if v.unscanned != "" && o.Code == "" {
		o.Code = "unscanned " + v.unscanned
	}
	if err != nil {
		o.Code = "withheld"
	}
	c.mu.Unlock()
	c.finish(o)
	if err == nil {
		return out
	}
	var d *gate.Denied
	if !errors.As(err, &d) {
		d = &gate.Denied{Status: gate.StatusNobody, Reason: "the answer could not be masked, so it is withheld", Hint: "the server's own log says what is wrong"}
	}
	d = &gate.Denied{Status: gate.StatusLimit, Reason: "it ran, and its answer is withheld: " + d.Reason, Hint: d.Hint}
	return g.deny(c, d)
}

// harmless passes on the answer to a request that needed no decision.
func (g *Guard) harmless(ctx context.Context, c *call, m *message, raw []byte) []byte {
	if m.fault == nil {
		return raw
	}
	out, err := g.under(ctx, nil, func(p gate.Permit) ([]byte, error) { return newMasker(p).message(raw) })
	if err != nil {
		return fail(c.id, codeInternal, "the server refused it")
	}
	return out
}

// effects takes over what an answer makes true, and returns it without what the
// client may not see of it.
func (g *Guard) effects(ctx context.Context, c *call, m *message, raw []byte) []byte {
	switch c.method {
	case "initialize":
		g.mu.Lock()
		g.version, g.declared = text(m.result, "protocolVersion"), member(c.asked, "capabilities")
		g.classed.Told = text(member(m.result, "serverInfo"), "name")
		g.mu.Unlock()
	case "tools/list":
		first := member(c.asked, "cursor") == nil
		result, err := g.tools.page(ctx, m.result, first)
		if err != nil {
			g.session.Refused(ctx, "a listing of tools that can't be read")
			return fail(c.id, codeInternal, "the server's list of tools can't be read, so none of them can be used: "+clip(err.Error(), 200))
		}
		if first && member(m.result, "nextCursor") == nil {
			g.tools.complete()
		}
		if &result[0] != &m.result[0] {
			return object("jsonrpc", "2.0", "id", c.id, "result", result)
		}
	}
	return raw
}

// texts are what a result says: its texts, and its structured content.
func texts(result []byte) (out [][]byte) {
	for _, f := range members(result) {
		switch f.Name {
		case "structuredContent":
			out = append(out, f.Value)
		case "content":
			var parts []struct{ Text string }
			if json.Unmarshal(f.Value, &parts) == nil {
				for _, p := range parts {
					out = append(out, []byte(p.Text))
				}
			}
		}
	}
	return out
}
