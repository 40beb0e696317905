package postgres_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/postgres"
	"github.com/jackc/pgx/v5"
)

// writes makes a function that changes the marker.
func marks(signature, attributes, value string) string {
	return "create function " + signature + " " + attributes + " language plpgsql as $$ begin update public.marker set n = n + 1; return " + value + "; end $$"
}

// catalogSetup is a database in which harmless-looking statements have effects.
func catalogSetup(host string, port int) []string {
	return []string{
		"create table marker(n int)", "insert into marker values (0)",
		marks("evil() returns int", "volatile", "1"),
		"create view evil_view as select evil() as n", "create view evil_view2 as select n from evil_view",
		marks("lower(int) returns int", "volatile", "1"), marks("abs(int, int) returns int", "volatile", "1"),
		marks("upper(int, int default 1) returns int", "volatile", "1"), marks("ceil(variadic int[]) returns int", "volatile", "1"),
		"create function lower(smallint) returns int immutable language plpgsql as $$ begin perform public.evil(); return 1; end $$",
		"create view folded as select lower(1::smallint) as n",
		marks("pg_catalog.round(text) returns int", "volatile", "1"),
		"create or replace function pg_catalog.lpad(text, int) returns text language plpgsql as $$ begin update public.marker set n = n + 1; return $1; end $$",
		"create table rowed(id int)", "insert into rowed values (1)",
		marks("f_row(rowed) returns int", "volatile", "1"), marks("f_any(record) returns int", "volatile", "1"),
		"create type mood as enum ('sad', 'ok')", "create table moods(id int, m mood)", "insert into moods values (1, 'sad')",
		marks("text_plus(text, text) returns text", "volatile", "'x'"), "create operator public.+ (leftarg = text, rightarg = text, function = text_plus)",
		marks("mood_cmp(mood, mood) returns bool", "volatile", "true"),
		"create operator public.= (leftarg = mood, rightarg = mood, function = mood_cmp)",
		"create operator public.>= (leftarg = mood, rightarg = mood, function = mood_cmp)",
		"create operator public.<= (leftarg = mood, rightarg = mood, function = mood_cmp)",
		marks("mood_next(mood, mood) returns mood", "volatile", "'ok'"), "create aggregate max(mood) (sfunc = mood_next, stype = mood)",
		marks("mood_int(mood) returns int", "volatile", "1"), "create cast (mood as int) with function mood_int(mood)",
		marks("mood_text(mood) returns text", "volatile", "'x'"), "create cast (mood as text) with function mood_text(mood) as implicit",
		marks("check_it(text) returns bool", "volatile", "true"), "create domain evil_domain as text check (check_it(value))",
		"create domain domain_of_domain as evil_domain", "create type evil_composite as (d evil_domain)",
		marks("visible() returns bool", "volatile security definer", "true"),
		"create table secured(n int)", "insert into secured values (1)", "alter table secured enable row level security", "create policy p on secured using (visible())",
		"create view secured_view with (security_invoker) as select n from secured",
		"create extension postgres_fdw",
		fmt.Sprintf("create server far foreign data wrapper postgres_fdw options (host '%s', port '%d', dbname 'catalogue')", host, port),
		"create user mapping for public server far options (user 'postgres', password '" + upstreamPassword + "')",
		"create foreign table far_view (n int) server far options (table_name 'evil_view')",
		"create table far_parent (n int) partition by range (n)", "create foreign table far_part partition of far_parent for values from (0) to (10) server far options (table_name 'evil_view')",
		"create view far_through_view as select n from far_view",
		"create table plain(id int primary key, name text default 'x', m int)", "insert into plain values (1, 'a', 2)",
		"create view plain_view as select id, upper(name) as name from plain",
		"create domain small as int check (value < 10)", "create type state as enum ('on', 'off')", "create table typed(s state, n small)",
		"create function touch() returns trigger language plpgsql as $$ begin return new; end $$",
		"create table audited(id int primary key, n int)", "create trigger audit_it before insert or update on audited for each row execute function touch()",
		"create table ruled(n int)", "create rule also as on update to ruled do also update marker set n = n + 1",
		"create table parent(id int primary key)", "create table child(id int references parent on delete cascade)",
		"create trigger child_gone after delete on child for each row execute function touch()",
		"create table defaults(id int, n int default evil())", "create view audited_view as select id, n from audited",
		"create function named(int) returns int stable security definer language sql as 'select $1'",
		"create function inner_one() returns int language sql as 'select 1'", "create function outer_one() returns int language plpgsql as $$ begin return inner_one(); end $$",
		"grant all on all tables in schema public to public", "grant all on foreign server far to public",
	}
}

// catalogue makes the database once and returns how a gate reaches it, as a role
// without rights over it.
func catalogue(t *testing.T) (*pgx.Conn, func(*postgres.Config)) {
	t.Helper()
	direct(t, "drop database if exists catalogue with (force)", "create database catalogue",
		"do $$ begin if not exists (select from pg_roles where rolname = 'catalogue_app') then create role catalogue_app login password '"+upstreamPassword+"'; end if; end $$")
	d := connect(t, server(t).DSN("postgres", "catalogue"))
	for _, s := range catalogSetup(server(t).Host, server(t).Port) {
		if _, err := d.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return d, func(cfg *postgres.Config) { cfg.Upstream.Database, cfg.Upstream.User = "catalogue", "catalogue_app" }
}

func startCatalogue(t *testing.T, a *authority, here func(*postgres.Config)) string {
	t.Helper()
	return strings.Replace(start(t, a, here), "/postgres", "/catalogue", 1)
}

func marker(t *testing.T, d *pgx.Conn) (n int) {
	t.Helper()
	if err := d.QueryRow(t.Context(), "select n from marker", pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// What looks like reading and is not stays out, and each line would have had its effect without the gate.
func TestCatalogBypass(t *testing.T) {
	d, here := catalogue(t)
	bare, err := pgx.ParseConfig(server(t).DSN("postgres", "catalogue"))
	if err != nil {
		t.Fatal(err)
	}
	bare.User = "catalogue_app"
	dsn := startCatalogue(t, &authority{decide: readsOnly}, here)
	lines := 0
	for _, b := range bypasses(t) {
		if !b.Catalogue {
			continue
		}
		lines++
		for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "extended": pgx.QueryExecModeExec} {
			t.Run(b.Name+"/"+name, func(t *testing.T) {
				for through, gated := range map[string]bool{"directly": false, "through the gate": true} {
					c, err := pgx.ConnectConfig(t.Context(), bare)
					if gated {
						c, err = pgx.Connect(t.Context(), dsn)
					}
					if err != nil {
						t.Fatal(err)
					}
					before := marker(t, d)
					for _, s := range b.Say {
						_, _ = c.Exec(t.Context(), s, mode)
					}
					_ = c.Close(t.Context())
					if changed := marker(t, d) != before; changed == gated {
						t.Errorf("%v %s: the marker changed: %t", b.Say, through, changed)
					}
				}
			})
		}
	}
	if lines < 40 {
		t.Errorf("only %d lines about the catalogue", lines)
	}
}

// asked runs a statement through a gate that allows everything and returns the action it made.
func asked(t *testing.T, a *authority, c *pgx.Conn, statement string) *action.Action {
	t.Helper()
	n := len(a.actions())
	_, _ = c.Exec(t.Context(), statement)
	all := a.actions()
	if len(all) == n {
		t.Fatalf("%s made no action: %v", statement, a.refusals())
	}
	return all[len(all)-1]
}

// The catalogue makes plain what is plain, and names what it is that is not.
func TestCatalogKinds(t *testing.T) {
	_, here := catalogue(t)
	a := &authority{decide: func(context.Context, *action.Action, func(gate.Held)) error {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
	}}
	c := connect(t, startCatalogue(t, a, here))
	for _, test := range []struct {
		statement, kinds, says string
	}{
		{"select * from plain", "data.read", ""},
		{"select upper(name), lower(name) from plain where id between 1 and 3", "data.read execute", "public.lower (volatile, plpgsql) may be called instead of the built-in function"},
		{"select * from plain_view", "data.read", ""},
		{"select id from plain where id = 1 and name = 'x' order by name", "data.read", ""},
		{"select max(id), max(name) from plain", "data.read", ""},
		{"select s from typed where s = 'on'::state and n < 3::small", "data.read", ""},
		{"select plain.name from plain", "data.read", ""},
		{"select named(id) from plain", "data.read execute", "public.named (stable, security definer, sql) is called"},
		{"select nosuch(id) from plain", "data.read execute unknown", ""},
		{"insert into plain values (2, 'b', 3)", "data.write", ""},
		{"insert into audited values (2, 3)", "data.write execute", "trigger audit_it of public.audited runs public.touch (volatile, plpgsql)"},
		{"insert into audited_view values (2, 3)", "data.write execute", "trigger audit_it of public.audited runs"},
		{"delete from audited where id = 9", "data.delete", ""},
		{"delete from parent where id = 1", "data.delete execute", "trigger child_gone of public.child runs"},
		{"with x as (update audited set n = 1 returning n) select * from x", "data.read data.write execute", "trigger audit_it"},
		{"update ruled set n = 1", "data.write execute", "rule also of public.ruled"},
		{"insert into defaults(id) values (1)", "data.write execute", "default of public.defaults: public.evil (volatile, plpgsql) is called"},
		{"select * from far_view", "data.read net.fetch", "foreign table public.far_view leaves through server far"},
		{"insert into far_view values (1)", "data.export data.write net.fetch", "leaves through server far"},
		{"select * from secured", "data.read execute", "policy p of public.secured: public.visible (volatile, security definer, plpgsql) is called"},
		{"select m::int from moods", "data.read execute", "public.mood_int"},
		{"select m from moods", "data.read execute", "public.mood_text (volatile, plpgsql) may be behind a cast"},
	} {
		act := asked(t, a, c, test.statement)
		kinds := make([]string, len(act.Kinds))
		for i, k := range act.Kinds {
			kinds[i] = string(k)
		}
		slices.Sort(kinds)
		if got := strings.Join(kinds, " "); got != test.kinds {
			t.Errorf("%s is %s, want %s\n%s", test.statement, got, test.kinds, act.Statement)
		}
		if !strings.Contains(act.Statement, test.says) {
			t.Errorf("%s: reviewers read\n%s\nwithout %q", test.statement, act.Statement, test.says)
		}
	}
}

// What was approved was approved as it was: what is redefined meanwhile is asked again.
func TestRedefinedWhileHeld(t *testing.T) {
	d, here := catalogue(t)
	for name, test := range map[string]struct{ statement, change string }{
		"function":             {"select named(1)", "create or replace function named(int) returns int stable security definer language sql as 'select $1 + 1'"},
		"function it calls":    {"select outer_one()", "create or replace function inner_one() returns int language sql as 'select 2'"},
		"rights of a function": {"select evil()", "alter function evil() security definer"},
		"operator's function":  {"select 'a'::text + 'b'::text", "create or replace function text_plus(text, text) returns text language sql as 'select $1'"},
		"cast's function":      {"select m::int from moods", "create or replace function mood_int(mood) returns int language sql as 'select 3'"},
		"trigger's function":   {"insert into audited values (7, 1)", "create or replace function touch() returns trigger language plpgsql as $$ begin new.n := 9; return new; end $$"},
		"new trigger":          {"update plain set m = 3", "create trigger late before update on plain for each row execute function touch()"},
		"new rule":             {"delete from plain", "create rule late as on delete to plain do also delete from marker"},
		"new default":          {"insert into parent values (77)", "alter table parent add column n int default evil()"},
		"new policy":           {"insert into typed select s, n from typed", "alter table typed enable row level security; create policy late on typed using (visible())"},
		"policy":               {"insert into plain select n from secured", "alter policy p on secured using (visible() or true)"},
		"foreign table":        {"insert into plain select n from far_view", "alter foreign table far_view options (set table_name 'marker')"},
		"overload":             {"insert into plain(id) values (length('abc'))", "create function length(varchar) returns int language sql as 'select 1'"},
		"table for a view":     {"insert into plain(id) select id from rowed", "alter table rowed rename to rowed_was; create view rowed as select 1 as id"},
	} {
		t.Run(name, func(t *testing.T) {
			waiting, answer := make(chan bool, 1), make(chan bool)
			a := &authority{decide: func(ctx context.Context, _ *action.Action, held func(gate.Held)) error {
				held(gate.Held{ID: "apr_held"})
				waiting <- true
				select {
				case <-answer:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}}
			c := connect(t, startCatalogue(t, a, here))
			done := make(chan error, 1)
			go func() {
				_, err := c.Exec(context.Background(), test.statement)
				done <- err
			}()
			<-waiting
			if _, err := d.Exec(t.Context(), test.change, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Error(err)
			}
			close(answer)
			if err := <-done; code(err) != "42501" || !strings.Contains(err.Error(), "changed while it waited") {
				t.Errorf("%s ran, though meanwhile: %s (%v)", test.statement, test.change, err)
			}
		})
	}
}

// A file of the server read as a table leaves the house too, wherever the table stands.
func TestForeignFile(t *testing.T) {
	d, here := catalogue(t)
	file := filepath.Join(t.TempDir(), "planted")
	if err := os.WriteFile(file, []byte("planted-in-a-file\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"create extension file_fdw", "create server files foreign data wrapper file_fdw", "create foreign table f (line text) server files options (filename '" + file + "')", "grant select on f to public"} {
		if _, err := d.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	a := &authority{decide: readsOnly}
	c := connect(t, startCatalogue(t, a, here))
	var line string
	if err := c.QueryRow(t.Context(), "select line from f").Scan(&line); code(err) != "42501" || line != "" {
		t.Errorf("%q, %v", line, err)
	}
}

// What a transaction defines, no snapshot shows before its end: after a new table the session
// works on, after anything else it is not known what names mean.
func TestUncommittedDefinitions(t *testing.T) {
	_, here := catalogue(t)
	a := &authority{}
	c := connect(t, startCatalogue(t, a, func(cfg *postgres.Config) { here(cfg); cfg.Upstream.User = "postgres" }))
	for _, test := range []struct{ statement, kinds string }{
		{"begin", ""},
		{"create table fresh(id int, words text)", "schema.change"},
		{"insert into fresh values (1, 'a')", "data.write"},
		{"select id from fresh", "data.read"},
		{"savepoint s", ""},
		{"create function upper(bigint) returns int language sql as 'select 1'", "execute schema.change"},
		{"select upper(2::bigint)", "execute unknown"},
		{"rollback to s", ""},
		{"select id from fresh", "data.read unknown"},
		{"commit", ""},
		{"select id from fresh", "data.read"},
		{"create view fresh_evil as select evil() as n", "execute schema.change"},
		{"select * from fresh_evil", "data.read execute"},
		{"drop view fresh_evil", "schema.change"},
	} {
		n := len(a.actions())
		if _, err := c.Exec(t.Context(), test.statement); err != nil {
			t.Fatalf("%s: %v", test.statement, err)
		}
		var kinds []string
		for _, act := range a.actions()[n:] {
			for _, k := range act.Kinds {
				kinds = append(kinds, string(k))
			}
		}
		slices.Sort(kinds)
		if got := strings.Join(kinds, " "); got != test.kinds {
			t.Errorf("%s is %q, want %q", test.statement, got, test.kinds)
		}
	}
}

// A snapshot is kept while the catalogue is what it was, also while sessions make temporary tables.
func TestSnapshotIsKept(t *testing.T) {
	d, here := catalogue(t)
	a := &authority{}
	c := connect(t, startCatalogue(t, a, here))
	loads := func() (n int) {
		var dir string
		if err := d.QueryRow(t.Context(), "show data_directory").Scan(&dir); err != nil {
			t.Fatal(err)
		}
		log, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "server.log"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(log), "pg_get_functiondef")
	}
	run := func(statement string) {
		if _, err := c.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	run("select * from plain")
	before := loads()
	run("create temp table mine(id int)")
	run("select named(1)")
	run("select * from plain")
	if n := loads(); n != before {
		t.Errorf("the catalogue was loaded %d times more, though nothing in it changed", n-before)
	}
	if _, err := d.Exec(t.Context(), "alter table plain add column later int"); err != nil {
		t.Fatal(err)
	}
	run("select named(2)") // asks again, for what it ran may have changed it
	run("select * from plain")
	if n := loads(); n != before+1 {
		t.Errorf("the catalogue was loaded %d times more, though it changed once", n-before)
	}
}
