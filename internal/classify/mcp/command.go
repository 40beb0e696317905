package mcp

import (
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/shell"
)

// script judges a command line that a tool hands to a shell.
func (j *judge) script(text string) {
	a := shell.Script(text, shell.Context{})
	j.command(&a)
}

// argv judges a command without a shell: a list of words, or one.
func (j *judge) argv(name string, v any) {
	list, is := v.([]any)
	if !is {
		list = []any{v}
	}
	words := make([]string, len(list))
	for i, e := range list {
		if words[i], is = e.(string); !is {
			j.add("its "+name+" is no text", action.Execute, action.Unknown)
			return
		}
	}
	a := shell.Argv(words, shell.Context{})
	j.command(&a)
}

func (j *judge) command(a *shell.Analysis) {
	r := &j.found
	for _, w := range a.Why {
		j.add(w)
	}
	j.add("", a.Kinds...)
	r.Objects = slices.Concat(r.Objects, a.Reads, a.Writes)
	if len(a.Hosts) > 0 {
		r.Destination = strings.Join(a.Hosts, ", ")
	}
	if a.Harmless != "" {
		r.Harmless = a.Harmless
		if len(r.Kinds) == 0 {
			j.harmless = j.calls
		}
	}
	r.Verb, r.Target, r.Routine, r.Reversible = a.Verb, a.Target, a.Routine, a.Reversible
	j.shape = append(j.shape, a.Shape)
}

// readKinds is what reading a path means, on a machine of whatever system.
func readKinds(p string) []action.Kind {
	return onBoth(p, shell.ReadKinds)
}

// writeKinds is what writing it means.
func writeKinds(p string) []action.Kind {
	return onBoth(p, shell.WriteKinds)
}

// sensitive is what reading or writing it means beyond that.
func sensitive(p string) []action.Kind {
	return slices.DeleteFunc(append(readKinds(p), writeKinds(p)...), func(k action.Kind) bool { return k == action.DataRead || k == action.DataWrite })
}

// onBoth judges a path as it stands, and as a system that divides by \ has it.
func onBoth(p string, kinds func(string) []action.Kind) []action.Kind {
	out := kinds(p)
	if strings.Contains(p, `\`) {
		out = append(out, kinds(strings.ReplaceAll(p, `\`, "/"))...)
	}
	return out
}
