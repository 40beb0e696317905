package mcp

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

//go:embed table.txt
var shipped string

// table is the shipped mapping.
type table struct {
	sections map[string]map[string][]*entry // by kind of server, and tool
	called   map[string]string              // what servers call themselves, to the kind
}

func (t *table) kinds() []string { return slices.Sorted(maps.Keys(t.sections)) }

// An entry is what is known of a tool.
type entry struct {
	kinds    []action.Kind
	roles    []argument
	harmless string
	why      string

	untrusted, reversible, stands bool
}

// role is what an argument is.
type role uint8

const (
	asSQL role = iota
	asOtherSQL
	asShell
	asArgv
	asRead
	asWrite
	asPath // read or written, nobody knows
	asURL
	asTarget
	asDestination
	asKind
	asRecipient // of a message that the call is, where it is given
	asNamed
)

var roleNames = map[string]role{
	"sql": asSQL, "sqlother": asOtherSQL, "shell": asShell, "argv": asArgv, "read": asRead, "write": asWrite,
	"url": asURL, "on": asTarget, "to": asDestination, "if": asKind,
}

type argument struct {
	role role
	name string
	glob string      // of asKind
	kind action.Kind // of asKind
}

// guesses are what arguments of tools nobody told of are taken for. They only add.
var guesses = []argument{
	{role: asOtherSQL, name: "sql"},
	{role: asShell, name: "command"},
	{role: asShell, name: "cmd"},
	{role: asPath, name: "path"},
	{role: asPath, name: "file_path"},
	{role: asURL, name: "url"},
	{role: asURL, name: "uri"},
}

func parseTable(text string) (table, error) {
	t := table{sections: map[string]map[string][]*entry{}, called: map[string]string{}}
	var section string
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			name, called, ok := strings.Cut(line[1:], "]")
			if !ok || t.sections[name] != nil {
				return t, fmt.Errorf("line %d: no section, or one that stands twice", n+1)
			}
			section = name
			t.sections[name] = map[string][]*entry{}
			for c := range strings.SplitSeq(called, "|") {
				if c = strings.TrimSpace(c); c != "" {
					t.called[c] = name
				}
			}
		default:
			if err := t.row(section, line); err != nil {
				return t, fmt.Errorf("line %d: %w", n+1, err)
			}
		}
	}
	return t, nil
}

func (t *table) row(section, line string) error {
	names, words, ok := strings.Cut(line, "=>")
	if !ok || t.sections[section] == nil {
		return fmt.Errorf("want a section, and TOOL... => WORD...")
	}
	e := &entry{why: "it is a known tool of " + section}
	for _, w := range strings.Fields(words) {
		if err := e.word(w); err != nil {
			return err
		}
	}
	for _, name := range strings.Fields(names) {
		if t.sections[section][name] != nil {
			return fmt.Errorf("%s stands twice", name)
		}
		t.sections[section][name] = []*entry{e}
	}
	return nil
}

func (e *entry) word(w string) error {
	key, val, has := strings.Cut(w, "=")
	switch {
	case !has && action.Kind(w).Valid():
		e.kinds = append(e.kinds, action.Kind(w))
	case w == "untrusted":
		e.untrusted = true
	case w == "reversible":
		e.reversible = true
	case w == "stands":
		e.stands = true
	case key == "harmless" && val != "":
		e.harmless = strings.ReplaceAll(val, "_", " ")
	case key == "if":
		p := strings.SplitN(val, ":", 3)
		if len(p) != 3 || !action.Kind(p[2]).Valid() {
			return fmt.Errorf("%s: want if=ARG:GLOB:KIND", w)
		}
		e.roles = append(e.roles, argument{role: asKind, name: p[0], glob: p[1], kind: action.Kind(p[2])})
	default:
		r, known := roleNames[key]
		if !known || val == "" {
			return fmt.Errorf("%q is no kind and no word of the table", w)
		}
		e.roles = append(e.roles, argument{role: r, name: val})
	}
	return nil
}
