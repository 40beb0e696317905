package postgres_test

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// wiredSetup has code where no statement names it: behind a view and a trigger.
var wiredSetup = []string{
	"create view bypass.renaming as select bypass.renamer('p', '" + harmful + "')",
	"create table bypass.triggering(n int)",
	"create function bypass.renames() returns trigger language plpgsql as $$ begin perform bypass.renamer('p', '" + harmful + "'); return null; end $$",
	"create trigger renames before insert on bypass.triggering for each row execute function bypass.renames()",
}

const (
	fromView  = "select *, 'bypass.allowed' from bypass.renaming"
	byTrigger = "insert into bypass.triggering select 1 where 'bypass.allowed' <> ''"
	reversed  = "select reverse(ssn) as x from bypass.customers"
	plain     = "select id::text as x from bypass.customers where id = 1"
)

// wired are sessions in which the gate believed something that was no longer so.
var wired = []desyncCase{
	{"EXECUTE of a DEALLOCATE and a PREPARE that nobody noted", []messages{
		{parse("p", plain), parse("d", "deallocate p"), parse("n", "prepare p as "+reversed), sync_}, {query("execute d")}, {query("execute n")}, {query("execute p")},
	}, ";ERROR 0A000;ERROR 0A000;row 1,SELECT 1", false},
	{"the same by Bind", []messages{
		{parse("p", plain), parse("d", "deallocate p"), parse("n", "prepare p as "+reversed), parse("x", "execute d"), parse("y", "execute n"), sync_},
		{bind("", "x"), execute("", 0), sync_},
		{bind("", "y"), execute("", 0), sync_},
		{bind("", "p"), execute("", 0), sync_},
	}, ";ERROR 0A000;ERROR 0A000;row 1,SELECT 1", false},
	{"EXECUTE of a CLOSE and a DECLARE that nobody noted", []messages{
		{parse("d", "close c"), parse("n", "declare c cursor for "+reversed), sync_},
		{query("begin; declare c cursor for " + plain)},
		{query("savepoint a")},
		{query("execute d")},
		{query("rollback to a")},
		{query("execute n")},
		{query("rollback to a")},
		{query("fetch all from c")},
		{query("rollback")},
	}, ";BEGIN,DECLARE CURSOR;SAVEPOINT;ERROR 0A000;ROLLBACK;ERROR 0A000;ROLLBACK;row 1,FETCH 1;ROLLBACK", false},
	{"EXECUTE of a COMMIT that nobody noted", []messages{
		{parse("c", "commit"), sync_}, {query("begin; insert into bypass.allowed values (1)")}, {query("execute c")}, {query("rollback")},
	}, ";BEGIN,INSERT 0 1;ERROR 0A000;ROLLBACK", false},
	{"EXECUTE of an EXECUTE", []messages{{parse("t", harmful), parse("s", "execute t"), sync_}, {query("execute s")}}, ";ERROR 0A000", false},
	{"EXECUTE of nothing", []messages{{parse("s", ""), sync_}, {query("execute s")}, {query(harmless)}}, ";ERROR 0A000;row 1,SELECT 1", false},
	{"EXECUTE of what the protocol prepared", []messages{{parse("s", harmless), sync_}, {query("execute s")}}, ";row 1,SELECT 1", false},
	{"a name that a view's function prepared anew", []messages{
		{parse("p", harmless), sync_}, {query(fromView)}, {bind("", "p"), execute("", 0), sync_},
	}, ";row 1|bypass.allowed,SELECT 1;ERROR 26000", false},
	{"a name that a view's function prepared anew, read by a cursor", []messages{
		{parse("p", harmless), sync_}, {query("begin; declare c cursor for " + fromView)}, {query("fetch all from c")}, {bind("", "p"), execute("", 0), sync_}, {query("rollback")},
	}, ";BEGIN,DECLARE CURSOR;row 1|bypass.allowed,FETCH 1;ERROR 26000;ROLLBACK", false},
	{"a name that a trigger prepared anew", []messages{
		{parse("p", harmless), sync_}, {query(byTrigger)}, {bind("", "p"), execute("", 0), sync_},
	}, ";INSERT 0 0;ERROR 26000", false},
	{"a name that a trigger prepared anew in the same text", []messages{
		{query("prepare p as " + harmless)}, {query(byTrigger + "; execute p")}, {query("execute p")},
	}, "PREPARE;ERROR 55000;row 1,SELECT 1", false},
	{"a name that a trigger prepared anew in the same pipeline", []messages{
		{parse("p", harmless), sync_}, {parse("", byTrigger), bind("", ""), execute("", 0), bind("", "p"), execute("", 0), sync_},
	}, ";INSERT 0 0,ERROR 26000", false},
	{"a pipeline behind a trigger that leaves its names alone", []messages{
		{parse("p", harmless), parse("o", plain), parse("", byTrigger), bind("", ""), execute("", 0), bind("", "o"), execute("", 0), sync_},
	}, "INSERT 0 0,row 1,SELECT 1", false},
	{"a portal that a savepoint keeps when its batch fails", []messages{
		{query("begin")},
		{parse("a", "insert into bypass.allowed values (7)"), parse("s", "savepoint s"), parse("bad", "select 1/0"), sync_},
		{bind("p", "a"), bind("", "s"), execute("", 0), bind("", "bad"), execute("", 0), sync_},
		{query("rollback to s")},
		{execute("p", 0), sync_},
		{query("commit")},
	}, "BEGIN;;SAVEPOINT,ERROR 22012;ROLLBACK;ERROR 34000;ROLLBACK", false},
	{"a portal that a savepoint keeps, under another's permit", []messages{
		{query("begin")},
		{parse("a", "select id from bypass.customers"), parse("s", "savepoint s"), parse("bad", "select 1/0"), sync_},
		{bind("p", "a"), bind("", "s"), execute("", 0), bind("", "bad"), execute("", 0), sync_},
		{query("rollback to s")},
		{parse("h", harmless), bind("", "h"), execute("p", 0), sync_},
		{query("commit")},
	}, "BEGIN;;SAVEPOINT,ERROR 22012;ROLLBACK;ERROR 34000;ROLLBACK", false},
	{"a portal that was read in part goes on when its batch fails", []messages{
		{query("begin")},
		{parse("a", "select id from bypass.customers order by id"), parse("s", "savepoint s"), parse("bad", "select 1/0"), sync_},
		{bind("p", "a"), execute("p", 1), bind("", "s"), execute("", 0), bind("", "bad"), execute("", 0), sync_},
		{query("rollback to s")},
		{execute("p", 1), sync_},
		{query("commit")},
	}, "BEGIN;;row 1,suspended,SAVEPOINT,ERROR 22012;ROLLBACK;row 2,suspended;COMMIT", false},
}

// The types of a statement's parameters are part of what EXECUTE runs: reading a
// domain's value calls its check.
func TestExecuteReadsItsParameters(t *testing.T) {
	d := direct(t, bypassSetup...)
	a := &authority{decide: readsOnly}
	dsn := start(t, a)
	var domain uint32
	if err := d.QueryRow(t.Context(), "select 'bypass.evil_domain'::regtype::oid").Scan(&domain); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"execute s('v')", "select 1; execute s('v')", "explain analyze execute s('v')"} {
		w := dialWire(t, dsn)
		for _, m := range []messages{{&pgproto3.Parse{Name: "s", Query: "select $1", ParameterOIDs: []uint32{domain}}, sync_}, {query(text)}} {
			if err := w.send(m); err != nil {
				t.Fatal(err)
			}
			if heard, _, err := w.until(); err != nil || len(m) == 1 && !slices.Equal(heard, []string{"ERROR 42501"}) {
				t.Errorf("%s: heard %q, %v", text, heard, err)
			}
		}
	}
	var n int
	if err := d.QueryRow(t.Context(), "select n from bypass.marker").Scan(&n); err != nil || n != 0 {
		t.Errorf("BYPASS: the domain's check ran %d times (%v)", n, err)
	}
}

// What a client sends after an error and before its Sync is dropped, and takes no memory.
func TestDroppedMessagesTakeNoMemory(t *testing.T) {
	const size, times = 1 << 20, 200
	dsn := start(t, &authority{})
	w := dialWire(t, dsn)
	dropped := binary.BigEndian.AppendUint32([]byte{'B'}, 4+size)
	dropped = append(dropped, bytes.Repeat([]byte{0}, size)...)
	for name, first := range map[string]messages{"refused here": {bind("", "nope")}, "refused by the server": {parse("", "selec 1"), flush_}} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if err := w.send(first); err != nil {
			t.Fatal(err)
		}
		for range times {
			if _, err := w.conn.Write(dropped); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > size*times/4 {
			t.Errorf("%s: the heap grew by %d bytes", name, grown)
		}
		if err := w.send(messages{sync_}); err != nil {
			t.Fatal(err)
		}
		if heard, _, err := w.until(); err != nil || len(heard) != 1 {
			t.Errorf("%s: heard %q, %v", name, heard, err)
		}
	}
}

// A limit that trips when a message of several statements has been committed says so:
// the client would take it for undone.
func TestALimitBehindACommitSaysSo(t *testing.T) {
	d := direct(t, append(bypassSetup, "create table bypass.allowed(n int)")...)
	dsn := start(t, &authority{limit: 1})
	for text, said := range map[string]bool{
		"insert into bypass.allowed values (1); select id from bypass.customers":                                               true,
		"select id from bypass.customers":                                                                                      false,
		"insert into bypass.allowed values (2); select repeat('x', 1000), generate_series(1, 100000000) from bypass.customers": false,
	} {
		w := dialWire(t, dsn)
		if err := w.send(messages{query(text)}); err != nil {
			t.Fatal(err)
		}
		var denial *pgproto3.ErrorResponse
		for denial == nil {
			m, err := w.f.Receive() // to the refusal
			if err != nil {
				t.Fatal(text, err)
			}
			denial, _ = m.(*pgproto3.ErrorResponse)
		}
		if denial.Code != "AS003" || strings.Contains(denial.Hint, "committed") != said {
			t.Errorf("%s: %s %q %q", text, denial.Code, denial.Message, denial.Hint)
		}
	}
	var rows string
	if err := d.QueryRow(t.Context(), "select string_agg(n::text, ',') from bypass.allowed").Scan(&rows); err != nil || rows != "1" {
		t.Errorf("kept were %q (%v), want the row of the message that was committed", rows, err)
	}
}
