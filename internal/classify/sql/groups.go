package sql

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// probeGroups adds to p the query that counts the rows behind the smallest group
// of sel. It makes none where a row may stand for none or for many of a table
// (joins, CASE or FILTER in an aggregate), where one row's value comes out whole
// (max, array_agg), where another statement's answer plays in (sub-selects), or
// where the count could be another than the run's (what depends on time or session).
// It keeps the select list, so that GROUP BY means the same, and counts also what
// LIMIT cuts off.
func (c *prober) probeGroups(p *Probe, sel *pg.SelectStmt) error {
	w := &groups{}
	if !w.fits(sel) || !w.folds && len(sel.GroupClause) == 0 {
		return nil
	}
	out, err := c.template("SELECT COALESCE(pg_catalog.min(_assent_n), 0) FROM (SELECT 1) AS _assent")
	if err != nil {
		return err
	}
	extra, err := c.template("SELECT LEAST(pg_catalog.count(*)) AS _assent_n")
	if err != nil {
		return err
	}
	least := extra.TargetList[0].GetResTarget().Val.GetMinMaxExpr()
	for _, column := range w.columns {
		f := proto.Clone(least.Args[0]).(*pg.Node)
		f.GetFuncCall().AggStar, f.GetFuncCall().Args = false, []*pg.Node{column}
		least.Args = append(least.Args, f)
	}
	inner := proto.Clone(sel).(*pg.SelectStmt)
	inner.SortClause, inner.LimitCount, inner.LimitOffset, inner.LimitOption = nil, nil, nil, pg.LimitOption_LIMIT_OPTION_DEFAULT
	inner.TargetList = append(inner.TargetList, extra.TargetList[0])
	out.FromClause[0].GetRangeSubselect().Subquery = &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: inner}}
	g := &Probe{}
	if c.write(g, out) != nil {
		return nil
	}
	p.Groups, p.GroupParams = g.Query, append([]int{}, g.Params...)
	p.aim(sel.FromClause[0].GetRangeVar())
	return nil
}

// groups looks at what an aggregating SELECT is made of.
type groups struct {
	folds   bool       // an aggregate stands in it
	having  bool       // in HAVING: only count(*) and constants
	columns []*pg.Node // that an aggregate folds: it passes over their NULLs
}

func (w *groups) fits(sel *pg.SelectStmt) bool {
	if len(sel.FromClause) != 1 || sel.FromClause[0].GetRangeVar() == nil || sel.FromClause[0].GetRangeVar().Catalogname != "" || sel.Op != pg.SetOperation_SETOP_NONE || sel.GroupDistinct ||
		len(sel.DistinctClause)+len(sel.WindowClause)+len(sel.ValuesLists)+len(sel.LockingClause) > 0 || sel.WithClause != nil {
		return false
	}
	for _, n := range []*pg.Node{sel.LimitCount, sel.LimitOffset} {
		if n != nil && n.GetAConst() == nil && n.GetParamRef() == nil {
			return false
		}
	}
	list := slices.Concat([]*pg.Node{sel.WhereClause}, sel.GroupClause)
	for _, n := range sel.TargetList {
		list = append(list, n.GetResTarget().GetVal())
	}
	for _, n := range sel.SortClause {
		if len(n.GetSortBy().GetUseOp()) > 0 {
			return false
		}
		list = append(list, n.GetSortBy().GetNode())
	}
	if !w.all(list...) {
		return false
	}
	// Which groups are left out tells of their rows, which nobody counted.
	w.having = true
	return w.all(sel.HavingClause)
}

func (w *groups) all(list ...*pg.Node) bool {
	return !slices.ContainsFunc(list, func(n *pg.Node) bool { return n != nil && !w.plain(n) })
}

// plain reports whether n has one value in any session at any time, over the rows counted.
func (w *groups) plain(n *pg.Node) bool {
	switch x := n.Node.(type) {
	case *pg.Node_ColumnRef:
		return !w.having
	case *pg.Node_ParamRef:
		return true
	case *pg.Node_AConst:
		return !x.AConst.Isnull && !NamesTime(x.AConst.GetSval().GetSval())
	case *pg.Node_TypeCast:
		t := x.TypeCast.TypeName
		name := lastName(t.GetNames())
		return len(t.GetArrayBounds()) == 0 && !t.GetSetof() && (steadyTypes[name] || timeTypes[name] && x.TypeCast.Arg.GetAConst() != nil) && w.plain(x.TypeCast.Arg)
	case *pg.Node_AExpr:
		return len(x.AExpr.Name) == 1 && steadyOperators[lastName(x.AExpr.Name)] && w.all(x.AExpr.Lexpr, x.AExpr.Rexpr)
	case *pg.Node_BoolExpr:
		return w.all(x.BoolExpr.Args...)
	case *pg.Node_NullTest:
		return w.all(x.NullTest.Arg)
	case *pg.Node_BooleanTest:
		return w.all(x.BooleanTest.Arg)
	case *pg.Node_CoalesceExpr:
		return w.all(x.CoalesceExpr.Args...)
	case *pg.Node_List:
		return w.all(x.List.Items...)
	case *pg.Node_FuncCall:
		return w.call(x.FuncCall)
	}
	return false
}

func (w *groups) call(f *pg.FuncCall) bool {
	name := lastName(f.Funcname)
	if f.AggFilter != nil || f.AggDistinct || f.AggWithinGroup || len(f.AggOrder) > 0 || f.Over != nil || f.FuncVariadic ||
		len(f.Funcname) > 2 || len(f.Funcname) == 2 && f.Funcname[0].GetString_().GetSval() != "pg_catalog" {
		return false
	}
	if !evenFolds[name] {
		return steadyFunctions[name] && !f.AggStar && w.all(f.Args...)
	}
	w.folds = true
	if f.AggStar {
		return name == "count"
	}
	w.columns = append(w.columns, f.Args...)
	return !w.having && len(f.Args) == 1 && f.Args[0].GetColumnRef() != nil
}

func lastName(names []*pg.Node) string {
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1].GetString_().GetSval()
}

// NamesTime reports whether a text could be one of the words that the server's input
// of dates and times replaces by the time it is.
func NamesTime(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{"now", "today", "tomorrow", "yesterday"}, func(w string) bool { return strings.Contains(text, w) })
}

var (
	evenFolds       = words("avg count stddev stddev_pop stddev_samp sum var_pop var_samp variance")
	steadyFunctions = words("abs ceil ceiling date_part date_trunc extract floor length lower round upper")
	steadyOperators = map[string]bool{
		"=": true, "<>": true, "<": true, ">": true, "<=": true, ">=": true, "+": true, "-": true, "*": true, "/": true, "%": true,
		"~~": true, "!~~": true, "~~*": true, "!~~*": true, "BETWEEN": true, "NOT BETWEEN": true,
	}
	steadyTypes = words("bool float4 float8 int2 int4 int8 numeric uuid")
	timeTypes   = words("date interval time timestamp timestamptz timetz")
)
