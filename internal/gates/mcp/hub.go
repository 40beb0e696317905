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

// all gives a request to every server at once, and returns the results of those that have one.
func (h *hub) all(ctx context.Context, m *message, head http.Header, out taker) map[*conversation][]byte {
	var mu sync.Mutex
	results := map[*conversation][]byte{}
	var work sync.WaitGroup
	for _, p := range h.servers() {
		work.Go(func() {
			result := h.whole(ctx, p, m, head, out)
			mu.Lock()
			defer mu.Unlock()
			if result != nil {
				results[p] = result
			}
		})
	}
	out.opened()
	work.Wait()
	return results
}

// whole is one server's result, of a list with all its pages.
func (h *hub) whole(ctx context.Context, p *conversation, m *message, head http.Header, out taker) []byte {
	var first []byte
	var elements []byte
	what := listed[m.method]
	params := orBytes(m.params, []byte("{}"))
	for range maxPages {
		raw := object("jsonrpc", "2.0", "id", m.id, "method", m.method, "params", params)
		result := member(h.pass(ctx, p, raw, head, out).last.data, "result")
		if what == "" || result == nil {
			return result
		}
		if first == nil {
			first = result
		}
		if page, err := jsontext.Elements(member(result, what)); err == nil {
			for _, e := range page {
				if len(elements) > MaxMessage {
					return nil
				}
				elements = append(append(elements, ','), e...)
			}
		}
		next := member(result, "nextCursor")
		if next == nil {
			break
		}
		params = put(m.params, "cursor", next)
	}
	if len(elements) > 0 {
		elements = elements[1:]
	}
	return put(without(first, "nextCursor"), what, append(append([]byte{'['}, elements...), ']'))
}

// listed is where the elements of a list stand.
var listed = map[string]string{"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources", "resources/templates/list": "resourceTemplates"}

// list joins the lists of all servers, their names and URIs made this hub's.
func (h *hub) list(ctx context.Context, m *message, head http.Header, out taker) outcome {
	results := h.all(ctx, m, head, out)
	what := listed[m.method]
	joined := []byte{'['}
	rest := []byte("{}")
	for _, p := range h.servers() {
		elements, err := jsontext.Elements(member(results[p], what))
		if err != nil {
			continue
		}
		for _, e := range elements {
			if what == "tools" || what == "prompts" {
				e = replaced(e, "name", jsontext.Append(nil, []byte(p.server.Name+betweenNames+text(e, "name"))))
			}
			if len(joined) > 1 {
				joined = append(joined, ',')
			}
			joined = append(joined, e...)
		}
		if member(results[p], "resultType") != nil { // what a stateless revision says beside the list
			rest = without(without(results[p], what), "_meta")
		}
	}
	if len(results) == 0 {
		return answered(fail(m.id, codeNotReached, "none of the servers has answered"))
	}
	result := put(rest, what, append(joined, ']'))
	if len(result) > MaxMessage {
		return answered(fail(m.id, codeInternal, "the lists of all servers together are too long; use /mcp/NAME of each"))
	}
	return answered(object("jsonrpc", "2.0", "id", m.id, "result", result))
}

// meet answers initialize and server/discover for all servers. Those that
// don't answer are left out; discovery needs all.
func (h *hub) meet(ctx context.Context, m *message, head http.Header, out taker) outcome {
	results := h.all(ctx, m, head, out)
	discovers := m.method == "server/discover"
	if len(results) == 0 || discovers && len(results) < len(h.servers()) {
		code := codeNotReached
		if discovers { // the client then begins with initialize
			code = codeNoMethod
		}
		return answered(fail(m.id, code, "not every server behind this address speaks this revision, or can be reached"))
	}
	var instructions strings.Builder
	found := map[string]bool{} // capabilities, and what they hold
	version := ""
	var versions []string
	tasks := discovers // they are the pauser's, and the same with every server
	for i, p := range h.servers() {
		r := results[p]
		if r == nil {
			continue
		}
		tasks = tasks && isObject(member(member(member(r, "capabilities"), "extensions"), Tasks))
		if said := text(r, "instructions"); said != "" {
			instructions.WriteString("## " + p.server.Name + "\n" + said + "\n\n")
		}
		for _, c := range members(member(r, "capabilities")) {
			found[c.Name] = true
			for _, inner := range members(c.Value) {
				found[c.Name+"."+inner.Name] = found[c.Name+"."+inner.Name] || string(inner.Value) == "true"
			}
		}
		if v := text(r, "protocolVersion"); version == "" || v < version {
			version = v
		}
		theirs, _ := jsontext.Elements(member(r, "supportedVersions"))
		var names []string
		for _, v := range theirs {
			names = append(names, string(v))
		}
		if i == 0 {
			versions = names
		}
		versions = slices.DeleteFunc(versions, func(v string) bool { return !slices.Contains(names, v) })
	}
	able := capabilities(found, discovers)
	if tasks {
		able = put(able, "extensions", object(Tasks, []byte("{}")))
	}
	pairs := []any{"capabilities", able}
	if instructions.Len() > 0 {
		pairs = append(pairs, "instructions", strings.TrimSpace(instructions.String()))
	}
	if discovers {
		pairs = append(pairs, "supportedVersions", []byte("["+strings.Join(versions, ",")+"]"), "resultType", "complete", "ttlMs", 0, "cacheScope", "private",
			"_meta", object("io.modelcontextprotocol/serverInfo", []byte(`{"name":"assent","version":"1"}`)))
	} else {
		pairs = append(pairs, "protocolVersion", version, "serverInfo", []byte(`{"name":"assent","version":"1"}`))
		h.mu.Lock()
		h.version, h.begin = version, m.params
		h.mu.Unlock()
	}
	return answered(object("jsonrpc", "2.0", "id", m.id, "result", object(pairs...)))
}

// capabilities are those that the servers have together, as far as a hub has them
// too: without sessions it can't join their streams.
func capabilities(found map[string]bool, stateless bool) []byte {
	pairs := []any{}
	for _, name := range []string{"tools", "prompts", "resources", "logging", "completions"} {
		if !found[name] {
			continue
		}
		inner := []any{}
		for _, has := range []string{"listChanged", "subscribe"} {
			if found[name+"."+has] && !stateless {
				inner = append(inner, has, true)
			}
		}
		pairs = append(pairs, name, object(inner...))
	}
	return object(pairs...)
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
