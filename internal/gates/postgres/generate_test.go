package postgres_test

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A tape is where a generator takes its choices from: a fuzzer's bytes, or a
// pseudo-random stream. At its end every choice is the first.
type tape struct {
	b  []byte
	at int
}

func (t *tape) done() bool { return t.at >= len(t.b) }

func (t *tape) pick(n int) int {
	if t.done() {
		return 0
	}
	t.at++
	return int(t.b[t.at-1]) % n
}

func oneOf(t *tape, s ...string) string { return s[t.pick(len(s))] }

// playground is what the generated streams play with. Each query and each write
// carries a tag of its own: the name of its first column, or the value it writes.
var playground = []string{
	"drop schema if exists play, other, public cascade", "create schema play", "create schema other", "create schema public",
	"create table play.ran(tag int)", "create sequence play.seq",
	// What ran shows in the session's locks, also when it was rolled back.
	"create function play.seen() returns trigger language plpgsql as $$ begin perform pg_advisory_lock_shared(new.tag); return new; end $$",
	"create trigger seen before insert on play.ran for each row execute function play.seen()",
	"create table play.t(id int primary key, n int, v text)", "insert into play.t select i, i * 10, 'value ' || i from generate_series(1, 5) i",
	"create table play.u(id int, n int, v text)", "insert into play.u select i, i, null from generate_series(1, 3) i",
	"create table other.t(id int, n int, v text)", "insert into other.t select i, -i, 'other' from generate_series(1, 3) i",
	"create view play.w as select id, v from play.t",
	"create function play.f(tag int) returns int volatile language plpgsql as $$ begin insert into play.ran values (tag); return tag; end $$",
	"create function play.setter(a text, b text) returns text volatile language plpgsql as $$ begin perform pg_catalog.set_config(a, b, false); return b; end $$",
	"create procedure play.proc(tag int) language plpgsql as $$ begin insert into play.ran values (tag); end $$",
	"do $$ begin if not exists (select from pg_roles where rolname = 'play_reader') then create role play_reader; end if; end $$",
	"grant usage on schema play, other to play_reader", "grant select on all tables in schema play, other to play_reader",
}

// A generator makes streams of messages that are nearly right.
type generator struct {
	*tape
	tag  int
	tags map[int]string // what each tag stands for

	// Names that may exist, so that most of what is used does.
	statements, portals []string
	inTx                bool
}

// stream makes batches up to the end of the tape. Each ends where a client waits.
func (g *generator) stream() (out []messages) {
	for !g.done() && len(out) < 24 {
		out = append(out, g.batch())
	}
	return out
}

func (g *generator) batch() messages {
	switch g.pick(8) {
	case 0:
		if !g.inTx {
			g.inTx = true
			return messages{query("begin")}
		}
		return g.query()
	case 1, 2, 3:
		return g.query()
	case 4, 5, 6:
		return append(g.extended(1+g.pick(5)), g.end()...)
	}
	var out messages
	for range 1 + g.pick(3) {
		if g.pick(3) == 0 {
			out = append(out, query(g.text()))
			continue
		}
		out = append(append(out, g.extended(1+g.pick(4))...), sync_)
	}
	return out
}

// end is a Sync, sometimes behind a Flush, and what the client will send if it is
// asked for COPY data.
func (g *generator) end() messages {
	out := messages{sync_}
	if g.pick(6) == 5 {
		out = messages{flush_, sync_}
	}
	return append(out, g.copyData(true)...)
}

func (g *generator) query() messages {
	return append(messages{query(g.text())}, g.copyData(false)...)
}

func (g *generator) copyData(extended bool) messages {
	var out messages
	switch g.pick(4) {
	case 0:
		return nil
	case 1:
		out = messages{&pgproto3.CopyData{Data: []byte("7\t7\tseven\n8\t8\teight\n")}, &pgproto3.CopyDone{}}
	case 2:
		out = messages{&pgproto3.CopyData{Data: []byte("7\t7\tseven\n")}, &pgproto3.CopyFail{Message: "enough"}}
	case 3:
		out = messages{&pgproto3.CopyData{Data: []byte("x\ty\n")}, &pgproto3.CopyData{Data: []byte("7\t7\t\\N\n")}, &pgproto3.CopyDone{}}
	}
	if extended {
		out = append(out, sync_)
	}
	return out
}

// known is a name from those that may exist, now and then any other.
func (g *generator) known(names []string, others ...string) string {
	if len(names) > 0 && g.pick(10) > 0 {
		return names[g.pick(len(names))]
	}
	return oneOf(g.tape, others...)
}

func (g *generator) newStatement() string {
	g.statements = append(g.statements, oneOf(g.tape, "", "s", "p", "q", "S"))
	return g.statements[len(g.statements)-1]
}

func (g *generator) newPortal() string {
	g.portals = append(g.portals, oneOf(g.tape, "", "c", "p", "s", "C"))
	return g.portals[len(g.portals)-1]
}

func (g *generator) statementName() string { return g.known(g.statements, "", "s", "q") }
func (g *generator) portalName() string    { return g.known(g.portals, "", "c", "s") }

// quoted is a name as SQL writes it.
func quoted(name string) string {
	if name == "" || name != strings.ToLower(name) {
		return `"` + name + `"`
	}
	return name
}

func (g *generator) extended(n int) (out messages) {
	for range n {
		switch g.pick(12) {
		case 0, 1, 2, 3:
			out = append(out, parse("", g.one()), bind("", ""), execute("", 0))
		case 4, 5:
			out = append(out, parse(g.newStatement(), g.one()))
		case 6:
			s := g.statementName()
			out = append(out, bind(g.newPortal(), s))
		case 7:
			out = append(out, execute(g.portalName(), uint32(g.pick(3))))
		case 8:
			out = append(out, &pgproto3.Describe{ObjectType: "SP"[g.pick(2)], Name: g.portalName()})
		case 9:
			out = append(out, &pgproto3.Close{ObjectType: "SP"[g.pick(2)], Name: g.portalName()})
		case 10:
			out = append(out, flush_)
		case 11:
			p, s := g.newPortal(), g.newStatement()
			out = append(out, parse(s, g.one()), bind(p, s), execute(p, uint32(g.pick(3))))
		}
	}
	return out
}

// one is one statement, text one or several, both sometimes oddly written.
func (g *generator) one() string { return g.odd(g.statement()) }

func (g *generator) text() string {
	out := g.one()
	for range []int{0, 0, 0, 1, 2}[g.pick(5)] {
		out += oneOf(g.tape, ";", "; ", ";\n", ";;", "; /* ; */") + g.one()
	}
	return out
}

func (g *generator) odd(s string) string {
	switch g.pick(24) {
	case 0:
		return strings.Replace(s, " ", oneOf(g.tape, "/**/", " /* ; */ ", " -- ;\n", "\n", "\t", " /* /* */ ' */ ", "\f", "\v", "\u00a0", " --\r", "/*$$*/", "\\"), 1+g.pick(2))
	case 1:
		return s + oneOf(g.tape, ";", " -- '", " /* ", "; --\n;", " \\", " $$", "\\;", " \\gset")
	case 2:
		return strings.ToUpper(s)
	case 3: // one byte is another
		if len(s) > 0 {
			at := (g.pick(256)*256 + g.pick(256)) % len(s)
			return s[:at] + oneOf(g.tape, "'", `"`, "$", "\\", "/", "*", "-", ";", "(", ")", "e", "U&", "\n", "") + s[at+g.pick(2):]
		}
	case 4: // a string that two readers may read differently
		return strings.Replace(s, "'", oneOf(g.tape, "E'", "U&'", "N'", "B'", "'' '", "'\\'", "e'\\'", "''\n'"), 1+g.pick(2))
	case 5:
		return oneOf(g.tape, "/* ", "-- x\n", "(", ";", "\ufeff", "explain (costs off) ", "explain (analyze, costs off, timing off, summary off) ", "prepare s as ", "declare c cursor for ", "copy (", "create temp table x as ") + s
	}
	return s
}

func (g *generator) newTag(s string) string {
	g.tag++
	out := strings.ReplaceAll(s, "TAG", fmt.Sprint(7000+g.tag))
	if g.tags == nil {
		g.tags = map[int]string{}
	}
	g.tags[7000+g.tag] = out
	return out
}

func (g *generator) statement() string {
	switch g.pick(12) {
	case 0, 1:
		return g.read()
	case 2, 3:
		return g.write()
	case 4, 5:
		return g.transaction()
	case 6:
		name := oneOf(g.tape, "s", "p", "q", "c", "S")
		g.statements = append(g.statements, name)
		return oneOf(g.tape, "prepare ", "prepare ", "PREPARE ") + quoted(name) + oneOf(g.tape, " as ", "(int) as ", "(text, int) as ") + g.preparable()
	case 7:
		name := quoted(g.statementName())
		return oneOf(g.tape, "execute "+name, "execute "+name+"(1)", "execute "+name, "deallocate "+name, "deallocate all", "explain (analyze, costs off, timing off, summary off) execute "+name, "create temp table x as execute "+name, "discard "+oneOf(g.tape, "all", "plans", "temp", "sequences"))
	case 8:
		name := oneOf(g.tape, "s", "p", "c", "C")
		g.portals = append(g.portals, name)
		return "declare " + quoted(name) + oneOf(g.tape, " cursor", " scroll cursor", " binary cursor", " no scroll cursor", " insensitive cursor") + oneOf(g.tape, " for ", " for ", " with hold for ") + g.preparable()
	case 9:
		name := quoted(g.portalName())
		if g.pick(12) == 0 {
			name = oneOf(g.tape, "all", `"<unnamed portal 1>"`)
		}
		return oneOf(g.tape, "fetch ", "fetch all ", "fetch backward 1 ", "fetch 2 from ", "fetch absolute 1 ", "move 1 ", "move all in ", "close ", "fetch 0 ", "move backward all in ") + name
	case 10:
		return g.setting()
	}
	return g.misc()
}

func (g *generator) preparable() string {
	if g.pick(3) == 0 {
		return g.write()
	}
	return g.read()
}

func (g *generator) read() string {
	return g.newTag(oneOf(g.tape,
		"select id as tTAG, v from t order by id", "select id as tTAG from t where id < 3 order by id", "select 1 as tTAG", "select v as tTAG, n from u", "select n as tTAG from other.t", "select count(*) as tTAG from t", "select v as tTAG from w order by id",
		"table t", "values (TAG, 'a''b'), (2, null)", "select current_user as tTAG, current_setting('search_path')", "select 1 / 0 as tTAG", "select 1 / (id - 2) as tTAG from t order by id", "selec TAG", "select * from nope", "", "select id as tTAG from t limit 2",
		"with a as (select id as tTAG from t) select * from a order by 1", "select '\\' as tTAG", "select 'a' as tTAG, E'b\\'c', $$d'e$$, U&'\\0041', $x$ $$ $x$", "select $1::int as tTAG", "select id as tTAG from pg_temp.t", "select generate_series(1, 40) as tTAG", "select tTAG from (select id as tTAG from t union all select n from u) x order by 1",
	))
}

func (g *generator) write() string {
	return g.newTag(oneOf(g.tape,
		"insert into play.ran values (TAG)", "insert into play.ran values (TAG) returning tag as tTAG", "update t set n = TAG where id = 1", "delete from u where id = 1", "insert into t values (1, TAG, 'twice')", "insert into u values (TAG, 1, 'x'), (TAG, 2, 'y')", "truncate u", "select nextval('play.seq') as tTAG", "select setval('play.seq', TAG) as tTAG",
		"with a as (insert into play.ran values (TAG) returning tag) select tag as tTAG from a", "select play.f(TAG) as tTAG", "select id as tTAG, play.f(TAG) from t where id < 3", "call play.proc(TAG)", "do $$ begin insert into play.ran values (TAG); end $$", "explain (analyze, costs off, timing off, summary off) insert into play.ran values (TAG)", "create table made(n) as select TAG", "select TAG as n into made",
		"merge into u using (select TAG as n) s on u.id = 99 when not matched then insert values (TAG, s.n, 'm')", "select id as tTAG from t where id = 1 for update", "insert into play.ran select TAG from t where id = 1 on conflict do nothing", "create or replace view w as select id, v from t where id < TAG", "alter table u add column if not exists cTAG int", "drop table if exists made",
		"insert into play.ran values ($1)", "comment on table t is 'TAG'", "create table if not exists made(n int default TAG)",
	))
}

func (g *generator) transaction() string {
	if !g.inTx && g.pick(4) > 0 {
		g.inTx = true
		return oneOf(g.tape, "begin", "begin", "start transaction read only", "begin isolation level serializable")
	}
	out := oneOf(g.tape,
		"begin", "commit", "rollback", "savepoint a", "savepoint b", "rollback to a", "rollback to b", "release a", "start transaction read only", "begin isolation level serializable", "commit and chain", "rollback and chain", "end", "abort", "prepare transaction 'x'", "commit prepared 'x'",
		"set transaction read only", "set transaction isolation level repeatable read", "set constraints all deferred", "set session characteristics as transaction read only", "rollback work to savepoint a", "lock table t in access share mode",
	)
	switch out {
	case "commit", "rollback", "end", "abort", "prepare transaction 'x'":
		g.inTx, g.portals = false, nil
	}
	return out
}

func (g *generator) setting() string {
	return oneOf(g.tape,
		"set role play_reader", "set local role play_reader", "reset role", "set role none", "set session authorization play_reader", "reset session authorization", "set search_path = other, play", "set local search_path = other", "reset search_path", "set search_path to default", "reset all",
		"set standard_conforming_strings = off", "set local standard_conforming_strings = off", "set standard_conforming_strings = on", "set client_encoding = 'UTF8'", "set client_encoding = 'SJIS'", "set names 'LATIN1'", "set timezone = 'UTC'", "set datestyle = 'german'", "set local datestyle = 'sql'", "set default_transaction_read_only = on", "set transaction_read_only = off", "set application_name = 'x'", "set extra_float_digits = 0",
		"select set_config('search_path', 'other', false)", "select set_config('role', 'play_reader', true)", "select play.setter('search_path', 'other')", "select play.setter('role', 'play_reader')", "select play.setter('standard_conforming_strings', 'off')", "show search_path", "show all", "set time zone local", "set backslash_quote = on", "set escape_string_warning = off", "set bytea_output = 'escape'",
		"do $$ begin set role play_reader; end $$", "do $$ begin set local search_path = other; end $$", "update pg_settings set setting = 'other' where name = 'search_path'", "set schema 'other'", "alter role play_reader set search_path = other", "set client_min_messages = debug1", "set session_replication_role = replica",
	)
}

func (g *generator) misc() string {
	return g.newTag(oneOf(g.tape,
		"create temp table t(id int, n int, v text)", "create temp table u as select id, n, v from play.t", "create temp view w as select 1 as id, 'temp' as v", "drop table if exists pg_temp.t", "drop table if exists pg_temp.u", "create temp table if not exists t(id int, n int, v text) on commit drop", "select id as tTAG into temp x from t",
		"copy t to stdout", "copy t (id, v) to stdout csv header", "copy (select id, v from t order by id) to stdout with (format csv)", "copy u from stdin", "copy u from stdin with (format csv)", "copy u (id, n, v) from stdin", "copy t to stdout (format binary)", "copy nope to stdout", "copy (select 1 / 0) to stdout", "copy (select 1 / (id - 2) from t order by id) to stdout", "copy (insert into play.ran values (TAG) returning tag) to stdout", "copy u to '/dev/null'",
		"listen ch", "notify ch, 'hello'", "notify ch", "unlisten *", "select pg_notify('ch', 'x')",
		"do $$ begin execute 'deallocate s'; execute 'prepare s as insert into play.ran values (TAG)'; end $$", "do $$ begin execute 'prepare q as select TAG'; end $$", "do $$ begin execute 'close c'; execute 'declare c cursor for select TAG as tTAG'; end $$", "do $$ declare c refcursor := 'c'; begin open c for select TAG; end $$", "do $$ begin raise notice 'TAG'; end $$", "do $$ begin raise exception 'TAG'; end $$",
		"explain select * from t", "explain (costs off) update t set n = TAG", "vacuum t", "analyze t", "checkpoint", "select pg_advisory_xact_lock(1)", "select 1 as tTAG \\; select 2", "select pg_catalog.pg_sleep(0)", "reindex table t", "cluster",
	))
}
