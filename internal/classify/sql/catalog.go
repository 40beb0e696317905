package sql

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/assenthq/assent/action"
)

// A Catalog says what users made in a database, so that a name is judged by what
// it stands for. It never changes and is safe for concurrent use. Without
// one a name on no list is unknown, and a built-in name means the built-in thing.
type Catalog interface {
	// Version differs where catalogues differ. It is part of the cache's key.
	Version() string
	// Functions returns the functions of schemas that a call of name with so many arguments
	// may run; with -1 any number.
	Functions(schemas []string, name string, args int) []Routine
	// Operators returns the functions behind operators of schemas called symbol.
	Operators(schemas []string, symbol string) []Routine
	// Casts returns the functions behind casts.
	Casts() []Routine
	// Type returns the type that name means in the first of schemas that has it.
	Type(schemas []string, name string) (t Type, known bool)
	// Columns returns the columns of each relation of that name, whatever its schema.
	Columns(table string) [][]string
	// Holds returns the types made by users that values of objects may have.
	Holds(path, objects []string) map[string]bool
}

// Vouched reports whether the operator vouches for a function, given by schema and name.
func (c *Classifier) Vouched(function string) bool { return c.harmless[strings.ToLower(function)] }

// A Routine is a function that a user made.
type Routine struct {
	ID       uint32 // in the catalogue
	Name     string // "public.slugify"
	Traits   string // "volatile, security definer, plpgsql"
	Needs    []string
	Row      bool // it can take a whole row, so a row's attribute of its name may be a call
	Implicit bool // of a cast: nobody needs to write it
	Harmless bool // it belongs to something that is known to only compute
}

// A Type is one that a user made.
type Type struct {
	Names    []string // of the types that a value of it holds
	Harmless bool     // making a value of it runs nothing that is not known to be harmless
	Why      string   // it is not
}

// A pending call is judged when all relations of the statement are known.
type pending struct {
	routine Routine
	what    string
}

// schemasOf returns where the server looks for name.
func (a *analysis) schemasOf(name []string) []string {
	if len(name) > 1 {
		return name[len(name)-2 : len(name)-1]
	}
	return a.path()
}

func (a *analysis) path() []string {
	if a.searched == nil {
		a.searched = searchPath(a.st.SearchPath, a.st.Role)
	}
	return a.searched
}

// overloads notes what users made under the name of a built-in function, which a
// call of it may run.
func (a *analysis) overloads(name []string, args []*pg.Node) {
	if a.st.Catalog == nil {
		return
	}
	for _, r := range a.st.Catalog.Functions(a.schemasOf(name), name[len(name)-1], countArgs(args)) {
		a.pending = append(a.pending, pending{r, "may be called instead of the built-in function"})
	}
}

// countArgs returns -1 where the number of arguments is not told by the list.
func countArgs(args []*pg.Node) int {
	if len(args) == 0 {
		return -1
	}
	return len(args)
}

// userFunction judges a call of a function that is on no list. false: nobody knows it.
func (a *analysis) userFunction(name []string, args []*pg.Node) bool {
	if a.st.Catalog == nil {
		return false
	}
	found := a.st.Catalog.Functions(a.schemasOf(name), name[len(name)-1], countArgs(args))
	for _, r := range found {
		r.Needs, r.Harmless = nil, false // it is this one by its name, and nobody vouches for it
		a.run(r, "is called")
	}
	return len(found) > 0
}

// rowFunction judges t.name where no relation t is known to have that column:
// the server then calls a function of that name on the row.
func (a *analysis) rowFunction(sc *scope, qualifier, name string) {
	if a.st.Catalog == nil {
		return
	}
	found := a.st.Catalog.Functions(a.path(), name, 1)
	found = slices.DeleteFunc(found, func(r Routine) bool { return !r.Row })
	if len(found) == 0 || sc.hasColumn(a.st.Catalog, qualifier, name) {
		return
	}
	for _, r := range found {
		a.run(r, "is called on a row")
	}
}

// hasColumn reports whether the relation that qualifier names surely has such a column.
func (sc *scope) hasColumn(cat Catalog, qualifier, name string) bool {
	for s := sc; s != nil; s = s.parent {
		for _, r := range s.rels {
			switch {
			case !r.named(qualifier):
				continue
			case r.table == "":
				return slices.ContainsFunc(r.cols, func(c action.Column) bool { return c.Name == name })
			case r.renamed:
				return false
			}
			all := cat.Columns(r.table)
			return len(all) > 0 && !slices.ContainsFunc(all, func(cols []string) bool { return !slices.Contains(cols, name) })
		}
	}
	return false
}

// userOperators notes what users made under a built-in operator's symbol.
func (a *analysis) userOperators(qualifier, symbol string) {
	if a.st.Catalog == nil {
		return
	}
	schemas := a.path()
	if qualifier != "" {
		schemas = []string{qualifier}
	}
	if symbol == "!=" { // the grammar's word for it
		symbol = "<>"
	}
	for _, r := range a.st.Catalog.Operators(schemas, symbol) {
		a.pending = append(a.pending, pending{r, "may be behind the operator " + symbol})
	}
}

// unlistedOperator judges an operator that is not built in. false: nobody knows it.
func (a *analysis) unlistedOperator(qualifier, symbol string) bool {
	if a.st.Catalog == nil {
		return false
	}
	schemas := a.path()
	if qualifier != "" {
		schemas = []string{qualifier}
	}
	found := a.st.Catalog.Operators(schemas, symbol)
	for _, r := range found {
		r.Needs, r.Harmless = nil, false
		a.run(r, "is behind the operator "+symbol)
	}
	return len(found) > 0
}

// userType judges a type that is not built in. false: nobody knows it.
func (a *analysis) userType(names []*pg.Node) bool {
	if a.st.Catalog == nil || len(names) == 0 {
		return false
	}
	name := strings.Split(nameOf(names), ".")
	base := name[len(name)-1]
	if len(name) == 1 && a.hidden(base) {
		return false
	}
	t, known := a.st.Catalog.Type(a.schemasOf(name), base)
	if !known {
		return false
	}
	a.typesNamed = append(a.typesNamed, t.Names...)
	if !t.Harmless {
		a.called(t.Why, action.Execute)
	}
	return true
}

// run notes that a user's function may run.
func (a *analysis) run(r Routine, how string) {
	if a.c.harmless[strings.ToLower(r.Name)] {
		return
	}
	a.called(r.Name+" ("+r.Traits+") "+how, action.Execute)
	a.routines = append(a.routines, r.ID)
}

// judge decides about what was noted, now that the relations are known.
func (a *analysis) judge() {
	if a.st.Catalog == nil {
		return
	}
	all := a.pending
	for _, r := range a.st.Catalog.Casts() {
		if r.Implicit || a.casts || len(a.stmt.Writes) > 0 {
			all = append(all, pending{r, "may be behind a cast"})
		}
	}
	var holds map[string]bool
	for _, p := range all {
		if p.routine.Harmless {
			continue
		}
		if len(p.routine.Needs) > 0 && holds == nil {
			holds = a.st.Catalog.Holds(a.path(), a.objects)
		}
		if !slices.ContainsFunc(p.routine.Needs, func(t string) bool { return !holds[t] && !slices.Contains(a.typesNamed, t) }) {
			a.run(p.routine, p.what)
		}
	}
	a.stmt.Routines = append(a.stmt.Routines, a.routines...)
	slices.Sort(a.stmt.Routines)
	a.stmt.Routines = slices.Compact(a.stmt.Routines)
}
