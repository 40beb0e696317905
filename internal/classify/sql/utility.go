package sql

import (
	"maps"
	"math"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/assenthq/assent/action"
)

// sub classifies a statement inside another one, by itself.
func (a *analysis) sub(n *pg.Node) *analysis {
	b := &analysis{
		c: a.c, st: a.st, cursors: a.cursors, prepared: a.prepared,
		steps: a.steps, depth: a.depth,
	}
	b.stmt.Reversible, b.stmt.path = true, a.path()
	if b.enter() {
		b.top(n)
	}
	b.seal()
	a.steps, a.giveUp = b.steps, a.giveUp || b.giveUp
	return b
}

// absorb adds what an inner statement does.
func (a *analysis) absorb(b *analysis) {
	a.kind("", b.stmt.Kinds...)
	a.planKinds.add(b.planKinds.sorted()...)
	a.why = append(a.why, b.stmt.Why...)
	a.note(b)
	a.stmt.Columns, a.stmt.Limit = b.stmt.Columns, b.stmt.Limit
	a.stmt.Returning = b.stmt.Returning
	a.stmt.Session = append(a.stmt.Session, b.stmt.Session...)
	a.stmt.CreatesTemp = append(a.stmt.CreatesTemp, b.stmt.CreatesTemp...)
	a.stmt.Reversible = a.stmt.Reversible && b.stmt.Reversible
}

// note adds what an inner statement names, without what it does.
func (a *analysis) note(b *analysis) {
	a.objects = append(a.objects, b.stmt.Objects...)
	a.inferred = append(a.inferred, b.stmt.Inferred...)
	a.functions = append(a.functions, b.functions...)
	a.tables = append(a.tables, b.tables...)
	a.stmt.Writes = append(a.stmt.Writes, b.stmt.Writes...)
	a.routines = append(a.routines, b.stmt.Routines...)
	a.literalsMatter = true
}

// top classifies a statement and gives it its verb and target.
func (a *analysis) top(n *pg.Node) {
	s := &a.stmt
	switch {
	case n.GetSelectStmt() != nil:
		a.topSelect(n.GetSelectStmt())
	case n.GetInsertStmt() != nil:
		s.Verb, s.Target = "insert", relationName(n.GetInsertStmt().Relation)
		s.Columns = a.insert(n.GetInsertStmt(), nil)
	case n.GetUpdateStmt() != nil:
		u := n.GetUpdateStmt()
		s.Verb, s.Target = "update", relationName(u.Relation)
		s.Columns = a.update(u, nil)
		s.Title = "Update " + s.Target + unbounded(u.WhereClause)
	case n.GetDeleteStmt() != nil:
		d := n.GetDeleteStmt()
		s.Verb, s.Target = "delete", relationName(d.Relation)
		s.Columns = a.delete(d, nil)
		s.Title = "Delete from " + s.Target + unbounded(d.WhereClause)
	case n.GetMergeStmt() != nil:
		s.Verb, s.Target = "merge", relationName(n.GetMergeStmt().Relation)
		s.Columns = a.merge(n.GetMergeStmt(), nil)
		a.literalsMatter = true
	case n.GetNode() == nil:
		a.unknown("a statement of no form")
	default:
		a.literalsMatter = true
		a.utility(inner(n).Interface())
	}
}

// inner unwraps a Node, which is one of many messages.
func inner(n *pg.Node) protoreflect.Message {
	m := n.ProtoReflect()
	fd := m.WhichOneof(m.Descriptor().Oneofs().Get(0))
	return m.Get(fd).Message()
}

// nested classifies a statement found inside a definition, or says that the
// node is on no list.
func (a *analysis) nested(m protoreflect.Message, e env) {
	name := string(m.Descriptor().Name())
	if !strings.HasSuffix(name, "Stmt") {
		a.unknown("a node of the tree that is on no list: " + name)
		a.children(m, e)
		return
	}
	defining := a.defining
	a.utility(m.Interface())
	a.defining = defining
}

func unbounded(where *pg.Node) string {
	switch {
	case where == nil:
		return " without WHERE"
	case !mentionsColumn(where.ProtoReflect()):
		return " with a WHERE that names no column"
	}
	return ""
}

func mentionsColumn(m protoreflect.Message) bool {
	switch m.Interface().(type) {
	case *pg.ColumnRef, *pg.CurrentOfExpr:
		return true
	}
	found := false
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Kind() != protoreflect.MessageKind:
		case fd.IsList():
			for i := range v.List().Len() {
				found = found || mentionsColumn(v.List().Get(i).Message())
			}
		default:
			found = mentionsColumn(v.Message())
		}
		return !found
	})
	return found
}

func (a *analysis) topSelect(sel *pg.SelectStmt) {
	s := &a.stmt
	s.Verb = "select"
	s.Columns = a.query(sel, nil)
	if sel.LimitOption != pg.LimitOption_LIMIT_OPTION_WITH_TIES {
		if v, ok := sel.LimitCount.GetAConst().GetVal().(*pg.A_Const_Ival); ok && v.Ival.GetIval() >= 0 {
			s.Limit = action.KnownCount(int64(v.Ival.GetIval()))
		}
	}
	if s.Target == "" && len(a.objects) > 0 {
		s.Target = a.objects[0]
	}
	if len(a.kinds.m) == 0 {
		s.Harmless = "constant select"
	}
}

// utility classifies all that is not SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE.
func (a *analysis) utility(m any) {
	switch n := m.(type) {
	case *pg.SelectStmt, *pg.InsertStmt, *pg.UpdateStmt, *pg.DeleteStmt, *pg.MergeStmt:
		a.unknown("a statement where none is expected")
	case *pg.TransactionStmt:
		a.transaction(n)
	case *pg.VariableSetStmt:
		a.set(n)
	case *pg.VariableShowStmt:
		a.show(n)
	case *pg.DiscardStmt:
		a.discard(n)
	case *pg.ExplainStmt:
		a.explain(n)
	case *pg.PrepareStmt:
		a.prepare(n)
	case *pg.ExecuteStmt:
		a.execute(n)
	case *pg.DeallocateStmt:
		a.stmt.Verb, a.stmt.Harmless, a.stmt.Deallocate = "deallocate", "deallocate", n.Name
		if n.Name == "" || n.Isall {
			a.stmt.Deallocate = "*"
		}
	case *pg.DeclareCursorStmt, *pg.FetchStmt, *pg.ClosePortalStmt:
		a.cursor(m)
	case *pg.CopyStmt:
		a.copy(n)
	case *pg.ListenStmt:
		a.stmt.Verb, a.stmt.Target = "listen", n.Conditionname
		a.kind("LISTEN receives what other sessions send", action.DataRead)
	case *pg.UnlistenStmt:
		a.stmt.Verb, a.stmt.Harmless = "unlisten", "stop listening"
	case *pg.NotifyStmt:
		a.stmt.Verb, a.stmt.Target = "notify", n.Conditionname
		a.kind("NOTIFY sends to other sessions", action.MessageSend)
	case *pg.TruncateStmt:
		a.stmt.Verb = "truncate"
		a.kind("TRUNCATE removes all rows", action.DataDelete)
		for _, r := range n.Relations {
			a.write(r.GetRangeVar(), "")
		}
		a.stmt.Target = strings.Join(a.objects, ", ")
	case *pg.CreateTableAsStmt:
		a.createAs(n)
	case *pg.ConstraintsSetStmt:
		a.stmt.Verb, a.stmt.Harmless = "set constraints", "transaction control"
	default:
		a.define(m)
	}
}

func (a *analysis) transaction(n *pg.TransactionStmt) {
	s := &a.stmt
	s.Verb, s.Harmless = "transaction", "transaction control"
	name := n.SavepointName
	switch n.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN, pg.TransactionStmtKind_TRANS_STMT_START:
		s.Verb, s.Tx.Op = "begin", TxBegin
		a.transactionModes(n.Options)
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		s.Verb, s.Tx.Op = "commit", TxCommit
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		s.Verb, s.Tx.Op = "rollback", TxRollback
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		s.Verb, s.Tx = "savepoint", TxEffect{TxSavepoint, name}
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		s.Verb, s.Tx = "release", TxEffect{TxRelease, name}
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		s.Verb, s.Tx = "rollback to", TxEffect{TxRollbackTo, name}
	case pg.TransactionStmtKind_TRANS_STMT_PREPARE:
		s.Verb, s.Tx = "prepare transaction", TxEffect{TxPrepare, n.Gid}
		a.kind("a prepared transaction keeps its locks and changes after the session", action.ConfigChange, action.Execute)
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED:
		s.Verb, s.Tx = "commit prepared", TxEffect{TxCommitPrepared, n.Gid}
		a.kind("commits what another session prepared", action.DataWrite, action.Execute, action.Unknown)
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		s.Verb, s.Tx = "rollback prepared", TxEffect{TxRollbackPrepared, n.Gid}
		a.kind("undoes what another session prepared", action.DataWrite, action.Execute)
	default:
		a.unknown("transaction control of an unknown form")
	}
}

// transactionModes looks for what leaves read-only mode.
func (a *analysis) transactionModes(options []*pg.Node) {
	for _, o := range options {
		d := o.GetDefElem()
		value, known := constText(d.GetArg())
		switch d.GetDefname() {
		case "transaction_isolation", "transaction_deferrable":
		case "transaction_read_only":
			if !known || value == "0" || value == "off" {
				a.kind("leaves read-only mode", action.ConfigChange)
			}
		default:
			a.unknown("a transaction mode of an unknown form")
		}
	}
}

func (a *analysis) explain(n *pg.ExplainStmt) {
	analyze := false
	for _, o := range n.Options {
		d := o.GetDefElem()
		if d.GetDefname() == "analyze" && !clearlyOff(d.Arg) { // the last one counts; we take any
			analyze = true
		}
	}
	cursors := a.cursors // EXPLAIN DECLARE declares nothing
	a.cursors = maps.Clone(cursors)
	b := a.sub(n.Query)
	a.cursors = cursors
	s := &a.stmt
	s.argKinds, s.argWhy = b.stmt.argKinds, b.stmt.argWhy
	s.Explain = &Explain{Analyze: analyze}
	s.Verb, s.Target, s.Execute = "explain", b.stmt.Target, b.stmt.Execute
	if analyze {
		a.absorb(b)
		if len(a.kinds.m) > 0 {
			a.why = append(a.why, "EXPLAIN ANALYZE runs the statement")
		}
	} else {
		// Planning runs functions that call themselves immutable.
		a.note(b)
		a.called("", b.planKinds.sorted()...)
		if len(b.planKinds.m) > 0 {
			a.why = append(a.why, b.stmt.Why...)
		}
		if len(a.inferred) > 0 {
			a.kind("estimates tell how many rows a condition meets", action.DataRead)
		}
	}
	s.Limit = action.Count{}
	s.Columns = []action.Column{{Name: "QUERY PLAN", Derived: true}}
	s.Harmless = "explain"
}

func clearlyOff(n *pg.Node) bool {
	if n.GetNode() == nil {
		return false
	}
	value, known := constText(n)
	return known && (strings.EqualFold(value, "off") || strings.EqualFold(value, "false") || value == "0")
}

func (a *analysis) prepare(n *pg.PrepareStmt) {
	b := a.sub(n.Query)
	a.absorb(b)
	innerStmt := b.stmt
	a.stmt.Columns, a.stmt.Limit, a.stmt.Returning = nil, action.Count{}, false // PREPARE itself returns none
	a.stmt.Session, a.stmt.CreatesTemp = nil, nil
	a.exprs(n.Argtypes, env{infer: true})
	a.stmt.Verb, a.stmt.Target = "prepare", innerStmt.Target
	a.stmt.Prepare = &Prepare{Name: n.Name, Inner: &innerStmt}
	a.stmt.Harmless = "prepare of: " + innerStmt.Harmless
	a.prepared[n.Name] = &innerStmt
}

func (a *analysis) execute(n *pg.ExecuteStmt) {
	a.stmt.Verb, a.stmt.Execute = "execute", n.Name
	a.exprs(n.Params, env{infer: true})
	a.stmt.argKinds, a.stmt.argWhy = a.kinds.sorted(), uniqueSorted(append([]string(nil), a.why...))
	a.runs(a.prepared[n.Name], "what a prepared statement does is known to the session only")
}

// runs adds what an earlier statement of the same text does, or unknown.
func (a *analysis) runs(inner *Statement, otherwise string) {
	if inner == nil {
		a.unknown(otherwise)
		return
	}
	s := a.stmt
	s.Objects, s.Inferred, s.Functions = a.objects, a.inferred, a.functions
	r := s.Resolve(inner)
	a.kind("", r.Kinds...)
	a.why = append(a.why, r.Why...)
	a.objects, a.inferred, a.functions = r.Objects, r.Inferred, r.Functions
	a.stmt.Writes, a.routines = r.Writes, append(a.routines, r.Routines...)
	a.stmt.Columns, a.stmt.Target, a.stmt.Harmless = r.Columns, r.Target, r.Harmless
	a.stmt.Reversible = r.Reversible
}

func (a *analysis) cursor(m any) {
	s := &a.stmt
	switch n := m.(type) {
	case *pg.DeclareCursorStmt:
		b := a.sub(n.Query)
		a.absorb(b)
		in := b.stmt
		s.Columns, s.Limit = nil, action.Count{}
		s.Verb, s.Target, s.Harmless = "declare cursor", in.Target, in.Harmless
		s.Cursor = &Cursor{Op: CursorDeclare, Name: n.Portalname, Inner: &in, Hold: n.Options&cursorHold != 0}
		a.cursors[n.Portalname] = &in
	case *pg.FetchStmt:
		s.Verb, s.Cursor = "fetch", &Cursor{Op: CursorFetch, Name: n.Portalname}
		if n.Ismove {
			s.Verb, s.Cursor.Op = "move", CursorMove
		}
		if n.HowMany >= 0 && n.HowMany < math.MaxInt32 { // ALL is LONG_MAX, which the two builds differ about
			s.Limit = action.KnownCount(n.HowMany)
		}
		a.runs(a.cursors[n.Portalname], "what a cursor reads is known to the session only")
	case *pg.ClosePortalStmt:
		s.Verb, s.Harmless, s.Cursor = "close", "close cursor", &Cursor{Op: CursorClose, Name: n.Portalname}
		if n.Portalname == "" {
			s.Cursor.Name = "*"
		}
	}
}

// cursorHold is CURSOR_OPT_HOLD of PostgreSQL's parsenodes.h.
const cursorHold = 0x0020

func (a *analysis) copy(n *pg.CopyStmt) {
	s := &a.stmt
	s.Verb = "copy"
	s.Copy = &Copy{Out: !n.IsFrom, File: n.Filename != "" && !n.IsProgram, Program: n.IsProgram, Query: n.Query != nil}
	if n.Relation != nil {
		s.Target = relationName(n.Relation)
		s.Copy.Table = s.Target
	}
	a.exprs(n.Options, env{infer: true})
	if n.IsFrom {
		a.copyIn(n)
		return
	}
	a.kind("COPY … TO takes data out", action.DataExport)
	switch {
	case n.IsProgram:
		a.kind("COPY … TO PROGRAM runs a command on the server", action.Execute)
	case n.Filename != "":
		a.kind("COPY … TO writes a file of the server", action.Execute)
	}
	if n.Query != nil {
		b := a.sub(n.Query)
		a.absorb(b)
		s.Target = b.stmt.Target
	} else {
		a.read(n.Relation)
		s.Columns = copyColumns(n)
	}
	s.Title = "Export " + orWord(s.Target, "a query") + " by COPY" + copyWay(s.Copy)
}

func (a *analysis) copyIn(n *pg.CopyStmt) {
	a.write(n.Relation, "COPY … FROM adds rows", action.DataWrite)
	switch {
	case n.IsProgram:
		a.kind("COPY … FROM PROGRAM runs a command on the server", action.Execute)
	case n.Filename != "":
		a.kind("COPY … FROM reads a file of the server", action.Execute, action.SecretAccess)
	}
	a.expr(n.WhereClause, env{sc: &scope{rels: []*rel{tableRel(n.Relation)}}, infer: true})
	a.stmt.Title = "Load " + a.stmt.Target + " by COPY" + copyWay(a.stmt.Copy)
}

func copyWay(c *Copy) string {
	switch {
	case c.Program:
		return " through a program of the server"
	case c.File:
		return " with a file of the server"
	}
	return ""
}

func copyColumns(n *pg.CopyStmt) []action.Column {
	table := n.Relation.GetRelname()
	if len(n.Attlist) == 0 {
		return []action.Column{{Name: "*", Sources: []string{table + ".*"}}}
	}
	cols := make([]action.Column, 0, len(n.Attlist))
	for _, c := range n.Attlist {
		name := c.GetString_().GetSval()
		cols = append(cols, action.Column{Name: name, Sources: []string{table + "." + name}})
	}
	return cols
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (a *analysis) createAs(n *pg.CreateTableAsStmt) {
	b := a.sub(n.Query)
	cols := b.stmt.Columns
	a.absorb(b)
	a.stmt.Columns, a.stmt.Limit, a.stmt.Returning = nil, action.Count{}, false
	a.into(n.Into, cols)
	a.stmt.Verb = "create table"
	if n.Objtype == pg.ObjectType_OBJECT_MATVIEW {
		a.stmt.Verb = "create materialized view"
	}
	a.stmt.Target = relationName(n.Into.GetRel())
	a.stmt.Execute = b.stmt.Execute
	a.stmt.argKinds = append([]action.Kind{action.SchemaChange}, b.stmt.argKinds...)
	a.stmt.argWhy = append([]string{"makes a relation out of a query"}, b.stmt.argWhy...)
	a.stmt.Title = "Create " + a.stmt.Target + " from a query"
}
