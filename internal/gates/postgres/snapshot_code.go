package postgres

import (
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/classify/sql"
)

// A function that a user made.
type function struct {
	oid                 uint32
	schema, base        string
	kind, volatility    byte
	definer             bool // SECURITY DEFINER
	language, extension string
	args                []uint32
	defaults            int
	variadic            bool
	hash                [32]byte
	parts               []uint32 // functions that an aggregate is made of
	words               []string // names of functions and relations in its text
}

func (f *function) name() string { return f.schema + "." + f.base }

// traits says what a reviewer wants to know of a function.
func (f *function) traits() string {
	out := map[byte]string{'i': "immutable", 's': "stable", 'v': "volatile"}[f.volatility]
	if f.kind == 'a' {
		out = "aggregate"
	}
	if f.definer {
		out += ", security definer"
	}
	return out + ", " + f.language
}

// takes reports whether a call with n arguments may be one of f.
func (f *function) takes(n int) bool {
	return n < 0 || n <= len(f.args) && n >= len(f.args)-f.defaults || f.variadic && n >= len(f.args)-1-f.defaults
}

// computing are extensions whose functions compute from their arguments and nothing
// else, so that their overloads of built-in names change nothing: max(citext).
var computing = []string{
	"citext", "hstore", "pg_trgm", "unaccent", "fuzzystrmatch", "intarray", "ltree", "cube", "seg", "isn", "btree_gin", "btree_gist",
	"earthdistance", "uuid-ossp", "pgcrypto", "postgis",
}

// computes reports whether f is one of those. It claims not to be volatile, and has no rights of its own.
func (f *function) computes() bool {
	return slices.Contains(computing, f.extension) && f.volatility != 'v' && !f.definer
}

// An operator with its function, which may be a built-in one.
type operator struct {
	schema      string
	left, right uint32
	function    uint32
}

// A userType is a type that a user made.
type userType struct {
	oid                     uint32
	schema, base, extension string
	kind                    byte
	of, relation            uint32 // what a domain or an array is made of; what a row type is of
	checks                  []expression
	harmless                bool
}

func (t *userType) name() string { return t.schema + "." + t.base }
func (t *userType) why() string {
	return "making a value of " + t.name() + " runs what is not known to be harmless"
}

// holds adds the names of the user's types that a value of type oid holds. A domain's
// functions take its base as well, so it needs nothing.
func (s *snapshot) holds(oid uint32, into map[string]bool) {
	t := s.types[oid]
	if t == nil || into[t.name()] {
		return
	}
	into[t.name()] = true
	s.holds(t.of, into)
	if r := s.relations[t.relation]; r != nil {
		for _, c := range r.columns {
			s.holds(c.typ, into)
		}
	}
}

// needs names the type without which an argument of type oid can't be given; "" for any.
func (s *snapshot) needs(oid uint32) string {
	t := s.types[oid]
	for t != nil && (t.kind == 'd' || t.kind == 'b' && t.of != 0) {
		t = s.types[t.of]
	}
	if t == nil {
		return ""
	}
	return t.name()
}

func (s *snapshot) routine(f *function, args []uint32) sql.Routine {
	r := sql.Routine{ID: f.oid, Name: f.name(), Traits: f.traits(), Harmless: f.computes()}
	for _, a := range args {
		if n := s.needs(a); n != "" && !slices.Contains(r.Needs, n) {
			r.Needs = append(r.Needs, n)
		}
	}
	if len(args) > 0 {
		t := s.types[args[0]]
		r.Row = t != nil && t.kind == 'c' || slices.Contains(anyRow, args[0])
	}
	return r
}

// anyRow are pseudo-types that a row fits: record, anyelement, anynonarray, any, anycompatible, anycompatiblenonarray.
var anyRow = []uint32{2249, 2283, 2776, 2276, 5077, 5079}

// Version implements sql.Catalog.
func (s *snapshot) Version() string { return s.key }

// passing is a snapshot while its types are being settled.
type passing struct {
	*snapshot
	pass int
}

// Version implements sql.Catalog: what is found meanwhile is not kept for later.
func (p passing) Version() string { return p.key + " pass " + strconv.Itoa(p.pass) }

// Functions implements sql.Catalog.
func (s *snapshot) Functions(schemas []string, name string, args int) []sql.Routine {
	var out []sql.Routine
	for _, f := range s.functions[name] {
		if f.takes(args) && slices.Contains(schemas, f.schema) {
			out = append(out, s.routine(f, f.args))
		}
	}
	return out
}

// Operators implements sql.Catalog.
func (s *snapshot) Operators(schemas []string, symbol string) []sql.Routine {
	var out []sql.Routine
	for _, o := range s.operators[symbol] {
		if f := s.code[o.function]; f != nil && slices.Contains(schemas, o.schema) {
			out = append(out, s.routine(f, []uint32{o.left, o.right}))
		}
	}
	return out
}

// Casts implements sql.Catalog.
func (s *snapshot) Casts() []sql.Routine { return s.casts }

// Type implements sql.Catalog.
func (s *snapshot) Type(schemas []string, name string) (sql.Type, bool) {
	for _, schema := range schemas {
		if t := s.typeNamed[schema+"."+name]; t != nil {
			held := map[string]bool{}
			s.holds(t.oid, held)
			out := sql.Type{Harmless: t.harmless, Why: t.why()}
			for n := range held {
				out.Names = append(out.Names, n)
			}
			slices.Sort(out.Names)
			return out, true
		}
	}
	return sql.Type{}, false
}

// Columns implements sql.Catalog.
func (s *snapshot) Columns(table string) [][]string {
	var out [][]string
	for _, r := range s.bare[table] {
		names := make([]string, len(r.columns))
		for i, c := range r.columns {
			names[i] = c.name
		}
		out = append(out, names)
	}
	return out
}

// Holds implements sql.Catalog. A type that a built-in value becomes unasked is everywhere.
func (s *snapshot) Holds(path, objects []string) map[string]bool {
	out := map[string]bool{}
	for _, t := range s.everywhere {
		out[t] = true
	}
	for _, o := range objects {
		r := s.resolve(o, path)
		if r == nil {
			continue
		}
		out[r.name()] = true
		for _, c := range r.columns {
			s.holds(c.typ, out)
		}
	}
	return out
}

// settleTypes finds the types whose values can be made without running anything.
// Checks name types too, so it is asked until nothing changes; a circle is not harmless.
func (s *snapshot) settleTypes(classify func(pass int, text string) *sql.Statement) {
	for pass, changed := 0, true; changed && pass < 8; pass++ {
		changed = false
		for _, t := range s.types {
			if !t.harmless && s.harmlessType(t, func(text string) *sql.Statement { return classify(pass, text) }) {
				t.harmless, changed = true, true
			}
		}
	}
}

func (s *snapshot) harmlessType(t *userType, classify func(string) *sql.Statement) bool {
	fine := func(oid uint32) bool { return oid < firstUserType || s.types[oid] != nil && s.types[oid].harmless }
	switch t.kind {
	case 'e':
		return true
	case 'd':
		return fine(t.of) && !slices.ContainsFunc(t.checks, func(e expression) bool { return !classify("SELECT " + e.text).ReadOnly() })
	case 'c':
		r := s.relations[t.relation]
		return r != nil && !slices.ContainsFunc(r.columns, func(c column) bool { return !fine(c.typ) })
	case 'b':
		return t.of != 0 && fine(t.of) || slices.Contains(computing, t.extension)
	}
	return false
}

// wordsOf returns the names in the text of a function, each once, folded unless quoted.
func wordsOf(text string, known func(string) bool) []string {
	found := map[string]bool{}
	word := func(r rune) bool {
		return r == '_' || r == '$' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' || r >= 0x80
	}
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 && known(part) {
			found[part] = true
		}
		for _, w := range strings.FieldsFunc(part, func(r rune) bool { return !word(r) }) {
			for _, w := range []string{w, strings.ToLower(w)} {
				if known(w) {
					found[w] = true
				}
			}
		}
	}
	out := make([]string, 0, len(found))
	for w := range found {
		out = append(out, w)
	}
	slices.Sort(out)
	return out
}
