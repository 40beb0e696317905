package policy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
)

// A ListedPack is one pack of a set, as people read it.
type ListedPack struct {
	Name, Version, Owner, File string
	Locked                     bool
	Rules                      []ListedRule
	Tests                      int
}

// A ListedRule is one rule as its pack has it.
type ListedRule struct {
	ID, Name  string // Name is the pack and the rule, as records name them
	Then      string // "deny", "review", "allow" or "mask"
	Mode      string // "enforce", "shadow" or "off"
	Until     time.Time
	Matches   []Fact        // conditions of match:, all of which must hold
	When      string        // the condition besides; "" always
	Masks     []Fact        // methods, with the classes that each is for
	Asks      []Requirement // of a review: whom it asks; of a deny: who may lift it
	Tags      []string      // threats of public lists that it is about
	Line      int
	Restricts bool // it can only take away
}

// A Fact is a name with its values.
type Fact struct {
	Name   string
	Values []string
}

// Listed is every pack with its rules, in the order in which they were written.
func (s *Set) Listed() []ListedPack {
	out := make([]ListedPack, 0, len(s.packs))
	for _, p := range s.packs {
		l := ListedPack{Name: p.name, Version: p.version, Owner: p.owner, File: p.at.file, Locked: p.locked, Tests: len(p.tests)}
		for _, r := range p.rules {
			l.Rules = append(l.Rules, listed(r))
		}
		out = append(out, l)
	}
	return out
}

func listed(r *rule) ListedRule {
	l := ListedRule{
		ID: r.id, Name: r.hit.Name(), Then: r.then.String(), Mode: [...]string{"enforce", "shadow", "off"}[r.mode], Until: r.until, Line: r.at.line,
		Restricts: r.then != thenAllow, Tags: slices.Clone(r.tags),
	}
	if kinds := namedKinds(r.kinds); len(kinds) > 0 {
		l.Matches = append(l.Matches, Fact{"kind", kinds})
	}
	for _, m := range r.lines {
		l.Matches = append(l.Matches, Fact{m.name, slices.Clone(m.values)})
	}
	if r.when != nil {
		l.When = strings.TrimSpace(r.when.source)
	}
	methods := map[string][]string{}
	for class, method := range FoldMasks(r.masks) {
		methods[method] = append(methods[method], class)
	}
	for _, method := range slices.Sorted(maps.Keys(methods)) {
		slices.Sort(methods[method])
		l.Masks = append(l.Masks, Fact{method, methods[method]})
	}
	for _, q := range []*Requirement{r.approval, r.unless} {
		if q != nil {
			l.Asks = append(l.Asks, *q)
		}
	}
	return l
}

// namedKinds names the kinds of a set; nil for every one of them.
func namedKinds(k kindSet) (out []string) {
	for _, name := range kindNames() {
		if k&kindBit(action.Kind(name)) != 0 {
			out = append(out, name)
		}
	}
	if len(out) == len(kindNames()) {
		return nil
	}
	return out
}
