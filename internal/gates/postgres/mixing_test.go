package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// laundered reads a classed column through an expression: its value is replaced only where
// the gate knows which statement it is.
const laundered = "select reverse(ssn) as id from bypass.customers where id = 1"

func once(q string) messages { return messages{parse("", q), bind("", ""), execute("", 0)} }

func oneBatch(parts ...any) messages {
	var out messages
	for _, p := range parts {
		switch p := p.(type) {
		case pgproto3.FrontendMessage:
			out = append(out, p)
		case messages:
			out = append(out, p...)
		}
	}
	return out
}

func describe(what byte, name string) pgproto3.FrontendMessage {
	return &pgproto3.Describe{ObjectType: what, Name: name}
}

func shut(what byte, name string) pgproto3.FrontendMessage {
	return &pgproto3.Close{ObjectType: what, Name: name}
}

var long = strings.Repeat("s", 63)

// mixing are sessions that try to have one name mean two things: the protocol's and
// SQL's statements, portals and cursors, before and after what renames them ran.
var mixing = []desyncCase{
	{"PREPARE bound and never run", []messages{
		{parse("s", harmful), sync_}, oneBatch(parse("", "prepare s as "+harmless), bind("", ""), parse("x", "execute s"), bind("p", "x"), execute("p", 0), sync_),
	}, ";ERROR 42501", false},
	{"DECLARE bound and never run", []messages{
		{query("begin")}, {query("declare c cursor for " + laundered)}, oneBatch(parse("", "declare c cursor for "+harmless), bind("", ""), parse("x", "fetch all c"), bind("p", "x"), execute("p", 0), sync_), {query("rollback")},
	}, "BEGIN;DECLARE CURSOR;row [masked],FETCH 1;ROLLBACK", false},
	{"EXECUTE bound, then its statement replaced", []messages{
		{query("begin")}, {query("prepare s as " + harmless)}, {parse("x", "execute s"), bind("p", "x"), sync_}, {query("deallocate s")}, {parse("s", harmful), sync_}, {execute("p", 0), sync_}, {query("rollback")},
	}, "BEGIN;PREPARE;;DEALLOCATE;;ERROR 55000;ROLLBACK", false},
	{"EXECUTE bound, its statement replaced in the same batch", []messages{
		{query("begin")}, {query("prepare s as " + harmless)}, oneBatch(parse("x", "execute s"), bind("p", "x"), shut('S', "s"), parse("s", harmful), execute("p", 0), sync_), {query("rollback")},
	}, "BEGIN;PREPARE;ERROR 55000;ROLLBACK", false},
	{"FETCH bound, then its cursor replaced", []messages{
		{query("begin")}, {query("declare c cursor for " + harmless)}, {parse("x", "fetch all c"), bind("p", "x"), sync_}, {query("close c")}, {query("declare c cursor for " + laundered)}, {execute("p", 0), sync_}, {query("rollback")},
	}, "BEGIN;DECLARE CURSOR;;CLOSE CURSOR;DECLARE CURSOR;ERROR 55000;ROLLBACK", false},
	{"a portal closed by SQL, a cursor declared under its name", []messages{
		{query("begin")}, {parse("", harmless), bind("p", ""), describe('P', "p"), sync_}, {query("close p")}, {query("declare p cursor for " + laundered)}, {execute("p", 0), sync_}, {query("rollback")},
	}, "BEGIN;;CLOSE CURSOR;DECLARE CURSOR;ERROR 34000;ROLLBACK", false},
	{"all portals closed by SQL, a cursor declared under a name", []messages{
		{query("begin")}, {parse("", harmless), bind("p", ""), describe('P', "p"), sync_}, {query("close all")}, {query("declare p cursor for " + laundered)}, {execute("p", 0), sync_}, {query("rollback")},
	}, "BEGIN;;CLOSE CURSOR ALL;DECLARE CURSOR;ERROR 34000;ROLLBACK", false},
	{"from portal to cursor in one batch", []messages{
		{query("begin")}, oneBatch(parse("", harmless), bind("p", ""), describe('P', "p"), once("close p"), once("declare p cursor for "+laundered), execute("p", 0), sync_), {query("rollback")},
	}, "BEGIN;ERROR 34000;ROLLBACK", false},
	{"a cursor closed by the protocol, a portal bound under its name", []messages{
		{query("begin")}, {query("declare c cursor for " + harmless)}, {shut('P', "c"), parse("", laundered), bind("c", ""), sync_}, {query("fetch all c")}, {query("rollback")},
	}, "BEGIN;DECLARE CURSOR;;ERROR 34000;ROLLBACK", false},
	{"from cursor to portal in one batch", []messages{
		{query("begin")}, {query("declare c cursor for " + harmless)}, oneBatch(shut('P', "c"), parse("", laundered), bind("c", ""), once("fetch all c"), sync_), {query("rollback")},
	}, "BEGIN;DECLARE CURSOR;ERROR 34000;ROLLBACK", false},
	{"statement names that the server cuts to one", []messages{
		{parse(long+"A", harmless), sync_}, {shut('S', long+"B"), parse(long+"C", harmful), sync_}, {bind("", long+"A"), execute("", 0), sync_},
	}, "ERROR 42622;ERROR 42622;ERROR 42622", false},
	{"portal names that the server cuts to one", []messages{
		{query("begin")}, {parse("", harmless), bind(long+"A", ""), describe('P', long+"A"), sync_}, {shut('P', long+"B"), parse("", laundered), bind(long+"C", ""), sync_}, {execute(long+"A", 0), sync_}, {query("rollback")},
	}, "BEGIN;ERROR 42622;ERROR 42622;ERROR 42622;ROLLBACK", false},
	{"SQL names that the server cuts to one", []messages{
		{query("prepare " + long + "A as " + harmless)}, {query("deallocate " + long + "B")}, {query("prepare " + long + "C as " + harmful)}, {query("execute " + long)},
	}, "PREPARE;DEALLOCATE;ERROR 42501;ERROR 26000", false},
	{"a portal executed twice", []messages{
		{query("begin")}, {parse("", harmless), bind("p", ""), execute("p", 0), execute("p", 0), sync_}, {query("rollback")},
	}, "BEGIN;row 1,SELECT 1,SELECT 0;ROLLBACK", false},
	{"a suspended portal closed, a cursor declared under its name", []messages{
		{query("begin")}, {parse("", "select id from bypass.customers order by id"), bind("p", ""), execute("p", 1), sync_}, {query("close p")}, {query("declare p cursor for " + laundered)}, {execute("p", 1), sync_}, {query("rollback")},
	}, "BEGIN;row 1,suspended;CLOSE CURSOR;DECLARE CURSOR;ERROR 34000;ROLLBACK", false},
	{"a statement bound before its new text is acknowledged", []messages{
		{parse("s", harmless), sync_}, {shut('S', "s"), parse("s", harmful), bind("", "s"), execute("", 0), sync_},
	}, ";ERROR 42501", false},
	{"a savepoint brings no cursor back", []messages{
		{query("begin")}, {query("declare c cursor for " + harmless)}, {query("savepoint a")}, {query("close c")}, {query("declare c cursor for " + laundered)}, {query("rollback to a")}, {query("fetch all c")}, {query("rollback")},
	}, "BEGIN;DECLARE CURSOR;SAVEPOINT;CLOSE CURSOR;DECLARE CURSOR;ROLLBACK;ERROR 34000;ROLLBACK", false},
	{"a cursor held over its transaction is declared again", []messages{
		{query("begin")}, {query("declare c cursor with hold for " + laundered)}, {query("commit")}, {query("declare c cursor for " + harmless)}, {query("fetch all c")},
	}, "BEGIN;DECLARE CURSOR;COMMIT;ERROR 25P01;row [masked],FETCH 1", false},
	{"the rows of a cursor, every way to move in it", []messages{
		{query("begin")}, {query("declare c scroll cursor for " + laundered)}, {query("fetch all c")}, {query("fetch backward all c")}, {query("move absolute 0 c")}, {query("fetch relative 1 c")}, {query("fetch last from c")}, {query("explain analyze fetch all c")}, {query("rollback")},
	}, "BEGIN;DECLARE CURSOR;row [masked],FETCH 1;row [masked],FETCH 1;MOVE 0;row [masked],FETCH 1;row [masked],FETCH 1;ERROR 42501;ROLLBACK", false},
	{"DISCARD ALL forgets a name", []messages{
		{parse("s", harmful), sync_}, {query("discard all")}, {query("prepare s as " + harmless)}, {parse("", "deallocate all"), bind("", ""), sync_}, {query("execute s")},
	}, ";ERROR 42501;ERROR 42P05;;ERROR 42501", false},
	{"DEALLOCATE ALL bound and never run", []messages{
		{parse("s", harmful), sync_}, {parse("", "deallocate all"), bind("", ""), sync_}, {parse("s", harmless), sync_}, {bind("", "s"), execute("", 0), sync_},
	}, ";;ERROR 42P05;ERROR 42501", false},
}

// EXECUTE says a name. What people approve is the text behind it: prepared anew
// under the same name it is another action, and waits again.
func TestExecuteIsApprovedByItsText(t *testing.T) {
	direct(t, append(bypassSetup, "create table bypass.allowed(n int)")...)
	for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "extended": pgx.QueryExecModeExec} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			approved := map[action.Digest]bool{}
			var asked []action.Digest
			a := &authority{decide: func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
				d, err := a.Digest(action.Salt{})
				if err != nil || a.Verb == "prepare" || !writes(a) {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, d)
				if !approved[d] {
					return &gate.Denied{Status: gate.StatusPending, Reason: "held"}
				}
				return nil
			}}
			c := connect(t, start(t, a))
			say := func(q, want string) {
				t.Helper()
				_, err := c.Exec(t.Context(), q, mode)
				if code(err) != want {
					t.Errorf("%s: %v, want %q", q, err, want)
				}
			}
			say("prepare s(int) as insert into bypass.allowed values ($1)", "")
			say("execute s(1)", "AS001")
			mu.Lock()
			approved[asked[0]] = true
			mu.Unlock()
			say("execute s(1)", "")
			say("execute s(2)", "AS001") // another parameter is another action
			say("deallocate s", "")
			say("prepare s(int) as insert into bypass.allowed values ($1 * 1000)", "") // the same but for its text
			say("execute s(1)", "AS001")
			say("deallocate s", "")
			say("prepare s(int) as insert into bypass.allowed values ($1)", "")
			say("execute s(1)", "") // the same again
			var n, sum int
			if err := c.QueryRow(t.Context(), "select count(*), sum(n) from bypass.allowed").Scan(&n, &sum); err != nil || n != 2 || sum != 2 {
				t.Errorf("%d rows, %d together, %v", n, sum, err)
			}
			say("delete from bypass.allowed", "AS001")
			direct(t, "delete from bypass.allowed")
		})
	}
}

// What a name means behind code of the same message is known only once that has run.
func TestNamesBehindCode(t *testing.T) {
	d := direct(t, bypassSetup...)
	dsn := start(t, &authority{decide: func(ctx context.Context, a *action.Action, held func(gate.Held)) error {
		if a.Verb == "do" {
			return nil
		}
		return readsOnly(ctx, a, held)
	}}, sensitive)
	for _, c := range []struct {
		name         string
		before, text string
		want         string
	}{
		{"a statement", "prepare s as " + harmless, "do $$ begin execute 'deallocate s'; execute 'prepare s as " + harmful + "'; end $$; execute s", "ERROR 55000"},
		{"a plan of it", "prepare s as " + harmless, "do $$ begin execute 'deallocate s'; execute 'prepare s as " + harmful + "'; end $$; explain analyze execute s", "ERROR 55000"},
		{"a cursor", "begin; declare c cursor for " + harmless, "do $$ begin execute 'close c'; execute 'declare c cursor for select bypass.evil()'; end $$; fetch all c; commit", "ERROR 55000"},
		{"a table", "begin", "do $$ begin execute 'set local search_path = bypass'; end $$; select id from customers_view; commit", "ERROR 42501"},
		{"no name", "begin", "do $$ begin perform 1; end $$; commit", "DO,COMMIT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := dialWire(t, dsn)
			var heard []string
			for _, q := range []string{c.before, c.text} {
				if err := w.send(messages{query(q)}); err != nil {
					t.Fatal(err)
				}
				var err error
				if heard, _, err = w.until(); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Join(heard, ","); got != c.want {
				t.Errorf("heard %q, want %q", got, c.want)
			}
			var n int
			if err := d.QueryRow(t.Context(), "select n from bypass.marker").Scan(&n); err != nil || n != 0 {
				t.Errorf("BYPASS: marker %d, %v", n, err)
				_, _ = d.Exec(t.Context(), "update bypass.marker set n = 0")
			}
		})
	}
}
