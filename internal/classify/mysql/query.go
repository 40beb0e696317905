package mysql

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/assenthq/assent/action"
)

// Marks travel among the sources of a column while a statement is walked, so that they
// follow it through subqueries, WITH, set operations and renaming.
const (
	turnedMark    = "\x00turned"
	aggregateMark = "\x00aggregate"
)

func isMark(s string) bool { return strings.HasPrefix(s, "\x00") }

func withoutMarks(sources []string) []string {
	return slices.DeleteFunc(slices.Clone(sources), isMark)
}

func marked(cols []action.Column) []action.Column {
	for i, c := range cols {
		cols[i].Turned = c.Turned || slices.Contains(c.Sources, turnedMark)
		cols[i].Aggregate = c.Aggregate || slices.Contains(c.Sources, aggregateMark)
		cols[i].Sources = withoutMarks(c.Sources)
	}
	return cols
}

// flow is where the value of an expression comes from.
type flow struct {
	sources []string
	derived bool
}

func (f *flow) join(o flow) {
	f.sources = append(f.sources, o.sources...)
	f.derived = true
}

// A relation is what a name in FROM stands for.
type relation struct {
	alias   string // how columns are qualified, lower case
	table   string // "database.table" of a table; "" for what is made here
	columns []action.Column
	open    bool     // it may have other columns than those known
	known   []string // names of a table's columns; nil: nobody knows
}

// scope is the relations that names are looked up in, the innermost first.
type scope struct {
	relations []*relation
	outer     *scope
}

// Bounds of what is walked of one statement. More is unknown.
const (
	maxDepth = 200
	maxSteps = 100_000
)

func (a *analysis) enter() bool {
	a.depth++
	a.steps++
	if a.depth <= maxDepth && a.steps <= maxSteps {
		return true
	}
	a.unknown("nested too deeply, or too large to be followed")
	a.depth--
	return false
}

func (a *analysis) statement(tree sqlparser.Statement) {
	s := &a.s
	switch n := tree.(type) {
	case sqlparser.SelectStatement:
		s.Verb = "select"
		s.Columns = a.sel(n, nil)
		if into := n.GetInto(); into != nil {
			a.into(into, s.Columns)
			if len(into.Variables) > 0 {
				s.Columns = nil
			}
		}
	case *sqlparser.Insert:
		a.insert(n)
	case *sqlparser.Update:
		s.Verb = "update"
		done := a.with(n.With, nil)
		sc := a.target(n.TableExprs)
		a.kind("", action.DataWrite)
		a.assignments(n.Exprs, sc)
		a.steer(n.Where, sc)
		a.order(n.OrderBy, sc)
		a.limit(n.Limit, sc)
		a.changes(sc.relations)
		s.Columns = a.returning(n.Returning, sc)
		done()
	case *sqlparser.Delete:
		s.Verb = "delete"
		done := a.with(n.With, nil)
		sc := a.target(n.TableExprs)
		a.kind("", action.DataDelete)
		a.steer(n.Where, sc)
		a.order(n.OrderBy, sc)
		a.limit(n.Limit, sc)
		a.changes(sc.relations) // where several are named it may be any
		s.Columns = a.returning(n.Returning, sc)
		done()
	default:
		a.unknown("not understood as MySQL")
	}
	if s.Target == "" && len(a.objects) > 0 {
		s.Target = a.objects[0]
	}
}

// target is the tables of UPDATE and DELETE. One alone is only changed, of several some may only be read.
func (a *analysis) target(list sqlparser.TableExprs) *scope {
	if len(list) == 1 {
		if t, is := list[0].(*sqlparser.AliasedTableExpr); is && t.AsOf == nil {
			if name, is := t.Expr.(sqlparser.TableName); is {
				return &scope{relations: []*relation{a.table(name, t.As.String())}}
			}
		}
	}
	return a.from(list, nil)
}

// changes notes the tables whose rows change.
func (a *analysis) changes(rels []*relation) {
	for _, r := range rels {
		if r.table == "" {
			continue
		}
		a.writes = append(a.writes, r.table)
		if systemTable(r.table) {
			a.kind("the server's own accounts and rights", action.PrivilegeChange, action.IdentityChange)
		}
		switch {
		case a.st.Catalog == nil:
		case a.st.Catalog.Foreign(r.table):
			a.kind("its rows go elsewhere", action.NetFetch)
		case a.st.Catalog.Triggers(r.table):
			a.kind("a trigger runs code with each changed row, or triggers can't be seen (the TRIGGER privilege is missing)", action.Execute)
		case a.st.Catalog.View(r.table) != nil:
			a.unknown("rows are changed through a view")
		}
	}
}

func (a *analysis) insert(n *sqlparser.Insert) {
	s := &a.s
	s.Verb = strings.ToLower(n.Action)
	done := a.with(n.With, nil)
	defer done()
	a.kind("", action.DataWrite)
	if s.Verb == sqlparser.ReplaceStr {
		a.kind("REPLACE removes rows that are in its way", action.DataDelete)
	}
	sc := &scope{}
	r := a.table(n.Table, "")
	s.Target = r.table
	sc.relations = append(sc.relations, r)
	switch rows := n.Rows.(type) {
	case sqlparser.Values:
		a.values(rows, sc)
	case sqlparser.AliasedValues:
		a.values(rows.Values, sc)
		sc.relations = append(sc.relations, &relation{alias: strings.ToLower(rows.As.String()), open: true})
	case *sqlparser.AliasedValues:
		a.values(rows.Values, sc)
		sc.relations = append(sc.relations, &relation{alias: strings.ToLower(rows.As.String()), open: true})
	case sqlparser.SelectStatement:
		a.sel(rows, nil)
		a.kind("", action.DataRead)
	case nil:
	default:
		a.unknown("not understood as INSERT")
	}
	a.assignments(sqlparser.AssignmentExprs(n.OnDup), sc)
	s.OnDup = len(n.OnDup) > 0
	if rows, is := tuples(n); is {
		s.Tuples = action.KnownCount(rows)
	}
	a.changes([]*relation{r})
	s.Columns = a.returning(n.Returning, sc)
}

func (a *analysis) values(rows sqlparser.Values, sc *scope) {
	for _, row := range rows {
		for _, e := range row {
			a.expr(e, sc)
		}
	}
}

func (a *analysis) assignments(list sqlparser.AssignmentExprs, sc *scope) {
	for _, e := range list {
		f := a.expr(e.Expr, sc)
		a.inferred = append(a.inferred, f.sources...) // what it holds afterwards tells of them
	}
}

// returning takes RETURNING, which reads what it changes.
func (a *analysis) returning(list sqlparser.SelectExprs, sc *scope) []action.Column {
	if len(list) == 0 {
		return nil
	}
	a.kind("", action.DataRead)
	return a.outputs(list, sc)
}

// into takes SELECT … INTO.
func (a *analysis) into(n *sqlparser.Into, cols []action.Column) {
	if n.Outfile != "" || n.Dumpfile != "" || len(n.Variables) == 0 {
		a.kind("writes a file on the server", action.DataExport, action.Execute)
	}
	if len(n.Variables) > 0 {
		a.s.SetsVars = true
	}
	for _, v := range n.Variables {
		if !strings.HasPrefix(v.String(), "@") {
			a.unknown("INTO something that is no variable of the session")
		}
	}
	for _, c := range cols {
		a.assigned = append(a.assigned, c.Sources...)
	}
}

// with makes the named queries known; the returned function forgets them.
func (a *analysis) with(w *sqlparser.With, outer *scope) func() {
	n := len(a.ctes)
	if w == nil {
		return func() {}
	}
	for _, c := range w.Ctes {
		sub, is := c.Expr.(*sqlparser.Subquery)
		if !is || c.As.IsEmpty() {
			a.unknown("not understood as WITH")
			continue
		}
		r := &relation{alias: strings.ToLower(c.As.String())}
		if w.Recursive { // it may read itself: what it begins with is then all there is
			r.open = true
			a.ctes = append(a.ctes, r)
			cols := a.sel(sub.Select, outer)
			r.columns, r.open = renamed(cols, c.Columns), false
			for range 3 { // a step of the recursion may carry columns into others
				again := a.sel(sub.Select, outer)
				r.columns = merged(r.columns, renamed(again, c.Columns))
			}
			continue
		}
		r.columns = renamed(a.sel(sub.Select, outer), c.Columns)
		a.ctes = append(a.ctes, r)
	}
	return func() { a.ctes = a.ctes[:n] }
}

func renamed(cols []action.Column, names sqlparser.Columns) []action.Column {
	out := slices.Clone(cols)
	if len(names) == 0 {
		return out
	}
	if len(names) != len(cols) || slices.ContainsFunc(cols, isStar) {
		var all []string
		for _, c := range cols {
			all = append(all, c.Sources...)
		}
		out = nil
		for _, n := range names {
			out = append(out, action.Column{Name: n.String(), Sources: all, Derived: true})
		}
		return out
	}
	for i, n := range names {
		out[i].Name = n.String()
	}
	return out
}

func isStar(c action.Column) bool { return c.Name == "*" }

// merged joins the columns of two queries, one by one where both have as many.
func merged(x, y []action.Column) []action.Column {
	if len(x) == len(y) && !slices.ContainsFunc(x, isStar) && !slices.ContainsFunc(y, isStar) {
		out := slices.Clone(x)
		for i := range out {
			out[i].Sources = uniqueSorted(slices.Concat(x[i].Sources, y[i].Sources))
			out[i].Derived = x[i].Derived || y[i].Derived || len(x[i].Sources) != len(y[i].Sources)
		}
		return out
	}
	var all []string
	for _, c := range slices.Concat(x, y) {
		all = append(all, c.Sources...)
	}
	all = uniqueSorted(all)
	out := slices.Clone(x)
	for i := range out {
		out[i].Sources, out[i].Derived = all, true
	}
	return append(out, action.Column{Name: "*", Sources: all, Derived: true})
}

// sel walks a query and returns its columns.
func (a *analysis) sel(n sqlparser.SelectStatement, outer *scope) []action.Column {
	if !a.enter() {
		return nil
	}
	defer func() { a.depth-- }()
	switch n := n.(type) {
	case *sqlparser.Select:
		return a.one(n, outer)
	case *sqlparser.ParenSelect:
		return a.sel(n.Select, outer)
	case *sqlparser.SetOp:
		done := a.with(n.With, outer)
		defer done()
		cols := merged(a.sel(n.Left, outer), a.sel(n.Right, outer))
		sc := &scope{relations: []*relation{{columns: cols}}, outer: outer}
		a.order(n.OrderBy, sc)
		a.limit(n.Limit, sc)
		if !strings.HasPrefix(n.Type, sqlparser.UnionAllStr) { // which rows are alike is told by their number
			for _, c := range cols {
				a.inferred = append(a.inferred, c.Sources...)
			}
		}
		return cols
	}
	a.unknown("not understood as a query")
	return nil
}

func (a *analysis) one(n *sqlparser.Select, outer *scope) []action.Column {
	done := a.with(n.With, outer)
	defer done()
	if n.Into != nil && (outer != nil || a.depth > 1) {
		a.into(n.Into, nil)
	}
	sc := a.from(n.From, outer)
	a.steer(n.Where, sc)
	cols := a.outputs(n.SelectExprs, sc)
	if n.QueryOpts.Distinct || len(n.QueryOpts.DistinctOn) > 0 {
		for _, c := range cols {
			a.inferred = append(a.inferred, c.Sources...)
		}
	}
	for _, e := range n.QueryOpts.DistinctOn {
		a.expr(e, sc)
	}
	// Names in GROUP BY, HAVING and ORDER BY may be those of outputs.
	named := &scope{relations: []*relation{{columns: cols}}, outer: sc}
	for _, e := range n.GroupBy {
		a.inferred = append(a.inferred, a.expr(e, named).sources...)
	}
	a.steer(n.Having, named)
	for _, w := range n.Window {
		a.window(w, named)
	}
	a.order(n.OrderBy, named)
	a.limit(n.Limit, sc)
	if a.depth == 1 && n.Limit != nil {
		if v, is := n.Limit.Rowcount.(*sqlparser.SQLVal); is && v.Type == sqlparser.IntVal {
			if rows, err := strconv.ParseInt(string(v.Val), 10, 64); err == nil {
				a.s.Limit = action.KnownCount(rows)
			}
		}
	}
	return cols
}

func (a *analysis) steer(w *sqlparser.Where, sc *scope) {
	if w != nil {
		a.inferred = append(a.inferred, a.expr(w.Expr, sc).sources...)
	}
}

func (a *analysis) order(o sqlparser.OrderBy, sc *scope) {
	for _, e := range o {
		f := a.expr(e.Expr, sc)
		if v, is := e.Expr.(*sqlparser.SQLVal); is && v.Type == sqlparser.IntVal { // by position
			for _, r := range sc.relations {
				for _, c := range r.columns {
					f.sources = append(f.sources, c.Sources...)
				}
			}
		}
		a.inferred = append(a.inferred, f.sources...)
	}
}

func (a *analysis) limit(l *sqlparser.Limit, sc *scope) {
	if l != nil {
		a.expr(l.Offset, sc)
		a.expr(l.Rowcount, sc)
	}
}

func (a *analysis) window(w *sqlparser.WindowDef, sc *scope) {
	if w == nil {
		return
	}
	for _, e := range w.PartitionBy {
		a.inferred = append(a.inferred, a.expr(e, sc).sources...)
	}
	a.order(w.OrderBy, sc)
	if w.Frame != nil && w.Frame.Extent != nil {
		for _, b := range []*sqlparser.FrameBound{w.Frame.Extent.Start, w.Frame.Extent.End} {
			if b != nil {
				a.expr(b.Expr, sc)
			}
		}
	}
}

// from makes a scope of what FROM names.
func (a *analysis) from(list sqlparser.TableExprs, outer *scope) *scope {
	sc := &scope{outer: outer}
	for _, t := range list {
		a.fromOne(t, sc)
	}
	return sc
}

func (a *analysis) fromOne(t sqlparser.TableExpr, sc *scope) {
	if !a.enter() {
		return
	}
	defer func() { a.depth-- }()
	switch n := t.(type) {
	case *sqlparser.AliasedTableExpr:
		if n.AsOf != nil {
			a.expr(n.AsOf.Time, sc)
			a.expr(n.AsOf.Start, sc)
			a.expr(n.AsOf.End, sc)
		}
		switch e := n.Expr.(type) {
		case sqlparser.TableName:
			sc.relations = append(sc.relations, a.reads(e, n.As.String()))
		case *sqlparser.Subquery:
			inner := sc.outer
			if n.Lateral {
				inner = sc
			}
			cols := renamed(a.sel(e.Select, inner), e.Columns)
			sc.relations = append(sc.relations, &relation{alias: strings.ToLower(n.As.String()), columns: cols})
		case *sqlparser.ValuesStatement:
			a.values(e.Rows, sc)
			sc.relations = append(sc.relations, &relation{alias: strings.ToLower(n.As.String()), open: true})
		default:
			a.unknown("not understood in FROM")
		}
	case *sqlparser.ParenTableExpr:
		for _, e := range n.Exprs {
			a.fromOne(e, sc)
		}
	case *sqlparser.JoinTableExpr:
		a.fromOne(n.LeftExpr, sc)
		a.fromOne(n.RightExpr, sc)
		a.inferred = append(a.inferred, a.expr(n.Condition.On, sc).sources...)
		for _, c := range n.Condition.Using {
			a.inferred = append(a.inferred, a.column("", c.String(), sc).sources...)
		}
		if strings.Contains(n.Join, "natural") {
			for _, r := range sc.relations {
				for _, c := range r.columns {
					a.inferred = append(a.inferred, c.Sources...)
				}
				if r.table != "" {
					a.inferred = append(a.inferred, r.table+".*") // those of both, which only the server knows
				}
			}
		}
	case *sqlparser.JSONTableExpr:
		f := a.expr(n.Data, sc)
		sc.relations = append(sc.relations, &relation{alias: strings.ToLower(n.Alias.String()), columns: []action.Column{{Name: "*", Sources: append(f.sources, turnedMark), Derived: true}}})
	default:
		a.unknown("not understood in FROM")
	}
}

// reads is a name in FROM: a query named by WITH, a temporary table, a view or a table.
func (a *analysis) reads(n sqlparser.TableName, alias string) *relation {
	if n.DbQualifier.IsEmpty() {
		for i := len(a.ctes) - 1; i >= 0; i-- {
			if c := a.ctes[i]; c.alias == strings.ToLower(n.Name.String()) {
				r := *c
				if alias != "" {
					r.alias = strings.ToLower(alias)
				}
				return &r
			}
		}
	}
	a.kind("", action.DataRead)
	r := a.table(n, alias)
	if a.st.Catalog != nil && a.st.Catalog.Foreign(r.table) {
		a.kind("its rows come from elsewhere", action.NetFetch)
	}
	switch db, _, _ := strings.Cut(strings.ToLower(r.table), "."); db {
	case "information_schema":
		if _, view, _ := strings.Cut(strings.ToLower(r.table), "."); !described[view] {
			a.unknown("a view of the server's own that is on no list")
		}
	case "performance_schema":
		a.unknown("shows what others are doing")
	case "mysql":
		a.kind("the server's own accounts and rights", action.SecretAccess)
	case "sys":
		a.unknown("views of the server's own that run code")
	}
	return r
}

// table is a relation of the database; what stands behind a view or a temporary table is known by the state.
func (a *analysis) table(n sqlparser.TableName, alias string) *relation {
	name := n.Name.String()
	if n.DbQualifier.IsEmpty() {
		name = a.qualify(name)
	} else {
		name = n.DbQualifier.String() + "." + name
	}
	if !n.SchemaQualifier.IsEmpty() {
		a.unknown("a name of three parts")
	}
	a.objects = append(a.objects, name)
	r := &relation{alias: strings.ToLower(n.Name.String()), table: name}
	if alias != "" {
		r.alias = strings.ToLower(alias)
	}
	for _, t := range a.st.Temp {
		if strings.EqualFold(t.Name, name) {
			r.columns = []action.Column{{Name: "*", Sources: t.Sources, Derived: true}}
			return r
		}
	}
	if a.st.Catalog != nil {
		r.known = a.st.Catalog.Columns(name)
		if v := a.st.Catalog.View(name); v != nil {
			a.kind("", v.Kinds...)
			a.why = append(a.why, v.Why...)
			a.inferred, a.objects = append(a.inferred, v.Steers...), append(a.objects, v.Objects...)
			r.columns = slices.Clone(v.Columns)
			for i, c := range r.columns {
				r.columns[i].Sources = slices.Concat(c.Sources, []string{name + "." + c.Name}, marksOf(c))
			}
		}
	}
	return r
}

func marksOf(c action.Column) []string {
	var out []string
	if c.Turned {
		out = append(out, turnedMark)
	}
	if c.Aggregate {
		out = append(out, aggregateMark)
	}
	return out
}

// outputs are the columns of a list of outputs.
func (a *analysis) outputs(list sqlparser.SelectExprs, sc *scope) []action.Column {
	var out []action.Column
	for _, e := range list {
		switch e := e.(type) {
		case *sqlparser.StarExpr:
			out = append(out, a.star(e, sc)...)
		case *sqlparser.AliasedExpr:
			f := a.expr(e.Expr, sc)
			name := e.As.String()
			if name == "" {
				if c, is := e.Expr.(*sqlparser.ColName); is {
					name = c.Name.String()
				}
			}
			out = append(out, action.Column{Name: name, Sources: uniqueSorted(f.sources), Derived: f.derived})
		default:
			a.unknown("not understood as an output")
		}
	}
	return out
}

// star stands for all columns. Of a table they are told one by one by the server.
func (a *analysis) star(e *sqlparser.StarExpr, sc *scope) []action.Column {
	var out []action.Column
	want := strings.ToLower(e.TableName.Name.String())
	for _, r := range sc.relations {
		if want != "" && r.alias != want {
			continue
		}
		switch {
		case r.table != "" && len(r.columns) == 0:
			if r.known == nil {
				out = append(out, action.Column{Name: "*", Sources: []string{r.table + ".*"}})
			}
			for _, name := range r.known {
				var f flow
				a.plainColumn(&f, r.table, name)
				out = append(out, action.Column{Name: name, Sources: f.sources, Derived: f.derived})
			}
		case r.open:
			out = append(out, action.Column{Name: "*", Derived: true})
		default:
			out = append(out, r.columns...)
		}
	}
	if out == nil {
		out = append(out, action.Column{Name: "*", Sources: a.everything(sc), Derived: true})
	}
	return out
}

// plainColumn adds a column of a table, with what it is made of where it is generated.
func (a *analysis) plainColumn(f *flow, table, name string) {
	f.sources = append(f.sources, table+"."+name)
	if a.st.Catalog == nil {
		return
	}
	if g := a.st.Catalog.Generated(table, name); g != nil {
		f.sources, f.derived = append(append(f.sources, g.Sources...), marksOf(*g)...), true
	}
}

func (a *analysis) everything(sc *scope) []string {
	var out []string
	for ; sc != nil; sc = sc.outer {
		for _, r := range sc.relations {
			if r.table != "" {
				out = append(out, r.table+".*")
			}
			for _, c := range r.columns {
				out = append(out, c.Sources...)
			}
		}
	}
	return out
}

// column looks a name up: in every relation that has, or may have, a column of that name.
func (a *analysis) column(qualifier, name string, sc *scope) flow {
	var f flow
	q := strings.ToLower(qualifier)
	for s := sc; s != nil; s = s.outer {
		sure := false
		for _, r := range s.relations {
			if q != "" && r.alias != q {
				continue
			}
			hit := false
			for _, c := range r.columns {
				if strings.EqualFold(c.Name, name) || c.Name == "*" {
					f.sources = append(f.sources, c.Sources...)
					f.derived = f.derived || c.Derived
					hit = hit || c.Name != "*"
				}
			}
			if r.table != "" && len(r.columns) == 0 && (r.known == nil || slices.ContainsFunc(r.known, func(n string) bool { return strings.EqualFold(n, name) })) {
				a.plainColumn(&f, r.table, name)
				hit = q != "" || r.known != nil
			}
			sure = sure || hit
		}
		if sure {
			break
		}
	}
	if len(f.sources) == 0 && !f.derived { // a name that nothing here has
		f.sources, f.derived = a.everything(sc), true
	}
	return f
}

// expr walks an expression and says where its value comes from.
func (a *analysis) expr(e sqlparser.Expr, sc *scope) (f flow) {
	if e == nil || !a.enter() {
		return flow{}
	}
	defer func() { a.depth-- }()
	all := func(turns bool, list ...sqlparser.Expr) flow {
		var f flow
		for _, x := range list {
			if x != nil {
				f.join(a.expr(x, sc))
			}
		}
		f.derived = true
		if turns {
			f.sources = append(f.sources, turnedMark)
		}
		return f
	}
	switch n := e.(type) {
	case *sqlparser.AndExpr:
		return all(false, n.Left, n.Right)
	case *sqlparser.OrExpr:
		return all(true, n.Left, n.Right) // || joins texts in a server that reads it so
	case *sqlparser.XorExpr:
		return all(false, n.Left, n.Right)
	case *sqlparser.NotExpr:
		return all(false, n.Expr)
	case *sqlparser.ParenExpr:
		return a.expr(n.Expr, sc)
	case *sqlparser.ComparisonExpr:
		if n.Operator == sqlparser.JSONExtractOp || n.Operator == sqlparser.JSONUnquoteExtractOp {
			return all(!constant(n.Right), n.Left, n.Right, n.Escape)
		}
		return all(false, n.Left, n.Right, n.Escape)
	case *sqlparser.RangeCond:
		return all(false, n.Left, n.From, n.To)
	case *sqlparser.IsExpr:
		return all(false, n.Expr)
	case *sqlparser.ExistsExpr:
		f := all(false, n.Subquery)
		a.inferred = append(a.inferred, f.sources...)
		return f
	case *sqlparser.SQLVal, *sqlparser.NullVal, sqlparser.BoolVal:
		return flow{derived: true}
	case *sqlparser.ColName:
		return a.colName(n, sc)
	case sqlparser.ValTuple:
		return all(false, n...)
	case *sqlparser.Subquery:
		f := flow{derived: true}
		for _, c := range a.sel(n.Select, sc) {
			f.sources = append(f.sources, c.Sources...)
		}
		return f
	case *sqlparser.BinaryExpr:
		if n.Operator == sqlparser.JSONExtractOp || n.Operator == sqlparser.JSONUnquoteExtractOp {
			return all(!constant(n.Right), n.Left, n.Right)
		}
		return all(true, n.Left, n.Right)
	case *sqlparser.UnaryExpr:
		op := strings.TrimSpace(n.Operator)
		return all(op != "binary" && op != "!" && op != "_utf8mb4" && op != "_utf8", n.Expr)
	case *sqlparser.IntervalExpr:
		return all(true, n.Expr)
	case *sqlparser.CollateExpr:
		return all(false, n.Expr)
	case *sqlparser.TimestampFuncExpr:
		a.call("", n.Name)
		return all(true, n.Expr1, n.Expr2)
	case *sqlparser.ExtractFuncExpr:
		a.call("", n.Name)
		return all(true, n.Expr)
	case *sqlparser.CaseExpr:
		list := []sqlparser.Expr{n.Else}
		for _, w := range n.Whens {
			list = append(list, w.Val)
			a.inferred = append(a.inferred, a.expr(w.Cond, sc).sources...)
		}
		a.inferred = append(a.inferred, a.expr(n.Expr, sc).sources...)
		return all(false, list...)
	case *sqlparser.ValuesFuncExpr:
		if n.Name != nil {
			return all(false, n.Name)
		}
		return flow{derived: true}
	case *sqlparser.ConvertExpr:
		return all(castTurns(n.Type), n.Expr)
	case *sqlparser.ConvertUsingExpr:
		return all(true, n.Expr)
	case *sqlparser.SubstrExpr:
		var list []sqlparser.Expr
		if n.Name != nil {
			list = append(list, n.Name)
		}
		return all(true, append(list, n.From, n.To)...)
	case *sqlparser.TrimExpr:
		return all(n.Pattern != nil, n.Str, n.Pattern)
	case *sqlparser.CharExpr:
		f := a.args(n.Exprs, sc)
		f.sources = append(f.sources, turnedMark)
		return f
	case *sqlparser.MatchExpr:
		f := a.args(n.Columns, sc)
		f.join(a.expr(n.Expr, sc))
		return f
	case *sqlparser.GroupConcatExpr:
		f := a.args(n.Exprs, sc)
		a.order(n.OrderBy, sc)
		f.sources = append(f.sources, aggregateMark)
		if !n.Separator.DefaultSeparator && !separates(n.Separator.SeparatorString) || len(n.Exprs) != 1 {
			f.sources = append(f.sources, turnedMark)
		}
		a.calls = append(a.calls, "group_concat")
		return f
	case *sqlparser.Default:
		return flow{derived: true}
	case *sqlparser.FuncExpr:
		return a.function(n, sc)
	}
	a.unknown("an expression that is not understood")
	return flow{derived: true, sources: append(a.everything(sc), turnedMark)}
}

func constant(e sqlparser.Expr) bool {
	v, is := e.(*sqlparser.SQLVal)
	return is && v.Type == sqlparser.StrVal
}

// castTurns reports whether a cast gives text another form.
func castTurns(t *sqlparser.ConvertType) bool {
	if t == nil {
		return true
	}
	switch strings.ToLower(t.Type) {
	case "signed", "unsigned", "decimal", "date", "datetime", "time", "json", "double", "float", "real", "year":
		return false
	case "char":
		return t.Length != nil || t.Charset != "" && !strings.HasPrefix(strings.ToLower(t.Charset), "utf8")
	}
	return true
}

// separates reports whether a text between two others keeps them apart.
func separates(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\\' }) < 0
}

func (a *analysis) colName(n *sqlparser.ColName, sc *scope) flow {
	if n.StoredProcVal != nil {
		a.unknown("a variable of a procedure")
	}
	name := n.Name.String()
	if !n.Qualifier.IsEmpty() {
		if strings.HasPrefix(n.Qualifier.Name.String(), "@") || strings.HasPrefix(n.Qualifier.DbQualifier.String(), "@") {
			name = n.Qualifier.String() + "." + name
		}
	}
	switch {
	case strings.HasPrefix(name, "@@"):
		return flow{derived: true} // how the server is set up
	case strings.HasPrefix(name, "@"):
		return flow{derived: true, sources: append(slices.Clone(a.st.Vars), turnedMark)}
	}
	return a.column(n.Qualifier.Name.String(), name, sc)
}

// args walks the arguments of a function.
func (a *analysis) args(list sqlparser.SelectExprs, sc *scope) flow {
	f := flow{derived: true}
	for _, e := range list {
		switch e := e.(type) {
		case *sqlparser.AliasedExpr:
			f.join(a.expr(e.Expr, sc))
		case *sqlparser.StarExpr: // count(*)
		default:
			a.unknown("an argument that is not understood")
		}
	}
	return f
}

// call notes a function and what calling it does.
func (a *analysis) call(qualifier, name string) {
	name = strings.ToLower(name)
	if qualifier != "" {
		name = qualifier + "." + name
	}
	a.calls = append(a.calls, name)
	if !harmless[name] {
		shown := name
		if utf8.RuneCountInString(shown) > 60 {
			shown = string([]rune(shown)[:60]) + "…"
		}
		a.kind("calls "+shown+", which is on no list", action.Execute)
	}
}

func (a *analysis) function(n *sqlparser.FuncExpr, sc *scope) flow {
	name := strings.ToLower(n.Name.String())
	a.call(n.Qualifier.String(), name)
	if n.Over != nil {
		a.window((*sqlparser.WindowDef)(n.Over), sc)
	}
	if name == "last_insert_id" && len(n.Exprs) > 0 {
		a.kind("sets what LAST_INSERT_ID() answers from then on", action.Execute)
	}
	var f flow
	if first, is := firstOf(n.Exprs); is && name == "if" {
		chosen := a.expr(first, sc)
		a.inferred = append(a.inferred, chosen.sources...)
		f = a.args(n.Exprs[1:], sc)
		f.join(chosen)
	} else {
		f = a.args(n.Exprs, sc)
	}
	if aggregates[name] {
		f.sources = append(f.sources, aggregateMark)
		if len(n.Exprs) == 1 {
			if _, star := n.Exprs[0].(*sqlparser.StarExpr); star { // the number of rows is one of all that chose them
				f.sources = append(f.sources, a.inferred...)
			}
		}
	}
	switch {
	case name == "concat" && separated(n.Exprs), name == "concat_ws" && len(n.Exprs) > 0 && separator(n.Exprs[0]):
		return f
	case (name == "ltrim" || name == "rtrim" || name == "trim") && len(n.Exprs) != 1:
		f.sources = append(f.sources, turnedMark)
		return f
	}
	if !plain[name] && len(n.Exprs) > 0 {
		f.sources = append(f.sources, turnedMark)
	}
	if (name == "json_extract" || name == "json_object") && !constantKeys(n.Exprs) {
		f.sources = append(f.sources, turnedMark)
	}
	return f
}

func firstOf(list sqlparser.SelectExprs) (sqlparser.Expr, bool) {
	if len(list) == 0 {
		return nil, false
	}
	x, is := list[0].(*sqlparser.AliasedExpr)
	if !is {
		return nil, false
	}
	return x.Expr, true
}

func constantKeys(list sqlparser.SelectExprs) bool {
	for i, e := range list {
		if x, is := e.(*sqlparser.AliasedExpr); i > 0 && (!is || !constant(x.Expr)) {
			return false
		}
	}
	return true
}

func separator(e sqlparser.SelectExpr) bool {
	x, is := e.(*sqlparser.AliasedExpr)
	if !is {
		return false
	}
	v, is := x.Expr.(*sqlparser.SQLVal)
	return is && v.Type == sqlparser.StrVal && separates(string(v.Val))
}

// separated reports whether texts that are put together stay apart.
func separated(list sqlparser.SelectExprs) bool {
	for i := 1; i < len(list); i++ {
		if !separator(list[i]) && !separator(list[i-1]) {
			return false
		}
	}
	return true
}
