// Package mysql says what a text for MySQL or MariaDB would do: of which kinds
// it is, on which objects, and where each output column comes from.
//
// It promises that a text it does not fully understand is called unknown: what
// does not parse, a node, function or variable on no list, and every spelling
// that servers, versions or parsers read differently (comments with code in
// them, optimizer hints, words that begin with digits, ODBC escapes). It reads the
// text by the server's own lexical rules and hands the grammar (of
// github.com/dolthub/vitess) a rendering of the tokens it saw, so that the two can't
// disagree on where a text or a comment ends. It never runs anything, and puts
// no literal into what it returns.
//
// It holds where the session is as the gate keeps it: a client character set of UTF-8,
// and none of the SQL modes that change how a text is read (LexicalModes).
package mysql

import (
	"strings"
	"sync"

	"github.com/assenthq/assent/action"
)

// LexicalModes are the SQL modes under which a server reads a text by other rules than these.
var LexicalModes = []string{"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "IGNORE_SPACE", "PIPES_AS_CONCAT", "HIGH_NOT_PRECEDENCE", "ANSI", "ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL", "MYSQL323", "MYSQL40", "EMPTY_STRING_IS_NULL"}

// Options configure a Classifier. The zero value works.
type Options struct {
	// MaxBytes is the longest text that is parsed; a longer one is unknown. 0 means 1 MiB.
	MaxBytes int
	// CacheEntries bounds the number of cached classifications; 0 means 4096, negative means no cache.
	CacheEntries int
}

// State is what gives a text its meaning.
type State struct {
	Database string   // the default database; "" for none
	MariaDB  bool     // else MySQL
	Vars     []string // columns whose values the session's own variables (@x) may hold
	// Temp are the temporary tables of this session, which the server finds before every other.
	Temp    []Temp
	Catalog Catalog // nil: nobody knows
}

// Temp is a temporary table with what it was made from.
type Temp struct {
	Name    string   // "shop.t"
	Sources []string // columns it may hold values of
}

// A Catalog tells what stands behind names. Tables are named "database.table", as written.
type Catalog interface {
	// Columns returns the names of a table's or view's columns in their order; nil: nobody knows.
	Columns(table string) []string
	// Generated returns what a generated column is made of; nil: it is none.
	Generated(table, column string) *action.Column
	// Foreign reports whether the rows of a table come from elsewhere (FEDERATED, CONNECT, SPIDER).
	Foreign(table string) bool
	// View returns the columns of a view and what reading it does; nil: it is no view.
	View(table string) *View
	// Triggers reports whether changing rows of a table runs code, or nobody can see whether it does.
	Triggers(table string) bool
	// Version changes when any answer may.
	Version() uint64
}

// View is what stands behind a view.
type View struct {
	Columns []action.Column // with their sources
	Kinds   []action.Kind   // of reading it; data.read at least
	Why     []string
	Steers  []string // columns that its conditions use
	Objects []string // tables and views that it reads
}

// Statement is the classification of one text, which holds one statement. It is shared and must not be changed.
type Statement struct {
	Kinds      []action.Kind // sorted, each once; empty only where Harmless says why
	Harmless   string        // name of a statement without effect: "transaction control"
	Verb       string        // lower case: "select", "drop table"
	Target     string        // main object, or ""
	Objects    []string      // tables touched, "database.table", sorted, each once
	Writes     []string      // of Objects, those whose rows it changes
	Columns    []action.Column
	Title      string // a short human line, without literals
	Shape      string // hex fingerprint without literals
	Why        []string
	Reversible bool
	Inferred   []string     // columns used where their value steers the outcome
	Limit      action.Count // constant LIMIT of a query
	Functions  []string     // called functions, sorted, each once
	Params     int          // question marks
	Tuples     action.Count // rows that INSERT … VALUES has
	OnDup      bool         // ON DUPLICATE KEY UPDATE: the server counts a row that it changes twice

	Database   string   // USE: the default database from then on
	Assigns    []string // columns whose values its variables (@x) hold from then on
	SetsVars   bool     // it assigns to a variable
	Temp       *Temp    // a temporary table that it makes
	DropsTemp  bool     // it may drop or change one
	Settings   []Setting
	SQLPrepare bool   // PREPARE, EXECUTE or DEALLOCATE as text
	LocalFile  bool   // it asks the client for a file
	Kill       uint64 // KILL of one connection by its number; 0: none
	KillQuery  bool   // of its statement alone
	EndsTx     bool   // a transaction may end with it
	Warnings   bool   // it shows what statements before it were warned of, which quotes values
}

// Setting is one variable of the session that a statement sets.
type Setting struct {
	Name  string // lower case; "names" for SET NAMES
	Value string // "" unless Known
	Known bool   // Value is a constant of the text
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

// A Classifier classifies texts. It is safe for concurrent use.
type Classifier struct {
	maxBytes int
	entries  int

	mu    sync.Mutex
	cache map[cacheKey]*Statement
}

type cacheKey struct {
	text, database string
	mariadb        bool
	version        uint64
}

// New returns a Classifier.
func New(o Options) *Classifier {
	c := &Classifier{maxBytes: o.MaxBytes, entries: o.CacheEntries}
	if c.maxBytes <= 0 {
		c.maxBytes = 1 << 20
	}
	if c.entries == 0 {
		c.entries = 4096
	}
	if c.entries > 0 {
		c.cache = make(map[cacheKey]*Statement)
	}
	return c
}

// longestCached is how long a text may be that is remembered, in bytes.
const longestCached = 16 << 10

// Classify says what text does in state st. It never errs: what can't be understood is unknown.
func (c *Classifier) Classify(text string, st State) *Statement {
	if c.cache == nil || len(text) > longestCached || len(st.Temp) > 0 || len(st.Vars) > 0 {
		return c.classify(text, &st)
	}
	k := cacheKey{text: text, database: st.Database, mariadb: st.MariaDB}
	if st.Catalog != nil {
		k.version = st.Catalog.Version()
	}
	c.mu.Lock()
	s := c.cache[k]
	c.mu.Unlock()
	if s != nil {
		return s
	}
	s = c.classify(text, &st)
	k.text = strings.Clone(text)
	c.mu.Lock()
	if len(c.cache) >= c.entries {
		clear(c.cache)
	}
	c.cache[k] = s
	c.mu.Unlock()
	return s
}
