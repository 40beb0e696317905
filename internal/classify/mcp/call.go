package mcp

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/jsontext"
)

// maxInner is how many calls inside a call are followed.
const maxInner = 8

// call judges one call, and those that its arguments hold.
func (j *judge) call(tool string, raw []byte, depth int) {
	j.calls++
	args, ok := arguments(raw)
	if !ok {
		j.add("its arguments are no JSON object that everybody reads alike", action.Unknown)
	}
	j.shape = append(j.shape, tool)
	j.shape = append(j.shape, slices.Sorted(maps.Keys(args))...)
	rules, adminRules, listed := j.rules(tool)
	if depth == 0 {
		j.found.Mapped = len(adminRules) > 0 || listed
	}
	switch {
	case len(adminRules) > 0:
		for _, e := range adminRules {
			j.apply(e, args)
		}
	case listed:
		for _, e := range rules {
			j.apply(e, args)
		}
		j.tighten(depth, rules)
	default:
		j.unlisted(rules, args, depth)
	}
	j.inside(args, depth)
}

// unlisted judges a tool of which nobody told who is believed.
func (j *judge) unlisted(rules []*entry, args map[string]any, depth int) {
	if depth == 0 && j.server.Trusted && j.annotated() {
		j.guess(args)
		return
	}
	j.add("nobody said what the tool does", action.ToolCall)
	j.found.Untrusted = true
	for _, e := range rules { // the server only calls itself so
		j.apply(e, args)
	}
	j.guess(args)
	j.found.Reversible, j.found.Routine = false, false
	j.tighten(depth, nil)
}

// guess takes arguments for what their names say. It only adds.
func (j *judge) guess(args map[string]any) {
	for _, a := range guesses {
		j.argument(a, args)
	}
}

// rules are the entries that speak of a tool: the administrator's best ones, else
// those of the table. listed: the administrator vouches for the section.
func (j *judge) rules(tool string) (table, admin []*entry, listed bool) {
	best := -1
	for i := range j.server.Rules {
		r := &j.server.Rules[i]
		weight := fits(r.Tool, tool)
		if weight < 0 || weight < best {
			continue
		}
		if weight > best {
			best, admin = weight, nil
		}
		admin = append(admin, r.entry())
	}
	if s := j.c.table.sections[j.server.Kind]; s != nil {
		table = s[tool]
		return table, admin, len(table) > 0
	}
	if s := j.c.table.called[j.server.Told]; s != "" {
		table = j.c.table.sections[s][tool]
	}
	return table, admin, false
}

func (r *Rule) entry() *entry {
	e := &entry{kinds: r.Kinds, reversible: r.Reversible, untrusted: r.Untrusted, why: "the configuration says so"}
	for role, names := range map[role][]string{asSQL: r.SQL, asShell: r.Shell, asRead: r.Reads, asWrite: r.Writes, asURL: r.URLs, asRecipient: r.To, asNamed: r.On} {
		for _, n := range names {
			e.roles = append(e.roles, argument{role: role, name: n})
		}
	}
	slices.SortFunc(e.roles, func(a, b argument) int { return int(a.role) - int(b.role) })
	return e
}

// fits tells how well a pattern fits name: -1 not at all, and an exact name best of all.
func fits(pattern, name string) int {
	if pattern == name {
		return len(pattern) + 1<<20
	}
	if !strings.ContainsAny(pattern, "*?") || !Glob(pattern, name) {
		return -1
	}
	return len(pattern) - strings.Count(pattern, "*") - strings.Count(pattern, "?")
}

// Glob reports whether name fits a pattern in which * is any text and ? any one byte.
func Glob(pattern, name string) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// arguments decodes what a call hands over; false: it is no object that everybody reads alike.
func arguments(raw []byte) (map[string]any, bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, true
	}
	if _, err := jsontext.Members(raw); err != nil {
		return nil, false
	}
	v, err := value(raw)
	m, ok := v.(map[string]any)
	return m, ok && err == nil
}

// inside judges calls of tools that stand in the arguments, as a tool that calls
// others has them. It may only tighten.
func (j *judge) inside(v any, depth int) {
	switch v := v.(type) {
	case map[string]any:
		name, key, args := nested(v)
		if key != "" {
			j.nestedCall(name, args, depth)
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if k != key {
				j.inside(v[k], depth)
			}
		}
	case []any:
		for _, e := range v {
			j.inside(e, depth)
		}
	case string:
		if s := strings.TrimSpace(v); strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") {
			if inner, err := value([]byte(s)); err == nil && jsontext.Check([]byte(s)) == nil {
				j.inside(inner, depth+1)
			}
		}
	}
}

func (j *judge) nestedCall(name string, args []byte, depth int) {
	if j.calls > maxInner || depth >= maxInner {
		j.add("it holds more calls than are followed", action.Unknown)
		return
	}
	j.add("its arguments hold another call")
	untrusted := j.found.Untrusted
	j.call(name, args, depth+1)
	j.found.Untrusted = j.found.Untrusted || untrusted
	j.found.Reversible, j.found.Routine = false, false
}

// nested reads an object that names a tool and, in the member key, its arguments.
func nested(m map[string]any) (tool, key string, args []byte) {
	for _, k := range []string{"tool", "tool_name", "toolName", "function", "method", "name"} {
		if s, is := m[k].(string); is && s != "" && tool == "" {
			tool = s
		}
	}
	if tool == "" {
		return "", "", nil
	}
	for _, k := range []string{"arguments", "args", "input", "tool_input", "toolInput", "params", "parameters", "tool_args", "kwargs"} {
		switch a := m[k].(type) {
		case map[string]any:
			return tool, k, canonical(nil, a)
		case string:
			if s := strings.TrimSpace(a); strings.HasPrefix(s, "{") {
				return tool, k, []byte(s)
			}
		}
	}
	return "", "", nil
}
