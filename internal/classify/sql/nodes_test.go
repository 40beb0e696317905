package sql

import (
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// analysed nodes come from PostgreSQL's analysis and planning, never from its
// grammar. They are on no list on purpose: one that turns up is unknown.
var analysed = words(`Aggref AlternativeSubPlan ArrayCoerceExpr ArrayExpr CallContext CaseTestExpr CoerceToDomain
	CoerceToDomainValue CoerceViaIO ConvertRowtypeExpr DistinctExpr FieldSelect FieldStore FromExpr FuncExpr InferenceElem
	InlineCodeBlock IntList JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan JsonTableSiblingJoin MergeAction
	NextValueExpr NullIfExpr OidList OnConflictExpr OpExpr Param PLAssignStmt Query RTEPermissionInfo RangeTblEntry
	RangeTblFunction RangeTblRef RelabelType RowCompareExpr RowMarkClause ScalarArrayOpExpr SetOperationStmt SortGroupClause
	SubPlan SubscriptingRef TableFunc TableSampleClause TargetEntry Var WindowClause WindowFunc WindowFuncRunCondition
	WithCheckOption CollateExpr`)

// handled nodes have a branch of their own.
var handled = words(`A_Indirection ColumnRef DeleteStmt FuncCall InsertStmt JsonTable MergeStmt MergeWhenClause
	OnConflictClause RangeFunction RangeSubselect RangeTableFunc RangeTableSample RangeVar RawStmt SelectStmt TypeName
	UpdateStmt WithClause TransactionStmt VariableSetStmt VariableShowStmt DiscardStmt ExplainStmt PrepareStmt ExecuteStmt
	DeallocateStmt DeclareCursorStmt FetchStmt ClosePortalStmt CopyStmt ListenStmt UnlistenStmt NotifyStmt TruncateStmt
	CreateTableAsStmt ConstraintsSetStmt`)

// Every node of libpg_query's tree is on exactly one list, and the lists name
// no node that does not exist.
func TestNodesAreListed(t *testing.T) {
	exists := map[string]bool{}
	fields := (&pg.Node{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Message().Name())
		exists[name] = true
		lists := 0
		for _, list := range []map[string]bool{valueNodes, definitionNodes, analysed, handled} {
			if list[name] {
				lists++
			}
		}
		if _, ok := definitions[name]; ok {
			lists++
		}
		if lists != 1 {
			t.Errorf("%s is on %d lists", name, lists)
		}
	}
	for name := range definitions {
		if !exists[name] {
			t.Errorf("definitions: no node %s", name)
		}
	}
}

// The lists of names do not contradict each other.
func TestFunctionLists(t *testing.T) {
	for name := range harmful {
		if harmlessFunctions[name] {
			t.Errorf("%s is both harmful and harmless", name)
		}
	}
	for name := range dataFunctions {
		if !harmlessFunctions[name] {
			t.Errorf("%s reads data but is not listed as harmless", name)
		}
	}
	for _, dangerous := range []string{"pg_read_file", "dblink", "query_to_xml", "lo_export", "set_config", "ts_rewrite", "ts_stat", "pg_sleep"} {
		if _, ok := harmful[dangerous]; !ok {
			t.Errorf("%s is not listed as harmful", dangerous)
		}
	}
}
