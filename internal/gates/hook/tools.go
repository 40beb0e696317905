package hook

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/classify/shell"
)

// A tool is one row of an agent's table: what makes an action of a call, and the
// names of the arguments that say what it does it to.
type tool struct {
	do    func(g *Gate, e *Event, t tool, in fields) (judged, error)
	args  []string // all must be there, of several spellings (a|b) one; the first one names the target
	more  []string // these may be
	words bool     // the first argument is words to look for, and no path: what lies below the others is read
	own   bool     // it keeps the agent's own lists, or asks its user: nothing is judged
}

// judged is what became of a call. Without an action the tool has no effect
// outside of the agent itself, and none is asked.
type judged struct {
	action    *action.Action
	untrusted string
	mcp       bool
	release   func()
}

var harmless = tool{own: true}

// judge makes an action of a call.
func (g *Gate) judge(ad adapter, e *Event) (judged, error) {
	in, err := members(e.Input)
	if err != nil {
		return judged{}, err
	}
	server, name, mcp := e.mcpTool()
	t, known := ad.tools[e.Tool]
	switch {
	case mcp:
		t = tool{do: func(g *Gate, e *Event, _ tool, _ fields) (judged, error) { return g.mcp(e, server, name), nil }}
	case !known:
		t = tool{do: unknown}
	case t.own:
		return judged{}, nil
	}
	if len(in) == 0 && !mcp { // an MCP tool may take no arguments
		return judged{}, fmt.Errorf("the input of %s is empty", e.Tool)
	}
	for _, a := range t.args {
		if s, err := in.any(a); err != nil {
			return judged{}, fmt.Errorf("the input of %s: %w", e.Tool, err)
		} else if s == "" {
			err = fmt.Errorf("%s is missing", a)
			return judged{}, fmt.Errorf("the input of %s: %w", e.Tool, err)
		}
	}
	j, err := t.do(g, e, t, in)
	if err != nil || j.action == nil {
		return j, err
	}
	finish(e, j.action)
	j.mcp = mcp
	return j, nil
}

// finish fills in what every action of a hook has.
func finish(e *Event, a *action.Action) {
	if a.State == nil {
		a.State = map[string]string{}
	}
	a.State["agent"], a.State["tool"], a.State["dir"] = e.Agent, e.Tool, e.Dir
	if a.Payload == nil {
		a.Payload = e.Input
	}
	if a.Statement == "" {
		a.Statement = readable(e)
	}
	if a.Shape == "" {
		a.Shape = hash(e.Agent, e.Tool, a.Verb)[:32]
	}
	if len(a.Kinds) == 0 {
		a.Kinds = []action.Kind{action.DataRead} // without effect: what it prints is all there is
	}
	slices.Sort(a.Kinds)
	a.Kinds = slices.Compact(a.Kinds)
	a.Claims.Session = e.Session
	if e.Use != "" { // what asked a model for this call, where that was seen
		a.Claims.Parent = "model:" + e.Use
	}
}

// runs is a script for a shell.
func runs(g *Gate, e *Event, t tool, in fields) (judged, error) {
	script, err := in.any(t.args[0])
	if err != nil {
		return judged{}, err
	}
	if text, in := patchOf(e.Agent, script); text != "" {
		return patch(e, resolve(e.Dir, in), text)
	}
	dir := e.Dir
	for _, name := range t.more { // a working directory of its own
		own, err := in.any(name)
		if err != nil {
			return judged{}, err
		}
		if own != "" {
			dir = resolve(e.Dir, own)
		}
	}
	a := g.cfg.Command(script, dir)
	if a == nil {
		return judged{}, fmt.Errorf("the script of %s has no canonical form", e.Tool)
	}
	if in.has("dangerouslyDisableSandbox") && string(in["dangerouslyDisableSandbox"]) != "false" {
		if a.State == nil {
			a.State = map[string]string{}
		}
		a.State["sandbox"], a.Routine = "off", false
	}
	j := judged{action: a}
	if slices.Contains(a.Kinds, action.NetFetch) {
		j.untrusted = "web page"
	}
	return j, nil
}

// runsElsewhere is a script for a shell that nobody here reads.
func runsElsewhere(_ *Gate, e *Event, t tool, in fields) (judged, error) {
	script, err := in.any(t.args[0])
	return judged{action: &action.Action{Kinds: []action.Kind{action.Execute, action.Unknown}, Verb: strings.ToLower(e.Tool), Title: "run a script of " + e.Tool, Statement: script, Payload: []byte(script)}}, err
}

// paths are the places that arguments name, as the tool will find them.
func (t tool) paths(e *Event, in fields) ([]string, error) {
	names := slices.Concat(t.args, t.more)
	if t.words {
		names = names[1:]
	}
	var out []string
	for _, name := range names {
		p, err := in.any(name)
		if err != nil {
			return nil, err
		}
		if p != "" {
			out = append(out, resolve(e.Dir, p))
		}
	}
	if len(out) == 0 {
		out = []string{e.Dir}
	}
	return out, nil
}

// resolve is p as seen from dir. A leading ~ stays: whose home it is, nobody here knows.
func resolve(dir, p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	if strings.HasPrefix(p, "/") || strings.HasPrefix(p, "~") || dir == "" {
		return path.Clean(p)
	}
	return path.Join(dir, p)
}

func readKinds(paths []string) []action.Kind {
	out := []action.Kind{action.DataRead}
	for _, p := range paths {
		out = append(out, shell.ReadKinds(p)...)
		out = append(out, shell.PatternKinds(p)...)
		out = append(out, shell.ReadKinds(strings.TrimRight(p, "*"))...)           // .env*
		if base := path.Base(p); len(base) > 1 && base[0] == '.' && base != ".." { // a directory of one program's settings
			for _, name := range []string{"credentials", "config", "config.json", "token"} {
				out = append(out, shell.ReadKinds(path.Join(p, name))...)
			}
		}
	}
	return out
}

// writeKinds are at least a write: a tool that changes a file says nothing of devices.
func writeKinds(paths []string) []action.Kind {
	out := []action.Kind{action.DataWrite}
	for _, p := range paths {
		out = append(out, shell.WriteKinds(p)...)
	}
	return out
}

func reads(_ *Gate, e *Event, t tool, in fields) (judged, error) {
	paths, err := t.paths(e, in)
	if err != nil {
		return judged{}, err
	}
	kinds := readKinds(paths)
	if t.words && slices.ContainsFunc(paths, shell.HoldsSecrets) {
		kinds = append(kinds, action.SecretAccess)
	}
	return judged{action: &action.Action{Kinds: kinds, Verb: "read", Target: paths[0], Title: "read " + paths[0], Objects: paths, Reversible: true}}, nil
}

// collects is the output of a command that was let run in the background.
func collects(_ *Gate, e *Event, _ tool, _ fields) (judged, error) {
	return judged{action: &action.Action{Kinds: []action.Kind{action.DataRead}, Verb: "read", Target: "output", Title: "read the output of a command", Reversible: true}}, nil
}

func writes(_ *Gate, e *Event, t tool, in fields) (judged, error) {
	paths, err := t.paths(e, in)
	if err != nil {
		return judged{}, err
	}
	return judged{action: write(e.Dir, paths)}, nil
}

func write(dir string, paths []string) *action.Action {
	a := &action.Action{Kinds: writeKinds(paths), Verb: "write", Target: paths[0], Title: "write " + paths[0], Objects: paths}
	a.Routine = isEdit(dir, paths, a.Kinds)
	if len(paths) > 1 {
		a.Title = fmt.Sprintf("write %d files, first %s", len(paths), paths[0])
	}
	return a
}

// deletes is a write after which nothing is left.
func deletes(g *Gate, e *Event, t tool, in fields) (judged, error) {
	j, err := writes(g, e, t, in)
	if err == nil {
		j.action.Kinds, j.action.Verb, j.action.Title = append(j.action.Kinds, action.DataDelete), "delete", "delete "+j.action.Target
		j.action.Routine = false
	}
	return j, err
}

// patches is a patch of several files.
func patches(_ *Gate, e *Event, t tool, in fields) (judged, error) {
	text, err := in.any(t.args[0])
	if err != nil {
		return judged{}, err
	}
	if body, dir := patchOf(e.Agent, text); body != "" {
		return patch(e, resolve(e.Dir, dir), body)
	}
	return patch(e, e.Dir, text)
}

func patch(e *Event, dir, text string) (judged, error) {
	files, deleted := patchFiles(text)
	if len(files) == 0 {
		return judged{}, fmt.Errorf("the patch of %s names no file", e.Tool)
	}
	for i, f := range files {
		files[i] = resolve(dir, f)
	}
	a := write(dir, files)
	a.Verb, a.Statement = "patch", text
	if deleted {
		a.Kinds, a.Routine = append(a.Kinds, action.DataDelete), false
	}
	return judged{action: a}, nil
}

// fetches is a page of the web, or of a network nearer by.
func fetches(_ *Gate, e *Event, t tool, in fields) (judged, error) {
	text, err := in.any(t.args[0])
	if err != nil {
		return judged{}, err
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return judged{}, fmt.Errorf("the input of %s: its address has no host", e.Tool)
	}
	host := strings.ToLower(u.Hostname())
	a := &action.Action{Kinds: []action.Kind{action.NetFetch}, Verb: "fetch", Target: host, Title: "fetch a page of " + host, Objects: []string{host}, Reversible: true}
	a.Data.Destination = host
	return judged{action: a, untrusted: "web page"}, nil
}

func searches(_ *Gate, e *Event, _ tool, _ fields) (judged, error) {
	a := &action.Action{Kinds: []action.Kind{action.NetFetch}, Verb: "search", Target: "web", Title: "search the web", Reversible: true}
	a.Data.Destination = "web search"
	return judged{action: a, untrusted: "web page"}, nil
}

// calls starts an agent or a skill. What that does comes by itself, call by call.
func calls(_ *Gate, e *Event, _ tool, _ fields) (judged, error) {
	name := strings.ToLower(e.Tool)
	return judged{action: &action.Action{Kinds: []action.Kind{action.ToolCall}, Verb: name, Target: name, Title: "start " + name}}, nil
}

// resource reads a resource of an MCP server.
func resource(_ *Gate, e *Event, _ tool, in fields) (judged, error) {
	server, err := in.text("server")
	if err != nil {
		return judged{}, err
	}
	return judged{action: &action.Action{Kinds: []action.Kind{action.DataRead, action.ToolCall}, Verb: "read", Target: server, Title: "read a resource of " + server, Reversible: true}, untrusted: "MCP resource"}, nil
}

// unknown is a tool that no table has.
func unknown(_ *Gate, e *Event, _ tool, _ fields) (judged, error) {
	return judged{action: &action.Action{Kinds: []action.Kind{action.ToolCall, action.Unknown}, Verb: "call", Target: e.Tool, Title: "call " + e.Tool + ", which nobody here knows"}}, nil
}

// mcpTool splits the name of a tool of an MCP server: mcp__server__tool, or MCP:tool of
// Cursor, which doesn't name the server. Where the agent names the server itself, that counts.
func (e *Event) mcpTool() (server, name string, ok bool) {
	if name, ok := strings.CutPrefix(e.Tool, "MCP:"); ok && name != "" {
		return "", name, true
	}
	rest, ok := strings.CutPrefix(e.Tool, "mcp__")
	if !ok || e.Server != "" {
		return e.Server, strings.TrimPrefix(strings.TrimPrefix(rest, e.Server+"__"), "mcp_"+e.Server+"_"), e.Server != ""
	}
	server, name, found := strings.Cut(rest, "__")
	if !found || server == "" || name == "" {
		return rest, rest, true
	}
	return server, name, true
}

// mcp is a call of an MCP server's tool. That server's gate, if there is one, judges it again.
func (g *Gate) mcp(e *Event, server, name string) judged {
	r := g.cfg.MCP.Tool(mcp.Server{Name: server, Told: server}, mcp.Definition{Name: name}, e.Input)
	a := &action.Action{
		Kinds: r.Kinds, Verb: r.Verb, Target: r.Target, Title: r.Title, Shape: r.Shape, Statement: r.Statement,
		Objects: r.Objects, Columns: r.Columns, Reversible: r.Reversible, State: map[string]string{"server": server},
	}
	if !slices.Contains(a.Kinds, action.ToolCall) {
		a.Kinds = append(slices.Clone(a.Kinds), action.ToolCall)
	}
	a.Data.Destination = r.Destination
	a.Data.Inferred, a.Data.InferredOf = len(r.Inferred) > 0, r.Inferred
	j := judged{action: a, untrusted: "MCP tool"}
	return j
}

// readsMany is a read of files that patterns name.
func readsMany(_ *Gate, e *Event, _ tool, in fields) (judged, error) {
	var list []string
	for _, name := range []string{"include", "paths"} {
		if in.has(name) && json.Unmarshal(in[name], &list) == nil && len(list) > 0 {
			break
		}
	}
	if len(list) == 0 {
		return judged{}, fmt.Errorf("the input of %s names no file", e.Tool)
	}
	for i, p := range list {
		list[i] = resolve(e.Dir, p)
	}
	return judged{action: &action.Action{Kinds: readKinds(list), Verb: "read", Target: list[0], Title: fmt.Sprintf("read %d patterns of files, first %s", len(list), list[0]), Objects: list, Reversible: true}}, nil
}

// address finds the addresses in a prompt.
var address = regexp.MustCompile(`https?://[^\s"'<>()]+`)

// fetchesAny is the web page, or the pages, that an address or a prompt names.
func fetchesAny(_ *Gate, e *Event, t tool, in fields) (judged, error) {
	text, err := in.any(t.args[0])
	if err != nil {
		return judged{}, err
	}
	var hosts []string
	for _, found := range address.FindAllString(text, -1) {
		if u, err := url.Parse(found); err == nil && u.Hostname() != "" {
			hosts = append(hosts, strings.ToLower(u.Hostname()))
		}
	}
	if slices.Sort(hosts); len(hosts) == 0 {
		return judged{}, fmt.Errorf("the input of %s names no address", e.Tool)
	}
	hosts = slices.Compact(hosts)
	a := &action.Action{Kinds: []action.Kind{action.NetFetch}, Verb: "fetch", Target: hosts[0], Title: "fetch pages of " + strings.Join(hosts, ", "), Objects: hosts, Reversible: true}
	a.Data.Destination = strings.Join(hosts, ", ")
	return judged{action: a, untrusted: "web page"}, nil
}

// resourceOf reads a resource of an MCP server that its address names.
func resourceOf(_ *Gate, e *Event, t tool, in fields) (judged, error) {
	uri, err := in.any(t.args[0])
	return judged{action: &action.Action{Kinds: []action.Kind{action.DataRead, action.ToolCall}, Verb: "read", Target: cut(uri), Title: "read an MCP resource", Reversible: true}, untrusted: "MCP resource"}, err
}
