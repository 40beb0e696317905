package postgres_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// wireClient speaks messages of its own choosing after an ordinary login.
type wireClient struct {
	t    *testing.T
	conn net.Conn
	f    *pgproto3.Frontend
}

func dialWire(t *testing.T, dsn string) *wireClient {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Conn.Close() })
	_ = h.Conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &wireClient{t, h.Conn, h.Frontend}
}

type messages []pgproto3.FrontendMessage

func (w *wireClient) send(m messages) error {
	for _, x := range m {
		w.f.Send(x)
	}
	return w.f.Flush()
}

// until reads to the next ReadyForQuery, and returns a line for each message: its
// type, its code or tag.
func (w *wireClient) until() (heard []string, status byte, err error) {
	for {
		m, err := w.f.Receive()
		if err != nil {
			return heard, 0, err
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			heard = append(heard, m.Severity+" "+m.Code)
		case *pgproto3.CommandComplete:
			heard = append(heard, string(m.CommandTag))
		case *pgproto3.DataRow:
			var v []string
			for _, x := range m.Values {
				v = append(v, string(x))
			}
			heard = append(heard, "row "+strings.Join(v, "|"))
		case *pgproto3.PortalSuspended:
			heard = append(heard, "suspended")
		case *pgproto3.ReadyForQuery:
			return heard, m.TxStatus, nil
		}
	}
}

func parse(name, q string) pgproto3.FrontendMessage { return &pgproto3.Parse{Name: name, Query: q} }
func bind(portal, name string) pgproto3.FrontendMessage {
	return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name}
}

func execute(portal string, n uint32) pgproto3.FrontendMessage {
	return &pgproto3.Execute{Portal: portal, MaxRows: n}
}
func query(q string) pgproto3.FrontendMessage { return &pgproto3.Query{String: q} }

var (
	sync_  = &pgproto3.Sync{}
	flush_ = &pgproto3.Flush{}
)

const (
	harmful  = "update bypass.marker set n = n + 1"
	harmless = "select id from bypass.customers where id = 1"
	// One harmless literal with standard_conforming_strings on; a call of evil() without.
	backslash = `select '\', ' || bypass.evil()::text --'`
)

type desyncCase struct {
	name   string
	script []messages // one ReadyForQuery each
	want   string
	ends   bool // the connection ends inside the last batch
}

// Each script is sent batch by batch, and each batch answered. Nothing of it
// may change the marker. want are the codes and tags heard, in order.
var desync = []desyncCase{
	{"a named statement parsed again keeps its first text", []messages{
		{parse("s", harmful), sync_}, {parse("s", harmless), sync_}, {bind("", "s"), execute("", 0), sync_},
	}, ";ERROR 42P05;ERROR 42501", false},
	{"a statement of a failed batch does not exist", []messages{
		{parse("x", "selec 1"), parse("s", harmless), sync_}, {bind("", "s"), execute("", 0), sync_},
	}, "ERROR 42601;ERROR 26000", false},
	{"a close of a failed batch did not happen", []messages{
		{parse("s", harmful), sync_},
		{parse("x", "selec 1"), &pgproto3.Close{ObjectType: 'S', Name: "s"}, parse("s", harmless), sync_},
		{parse("s", harmless), sync_},
		{bind("", "s"), execute("", 0), sync_},
	}, ";ERROR 42601;ERROR 42P05;ERROR 42501", false},
	{"closed and parsed again is the new text", []messages{
		{parse("s", harmless), sync_}, {&pgproto3.Close{ObjectType: 'S', Name: "s"}, parse("s", harmful), sync_}, {bind("", "s"), execute("", 0), sync_},
	}, ";;ERROR 42501", false},
	{"PREPARE over a name of the protocol", []messages{
		{parse("s", harmful), sync_}, {query("prepare s as " + harmless)}, {query("execute s")},
	}, ";ERROR 42P05;ERROR 42501", false},
	{"DEALLOCATE in a failed transaction", []messages{
		{parse("s", harmful), sync_}, {query("begin")}, {query("select 1/0")}, {query("deallocate s")}, {query("rollback")}, {parse("s", harmless), sync_}, {bind("", "s"), execute("", 0), sync_},
	}, ";BEGIN;ERROR 22012;ERROR 25P02;ROLLBACK;ERROR 42P05;ERROR 42501", false},
	{"a denial stops the whole batch", []messages{
		{parse("", harmless), bind("", ""), execute("", 0), parse("", harmful), bind("", ""), execute("", 0), parse("", harmless), bind("", ""), execute("", 0), sync_},
		{query(harmless)},
	}, "ERROR 42501;row 1,SELECT 1", false},
	{"what follows a denial is discarded up to Sync", []messages{
		{parse("", harmful), bind("", ""), execute("", 0), flush_, parse("", harmless), bind("", ""), execute("", 0), flush_, query(harmful), sync_},
		{query(harmless)},
	}, "ERROR 42501;row 1,SELECT 1", false},
	{"what follows an upstream error is discarded up to Sync", []messages{
		{parse("", "selec 1"), flush_, parse("", harmful), bind("", ""), execute("", 0), flush_, sync_}, {query(harmless)},
	}, "ERROR 42601;row 1,SELECT 1", false},
	{"a denial after a flush takes the flushed part back", []messages{
		{parse("", "insert into bypass.allowed values (1)"), bind("", ""), execute("", 0), flush_, parse("", harmful), bind("", ""), execute("", 0), sync_},
		{query("select count(*) from bypass.allowed")},
	}, "INSERT 0 1,ERROR 42501;row 0,SELECT 1", false},
	{"an unknown portal", []messages{{execute("nope", 0), sync_}, {query(harmless)}}, "ERROR 34000;row 1,SELECT 1", false},
	{"an unknown statement", []messages{{bind("", "nope"), execute("", 0), sync_}, {query("execute nope")}}, "ERROR 26000;ERROR 26000", false},
	{"an unknown cursor", []messages{{query("fetch all from nope")}}, "ERROR 34000", false},
	{"a portal that is bound again", []messages{
		{query("begin")}, {parse("a", harmless), bind("p", "a"), sync_}, {parse("b", harmful), bind("p", "b"), sync_},
	}, "BEGIN;;ERROR 42501", false},
	{"a portal goes on under its permit", []messages{
		{query("begin")}, {parse("", "select id from bypass.customers order by id"), bind("p", ""), execute("p", 1), sync_}, {execute("p", 1), sync_}, {execute("p", 0), sync_}, {query("rollback")},
	}, "BEGIN;row 1,suspended;row 2,suspended;row 3,SELECT 1;ROLLBACK", false},
	{"the unnamed statement after a simple query is gone", []messages{
		{parse("", harmless), sync_}, {query("select 1")}, {bind("", ""), execute("", 0), sync_},
	}, ";row 1,SELECT 1;ERROR 26000", false},
	{"a cursor declared again", []messages{
		{query("begin; declare c cursor for " + harmless)}, {query("declare c cursor for select bypass.evil()")}, {query("rollback")},
	}, "BEGIN,DECLARE CURSOR;ERROR 42501;ROLLBACK", false},
	{"a cursor of a savepoint that was rolled back", []messages{
		{query("begin; savepoint a")}, {query("declare c cursor for " + harmless)}, {query("rollback to a")}, {query("fetch all from c")}, {query("rollback")},
	}, "BEGIN,SAVEPOINT;DECLARE CURSOR;ROLLBACK;ERROR 34000;ROLLBACK", false},
	{"standard_conforming_strings left by a function in a pipeline", []messages{
		{parse("", "select bypass.setter('standard_conforming_strings', 'off')"), bind("", ""), execute("", 0), parse("", backslash), bind("", ""), execute("", 0), sync_},
	}, "row off,SELECT 1,FATAL 22023", true},
	{"standard_conforming_strings left by a function, then a query", []messages{
		{query("select bypass.setter('standard_conforming_strings', 'off')")}, {query(backslash)},
	}, "row off,SELECT 1;FATAL 22023", true},
	{"a name that a block prepared anew", []messages{
		{query("prepare s as " + harmless)},
		{parse("p", harmless), sync_},
		{query("do $$ begin perform 'bypass.allowed'; execute 'deallocate s'; execute 'prepare s as " + harmful + "'; execute 'deallocate p'; execute 'prepare p as " + harmful + "'; end $$")},
		{query("execute s")},
		{bind("", "p"), execute("", 0), sync_},
	}, "PREPARE;;DO;ERROR 26000;ERROR 26000", false},
	{"a name that a block prepared anew, bound at once", []messages{
		{parse("p", harmless), sync_},
		{query("do $$ begin perform 'bypass.allowed'; execute 'deallocate p'; execute 'prepare p as " + harmful + "'; end $$")},
		{bind("", "p"), execute("", 0), sync_},
	}, ";DO;ERROR 26000", false},
	{"a name that a block prepared anew before it failed", []messages{
		{parse("p", harmless), sync_},
		{query("do $$ begin perform 'bypass.allowed'; execute 'deallocate p'; execute 'prepare p as " + harmful + "'; raise exception 'x'; end $$")},
		{bind("", "p"), execute("", 0), sync_},
	}, ";ERROR P0001;ERROR 26000", false},
	{"a name that a block left alone", []messages{
		{parse("p", harmless), sync_}, {query("do $$ begin perform 'bypass.allowed'; end $$")}, {bind("", "p"), execute("", 0), sync_},
	}, ";DO;row 1,SELECT 1", false},
	{"a cursor that a block declared anew", []messages{
		{query("begin; declare c cursor for " + harmless)},
		{query("do $$ begin perform 'bypass.allowed'; execute 'close c'; execute 'declare c cursor for select bypass.evil()'; end $$")},
		{query("fetch all from c")},
		{query("rollback")},
	}, "BEGIN,DECLARE CURSOR;DO;ERROR 34000;ROLLBACK", false},
	{"a portal that a block declared anew", []messages{
		{query("begin")},
		{parse("", harmless), bind("p", ""), sync_},
		{query("do $$ begin perform 'bypass.allowed'; execute 'close p'; execute 'declare p cursor for select bypass.evil()'; end $$")},
		{execute("p", 0), sync_},
		{query("rollback")},
	}, "BEGIN;;DO;ERROR 34000;ROLLBACK", false},
	{"a portal that a block declared anew and described", []messages{
		{query("begin")},
		{parse("", harmless), bind("p", ""), describe('P', "p"), sync_},
		{query("do $$ begin perform 'bypass.allowed'; execute 'close p'; execute 'declare p cursor for select bypass.evil()'; end $$")},
		{execute("p", 0), sync_},
		{query("commit")},
	}, "BEGIN;;DO;ERROR 34000;ROLLBACK", false},
	{"a name that a function prepared anew while its portal is suspended", []messages{
		{query("begin")},
		{parse("p", harmless), parse("", "select bypass.renamer('p', '"+harmful+"'), 'bypass.allowed' from generate_series(1, 2)"), bind("r", ""), execute("r", 1), sync_},
		{bind("", "p"), execute("", 0), sync_},
		{query("commit")},
	}, "BEGIN;row 1|bypass.allowed,suspended;ERROR 26000;ROLLBACK", false},
	{"a function call", []messages{{&pgproto3.FunctionCall{Function: 1}}, {query(harmless)}}, "ERROR 0A000;row 1,SELECT 1", false},
	{"COPY data that nobody asked for", []messages{{&pgproto3.CopyData{Data: []byte("1\n")}, &pgproto3.CopyDone{}, &pgproto3.CopyFail{Message: "x"}, query(harmless)}}, "row 1,SELECT 1", false},
	{"a query inside an extended batch", []messages{{parse("", harmless), bind("", ""), query(harmful)}}, "FATAL 08P01", true},
	{"a query between flush and Sync", []messages{{parse("", harmless), flush_, query(harmful)}}, "FATAL 08P01", true},
	{"names of the gate's own", []messages{{parse("_assent", harmful), sync_}, {query(harmless)}}, "ERROR 22021;row 1,SELECT 1", false},
	{"names of the gate's own by SQL", []messages{
		{query("prepare _assent as select 1")}, {query("begin; declare _assent_tx cursor for select 1")}, {query("rollback")}, {query("set timezone = 'UTC'")}, {query(harmless)},
	}, "ERROR 42602;ERROR 42602;ROLLBACK;SET;row 1,SELECT 1", false},
	{"a terminate inside a batch", []messages{{parse("", "insert into bypass.allowed values (1)"), bind("", ""), execute("", 0), &pgproto3.Terminate{}}}, "", true},
	{"a describe of a portal that the batch binds later", []messages{
		{&pgproto3.Describe{ObjectType: 'P', Name: "p"}, parse("", harmless), bind("p", ""), execute("p", 0), sync_}, {query(harmless)},
	}, "ERROR 34000;row 1,SELECT 1", false},
	{"text that is not UTF-8", []messages{{parse("", "select '\xe8'"), sync_}, {query("select '\xe8'")}, {query(harmless)}}, "ERROR 22021;ERROR 22021;row 1,SELECT 1", false},
	{"copies in the extended protocol", []messages{
		{parse("", "copy bypass.allowed from stdin"), bind("", ""), execute("", 0), sync_, &pgproto3.CopyData{Data: []byte("5\n6\n")}, &pgproto3.CopyDone{}, sync_},
		{query("select count(*) from bypass.allowed")},
		{query("delete from bypass.allowed")},
	}, "COPY 2;row 2,SELECT 1;DELETE 2", false},
	{"a commit that fails at Sync", []messages{
		{parse("", "declare c cursor with hold for select 1 / (id - 2) from bypass.customers order by id"), bind("", ""), execute("", 0), sync_}, {query(harmless)},
	}, "DECLARE CURSOR,ERROR 22012;row 1,SELECT 1", false},
	{"the unnamed statement stays what it was while a block runs", []messages{
		{parse("d", "do $$ begin perform 'bypass.allowed'; end $$"), parse("", harmless), bind("p", "d"), execute("p", 0), bind("", ""), execute("", 0), sync_},
	}, "DO,row 1,SELECT 1", false},
	{"a query inside COPY", []messages{{query("copy bypass.allowed from stdin"), &pgproto3.CopyData{Data: []byte("5\n")}, query(harmful)}}, "FATAL 57P01", true},
}

// desyncPolicy allows reads, a function that changes settings, and one table.
func desyncPolicy(ctx context.Context, a *action.Action, held func(gate.Held)) error {
	if strings.Contains(a.Statement, "bypass.allowed") || strings.Contains(a.Statement, "bypass.setter") {
		return nil
	}
	return readsOnly(ctx, a, held)
}

func TestDesync(t *testing.T) {
	d := direct(t, append(bypassSetup, "create table bypass.allowed(n int)",
		"create function bypass.renamer(name text, said text) returns int language plpgsql as $$ begin execute 'deallocate ' || name; execute 'prepare ' || name || ' as ' || said; return 1; end $$", "insert into bypass.customers values (3, null, null)", "delete from bypass.inherits_customers")...)
	direct(t, wiredSetup...)
	a := &authority{decide: desyncPolicy, classed: []string{"ssn"}}
	dsn := start(t, a, sensitive)
	for _, c := range slices.Concat(desync, mixing, wired) {
		t.Run(c.name, func(t *testing.T) {
			w := dialWire(t, dsn)
			var got []string
			var err error
			for _, m := range c.script {
				if err = w.send(m); err != nil {
					break
				}
				var heard []string
				heard, _, err = w.until()
				got = append(got, strings.Join(heard, ","))
				if err != nil {
					break
				}
			}
			if s := strings.Join(got, ";"); s != c.want {
				t.Errorf("heard %q, want %q", s, c.want)
			}
			if ended := err != nil; ended != c.ends {
				t.Errorf("connection ended: %v (%v), want %v", ended, err, c.ends)
			}
			var n, m int
			if err := d.QueryRow(t.Context(), "select n, (select count(*) from bypass.allowed) from bypass.marker").Scan(&n, &m); err != nil || n != 0 || m != 0 {
				t.Errorf("BYPASS: marker %d, allowed %d, %v", n, m, err)
				_, _ = d.Exec(t.Context(), "update bypass.marker set n = 0; delete from bypass.allowed")
			}
		})
	}
}

// What the gate believes of a session must be what the server says, after
// every way to change it and to take it back.
func TestStateIsTheServers(t *testing.T) {
	direct(t, append(bypassSetup, "create view bypass.changing as select bypass.setter('search_path', 'bypass')", "grant all on schema bypass to nobody_b", "grant all on bypass.customers to nobody_b")...)
	a := &authority{}
	dsn := start(t, a)
	scripts := [][]string{
		{"set role nobody_b"},
		{"begin", "set role nobody_b", "rollback"},
		{"begin", "set role nobody_b", "commit"},
		{"begin; set role nobody_b; rollback"},
		{"begin", "set local role nobody_b", "commit"},
		{"begin", "savepoint a", "set role nobody_b", "rollback to a"},
		{"begin", "savepoint a", "set role nobody_b", "rollback to a", "commit"},
		{"begin", "set role nobody_b", "savepoint a", "set role postgres", "rollback to a", "commit"},
		{"begin", "set role nobody_b", "select 1/0", "rollback"},
		{"begin", "savepoint a", "set role nobody_b", "select 1/0", "rollback to savepoint a", "commit"},
		{"begin", "set role nobody_b", "commit and chain", "rollback"},
		{"set role nobody_b", "reset role"},
		{"set role nobody_b", "reset all"},
		{"set role nobody_b", "discard all"},
		{"set session authorization nobody_b"},
		{"set session authorization nobody_b", "reset session authorization"},
		{"begin", "set session authorization nobody_b", "rollback"},
		{"set search_path = bypass"},
		{"set search_path = bypass", "reset all"},
		{"begin", "set local search_path = bypass", "commit"},
		{"begin", "set search_path = bypass", "rollback"},
		{"select set_config('search_path', 'bypass', false)"},
		{"select set_config('role', 'nobody_b', false)"},
		{"select bypass.setter('role', 'nobody_b')"},
		{"select bypass.setter('search_path', 'bypass')"},
		{"begin", "select bypass.setter('search_path', 'bypass')", "rollback"},
		{"select * from bypass.changing"},
		{"begin", "declare c cursor for select * from bypass.changing", "fetch all from c", "commit"},
		{"do $$ begin set role nobody_b; end $$"},
		{"set role nobody_b; select 1/0"},
		{"update pg_settings set setting = 'bypass' where name = 'search_path'"},
		{"prepare transaction 'x'"},
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
		for _, script := range scripts {
			t.Run(strings.Join(script, "; ")+"/"+mode.String(), func(t *testing.T) {
				c := connect(t, dsn)
				for _, s := range script {
					_, _ = c.Exec(t.Context(), s, mode)
				}
				before := len(a.actions())
				_, _ = c.Exec(t.Context(), "select id from bypass.customers", mode)
				asked := a.actions()[before:]
				var role, auth, path string
				if err := c.QueryRow(t.Context(), "select current_user::text, session_user::text, current_setting('search_path')", mode).Scan(&role, &auth, &path); err != nil || len(asked) != 1 {
					t.Fatalf("%v, %d actions", err, len(asked))
				}
				if s := asked[0].State; s["role"] != role || s["session_user"] != auth || s["search_path"] != path {
					t.Errorf("the gate believed %v; the server says %s %s %s", s, role, auth, path)
				}
			})
		}
	}
}

// The pipelined settings of a batch take hold where the server makes them.
func TestSettingsInsideABatch(t *testing.T) {
	direct(t, bypassSetup...)
	a := &authority{}
	c := connect(t, start(t, a))
	b := &pgx.Batch{}
	b.Queue("set search_path = bypass")
	b.Queue("select count(*) from customers")
	b.Queue("reset search_path")
	res := c.SendBatch(t.Context(), b)
	if err := res.Close(); code(err) != "42P01" { // pgx prepares all texts before the first runs
		t.Error(err)
	}
	for _, q := range []string{"set search_path = bypass", "select count(*) from customers", "select 1 from customers where false"} {
		if _, err := c.Exec(t.Context(), q, pgx.QueryExecModeExec); err != nil {
			t.Errorf("%s: %v", q, err)
		}
	}
	asked := a.actions()
	if got := asked[len(asked)-1].State["search_path"]; got != "bypass" {
		t.Errorf("search_path %q", got)
	}
}

// Bytes that no client sends, before and after the login.
func TestHostileBytes(t *testing.T) {
	a := &authority{}
	dsn := start(t, a)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	start := func(code uint32, body string) string {
		b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
		return string(binary.BigEndian.AppendUint32(b, code)) + body
	}
	for name, s := range map[string]string{
		"http": "GET / HTTP/1.1\r\n\r\n", "length zero": "\x00\x00\x00\x00\x00\x03\x00\x00", "length huge": "\xff\xff\xff\xff\x00\x03\x00\x00",
		"version 2": start(2<<16, "user\x00x\x00\x00"), "no end": start(3<<16, "user\x00agent"), "odd": start(3<<16, "user\x00agent\x00database\x00\x00"),
		"bytes behind SSLRequest": start(80877103, "") + start(3<<16, "user\x00agent\x00\x00"), "five encryption requests": strings.Repeat(start(80877104, ""), 5),
		"cancel with a short key": start(80877102, "\x00\x00\x00\x01"), "cancel with an unknown key": start(80877102, "\x00\x00\x00\x01\x00\x00\x00\x01"),
		"not UTF-8": start(3<<16, "user\x00\xe8\x00\x00"), "replication": start(3<<16, "user\x00agent\x00replication\x00true\x00\x00"),
		"password instead of SASL": start(3<<16, "user\x00agent\x00\x00") + "p\x00\x00\x00\x09hello", "query before login": start(3<<16, "user\x00agent\x00\x00") + "Q\x00\x00\x00\x0dselect 1\x00",
		"SASL of another kind": start(3<<16, "user\x00agent\x00\x00") + "p\x00\x00\x00\x15SCRAM-SHA-1\x00\x00\x00\x00\x01x",
	} {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		out, err := io.ReadAll(conn)
		if err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: the connection did not end: %v", name, err)
		}
		if strings.Contains(string(out), "server_version") {
			t.Errorf("%s: logged in", name)
		}
		_ = conn.Close()
	}
	for name, s := range map[string]string{
		"length 3": "Q\x00\x00\x00\x03", "length huge": "Q\xff\xff\xff\xff", "no NUL": "Q\x00\x00\x00\x08sele", "bytes behind the NUL": "Q\x00\x00\x00\x0cselect\x00x",
		"parse that ends early": "P\x00\x00\x00\x06a\x00", "parse with too many types": "P\x00\x00\x00\x09\x00s\x00\xff\xff", "bind with a negative length": "B\x00\x00\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00\x00\x00",
		"bind with too many formats": "B\x00\x00\x00\x08\x00\x00\xff\xff", "execute that ends early": "E\x00\x00\x00\x05\x00", "unknown": "~\x00\x00\x00\x04", "describe of what": "D\x00\x00\x00\x07Xa\x00",
		"password again": "p\x00\x00\x00\x05\x00", "start-up again": "\x00\x00\x00\x08\x00\x03\x00\x00",
	} {
		before := len(a.refusals())
		w := dialWire(t, dsn)
		if _, err := w.conn.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if tcp, ok := w.conn.(*net.TCPConn); ok && name == "no NUL" {
			_ = tcp
		}
		if _, _, err := w.until(); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: the connection did not end: %v", name, err)
		}
		if len(a.refusals()) == before {
			t.Errorf("%s: no record", name)
		}
	}
}

// TLS on the client's side: the switch, and bytes stuffed before it.
func TestClientTLS(t *testing.T) {
	cert, pool := selfSigned(t)
	dsn := start(t, &authority{}, func(c *postgres.Config) {
		c.ClientTLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		c.RequireClientTLS = true
	})
	if c, err := pgx.Connect(t.Context(), dsn); err == nil {
		_ = c.Close(context.Background())
		t.Error("a client without TLS logged in where TLS is required")
	}
	cfg, err := pgx.ParseConfig(strings.Replace(dsn, "sslmode=disable", "sslmode=require", 1))
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLSConfig = &tls.Config{RootCAs: pool, ServerName: "localhost"}
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	var n int
	if err := c.QueryRow(t.Context(), "select 1").Scan(&n); err != nil {
		t.Error(err)
	}
	u, _ := url.Parse(dsn)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "\x00\x00\x00\x08\x04\xd2\x16\x2f\x00\x00\x00\x17\x00\x03\x00\x00user\x00agent\x00\x00")
	if out, _ := io.ReadAll(conn); len(out) > 0 {
		t.Errorf("bytes before the switch were answered: %q", out)
	}
}
