package detect

import (
	"slices"
	"strings"
)

// An info is all that is known of a class: a row of the one table.
type info struct {
	class  Class
	groups string // " pii phi", each with a space before it
	// What docs/classes.md says of it.
	format, check, source string
	// Scores of a value that passes its check: by itself, in the writing that is
	// usual for it, and near one of the words; and of one that fails, near one. 0: nothing.
	alone, shaped, near, wrong float32
	// words speak of the class, near a value; names are names of columns and keys,
	// "first name, surname, mail 0.8", with how sure they are.
	words, names string
	// is and not are synthetic examples; what is found in them stands between « and ».
	is, not []string
}

// The table: every class there is, in the order of the documentation.
var table = slices.Concat(generalClasses(), financialClasses(), nationalClasses(), moreNationalClasses(), healthClasses(), secretClasses(), providerClasses())

// providerClasses are those of credentials that tell who gave them out.
func providerClasses() []info {
	var out []info
	for _, c := range tokenClasses() {
		if c != AWSKey && c != GitHubToken && !slices.ContainsFunc(secretClasses(), func(i info) bool { return i.class == c }) {
			out = append(out, info{class: c, groups: " secret"})
		}
	}
	return out
}

// byClass is where each class stands in the table.
var byClass = func() map[Class]int {
	m := make(map[Class]int, len(table))
	for i := range table {
		m[table[i].class] = i
	}
	return m
}()

// Classes lists every class, in the order of the documentation.
func Classes() []Class {
	out := make([]Class, len(table))
	for i := range table {
		out[i] = table[i].class
	}
	return out
}

// Valid reports whether c is a class of this edition, or is written as one of a
// deployment's own is.
func (c Class) Valid() bool {
	if _, ok := byClass[c]; ok {
		return true
	}
	_, _, own := OwnClass(c)
	return own
}

// The groups of classes that policy speaks of.
const (
	PII    = "pii"
	PHI    = "phi"
	PCI    = "pci"
	Secret = "secret"
)

// GroupOf returns the groups a class belongs to, sorted. A class of no group,
// such as the names of organisations, has none. A class of a deployment's own
// says its group itself; one of a group that is its own belongs to "secret" too, as
// an unknown class does, so that policy treats it as the worst.
func GroupOf(c Class) []string {
	if i, ok := byClass[c]; ok {
		return strings.Fields(table[i].groups)
	}
	switch group, _, own := OwnClass(c); {
	case !own:
		return []string{Secret}
	case slices.Contains([]string{PII, PHI, PCI, Secret}, group):
		return []string{group}
	default:
		return []string{OwnGroup(group), Secret}
	}
}

// Groups returns the groups of all classes, sorted, each once.
func Groups(classes []Class) []string {
	var all []string
	for _, c := range classes {
		all = append(all, GroupOf(c)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
