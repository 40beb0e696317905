package hookfiles

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Finding is one thing that was seen. State is "ok", "problem" or "unknown".
type Finding struct{ What, State, Remedy string }

// Agents are the names of those whose settings are known, sorted.
func Agents() []string {
	var out []string
	for name := range agents {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Examine looks at the settings and programs of every agent that is here. lookup finds a
// program, and version runs it; both may be nil for the machine's own.
func Examine(ctx context.Context, p Places, lookup func(string) (string, error), version func(context.Context, string) string) []Finding {
	if lookup == nil {
		lookup = exec.LookPath
	}
	if version == nil {
		version = ask
	}
	var out []Finding
	for _, name := range Agents() {
		x := examination{agent: agents[name], name: name, places: p}
		if path, err := lookup(x.agent.program); err == nil {
			x.program, x.version = path, version(ctx, path)
		}
		out = append(out, x.run()...)
	}
	return out
}

// ask has a program tell its version.
func ask(ctx context.Context, path string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return ""
	}
	return regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(string(out))
}

type examination struct {
	agent       agent
	name        string
	places      Places
	program     string
	version     string
	found       []Finding
	installed   []string // scopes
	managedOnly bool
	disabled    string // path of the settings that switch hooks off
}

func (x *examination) add(state, remedy, format string, args ...any) {
	x.found = append(x.found, Finding{x.name + ": " + fmt.Sprintf(format, args...), state, remedy})
}

func (x *examination) run() []Finding {
	seen := x.program != ""
	for _, scope := range scopes {
		path, err := x.places.Path(x.name, scope)
		if err != nil {
			continue
		}
		seen = x.file(scope, path) || seen
		if x.name == "claude-code" && scope == "project" {
			local := filepath.Join(filepath.Dir(path), "settings.local.json")
			x.file("project, local", local)
		}
	}
	if !seen {
		return nil
	}
	x.whole()
	return x.found
}

// file looks at one file of settings, and says whether it is there.
func (x *examination) file(scope, path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	root, err := parse(orEmpty(text))
	if err != nil {
		x.add("problem", "mend it: the agent may run without any hook", "%s can't be read: %v", path, err)
		return true
	}
	x.switches(scope, path, root, text)
	hooks := root.member("hooks")
	if hooks == nil || hooks.kind != '{' {
		return true
	}
	x.lint(path, text, hooks)
	var mine []string
	for i, event := range hooks.names {
		if slices.ContainsFunc(hooks.items[i].items, func(v *value) bool { return x.agent.isOurs(v, x.name) }) {
			mine = append(mine, event)
		}
	}
	if len(mine) == 0 {
		return true
	}
	x.installed = append(x.installed, scope)
	if missing := slices.DeleteFunc(slices.Clone(x.agent.asks), func(e string) bool { return slices.Contains(mine, e) }); len(missing) > 0 {
		x.add("problem", "assent hook install "+x.name+" puts it right", "%s has the hook, but not of %s: those calls are not asked about", path, strings.Join(missing, ", "))
	}
	for i, event := range hooks.names {
		if slices.Contains(x.agent.asks, event) {
			x.handlers(path, event, hooks.items[i], text)
		}
	}
	if info, err := os.Stat(path); err == nil && scope != "managed" {
		if info.Mode().Perm()&0o022 != 0 {
			x.add("problem", "chmod go-w "+path, "others may write %s, and take the hook out", path)
		}
		x.add("unknown", "have the machine's administrator install it: assent hook install "+x.name+" --scope managed", "%s is the person's own, so the agent could take the hook out of it", path)
	}
	return true
}

// switches notes what turns hooks off.
func (x *examination) switches(scope, path string, root *value, text []byte) {
	on := func(v *value) bool { return v != nil && v.plain(text) == true }
	if on(root.member("disableAllHooks")) {
		x.disabled = path
	}
	if scope == "managed" && on(root.member("allowManagedHooksOnly")) {
		x.managedOnly = true
	}
	if c := root.member("hooksConfig"); x.name == "gemini" && c != nil {
		if v := c.member("enabled"); v != nil && v.plain(text) == false {
			x.disabled = path
		}
		if list := c.member("disabled"); list != nil && len(list.items) > 0 {
			x.add("unknown", "look whether Assent's hook is among them", "%s switches some hooks off by name", path)
		}
	}
}

// lint says what makes the agent drop the file.
func (x *examination) lint(path string, text []byte, hooks *value) {
	for _, event := range hooks.names {
		if x.agent.known != nil && !slices.Contains(x.agent.known, event) {
			x.add("problem", "take it out: the agent ignores it, or drops the whole file", "%s names an event that there isn't: %.60q", path, event)
		}
	}
	if x.name == "cursor" && hasSlashes(hooks, text) {
		x.add("problem", "take the // out: Cursor takes the rest of the line for a comment and drops the file", "%s has // in a string", path)
	}
}

func hasSlashes(v *value, text []byte) bool {
	if v.kind == '"' {
		return strings.Contains(string(text[v.start:v.end]), "//")
	}
	return slices.ContainsFunc(v.items, func(i *value) bool { return hasSlashes(i, text) })
}

// handlers looks at our entries of an event that must be refused when they fail.
func (x *examination) handlers(path, event string, list *value, text []byte) {
	for _, item := range list.items {
		if !x.agent.isOurs(item, x.name) {
			continue
		}
		handlers := []*value{item}
		if inner := item.member("hooks"); inner != nil {
			handlers = inner.items
		}
		for _, h := range handlers {
			if handlerIsOurs(h, x.name) {
				x.handler(path, event, item, h, text)
			}
		}
	}
}

func (x *examination) handler(path, event string, group, h *value, text []byte) {
	repair := "assent hook install " + x.name + " puts it right"
	if name := x.agent.closed[0]; name != "" {
		if v := h.member(name); v == nil || string(text[v.start:v.end]) != x.agent.closed[1] {
			x.add("problem", repair, "%s, %s: without %s: %s a hook that fails lets the call run", path, event, name, x.agent.closed[1])
		}
	}
	if m := group.member("matcher"); x.agent.nested && m != nil && m.text != "" && m.text != "*" && m.text != ".*" {
		x.add("problem", repair, "%s, %s: the hook is asked about %.60q alone", path, event, m.text)
	}
	if h.member("if") != nil {
		x.add("problem", repair, "%s, %s: if: leaves calls out", path, event)
	}
	if c := h.member("command"); c != nil {
		x.commandIsThere(path, event, c.text)
	}
}

// commandIsThere looks whether the program of a command line can be run.
func (x *examination) commandIsThere(path, event, line string) {
	program := strings.Fields(line)[0]
	if rest, ok := strings.CutPrefix(line, "'"); ok {
		program, _, _ = strings.Cut(rest, "'")
	}
	if !filepath.IsAbs(program) {
		x.add("unknown", "install it again, so that it is named by its path", "%s, %s: %s is looked for in the agent's own PATH", path, event, program)
		return
	}
	if info, err := os.Stat(program); err != nil || info.Mode()&0o111 == 0 {
		x.add("problem", "install it again", "%s, %s: %s is not there", path, event, program)
	}
}

// whole says what the files together mean.
func (x *examination) whole() {
	what := "it is not installed here"
	if x.program != "" {
		what = "version " + x.version
		if x.version == "" {
			what = "its version can't be told"
		}
	}
	if len(x.installed) == 0 {
		x.add("unknown", "assent hook install "+x.name, "%s; its tool calls are not asked about", what)
		return
	}
	x.add("ok", "", "%s; the hook is in its settings (%s)", what, strings.Join(x.installed, "; "))
	if x.disabled != "" {
		x.add("problem", "take it out, or set it to the other value", "%s switches every hook off", x.disabled)
	}
	if x.managedOnly && !slices.Contains(x.installed, "managed") {
		x.add("problem", "assent hook install "+x.name+" --scope managed", "managed settings allow managed hooks only, and Assent's is none")
	}
	switch {
	case x.name == "claude-code" && x.version != "" && older(x.version, "2.1.295"):
		x.add("problem", "update it to 2.1.295 or later", "version %s knows no onFailure: a hook that times out lets the call run", x.version)
	case x.name == "codex":
		x.add("problem", "trust the hook once in Codex (/hooks), and look again after each change of it; the network path is what stops", "a hook that is not trusted or times out lets the call run, and nothing in its settings changes that")
		if text, err := os.ReadFile(filepath.Join(filepath.Dir(must(x.places.Path("codex", "user"))), "config.toml")); err == nil && regexp.MustCompile(`(?m)^\s*(codex_)?hooks\s*=\s*false`).Match(text) {
			x.add("problem", "take hooks = false out of [features]", "config.toml switches every hook off")
		}
	case x.name == "gemini":
		x.add("problem", "the network path is what stops", "a hook that times out lets the call run, and nothing in its settings changes that")
	}
}

func must(path string, _ error) string { return path }

// older compares versions number by number.
func older(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m < n
		}
	}
	return false
}
