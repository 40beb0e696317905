package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/jackc/pgx/v5/pgproto3"
)

// boundSetup makes tables whose writes are counted in every way there is.
var boundSetup = []string{
	"drop schema if exists bounds cascade", "create schema bounds",
	"create table bounds.t (id int primary key, n int not null)",
	"create table bounds.other (id int references bounds.t deferrable initially deferred)",
	"create table bounds.log (what text)",
	"insert into bounds.t select i, 0 from generate_series(1, 10) i",
}

// What a client hears of a write that the gate ran in a transaction of its own
// is what the server says without the gate.
var bounded = []struct {
	name   string
	script []messages // one ReadyForQuery each
	bound  int64
	stops  bool // past its bound: AS003, and nothing is left of it
	denied bool // can't be bound at all
}{
	{"simple", []messages{{query("update bounds.t set n = 1 where id <= 3")}}, 3, false, false},
	{"simple, past", []messages{{query("update bounds.t set n = 1 where id <= 4")}}, 3, true, false},
	{"returning", []messages{{query("delete from bounds.t where id <= 3 returning id")}}, 3, false, false},
	{"returning, past", []messages{{query("delete from bounds.t where id <= 4 returning id")}}, 3, true, false},
	{"insert", []messages{{query("insert into bounds.t values (11, 1), (12, 1)")}}, 2, false, false},
	{"insert select, past", []messages{{query("insert into bounds.log select id::text from bounds.t")}}, 9, true, false},
	{"merge, past", []messages{{query("merge into bounds.t using (select 1 as id) s on t.id = s.id or t.id = 2 when matched then update set n = 2")}}, 1, true, false},
	{"two statements", []messages{{query("update bounds.t set n = 1 where id = 1; update bounds.t set n = 2 where id = 2")}}, 1, false, false},
	{"the second past", []messages{{query("update bounds.t set n = 1 where id = 1; update bounds.t set n = 2")}}, 1, true, false},
	{"the first past", []messages{{query("update bounds.t set n = 1; update bounds.t set n = 2 where id = 1")}}, 1, true, false},
	{"the second fails", []messages{{query("update bounds.t set n = 1 where id = 1; select 1/0")}}, 1, false, false},
	{"it fails", []messages{{query("update bounds.t set n = null")}}, 3, false, false},
	{"it is refused", []messages{{query("update bounds.nowhere set n = 1")}}, 3, false, false},
	{"COMMIT fails", []messages{{query("insert into bounds.other values (77)")}, {query("select 1")}}, 3, false, false},
	{"COMMIT fails, extended", []messages{{parse("", "insert into bounds.other values (77)"), bind("", ""), execute("", 0), sync_}, {query("select 1")}}, 3, false, false},
	{"extended", []messages{{parse("", "update bounds.t set n = 1 where id <= 3"), bind("", ""), execute("", 0), sync_}}, 3, false, false},
	{"parsed by itself", []messages{{parse("", "update bounds.t set n = 1 where id <= 3"), sync_}, {bind("", ""), execute("", 0), sync_}, {bind("", ""), execute("", 0), sync_}}, 3, false, false},
	{"parsed by itself, and COMMIT fails twice", []messages{{parse("", "insert into bounds.other values (77)"), sync_}, {bind("", ""), execute("", 0), sync_}, {bind("", ""), execute("", 0), sync_}, {query("select 1")}}, 3, false, false},
	{"extended, past", []messages{{parse("", "update bounds.t set n = 1"), bind("", ""), execute("", 0), sync_}}, 3, true, false},
	{"prepared, run twice", []messages{
		{parse("s", "update bounds.t set n = n + 1 where id <= 3"), sync_},
		{bind("", "s"), execute("", 0), sync_},
		{bind("", "s"), execute("", 0), sync_},
	}, 3, false, false},
	{"a pipeline", []messages{{
		parse("", "update bounds.t set n = 1 where id = 1"), bind("", ""), execute("", 0),
		parse("", "select n from bounds.t where id < 3 order by id"), bind("", ""), execute("", 0),
		parse("", "update bounds.t set n = 2 where id = 2"), bind("", ""), execute("", 0), sync_,
	}}, 1, false, false},
	{"a pipeline, the last past", []messages{{
		parse("", "update bounds.t set n = 1 where id = 1"), bind("", ""), execute("", 0),
		parse("", "update bounds.t set n = 2"), bind("", ""), execute("", 0), sync_,
	}}, 1, true, false},
	{"a pipeline that fails in the middle", []messages{{
		parse("", "update bounds.t set n = 1 where id = 1"), bind("", ""), execute("", 0),
		parse("", "select 1/0"), bind("", ""), execute("", 0),
		parse("", "update bounds.t set n = 2 where id = 2"), bind("", ""), execute("", 0), sync_,
	}, {query("select sum(n) from bounds.t")}}, 1, false, false},
	{"bound and never run", []messages{{parse("", "update bounds.t set n = 1"), bind("", ""), sync_}}, 1, false, false},
	{"read in part", []messages{{parse("", "update bounds.t set n = 1 returning id"), bind("", ""), execute("", 1), sync_}}, 1, true, false},
	{"read in part inside a transaction", []messages{
		{query("begin")}, {parse("", "update bounds.t set n = 1 returning id"), bind("", ""), execute("", 1), sync_}, {query("commit")},
	}, 1, true, false},
	{"a transaction of the client's", []messages{{query("begin")}, {query("update bounds.t set n = 1 where id <= 3")}, {query("commit")}}, 3, false, false},
	{"a transaction of the client's, past", []messages{{query("begin")}, {query("update bounds.t set n = 1")}, {query("commit")}}, 3, true, false},
	{"rolled back to a savepoint", []messages{
		{query("begin")}, {query("savepoint a")}, {query("update bounds.t set n = 1")}, {query("rollback to a")}, {query("commit")},
	}, 3, true, false},
	{"its own COMMIT", []messages{{query("update bounds.t set n = 1 where id = 1; commit")}}, 1, false, true},
	{"COMMIT pipelined behind it", []messages{{query("begin")}, {
		parse("", "update bounds.t set n = 1"), bind("", ""), execute("", 0),
		parse("", "commit"), bind("", ""), execute("", 0), sync_,
	}}, 1, false, true},
	{"Flush instead of Sync", []messages{{parse("", "update bounds.t set n = 1"), bind("", ""), execute("", 0), flush_, sync_}}, 1, false, true},
	{"what can't run in a transaction", []messages{{query("select 1")}, {query("create database bounds_db")}}, 1, false, false},
}

func TestBoundOutsideATransaction(t *testing.T) {
	for _, c := range bounded {
		t.Run(c.name, func(t *testing.T) {
			d := direct(t, boundSetup...)
			state := func() string {
				var s string
				if err := d.QueryRow(t.Context(), "select (select string_agg(id || ':' || n, ',' order by id) from bounds.t) || '/' || (select count(*) from bounds.log)").Scan(&s); err != nil {
					t.Fatal(err)
				}
				return s
			}
			before := state()
			through := play(t, start(t, &authority{bound: c.bound}), c.script)
			got := state()
			switch {
			case c.denied:
				if !strings.Contains(through, "ERROR 42501") || got != before {
					t.Errorf("through the gate: %s; the table is %s", through, got)
				}
				return
			case c.stops:
				if !strings.Contains(through, "ERROR AS003") || got != before {
					t.Errorf("through the gate: %s; the table is %s", through, got)
				}
				return
			}
			direct(t, boundSetup...)
			without := play(t, server(t).DSN("postgres", "postgres"), c.script)
			if strings.Contains(c.name, "can't run") {
				if !strings.Contains(through, "ERROR 25001") {
					t.Errorf("through the gate: %s", through)
				}
				direct(t, "drop database bounds_db")
				return
			}
			if through != without || got != state() {
				t.Errorf("through the gate %s, without it %s; the table is %s, without it %s", through, without, got, state())
			}
		})
	}
}

// play sends a script and returns what was heard, with the status after each batch.
func play(t *testing.T, dsn string, script []messages) string {
	t.Helper()
	w := dialWire(t, dsn)
	defer w.conn.Close()
	var out []string
	for _, m := range script {
		if err := w.send(m); err != nil {
			t.Fatal(err)
		}
		heard, status, err := w.until()
		if err != nil {
			t.Fatalf("after %q: %v", out, err)
		}
		out = append(out, strings.Join(append(heard, string(status)), ";"))
	}
	return strings.Join(out, " | ")
}

// An outcome is told once the transaction has ended: a COMMIT that failed is no
// execution, and what a lost connection left open nobody knows.
func TestBoundOutcomes(t *testing.T) {
	d := direct(t, boundSetup...)
	for _, c := range []struct {
		query string
		want  gate.OutcomeState
	}{
		{"update bounds.t set n = 1 where id = 1", gate.Executed},
		{"update bounds.t set n = 1", gate.Failed},
		{"insert into bounds.other values (77)", gate.Failed},
		{"insert into bounds.t values (1, 1)", gate.Failed},
	} {
		a := &authority{bound: 1}
		play(t, start(t, a), []messages{{query(c.query)}})
		if got := a.outcomes(); len(got) != 1 || got[0].State != c.want {
			t.Errorf("%s: %+v, want %s", c.query, got, c.want)
		}
	}
	a := &authority{bound: 1}
	w := dialWire(t, start(t, a))
	// A deferred trigger waits inside COMMIT, where the connection is lost.
	for _, s := range []string{
		"create function bounds.slow() returns trigger language plpgsql as $$ begin perform pg_sleep(10); return null; end $$",
		"create constraint trigger slow after insert on bounds.log deferrable initially deferred for each row execute function bounds.slow()",
	} {
		if _, err := d.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.send(messages{query("insert into bounds.log values ('x')")}); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		var n int
		_ = d.QueryRow(t.Context(), "select count(pg_terminate_backend(pid)) from pg_stat_activity where query = 'COMMIT' and state = 'active'").Scan(&n)
		return n == 1
	})
	if m, err := w.f.Receive(); err != nil {
		t.Error(err)
	} else if e, is := m.(*pgproto3.ErrorResponse); !is || e.Severity != "FATAL" {
		t.Errorf("the client heard %#v", m)
	}
	until(t, func() bool { return len(a.outcomes()) == 1 })
	if got := a.outcomes(); got[0].State != gate.Unknown {
		t.Errorf("lost inside COMMIT: %+v", got)
	}
}

// A cancel that comes while the gate's own transaction is open undoes it, and the session is idle again.
func TestBoundCanceled(t *testing.T) {
	d := direct(t, boundSetup...)
	c := connect(t, start(t, &authority{bound: 20}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.PgConn().Exec(ctx, "update bounds.t set n = 1 where id <= 10 and pg_sleep(0.5) is not null").ReadAll()
		done <- err
	}()
	until(t, func() bool {
		var n int
		_ = d.QueryRow(t.Context(), "select count(*) from pg_stat_activity where query like 'update bounds.t%' and wait_event = 'PgSleep'").Scan(&n)
		return n == 1
	})
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; code(err) != "57014" {
		t.Error(err)
	}
	cancel()
	if s := status(c); s != "I" {
		t.Errorf("the status is %s", s)
	}
	var n int
	if err := d.QueryRow(t.Context(), "select sum(n) from bounds.t").Scan(&n); err != nil || n != 0 {
		t.Errorf("the sum is %d, %v", n, err)
	}
}

func until(t *testing.T, f func() bool) {
	t.Helper()
	for range 1000 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it never came to that")
}
