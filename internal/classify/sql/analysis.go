package sql

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/assenthq/assent/action"
)

// parser is what both builds of libpg_query offer.
type parser interface {
	Parse(text string) (*pg.ParseResult, error)
	Deparse(tree *pg.ParseResult) (string, error)
}

// kindSet is a set of kinds.
type kindSet struct{ m map[action.Kind]bool }

func (s *kindSet) add(kinds ...action.Kind) {
	if s.m == nil {
		s.m = make(map[action.Kind]bool, 4)
	}
	for _, k := range kinds {
		s.m[k] = true
	}
}

func (s *kindSet) sorted() []action.Kind {
	out := make([]action.Kind, 0, len(s.m))
	for k := range s.m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func uniqueSorted(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	sort.Strings(in)
	return slices.Compact(in)
}

// maxSteps bounds the nodes visited for one statement. More is unknown.
const maxSteps = 2_000_000

// maxDepth bounds how deep the tree is walked.
const maxDepth = 8000

// analysis collects what one statement does, while its tree is walked.
type analysis struct {
	c    *Classifier
	st   *State
	stmt Statement

	kinds     kindSet
	planKinds kindSet // what planning alone may already do: functions, unknown things
	why       []string
	objects   []string
	inferred  []string
	functions []string
	tables    []string // what is read, for CreatesTemp

	pending    []pending // calls to be judged when all relations are known
	routines   []uint32
	typesNamed []string // types made by users that are named
	casts      bool     // a cast is written
	searched   []string // see path

	cursors  map[string]*Statement // declared earlier in the same text
	prepared map[string]*Statement

	steps, depth   int
	literalsMatter bool
	giveUp         bool
	defining       bool // inside a definition
}

// kind notes that the statement is of kind k, and why.
func (a *analysis) kind(why string, kinds ...action.Kind) {
	a.kinds.add(kinds...)
	if why != "" {
		a.why = append(a.why, why)
	}
}

// called notes kinds that come from a function: evaluating an expression is
// enough, even where a planner does it.
func (a *analysis) called(why string, kinds ...action.Kind) {
	a.kind(why, kinds...)
	a.planKinds.add(kinds...)
}

func (a *analysis) unknown(why string) { a.called(why, action.Unknown) }

// enter counts one node; false means that the statement is too large.
func (a *analysis) enter() bool {
	a.steps++
	a.depth++
	if a.steps > maxSteps || a.depth > maxDepth {
		if !a.giveUp {
			a.unknown("the statement is too large to be classified")
		}
		a.giveUp = true
		return false
	}
	return true
}

func (a *analysis) leave() { a.depth-- }

// classify parses and walks text. literalsMatter is false where another text
// with other literals is the same in every respect.
func (c *Classifier) classify(text string, st State) (r *Result, literalsMatter bool) {
	if why := c.refuse(text); why != "" {
		return notUnderstood(why), true
	}
	tree, err := c.parse.Parse(text)
	if err != nil || tree == nil {
		return notUnderstood("not understood as PostgreSQL"), true // the parser's message quotes the text
	}
	if len(tree.Stmts) == 0 {
		s := Statement{Harmless: "empty query", Verb: "empty", Title: "Nothing", Reversible: true, path: searchPath(st.SearchPath, st.Role), Kinds: []action.Kind{}}
		return finish([]Statement{s}), true
	}
	cursors, prepared := map[string]*Statement{}, map[string]*Statement{}
	temps := slices.Clone(st.Temp)
	out := make([]Statement, 0, len(tree.Stmts))
	literalsMatter = len(tree.Stmts) > 1
	for _, raw := range tree.Stmts {
		now := st
		now.Temp = temps // a temporary relation hides others from the next statement on
		a := &analysis{c: c, st: &now, cursors: cursors, prepared: prepared}
		s := a.statement(raw)
		temps = append(temps, s.CreatesTemp...)
		literalsMatter = literalsMatter || a.literalsMatter
		out = append(out, s)
	}
	if len(out) == 1 {
		out[0].start, out[0].end = 0, 0
	}
	return finish(out), literalsMatter
}

func finish(statements []Statement) *Result {
	h := newShape()
	for i := range statements {
		h.text(statements[i].Shape)
	}
	return &Result{Statements: statements, Fingerprint: h.sum()}
}

func notUnderstood(why string) *Result {
	s := Statement{Kinds: []action.Kind{action.Unknown}, Verb: "unknown", Title: "Something that is not understood", Why: []string{why}}
	r := finish([]Statement{s})
	r.ParseError = true
	return r
}

// refuse says why text is not even parsed.
func (c *Classifier) refuse(text string) string {
	switch {
	case len(text) > c.maxBytes:
		return fmt.Sprintf("longer than %d bytes", c.maxBytes)
	case strings.IndexByte(text, 0) >= 0:
		return "contains a NUL byte" // a C parser would see only what stands before it
	case !validUTF8(text):
		return "not UTF-8"
	case tooDeep(text):
		return "nested too deeply, or something is not closed"
	}
	return ""
}

// statement classifies one top-level statement.
func (a *analysis) statement(raw *pg.RawStmt) Statement {
	s := &a.stmt
	s.start = int(raw.StmtLocation)
	if raw.StmtLen > 0 {
		s.end = s.start + int(raw.StmtLen)
	}
	s.Reversible, s.path = true, a.path()
	a.top(raw.Stmt)
	s.Shape = shapeOf(raw.Stmt)
	a.seal()
	return *s
}

// seal moves what was collected into the statement.
func (a *analysis) seal() {
	s := &a.stmt
	a.judge()
	if a.giveUp {
		a.kinds.add(action.Unknown)
	}
	s.Kinds = a.kinds.sorted()
	s.Why = uniqueSorted(a.why)
	s.Objects = uniqueSorted(append(s.Objects, a.objects...))
	s.Inferred = withoutMarks(uniqueSorted(a.inferred))
	s.Columns = marked(s.Columns)
	s.Functions = uniqueSorted(a.functions)
	s.Writes = uniqueSorted(s.Writes)
	if len(s.Kinds) == 0 {
		if s.Harmless == "" {
			// No branch may end without a kind and without a name: fail closed.
			s.Kinds = []action.Kind{action.Unknown}
			s.Why = append(s.Why, "nothing says what it does")
		}
	} else {
		s.Harmless = ""
		if !s.ReadOnly() && !a.reversible() {
			s.Reversible = false
		}
	}
	if s.Verb == "" {
		s.Verb = "unknown"
	}
	if s.Title == "" {
		s.Title = title(s)
	}
}

// reversible is true where everything the statement does can be undone by another one.
func (a *analysis) reversible() bool {
	for k := range a.kinds.m {
		switch k {
		case action.DataRead, action.PrivilegeChange, action.ConfigChange, action.SchemaChange:
		default:
			return false
		}
	}
	return a.stmt.Reversible
}
