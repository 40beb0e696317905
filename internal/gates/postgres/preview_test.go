package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/postgres"
	"github.com/jackc/pgx/v5"
)

// peekSetup makes what a preview could set off, if it ran what it looks at.
var peekSetup = []string{
	"create schema peek",
	"create table peek.t (id int primary key, n int, name text)", "insert into peek.t select i, i % 5, 'x' || i from generate_series(1, 50) i",
	"create table peek.u (id int)", "insert into peek.u select i from generate_series(1, 20) i, generate_series(1, 2)",
	"create table peek.child (id int references peek.t on delete cascade)", "insert into peek.child select i from generate_series(1, 7) i",
	"create table peek.touched (n int)", "insert into peek.touched values (0)", "create sequence peek.seq",
	"create extension if not exists dblink", "create extension if not exists postgres_fdw",
	// Called immutable, so that planning a constant call of it runs it. A write is refused by
	// the transaction, so it writes through another connection, which is not.
	fmt.Sprintf(`create function peek.evil(int) returns int immutable language plpgsql as $$ begin
		perform dblink_exec('%%s', 'update peek.touched set n = n + 1'); return $1; end $$`),
	"create function peek.says() returns int immutable language plpgsql as $$ begin perform pg_notify('peek', 'planned'); raise notice 'planned'; return 1; end $$",
	"create function peek.locks() returns int immutable language plpgsql as $$ begin perform pg_advisory_lock(77); return 1; end $$",
	"create function peek.fires() returns trigger language plpgsql as $$ begin perform peek.evil(1); return null; end $$",
	"create table peek.fired (id int, n int)", "insert into peek.fired values (1, 1)",
	"create trigger fires after insert or update or delete on peek.fired for each row execute function peek.fires()",
	"create table peek.drawn (id int default nextval('peek.seq'), n int)",
	"create view peek.calls as select id, peek.evil(id) as e from peek.t",
	"create view peek.deep as select id from peek.calls where e > 0",
	"create table peek.guarded (id int, n int)", "insert into peek.guarded values (1, 1)", "alter table peek.guarded enable row level security",
	"alter table peek.guarded force row level security", "create policy p on peek.guarded using (peek.evil(id) > 0)",
	"create domain peek.checked as int check (peek.evil(value) > 0)",
	"create function peek.eq(int, text) returns bool immutable language sql as $$ select peek.evil($1) > 0 $$",
	"create operator peek.=== (leftarg = int, rightarg = text, function = peek.eq)",
	"create operator public.=== (leftarg = int, rightarg = text, function = peek.eq)",
	"create type peek.pair as (a int, b int)",
	"create function peek.topair(int) returns peek.pair immutable language plpgsql as $$ begin perform peek.evil($1); return row($1, $1)::peek.pair; end $$",
	"create cast (int as peek.pair) with function peek.topair(int)",
	"create function public.lower(varchar) returns text immutable language plpgsql as $$ begin perform peek.evil(1); return $1; end $$",
	"create table peek.named (name varchar)", "insert into peek.named values ('a')",
	"create table peek.shaped (id int)", "insert into peek.shaped values (1)", "create function public.label(peek.shaped) returns int immutable language plpgsql as $$ begin return peek.evil(1); end $$",
	"create table peek.ruled (id int, n int)", "insert into peek.ruled values (1, 1)",
	"create rule instead as on delete to peek.ruled do instead update peek.touched set n = n + 1",
}

// peeks are statements with what their preview may say: a beginning of its text,
// or "no: " and a part of why there is none.
var peeks = []struct{ statement, want string }{
	{"update peek.t set n = 1 where id <= 18", "would change 18 rows of peek.t"},
	{"delete from peek.t where n = 3", "would delete 10 rows of peek.t; foreign keys change rows of child"},
	{"delete from peek.u u using peek.t t where t.id = u.id and t.n = 1", "would delete 8 rows of peek.u"},
	{"update peek.t set n = u.id from peek.u u where u.id = t.id", "would change 20 rows of peek.t"},
	{"insert into peek.t select id + 100, n, name from peek.t", "would add 50 rows to peek.t"},
	{"insert into peek.drawn (n) values (1), (2)", "would add 2 rows to peek.drawn"},
	{"with k as (select id from peek.u) delete from peek.t where id in (select id from k)", "would delete 20 rows of peek.t"},
	{"select * from peek.t", "reads about "},
	{"copy peek.t to stdout", "reads about "},
	{"truncate peek.u", "would empty 1 table with 40 rows"},
	{"drop table peek.u", "would drop 1 table with 40 rows"},
	{"drop table peek.t cascade", "would drop 1 table, and what depends on it"},
	{"update peek.fired set n = 2", "would change 1 row of peek.fired; what its triggers do is not counted"},

	{"select peek.evil(1)", "no: run code"},
	{"update peek.t set n = 1 where id = peek.evil(1)", "no: run code"},
	{"update peek.t set n = peek.evil(1) where id = 2", "would change 1 row of peek.t"}, // counting doesn't call it
	{"delete from peek.t where n = peek.says()", "no: run code"},
	{"delete from peek.t where n = peek.locks()", "no: run code"},
	{"delete from peek.t where id = nextval('peek.seq')", "no: more than read"},
	{"delete from peek.t where id = setval('peek.seq', 99)", "no: more than read"},
	{"insert into peek.u select nextval('peek.seq') from peek.t", "no: more than read"},
	{"delete from peek.t where pg_notify('peek', name) is not null", "no: "},
	{"delete from peek.t where pg_advisory_lock(77) is null", "no: run code"},
	{"delete from peek.t where pg_try_advisory_lock(id)", "no: run code"},
	{"delete from peek.t where pg_sleep(30) is null", "no: run code"},
	{"delete from peek.t where lo_create(0) > 0", "no: more than read"},
	{"delete from peek.t where dblink_exec('dbname=postgres', 'update peek.touched set n = 9') = ''", "no: run code"},
	{"delete from peek.t where set_config('peek.x', name, false) = ''", "no: "},
	{"delete from peek.t where pg_terminate_backend(id)", "no: run code"},
	{"delete from peek.t where query_to_xml('select peek.evil(1)', true, true, '') is null", "no: "},
	{"delete from peek.t where id in (select e from peek.calls)", "no: run code"},
	{"select * from peek.calls", "no: run code"},
	{"select * from peek.deep", "no: run code"},
	{"delete from peek.guarded where id = 1", "no: "},
	{"select * from peek.guarded", "no: "},
	{"select * from peek.far", "no: another system"},
	{"delete from peek.far where id = 1", "no: another system"},
	{"delete from peek.t where id::peek.checked > 0", "no: run code"},
	{"delete from peek.t where id === '1'", "no: run code"},
	{"delete from peek.t where (id::peek.pair).a = 1", "no: run code"},
	{"delete from peek.named where lower(name) = 'a'", "no: run code"},
	{"delete from peek.shaped where shaped.label = 1", "no: run code"},
	{"delete from peek.ruled", "no: "},
	{"with d as (delete from peek.u returning id) delete from peek.t using d where t.id = d.id", "no: more than read"},
	{"insert into peek.t select * from peek.t for update", "no: "},
	{"delete from peek.t where id in (select a.id from peek.t a, peek.t b, peek.t c, peek.t d, peek.t e, peek.t f where a.n + b.n + c.n + d.n + e.n + f.n < 0)", "no: too long"},
	{"delete from peek.t where exists (select 1 from generate_series(1, 100000000000))", ""},
	{"call peek.nothing()", "no: "},
	{"do $$ begin perform peek.evil(1); end $$", "no: "},
	{"merge into peek.t using peek.u on t.id = u.id when matched then delete", "no: not previewed"},
	{"copy peek.t from stdin", "no: "},
	{"vacuum peek.t", "no: "},
	{"create table peek.made as select peek.evil(1)", "no: "},
	{"explain analyze delete from peek.t", "no: "},
	{"lock table peek.t", "no: "},
	{"refresh materialized view peek.m", "no: "},
	{"delete from pg_catalog.pg_authid", "no: "},
	{"notify peek", "no: "},
	{"listen peek", "no: "},
}

// peek sends a statement to a gate that previews and then denies it.
func peek(t *testing.T, c *pgx.Conn, a *authority, statement string, args ...any) action.Preview {
	t.Helper()
	before := len(a.looked)
	_, err := c.Exec(t.Context(), statement, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err == nil || len(a.looked) != before+1 {
		t.Fatalf("%s: %v after %d previews", statement, err, len(a.looked)-before)
	}
	return a.looked[before]
}

func denyAll(context.Context, *action.Action, func(gate.Held)) error {
	return &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
}

// What a preview looks at never happens: no row, no sequence, no message, no lock, no connection
// elsewhere, whatever stands behind the names.
func TestPreviewHasNoEffect(t *testing.T) {
	direct(t, "drop database if exists peek", "create database peek") // what it makes of names is nobody else's
	dsn := server(t).DSN("postgres", "peek")
	setup := append([]string(nil), peekSetup...)
	for i := range setup {
		setup[i] = strings.ReplaceAll(setup[i], "%s", "dbname=peek host=127.0.0.1 port="+fmt.Sprint(server(t).Port)+" user=postgres password="+upstreamPassword)
	}
	setup = append(setup, "create server peek_far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1')",
		"create user mapping for postgres server peek_far", "create foreign table peek.far (id int) server peek_far")
	d := connect(t, dsn)
	for _, s := range setup {
		if _, err := d.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	listener := connect(t, dsn)
	if _, err := listener.Exec(t.Context(), "listen peek"); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		var s string
		if err := d.QueryRow(t.Context(), `select concat_ws(' ', (select n from peek.touched), (select is_called::text || last_value from peek.seq), (select count(*) from peek.t), (select count(*) from peek.u),
			(select count(*) from pg_locks where locktype = 'advisory'), (select count(*) from pg_class where relpersistence = 't'), (select count(*) from pg_largeobject_metadata),
			(select count(*) from pg_class where relnamespace = 'peek'::regnamespace))`).Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := state()
	a := &authority{look: true, decide: denyAll}
	gateDSN := start(t, a, func(cfg *postgres.Config) { cfg.Upstream.Database = "peek" })
	c := connect(t, strings.Replace(gateDSN, "/postgres?", "/peek?", 1))
	for _, p := range peeks {
		got := peek(t, c, a, p.statement)
		if got.Time.IsZero() {
			t.Errorf("%s: nobody says when it was looked at", p.statement)
		}
		switch no, isNo := strings.CutPrefix(p.want, "no: "); {
		case isNo && (got.Text != "" || got.Rows.Known || !strings.Contains(got.Why, no)):
			t.Errorf("%s: shown as %q (%q); want none, because %q", p.statement, got.Text, got.Why, no)
		case !isNo && !strings.HasPrefix(got.Text, p.want):
			t.Errorf("%s: shown as %q (%q); want %q", p.statement, got.Text, got.Why, p.want)
		}
		if now := state(); now != before {
			t.Errorf("%s: its preview changed something: %s, was %s", p.statement, now, before)
			before = now
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if n, err := listener.WaitForNotification(ctx); err == nil {
		t.Errorf("a preview sent %q on %s", n.Payload, n.Channel)
	}
	until(t, func() bool {
		var n int
		_ = d.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name like 'assent%'").Scan(&n)
		return n == 0
	})
}

// A preview means what the statement means in this session: role, search_path, settings,
// parameters in either format; and it says nothing where only the session sees the rows.
func TestPreviewMeansTheSame(t *testing.T) {
	direct(t, "drop schema if exists same cascade", "create schema same", "create schema if not exists same_other", "drop table if exists same_other.t",
		"create table same.t (id int, at date)", "insert into same.t select i, date '2026-01-02' from generate_series(1, 7) i", "insert into same.t values (8, '2026-02-01')",
		"create table same_other.t (id int, at date)", "drop role if exists same_reader", "create role same_reader",
		"grant usage on schema same to same_reader", "grant select (id) on same.t to same_reader")
	defer func() {
		direct(t, "drop schema same cascade", "drop schema same_other cascade", "drop role same_reader")
	}()
	a := &authority{look: true, decide: func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
		if has(a, action.DataDelete) {
			return &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
		}
		return nil
	}}
	c := connect(t, start(t, a))
	run := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := c.Exec(t.Context(), s, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	look := func(want, query string, args ...any) {
		t.Helper()
		before := len(a.looked)
		if _, err := c.Exec(t.Context(), query, args...); err == nil || len(a.looked) == before {
			t.Fatalf("%s: %v", query, err)
		}
		if p := a.looked[len(a.looked)-1]; !strings.Contains(p.Text+"/"+p.Why, want) {
			t.Errorf("%s: shown as %q (%q), want %q", query, p.Text, p.Why, want)
		}
	}
	run("set search_path = same")
	look("would delete 8 rows of t", "delete from t")
	run("set search_path = same_other")
	look("would delete 0 rows of t", "delete from t")
	run("set search_path = same")
	look("would delete 7 rows", "delete from t where at = '01/02/2026'")
	run("set datestyle = 'ISO, DMY'")
	look("would delete 1 row", "delete from t where at = '01/02/2026'")
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		look("would delete 3 rows", "delete from t where id <= $1", mode, 3)
		look("would delete 2 rows", "delete from t where id = any($1)", mode, []int32{1, 2, 99})
		look("would delete 0 rows", "delete from t where at = $1", mode, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
		look("would delete 0 rows", "delete from t where id = $1", mode, nil)
	}
	run("set role same_reader")
	look("would delete 8 rows", "delete from t where id > 0")
	look("may not read", "delete from t where at > '2026-01-01'")
	run("reset role", "begin")
	look("would delete 8 rows", "delete from t")
	run("rollback", "begin", "insert into t values (9, null)")
	look("only it sees", "delete from t")
	run("rollback", "create temp table t (id int)")
	look("only this session sees", "delete from t")
}
