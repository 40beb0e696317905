package sql

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/action"
)

func one(t *testing.T, c *Classifier, text string) *Statement {
	t.Helper()
	r := c.Classify(text, State{ServerVersion: 150018})
	if len(r.Statements) != 1 {
		t.Fatalf("%q: %d statements", text, len(r.Statements))
	}
	return &r.Statements[0]
}

func TestTransactionAndSession(t *testing.T) {
	c := New(Options{})
	for text, want := range map[string]TxEffect{
		"BEGIN": {Op: TxBegin}, "START TRANSACTION": {Op: TxBegin}, "COMMIT": {Op: TxCommit}, "END": {Op: TxCommit},
		"ROLLBACK": {Op: TxRollback}, "ABORT": {Op: TxRollback}, "SAVEPOINT a": {TxSavepoint, "a"}, "RELEASE a": {TxRelease, "a"},
		"ROLLBACK TO a": {TxRollbackTo, "a"}, "PREPARE TRANSACTION 'g'": {TxPrepare, "g"},
		"COMMIT PREPARED 'g'": {TxCommitPrepared, "g"}, "ROLLBACK PREPARED 'g'": {TxRollbackPrepared, "g"}, "SELECT 1": {},
	} {
		if got := one(t, c, text).Tx; got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	for text, want := range map[string]SessionEffect{
		"SET jit = off":                         {Kind: SessionSet, Name: "jit", Value: "off", Known: true},
		"SET LOCAL JIT = off":                   {Kind: SessionSetLocal, Name: "jit", Value: "off", Known: true, Local: true},
		"SET search_path = a, \"B\"":            {Kind: SessionSearchPath, Name: "search_path", Value: "a, B", Known: true},
		"SET ROLE x":                            {Kind: SessionRole, Name: "role", Value: "x", Known: true},
		"RESET ROLE":                            {Kind: SessionRole, Name: "role"},
		"SELECT set_config('role', 'x', false)": {Kind: SessionRole, Name: "role", Value: "x", Known: true},
		"SELECT set_config('role', $1, false)":  {Kind: SessionRole, Name: "role"},
		"SELECT set_config($1, 'x', false)":     {Kind: SessionSet},
		"RESET ALL":                             {Kind: SessionReset, Name: "*"},
		"DISCARD ALL":                           {Kind: SessionDiscard, Name: "*"},
		"SET SESSION AUTHORIZATION x":           {Kind: SessionAuthorization, Name: "session_authorization", Value: "x", Known: true},
		"COPY (SELECT set_config('role','x',true)) TO STDOUT": {Kind: SessionRole, Name: "role", Value: "x", Known: true},
	} {
		got := one(t, c, text).Session
		if diff := cmp.Diff([]SessionEffect{want}, got); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", text, diff)
		}
	}
}

func TestPreparedAndCursors(t *testing.T) {
	c := New(Options{})
	p := one(t, c, "PREPARE p AS DELETE FROM orders WHERE id = $1")
	if p.Prepare == nil || p.Prepare.Name != "p" || !p.Prepare.Inner.Has(action.DataDelete) || !p.Has(action.DataDelete) {
		t.Fatalf("prepare: %+v", p)
	}
	e := one(t, c, "EXECUTE p(nextval('s'))")
	if e.Execute != "p" || !e.Has(action.Unknown) {
		t.Fatalf("execute: %+v", e)
	}
	r := e.Resolve(p.Prepare.Inner)
	if want := []action.Kind{action.DataDelete, action.DataWrite}; !slices.Equal(r.Kinds, want) {
		t.Errorf("resolved: %v, want %v", r.Kinds, want)
	}
	as := one(t, c, "CREATE TABLE x AS EXECUTE p")
	if r := as.Resolve(p.Prepare.Inner); !r.Has(action.SchemaChange) || !r.Has(action.DataDelete) {
		t.Errorf("CREATE TABLE AS EXECUTE resolved: %v", r.Kinds)
	}
	d := one(t, c, "DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers")
	if d.Cursor == nil || d.Cursor.Op != CursorDeclare || !d.Cursor.Hold || len(d.Columns) != 0 {
		t.Fatalf("declare: %+v", d)
	}
	f := one(t, c, "FETCH 10 FROM c")
	if !f.Has(action.Unknown) || f.Limit != action.KnownCount(10) {
		t.Errorf("fetch: %+v", f)
	}
	if r := f.Resolve(d.Cursor.Inner); !r.ReadOnly() || len(r.Columns) != 1 || r.Columns[0].Sources[0] != "customers.email" {
		t.Errorf("fetch resolved: %+v", r)
	}
	if f := one(t, c, "FETCH ALL FROM c"); f.Limit.Known {
		t.Errorf("FETCH ALL has a limit: %+v", f.Limit)
	}
	if got := one(t, c, "CLOSE ALL").Cursor; got.Op != CursorClose || got.Name != "*" {
		t.Errorf("close all: %+v", got)
	}
	if got := one(t, c, "DEALLOCATE ALL").Deallocate; got != "*" {
		t.Errorf("deallocate all: %q", got)
	}
}

func TestTemporaryRelations(t *testing.T) {
	c := New(Options{})
	v := one(t, c, "CREATE TEMP VIEW orders AS SELECT ssn FROM customers")
	if diff := cmp.Diff([]Temp{{Name: "orders", Sources: []string{"customers"}}}, v.CreatesTemp); diff != "" {
		t.Fatal(diff)
	}
	st := State{Temp: v.CreatesTemp}
	r := c.Classify("SELECT ssn FROM orders", st).Statements[0]
	if !slices.Contains(r.Objects, "customers") || !slices.Contains(r.Columns[0].Sources, "customers.ssn") || !r.Columns[0].Derived {
		t.Errorf("a temporary view does not inherit: %+v", r)
	}
	r = c.Classify("SELECT ssn FROM public.orders", st).Statements[0]
	if slices.Contains(r.Objects, "customers") {
		t.Errorf("a qualified name means another relation: %v", r.Objects)
	}
	if r := c.Classify("SELECT 'x'::text", State{Temp: []Temp{{Name: "text"}}}).Statements[0]; !r.Has(action.Unknown) {
		t.Error("a temporary relation's row type hides the built-in type")
	}
}

func TestVouchedFunctionsAndVersions(t *testing.T) {
	c := New(Options{Harmless: []string{"public.slugify"}})
	if s := one(t, c, "SELECT public.slugify('a')"); s.Harmless == "" {
		t.Errorf("a vouched function: %v", s.Why)
	}
	if s := one(t, c, "SELECT slugify('a')"); !s.Has(action.Unknown) {
		t.Error("the vouched function is another one without its schema")
	}
	const text = "SELECT json_value('{}', '$.a')"
	if s := c.Classify(text, State{ServerVersion: 170001}).Statements[0]; s.Harmless == "" {
		t.Errorf("built in from 17 on: %v", s.Why)
	}
}

// No literal gets into anything that is shown or stored.
func TestNoLiteralLeaves(t *testing.T) {
	const secret = "s3cr3t-Zq9"
	c := New(Options{})
	for _, text := range []string{
		"SELECT * FROM t WHERE a = '" + secret + "'", "INSERT INTO t VALUES ('" + secret + "')", "ALTER ROLE a PASSWORD '" + secret + "'",
		"CREATE USER MAPPING FOR a SERVER s OPTIONS (password '" + secret + "')", "NOTIFY c, '" + secret + "'", "syntax '" + secret + "' error",
		"SELECT f('" + secret + "')", "COMMENT ON TABLE t IS '" + secret + "'", "DO '" + secret + "'", "COPY t TO PROGRAM '" + secret + "'",
		"SELECT query_to_xml('" + secret + "', true, true, '')", "UPDATE t SET a = E'" + secret + "' RETURNING '" + secret + "'",
	} {
		for _, s := range c.Classify(text, State{}).Statements {
			shown := strings.Join(append(append(append([]string{s.Title, s.Target, s.Verb, s.Harmless, s.Shape}, s.Why...), s.Objects...), s.Inferred...), "\n")
			for _, col := range s.Columns {
				shown += col.Name + strings.Join(col.Sources, " ")
			}
			if strings.Contains(shown, secret) {
				t.Errorf("%q shows its literal:\n%s", text, shown)
			}
		}
	}
	a := one(t, c, "ALTER ROLE a PASSWORD 'one'").Shape
	if b := one(t, c, "ALTER ROLE a PASSWORD 'two'").Shape; a != b {
		t.Error("a password enters the shape")
	}
	for _, pair := range [][2]string{
		{"SET ROLE a", "SET ROLE b"},
		{"SELECT a FROM t", "SELECT a FROM u"},
		{"DO 'x'", "DO 'y'"},
		{"SELECT 1", "SELECT NULL::int"},
		{"COPY t TO PROGRAM 'a'", "COPY t TO PROGRAM 'b'"},
		{"SELECT DISTINCT a FROM t", "SELECT a FROM t"},
	} {
		if one(t, c, pair[0]).Shape == one(t, c, pair[1]).Shape {
			t.Errorf("%q and %q have one shape", pair[0], pair[1])
		}
	}
	if one(t, c, "SELECT a FROM t WHERE b = 1").Shape != one(t, c, "SELECT a FROM t  WHERE b = 22").Shape {
		t.Error("a literal enters the shape")
	}
}

func TestTitles(t *testing.T) {
	c := New(Options{})
	for text, want := range map[string]string{
		"COPY public.customers TO STDOUT":    "Export public.customers by COPY",
		"COPY customers TO PROGRAM 'x'":      "Export customers by COPY through a program of the server",
		"DELETE FROM orders":                 "Delete from orders without WHERE",
		"DELETE FROM orders WHERE 'a' = 'a'": "Delete from orders with a WHERE that names no column",
		"DELETE FROM orders WHERE id = 1":    "Delete from orders",
		"UPDATE orders SET a = 1":            "Update orders without WHERE",
		"SELECT a FROM customers":            "Read customers",
		"DROP TABLE a, b.c":                  "Drop table a, b.c",
		"GRANT SELECT ON customers TO x":     "Grant customers",
		"PREPARE p AS DELETE FROM orders":    "Prepare: Delete from orders without WHERE",
		"EXPLAIN ANALYZE DELETE FROM orders": "Run and explain a statement on orders",
	} {
		if got := one(t, c, text).Title; got != want {
			t.Errorf("%q: title %q, want %q", text, got, want)
		}
	}
}
