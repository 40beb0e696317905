// Package sql says what a PostgreSQL text would do: which statements it holds,
// of which kinds, on which objects, and where each output column comes from.
//
// It promises that a text it does not fully understand is called unknown: what
// does not parse, a node, function, operator or type on no list. It works on
// PostgreSQL's own grammar (libpg_query, the grammar of PostgreSQL 17) and walks
// the whole tree itself. It never runs anything, and puts no literal into what
// it returns. Given a Catalog it judges functions, operators, casts and types
// by what users made: a built-in name that somebody overloaded is not the
// built-in, and a function of a row called as a column (customers.f) is a call.
//
// What it can't see: what stands behind a relation (a view, a foreign table,
// triggers, rules, policies), which its caller adds; without a Catalog,
// overloads and functions of rows; and the types of expressions, so a
// candidate that the server would pass over counts all the same.
package sql

import (
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// Options configure a Classifier. The zero value works.
type Options struct {
	// CacheEntries bounds the number of cached classifications; 0 means 4096,
	// negative means no cache.
	CacheEntries int
	// MaxBytes is the longest text that is parsed; a longer one is unknown. 0 means 4 MiB.
	MaxBytes int
	// Harmless names further functions, as a statement names them ("public.slugify"),
	// that the operator vouches for: they change nothing and read no other data.
	Harmless []string
}

// State is what gives a text its meaning. All of it is part of the cache key.
type State struct {
	Database   string
	Role       string
	SearchPath string // as SHOW search_path prints it; "" means the server's default
	Key        string // everything else the verdict may lean on: settings, catalogue version, taxonomy
	// ServerVersion is server_version_num, for example 150018. Unknown (0) is
	// taken for the oldest: syntax that older servers read as a call of a user's
	// function is unknown.
	ServerVersion int
	// Temp are the relations this session made in pg_temp, which the server
	// finds before every other schema.
	Temp []Temp
	// Catalog is what users made in the database; nil: nobody knows.
	Catalog Catalog
}

// Temp is a temporary relation with what it was made from.
type Temp struct {
	Name    string
	Sources []string // objects it may hold data of
}

// Result is the classification of one text. It is shared and must not be changed.
type Result struct {
	Statements  []Statement // never empty
	ParseError  bool        // the text is not understood as a whole; Statements has one unknown
	Fingerprint string      // of all statements without literals, hex
}

// Statement is one statement of a text.
type Statement struct {
	Kinds      []action.Kind // sorted, each once; empty only where Harmless says why
	Harmless   string        // name of a statement without effect: "transaction control"
	Verb       string        // lower case: "select", "drop table"
	Target     string        // main object as written, or ""
	Objects    []string      // relations touched, sorted, each once
	Columns    []action.Column
	Title      string // a short human line from the parsed statement, without literals
	Shape      string // hex fingerprint without literals
	Why        []string
	Reversible bool
	Inferred   []string     // "table.column" used where its value steers the outcome: WHERE, ORDER BY, JOIN, …
	Limit      action.Count // constant LIMIT of a query
	Functions  []string     // called functions, sorted, each once
	Returning  bool         // a write that returns rows
	Writes     []string     `json:"-"` // of Objects, those whose rows it adds, changes or removes
	Routines   []uint32     `json:"-"` // functions made by users that it may run, as the State's Catalog numbers them; sorted

	Tx          TxEffect
	Session     []SessionEffect
	Prepare     *Prepare
	Execute     string // name of the prepared statement to run
	Deallocate  string // name, or "*" for all
	Cursor      *Cursor
	Copy        *Copy
	CreatesTemp []Temp
	Explain     *Explain

	argKinds []action.Kind // kinds of the parameters of EXECUTE alone
	argWhy   []string
	path     []string
	start    int
	end      int // 0: up to the end of the text
}

// Text returns the statement's part of the text it was classified from.
func (s *Statement) Text(src string) string {
	if s.end == 0 {
		return src[s.start:]
	}
	return src[s.start:s.end]
}

// Span returns where the statement starts and ends in src, in bytes.
func (s *Statement) Span(src string) (start, end int) {
	if s.end == 0 {
		return s.start, len(src)
	}
	return s.start, s.end
}

// Has reports whether k is one of the statement's kinds.
func (s *Statement) Has(k action.Kind) bool {
	for _, have := range s.Kinds {
		if have == k {
			return true
		}
	}
	return false
}

// ReadOnly reports whether the statement is a plain read (data.read and nothing
// else) or has no effect at all.
func (s *Statement) ReadOnly() bool {
	return s.Harmless != "" || len(s.Kinds) == 1 && s.Kinds[0] == action.DataRead
}

// Resolve returns EXECUTE, FETCH or MOVE as the statement it runs: inner is
// what the session's prepared statement or cursor was classified as.
func (s *Statement) Resolve(inner *Statement) Statement {
	out := *s
	var k kindSet
	k.add(inner.Kinds...)
	k.add(s.argKinds...)
	out.Kinds, out.Why = k.sorted(), uniqueSorted(append(append([]string(nil), s.argWhy...), inner.Why...))
	out.Objects = uniqueSorted(append(append([]string(nil), s.Objects...), inner.Objects...))
	out.Inferred = uniqueSorted(append(append([]string(nil), s.Inferred...), inner.Inferred...))
	out.Functions = uniqueSorted(append(append([]string(nil), s.Functions...), inner.Functions...))
	out.Writes = uniqueSorted(append(append([]string(nil), s.Writes...), inner.Writes...))
	out.Routines = slices.Compact(slices.Sorted(slices.Values(append(append([]uint32(nil), s.Routines...), inner.Routines...))))
	out.Columns, out.Target, out.Returning = inner.Columns, inner.Target, inner.Returning
	out.Reversible = inner.Reversible
	out.Harmless = ""
	if len(out.Kinds) == 0 {
		out.Harmless = inner.Harmless
	}
	return out
}

// TxEffect is what a statement does to the transaction, once acknowledged.
type TxEffect struct {
	Op   TxOp
	Name string // of the savepoint or the prepared transaction
}

// TxOp names a TxEffect.
type TxOp string

// The operations. The zero value is none.
const (
	TxNone             TxOp = ""
	TxBegin            TxOp = "begin"
	TxCommit           TxOp = "commit"
	TxRollback         TxOp = "rollback"
	TxSavepoint        TxOp = "savepoint"
	TxRelease          TxOp = "release"
	TxRollbackTo       TxOp = "rollback-to"
	TxPrepare          TxOp = "prepare-transaction"
	TxCommitPrepared   TxOp = "commit-prepared"
	TxRollbackPrepared TxOp = "rollback-prepared"
)

// SessionEffect is one change of the session's state, once acknowledged.
type SessionEffect struct {
	Kind  SessionKind
	Name  string // the setting, lower case; "*" for all
	Value string // "" unless Known
	Known bool   // Value is a constant of the text
	Local bool   // until the end of the transaction
}

// SessionKind says what a SessionEffect changes.
type SessionKind string

// The kinds of session effects.
const (
	SessionSet           SessionKind = "set"
	SessionSetLocal      SessionKind = "set-local"
	SessionReset         SessionKind = "reset"
	SessionDiscard       SessionKind = "discard"
	SessionRole          SessionKind = "role"
	SessionAuthorization SessionKind = "session-authorization"
	SessionSearchPath    SessionKind = "search_path"
)

// Prepare is a PREPARE with the statement it names.
type Prepare struct {
	Name  string
	Inner *Statement
}

// Cursor is a statement about a cursor.
type Cursor struct {
	Op    CursorOp
	Name  string     // "*" for CLOSE ALL
	Inner *Statement // the query, for a declaration
	Hold  bool       // WITH HOLD: outlives the transaction
}

// CursorOp names what is done to a cursor.
type CursorOp string

// Operations on cursors.
const (
	CursorDeclare CursorOp = "declare"
	CursorFetch   CursorOp = "fetch"
	CursorMove    CursorOp = "move"
	CursorClose   CursorOp = "close"
)

// Copy describes a COPY. Neither file nor Program: over the client's connection.
type Copy struct {
	Out     bool // from the database outwards
	File    bool
	Program bool
	Query   bool
	Table   string
}

// Explain describes an EXPLAIN.
type Explain struct {
	Analyze bool // the statement inside really runs
}

const defaultMaxBytes = 4 << 20

// A Classifier classifies texts. It is safe for concurrent use.
type Classifier struct {
	parse    parser
	maxBytes int
	harmless map[string]bool
	cache    *cache
}

// New returns a Classifier. Without cgo it starts to compile the parser in the
// background; the first call waits for it.
func New(o Options) *Classifier {
	c := &Classifier{parse: newParser(), maxBytes: o.MaxBytes, harmless: make(map[string]bool, len(o.Harmless))}
	if c.maxBytes <= 0 {
		c.maxBytes = defaultMaxBytes
	}
	for _, name := range o.Harmless {
		c.harmless[strings.ToLower(name)] = true
	}
	if o.CacheEntries >= 0 {
		c.cache = newCache(o.CacheEntries)
	}
	return c
}

// Classify says what text does in state st. It never errs: what can't be
// understood is one statement of kind unknown.
func (c *Classifier) Classify(text string, st State) *Result {
	if c.cache == nil {
		r, _ := c.classify(text, st)
		return r
	}
	if r := c.cache.lookup(text, st); r != nil {
		return r
	}
	r, literalsMatter := c.classify(text, st)
	c.cache.put(text, st, r, literalsMatter)
	return r
}
