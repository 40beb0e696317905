package sql

import (
	"errors"
	"fmt"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/assenthq/assent/action"
)

// A Probe is how to find out what a statement would do without running it.
type Probe struct {
	Op     ProbeOp
	Target string // of a write, and of Groups, as written
	// Schema and Name are Target without quotes; Schema is "" where it was not written.
	Schema, Name string
	// Query is a plain query: for a write it counts the rows that the write
	// would find, for a read it is the read itself, to be explained. "" where
	// Rows or Objects say all.
	Query  string
	Params []int // numbers of the parameters that Query uses, sorted
	// Groups counts the rows behind the smallest group that a read of the one table
	// Target would show; "" where the read has no groups, or they can't be counted so.
	Groups      string
	GroupParams []int // that Groups uses, sorted
	// Rows is known where the text alone says it: INSERT … VALUES.
	Rows   action.Count
	AtMost bool // what is counted may turn out fewer: ON CONFLICT
	// Objects are what DROP and TRUNCATE name, as written and quoted where need be.
	Objects []string
	Kind    string // of those: "table", "view", …
	Cascade bool
}

// ProbeOp says what the probed statement does.
type ProbeOp string

// What a Probe is of.
const (
	ProbeRead     ProbeOp = "read"
	ProbeUpdate   ProbeOp = "update"
	ProbeDelete   ProbeOp = "delete"
	ProbeInsert   ProbeOp = "insert"
	ProbeTruncate ProbeOp = "truncate"
	ProbeDrop     ProbeOp = "drop"
)

// Probe makes the probe of a text that holds one statement. Its query has the
// statement's own FROM, USING and WHERE, taken from the parsed tree; it was
// parsed again and found to be that tree. Whoever runs it classifies it first
// as anything else. The error says why there is none, and quotes nothing.
func (k *Classifier) Probe(text string) (*Probe, error) {
	if len(text) > maxProbeBytes {
		return nil, errors.New("it is too long to be looked at")
	}
	if why := k.refuse(text); why != "" {
		return nil, errors.New(why)
	}
	tree, err := k.parse.Parse(text)
	if err != nil || tree == nil || len(tree.Stmts) != 1 {
		return nil, errors.New("it is not understood as one statement")
	}
	c := &prober{k, tree.Version}
	switch n := tree.Stmts[0].Stmt; {
	case n.GetSelectStmt() != nil:
		return c.probeRead(n.GetSelectStmt())
	case n.GetCopyStmt() != nil:
		return c.probeCopy(n.GetCopyStmt())
	case n.GetDeclareCursorStmt() != nil:
		return c.probeRead(n.GetDeclareCursorStmt().Query.GetSelectStmt())
	case n.GetUpdateStmt() != nil:
		u := n.GetUpdateStmt()
		return c.probeWrite(ProbeUpdate, u.Relation, u.FromClause, u.WhereClause, u.WithClause)
	case n.GetDeleteStmt() != nil:
		d := n.GetDeleteStmt()
		return c.probeWrite(ProbeDelete, d.Relation, d.UsingClause, d.WhereClause, d.WithClause)
	case n.GetInsertStmt() != nil:
		return c.probeInsert(n.GetInsertStmt())
	case n.GetTruncateStmt() != nil:
		t := n.GetTruncateStmt()
		p := &Probe{Op: ProbeTruncate, Kind: "table", Cascade: t.Behavior == pg.DropBehavior_DROP_CASCADE}
		for _, r := range t.Relations {
			p.Objects = append(p.Objects, quotedName(r.GetRangeVar()))
		}
		return p, nil
	case n.GetDropStmt() != nil:
		return probeDrop(n.GetDropStmt())
	}
	return nil, errors.New("statements of this kind are not previewed")
}

// A prober makes one probe. version is that of the trees its parser makes.
type prober struct {
	*Classifier
	version int32
}

func (c *prober) probeRead(sel *pg.SelectStmt) (*Probe, error) {
	if sel == nil || sel.IntoClause != nil {
		return nil, errors.New("it makes a table of what it reads")
	}
	p := &Probe{Op: ProbeRead}
	if err := c.write(p, sel); err != nil {
		return p, err
	}
	return p, c.probeGroups(p, sel)
}

func (c *prober) probeCopy(cp *pg.CopyStmt) (*Probe, error) {
	switch {
	case cp.IsFrom:
		return nil, errors.New("what COPY brings in comes only when it runs")
	case cp.Query != nil:
		return c.probeRead(cp.Query.GetSelectStmt())
	case cp.Relation == nil:
		return nil, errors.New("it names nothing to copy")
	}
	sel, err := c.template("SELECT * FROM x")
	if err != nil {
		return nil, err
	}
	sel.FromClause[0] = rangeVar(cp.Relation)
	return c.probeRead(sel)
}

// probeWrite counts the rows of target that a write would find. Each row is
// changed once however often a join finds it, so the other tables stand in EXISTS.
func (c *prober) probeWrite(op ProbeOp, target *pg.RangeVar, others []*pg.Node, where *pg.Node, with *pg.WithClause) (*Probe, error) {
	p, err := probeOf(op, target)
	if err != nil {
		return nil, err
	}
	if where.GetCurrentOfExpr() != nil {
		return nil, errors.New("it changes the row a cursor stands on, which only this session sees")
	}
	for _, n := range with.GetCtes() {
		// The server never takes the target for the WITH item of its name; a query would.
		if p.Schema == "" && n.GetCommonTableExpr().GetCtename() == p.Name {
			return nil, errors.New("a WITH item has the name of the table it changes")
		}
	}
	text := "SELECT pg_catalog.count(*) FROM x"
	if len(others) > 0 {
		text += " WHERE EXISTS (SELECT 1 FROM y)"
	}
	sel, err := c.template(text)
	if err != nil {
		return nil, err
	}
	sel.FromClause[0], sel.WithClause = rangeVar(target), with
	if len(others) > 0 {
		inner := sel.WhereClause.GetSubLink().GetSubselect().GetSelectStmt()
		inner.FromClause, inner.WhereClause = others, where
	} else {
		sel.WhereClause = where
	}
	return p, c.write(p, sel)
}

func (c *prober) probeInsert(in *pg.InsertStmt) (*Probe, error) {
	p, err := probeOf(ProbeInsert, in.Relation)
	if err != nil {
		return nil, err
	}
	p.AtMost = in.OnConflictClause != nil
	sel := in.SelectStmt.GetSelectStmt()
	switch {
	case sel == nil:
		p.Rows = action.KnownCount(1) // DEFAULT VALUES
		return p, nil
	case len(sel.ValuesLists) > 0:
		p.Rows = action.KnownCount(int64(len(sel.ValuesLists)))
		p.AtMost = p.AtMost || sel.LimitCount != nil || sel.LimitOffset != nil
		return p, nil
	}
	out, err := c.template("SELECT pg_catalog.count(*) FROM (SELECT 1) AS _assent")
	if err != nil {
		return nil, err
	}
	out.FromClause[0].GetRangeSubselect().Subquery = in.SelectStmt
	out.WithClause = in.WithClause
	return p, c.write(p, out)
}

func probeDrop(d *pg.DropStmt) (*Probe, error) {
	kinds := map[pg.ObjectType]string{
		pg.ObjectType_OBJECT_TABLE: "table", pg.ObjectType_OBJECT_VIEW: "view", pg.ObjectType_OBJECT_MATVIEW: "materialized view",
		pg.ObjectType_OBJECT_SEQUENCE: "sequence", pg.ObjectType_OBJECT_INDEX: "index", pg.ObjectType_OBJECT_FOREIGN_TABLE: "foreign table",
	}
	p := &Probe{Op: ProbeDrop, Kind: kinds[d.RemoveType], Cascade: d.Behavior == pg.DropBehavior_DROP_CASCADE}
	if p.Kind == "" {
		return nil, errors.New("dropping objects of this kind is not previewed")
	}
	for _, o := range d.Objects {
		var parts []string
		for _, n := range o.GetList().GetItems() {
			parts = append(parts, n.GetString_().GetSval())
		}
		if len(parts) < 1 || len(parts) > 2 {
			return nil, errors.New("it names something in another database")
		}
		for i, part := range parts {
			parts[i] = QuoteIdent(part)
		}
		name := parts[0]
		if len(parts) == 2 {
			name += "." + parts[1]
		}
		p.Objects = append(p.Objects, name)
	}
	return p, nil
}

func probeOf(op ProbeOp, target *pg.RangeVar) (*Probe, error) {
	if target == nil || target.Catalogname != "" {
		return nil, errors.New("it names no table of this database")
	}
	p := &Probe{Op: op}
	p.aim(target)
	return p, nil
}

func (p *Probe) aim(target *pg.RangeVar) {
	p.Schema, p.Name, p.Target = target.Schemaname, target.Relname, target.Relname
	if p.Schema != "" {
		p.Target = p.Schema + "." + p.Name
	}
}

// template parses a query of our own, to be filled in.
func (c *prober) template(text string) (*pg.SelectStmt, error) {
	tree, err := c.parse.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parsing a query of the gate's own: %w", err)
	}
	return tree.Stmts[0].Stmt.GetSelectStmt(), nil
}

// write writes sel as text into p, and proves that the text means sel: what it
// parses to is the same tree.
func (c *prober) write(p *Probe, sel *pg.SelectStmt) error {
	cannot := errors.New("it could not be written down as a query of its own")
	sel = proto.Clone(sel).(*pg.SelectStmt)
	stmt := &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: sel}}
	params := map[int]bool{}
	if !tidy(stmt.ProtoReflect(), params, 0) {
		return cannot
	}
	text, err := c.parse.Deparse(&pg.ParseResult{Version: c.version, Stmts: []*pg.RawStmt{{Stmt: stmt}}})
	if err != nil || c.refuse(text) != "" {
		return cannot
	}
	again, err := c.parse.Parse(text)
	if err != nil || len(again.Stmts) != 1 {
		return cannot
	}
	if !tidy(again.Stmts[0].Stmt.ProtoReflect(), map[int]bool{}, 0) || !proto.Equal(stmt, again.Stmts[0].Stmt) {
		return cannot
	}
	p.Query = text
	for n := range params {
		p.Params = append(p.Params, n)
	}
	slices.Sort(p.Params)
	return nil
}

// maxProbeBytes bounds the texts that are probed: the tree is walked in several
// forms, 5 µs a byte, while the asker waits.
const maxProbeBytes = 128 << 10

// maxProbeDepth bounds the trees that are handed to the deparser, which is C and recursive.
const maxProbeDepth = 1000

// tidy takes out of a tree where in a text its nodes stood, and notes the
// parameters in it. It reports false for a tree that is too deep.
func tidy(m protoreflect.Message, params map[int]bool, depth int) bool {
	if depth > maxProbeDepth {
		return false
	}
	ok := true
	if ref, is := m.Interface().(*pg.ParamRef); is {
		params[int(ref.Number)] = true
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Name() == "location":
			m.Clear(fd)
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				ok = ok && tidy(v.List().Get(i).Message(), params, depth+1)
			}
		default:
			ok = ok && tidy(v.Message(), params, depth+1)
		}
		return ok
	})
	return ok
}

func rangeVar(r *pg.RangeVar) *pg.Node {
	return &pg.Node{Node: &pg.Node_RangeVar{RangeVar: r}}
}

func quotedName(r *pg.RangeVar) string {
	if r.GetSchemaname() == "" {
		return QuoteIdent(r.GetRelname())
	}
	return QuoteIdent(r.GetSchemaname()) + "." + QuoteIdent(r.GetRelname())
}

// QuoteIdent writes a name as the server reads it, whatever stands in it.
func QuoteIdent(name string) string {
	out := make([]byte, 0, len(name)+2)
	out = append(out, '"')
	for i := range len(name) {
		if name[i] == '"' {
			out = append(out, '"')
		}
		out = append(out, name[i])
	}
	return string(append(out, '"'))
}
