// Package mcp says what a call of an MCP tool would do: which kinds of effect it
// has, on what, and where its data goes.
//
// It believes, in this order: the administrator's mapping of the server's tools;
// a table of well-known servers, for a server that the administrator says is one
// of them; and then only to tighten: the table for a server that merely calls
// itself so, and the server's annotations. What nobody told of is tool.call. SQL,
// commands, paths and URLs in the arguments are judged for what they are.
//
// What it can't see: what a tool really does behind its name. A mapping is
// somebody's word about a server that may change, which is why definitions are
// pinned; and nobody reads what a server makes of arguments that it alone knows.
package mcp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
	"github.com/assenthq/assent/internal/jsontext"
)

// A Server is what the administrator said about one MCP server.
type Server struct {
	Name string // in the configuration
	// Kind is the section of the shipped table that the administrator vouches for; "": none.
	Kind string
	// Told is serverInfo.name, the server's own word. It never loosens.
	Told string
	// Rules are the administrator's mapping. Their order means nothing: an exact name
	// goes before a pattern, and a longer pattern before a shorter one.
	Rules []Rule
	// Trusted believes the server's annotations where nobody mapped the tool. It is
	// to be set only for a server whose definitions are pinned.
	Trusted bool
}

// A Rule is the administrator's word about the tools of some names.
type Rule struct {
	Tool  string // a name, or a pattern with * and ?
	Kinds []action.Kind
	// SQL, Shell, Paths and URLs name arguments to judge besides, as in the shipped table.
	SQL, Shell, Reads, Writes, URLs []string
	// To names the arguments that say to whom something goes: where one is given, the call is message.send too.
	// On names those that say what it is about. Both are what a person names who means the call.
	To, On                []string
	Reversible, Untrusted bool
}

// A Result is what one call would do.
type Result struct {
	Kinds    []action.Kind // sorted, each once; empty only where Harmless says why
	Harmless string
	Verb     string // the tool's name in lower case, or the worst verb of SQL or a command in its arguments
	Target   string
	Title    string
	Shape    string // without the values of arguments
	Objects  []string
	// Reversible: somebody said that it can be undone. Untrusted: its answer holds
	// what others wrote. Routine: it is a command of ordinary work.
	Reversible, Untrusted, Routine bool
	Destination                    string
	Statement                      string // for people
	// Columns are the output columns of SQL in the arguments. Inferred are classes of
	// data that could be told from its answer without standing in a plain column:
	// what a condition asks, or what is computed. "*" where any may be.
	Columns  []action.Column
	Inferred []string
	Limit    action.Count
	// Named are the values of arguments that say to whom and on what, as they stand, not masked. They are compared, and never kept.
	Named []action.Name
	Why   []string // a line for each thing found, without the values of arguments
	// Mapped: the administrator or, by their word, the table knows the tool.
	Mapped bool
}

// Options configure a Classifier. The zero value works.
type Options struct {
	SQL *sql.Classifier // nil: one of its own
	// Class is the class of a column, "table.column"; "" for none. nil: any column may be of any class.
	Class func(column string) string
	// Mask masks what is taken from arguments into a Result: targets and objects go
	// into records and titles as they are. nil: nothing is masked.
	Mask func(string) string
}

// A Classifier judges calls. It is safe for concurrent use.
type Classifier struct {
	sql   *sql.Classifier
	class func(string) string
	mask  func(string) string
	table table
}

// New reads the shipped table.
func New(o Options) (*Classifier, error) {
	t, err := parseTable(shipped)
	if err != nil {
		return nil, fmt.Errorf("the table of MCP tools: %w", err)
	}
	c := &Classifier{sql: o.SQL, class: o.Class, mask: o.Mask, table: t}
	if c.mask == nil {
		c.mask = func(s string) string { return s }
	}
	if c.class == nil {
		c.class = func(string) string { return "*" }
	}
	if c.sql == nil {
		c.sql = sql.New(sql.Options{})
	}
	return c, nil
}

// ServerKinds are the kinds of server that the shipped table knows, sorted.
func (c *Classifier) ServerKinds() []string { return c.table.kinds() }

// Check says what is wrong with s.
func (c *Classifier) Check(s *Server) error {
	if s.Kind != "" && c.table.sections[s.Kind] == nil {
		return fmt.Errorf("kind %q of an MCP server: it is one of %s, or left out", s.Kind, strings.Join(c.ServerKinds(), ", "))
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		if r.Tool == "" || len(r.Kinds)+len(r.SQL)+len(r.Shell)+len(r.URLs) == 0 {
			return fmt.Errorf("tools of an MCP server: rule %d needs the name of a tool and its kinds", i+1)
		}
		for _, k := range r.Kinds {
			if !k.Valid() {
				return fmt.Errorf("tools of an MCP server: %s: there is no kind %q", r.Tool, k)
			}
		}
	}
	return nil
}

// Tool says what the call of a tool with these arguments, a JSON object or
// nothing, would do. It never errs: what can't be understood is unknown.
func (c *Classifier) Tool(s Server, def Definition, args []byte) Result {
	j := &judge{c: c, server: &s, def: &def}
	j.call(def.Name, args, 0)
	return j.result(args)
}

// judge gathers what is found about one call.
type judge struct {
	c      *Classifier
	server *Server
	def    *Definition

	found    Result
	harmless int // calls that are without effect
	calls    int // all of them, with those inside
	applied  int // entries
	shape    []string
	text     string // of SQL, a command or code, to be shown as it is
	textArg  string
}

func (j *judge) add(why string, kinds ...action.Kind) {
	for _, k := range kinds {
		if !slices.Contains(j.found.Kinds, k) {
			j.found.Kinds = append(j.found.Kinds, k)
		}
	}
	if why != "" && !slices.Contains(j.found.Why, why) {
		j.found.Why = append(j.found.Why, why)
	}
}

func (j *judge) result(args []byte) Result {
	r := &j.found
	slices.Sort(r.Kinds)
	for i, o := range r.Objects {
		r.Objects[i] = j.c.mask(o)
	}
	r.Target, r.Destination = j.c.mask(r.Target), j.c.mask(r.Destination)
	slices.Sort(r.Objects)
	r.Objects = slices.Compact(r.Objects)
	slices.Sort(r.Inferred)
	r.Inferred = slices.Compact(r.Inferred)
	if len(r.Kinds) > 0 {
		r.Harmless = ""
	} else if j.harmless < j.calls || r.Harmless == "" {
		j.add("nothing is known of it", action.Unknown)
		r.Harmless = ""
	}
	if r.Verb == "" {
		r.Verb = strings.ToLower(j.def.Name)
	}
	if r.Target == "" && len(r.Objects) > 0 {
		r.Target = r.Objects[0]
	}
	r.Title = "Call " + j.def.Name + " of " + j.server.Name
	if r.Target != "" {
		r.Title += " on " + r.Target
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "assent-mcp-shape/1 %q", append([]string{j.server.Name, j.def.Name}, j.shape...)))
	r.Shape = hex.EncodeToString(sum[:16])
	r.Statement = j.statement(args)
	return *r
}

// statement shows the call: its arguments as JSON, and the one text that is
// judged by itself at the end, where nothing in it can pass for more arguments.
func (j *judge) statement(args []byte) string {
	var b bytes.Buffer
	b.WriteString(j.def.Name)
	shown := args
	if j.text != "" {
		shown = without(args, j.textArg)
	}
	if s := bytes.TrimSpace(shown); len(s) > 0 && !bytes.Equal(s, []byte("{}")) {
		b.WriteByte(' ')
		if json.Indent(&b, s, "", "  ") != nil {
			b.Write(s)
		}
	}
	if j.text != "" {
		fmt.Fprintf(&b, "\n%s:\n%s", j.textArg, j.text)
	}
	return b.String()
}

// without is the object args less one member.
func without(args []byte, name string) []byte {
	members, err := jsontext.Members(args)
	if err != nil {
		return args
	}
	out := []byte{'{'}
	for _, m := range members {
		if m.Name == name {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = jsontext.Append(out, []byte(m.Name))
		out = append(append(out, ':'), m.Value...)
	}
	return append(out, '}')
}
