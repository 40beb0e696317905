package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// What drivers' own test suites found (scripts/drivers, docs/postgres.md).

// TestBackendPID: a client tells its own notifications by the process id it was
// given at login, and looks itself up in pg_stat_activity by it.
func TestBackendPID(t *testing.T) {
	c := connect(t, start(t, &authority{}))
	var pid uint32
	if err := c.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pid); err != nil || pid != c.PgConn().PID() {
		t.Errorf("the server says %d, the login said %d (%v)", pid, c.PgConn().PID(), err)
	}
	if _, err := c.Exec(t.Context(), "listen driver"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "notify driver, 'hello'"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n, err := c.WaitForNotification(ctx)
	if err != nil || n.PID != c.PgConn().PID() || n.Payload != "hello" {
		t.Errorf("%+v %v", n, err)
	}
}

// TestCopyBinary: COPY in binary format is masked value by value and counted.
func TestCopyBinary(t *testing.T) {
	direct(t, "drop table if exists copy_binary", "create table copy_binary(id int, email text, n numeric, tags text[])",
		"insert into copy_binary select i, case when i = 3 then null when i = 2 then 'other "+plantedCard+"' else '"+plantedEmail+"' end, i, array['a', 'x "+plantedEmail+"'] from generate_series(1, 3) i")
	a := &authority{classed: []string{"email"}}
	c := connect(t, start(t, a))
	var out bytes.Buffer
	tag, err := c.PgConn().CopyTo(t.Context(), &out, "copy copy_binary (id, email, n) to stdout (format binary)")
	if err != nil || tag.RowsAffected() != 3 {
		t.Fatal(tag, err)
	}
	if planted.Match(out.Bytes()) || bytes.Count(out.Bytes(), []byte("[masked]")) != 2 {
		t.Errorf("%q", out.Bytes())
	}
	// What came reads back as it is: into a table, through the gate.
	direct(t, "drop table if exists copy_back", "create table copy_back(id int, email text, n numeric)")
	if tag, err = c.PgConn().CopyFrom(t.Context(), &out, "copy copy_back from stdin with binary"); err != nil || tag.RowsAffected() != 3 {
		t.Fatal(tag, err)
	}
	var got string
	want := "1 [masked] 1;2 [masked] 2;3 - 3"
	if err := direct(t).QueryRow(t.Context(), "select string_agg(id || ' ' || coalesce(email, '-') || ' ' || n, ';' order by id) from copy_back").Scan(&got); err != nil || got != want {
		t.Errorf("%q %v", got, err)
	}
	// No rows: header and trailer come as one message.
	out.Reset()
	if tag, err = c.PgConn().CopyTo(t.Context(), &out, "copy (select * from copy_binary where id < 0) to stdout with (format 'binary')"); err != nil || tag.RowsAffected() != 0 || out.Len() != 21 {
		t.Error(tag, err, out.Len())
	}
	for _, options := range []string{"binary", "with binary delimiter ','", "(format binary, header)", "(format binary, null 'x')"} {
		if _, err := c.PgConn().CopyTo(t.Context(), &out, "copy copy_binary to stdout "+options); err == nil && options != "binary" {
			t.Errorf("%s was let through", options)
		}
	}
	b := &authority{limit: 2}
	c = connect(t, start(t, b))
	out.Reset()
	if _, err := c.PgConn().CopyTo(t.Context(), &out, "copy copy_binary (id, n) to stdout (format binary)"); code(err) != "AS003" || out.Len() > 11+8+2*40 {
		t.Errorf("past the limit: %v, %d bytes", err, out.Len())
	}
}

// TestLongStatements: what nobody can parse or read is refused, not held.
func TestLongStatements(t *testing.T) {
	a := &authority{}
	c := connect(t, start(t, a))
	long := "select '" + strings.Repeat("x", 5<<20) + "'"
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
		if _, err := c.Exec(t.Context(), long, mode); code(err) != "54000" {
			t.Errorf("%v: %v", mode, err)
		}
	}
	if n := len(a.actions()); n != 0 {
		t.Errorf("%d actions", n)
	}
	var n int
	if err := c.QueryRow(t.Context(), "select length($1)", strings.Repeat("x", 5<<20)).Scan(&n); err != nil || n != 5<<20 {
		t.Error("as a parameter:", n, err)
	}
}

// TestCopyOptions: psycopg2's copy_to writes its options as E'…'.
func TestCopyOptions(t *testing.T) {
	tbl := table(t)
	c := connect(t, start(t, &authority{}))
	for options, want := range map[string]string{
		` WITH DELIMITER AS E'\t' NULL AS E'\\N'`: "1\t[masked]\txxxxxxxx\t10\n",
		` WITH DELIMITER AS '|' NULL AS ''`:       "3||xxxxxxxx|30\n",
		` (delimiter E'\\', null '\N')`:           "",
		` (delimiter E'\x41')`:                    "",
		` (delimiter U&'\0041')`:                  "",
		` (null 'other')`:                         "",
		` (null E'\\N''')`:                        "",
		` (delimiter E';' 'x')`:                   "",
	} {
		var out bytes.Buffer
		_, err := c.PgConn().CopyTo(t.Context(), &out, "COPY "+tbl+" TO stdout"+options)
		if (err == nil) != (want != "") || !strings.Contains(out.String(), want) || planted.Match(out.Bytes()) {
			t.Errorf("%s: %q %v", options, out.String(), err)
		}
	}
	if _, err := c.PgConn().CopyTo(t.Context(), io.Discard, "COPY no_such_table TO stdout"); code(err) != "42P01" || !strings.Contains(err.Error(), "no_such_table") {
		t.Error(err)
	}
}

// TestEncodings: UNICODE is a name of UTF8 that the server reports when a client has set
// it, and under SQL_ASCII it converts nothing. Any other encoding would be read differently.
func TestEncodings(t *testing.T) {
	dsn := start(t, &authority{})
	c := connect(t, dsn)
	for _, s := range []string{"set client_encoding to 'UNICODE'", "select 1", "set client_encoding to sql_ascii", "select 'é€'", "reset client_encoding"} {
		if _, err := c.Exec(t.Context(), s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	if _, err := c.Exec(t.Context(), "set client_encoding to 'LATIN1'"); code(err) != "22023" {
		t.Error(err)
	}
	c = connect(t, dsn+"&client_encoding=sql_ascii")
	if got := c.PgConn().ParameterStatus("client_encoding"); got != "SQL_ASCII" {
		t.Errorf("asked for SQL_ASCII and got %q", got)
	}
	var n int
	if err := c.QueryRow(t.Context(), "select length('é€')").Scan(&n); err != nil || n != 2 {
		t.Errorf("two characters are %d: %v", n, err)
	}
	if _, err := c.Exec(t.Context(), "select '\xe9'", pgx.QueryExecModeSimpleProtocol); code(err) != "22021" {
		t.Errorf("bytes that are not UTF-8: %v", err)
	}
}

// TestParametersOfUserTypes: what is made of the server's own parts runs nothing when it is
// read; a domain's check, an operator class or a type that nobody sees yet may.
func TestParametersOfUserTypes(t *testing.T) {
	direct(t, "drop schema if exists own cascade", "create schema own",
		"create type own.mood as enum ('sad', 'ok')", "create type own.pair as (a int, m own.mood)", "create type own.span as range (subtype = numeric)",
		"create domain own.small as int check (value < 10)", "create type own.hidden as (a int, s own.small)",
		"create function own.cmp(int, int) returns int immutable language sql as 'select $1 - $2'",
		"create operator class own.ops for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 own.cmp(int, int)",
		"create type own.odd as range (subtype = int, subtype_opclass = own.ops)")
	a := &authority{}
	c := connect(t, start(t, a))
	asked := func() bool {
		for _, x := range a.actions() {
			if has(x, action.Unknown) {
				return true
			}
		}
		return false
	}
	for _, x := range []struct {
		typ, value string
		runs       bool
	}{
		{"own.mood", "ok", false},
		{"own.mood[]", "{ok,sad}", false},
		{"own.pair", "(1,ok)", false},
		{"own.span", "[1,2)", false},
		{"own.pair[]", `{"(1,ok)"}`, false},
		{"own.small", "3", true},
		{"own.small[]", "{3}", true},
		{"own.hidden", "(1,3)", true},
		{"own.odd", "[1,2)", true},
	} {
		var oid uint32
		if err := direct(t).QueryRow(t.Context(), "select '"+x.typ+"'::regtype::oid").Scan(&oid); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from memory
			a.mu.Lock()
			a.asked = nil
			a.mu.Unlock()
			r := c.PgConn().ExecParams(t.Context(), "select $1", [][]byte{[]byte(x.value)}, []uint32{oid}, nil, nil).Read()
			if r.Err != nil || string(r.Rows[0][0]) != x.value || asked() != x.runs {
				t.Errorf("%s: %v, asked about unknown code: %v", x.typ, r.Err, asked())
			}
		}
	}
	// Not committed: the catalogue that the gate reads does not have it.
	var oid uint32
	if _, err := c.Exec(t.Context(), "begin; create type own.fresh as enum ('a')"); err != nil {
		t.Fatal(err)
	}
	if err := c.QueryRow(t.Context(), "select 'own.fresh'::regtype::oid").Scan(&oid); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.asked = nil
	a.mu.Unlock()
	if r := c.PgConn().ExecParams(t.Context(), "select $1", [][]byte{[]byte("a")}, []uint32{oid}, nil, nil).Read(); r.Err != nil || !asked() {
		t.Error("a type of this transaction:", r.Err, asked())
	}
}

// call sends a FunctionCall with binary arguments and returns its value, or the error's code.
func call(t *testing.T, fe *pgproto3.Frontend, function uint32, args ...[]byte) (value []byte, failed string) {
	t.Helper()
	fe.Send(&pgproto3.FunctionCall{Function: function, ArgFormatCodes: []uint16{1}, Arguments: args, ResultFormatCode: 1})
	if err := fe.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := fe.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.FunctionCallResponse:
			value = bytes.Clone(m.Result)
		case *pgproto3.ErrorResponse:
			failed = m.Code
		case *pgproto3.ReadyForQuery:
			return value, failed
		}
	}
}

// TestLargeObjects: libpq's lo_* functions and JDBC's LargeObject are function calls.
// Each is decided as the SELECT that does the same, and what comes back is masked.
func TestLargeObjects(t *testing.T) {
	a := &authority{}
	c := connect(t, start(t, a))
	fe := c.PgConn().Frontend()
	n := func(v int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }
	if _, err := c.Exec(t.Context(), "begin"); err != nil {
		t.Fatal(err)
	}
	oid, failed := call(t, fe, 957, n(0x60000)) // lo_creat
	if failed != "" || len(oid) != 4 {
		t.Fatal(oid, failed)
	}
	fd, _ := call(t, fe, 952, oid, n(0x60000))                                                                  // lo_open
	if wrote, failed := call(t, fe, 955, fd, []byte("see "+plantedEmail+"!")); failed != "" || wrote[3] != 29 { // lowrite
		t.Fatal(wrote, failed)
	}
	if at, failed := call(t, fe, 956, fd, n(0), n(0)); failed != "" || !bytes.Equal(at, n(0)) { // lo_lseek
		t.Fatal(at, failed)
	}
	if got, failed := call(t, fe, 954, fd, n(100)); failed != "" || string(got) != "see [masked]!" { // loread
		t.Errorf("%q %s", got, failed)
	}
	var verbs []string
	for _, x := range a.actions() {
		verbs = append(verbs, strings.TrimPrefix(strings.SplitN(x.Statement, "\n", 2)[0], "SELECT pg_catalog."))
	}
	if got := strings.Join(verbs, " "); !strings.HasPrefix(got, "lo_creat($1) lo_open($1, $2) lowrite($1, $2)") {
		t.Errorf("asked: %s", got)
	}
	if _, failed := call(t, fe, 954, n(77), n(1)); failed != "42704" { // no such descriptor: the server's own words
		t.Error(failed)
	}
	if _, failed := call(t, fe, 953, fd); failed != "25P02" {
		t.Error("in a failed transaction:", failed)
	}
	if _, err := c.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	for _, f := range []uint32{1, 765, 767, 1574, 16400} { // lo_export writes files, setval, one of a user's
		if _, failed := call(t, fe, f, n(1)); failed != "0A000" {
			t.Errorf("function %d: %s", f, failed)
		}
	}
	// Denied like any other statement, and nothing happens.
	c = connect(t, start(t, &authority{decide: denyWrites}))
	if _, failed := call(t, c.PgConn().Frontend(), 957, n(0x60000)); failed != "42501" {
		t.Error(failed)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
