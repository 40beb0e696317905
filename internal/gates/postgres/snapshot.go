package postgres

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
)

// A snapshot is what a database's catalogue said at one moment, as far as users
// made it. It never changes; what follows from it is worked out when first asked and kept.
type snapshot struct {
	version string // differs where the catalogue differs
	key     string // the same, short

	relations map[uint32]*relation
	named     map[string]*relation   // by "schema.name"
	bare      map[string][]*relation // by name alone

	functions  map[string][]*function // by name alone
	code       map[uint32]*function
	operators  map[string][]*operator // by symbol
	casts      []sql.Routine
	everywhere []string // types that a built-in value becomes without a word
	types      map[uint32]*userType
	typeNamed  map[string]*userType // by "schema.name"
	events     []trigger            // on definitions

	classify func(text string) *sql.Statement // of an expression or definition that the server printed
	vouched  func(function string) bool       // by the operator

	mu    sync.Mutex // held while something is worked out
	plans sync.Map   // *sql.Statement to *planned: see planned
	held  atomic.Int32
}

// A relation is a table, view or foreign table.
type relation struct {
	oid      uint32
	schema   string
	base     string // its name within the schema
	kind     byte   // pg_class.relkind
	columns  []column
	parents  []*relation // what it inherits from or is a partition of
	children []*relation
	view     string // the definition of a view
	server   string // of a foreign table: where it reads
	options  string // of a foreign table and its server
	security bool   // row security is on
	policies []expression
	checks   []expression // constraints, defaults, index expressions: what a write evaluates
	triggers []trigger
	rules    []rule
	cascades []*relation // tables whose rows change with those of this one

	// What follows is worked out from the above, under the snapshot's mu until ready.
	ready    atomic.Bool
	walking  bool
	under    []*relation     // what a view reads
	reading  effect          // what reading does beyond reading
	writing  effect          // what writing does beyond writing, but for triggers
	checking effect          // what a new or changed row evaluates
	from     map[string]flow // by column: what else it holds
}

// A column of a relation.
type column struct {
	name      string
	number    int
	typ       uint32
	generated string // the expression that computes it
}

// A flow is where the values of a column come from besides itself.
type flow struct {
	sources []string
	derived bool // computed
	turned  bool // shows text in a form in which its classes can't be found
}

func (r *relation) name() string { return r.schema + "." + r.base }

// resolve returns the relations that a name as a statement wrote it may mean:
// one, found as the server does, or none. pg_temp is the session's own, and
// not in a snapshot.
func (s *snapshot) resolve(name string, path []string) *relation {
	parts := strings.Split(name, ".")
	if n := len(parts); n > 1 {
		return s.named[parts[n-2]+"."+parts[n-1]]
	}
	for _, schema := range path {
		if r := s.named[schema+"."+name]; r != nil {
			return r
		}
	}
	return nil
}

// column returns what column number of r holds.
func (s *snapshot) column(r *relation, number int) (action.Column, error) {
	if !r.ready.Load() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.workOut(r, 0); err != nil {
			return action.Column{}, err
		}
	}
	for _, c := range r.columns {
		if c.number == number {
			f := r.from[c.name]
			return action.Column{Name: c.name, Sources: append([]string{r.name() + "." + c.name}, f.sources...), Derived: f.derived, Turned: f.turned}, nil
		}
	}
	return action.Column{}, nil
}

// expand adds to each source ("customers.email", "customers.*") what stands
// behind it. among are the relations a statement touches; a source that is of none of them may be of any.
func (s *snapshot) expand(sources []string, among []*relation, depth int) ([]string, error) {
	var out []string
	for _, source := range sources {
		out = append(out, source)
		dot := strings.LastIndexByte(source, '.')
		if dot <= 0 {
			continue
		}
		for _, r := range s.behind(source[:dot], among) {
			if err := s.workOut(r, depth+1); err != nil {
				return nil, err
			}
			for _, c := range r.columns {
				if source[dot+1:] == "*" || source[dot+1:] == c.name {
					out = append(append(out, r.name()+"."+c.name), r.from[c.name].sources...)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// behind returns the relations that a source's table may be.
func (s *snapshot) behind(table string, among []*relation) []*relation {
	parts := strings.Split(table, ".")
	base := parts[len(parts)-1]
	var out []*relation
	for _, r := range among {
		if r.base == base && (len(parts) == 1 || r.schema == parts[len(parts)-2]) {
			out = append(out, r)
		}
	}
	switch {
	case len(out) > 0:
		return out
	case len(parts) > 1:
		if r := s.named[parts[len(parts)-2]+"."+base]; r != nil {
			return []*relation{r}
		}
		return nil
	}
	return s.bare[base]
}

// family returns r with its ancestors, or with its descendants.
func family(r *relation, next func(*relation) []*relation) []*relation {
	out := []*relation{r}
	for i := 0; i < len(out); i++ {
		for _, n := range next(out[i]) {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

func up(r *relation) []*relation   { return r.parents }
func down(r *relation) []*relation { return r.children }
