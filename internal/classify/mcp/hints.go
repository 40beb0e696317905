package mcp

import (
	"slices"

	"github.com/assenthq/assent/action"
)

func said(b *bool, want bool) bool { return b != nil && *b == want }

// tighten adds what the server itself says of the tool, where that sounds worse
// than what others said of it. A hint that sounds better changes nothing.
func (j *judge) tighten(depth int, rules []*entry) {
	if depth > 0 || slices.ContainsFunc(rules, func(e *entry) bool { return e.stands }) {
		return
	}
	a := &j.def.Annotations
	if said(a.OpenWorld, true) {
		j.found.Untrusted = true
	}
	destroys := said(a.Destructive, true) && !said(a.ReadOnly, true)
	if destroys {
		j.found.Reversible = false
	}
	if !said(a.ReadOnly, false) && !destroys || j.changes() {
		return
	}
	j.add("its server says that it changes something", action.DataWrite)
	if destroys {
		j.add("its server says that it may destroy", action.DataDelete)
	}
}

// changes reports whether something found is more than reading.
func (j *judge) changes() bool {
	return slices.ContainsFunc(j.found.Kinds, func(k action.Kind) bool { return k != action.DataRead })
}

// annotated believes the annotations of a server that is trusted, with the defaults
// of the protocol's specification; false: it said nothing.
func (j *judge) annotated() bool {
	a := &j.def.Annotations
	if a.ReadOnly == nil {
		return false
	}
	open := !said(a.OpenWorld, false)
	j.found.Untrusted = j.found.Untrusted || open
	if open {
		j.add("its server, which is trusted, says that it reaches the outside", action.NetFetch)
	}
	if *a.ReadOnly {
		j.add("its server, which is trusted, says that it only reads", action.DataRead)
		return true
	}
	j.add("its server, which is trusted, says that it changes something", action.DataWrite)
	if !said(a.Destructive, false) {
		j.add("its server, which is trusted, says that it may destroy", action.DataDelete)
		return true
	}
	j.found.Reversible = said(a.Idempotent, true)
	return true
}
