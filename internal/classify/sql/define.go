package sql

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/assenthq/assent/action"
)

// definition is a statement that needs nothing but its name to be classified;
// what stands in it (queries, functions, relations) is walked all the same.
type definition struct {
	verb  string
	why   string
	kinds []action.Kind
}

// definitions are told apart by the type of their node.
var definitions = map[string]definition{
	"CreateStmt":                   {"create table", "", schema()},
	"IndexStmt":                    {"create index", "", schema()},
	"CreateSeqStmt":                {"create sequence", "", schema()},
	"AlterSeqStmt":                 {"alter sequence", "", schema()},
	"ViewStmt":                     {"create view", "", schema()},
	"CreateSchemaStmt":             {"create schema", "", schema()},
	"CreateDomainStmt":             {"create domain", "", schema()},
	"AlterDomainStmt":              {"alter domain", "", schema()},
	"CompositeTypeStmt":            {"create type", "", schema()},
	"CreateEnumStmt":               {"create type", "", schema()},
	"CreateRangeStmt":              {"create type", "", schema()},
	"AlterEnumStmt":                {"alter type", "", schema()},
	"AlterTypeStmt":                {"alter type", "", schema()},
	"AlterCollationStmt":           {"alter collation", "", schema()},
	"CreateStatsStmt":              {"create statistics", "", schema()},
	"AlterStatsStmt":               {"alter statistics", "", schema()},
	"CreateTableSpaceStmt":         {"create tablespace", "a tablespace is a folder of the server", schema(action.ConfigChange)},
	"DropTableSpaceStmt":           {"drop tablespace", "", schema()},
	"AlterTableSpaceOptionsStmt":   {"alter tablespace", "", schema(action.ConfigChange)},
	"AlterTableMoveAllStmt":        {"alter table", "", schema()},
	"RenameStmt":                   {"rename", "", schema()},
	"AlterObjectSchemaStmt":        {"set schema", "", schema()},
	"AlterObjectDependsStmt":       {"alter", "", schema()},
	"CommentStmt":                  {"comment", "", schema()},
	"CreateConversionStmt":         {"create conversion", "a conversion runs a function on every text", schema(action.Execute)},
	"CreateTransformStmt":          {"create transform", "a transform runs functions", schema(action.Execute)},
	"CreateCastStmt":               {"create cast", "a cast changes what other statements do", schema()},
	"CreateOpClassStmt":            {"create operator class", "", schema()},
	"CreateOpFamilyStmt":           {"create operator family", "", schema()},
	"AlterOpFamilyStmt":            {"alter operator family", "", schema()},
	"AlterOperatorStmt":            {"alter operator", "", schema()},
	"AlterTSDictionaryStmt":        {"alter text search dictionary", "", schema()},
	"AlterTSConfigurationStmt":     {"alter text search configuration", "", schema()},
	"DefineStmt":                   {"create", "", schema()},
	"CreateAmStmt":                 {"create access method", "an access method runs native code", schema(action.Execute)},
	"CreatePLangStmt":              {"create language", "a language runs code", schema(action.Execute)},
	"CreateTrigStmt":               {"create trigger", "a trigger runs code later, for other people", schema()},
	"CreateEventTrigStmt":          {"create event trigger", "an event trigger runs code on every definition, also an administrator's", schema(action.Execute, action.PrivilegeChange)},
	"AlterEventTrigStmt":           {"alter event trigger", "", schema(action.PrivilegeChange)},
	"RuleStmt":                     {"create rule", "a rule changes what other statements do", schema()},
	"CreateExtensionStmt":          {"create extension", "an extension adds functions, of native code too", schema(action.Execute)},
	"AlterExtensionStmt":           {"alter extension", "an extension's script runs", schema(action.Execute)},
	"AlterExtensionContentsStmt":   {"alter extension", "", schema()},
	"CreateFdwStmt":                {"create foreign data wrapper", "a wrapper runs native code", schema(action.Execute, action.NetworkChange)},
	"AlterFdwStmt":                 {"alter foreign data wrapper", "a wrapper runs native code", schema(action.Execute, action.NetworkChange)},
	"CreateForeignServerStmt":      {"create server", "a foreign server is a way out", schema(action.NetworkChange)},
	"AlterForeignServerStmt":       {"alter server", "a foreign server is a way out", schema(action.NetworkChange)},
	"CreateForeignTableStmt":       {"create foreign table", "a foreign table is a way out, to a file, a program or another system", schema(action.NetworkChange)},
	"ImportForeignSchemaStmt":      {"import foreign schema", "asks another system", schema(action.NetFetch)},
	"CreateUserMappingStmt":        {"create user mapping", "stores a credential", schema(action.IdentityChange)},
	"AlterUserMappingStmt":         {"alter user mapping", "stores a credential", schema(action.IdentityChange)},
	"DropUserMappingStmt":          {"drop user mapping", "", schema(action.IdentityChange)},
	"CreatePublicationStmt":        {"create publication", "every change can be streamed out", schema(action.DataExport)},
	"AlterPublicationStmt":         {"alter publication", "every change can be streamed out", schema(action.DataExport)},
	"CreateSubscriptionStmt":       {"create subscription", "takes rows from another system", schema(action.NetworkChange, action.DataWrite)},
	"AlterSubscriptionStmt":        {"alter subscription", "changes replication", schema(action.NetworkChange, action.ConfigChange)},
	"DropSubscriptionStmt":         {"drop subscription", "stops replication", schema(action.NetworkChange)},
	"CreatePolicyStmt":             {"create policy", "row security decides who sees which rows", schema(action.PrivilegeChange)},
	"AlterPolicyStmt":              {"alter policy", "row security decides who sees which rows", schema(action.PrivilegeChange)},
	"CreatedbStmt":                 {"create database", "", schema()},
	"DropdbStmt":                   {"drop database", "drops a whole database", schema()},
	"AlterDatabaseStmt":            {"alter database", "", schema(action.ConfigChange)},
	"AlterDatabaseRefreshCollStmt": {"alter database", "", schema(action.ConfigChange)},
	"AlterDatabaseSetStmt":         {"alter database", "a setting for every later session", kindsOf(action.ConfigChange)},
	"AlterSystemStmt":              {"alter system", "a setting for the whole server", kindsOf(action.ConfigChange)},
	"CreateRoleStmt":               {"create role", "a new role", kindsOf(action.IdentityChange, action.PrivilegeChange)},
	"AlterRoleStmt":                {"alter role", "changes a role, its password or its members", kindsOf(action.IdentityChange, action.PrivilegeChange)},
	"AlterRoleSetStmt":             {"alter role", "a setting for every later session of a role", kindsOf(action.ConfigChange, action.IdentityChange)},
	"DropRoleStmt":                 {"drop role", "removes a role", kindsOf(action.IdentityChange, action.PrivilegeChange)},
	"GrantStmt":                    {"grant", "changes who may do what", kindsOf(action.PrivilegeChange)},
	"GrantRoleStmt":                {"grant role", "changes who may do what", kindsOf(action.PrivilegeChange)},
	"AlterDefaultPrivilegesStmt":   {"alter default privileges", "changes who may do what with what is made later", kindsOf(action.PrivilegeChange)},
	"AlterOwnerStmt":               {"change owner", "an owner has every right", kindsOf(action.SchemaChange, action.PrivilegeChange)},
	"ReassignOwnedStmt":            {"reassign owned", "an owner has every right", kindsOf(action.SchemaChange, action.PrivilegeChange)},
	"DropOwnedStmt":                {"drop owned", "drops all that a role owns, and its rights", kindsOf(action.SchemaChange, action.PrivilegeChange)},
	"SecLabelStmt":                 {"security label", "a label decides about rights", kindsOf(action.PrivilegeChange)},
	"DoStmt":                       {"do", "DO runs code that is not looked into", kindsOf(action.Execute)},
	"CallStmt":                     {"call", "CALL runs a procedure", kindsOf(action.Execute)},
	"LoadStmt":                     {"load", "LOAD runs native code", kindsOf(action.Execute)},
	"RefreshMatViewStmt":           {"refresh materialized view", "writes the stored rows anew", kindsOf(action.DataWrite)},
	"VacuumStmt":                   {"vacuum", "maintenance", kindsOf(action.Execute)},
	"ClusterStmt":                  {"cluster", "maintenance that rewrites tables", kindsOf(action.Execute)},
	"ReindexStmt":                  {"reindex", "maintenance that rewrites indexes", kindsOf(action.Execute)},
	"CheckPointStmt":               {"checkpoint", "maintenance", kindsOf(action.Execute)},
	"LockStmt":                     {"lock table", "LOCK keeps others out", kindsOf(action.Execute)},
	"DropStmt":                     {"drop", "", schema()},
	"AlterTableStmt":               {"alter table", "", schema()},
	"CreateFunctionStmt":           {"create function", "code that is not looked into", schema(action.Execute)},
	"AlterFunctionStmt":            {"alter function", "", schema()},
}

func schema(more ...action.Kind) []action.Kind {
	return append([]action.Kind{action.SchemaChange}, more...)
}

func kindsOf(k ...action.Kind) []action.Kind { return k }

// define classifies definitions, and says unknown to a statement on no list.
func (a *analysis) define(msg any) {
	m := msg.(proto.Message).ProtoReflect()
	name := string(m.Descriptor().Name())
	d, ok := definitions[name]
	if !ok {
		a.unknown("a statement that is on no list: " + name)
		return
	}
	a.kind(d.why, d.kinds...)
	s := &a.stmt
	s.Verb = d.verb
	a.defining = true
	a.special(msg)
	a.defining = true
	if _, isSet := msg.(interface{ GetSetstmt() *pg.VariableSetStmt }); !isSet {
		a.children(m, env{infer: true})
	}
	if s.Target == "" && len(a.objects) > 0 {
		s.Target = a.objects[0]
	}
	if strings.HasPrefix(s.Verb, "drop") {
		s.Reversible = false
	}
}

// special handles what the name of a definition does not tell.
func (a *analysis) special(msg any) {
	s := &a.stmt
	switch n := msg.(type) {
	case *pg.CreateStmt:
		a.createTable(n)
	case *pg.CreateForeignTableStmt:
		a.foreignTable(n)
	case *pg.ViewStmt:
		a.createView(n)
	case *pg.DropStmt:
		a.drop(n)
	case *pg.AlterTableStmt:
		s.Verb = "alter " + objectWord(n.Objtype)
		for _, c := range n.Cmds {
			a.alterTable(c.GetAlterTableCmd())
		}
	case *pg.CreateFunctionStmt:
		s.Target = nameOf(n.Funcname)
		if n.IsProcedure {
			s.Verb = "create procedure"
		}
		a.functionOptions(n.Options)
	case *pg.AlterFunctionStmt:
		s.Target = nameOf(n.Func.GetObjname())
		a.functionOptions(n.Actions)
	case *pg.GrantStmt:
		a.grant(n)
	case *pg.GrantRoleStmt:
		if !n.IsGrant {
			s.Verb = "revoke role"
		}
	case *pg.VacuumStmt:
		if !n.IsVacuumcmd {
			s.Verb = "analyze"
		}
	case *pg.DefineStmt:
		s.Verb, s.Target = "create "+objectWord(n.Kind), nameOf(n.Defnames)
	case *pg.CreateExtensionStmt:
		s.Target = n.Extname
	case *pg.CreateRoleStmt:
		s.Target = n.Role
	case *pg.AlterRoleStmt:
		s.Target = n.Role.GetRolename()
	case *pg.CallStmt:
		s.Target = nameOf(n.Funccall.GetFuncname())
		a.defining = false
	default:
		a.settingFor(msg)
	}
}

// settingFor looks at settings for later sessions.
func (a *analysis) settingFor(msg any) {
	var set *pg.VariableSetStmt
	switch n := msg.(type) {
	case *pg.AlterRoleSetStmt:
		set, a.stmt.Target = n.Setstmt, n.Role.GetRolename()
	case *pg.AlterDatabaseSetStmt:
		set, a.stmt.Target = n.Setstmt, n.Dbname
	case *pg.AlterSystemStmt:
		set = n.Setstmt
		a.stmt.Target = strings.ToLower(set.GetName())
	case *pg.DropRoleStmt:
		for _, r := range n.Roles {
			a.stmt.Target = r.GetRoleSpec().GetRolename()
		}
	case *pg.CreatedbStmt:
		a.stmt.Target = n.Dbname
	case *pg.DropdbStmt:
		a.stmt.Target = n.Dbname
	case *pg.RenameStmt:
		if n.RenameType == pg.ObjectType_OBJECT_ROLE {
			a.stmt.Target = n.Subname
			a.kind("renames a role, which drops an MD5 password", action.IdentityChange, action.PrivilegeChange)
		}
	case *pg.AlterOwnerStmt:
		a.stmt.Verb = "alter " + objectWord(n.ObjectType) + " owner"
	case *pg.AlterSeqStmt:
		for _, o := range n.Options {
			if o.GetDefElem().GetDefname() == "restart" {
				a.kind("moves a sequence", action.DataWrite)
			}
		}
	}
	a.laterSetting(set)
}

func (a *analysis) laterSetting(set *pg.VariableSetStmt) {
	name := strings.ToLower(set.GetName())
	if _, parse := parseSettings[name]; parse {
		a.kind("changes how the server reads a text", action.ConfigChange, action.Unknown)
	}
	if name == "role" || name == "session_authorization" {
		a.kind("changes whose rights count", action.PrivilegeChange)
	}
}

func (a *analysis) createTable(n *pg.CreateStmt) {
	a.created(n.Relation, nil)
	a.stmt.Target = relationName(n.Relation)
	if temp := a.stmt.CreatesTemp; len(temp) > 0 { // LIKE and INHERITS
		for _, r := range n.InhRelations {
			temp[0].Sources = append(temp[0].Sources, relationName(r.GetRangeVar()))
		}
	}
}

func (a *analysis) foreignTable(n *pg.CreateForeignTableStmt) {
	a.stmt.Target = relationName(n.BaseStmt.GetRelation())
	for _, o := range n.Options {
		switch d := o.GetDefElem(); d.GetDefname() {
		case "program":
			a.kind("a foreign table over a program runs it on every read", action.Execute)
		case "filename":
			a.kind("a foreign table over a file of the server", action.SecretAccess)
		}
	}
}

func (a *analysis) createView(n *pg.ViewStmt) {
	a.defining = false
	b := a.sub(n.Query)
	a.absorb(b)
	a.stmt.Columns, a.stmt.Limit = nil, action.Count{}
	a.inferred = append(a.inferred, allSources(b.stmt.Columns)...)
	a.created(n.View, append(slices.Clone(b.stmt.Objects), marksOf(b.stmt.Columns)...))
	a.stmt.Verb, a.stmt.Target = "create view", relationName(n.View)
}

func (a *analysis) drop(n *pg.DropStmt) {
	s := &a.stmt
	s.Verb = "drop " + objectWord(n.RemoveType)
	names := make([]string, 0, len(n.Objects))
	for _, o := range n.Objects {
		switch {
		case n.RemoveType == pg.ObjectType_OBJECT_CAST || n.RemoveType == pg.ObjectType_OBJECT_TRANSFORM: // between types, without a name
		case o.GetList() != nil:
			names = append(names, nameOf(o.GetList().Items))
		case o.GetString_() != nil:
			names = append(names, o.GetString_().Sval)
		case o.GetObjectWithArgs() != nil:
			names = append(names, nameOf(o.GetObjectWithArgs().Objname))
		case o.GetTypeName() != nil:
			names = append(names, nameOf(o.GetTypeName().Names))
		}
	}
	a.objects = append(a.objects, names...)
	s.Target = strings.Join(names, ", ")
	switch n.RemoveType {
	case pg.ObjectType_OBJECT_POLICY:
		a.kind("row security decides who sees which rows", action.PrivilegeChange)
	case pg.ObjectType_OBJECT_PUBLICATION, pg.ObjectType_OBJECT_FOREIGN_SERVER, pg.ObjectType_OBJECT_FDW:
		a.kind("", action.NetworkChange)
	}
}

func (a *analysis) alterTable(c *pg.AlterTableCmd) {
	switch c.GetSubtype() {
	case pg.AlterTableType_AT_ChangeOwner:
		a.kind("an owner has every right", action.PrivilegeChange)
	case pg.AlterTableType_AT_EnableRowSecurity, pg.AlterTableType_AT_DisableRowSecurity,
		pg.AlterTableType_AT_ForceRowSecurity, pg.AlterTableType_AT_NoForceRowSecurity:
		a.kind("row security decides who sees which rows", action.PrivilegeChange)
	case pg.AlterTableType_AT_DisableTrig, pg.AlterTableType_AT_DisableTrigAll, pg.AlterTableType_AT_DisableTrigUser,
		pg.AlterTableType_AT_EnableReplicaTrig, pg.AlterTableType_AT_DisableRule, pg.AlterTableType_AT_EnableReplicaRule:
		a.kind("switches triggers or rules off, of checks and audits too", action.ConfigChange)
	case pg.AlterTableType_AT_DropColumn:
		a.kind("drops a column with its data")
		a.stmt.Reversible = false
	case pg.AlterTableType_AT_AlterColumnType, pg.AlterTableType_AT_DetachPartition:
		a.stmt.Reversible = false
	}
}

// functionOptions looks for rights and settings that a function brings along.
func (a *analysis) functionOptions(options []*pg.Node) {
	for _, o := range options {
		d := o.GetDefElem()
		switch d.GetDefname() {
		case "security":
			if v, known := constText(d.Arg); !known || v != "off" && v != "0" {
				a.kind("SECURITY DEFINER runs with its owner's rights", action.PrivilegeChange)
			}
		case "set":
			a.kind("a setting that holds while the function runs", action.ConfigChange)
			a.laterSetting(d.GetArg().GetVariableSetStmt())
		}
	}
}

func (a *analysis) grant(n *pg.GrantStmt) {
	s := &a.stmt
	if !n.IsGrant {
		s.Verb = "revoke"
	}
	for _, o := range n.Objects {
		if rv := o.GetRangeVar(); rv != nil {
			s.Target = relationName(rv)
			a.objects = append(a.objects, s.Target)
		}
	}
}

func objectWord(t pg.ObjectType) string {
	switch t {
	case pg.ObjectType_OBJECT_MATVIEW:
		return "materialized view"
	case pg.ObjectType_OBJECT_FDW:
		return "foreign data wrapper"
	}
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(t.String(), "OBJECT_"), "_", " "))
}
