package sql

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/assenthq/assent/action"
)

func (a *analysis) exprs(list []*pg.Node, e env) {
	for _, n := range list {
		a.expr(n, e)
	}
}

// expr walks any tree below a statement.
func (a *analysis) expr(n *pg.Node, e env) {
	if n.GetNode() != nil {
		a.message(n.ProtoReflect(), e)
	}
}

// children walks every message that m holds, whatever its field is called: so
// no field can be forgotten.
func (a *analysis) children(m protoreflect.Message, e env) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.Kind() != protoreflect.MessageKind || !m.Has(fd) {
			continue
		}
		if !fd.IsList() {
			a.message(m.Get(fd).Message(), e)
			continue
		}
		list := m.Get(fd).List()
		for j := range list.Len() {
			a.message(list.Get(j).Message(), e)
		}
	}
}

// message walks one message. What is on no list is unknown.
func (a *analysis) message(m protoreflect.Message, e env) {
	if !a.enter() {
		return
	}
	defer a.leave()
	switch n := m.Interface().(type) {
	case *pg.Node:
		if n.Node != nil {
			a.message(inner(n), e)
		}
	case *pg.SelectStmt:
		a.take(e, allSources(a.query(n, e.sc))...)
	case *pg.InsertStmt:
		a.insert(n, e.sc)
	case *pg.UpdateStmt:
		a.update(n, e.sc)
	case *pg.DeleteStmt:
		a.delete(n, e.sc)
	case *pg.MergeStmt:
		a.merge(n, e.sc)
	case *pg.ColumnRef:
		a.columnRef(n, e)
	case *pg.A_Indirection:
		a.indirection(n, e)
	case *pg.FuncCall:
		a.call(n, e)
	case *pg.TypeName:
		a.typeName(n, e)
	case *pg.RangeVar: // outside FROM: named by a definition
		a.object(n)
	default:
		a.other(m, e)
	}
}

// other walks nodes that only need a look at an operator or their version.
func (a *analysis) other(m protoreflect.Message, e env) {
	switch n := m.Interface().(type) {
	case *pg.A_Indices:
		a.key(n.Uidx, e)
	case *pg.A_Expr:
		switch op := nameOf(n.Name); {
		case strings.HasPrefix(op, "->"), strings.HasPrefix(op, "#>"):
			a.key(n.Rexpr, e)
		case op == "||":
			a.literalsMatter = true // what is glued to a text may hide it
		}
		switch n.Kind {
		case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN,
			pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM: // named in words, made of built-in comparisons
			a.userOperators("", ">=")
			a.userOperators("", "<=")
			a.userOperators("", "<")
			a.userOperators("", ">")
		default:
			a.operator(n.Name)
		}
	case *pg.CaseExpr:
		if n.Arg != nil { // CASE x WHEN y compares
			a.userOperators("", "=")
		}
	case *pg.SubLink:
		a.operator(n.OperName)
		if n.SubLinkType == pg.SubLinkType_ANY_SUBLINK && len(n.OperName) == 0 { // IN
			a.userOperators("", "=")
		}
	case *pg.SortBy:
		a.operator(n.UseOp)
		e = e.steering()
	case *pg.WindowDef:
		a.literalsMatter = true
		e = e.steering()
	case *pg.JsonObjectConstructor, *pg.JsonArrayConstructor, *pg.JsonArrayQueryConstructor, *pg.JsonObjectAgg, *pg.JsonArrayAgg:
		a.since(160000, "an SQL/JSON constructor")
	case *pg.JsonFuncExpr, *pg.JsonParseExpr, *pg.JsonScalarExpr, *pg.JsonSerializeExpr, *pg.MergeSupportFunc:
		a.since(170000, "an SQL/JSON function")
	}
	if e.out != nil && !total(m) {
		e = e.steering()
	}
	if e.out != nil && turnsExpr(m) {
		e = e.turning()
	}
	name := string(m.Descriptor().Name())
	switch {
	case valueNodes[name]:
	case definitionNodes[name]:
		a.literalsMatter = true
	default:
		a.literalsMatter = true
		a.nested(m, e)
		return
	}
	a.children(m, e)
}

// total reports whether a node of an output list gives one value for every
// value below it. What may fail for one and not for another, what chooses, and what
// returns several rows answers a question about the value though the value is
// masked: case when ssn like '1%' then 1/0 end.
func total(m protoreflect.Message) bool {
	switch n := m.Interface().(type) {
	case *pg.A_Expr:
		switch n.Kind {
		case pg.A_Expr_Kind_AEXPR_NULLIF:
			return true
		case pg.A_Expr_Kind_AEXPR_OP:
			return totalOperators[nameOf(n.Name)]
		}
		return false
	case *pg.TypeCast:
		return totalTypes[lastPart(nameOf(n.TypeName.GetNames()))]
	case *pg.CoalesceExpr:
		for _, arg := range n.Args { // an argument is looked at only if those before it are NULL
			if arg.GetAConst() == nil && arg.GetColumnRef() == nil {
				return false
			}
		}
	case *pg.CaseExpr, *pg.CaseWhen, *pg.BoolExpr, *pg.XmlExpr, *pg.XmlSerialize:
		return false
	}
	return true
}

// since flags syntax that a server before version takes for a call of a user's
// function of that name.
func (a *analysis) since(version int, what string) {
	a.literalsMatter = true
	if a.st.ServerVersion < version {
		a.called(what+" is built in only from PostgreSQL "+major(version)+" on", action.Execute, action.Unknown)
	}
}

func major(version int) string {
	return string([]byte{'0' + byte(version/100000), '0' + byte(version/10000%10)})
}

func (a *analysis) columnRef(ref *pg.ColumnRef, e env) {
	sources, _ := e.sc.resolve(ref)
	a.take(e, sources...)
	if len(ref.Fields) < 2 {
		return
	}
	// t.f may call f(t). Of a row that is harmless but for its lineage, see
	// rowFunctions; a function's result may be any value: pg_read_file of a text.
	name := ref.Fields[len(ref.Fields)-1].GetString_().GetSval()
	a.rowFunction(e.sc, ref.Fields[len(ref.Fields)-2].GetString_().GetSval(), name)
	if e.sc.scalar(ref.Fields[len(ref.Fields)-2].GetString_().GetSval(), name) && !fieldNames[name] {
		a.function([]string{name}, nil, e)
		if turnsCall(name, nil) {
			a.take(e.turning(), sources...)
		}
	}
}

// scalar reports whether alias is a function's result without a column called name.
func (sc *scope) scalar(alias, name string) bool {
	for s := sc; s != nil; s = s.parent {
		for _, r := range s.rels {
			if r.named(alias) {
				return r.scalar && name != "" && name != r.alias && !slices.ContainsFunc(r.cols, func(c action.Column) bool { return c.Name == name })
			}
		}
	}
	return false
}

// indirection walks (expr).name and (expr)[n]. PostgreSQL reads (x).f as f(x)
// for a value of any type: ('/etc/passwd'::text).pg_read_file reads the file.
func (a *analysis) indirection(n *pg.A_Indirection, e env) {
	a.expr(n.Arg, e)
	if attributeTurns(n) {
		a.expr(n.Arg, e.turning())
	}
	for _, i := range n.Indirection {
		s := i.GetString_()
		if s == nil {
			a.expr(i, e)
			continue
		}
		if !rowFunctions[s.Sval] {
			a.take(e, "."+s.Sval)
		}
		if !fieldNames[s.Sval] {
			a.function([]string{s.Sval}, nil, e)
		}
	}
	a.literalsMatter = true
}

func (a *analysis) call(f *pg.FuncCall, e env) {
	name := strings.Split(nameOf(f.Funcname), ".")
	a.literalsMatter = true
	a.function(name, f.Args, e)
	if strings.HasPrefix(name[len(name)-1], "json") {
		for _, arg := range f.Args {
			a.key(arg, e)
		}
	}
	switch base := name[len(name)-1]; {
	case base == "current_setting" && len(f.Args) > 0:
		a.settingRead(f.Args[0], e)
	case storedTexts[base] != "":
		a.take(e, storedTexts[base])
	}
	args := e
	if e.out != nil && !totalFunctions[name[len(name)-1]] {
		args = args.steering()
	}
	if e.out != nil {
		if turnsCall(name[len(name)-1], f.Args) {
			args = args.turning()
		}
		if aggregates(name[len(name)-1], f) {
			*e.out = append(*e.out, aggregateMark)
		}
	}
	a.exprs(f.Args, args)
	a.exprs(f.AggOrder, e.steering())
	a.expr(f.AggFilter, e.steering())
	if f.Over != nil {
		a.message(f.Over.ProtoReflect(), e)
	}
}

// key notes the words by which a document is asked for a member: what stands
// under "ssn" is of that class, as in a column of that name.
func (a *analysis) key(n *pg.Node, e env) {
	if array := n.GetAArrayExpr(); array != nil {
		for _, element := range array.Elements {
			a.key(element, e)
		}
	}
	text, known := constText(n)
	if !known {
		return
	}
	a.literalsMatter = true
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("{}[]$.,\"' *@?()", r) }) {
		a.take(e, "."+word)
	}
}

// function judges a call by the function's name.
func (a *analysis) function(name []string, args []*pg.Node, e env) {
	full, base := strings.Join(name, "."), name[len(name)-1]
	a.functions = append(a.functions, full)
	a.literalsMatter = true
	if a.c.harmless[full] {
		return
	}
	if a.defining && base == "nextval" {
		return // a default for later
	}
	eff, bad := harmful[base]
	builtin := len(name) == 2 && name[0] == "pg_catalog" ||
		len(name) == 3 && name[1] == "pg_catalog" ||
		len(name) == 1 && catalogFirst(a.st.SearchPath)
	switch {
	case full == "information_schema._pg_expandarray": // drivers list keys with it
	case bad:
		a.called(base+": "+eff.why, eff.kinds...)
		if !builtin {
			a.called(full+" may not be the built-in function", action.Execute, action.Unknown)
		}
		a.harmfulArgs(base, args, e)
		a.overloads(name, args)
	case builtin && harmlessFunctions[base] && a.st.ServerVersion < newer[base]:
		a.since(newer[base], full)
	case builtin && harmlessFunctions[base]:
		a.overloads(name, args)
		if dataFunctions[base] {
			a.kind("", action.DataRead)
		}
	case a.userFunction(name, args):
	default:
		a.called(full+" is not known to be harmless", action.Execute, action.Unknown)
	}
}

// harmfulArgs looks at constant arguments that say more.
func (a *analysis) harmfulArgs(name string, args []*pg.Node, e env) {
	switch name {
	case "set_config":
		if len(args) != 3 {
			a.unknown("set_config in an unknown form")
			return
		}
		setting, known := constText(args[0])
		value, valueKnown := constText(args[1])
		if !known {
			a.called("set_config with a computed name", action.ConfigChange, action.Unknown)
			a.stmt.Session = append(a.stmt.Session, SessionEffect{Kind: SessionSet})
			return
		}
		a.setting(strings.ToLower(setting), value, valueKnown, false)
		a.called("set_config changes a setting", action.ConfigChange)
	case "query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema", "ts_stat":
		if len(args) > 0 {
			if text, known := constText(args[0]); known {
				a.innerText(text, e)
			}
		}
	}
}

// innerText adds the kinds of a query given as text.
func (a *analysis) innerText(text string, e env) {
	if a.c.refuse(text) != "" {
		return // it is unknown already
	}
	tree, err := a.c.parse.Parse(text)
	if err != nil {
		return
	}
	for _, raw := range tree.Stmts {
		a.expr(raw.Stmt, env{sc: nil, infer: true, out: e.out})
	}
}

// catalogFirst reports whether unqualified built-in names mean the built-in
// ones: pg_catalog is searched first unless the path names it later.
func catalogFirst(path string) bool {
	for i, schema := range strings.Split(path, ",") {
		if strings.EqualFold(strings.Trim(schema, " \t\r\n\""), "pg_catalog") {
			return i == 0
		}
	}
	return true
}

// operator judges an operator by its name. A user may define any symbol, or
// OPERATOR(schema.+).
func (a *analysis) operator(parts []*pg.Node) {
	if len(parts) == 0 {
		return
	}
	name := strings.Split(nameOf(parts), ".")
	symbol := parts[len(parts)-1].GetString_().GetSval()
	qualifier := ""
	if len(parts) > 1 {
		qualifier = name[len(parts)-2]
	}
	builtin := qualifier == "pg_catalog" || len(parts) == 1 && catalogFirst(a.st.SearchPath)
	if builtin && operators[symbol] {
		a.userOperators(qualifier, symbol)
		return
	}
	if a.unlistedOperator(qualifier, symbol) {
		return
	}
	a.called("an operator that is not known to be built in", action.Execute, action.Unknown)
}

// typeName judges a type by its name: a cast to a user's type may run a user's function.
func (a *analysis) typeName(t *pg.TypeName, e env) {
	a.exprs(t.Typmods, e)
	if t.PctType || a.defining { // a definition names types, it runs none
		a.literalsMatter = true
		return
	}
	a.casts = true
	base := nameOf(t.Names[max(0, len(t.Names)-1):])
	builtin := len(t.Names) == 2 && t.Names[0].GetString_().GetSval() == "pg_catalog" ||
		len(t.Names) == 1 && catalogFirst(a.st.SearchPath) && !a.hidden(base)
	if builtin && types[strings.TrimPrefix(base, "_")] {
		if strings.HasPrefix(base, "reg") || base == "xml" || base == "refcursor" {
			a.literalsMatter = true
		}
		return
	}
	if !a.userType(t.Names) {
		a.called("a type that is not known to be built in", action.Unknown)
	}
}

// hidden reports whether a relation of pg_temp, whose row type the server finds
// first, has this name.
func (a *analysis) hidden(name string) bool {
	return slices.ContainsFunc(a.st.Temp, func(t Temp) bool { return t.Name == name })
}

func relationName(rv *pg.RangeVar) string {
	name := rv.GetRelname()
	if rv.GetSchemaname() != "" {
		name = rv.Schemaname + "." + name
	}
	if rv.GetCatalogname() != "" {
		name = rv.Catalogname + "." + name
	}
	return name
}

// temp finds rv among the session's temporary relations.
func (a *analysis) temp(rv *pg.RangeVar) (Temp, bool) {
	if rv.GetSchemaname() == "" || rv.Schemaname == "pg_temp" {
		for i := len(a.st.Temp) - 1; i >= 0; i-- {
			if a.st.Temp[i].Name == rv.GetRelname() {
				return a.st.Temp[i], true
			}
		}
	}
	return Temp{}, false
}

// object notes a relation and what its name alone tells.
func (a *analysis) object(rv *pg.RangeVar) {
	name := relationName(rv)
	if temp, ok := a.temp(rv); ok {
		a.objects = append(a.objects, "pg_temp."+rv.Relname)
		a.objects = append(a.objects, withoutMarks(slices.Clone(temp.Sources))...)
		a.tables = append(a.tables, temp.Sources...)
		return
	}
	a.objects = append(a.objects, name)
	a.tables = append(a.tables, name)
	schema := rv.GetSchemaname()
	switch {
	case strings.HasPrefix(schema, "pg_temp"):
		if rv.Relpersistence != "t" {
			a.unknown("a relation of pg_temp that this session is not known to have made")
		}
	case strings.HasPrefix(schema, "pg_toast"):
		a.unknown("raw storage of another table")
	}
	if why, ok := secretRelations[rv.GetRelname()]; ok && (schema == "" || schema == "pg_catalog" || schema == "information_schema") {
		a.kind(rv.Relname+" "+why, action.SecretAccess)
	}
}

func (a *analysis) read(rv *pg.RangeVar) {
	a.kind("", action.DataRead)
	a.object(rv)
}

// write notes a relation whose rows change.
func (a *analysis) write(rv *pg.RangeVar, why string, kinds ...action.Kind) {
	a.kind(why, kinds...)
	a.object(rv)
	a.stmt.Writes = append(a.stmt.Writes, relationName(rv))
	system := rv.GetSchemaname() == "pg_catalog" || rv.GetSchemaname() == "" && strings.HasPrefix(rv.GetRelname(), "pg_")
	if system {
		if _, temp := a.temp(rv); !temp {
			a.kind("changes the system catalogue directly", action.SchemaChange, action.PrivilegeChange, action.Unknown)
		}
	}
}

// into notes the relation that a query is stored in.
func (a *analysis) into(into *pg.IntoClause, cols []action.Column) {
	a.literalsMatter = true
	a.inferred = append(a.inferred, allSources(cols)...)
	a.kind("makes a relation out of a query", action.SchemaChange)
	a.definition(into.Options)
	if into.Rel == nil {
		return
	}
	a.created(into.Rel, uniqueSorted(append(slices.Clone(a.tables), marksOf(cols)...)))
	a.stmt.Target = relationName(into.Rel)
}

// created notes a new relation, with what it may hold when it is temporary.
func (a *analysis) created(rv *pg.RangeVar, sources []string) {
	temporary := rv.GetRelpersistence() == "t" || strings.HasPrefix(rv.GetSchemaname(), "pg_temp")
	if temporary {
		a.stmt.CreatesTemp = append(a.stmt.CreatesTemp, Temp{Name: rv.Relname, Sources: sources})
		a.objects = append(a.objects, "pg_temp."+rv.Relname)
		return
	}
	a.objects = append(a.objects, relationName(rv))
}

// definition walks option lists and other parts of definitions.
func (a *analysis) definition(list []*pg.Node) {
	a.literalsMatter = true
	a.exprs(list, env{infer: true})
}

// constText returns the value of a constant or bare word.
func constText(n *pg.Node) (string, bool) {
	switch {
	case n.GetTypeCast() != nil:
		if base := lastPart(nameOf(n.GetTypeCast().TypeName.GetNames())); base == "text" || base == "bool" || base == "varchar" {
			return constText(n.GetTypeCast().Arg)
		}
	case n.GetString_() != nil:
		return n.GetString_().Sval, true
	case n.GetInteger() != nil:
		return itoa(n.GetInteger().Ival), true
	case n.GetFloat() != nil:
		return n.GetFloat().Fval, true
	case n.GetBoolean() != nil:
		return onOff(n.GetBoolean().Boolval), true
	case n.GetTypeName() != nil:
		return nameOf(n.GetTypeName().Names), true
	case n.GetAConst() != nil:
		return constValue(n.GetAConst())
	}
	return "", false
}

func constValue(c *pg.A_Const) (string, bool) {
	switch v := c.GetVal().(type) {
	case *pg.A_Const_Sval:
		return v.Sval.GetSval(), true
	case *pg.A_Const_Ival:
		return itoa(v.Ival.GetIval()), true
	case *pg.A_Const_Fval:
		return v.Fval.GetFval(), true
	case *pg.A_Const_Boolval:
		return onOff(v.Boolval.GetBoolval()), true
	}
	return "", false
}
