package mcp

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/assenthq/assent/internal/jsontext"
)

// Two servers behind one address are told apart by what is put before their names:
// "files__read" is the tool read of files, "files+note://one" its resource
// note://one, and "files/7" the id under which it asked something.
const (
	betweenNames = "__"
	betweenURIs  = "+"
	betweenIDs   = "/"
)

// A hub joins the servers of a gate for one client: to it they are one server. Each
// has a conversation of its own with its own guard, and no message of one passes to another.
type hub struct {
	v    *conversation
	kept bool

	mu      sync.Mutex
	parts   []*conversation // owned by mu: one for each server, in their order
	version string          // owned by mu: as all have acknowledged it; "" before
	begin   []byte          // owned by mu: params of the client's initialize
	renew   sync.Mutex      // one part at a time is made anew
}

// all parts, as they are now.
func (h *hub) servers() []*conversation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.parts)
}

// join makes the conversations that a hub is of.
func (g *Gate) join(v *conversation, kept bool) {
	h := &hub{v: v, kept: kept}
	for _, s := range g.servers {
		if !s.Tunnel {
			h.parts = append(h.parts, h.open(s))
		}
	}
	v.hub = h
}

// open makes the conversation with one server.
func (h *hub) open(s *Server) *conversation {
	run, stop := context.WithCancel(h.v.ctx)
	p := &conversation{gate: h.v.gate, server: s, credential: h.v.credential, ctx: run, stop: stop, release: func() {}, session: h.v.session, within: h.v}
	if h.kept {
		p.id = h.v.id + betweenIDs + s.Name
	}
	h.v.gate.equip(p, h.kept, nil, "")
	return p
}

// alive is p, or what takes its place once its server has ended or forgotten it:
// begun as the client began.
func (h *hub) alive(ctx context.Context, p *conversation, out taker) *conversation {
	p.mu.Lock()
	over := p.over
	p.mu.Unlock()
	h.mu.Lock()
	begin := h.begin
	h.mu.Unlock()
	if !over || begin == nil || h.v.ctx.Err() != nil {
		return p
	}
	h.renew.Lock()
	defer h.renew.Unlock()
	if now := h.part(p.server.Name); now != p { // somebody else has
		return now
	}
	next := h.open(p.server)
	for _, raw := range [][]byte{
		object("jsonrpc", "2.0", "id", "initialize", "method", "initialize", "params", begin),
		object("jsonrpc", "2.0", "method", "notifications/initialized"),
	} {
		m, err := read(raw)
		if err != nil {
			return p
		}
		next.exchange(ctx, m, next.heads(m), hubTaker{out, next})
		if !next.begun() {
			next.close()
			return p
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.parts {
		if h.parts[i] == p {
			h.parts[i] = next
		}
	}
	return next
}

func (h *hub) part(name string) *conversation {
	for _, p := range h.servers() {
		if p.server.Name == name {
			return p
		}
	}
	return nil
}

// split finds whose a name is.
func (h *hub) split(name, between string) (p *conversation, rest string) {
	before, rest, found := strings.Cut(name, between)
	if !found {
		return nil, ""
	}
	return h.part(before), rest
}

func (h *hub) exchange(ctx context.Context, m *message, head http.Header, out taker) outcome {
	switch {
	case m.response():
		p, rest := h.split(strings.TrimPrefix(m.key, "s"), betweenIDs)
		if p == nil || !strings.HasPrefix(m.key, "s") {
			h.v.session.Refused(ctx, "an answer to a question that was not asked")
			return outcome{}
		}
		return h.pass(ctx, p, m.rename(unkey(rest)), head, out)
	case m.notification():
		return h.tell(ctx, m, head, out)
	}
	switch m.method {
	case "ping":
		out.opened()
		return answered(object("jsonrpc", "2.0", "id", m.id, "result", []byte("{}")))
	case "initialize", "server/discover":
		return h.meet(ctx, m, head, out)
	case "tools/list", "prompts/list", "resources/list", "resources/templates/list":
		return h.list(ctx, m, head, out)
	case "logging/setLevel":
		h.all(ctx, m, head, out)
		return answered(object("jsonrpc", "2.0", "id", m.id, "result", []byte("{}")))
	case "tools/call", "prompts/get":
		return h.named(ctx, m, "name", betweenNames, m.params, func(v []byte) []byte { return replaced(m.params, "name", v) }, head, out)
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return h.named(ctx, m, "uri", betweenURIs, m.params, func(v []byte) []byte { return replaced(m.params, "uri", v) }, head, out)
	case "completion/complete":
		ref := member(m.params, "ref")
		at, between := "name", betweenNames
		if member(ref, "uri") != nil {
			at, between = "uri", betweenURIs
		}
		return h.named(ctx, m, at, between, ref, func(v []byte) []byte {
			return replaced(m.params, "ref", replaced(ref, at, v))
		}, head, out)
	case "tasks/get", "tasks/update", "tasks/cancel":
		return h.any(ctx, m, head, out)
	}
	h.v.session.Refused(ctx, "a method on no list")
	return answered(fail(m.id, codeNoMethod, "this method is not let through here: "+clip(m.method, 80)))
}

// unkey is an id as it stood, from what it is compared by.
func unkey(key string) []byte {
	if text, is := strings.CutPrefix(key, "s"); is {
		return jsontext.Append(nil, []byte(text))
	}
	return []byte(strings.TrimPrefix(key, "n"))
}

// named passes a request on to the server that what it names belongs to.
func (h *hub) named(ctx context.Context, m *message, at, between string, in []byte, with func([]byte) []byte, head http.Header, out taker) outcome {
	name := text(in, at)
	p, rest := h.split(name, between)
	if p == nil {
		out.opened()
		return answered(fail(m.id, codeParams, "Unknown "+at+": "+clip(name, 100)+": it begins with the name of a server and "+between))
	}
	params := with(jsontext.Append(nil, []byte(rest)))
	return h.pass(ctx, p, object("jsonrpc", "2.0", "id", m.id, "method", m.method, "params", params), head, out)
}

// pass gives one server a message, and the client what comes of it under this hub's names.
func (h *hub) pass(ctx context.Context, p *conversation, raw []byte, head http.Header, out taker) outcome {
	m, err := read(raw)
	if err != nil {
		return answered(fail(nil, codeParse, "refused: "+err.Error()))
	}
	p = h.alive(ctx, p, out)
	own := p.heads(m)
	if own.Get(headVersion) == "" && head.Get(headVersion) != "" {
		own.Set(headVersion, head.Get(headVersion))
	}
	o := p.exchange(ctx, m, own, hubTaker{out, p})
	o.last = toClient(p, o.last)
	return o
}

// tell gives a notification to whoever it may concern.
func (h *hub) tell(ctx context.Context, m *message, head http.Header, out taker) outcome {
	switch m.method {
	case "notifications/initialized", "notifications/roots/list_changed", "notifications/cancelled":
		for _, p := range h.servers() {
			h.pass(ctx, p, m.raw, head, out)
		}
	case "notifications/progress": // nobody could say whose token it is
	default:
		h.v.session.Refused(ctx, "a notification on no list")
	}
	return outcome{}
}

// any asks one server after the other until one knows what is asked for.
func (h *hub) any(ctx context.Context, m *message, head http.Header, out taker) outcome {
	var o outcome
	for _, p := range h.servers() {
		if o = h.pass(ctx, p, m.raw, head, out); member(o.last.data, "result") != nil {
			break
		}
	}
	return o
}

// listen joins what all servers say unasked.
func (h *hub) listen(ctx context.Context, last string, head http.Header, open func(), out taker) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from, place, _ := strings.Cut(last, betweenIDs)
	var once sync.Once
	parts := h.servers()
	ended := make(chan error, len(parts))
	for _, p := range parts {
		at := ""
		if p.server.Name == from {
			at = place
		}
		go func() {
			own := p.heads(&message{})
			ended <- p.listen(ctx, at, own, func() { once.Do(open) }, hubTaker{out, p})
		}()
	}
	var first error
	opened := false
	for range parts {
		if err := <-ended; err == nil || ctx.Err() != nil {
			opened = true
		} else if first == nil {
			first = err
		}
	}
	if opened {
		return nil
	}
	return first
}

// A hubTaker gives the client what one server says, under names that tell whose it is.
type hubTaker struct {
	taker
	p *conversation
}

func (t hubTaker) event(e event) error { return t.taker.event(toClient(t.p, e)) }

// toClient puts the server's name before its ids, its URIs and its places.
func toClient(p *conversation, e event) event {
	if e.hasID {
		e.id = p.server.Name + betweenIDs + e.id
	}
	if len(e.data) == 0 {
		return e
	}
	m, err := read(e.data)
	if err != nil {
		return event{}
	}
	if m.request() {
		e.data = m.rename(jsontext.Append(nil, []byte(p.server.Name+betweenIDs+m.key)))
	}
	out, err := jsontext.Replace(e.data, func(x *jsontext.Value) ([]byte, bool, error) {
		key := x.Key()
		if x.Kind != jsontext.String || key != "uri" && key != "uriTemplate" || len(x.Path) < 2 || data(x.Path) || x.Path[0] == "error" {
			return nil, false, nil
		}
		return append([]byte(p.server.Name+betweenURIs), x.Text...), true, nil
	})
	if err != nil {
		return event{}
	}
	e.data = out
	return e
}

// close ends all of them.
func (h *hub) close() {
	var work sync.WaitGroup
	for _, p := range h.servers() {
		work.Go(p.close)
	}
	work.Wait()
}

func (h *hub) begun() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.version != ""
}
