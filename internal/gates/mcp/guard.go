package mcp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	classify "github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/jsontext"
	"github.com/assenthq/assent/internal/trace"
)

// Stateless is the first revision in which every request says its version and
// its client's capabilities itself, and there is no initialize.
const Stateless = "2026-07-28"

// maxOpen is how many requests of one conversation may be under way, either way.
const maxOpen = 1000

// ownID begins the ids of requests that we send ourselves.
const ownID = "assent:"

// A Guard judges the messages of one client's conversation with one server, in
// both directions and every revision. It is safe for concurrent use.
//
// What it believes of the conversation (the version, the tools, which questions are
// open) changes only by what the other side has acknowledged.
type Guard struct {
	session gate.Session
	server  string
	classed classify.Server
	others  string // what others wrote, where the server returns nothing else; "" for no such server
	place   string // URN of the server
	command string // what the client itself runs as the server; "" for none
	judge   Judge
	tools   *catalog
	fresh   time.Duration // how long a listing of tools counts; 0: until the server says that they have changed
	ask     asker

	mu       sync.Mutex
	calls    map[string]*call     // owned by mu: the client's requests under way, by id
	asked    map[string]*question // owned by mu: the server's
	version  string               // owned by mu: as the server has acknowledged it
	declared []byte               // owned by mu: the client's capabilities, likewise
	answered [replays]replay      // owned by mu
	next     int                  // owned by mu: the next of answered to go
	closed   bool                 // owned by mu

	ambientMu sync.Mutex
	ambient   gate.Permit // owned by ambientMu: what messages come under that belong to no request
}

// A call is one request of the client.
type call struct {
	id     []byte
	key    string
	method string
	tool   *Tool

	version   string
	declared  []byte // capabilities of its client, of this request
	token     []byte // progress token; nil for none
	untrusted string
	kinds     []action.Kind
	cancel    context.CancelFunc
	asked     []byte // params of what is harmless by name

	mu     sync.Mutex  // a permit is used by one goroutine at a time
	permit gate.Permit // owned by mu; nil: harmless by name
	sent   time.Time   // owned by Guard.mu; zero: still being decided
}

// A question is a request of the server to the client.
type question struct {
	method string
	kinds  []action.Kind // of the calls that it belongs to
}

// replays is how many answers are kept for clients that lost the connection before
// they read them, and largest how long one of them may be.
const (
	replays = 16
	largest = 256 << 10
)

type replay struct {
	sum  [sha256.Size]byte
	sent []byte
}

// A Step is what follows from a message of the client: it goes on as it came, it
// is answered, or neither.
type Step struct {
	Forward []byte       // the exact bytes that were judged, for the server
	Answer  []byte       // for the client
	Denied  *gate.Denied // with Answer: why not
	call    *call        // with Forward: what was asked
}

func drop() Step { return Step{} }

// Client judges a message of the client. It waits while people decide, and calls
// held once they are asked. ctx ends when the client leaves.
func (g *Guard) Client(ctx context.Context, raw []byte, held func(gate.Held)) Step {
	m, err := read(raw)
	if err != nil {
		g.session.Refused(ctx, "a message that can't be read: "+err.Error())
		return Step{Answer: unreadable(err)}
	}
	return g.client(ctx, m, held, func() {})
}

func unreadable(err error) []byte {
	return fail(nil, codeParse, "refused: "+err.Error()+"; send one JSON-RPC message at a time")
}

// client judges a message that was read. opened is called once a request has its
// place among those under way: what comes after it may then refer to it.
func (g *Guard) client(ctx context.Context, m *message, held func(gate.Held), opened func()) Step {
	switch {
	case m.response():
		return g.reply(ctx, m, held)
	case m.notification():
		return g.notice(ctx, m)
	}
	return g.request(ctx, m, held, opened)
}

func (g *Guard) request(ctx context.Context, m *message, held func(gate.Held), opened func()) Step {
	how, known := requests[m.method]
	if !known {
		g.session.Refused(ctx, "a method on no list")
		return Step{Answer: fail(m.id, codeNoMethod, "this method is not let through: "+clip(m.method, 80))}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &call{id: m.id, key: m.key, method: m.method, cancel: cancel}
	c.meta(m.params)
	if why := g.open(c); why != "" {
		g.session.Refused(ctx, why)
		return Step{Answer: fail(m.id, codeInvalid, "refused: "+why)}
	}
	opened()
	step := g.decide(ctx, c, m, how, held)
	if step.Forward == nil {
		g.drop(c)
		if ctx.Err() != nil { // it was called off, and nobody waits for an answer
			return drop()
		}
		return step
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		c.finish(gate.Outcome{State: gate.NotRun})
		return drop()
	}
	c.sent = time.Now()
	g.mu.Unlock()
	step.call = c
	return step
}

// decide judges one request that is open.
func (g *Guard) decide(ctx context.Context, c *call, m *message, how manner, held func(gate.Held)) Step {
	c.asked = m.params
	if how.describe == nil && !harmless(m.method, m.params) {
		how.describe = describeRead
	}
	if how.describe == nil {
		return Step{Forward: m.raw}
	}
	a, refusal := how.describe(ctx, g, c, m)
	if refusal != nil {
		if refusal.record != "" {
			g.session.Refused(ctx, refusal.record)
		}
		return Step{Answer: fail(m.id, refusal.code, refusal.text)}
	}
	permit, err := g.enforce(ctx, a, held)
	if err != nil {
		d := denied(err)
		return Step{Answer: g.deny(c, d), Denied: d}
	}
	c.permit, c.kinds = permit, a.Kinds
	if b, is := permit.(gate.Begun); is && c.tool != nil { // what the tool does in its turn comes through other gates
		b.Begun("call_"+rand.Text(), "")
	}
	if c.tool != nil { // what a tool is may have changed while people decided
		if now, refusal := g.lookUp(ctx, c, c.tool.Name); refusal != nil || now.Pinned != c.tool.Pinned {
			c.finish(gate.Outcome{State: gate.NotRun})
			d := &gate.Denied{Status: gate.StatusDenied, Reason: "the server changed this tool's definition since it was judged", Hint: "list the tools again"}
			return Step{Answer: g.deny(c, d), Denied: d}
		}
	}
	return Step{Forward: m.raw}
}

// enforce asks whether an action may run.
func (g *Guard) enforce(ctx context.Context, a *action.Action, held func(gate.Held)) (gate.Permit, error) {
	g.session.Describe(a)
	return g.session.Enforce(ctx, a, gate.Hooks{Held: held})
}

// open makes c a request under way; its answer says why it can't be one.
func (g *Guard) open(c *call) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.version == "" {
		c.version, c.declared = g.version, g.declared
	}
	switch {
	case g.closed:
		return "the conversation has ended"
	case strings.HasPrefix(c.key, "s"+ownID):
		return "an id that begins with " + ownID
	case g.calls[c.key] != nil:
		return "an id of a request that is still under way"
	case len(g.calls) >= maxOpen:
		return "more than " + strconv.Itoa(maxOpen) + " requests under way"
	case c.method == "initialize" && g.version != "":
		return "a second initialize"
	}
	for _, other := range g.calls {
		if c.method == "initialize" && other.method == "initialize" {
			return "a second initialize"
		}
	}
	if g.calls == nil {
		g.calls = map[string]*call{}
	}
	g.calls[c.key] = c
	return ""
}

func (g *Guard) drop(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls[c.key] == c {
		delete(g.calls, c.key)
	}
}

// onward is head as it goes to the server, which learns where in a trace the call belongs. What the
// message itself says of that stays as it was judged.
func (c *call) onward(head http.Header) http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, is := c.permit.(gate.Traced)
	if !is || t.Traceparent() == "" {
		return head
	}
	head = head.Clone()
	trace.Onward(head, t.Traceparent())
	return head
}

// finish completes the permit of c, if it has one that is open.
func (c *call) finish(o gate.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.permit != nil {
		if o.Untrusted == "" && o.State != gate.NotRun {
			o.Untrusted = c.untrusted
		}
		c.permit.Done(o)
		c.permit = gate.Nothing
	}
}

// Lost ends a request whose answer will never come, and returns what to tell the client.
func (g *Guard) Lost(c *call, why string) []byte {
	g.drop(c)
	c.finish(gate.Outcome{State: gate.Unknown, Code: "lost", Duration: time.Since(c.sent)})
	return g.deny(c, &gate.Denied{Status: gate.StatusLost, Reason: why, Hint: "look before you repeat it: nobody here knows whether it ran"})
}

// NotSent ends a request that never reached the server.
func (g *Guard) NotSent(c *call, why string) []byte {
	g.drop(c)
	c.finish(gate.Outcome{State: gate.NotRun, Code: "not sent"})
	return fail(c.id, codeNotReached, why)
}

// Close ends the conversation: what is under way ends as unknown.
func (g *Guard) Close() {
	g.mu.Lock()
	g.closed = true
	open := g.calls
	g.calls = nil
	g.mu.Unlock()
	for _, c := range open {
		c.cancel()
		g.mu.Lock()
		sent := c.sent
		g.mu.Unlock()
		if !sent.IsZero() {
			c.finish(gate.Outcome{State: gate.Unknown, Code: "lost", Duration: time.Since(sent)})
		}
	}
	g.ambientMu.Lock()
	defer g.ambientMu.Unlock()
	if g.ambient != nil {
		g.ambient.Done(gate.Outcome{State: gate.Executed})
	}
	g.ambient = gate.Nothing
}

// meta reads what a request says about itself.
func (c *call) meta(params []byte) {
	meta := member(params, "_meta")
	if t := member(meta, "progressToken"); t != nil {
		if _, err := idKey(t); err == nil {
			c.token = t
		}
	}
	if v := text(meta, metaVersion); v >= Stateless {
		c.version, c.declared = v, member(meta, metaCapabilities)
	}
}

// notice judges a notification of the client.
func (g *Guard) notice(ctx context.Context, m *message) Step {
	switch m.method {
	case "notifications/initialized", "notifications/roots/list_changed":
		return Step{Forward: object("jsonrpc", "2.0", "method", m.method)}
	case "notifications/cancelled":
		id := member(m.params, "requestId")
		key, err := idKey(id)
		if err != nil {
			break
		}
		g.mu.Lock()
		c := g.calls[key]
		sent := c != nil && !c.sent.IsZero()
		g.mu.Unlock()
		switch {
		case c == nil: // answered meanwhile
			return drop()
		case !sent:
			c.cancel()
			return drop()
		}
		return Step{Forward: object("jsonrpc", "2.0", "method", m.method, "params", object("requestId", id))}
	case "notifications/progress":
		pairs := []any{}
		for _, name := range []string{"progressToken", "progress", "total"} {
			if v := member(m.params, name); v != nil && len(v) < 256 {
				pairs = append(pairs, name, v)
			}
		}
		return Step{Forward: object("jsonrpc", "2.0", "method", m.method, "params", object(pairs...))}
	}
	g.session.Refused(ctx, "a notification on no list")
	return drop()
}

// reply judges the client's answer to a question of the server.
func (g *Guard) reply(ctx context.Context, m *message, held func(gate.Held)) Step {
	g.mu.Lock()
	q := g.asked[m.key]
	delete(g.asked, m.key) // two answers to one question are one too many
	g.mu.Unlock()
	if q == nil {
		g.session.Refused(ctx, "an answer to a question that was not asked, or twice")
		return drop()
	}
	if answer := bare(q, m); answer != nil {
		return Step{Forward: answer}
	}
	permit, err := g.enforce(ctx, g.answerOf(q, m), held)
	if err != nil {
		if ctx.Err() != nil {
			return drop()
		}
		d := denied(err)
		// The server waits for an answer: it gets no, and the client isn't asked again.
		return Step{Forward: fail(m.id, codeDenied, "refused: "+d.Reason)}
	}
	permit.Done(gate.Outcome{State: gate.Executed, Bytes: int64(len(m.raw))})
	return Step{Forward: m.raw}
}

// members is jsontext.Members, nil for what is no object.
func members(raw []byte) []jsontext.Member {
	out, err := jsontext.Members(raw)
	if err != nil {
		return nil
	}
	return out
}
