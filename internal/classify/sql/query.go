package sql

import (
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/assenthq/assent/action"
)

// scope is what names mean inside one query level.
type scope struct {
	parent *scope
	rels   []*rel
	ctes   map[string][]action.Column
}

// rel is one entry of a FROM list.
type rel struct {
	alias   string          // what qualifies its columns
	table   string          // a real relation's name; "" when derived
	cols    []action.Column // of a derived relation
	renamed bool            // a real relation whose columns got new names
	scalar  bool            // a function's result: its alias is a value, not only a row
}

// env is where an expression stands.
type env struct {
	sc    *scope
	infer bool      // its value steers the outcome: WHERE, ORDER BY, …
	turn  bool      // below something that turns text: see turned.go
	out   *[]string // collects sources of an output column; may be nil
}

func (e env) steering() env { e.infer = true; return e }
func (e env) turning() env  { e.turn = true; return e }

// take notes sources that an expression uses.
func (a *analysis) take(e env, sources ...string) {
	if e.infer {
		a.inferred = append(a.inferred, sources...)
	}
	if e.out != nil {
		*e.out = append(*e.out, sources...)
		if e.turn && len(sources) > 0 {
			*e.out = append(*e.out, turnedMark)
		}
	}
}

// with walks a WITH clause and returns the scope in which its names stand.
// Without RECURSIVE a query sees only those before it: in WITH t AS (SELECT *
// FROM t) the inner t is the table.
func (a *analysis) with(w *pg.WithClause, parent *scope) *scope {
	if w == nil {
		return parent
	}
	sc := &scope{parent: parent, ctes: map[string][]action.Column{}}
	if w.Recursive {
		a.recursive(w, sc)
		return sc
	}
	for _, n := range w.Ctes {
		cte := n.GetCommonTableExpr()
		if cte == nil {
			a.unknown("a WITH item of an unknown form")
			continue
		}
		cols := rename(a.cte(cte, sc), cte.Aliascolnames)
		sc.ctes[cte.Ctename] = cols
		a.cteExtras(cte, cols)
	}
	return sc
}

// recursive walks WITH RECURSIVE, where each query sees all, until what flows
// into the columns stops growing. Rows go round, so each column may hold what
// any of them holds.
func (a *analysis) recursive(w *pg.WithClause, sc *scope) {
	for _, n := range w.Ctes {
		sc.ctes[n.GetCommonTableExpr().GetCtename()] = nil
	}
	for before := -1; ; {
		now := 0
		for _, n := range w.Ctes {
			cte := n.GetCommonTableExpr()
			if cte == nil || a.giveUp {
				a.unknown("a WITH item of an unknown form")
				return
			}
			cols := spread(rename(a.cte(cte, sc), cte.Aliascolnames))
			sc.ctes[cte.Ctename] = cols
			a.cteExtras(cte, cols)
			now += len(allSources(cols))
			for _, c := range cols {
				now += len(c.Sources)
			}
		}
		if now == before {
			return
		}
		before = now
	}
}

// cteExtras handles SEARCH and CYCLE, which sort and compare columns.
func (a *analysis) cteExtras(cte *pg.CommonTableExpr, cols []action.Column) {
	if cte.SearchClause != nil || cte.CycleClause != nil {
		a.literalsMatter = true
		a.inferred = append(a.inferred, allSources(cols)...)
	}
}

func (a *analysis) cte(cte *pg.CommonTableExpr, sc *scope) []action.Column {
	if !a.enter() {
		return nil
	}
	defer a.leave()
	return a.rowsOf(cte.Ctequery, sc)
}

// rowsOf walks a statement that may stand where rows are wanted.
func (a *analysis) rowsOf(n *pg.Node, sc *scope) []action.Column {
	switch {
	case n.GetSelectStmt() != nil:
		return a.query(n.GetSelectStmt(), sc)
	case n.GetInsertStmt() != nil:
		return a.insert(n.GetInsertStmt(), sc)
	case n.GetUpdateStmt() != nil:
		return a.update(n.GetUpdateStmt(), sc)
	case n.GetDeleteStmt() != nil:
		return a.delete(n.GetDeleteStmt(), sc)
	case n.GetMergeStmt() != nil:
		return a.merge(n.GetMergeStmt(), sc)
	}
	a.unknown("rows from a statement of an unknown form")
	return nil
}

// query walks a SELECT, VALUES, TABLE or set operation and returns its columns.
func (a *analysis) query(sel *pg.SelectStmt, parent *scope) []action.Column {
	if sel == nil || !a.enter() {
		return nil
	}
	defer a.leave()
	sc := &scope{parent: a.with(sel.WithClause, parent)}
	var cols []action.Column
	switch {
	case sel.Larg != nil || sel.Rarg != nil:
		cols = a.setOperation(sel, sc.parent)
		sc.rels = []*rel{{cols: cols}}
	case len(sel.ValuesLists) > 0:
		cols = a.values(sel.ValuesLists, sc)
	default:
		for _, f := range sel.FromClause {
			a.from(f, sc)
		}
		cols = a.targets(sel.TargetList, sc)
		a.clauses(sel, sc, cols)
	}
	a.tail(sel, sc, cols)
	if sel.IntoClause != nil {
		a.into(sel.IntoClause, cols)
	}
	return cols
}

// clauses walks what chooses, groups and folds rows.
func (a *analysis) clauses(sel *pg.SelectStmt, sc *scope, cols []action.Column) {
	e := env{sc: sc, infer: true}
	a.expr(sel.WhereClause, e)
	a.expr(sel.HavingClause, e)
	for _, g := range sel.GroupClause {
		a.ordinal(g, e, cols)
	}
	a.exprs(sel.WindowClause, e)
	for _, d := range sel.DistinctClause {
		if d.GetNode() == nil { // DISTINCT without ON compares whole rows
			a.inferred = append(a.inferred, allSources(cols)...)
			continue
		}
		a.ordinal(d, e, cols)
	}
}

// tail walks ORDER BY, LIMIT and locking.
func (a *analysis) tail(sel *pg.SelectStmt, sc *scope, cols []action.Column) {
	e := env{sc: sc, infer: true}
	for _, s := range sel.SortClause {
		sort := s.GetSortBy()
		if sort == nil {
			a.unknown("ORDER BY of an unknown form")
			continue
		}
		a.operator(sort.UseOp)
		a.ordinal(sort.Node, e, cols)
	}
	if sel.LimitCount != nil || sel.LimitOffset != nil {
		a.literalsMatter = true
		a.expr(sel.LimitCount, e)
		a.expr(sel.LimitOffset, e)
	}
	if len(sel.LockingClause) > 0 {
		a.kind("SELECT … FOR UPDATE or SHARE takes row locks", action.DataWrite)
	}
}

// ordinal walks an item of ORDER BY, GROUP BY or DISTINCT ON, which may name an
// output column by position or by name.
func (a *analysis) ordinal(n *pg.Node, e env, cols []action.Column) {
	if c := n.GetAConst(); c != nil {
		a.literalsMatter = true
		a.inferred = append(a.inferred, position1(int(c.GetIval().GetIval()), cols)...)
		return
	}
	if ref := n.GetColumnRef(); ref != nil && len(ref.Fields) == 1 {
		name := ref.Fields[0].GetString_().GetSval()
		for _, c := range cols {
			if c.Name == name {
				a.take(e, c.Sources...)
			}
		}
	}
	if set := n.GetGroupingSet(); set != nil {
		for _, item := range set.Content {
			a.ordinal(item, e, cols)
		}
		return
	}
	a.expr(n, e)
}

// position1 returns the sources of output column n, counted from 1; after a
// star nobody knows which one that is.
func position1(n int, cols []action.Column) []string {
	for i, c := range cols {
		if c.Name == "*" {
			return allSources(cols)
		}
		if i == n-1 {
			return c.Sources
		}
	}
	return nil
}

// setOperation walks both sides. All but UNION ALL compare rows.
func (a *analysis) setOperation(sel *pg.SelectStmt, sc *scope) []action.Column {
	left, right := a.query(sel.Larg, sc), a.query(sel.Rarg, sc)
	cols := make([]action.Column, len(left))
	aligned := len(left) == len(right) && !hasStar(left) && !hasStar(right)
	all := append(allSources(left), allSources(right)...)
	for i, c := range left {
		sources := all
		if aligned {
			sources = append(append([]string(nil), c.Sources...), right[i].Sources...)
		}
		cols[i] = derived(c.Name, sources)
	}
	if sel.Op != pg.SetOperation_SETOP_UNION || !sel.All {
		a.inferred = append(a.inferred, all...)
	}
	return cols
}

func (a *analysis) values(lists []*pg.Node, sc *scope) []action.Column {
	var cols []action.Column
	for _, l := range lists {
		for i, item := range l.GetList().GetItems() {
			for len(cols) <= i {
				cols = append(cols, action.Column{Name: "column" + strconv.Itoa(len(cols)+1), Derived: true})
			}
			var sources []string
			a.expr(item, env{sc: sc, out: &sources})
			cols[i].Sources = uniqueSorted(append(cols[i].Sources, sources...))
		}
	}
	return cols
}

// from walks one FROM item and adds what it names to sc.
func (a *analysis) from(n *pg.Node, sc *scope) {
	if n == nil || !a.enter() {
		return
	}
	defer a.leave()
	switch {
	case n.GetRangeVar() != nil:
		a.fromTable(n.GetRangeVar(), sc)
	case n.GetJoinExpr() != nil:
		a.fromJoin(n.GetJoinExpr(), sc)
	case n.GetRangeSubselect() != nil:
		sub := n.GetRangeSubselect()
		inner := sc.parent // without LATERAL the neighbours are not in sight
		if sub.Lateral {
			inner = sc
		}
		sc.addDerived(sub.Alias, a.rowsOf(sub.Subquery, inner))
	case n.GetRangeFunction() != nil:
		a.fromFunction(n.GetRangeFunction(), sc)
	case n.GetRangeTableSample() != nil:
		a.fromSample(n.GetRangeTableSample(), sc)
	case n.GetRangeTableFunc() != nil:
		f := n.GetRangeTableFunc()
		a.literalsMatter = true
		var sources []string
		a.children(f.ProtoReflect(), env{sc: sc, infer: true, turn: true, out: &sources})
		sc.addDerived(f.Alias, []action.Column{derived("*", sources)})
	case n.GetJsonTable() != nil:
		f := n.GetJsonTable()
		a.since(170000, "json_table")
		var sources []string
		a.children(f.ProtoReflect(), env{sc: sc, infer: true, turn: true, out: &sources})
		sc.addDerived(f.Alias, []action.Column{derived("*", sources)})
	default:
		a.unknown("a FROM item of an unknown form")
	}
}

func (a *analysis) fromTable(rv *pg.RangeVar, sc *scope) {
	alias := rv.Relname
	if rv.Alias != nil {
		alias = rv.Alias.Aliasname
	}
	if rv.Schemaname == "" {
		if cols, ok := sc.cte(rv.Relname); ok {
			cols = rename(cols, rv.Alias.GetColnames())
			sc.rels = append(sc.rels, &rel{alias: alias, cols: cols})
			return
		}
	}
	if temp, ok := a.temp(rv); ok {
		a.read(rv)
		var sources []string
		for _, s := range temp.Sources {
			if !isMark(s) {
				s = lastPart(s) + ".*"
			}
			sources = append(sources, s)
		}
		sources = append(sources, rv.Relname+".*")
		sc.rels = append(sc.rels, &rel{alias: alias, cols: []action.Column{derived("*", sources)}})
		return
	}
	a.read(rv)
	sc.rels = append(sc.rels, &rel{alias: alias, table: rv.Relname, renamed: len(rv.Alias.GetColnames()) > 0})
}

func (a *analysis) fromJoin(j *pg.JoinExpr, sc *scope) {
	first := len(sc.rels)
	a.from(j.Larg, sc)
	a.from(j.Rarg, sc)
	e := env{sc: &scope{parent: sc.parent, rels: sc.rels[first:]}, infer: true}
	if len(j.UsingClause) > 0 || j.IsNatural {
		a.userOperators("", "=")
	}
	for _, u := range j.UsingClause {
		for _, r := range e.sc.rels {
			sources, _ := r.column(u.GetString_().GetSval())
			a.inferred = append(a.inferred, sources...)
		}
	}
	if j.IsNatural {
		for _, r := range e.sc.rels {
			a.inferred = append(a.inferred, r.all()...)
		}
	}
	a.expr(j.Quals, env{sc: sc, infer: true})
	if j.Alias != nil {
		var cols []action.Column
		for _, r := range e.sc.rels {
			cols = append(cols, r.star()...)
		}
		sc.rels = sc.rels[:first:first]
		sc.addDerived(j.Alias, cols)
	} else if j.JoinUsingAlias != nil {
		var cols []action.Column
		for _, r := range e.sc.rels {
			cols = append(cols, r.star()...)
		}
		sc.addDerived(j.JoinUsingAlias, cols)
	}
}

func (a *analysis) fromFunction(f *pg.RangeFunction, sc *scope) {
	a.literalsMatter = true
	var sources []string
	e := env{sc: sc, infer: true, out: &sources}
	name := ""
	for _, item := range f.Functions { // each a list of the call and its column definitions
		for _, part := range item.GetList().GetItems() {
			a.expr(part, e)
			if fc := part.GetFuncCall(); fc != nil && len(fc.Funcname) > 0 {
				name = fc.Funcname[len(fc.Funcname)-1].GetString_().GetSval()
			}
		}
	}
	a.exprs(f.Coldeflist, e)
	r := &rel{alias: name, cols: []action.Column{derived("*", sources)}, scalar: true}
	if f.Alias != nil {
		r.alias = f.Alias.Aliasname
		for _, c := range f.Alias.Colnames {
			r.cols = append(r.cols, derived(c.GetString_().GetSval(), sources))
		}
	}
	if f.Ordinality {
		r.cols = append(r.cols, derived("ordinality", sources))
	}
	for _, c := range f.Coldeflist {
		r.cols = append(r.cols, derived(c.GetColumnDef().GetColname(), sources))
	}
	sc.rels = append(sc.rels, r)
}

func (a *analysis) fromSample(s *pg.RangeTableSample, sc *scope) {
	a.from(s.Relation, sc)
	method := nameOf(s.Method)
	if method != "system" && method != "bernoulli" {
		a.called("a sampling method that is not built in", action.Execute, action.Unknown)
	}
	a.literalsMatter = true
	a.exprs(s.Args, env{sc: sc, infer: true})
	a.expr(s.Repeatable, env{sc: sc, infer: true})
}

// targets walks an output list.
func (a *analysis) targets(list []*pg.Node, sc *scope) []action.Column {
	cols := make([]action.Column, 0, len(list))
	for _, n := range list {
		t := n.GetResTarget()
		if t == nil {
			a.unknown("an output column of an unknown form")
			continue
		}
		if star, ok := a.star(t.Val, sc); ok {
			cols = append(cols, star...)
			continue
		}
		var sources []string
		e := env{sc: sc, out: &sources}
		a.expr(t.Val, e)
		c := derived(t.Name, sources)
		if c.Name == "" {
			c.Name = label(t.Val)
		}
		if ref := t.Val.GetColumnRef(); ref != nil {
			_, plain := sc.resolve(ref)
			c.Derived = !plain
		}
		cols = append(cols, c)
	}
	return cols
}

// star expands * and t.*.
func (a *analysis) star(n *pg.Node, sc *scope) ([]action.Column, bool) {
	ref := n.GetColumnRef()
	if ref == nil || len(ref.Fields) == 0 || ref.Fields[len(ref.Fields)-1].GetAStar() == nil {
		return nil, false
	}
	a.steps++
	if len(ref.Fields) == 1 {
		var cols []action.Column
		for _, r := range sc.rels {
			cols = append(cols, r.star()...)
		}
		return cols, true
	}
	name := ref.Fields[len(ref.Fields)-2].GetString_().GetSval()
	for s := sc; s != nil; s = s.parent {
		for _, r := range s.rels {
			if r.named(name) {
				return r.star(), true
			}
		}
	}
	return []action.Column{derived("*", []string{name + ".*"})}, true
}

func (a *analysis) insert(st *pg.InsertStmt, parent *scope) []action.Column {
	sc := a.with(st.WithClause, parent)
	a.write(st.Relation, "INSERT adds rows", action.DataWrite)
	if sel := st.SelectStmt; sel != nil { // values move into another table: out of any output list
		a.inferred = append(a.inferred, allSources(a.rowsOf(sel, sc))...)
	}
	own := &scope{parent: sc, rels: []*rel{tableRel(st.Relation)}}
	a.assign(st.Cols, own)
	if oc := st.OnConflictClause; oc != nil {
		both := &scope{parent: sc, rels: append([]*rel{{alias: "excluded", table: st.Relation.GetRelname()}}, own.rels...)}
		if oc.Infer != nil {
			a.children(oc.Infer.ProtoReflect(), env{sc: both, infer: true})
		}
		a.assign(oc.TargetList, both)
		a.expr(oc.WhereClause, env{sc: both, infer: true})
	}
	return a.returning(st.ReturningList, own)
}

func (a *analysis) update(st *pg.UpdateStmt, parent *scope) []action.Column {
	sc := &scope{parent: a.with(st.WithClause, parent), rels: []*rel{tableRel(st.Relation)}}
	a.write(st.Relation, "UPDATE changes rows", action.DataWrite)
	for _, f := range st.FromClause {
		a.from(f, sc)
	}
	a.assign(st.TargetList, sc)
	a.expr(st.WhereClause, env{sc: sc, infer: true})
	return a.returning(st.ReturningList, sc)
}

func (a *analysis) delete(st *pg.DeleteStmt, parent *scope) []action.Column {
	sc := &scope{parent: a.with(st.WithClause, parent), rels: []*rel{tableRel(st.Relation)}}
	a.write(st.Relation, "DELETE removes rows", action.DataDelete)
	for _, f := range st.UsingClause {
		a.from(f, sc)
	}
	a.expr(st.WhereClause, env{sc: sc, infer: true})
	return a.returning(st.ReturningList, sc)
}

func (a *analysis) merge(st *pg.MergeStmt, parent *scope) []action.Column {
	sc := &scope{parent: a.with(st.WithClause, parent), rels: []*rel{tableRel(st.Relation)}}
	a.write(st.Relation, "")
	a.from(st.SourceRelation, sc)
	e := env{sc: sc, infer: true}
	a.expr(st.JoinCondition, e)
	for _, n := range st.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		switch w.GetCommandType() {
		case pg.CmdType_CMD_INSERT, pg.CmdType_CMD_UPDATE:
			a.kind("MERGE inserts or updates rows", action.DataWrite)
		case pg.CmdType_CMD_DELETE:
			a.kind("MERGE deletes rows", action.DataDelete)
		case pg.CmdType_CMD_NOTHING:
			a.kind("MERGE takes row locks", action.DataWrite)
		default:
			a.unknown("a MERGE branch of an unknown form")
		}
		a.expr(w.GetCondition(), e)
		a.assign(w.GetTargetList(), sc)
		a.exprs(w.GetValues(), e)
	}
	return a.returning(st.ReturningList, sc)
}

// assign walks SET lists and column lists. What is assigned leaves the output list.
func (a *analysis) assign(list []*pg.Node, sc *scope) {
	e := env{sc: sc, infer: true}
	for _, n := range list {
		t := n.GetResTarget()
		if t == nil {
			a.expr(n, e)
			continue
		}
		a.exprs(t.Indirection, e)
		a.expr(t.Val, e)
	}
}

func (a *analysis) returning(list []*pg.Node, sc *scope) []action.Column {
	if len(list) == 0 {
		return nil
	}
	a.stmt.Returning = true
	a.kind("RETURNING reads the rows", action.DataRead)
	return a.targets(list, sc)
}

func tableRel(rv *pg.RangeVar) *rel {
	r := &rel{alias: rv.GetRelname(), table: rv.GetRelname()}
	if rv.GetAlias() != nil {
		r.alias = rv.Alias.Aliasname
	}
	return r
}

func (sc *scope) addDerived(alias *pg.Alias, cols []action.Column) {
	out := make([]action.Column, len(cols))
	for i, c := range cols {
		out[i] = derived(c.Name, c.Sources)
	}
	sc.rels = append(sc.rels, &rel{alias: alias.GetAliasname(), cols: rename(out, alias.GetColnames())})
}

func (sc *scope) cte(name string) ([]action.Column, bool) {
	for s := sc; s != nil; s = s.parent {
		if cols, ok := s.ctes[name]; ok {
			return cols, true
		}
	}
	return nil, false
}

func (r *rel) named(name string) bool { return r.alias == name || r.table != "" && r.table == name }

// star returns the relation's columns as far as they are known.
func (r *rel) star() []action.Column {
	if r.table != "" {
		return []action.Column{{Name: "*", Sources: []string{r.table + ".*"}, Derived: r.renamed}}
	}
	return r.cols
}

func (r *rel) all() []string { return allSources(r.star()) }

// column returns what column name of r holds, and whether it may exist.
func (r *rel) column(name string) (sources []string, maybe bool) {
	if r.table != "" {
		switch {
		case r.renamed || rowFunctions[name]: // c.to_json calls to_json(c)
			return []string{r.table + ".*"}, true
		default:
			return []string{r.table + "." + name}, true
		}
	}
	for _, c := range r.cols { // a second column of that name would be ambiguous
		if c.Name == name {
			sources, maybe = append(sources, c.Sources...), true
		}
	}
	for _, c := range r.cols {
		if maybe || c.Name != "*" {
			continue
		}
		for _, s := range c.Sources {
			if table, ok := strings.CutSuffix(s, ".*"); ok && !rowFunctions[name] {
				s = table + "." + name
			}
			sources = append(sources, s)
		}
	}
	return sources, maybe || hasStar(r.cols)
}

// resolve returns where the value of ref may come from. plain: it is one
// column of one real relation. What can't be told apart is all of it.
func (sc *scope) resolve(ref *pg.ColumnRef) (sources []string, plain bool) {
	parts := make([]string, 0, 4)
	for _, f := range ref.Fields {
		if f.GetAStar() != nil {
			parts = append(parts, "*")
			continue
		}
		parts = append(parts, f.GetString_().GetSval())
	}
	if len(parts) == 0 {
		return nil, false
	}
	if len(parts) == 1 {
		return sc.bare(parts[0])
	}
	qualifier, name := parts[len(parts)-2], parts[len(parts)-1]
	for s := sc; s != nil; s = s.parent {
		for _, r := range s.rels {
			if !r.named(qualifier) {
				continue
			}
			if name == "*" {
				return r.all(), false
			}
			found, maybe := r.column(name)
			if !maybe { // not a column, so a function of the row
				found = r.all()
			}
			return found, r.table != "" && !r.renamed && !rowFunctions[name]
		}
	}
	return []string{qualifier + "." + name}, false
}

// bare resolves a column without qualifier; it may belong to any relation in
// sight, also of outer queries, and may be a whole row.
func (sc *scope) bare(name string) (sources []string, plain bool) {
	candidates := 0
	for s := sc; s != nil; s = s.parent {
		if found, sure := s.surely(name); sure { // in a neighbour too it would be ambiguous
			return append(sources, found...), false
		}
		for _, r := range s.rels {
			if r.alias == name {
				sources = append(sources, r.all()...)
				candidates += 2 // a whole row is no plain column
				continue
			}
			if found, maybe := r.column(name); maybe {
				sources = append(sources, found...)
				candidates++
				plain = r.table != "" && !r.renamed
			}
		}
	}
	return sources, plain && candidates == 1
}

// surely finds a derived relation with a column of that name.
func (s *scope) surely(name string) ([]string, bool) {
	for _, r := range s.rels {
		for _, c := range r.cols {
			if c.Name == name && name != "*" {
				found, _ := r.column(name)
				return found, true
			}
		}
	}
	return nil, false
}

func derived(name string, sources []string) action.Column {
	return action.Column{Name: name, Sources: uniqueSorted(append([]string(nil), sources...)), Derived: true}
}

func hasStar(cols []action.Column) bool {
	for _, c := range cols {
		if c.Name == "*" {
			return true
		}
	}
	return false
}

func allSources(cols []action.Column) []string {
	var all []string
	for _, c := range cols {
		all = append(all, c.Sources...)
	}
	return uniqueSorted(all)
}

// rename gives columns new names. Behind a star nobody knows which is which.
func rename(cols []action.Column, names []*pg.Node) []action.Column {
	if len(names) == 0 {
		return cols
	}
	star := hasStar(cols)
	out := append([]action.Column(nil), cols...)
	for i, n := range names {
		name := n.GetString_().GetSval()
		switch {
		case star:
			out = append(out, derived(name, allSources(cols)))
		case i < len(out):
			out[i] = derived(name, out[i].Sources)
		}
	}
	return out
}

// spread lets each column hold what any of them holds. Marks stay where they are.
func spread(cols []action.Column) []action.Column {
	all := withoutMarks(allSources(cols))
	out := make([]action.Column, len(cols))
	for i, c := range cols {
		out[i] = derived(c.Name, append(slices.DeleteFunc(slices.Clone(c.Sources), func(s string) bool { return !isMark(s) }), all...))
	}
	return out
}

// label is the name PostgreSQL gives an output column without alias.
func label(n *pg.Node) string {
	switch {
	case n.GetColumnRef() != nil:
		f := n.GetColumnRef().Fields
		return f[len(f)-1].GetString_().GetSval()
	case n.GetAIndirection() != nil:
		ind := n.GetAIndirection().Indirection
		for i := len(ind) - 1; i >= 0; i-- {
			if ind[i].GetAStar() != nil {
				return "*"
			}
			if s := ind[i].GetString_(); s != nil {
				return s.Sval
			}
		}
		return label(n.GetAIndirection().Arg)
	case n.GetFuncCall() != nil:
		return nameOf(n.GetFuncCall().Funcname[max(0, len(n.GetFuncCall().Funcname)-1):])
	case n.GetTypeCast() != nil:
		if l := label(n.GetTypeCast().Arg); l != "?column?" {
			return l
		}
		names := n.GetTypeCast().TypeName.GetNames()
		return nameOf(names[max(0, len(names)-1):])
	case n.GetCollateClause() != nil:
		return label(n.GetCollateClause().Arg)
	case n.GetCaseExpr() != nil:
		return "case"
	case n.GetCoalesceExpr() != nil:
		return "coalesce"
	case n.GetAArrayExpr() != nil:
		return "array"
	case n.GetRowExpr() != nil:
		return "row"
	case n.GetSubLink() != nil:
		return sublinkLabel(n.GetSubLink())
	}
	return "?column?"
}

func sublinkLabel(s *pg.SubLink) string {
	switch s.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		return "exists"
	case pg.SubLinkType_ARRAY_SUBLINK:
		return "array"
	case pg.SubLinkType_EXPR_SUBLINK:
		if list := s.Subselect.GetSelectStmt().GetTargetList(); len(list) > 0 {
			if t := list[0].GetResTarget(); t.GetName() != "" {
				return t.Name
			}
			return label(list[0].GetResTarget().GetVal())
		}
	}
	return "?column?"
}

// nameOf joins a qualified name.
func nameOf(parts []*pg.Node) string {
	names := make([]string, 0, len(parts))
	for _, p := range parts {
		names = append(names, p.GetString_().GetSval())
	}
	return strings.Join(names, ".")
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
