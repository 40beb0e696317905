package mysql

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/assenthq/assent/action"
)

// A Probe is how to find out what a statement would do without running it.
type Probe struct {
	Op ProbeOp
	// Targets are the tables whose rows change, and what DROP and TRUNCATE name: "shop.t".
	Targets []string
	// Query is a plain query: for a write it counts the rows that the write would
	// find, for a read it is the read itself, to be explained. "" where Rows or Targets say all.
	Query string
	// Times is how many changed rows each counted one stands for at most: a row of a
	// join is one in each table that changes.
	Times  int64
	Rows   action.Count // known where the text alone says it: INSERT … VALUES
	AtMost bool         // fewer rows may change than are counted
	Kind   string       // of what DROP names: "table", "view", "database"
}

// ProbeOp says what the probed statement does.
type ProbeOp string

// What a Probe is of.
const (
	ProbeRead     ProbeOp = "read"
	ProbeUpdate   ProbeOp = "update"
	ProbeDelete   ProbeOp = "delete"
	ProbeInsert   ProbeOp = "insert"
	ProbeReplace  ProbeOp = "replace"
	ProbeTruncate ProbeOp = "truncate"
	ProbeDrop     ProbeOp = "drop"
)

// maxProbeBytes bounds texts that are probed: they are parsed twice while the asker waits.
const maxProbeBytes = 128 << 10

var (
	errProbe  = errors.New("it could not be written down as a query of its own")
	errParams = errors.New("its parameters are not known")
)

// Probe makes the probe of a text. params are its parameters, each as a literal. The
// query has the statement's own tables and conditions, token by token, and was parsed
// again and found to have no others. Whoever runs it classifies it first as anything
// else. The error says why there is none, and quotes nothing.
func (c *Classifier) Probe(text string, st State, params []string) (*Probe, error) {
	switch {
	case len(text) > maxProbeBytes:
		return nil, errors.New("it is too long to be looked at")
	case !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0:
		return nil, errors.New("its text is not understood")
	}
	tokens, why := lex(text)
	if why != "" {
		return nil, errors.New("its text is not understood: " + why)
	}
	tokens, err := bind(tokens, params)
	if err != nil {
		return nil, err
	}
	p := &prober{a: &analysis{c: c, st: &st, tokens: tokens}}
	if first := p.a.at(0); first.is("truncate") || first.is("drop") {
		return p.objects()
	}
	clean, _, why := render(tokens)
	if why != "" || len(clean) > maxProbeBytes {
		return nil, errProbe
	}
	tree, err := sqlparser.Parse(clean)
	if err != nil {
		return nil, errors.New("it is not understood")
	}
	switch n := tree.(type) {
	case sqlparser.SelectStatement:
		p.Op, p.Query = ProbeRead, clean
	case *sqlparser.Update:
		err = p.update(n)
	case *sqlparser.Delete:
		err = p.remove(n)
	case *sqlparser.Insert:
		err = p.insert(n)
	default:
		err = errors.New("statements of this kind are not previewed")
	}
	if err == nil && p.Query != "" {
		err = elsewhere(p.Query)
	}
	if err != nil {
		return nil, err
	}
	return &p.Probe, nil
}

// bind puts literals where the parameters are.
func bind(tokens []token, params []string) ([]token, error) {
	if !slices.ContainsFunc(tokens, func(t token) bool { return t.kind == tokParam }) {
		return tokens, nil
	}
	var out []token
	for _, t := range tokens {
		if t.kind != tokParam {
			out = append(out, t)
			continue
		}
		if len(params) == 0 {
			return nil, errParams
		}
		value, why := lex(params[0])
		if why != "" || len(value) == 0 {
			return nil, errParams
		}
		value[0].space = true
		out, params = append(out, value...), params[1:]
	}
	return out, nil
}

// ofSession are functions whose answer another session would not have.
var ofSession = words(`connection_id last_insert_id found_rows row_count`)

// elsewhere errs where another connection would be told something else than the session,
// or would lock rows.
func elsewhere(query string) error {
	tokens, why := lex(query)
	if why != "" {
		return errProbe
	}
	for i, t := range tokens {
		next := func(words ...string) bool {
			return i+1 < len(tokens) && slices.ContainsFunc(words, tokens[i+1].is)
		}
		switch {
		case t.kind == tokVar:
			return errors.New("it uses variables, which only this session sees")
		case ofSession[t.lower]:
			return errors.New("it asks for what only this session knows")
		case t.is("for") && next("update", "share"), t.is("lock") && next("in"):
			return errors.New("finding out would lock rows")
		}
	}
	return nil
}

// A prober makes one probe.
type prober struct {
	Probe
	a *analysis
}

// top finds the first of words at or behind token i that stands in no parentheses;
// where none does, the end.
func (p *prober) top(i int, words ...string) int {
	deep := 0
	for ; i < len(p.a.tokens); i++ {
		switch t := p.a.at(i); {
		case t.sym("("):
			deep++
		case t.sym(")"):
			deep--
		case deep == 0 && t.kind == tokWord && slices.Contains(words, t.lower) && (i == 0 || !p.a.at(i-1).sym(".")):
			return i
		}
	}
	return i
}

func (p *prober) text(from, to int) string {
	if from >= to {
		return ""
	}
	text, _, _ := render(p.a.tokens[from:to])
	return text
}

// skip passes over the words that may stand behind a verb.
func (p *prober) skip(i int, words ...string) int {
	for slices.ContainsFunc(words, p.a.at(i).is) {
		i++
	}
	return i
}

func (p *prober) update(n *sqlparser.Update) error {
	p.Op, p.AtMost = ProbeUpdate, true // a row that is already so doesn't change
	verb := p.top(0, "update")
	from := p.skip(verb+1, "low_priority", "ignore")
	set := p.top(from, "set")
	changed := map[string]bool{}
	for _, e := range n.Exprs {
		changed[strings.ToLower(e.Name.Qualifier.Name.String())] = true
	}
	return p.count(n.With, n.TableExprs, n.Where, n.Limit, verb, from, set, changed)
}

func (p *prober) remove(n *sqlparser.Delete) error {
	p.Op = ProbeDelete
	verb := p.top(0, "delete")
	i := p.skip(verb+1, "low_priority", "quick", "ignore")
	p.AtMost = slices.ContainsFunc(p.a.tokens[verb+1:i], func(t token) bool { return t.is("ignore") })
	from := p.top(i, "from") + 1
	if p.a.at(i).is("from") && len(n.Targets) > 0 { // DELETE FROM t USING …
		from = p.top(i, "using") + 1
	}
	changed := map[string]bool{}
	for _, t := range n.Targets {
		changed[strings.ToLower(t.Name.String())] = true
	}
	if len(n.Targets) == 0 {
		changed[""] = true
	}
	return p.count(n.With, n.TableExprs, n.Where, n.Limit, verb, from, p.top(from, "where", "order", "limit", "returning"), changed)
}

// count writes the query of the rows that an UPDATE or DELETE finds. Its tables stand in
// tokens[from:to]; changed are the names by which it calls those that it changes, "" where it calls them by none.
func (p *prober) count(with *sqlparser.With, tables sqlparser.TableExprs, where *sqlparser.Where, limit *sqlparser.Limit, verb, from, to int, changed map[string]bool) error {
	names := named(tables)
	if len(names) == 0 {
		return errors.New("it names no table")
	}
	p.Times = int64(len(changed))
	for _, t := range names {
		if changed[""] || changed[strings.ToLower(t.alias)] {
			p.Targets = append(p.Targets, p.a.tableName(t.name))
		}
	}
	if changed[""] {
		p.Times = int64(len(names))
	}
	if len(p.Targets) < int(p.Times) { // DELETE QUICK FROM t: a word of the server's, a table to the parser
		return errProbe
	}
	p.AtMost = p.AtMost || len(names) > 1
	for _, t := range names { // the server takes no WITH item for what changes; a query would
		if with != nil && t.name.DbQualifier.IsEmpty() && slices.ContainsFunc(with.Ctes, func(c *sqlparser.CommonTableExpr) bool {
			return strings.EqualFold(c.As.String(), t.name.Name.String())
		}) {
			return errors.New("a WITH item has the name of the table it changes")
		}
	}
	cond, end := p.top(to, "where"), p.top(to, "order", "limit", "returning")
	lim := p.top(to, "limit")
	inner := "FROM " + p.text(from, to) + " " + p.text(cond, end)
	if limit != nil {
		inner = "FROM (SELECT 1 " + inner + " " + p.text(lim, p.top(lim, "returning")) + ") AS _assent"
	}
	p.Query = strings.TrimSpace(p.text(0, verb) + " SELECT COUNT(*) " + inner)

	tree, err := sqlparser.Parse(p.Query)
	sel, is := tree.(*sqlparser.Select)
	if err != nil || !is || (with == nil) != (sel.With == nil) || with != nil && sqlparser.String(with) != sqlparser.String(sel.With) {
		return errProbe
	}
	if limit != nil {
		if sel, is = within(sel.From); !is || sel.Limit == nil || sqlparser.String(sel.Limit) != sqlparser.String(limit) {
			return errProbe
		}
	}
	if sqlparser.String(sel.From) != sqlparser.String(tables) || (sel.Where == nil) != (where == nil) || where != nil && sqlparser.String(sel.Where) != sqlparser.String(where) ||
		sel.Having != nil || len(sel.GroupBy) > 0 || sel.Into != nil || limit == nil && sel.Limit != nil {
		return errProbe
	}
	return nil
}

// within returns the one query that stands in FROM.
func within(list sqlparser.TableExprs) (*sqlparser.Select, bool) {
	if len(list) != 1 {
		return nil, false
	}
	t, is := list[0].(*sqlparser.AliasedTableExpr)
	if !is {
		return nil, false
	}
	sub, is := t.Expr.(*sqlparser.Subquery)
	if !is {
		return nil, false
	}
	sel, is := sub.Select.(*sqlparser.Select)
	return sel, is
}

type calledTable struct {
	name  sqlparser.TableName
	alias string
}

// named are the tables of a list with the names by which the statement calls them.
func named(list sqlparser.TableExprs) (out []calledTable) {
	for _, t := range list {
		switch n := t.(type) {
		case *sqlparser.AliasedTableExpr:
			if name, is := n.Expr.(sqlparser.TableName); is {
				alias := n.As.String()
				if alias == "" {
					alias = name.Name.String()
				}
				out = append(out, calledTable{name, alias})
			}
		case *sqlparser.ParenTableExpr:
			out = append(out, named(n.Exprs)...)
		case *sqlparser.JoinTableExpr:
			out = append(out, named(sqlparser.TableExprs{n.LeftExpr, n.RightExpr})...)
		}
	}
	return out
}

func (a *analysis) tableName(n sqlparser.TableName) string {
	if n.DbQualifier.IsEmpty() {
		return a.qualify(n.Name.String())
	}
	return n.DbQualifier.String() + "." + n.Name.String()
}

func (p *prober) insert(n *sqlparser.Insert) error {
	p.Op, p.Times, p.Targets = ProbeInsert, 1, []string{p.a.tableName(n.Table)}
	if strings.EqualFold(n.Action, sqlparser.ReplaceStr) {
		p.Op = ProbeReplace
	}
	p.AtMost = n.Ignore != "" || len(n.OnDup) > 0
	if n.With != nil {
		return errProbe
	}
	if rows, is := tuples(n); is {
		p.Rows = action.KnownCount(rows)
		return nil
	}
	rows, is := n.Rows.(sqlparser.SelectStatement)
	if !is {
		return errProbe
	}
	begin := slices.IndexFunc(p.a.tokens, func(t token) bool { return t.is("select") || t.is("with") })
	if begin < 0 {
		return errProbe
	}
	end := p.top(begin, "returning")
	for i := p.top(begin, "on"); i < end; i = p.top(i+1, "on") {
		if p.a.at(i+1).is("duplicate") && p.a.at(i+2).is("key") && p.a.at(i+3).is("update") {
			end = i
		}
	}
	if begin > 0 && p.a.at(begin-1).sym("(") { // INSERT INTO t (SELECT …)
		end = p.closes(begin)
	}
	text := p.text(begin, end)
	tree, err := sqlparser.Parse(text)
	if err != nil || sqlparser.String(tree) != sqlparser.String(rows) {
		return errProbe
	}
	p.Query = "SELECT COUNT(*) FROM (" + text + ") AS _assent"
	// Two columns of one name may be inserted, and may not stand in a table of FROM.
	if cols := p.a.c.Classify(text, *p.a.st).Columns; len(cols) > 0 && !slices.ContainsFunc(cols, isStar) {
		names := make([]string, len(cols))
		for i := range names {
			names[i] = "c" + strconv.Itoa(i)
		}
		p.Query = "WITH _assent (" + strings.Join(names, ", ") + ") AS (" + text + ") SELECT COUNT(*) FROM _assent"
	}
	if _, err := sqlparser.Parse(p.Query); err != nil {
		return errProbe
	}
	return nil
}

// closes finds the parenthesis that ends what begins with token i.
func (p *prober) closes(i int) int {
	for deep := 0; i < len(p.a.tokens); i++ {
		switch t := p.a.at(i); {
		case t.sym("("):
			deep++
		case t.sym(")") && deep == 0:
			return i
		case t.sym(")"):
			deep--
		}
	}
	return i
}

// tuples is how many rows INSERT … VALUES adds.
func tuples(n *sqlparser.Insert) (int64, bool) {
	switch rows := n.Rows.(type) {
	case sqlparser.Values:
		return int64(len(rows)), true
	case sqlparser.AliasedValues:
		return int64(len(rows.Values)), true
	case *sqlparser.AliasedValues:
		return int64(len(rows.Values)), true
	}
	return 0, false
}

// objects takes DROP and TRUNCATE.
func (p *prober) objects() (*Probe, error) {
	p.Op, p.Kind = ProbeTruncate, "table"
	i := p.skip(1, "table")
	if p.a.at(0).is("drop") {
		p.Op, p.Kind = ProbeDrop, p.a.at(1).lower
		if p.Kind == "schema" {
			p.Kind = "database"
		}
		if p.Kind != "table" && p.Kind != "view" && p.Kind != "database" {
			return nil, errors.New("dropping objects of this kind is not previewed")
		}
		i = p.skip(2, "if", "exists")
	}
	for {
		name, next, ok := p.a.name(i)
		if p.Kind == "database" {
			name, next, ok = p.a.at(i).text, i+1, p.a.at(i).kind == tokWord || p.a.at(i).kind == tokQuoted
		}
		if !ok || p.Kind != "database" && !strings.Contains(name, ".") {
			return nil, errors.New("it names no object of a database")
		}
		p.Targets = append(p.Targets, name)
		if !p.a.at(next).sym(",") {
			if rest := p.skip(next, "restrict", "cascade"); rest != len(p.a.tokens) {
				return nil, errors.New("it is not understood")
			}
			return &p.Probe, nil
		}
		i = next + 1
	}
}
