package mcp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/jsontext"
)

// Members of _meta that this gate reads.
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaClient       = "io.modelcontextprotocol/clientInfo"
	metaLevel        = "io.modelcontextprotocol/logLevel"
	metaSession      = "dev.assent/session"
	metaParent       = "dev.assent/parent"
	metaReason       = "dev.assent/reason"
)

// A manner is how requests of one method are judged. Without describe they are
// harmless by name.
type manner struct {
	describe func(ctx context.Context, g *Guard, c *call, m *message) (*action.Action, *refusal)
}

// A refusal is an answer without a decision.
type refusal struct {
	code   int
	text   string
	record string // "" for none
}

// requests is every method that a client may ask for. What is not here is refused.
var requests = map[string]manner{
	"initialize":               {},
	"ping":                     {},
	"server/discover":          {},
	"tools/list":               {},
	"logging/setLevel":         {},
	"resources/subscribe":      {},
	"resources/unsubscribe":    {},
	"subscriptions/listen":     {},
	"tools/call":               {describeCall},
	"resources/list":           {describeRead},
	"resources/templates/list": {describeRead},
	"resources/read":           {describeRead},
	"prompts/list":             {describeRead},
	"prompts/get":              {describeRead},
	"completion/complete":      {describeRead},
}

// harmless says that the params of a request that is harmless by name are no more
// than what it needs: whoever puts anything else there is judged by it.
func harmless(method string, params []byte) bool {
	if len(params) > maxFree {
		return false
	}
	for _, f := range members(params) {
		switch f.Name {
		case "_meta":
			for _, inner := range members(f.Value) {
				if !slices.Contains(free, inner.Name) {
					return false
				}
			}
		case "cursor":
			if method != "tools/list" || len(f.Value) > 1024 {
				return false
			}
		case "level":
			if level, _ := jsontext.Text(f.Value); method != "logging/setLevel" || !slices.Contains(levels, level) {
				return false
			}
		case "uri":
			if method != "resources/subscribe" && method != "resources/unsubscribe" || len(f.Value) > 1024 {
				return false
			}
		case "notifications":
			if method != "subscriptions/listen" {
				return false
			}
		case "protocolVersion", "capabilities", "clientInfo":
			if method != "initialize" {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// levels are those of RFC 5424.
var levels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// describeRead is a request that reads what the server has.
func describeRead(_ context.Context, g *Guard, c *call, m *message) (*action.Action, *refusal) {
	target := text(m.params, "uri")
	if target == "" {
		target = text(m.params, "name")
	}
	a := g.action(m.method, target)
	a.Kinds = []action.Kind{action.DataRead}
	if m.method == "resources/read" {
		if scheme, _, _ := strings.Cut(strings.ToLower(target), ":"); scheme == "http" || scheme == "https" {
			a.Kinds = append(a.Kinds, action.NetFetch)
			c.untrusted = "web page"
		}
	}
	a.Title = m.method
	if target != "" {
		a.Title += " " + clip(target, 200)
	}
	a.Reversible = true
	args, loose, state := parts(m.params)
	a.Claims = claims(m)
	a.Payload = payload(args, loose)
	a.Statement = m.method + "\n" + pretty(a.Payload)
	if len(args) == 0 && len(loose) == 0 {
		a.Payload, a.Statement = []byte(m.method), m.method
	}
	for k, v := range state {
		a.State[k] = v
	}
	return a, nil
}

// describeCall is a call of a tool.
func describeCall(ctx context.Context, g *Guard, c *call, m *message) (*action.Action, *refusal) {
	var name string
	arguments := []byte("{}")
	for _, f := range members(m.params) {
		switch f.Name {
		case "name":
			name, _ = jsontext.Text(f.Value)
		case "arguments":
			arguments = f.Value
		case "_meta", "inputResponses", "requestState":
		default:
			return nil, &refusal{codeParams, "tools/call: a parameter that is not let through: " + clip(f.Name, 40), "a parameter of tools/call on no list"}
		}
	}
	if name == "" {
		return nil, &refusal{codeParams, "tools/call: name is missing", ""}
	}
	if string(arguments) == "null" {
		arguments = []byte("{}")
	}
	if _, err := jsontext.Members(arguments); err != nil {
		return nil, &refusal{codeParams, "tools/call: arguments are no object that everybody reads alike: " + err.Error(), "arguments that two parsers read in two ways"}
	}
	t, r := g.lookUp(ctx, c, name)
	if r != nil {
		return nil, r
	}
	c.tool = t
	g.mu.Lock()
	classed := g.classed
	g.mu.Unlock()
	j := g.judge.Tool(classed, t.Definition, arguments)
	a := g.action(orElse(j.Verb, "call"), orElse(j.Target, name))
	a.Kinds, a.Title, a.Shape, a.Reversible, a.Routine, a.Columns = j.Kinds, j.Title, j.Shape, j.Reversible, j.Routine, j.Columns
	switch {
	case len(a.Kinds) == 0 && j.Harmless != "": // what it returns is read all the same
		a.Kinds = []action.Kind{action.DataRead}
	case len(a.Kinds) == 0:
		a.Kinds = []action.Kind{action.ToolCall}
	}
	if a.Title == "" {
		a.Title = g.server + ": " + clip(name, 100)
	}
	if len(j.Objects) > 0 {
		a.Objects = j.Objects
	}
	a.Data.Inferred, a.Data.InferredOf = len(j.Inferred) > 0, j.Inferred
	a.Data.Destination, a.Named = j.Destination, j.Named
	c.untrusted = g.others
	if j.Untrusted && c.untrusted == "" {
		c.untrusted = "result of " + g.server
	}
	_, loose, state := parts(m.params)
	a.State["tool"], a.State["definition"] = name, t.Pinned
	for k, v := range state {
		a.State[k] = v
	}
	a.Claims = claims(m)
	a.Payload = payload(arguments, loose)
	a.Statement = j.Statement
	if g.command != "" {
		defer func() { a.Statement += "\nserver started by the client: " + g.command }()
	}
	if a.Statement == "" {
		a.Statement = name + " " + pretty(arguments)
		for _, f := range loose {
			a.Statement += "\n" + f.Name + ": " + pretty(f.Value)
		}
	}
	return a, nil
}

// lookUp finds the definition of a tool, and lists them first where that is due.
func (g *Guard) lookUp(ctx context.Context, c *call, name string) (*Tool, *refusal) {
	t, why := g.tools.find(name)
	if g.tools.stale(g.fresh) || g.tools.doubted(ctx, name, t, why) || t == nil && why == "" && g.fresh > 0 {
		var meta []byte
		if c.version >= Stateless {
			meta = object(metaVersion, c.version, metaCapabilities, []byte("{}"))
		}
		if err := g.tools.list(ctx, g.ask, meta); err != nil {
			return nil, &refusal{codeNotReached, "the server's tools can't be listed, so none can be called", "tools that can't be listed: " + clip(err.Error(), 200)}
		}
		t, why = g.tools.find(name)
	}
	switch {
	case why != "":
		return nil, &refusal{codeParams, "this tool may not be used: " + why, "a call of a tool that may not be used: " + why}
	case t == nil:
		return nil, &refusal{codeParams, "Unknown tool: " + clip(name, 100), "a call of a tool that the server does not list"}
	}
	return t, nil
}

// action is what all actions here have.
func (g *Guard) action(verb, target string) *action.Action {
	a := &action.Action{Verb: verb, Target: target, State: map[string]string{"server": g.server}, Objects: []string{target}}
	a.Resource.URN = g.place
	if g.command != "" {
		a.State["command"] = g.command
	}
	return a
}

// free are members of _meta that say how a message travels, not what it asks for.
var free = []string{"progressToken", metaVersion, metaCapabilities, metaClient, metaLevel, metaSession, metaParent, metaReason, "traceparent", "tracestate"}

// maxFree bounds them together.
const maxFree = 4 << 10

// parts takes params apart: what identifies the request in its words, everything
// else that goes to the server and has to be looked at, and what gives it meaning.
func parts(params []byte) (args, loose []jsontext.Member, state map[string]string) {
	state = map[string]string{}
	for _, f := range members(params) {
		switch f.Name {
		case "_meta":
			size := 0
			for _, inner := range members(f.Value) {
				size += len(inner.Value)
				if !slices.Contains(free, inner.Name) || size > maxFree {
					loose = append(loose, jsontext.Member{Name: "_meta." + inner.Name, Value: inner.Value})
				}
			}
		case "inputResponses":
			loose = append(loose, f)
		case "requestState":
			sum := sha256.Sum256(f.Value)
			state["requestState"] = hex.EncodeToString(sum[:])
			loose = append(loose, f)
		default:
			args = append(args, f)
		}
	}
	return args, loose, state
}

// payload is the bytes that go to the server, as they came.
func payload(args any, loose []jsontext.Member) []byte {
	var out []byte
	switch args := args.(type) {
	case []byte:
		out = args
	case []jsontext.Member:
		pairs := make([]any, 0, 2*len(args))
		for _, f := range args {
			pairs = append(pairs, f.Name, f.Value)
		}
		out = object(pairs...)
	}
	if len(loose) == 0 {
		return out
	}
	out = bytes.Clone(out)
	for _, f := range loose {
		out = append(append(append(append(out, '\n'), f.Name...), ": "...), f.Value...)
	}
	return out
}

// claims are the asker's own words, in _meta and in a header.
func claims(m *message) action.Claims {
	meta := member(m.params, "_meta")
	if meta == nil {
		return action.Claims{Trace: m.trace}
	}
	c := action.Claims{Session: clip(text(meta, metaSession), 200), Parent: clip(text(meta, metaParent), 200), Reason: clip(text(meta, metaReason), 2000), Trace: clip(text(meta, "traceparent"), 200)}
	if c.Trace == "" {
		c.Trace = m.trace
	}
	return c
}

// bare is what a client's answer comes to that tells the server nothing but no, or
// that it is there; nil: it tells more.
func bare(q *question, m *message) []byte {
	if m.fault != nil {
		code := member(m.fault, "code")
		if _, err := idKey(code); err != nil || code[0] == '"' {
			code = []byte("-32603")
		}
		return object("jsonrpc", "2.0", "id", m.id, "error", object("code", code, "message", "the client refused"))
	}
	action := text(m.result, "action")
	switch {
	case q.method == "ping":
		return object("jsonrpc", "2.0", "id", m.id, "result", []byte("{}"))
	case q.method == "elicitation/create" && (action == "decline" || action == "cancel"):
		return object("jsonrpc", "2.0", "id", m.id, "result", object("action", action))
	}
	return nil
}

// answerOf is the action that a client's answer to the server is.
// A server can ask for more in the middle of a call, and what it is told then is
// part of what the call does: it needs what the call needed.
func (g *Guard) answerOf(q *question, m *message) *action.Action {
	a := g.action(q.method, g.server)
	a.Title = "answer to " + q.method
	a.Payload = m.result
	a.Statement = q.method + " " + pretty(m.result)
	switch q.method {
	case "sampling/createMessage":
		a.Kinds = []action.Kind{action.LLMCall}
	case "roots/list":
		a.Kinds, a.Reversible = []action.Kind{action.DataRead}, true
	default:
		a.Kinds = q.kinds
		if len(a.Kinds) == 0 {
			a.Kinds = []action.Kind{action.ToolCall}
		}
	}
	return a
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
