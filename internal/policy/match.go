package policy

import (
	"slices"
	"strings"
	"sync"
)

// A line is one line of `match:`. Every line must hold; an unknown fact leaves
// it unknown, as in a condition.
type line struct {
	name   string
	at     int  // in the pack
	scope  bool // it comes from the pack's scope
	values []string
	fact   *variable // what Explain shows
	test   func(in *Input, values []string) Tri
}

// holds is the conjunction of the lines.
func holds(lines []line, in *Input) Tri {
	out := Yes
	for i := range lines {
		switch lines[i].test(in, lines[i].values) {
		case No:
			return No
		case DontKnow:
			out = DontKnow
		}
	}
	return out
}

func (l *line) text() string { return l.name + " in [" + strings.Join(l.values, ", ") + "]" }

func (l *line) explain(in *Input) Atom {
	holds := l.test(in, l.values)
	return Atom{
		Expr:  l.text(),
		Value: l.name + " (" + l.fact.render(in) + ") in [" + strings.Join(l.values, ", ") + "]" + [...]string{" ?", " ✗", " ✓"}[holds],
		Holds: holds,
	}
}

// A lineSpec says how one key of `match:` is read. kind is not among them: the index holds it.
type lineSpec struct {
	key, fact string
	doc       string
	enum      []string
	test      func(in *Input, values []string) Tri
}

// lineSpecs is the table of them, made once.
var lineSpecs = sync.OnceValue(func() []lineSpec {
	return []lineSpec{
		{key: "env", fact: "resource.env", doc: "environment", test: one(func(in *Input) string { return in.Action.Resource.Env })},
		{key: "verb", fact: "action.verb", doc: "verb, in lower case; `drop` matches `drop table` too", test: matchVerb},
		{key: "actor", fact: "actor.type", doc: "type of the actor", enum: actorTypes(), test: one(func(in *Input) string { return in.ActorType })},
		{key: "resource", fact: "resource.urn", doc: "URN; `*` stands for any characters, `?` for one", test: globbed(func(in *Input) string { return in.Action.Resource.URN })},
		{key: "type", fact: "resource.type", doc: "type of the resource", test: one(func(in *Input) string { return in.Action.Resource.Type })},
		{key: "subject", fact: "subject.groups", doc: "a group of the subject (`group:name`)", test: matchSubject},
		{key: "destination", fact: "data.destination", doc: "where the data goes; `*` and `?` as above", test: globbed(func(in *Input) string { return in.Action.Data.Destination })},
		{key: "class", fact: "data.classes", doc: "a class of the data", enum: classNames(), test: anyOf(
			func(in *Input) []string { return in.Action.Data.Classes })},
		{key: "group", fact: "data.groups", doc: "a group of the data", enum: groupNames(), test: anyOf(
			func(in *Input) []string { return in.Action.Data.Groups })},
	}
})

// one holds when the fact is one of the values.
func one(fact func(*Input) string) func(*Input, []string) Tri {
	return func(in *Input, values []string) Tri {
		s := fact(in)
		return decided(slices.Contains(values, s), s != "")
	}
}

// matchVerb takes a value for the whole verb or for its first words, so that a
// rule about drop also sees the "drop table" of a finer parser.
func matchVerb(in *Input, values []string) Tri {
	verb := in.Action.Verb
	if verb == "" {
		return DontKnow
	}
	for _, v := range values {
		if strings.HasPrefix(verb, v) && (len(verb) == len(v) || verb[len(v)] == ' ') {
			return Yes
		}
	}
	return No
}

func globbed(fact func(*Input) string) func(*Input, []string) Tri {
	return func(in *Input, values []string) Tri {
		s := fact(in)
		if s == "" {
			return DontKnow
		}
		for _, v := range values {
			if glob(v, s) {
				return Yes
			}
		}
		return No
	}
}

// anyOf holds when one of the values is in the list, which is a lower bound
// until the classes are known.
func anyOf(fact func(*Input) []string) func(*Input, []string) Tri {
	return func(in *Input, values []string) Tri {
		for _, s := range fact(in) {
			if slices.Contains(values, s) {
				return Yes
			}
		}
		return decided(false, scanned(&in.Action.Data))
	}
}

func matchSubject(in *Input, values []string) Tri {
	if in.SubjectID == "" {
		return DontKnow
	}
	for _, g := range in.SubjectGroups {
		if slices.Contains(values, g) {
			return Yes
		}
	}
	return No
}

// glob matches s with pattern: * is any run of characters, also of / and :, and
// ? is one byte. It takes time proportional to both lengths at worst.
func glob(pattern, s string) bool {
	if last := len(pattern) - 1; strings.IndexByte(pattern, '*') == last && last >= 0 && strings.IndexByte(pattern, '?') < 0 {
		return strings.HasPrefix(s, pattern[:last]) // nearly every pattern is of this form
	}
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
