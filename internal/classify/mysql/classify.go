package mysql

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/assenthq/assent/action"
)

// analysis collects what one statement does.
type analysis struct {
	c      *Classifier
	st     *State
	tokens []token
	s      Statement

	kinds    map[action.Kind]bool
	objects  []string
	writes   []string
	inferred []string
	why      []string
	calls    []string
	assigned []string // columns that flow into variables
	ctes     []*relation
	depth    int
	steps    int
}

func (a *analysis) kind(why string, kinds ...action.Kind) {
	for _, k := range kinds {
		a.kinds[k] = true
	}
	if why != "" {
		a.why = append(a.why, why)
	}
}

func (a *analysis) unknown(why string) { a.kind(why, action.Unknown) }

func (c *Classifier) classify(text string, st *State) *Statement {
	a := &analysis{c: c, st: st, kinds: map[action.Kind]bool{}}
	a.s.Reversible = true
	shape := text
	switch {
	case len(text) > c.maxBytes:
		a.unknown(fmt.Sprintf("longer than %d bytes", c.maxBytes))
	case strings.IndexByte(text, 0) >= 0:
		a.unknown("contains a NUL byte")
	case !utf8.ValidString(text):
		a.unknown("not UTF-8")
	default:
		var why string
		if a.tokens, why = lex(text); why == "" {
			var clean string
			if clean, shape, why = render(a.tokens); why == "" {
				a.read(clean)
			}
		}
		if why != "" {
			a.unknown(why)
		}
	}
	return a.seal(shape)
}

func uniqueSorted(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	sort.Strings(in)
	return slices.Compact(in)
}

// seal moves what was collected into the statement.
func (a *analysis) seal(shape string) *Statement {
	s := &a.s
	for k := range a.kinds {
		s.Kinds = append(s.Kinds, k)
	}
	slices.Sort(s.Kinds)
	for _, t := range a.tokens {
		if t.kind == tokParam {
			s.Params++
		}
	}
	s.Objects, s.Writes, s.Inferred = uniqueSorted(a.objects), uniqueSorted(a.writes), uniqueSorted(withoutMarks(a.inferred))
	s.Functions, s.Why, s.Assigns = uniqueSorted(a.calls), uniqueSorted(a.why), uniqueSorted(withoutMarks(a.assigned))
	s.Columns = marked(s.Columns)
	for i := range s.Columns {
		s.Columns[i].Sources = uniqueSorted(s.Columns[i].Sources)
	}
	if len(s.Kinds) == 0 && s.Harmless == "" {
		s.Kinds, s.Why = []action.Kind{action.Unknown}, append(s.Why, "nothing says what it does")
	}
	if len(s.Kinds) > 0 {
		s.Harmless = ""
		for _, k := range s.Kinds {
			switch k {
			case action.DataRead, action.PrivilegeChange, action.ConfigChange, action.SchemaChange:
			default:
				s.Reversible = false
			}
		}
	}
	if s.Verb == "" {
		s.Verb = "unknown"
	}
	s.Title = a.title()
	sum := sha256.Sum256([]byte(strings.ToLower(shape)))
	s.Shape = hex.EncodeToString(sum[:16])
	return s
}

func (a *analysis) title() string {
	s := &a.s
	name := s.Target
	if utf8.RuneCountInString(name) > 60 {
		name = string([]rune(name)[:60]) + "…"
	}
	switch {
	case s.Verb == "unknown":
		return "Something that is not understood"
	case s.Verb == "select" && s.Harmless != "":
		return "Select constants"
	case s.Verb == "select" && name == "":
		return "Read by functions only"
	case s.Verb == "select" && len(s.Objects) > 1:
		return "Read " + name + " and others"
	case s.Verb == "select":
		return "Read " + name
	}
	r, size := utf8.DecodeRuneInString(s.Verb)
	return strings.TrimSpace(string(unicode.ToUpper(r)) + s.Verb[size:] + " " + name)
}

// at returns token i, or an empty one.
func (a *analysis) at(i int) *token {
	if i < len(a.tokens) {
		return &a.tokens[i]
	}
	return &token{kind: tokSymbol}
}

// begins reports whether the statement begins with these words.
func (a *analysis) begins(words ...string) bool {
	for i, w := range words {
		if !a.at(i).is(w) {
			return false
		}
	}
	return true
}

// read classifies the statement that the tokens are.
func (a *analysis) read(clean string) {
	if len(a.tokens) == 0 {
		a.s.Harmless, a.s.Verb, a.s.Title = "empty query", "empty", "Nothing"
		return
	}
	first := a.at(0)
	if first.kind != tokWord && !first.sym("(") {
		a.unknown("not understood as MySQL")
		return
	}
	switch first.lower {
	case "select", "with", "insert", "replace", "update", "delete", "values", "":
		a.query(clean)
	case "set":
		a.set(clean)
	case "use":
		a.use()
	case "show":
		a.show()
	case "describe", "desc", "explain":
		a.explain()
	case "analyze":
		if a.begins("analyze", "table") || a.begins("analyze", "local", "table") || a.begins("analyze", "no_write_to_binlog") {
			a.byWords()
			return
		}
		a.unknown("not understood as MySQL")
	default:
		a.byWords()
	}
}

// query classifies what has rows: its kinds and columns come from the tree.
func (a *analysis) query(clean string) {
	tree, err := sqlparser.Parse(clean)
	if err != nil || tree == nil {
		a.unknown("not understood as MySQL") // the parser's message quotes the text
		return
	}
	a.statement(tree)
	if a.s.Verb == "select" && len(a.kinds) == 0 {
		a.s.Harmless = "no rows of any table"
	}
}

// fillers stand between the words that tell what is created.
var fillers = words(`or replace temporary unique fulltext spatial vector undo aggregate definer sql security invoker if not exists algorithm merge temptable undefined ignore online offline local
	no_write_to_binlog low_priority concurrent`)

// byWords classifies by the first words.
func (a *analysis) byWords() {
	var said []string
	for i := 0; i < len(a.tokens) && len(said) < 3 && i < 40; i++ {
		t := a.at(i)
		if t.kind != tokWord { // the account of DEFINER = 'a'@'b'
			if i > 0 && (t.sym("=") || t.kind == tokString || t.kind == tokQuoted || t.kind == tokVar || t.sym("(") || t.sym(")")) && slices.ContainsFunc(a.tokens[:i], func(t token) bool { return t.is("definer") || t.is("algorithm") }) {
				continue
			}
			break
		}
		if i > 0 && (fillers[t.lower] || a.at(i-1).sym("=")) {
			continue
		}
		said = append(said, t.lower)
	}
	for n := len(said); n > 0; n-- {
		name := strings.Join(said[:n], " ")
		v, is := verbs[name]
		if !is {
			continue
		}
		a.s.Verb, a.s.Harmless = name, v.harmless
		a.kind(v.why, v.kinds...)
		a.details(name)
		return
	}
	a.unknown("not understood as MySQL")
}

var control = words(`begin start savepoint commit rollback release work and no chain to transaction read only write with consistent snapshot`)

// details reads what stands behind the first words. Definitions end an open transaction.
func (a *analysis) details(verb string) {
	head, _, _ := strings.Cut(verb, " ")
	switch head {
	case "begin", "start", "savepoint", "commit", "rollback", "release":
		a.s.EndsTx = head != "savepoint" && head != "release"
		for i, t := range a.tokens {
			name := i == len(a.tokens)-1 && (head == "savepoint" || head == "release" || head == "rollback" && i > 1) // of a savepoint
			if t.kind != tokWord && t.kind != tokQuoted && !t.sym(",") || !control[t.lower] && !name {
				a.unknown("not understood as transaction control")
			}
		}
		return
	case "kill":
		a.kill()
		return
	}
	a.s.EndsTx = true
	a.s.SQLPrepare = head == "prepare" || head == "execute" || verb == "deallocate prepare" || verb == "drop prepare"
	temporary := false
	for i, t := range a.tokens {
		switch {
		case t.is("temporary") && i < 4:
			temporary = true
		case head == "load" && t.is("local") && i < 4:
			a.s.LocalFile = true
		case verb == "alter table" && (t.is("truncate") || t.is("drop") || t.is("discard")) && a.at(i+1).is("partition"), verb == "alter table" && t.is("discard"):
			a.kind("removes rows with their partition", action.DataDelete)
		case head == "create" && t.is("soname"):
			a.kind("loads code into the server", action.ConfigChange)
		}
	}
	a.tables(verb)
	var from []string
	if verb == "create table" || verb == "create view" || verb == "alter view" {
		from = a.defined()
	}
	if verb == "create table" && a.kinds[action.DataRead] {
		a.kind("", action.DataWrite)
	}
	if temporary && (head == "create" || head == "drop" || head == "alter") || verb == "drop table" || verb == "alter table" || verb == "rename table" {
		a.s.DropsTemp = head != "create"
	}
	if temporary && verb == "create table" && len(a.objects) > 0 {
		// What a query puts in is not followed column by column.
		a.s.Temp = &Temp{Name: a.s.Target, Sources: from}
	}
}

// defined takes the query in a definition as it would be by itself, and returns what it shows.
func (a *analysis) defined() []string {
	for i, t := range a.tokens {
		if !t.is("select") && !t.is("values") && !t.is("with") {
			continue
		}
		for ; i > 0 && a.at(i-1).sym("("); i-- { // CREATE TABLE t (SELECT …)
		}
		clean, _, why := render(a.tokens[i:])
		if why != "" {
			a.unknown(why)
			return nil
		}
		sub := a.c.classify(clean, a.st)
		a.kind("", sub.Kinds...)
		a.why, a.objects, a.calls = append(a.why, sub.Why...), append(a.objects, sub.Objects...), append(a.calls, sub.Functions...)
		var out []string
		for _, c := range sub.Columns {
			out = append(out, c.Sources...)
		}
		return uniqueSorted(out)
	}
	return nil
}

// tables notes the names that stand where a definition names tables: it is enough for
// people and digests, since all of it waits for them anyway.
func (a *analysis) tables(verb string) {
	begin := map[string]bool{
		"table": true, "tables": true, "view": true, "into": true, "truncate": true, "on": true, "from": true, "to": true, "like": true, "references": true, "call": true, "database": true, "schema": true,
		"procedure": true, "function": true, "trigger": true, "event": true, "user": true, "role": true, "sequence": true, "join": true,
	}
	skip := words(`if not exists only table`)
	for i := 0; i < len(a.tokens); i++ {
		if t := a.at(i); t.kind != tokWord || !begin[t.lower] {
			continue
		}
		j := i + 1
		for a.at(j).kind == tokWord && skip[a.at(j).lower] {
			j++
		}
		for {
			name, next, ok := a.name(j)
			if !ok {
				break
			}
			if head, _, _ := strings.Cut(verb, " "); head != "grant" && head != "revoke" || a.s.Target == "" {
				if a.s.Target == "" {
					a.s.Target = name
				}
				a.objects = append(a.objects, name)
			}
			if j = next; !a.at(j).sym(",") {
				break
			}
			j++
		}
		i = max(i, j-1)
	}
	for _, o := range a.objects {
		if systemTable(o) {
			a.kind("the server's own accounts and rights", action.PrivilegeChange, action.IdentityChange)
		}
	}
	if verb == "truncate" || strings.HasSuffix(verb, " table") && verb != "create table" || verb == "load data" || verb == "load xml" {
		a.writes = append(a.writes, a.objects...)
	}
}

// name reads the table name that begins at token i, with the default database before it.
func (a *analysis) name(i int) (string, int, bool) {
	t := a.at(i)
	if t.kind != tokWord && t.kind != tokQuoted {
		return "", i, false
	}
	if a.at(i+1).sym(".") && (a.at(i+2).kind == tokWord || a.at(i+2).kind == tokQuoted) {
		return t.text + "." + a.at(i+2).text, i + 3, true
	}
	return a.qualify(t.text), i + 1, true
}

func (a *analysis) qualify(table string) string {
	if a.st.Database == "" {
		return table
	}
	return a.st.Database + "." + table
}

// kill reads KILL [CONNECTION | QUERY] n.
func (a *analysis) kill() {
	i := 1
	if a.at(i).is("hard") || a.at(i).is("soft") {
		i++
	}
	if a.at(i).is("connection") || a.at(i).is("query") {
		a.s.KillQuery = a.at(i).is("query")
		i++
	}
	if n, err := strconv.ParseUint(a.at(i).text, 10, 64); err == nil && a.at(i).kind == tokNumber && i+1 == len(a.tokens) {
		a.s.Kill = n
	}
}

func (a *analysis) use() {
	a.s.Verb = "use"
	t := a.at(1)
	if len(a.tokens) != 2 || t.kind != tokWord && t.kind != tokQuoted {
		a.unknown("not understood as USE")
		return
	}
	a.s.Harmless, a.s.Database, a.s.Target = "another default database", t.text, t.text
}

// show takes the SHOW statements that tell how things are made.
func (a *analysis) show() {
	a.s.Verb = "show"
	what := a.at(1)
	has := func(word string) bool { return slices.ContainsFunc(a.tokens, func(t token) bool { return t.is(word) }) }
	switch {
	case what.is("grants"), a.begins("show", "create", "user"), a.begins("show", "create", "server"):
		a.kind("shows rights, and with them how accounts prove themselves", action.DataRead, action.SecretAccess)
	case has("processlist"):
		a.kind("shows what others are doing", action.DataRead)
	case what.kind != tokWord || !shows[what.lower]:
		a.unknown("not understood as SHOW")
	default:
		a.s.Harmless = "how things are made"
		a.s.Warnings = has("warnings") || has("errors")
	}
	for _, t := range a.tokens {
		if (t.sym("(") && !has("count")) || t.kind == tokVar || t.kind == tokParam || t.is("select") || t.is("into") {
			a.unknown("SHOW with an expression")
		}
	}
	if has("count") && len(a.tokens) > 6 {
		a.unknown("not understood as SHOW")
	}
}

// explain takes DESCRIBE of a table, and EXPLAIN as what it explains: planning reads
// tables and may run functions, and with ANALYZE the statement runs.
func (a *analysis) explain() {
	a.s.Verb = "explain"
	i, shows := 1, !a.st.MariaDB // MySQL may be set to show the plan in full
	for a.at(i).is("extended") || a.at(i).is("partitions") || a.at(i).is("analyze") || a.at(i).is("format") {
		if a.at(i).is("format") {
			if !a.at(i + 1).sym("=") {
				break
			}
			i += 2
		}
		i++
		shows = true
	}
	switch t := a.at(i); {
	case t.is("select"), t.is("with"), t.is("insert"), t.is("replace"), t.is("update"), t.is("delete"), t.sym("("):
		clean, _, why := render(a.tokens[i:])
		if why != "" {
			a.unknown(why)
			return
		}
		inner := a.c.classify(clean, a.st)
		a.kind("", inner.Kinds...)
		a.why = append(a.why, inner.Why...)
		a.objects, a.writes, a.calls, a.inferred = inner.Objects, inner.Writes, inner.Functions, inner.Inferred
		a.s.Target, a.s.Harmless = inner.Target, inner.Harmless
		if shows { // a plan in full quotes values of rows that it read to plan by
			col := action.Column{Name: "*", Derived: true, Turned: true}
			for _, c := range inner.Columns {
				col.Sources = append(col.Sources, c.Sources...)
			}
			for _, o := range inner.Objects {
				col.Sources = append(col.Sources, o+".*")
			}
			a.s.Columns = []action.Column{col}
		}
	default:
		name, next, ok := a.name(1)
		if !ok || next != len(a.tokens) && (next+1 != len(a.tokens) || a.at(next).kind == tokVar || a.at(next).kind == tokParam) {
			a.unknown("not understood as EXPLAIN")
			return
		}
		a.s.Harmless, a.s.Target, a.objects = "how things are made", name, []string{name}
	}
}

// set takes SET: variables of the session's own, its settings, and all else as a change.
func (a *analysis) set(clean string) {
	a.s.Verb = "set"
	switch {
	case a.begins("set", "role"), a.begins("set", "default"), a.begins("set", "password"):
		a.byWords()
		return
	case a.begins("set", "transaction"), a.begins("set", "session", "transaction"), a.begins("set", "local", "transaction"):
		for _, t := range a.tokens {
			if t.kind != tokWord && !t.sym(",") {
				a.unknown("not understood as SET TRANSACTION")
			}
		}
		a.s.Harmless = "transaction control"
		return
	case a.begins("set", "names"), a.begins("set", "charset"), a.begins("set", "character", "set"):
		i := 2
		if a.at(1).is("character") {
			i = 3
		}
		v := a.at(i)
		rest := len(a.tokens) - i - 1
		if v.kind != tokWord && v.kind != tokString || rest != 0 && (rest != 2 || !a.at(i+1).is("collate")) {
			a.unknown("not understood as SET NAMES")
			return
		}
		a.s.Harmless = "a setting of the session"
		a.s.Settings = []Setting{{Name: "names", Value: strings.ToLower(v.text), Known: true}}
		return
	}
	tree, err := sqlparser.Parse(clean)
	set, is := tree.(*sqlparser.Set)
	if err != nil || !is {
		a.unknown("not understood as SET")
		return
	}
	a.s.Harmless = "a setting of the session"
	for _, e := range set.Exprs {
		a.setOne(e)
	}
}

func (a *analysis) setOne(e *sqlparser.SetVarExpr) {
	name := strings.ToLower(e.Name.Name.String())
	scope := &scope{}
	if e.Scope == sqlparser.SetScope_User || strings.HasPrefix(name, "@") && !strings.HasPrefix(name, "@@") {
		f := a.expr(e.Expr, scope)
		a.assigned = append(a.assigned, f.sources...)
		a.s.SetsVars = true
		return
	}
	name = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(name, "@@"), "session."), "local.")
	if e.Scope != sqlparser.SetScope_None && e.Scope != sqlparser.SetScope_Session || strings.Contains(name, ".") || !e.Name.Qualifier.IsEmpty() {
		a.kind("a setting for everybody", action.ConfigChange)
	}
	switch {
	case name == "sql_log_bin" || name == "sql_log_off":
		a.kind("what the server writes down", action.AuditChange)
	case !settings[name]:
		a.kind("a setting that is on no list", action.ConfigChange)
	}
	s := Setting{Name: name}
	switch v := e.Expr.(type) {
	case *sqlparser.SQLVal:
		s.Value, s.Known = string(v.Val), v.Type != sqlparser.ValArg
	case *sqlparser.ColName: // a word: ON, utf8mb4
		if v.Qualifier.IsEmpty() && !strings.HasPrefix(v.Name.String(), "@") {
			s.Value, s.Known = v.Name.String(), true
			break
		}
		a.expr(e.Expr, scope)
	case sqlparser.BoolVal:
		s.Value, s.Known = strconv.FormatBool(bool(v)), true
	case *sqlparser.NullVal:
		s.Value, s.Known = "null", true
	case *sqlparser.Default:
		s.Value, s.Known = "default", v.ColName == ""
	case *sqlparser.FuncExpr:
		a.expr(e.Expr, scope)
		s.Value, s.Known = added(name, v)
	default:
		a.expr(e.Expr, scope)
	}
	a.s.Settings = append(a.s.Settings, s)
}

// added is what concat(@@sql_mode, ',X') adds to a setting that is as it was.
func added(name string, f *sqlparser.FuncExpr) (string, bool) {
	if !f.Name.EqualString("concat") || !f.Qualifier.IsEmpty() || len(f.Exprs) != 2 || f.Over != nil {
		return "", false
	}
	was, is := f.Exprs[0].(*sqlparser.AliasedExpr)
	more, also := f.Exprs[1].(*sqlparser.AliasedExpr)
	if !is || !also {
		return "", false
	}
	c, is := was.Expr.(*sqlparser.ColName)
	v, also := more.Expr.(*sqlparser.SQLVal)
	if !is || !also || v.Type != sqlparser.StrVal || !strings.HasPrefix(string(v.Val), ",") {
		return "", false
	}
	if n := strings.ToLower(sqlparser.String(c)); n != "@@"+name && n != "@@session."+name {
		return "", false
	}
	return string(v.Val), true
}

// systemTable reports whether a table is one of the server's accounts and rights.
func systemTable(name string) bool {
	db, _, is := strings.Cut(strings.ToLower(name), ".")
	return is && db == "mysql"
}
