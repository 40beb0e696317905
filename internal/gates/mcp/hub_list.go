package mcp

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/assenthq/assent/internal/jsontext"
)

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

// listed is where the elements of a list stand.
var listed = map[string]string{"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources", "resources/templates/list": "resourceTemplates"}
