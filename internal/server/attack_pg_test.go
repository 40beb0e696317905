package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// What is planted in the system. None of it may reach the agent in any form
// that a query can give it.
var (
	plantedSSN   = []string{"123-45-6789", "987-65-4320"}
	plantedEmail = []string{"zoe.secret@example.org", "yan.hidden@example.net"}
	plantedCard  = []string{"4000000000000010", "4000000000000028"}
	plantedPass  = []string{"hunter2hunter2", "correcthorse99"}
)

// attackSetup fills the database that is attacked: the demo's customers, with
// more kinds of columns, and everything that may stand around a table.
var attackSetup = []string{
	`create type mood as enum ('calm', 'angry')`,
	`create type contact as (email text, phone text)`,
	`create domain digits as text check (value ~ '^[0-9]*$')`,
	`create table marker (n int)`, `insert into marker values (0)`,
	`create table customers (id int primary key, full_name text, email text not null, card_number text not null, ssn text unique,
		password text, doc jsonb, raw bytea, emails text[], reach contact, state mood default 'calm', pan digits,
		mirrored text generated always as (reverse(ssn)) stored, credit numeric default 10, check (length(ssn) = 11))`,
	`insert into customers (id, full_name, email, card_number, ssn, password, doc, raw, emails, reach, pan) values
		(1, 'Ada', 'zoe.secret@example.org', '4000000000000010', '123-45-6789', 'hunter2hunter2', '{"ssn": "123-45-6789", "plan": "gold"}',
			'zoe.secret@example.org', '{zoe.secret@example.org}', '("zoe.secret@example.org","+14155550123")', '4000000000000010'),
		(2, 'Ben', 'yan.hidden@example.net', '4000000000000028', '987-65-4320', 'correcthorse99', '{"ssn": "987-65-4320", "plan": "blue"}',
			'yan.hidden@example.net', '{yan.hidden@example.net}', '("yan.hidden@example.net","+14155550199")', '4000000000000028')`,
	`create table orders (id int primary key, customer_id int, item text, quantity int)`,
	`insert into orders select i, 1 + i % 2, 'desk lamp', i % 4 from generate_series(1, 50) i`,
	`create view contacts as select id, email as address, ssn as code from customers`,
	`create view deep as select code as c2 from contacts`,
	`create materialized view kept as select id, ssn as code from customers`,
	`create table people (id int, code text)`, // classed by the catalogue, as people.code
	`create table people_heirs () inherits (people)`, `insert into people_heirs values (1, '123-45-6789'), (2, '987-65-4320')`,
	`create table parts (id int, code text) partition by list (id)`, `create table parts_one partition of parts for values in (1, 2)`,
	`insert into parts values (1, '123-45-6789'), (2, '987-65-4320')`,
	`create function poke() returns int volatile language plpgsql as $$ begin update marker set n = n + 1; return 1; end $$`,
	`create function poke(text) returns bool volatile language plpgsql as $$ begin update marker set n = n + 1; return true; end $$`,
	`create domain poking as text check (poke(value))`,
	`create schema other`, `create table other.secrets (id int, ssn text)`, `insert into other.secrets select id, ssn from customers`,
	`create table other.plain (id int, note text)`, `insert into other.plain select id, reverse(ssn) from customers`,
	`create schema one`, `create table one.goods (id int, note text)`, `insert into one.goods values (1, 'chair')`,
	`create schema two`, `create table two.goods (id int, ssn text)`, `insert into two.goods select id, ssn from customers`,
	`analyze`,
}

// attackPack lets reads flow masked and denies the rest at once, as the default pack would hold it.
const attackPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: attack, version: 1.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    when: '!data.inferred && !data.unscanned'
    then: allow
  - id: masked
    match: { actor: [agent] }
    then: mask
    mask: { pii: %s, pci: redact, secret: redact }
%s
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

// exportsAllowed is what a deployment with masked exports and settings adds.
const exportsAllowed = `  - id: exports
    match: { kind: [data.read, data.export, config.change] }
    when: '!data.inferred && !data.unscanned'
    then: allow
`

// A target is a real server with a PostgreSQL gate before a real system.
type target struct {
	*Server
	t        *testing.T
	cluster  *pgcluster.Cluster
	database string
	addr     string
	token    string
	root     *pgconn.PgConn // directly at the system
	process  *elsewhereGate // where the gate runs; nil: in the server
}

func attackCluster(t *testing.T) *pgcluster.Cluster {
	t.Helper()
	c, err := pgcluster.Start(t.Context(), pgcluster.Options{Settings: map[string]string{"fsync": "off", "max_prepared_transactions": "4"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newTarget opens the gate before a database of its own. pack "" is the built-in one;
// more is further configuration.
func newTarget(t *testing.T, c *pgcluster.Cluster, database, pack string, more ...string) *target {
	t.Helper()
	x := &target{t: t, cluster: c, database: database}
	admin := x.direct("postgres")
	x.must(admin, "create database "+database)
	x.root = x.direct(database)
	x.must(x.root, attackSetup...)
	dir := t.TempDir()
	away := os.Getenv("ASSENT_GATES") == "elsewhere" || slices.Contains(more, elsewhere)
	more = slices.DeleteFunc(slices.Clone(more), func(s string) bool { return s == elsewhere })
	policy := ""
	if pack != "" {
		if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(pack), 0o600); err != nil {
			t.Fatal(err)
		}
		policy = "policy: [pack.yaml]\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte(c.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	upstream := "host: 127.0.0.1, port: " + strconv.Itoa(c.Port) + ", database: " + database + `, tls: "off"`
	shop := `
    listen: 127.0.0.1:0
    upstream: { ` + upstream + `, user: ` + c.User + `, password: { file: pw } }`
	here := shop
	if away {
		here = `
    at: there
    upstream: { ` + upstream + ` }`
		policy += "remote: { listen: 127.0.0.1:0 }\n"
	}
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(policy+`
data: data
listen: 127.0.0.1:0
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
limits: { pending_per_actor: 1000, transaction_wait: 30s }
columns: { people.code: us-ssn, parts.code: us-ssn }
gates:
  - name: shop
    type: postgres
    env: prod`+here+`
`+strings.Join(more, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if x.Server, err = New(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if err := x.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if away {
		x.process = newElsewhere(t, x.Server, dir, "control: 127.0.0.1:1\ndata: there\ngates:\n  - name: shop\n    type: postgres\n    env: prod"+shop)
		x.process.start()
		x.addr = x.process.GateAddrs()["shop"]
	} else {
		x.addr = x.gates[0].listener.Addr().String()
	}
	if x.token, err = x.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *target) direct(database string) *pgconn.PgConn {
	x.t.Helper()
	c, err := pgconn.Connect(x.t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s dbname=%s sslmode=disable", x.cluster.Port, x.cluster.User, x.cluster.Password, database))
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (x *target) must(c *pgconn.PgConn, statements ...string) {
	x.t.Helper()
	for _, s := range statements {
		if _, err := c.Exec(x.t.Context(), s).ReadAll(); err != nil {
			x.t.Fatalf("%s: %v", s, err)
		}
	}
}

// state is everything in the system that an attack could change, as one text.
func (x *target) state() string {
	x.t.Helper()
	var out strings.Builder
	for _, q := range []string{
		"select * from marker", "select * from customers order by id", "select count(*) from orders", "select * from two.goods", "select * from one.goods",
		"select oid, relname, relowner, relacl from pg_class where relnamespace not in (select oid from pg_namespace where nspname like 'pg_t%') order by oid",
		"select oid, rolname, rolsuper, rolcanlogin, rolconfig from pg_roles order by oid", "select oid, proname, proconfig, proacl from pg_proc where oid > 16383 order by oid",
		"select * from pg_db_role_setting", "select oid, nspname, nspacl from pg_namespace where nspname not like 'pg_t%' order by oid", "select oid from pg_largeobject_metadata", "select gid from pg_prepared_xacts",
	} {
		results, err := x.root.Exec(x.t.Context(), q).ReadAll()
		if err != nil {
			x.t.Fatalf("%s: %v", q, err)
		}
		for _, row := range results[0].Rows {
			fmt.Fprintf(&out, "%q\n", row)
		}
	}
	return out.String()
}

// A raider is an agent with a credential that counts every byte it hears.
type raider struct {
	t     *testing.T
	conn  *tapped
	front *pgproto3.Frontend
	held  bool // something waits for a person
	dead  bool // the connection ended
}

// tapped keeps what was read.
type tapped struct {
	net.Conn
	mu    sync.Mutex
	heard bytes.Buffer
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	c.heard.Write(b[:n])
	c.mu.Unlock()
	return n, err
}

func (c *tapped) all() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.heard.Bytes())
}

func (c *tapped) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard.Reset()
}

func (x *target) raid(t *testing.T) *raider {
	t.Helper()
	host, port, err := net.SplitHostPort(x.addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s user=worker password=%s dbname=%s sslmode=disable", host, port, x.token, x.database))
	if err != nil {
		t.Fatal(err)
	}
	r := &raider{t: t}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		r.conn = &tapped{Conn: c}
		return r.conn, err
	}
	c, err := pgconn.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Conn.Close() })
	_ = h.Conn.SetDeadline(time.Now().Add(5 * time.Minute))
	r.front = h.Frontend
	return r
}

// send sends messages and reads up to ReadyForQuery, the end, or a hold.
func (r *raider) send(messages ...pgproto3.FrontendMessage) {
	if r.dead || r.held {
		return
	}
	for _, m := range messages {
		r.front.Send(m)
	}
	if r.front.Flush() != nil {
		r.dead = true
		return
	}
	for {
		m, err := r.front.Receive()
		if err != nil {
			r.dead = true
			return
		}
		switch m := m.(type) {
		case *pgproto3.NoticeResponse:
			if m.Code == "AS001" {
				r.held = true
				return
			}
		case *pgproto3.CopyInResponse:
			r.front.Send(&pgproto3.CopyFail{Message: "no"})
			if r.front.Flush() != nil {
				r.dead = true
				return
			}
		case *pgproto3.ReadyForQuery:
			return
		}
	}
}

func (r *raider) say(statements ...string) {
	for _, s := range statements {
		r.send(&pgproto3.Query{String: s})
	}
}

// extended runs a statement by Parse, Bind and Execute, with results in one format.
func (r *raider) extended(statement string, format int16) {
	r.send(&pgproto3.Parse{Query: statement}, &pgproto3.Bind{ResultFormatCodes: []int16{format}}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{})
}

// traces are the forms in which a planted value would still be worth having.
var traces = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	add := func(name, form string) {
		if len(form) >= 6 {
			out[form] = name
		}
	}
	for name, values := range map[string][]string{"ssn": plantedSSN, "email": plantedEmail, "card": plantedCard, "password": plantedPass} {
		for _, v := range values {
			bare := strings.ReplaceAll(v, "-", "")
			for how, form := range map[string]string{
				"clear": v, "bare": bare, "upper": strings.ToUpper(v), "reversed": reversed(v), "bare reversed": reversed(bare),
				"hex": hex.EncodeToString([]byte(v)), "base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(v)), "=")[:len(v)],
				"letters": letters(v), "bare letters": letters(bare), "commas": strings.Join(strings.Split(v, ""), ","), "spaces": strings.Join(strings.Split(v, ""), " "),
				"left": bare[:len(bare)/2+1], "right": bare[len(bare)/2-1:],
			} {
				add(name+" "+how, form)
			}
		}
	}
	for _, common := range []string{"400000000", "example"} {
		delete(out, common)
	}
	return out
})

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return 'a' + r - '0'
		}
		return r
	}, s)
}

// clean fails the test when anything planted was heard.
func (r *raider) clean(what string) {
	r.t.Helper()
	heard := r.conn.all()
	for form, name := range traces() {
		if at := bytes.Index(heard, []byte(form)); at >= 0 {
			r.t.Errorf("LEAK of %s (%q) by %s: …%q…", name, form, what, heard[max(0, at-60):min(len(heard), at+60)])
			return
		}
	}
}

// unchanged fails the test when the system is another than before.
func (x *target) unchanged(t *testing.T, before, what string) {
	t.Helper()
	if after := x.state(); after != before {
		t.Errorf("CHANGED by %s:\nbefore %s\nafter  %s", what, before, after)
	}
}

// laundering are expressions that would carry a classed value out in another
// form. Each runs over column x of one row in three protocols; nothing planted
// may come back, and the answer for one row must be the answer for the other:
// a difference would be a bit about the value.
var laundering = []string{
	"%s", "reverse(%s)", "substr(%s, 1, 1)", "substr(%s, 2, 5)", "left(%s, 4)", "right(%s, 3)", "translate(%s, '0123456789', 'abcdefghij')", "encode(%s::bytea, 'hex')", "encode(%s::bytea, 'base64')",
	"md5(%s)", "sha256(%s::bytea)", "format('%%s', %s)", "concat_ws(',', %s, 'x')", "array_to_string(string_to_array(%s, null), ' ')", "'x' || %s", "overlay(%s placing 'x' from 1 for 1)",
	"%s::bytea", "%s::name", "%s::char", "ascii(%s)", "length(%s)", "position('1' in %s)", "strpos(%s, '-')", "initcap(%s)", "upper(%s)", "lower(%s)", "repeat(%s, 2)", "lpad(%s, 30)", "quote_literal(%s)",
	"regexp_replace(%s, '[0-9]', 'x', 'g')", "regexp_match(%s, '(.)')", "regexp_split_to_array(%s, '')", "string_to_array(%s, '1')", "to_json(%s)", "to_jsonb(%s)", "json_build_object('a', %s)", "json_build_array(%s)",
	"jsonb_build_object(%s, 1)", "row(%s)", "array[%s]", "array[nullif(substr(%s, 1, 1), '1')]", "row(nullif(substr(%s, 1, 1), '1'))", "array_fill(1, array[substr(%s, 1, 1)::int])", "split_part(%s, '-', 1)",
	"nullif(substr(%s, 1, 1), '1')", "nullif(%s, '123-45-6789')", "coalesce(nullif(substr(%s, 1, 1), '1'), 'y')", "case when %s like '1%%' then 'x' end", "case when %s like '1%%' then 1 else 2 end",
	"case when %s like '1%%' then 1 / 0 else 1 end", "case when %s like '1%%' then 'x'::text::int else 1 end", "1 / (ascii(%s) - 49)", "%s like '1%%'", "%s = '123-45-6789'", "%s < '5'", "%s ~ '^1'", "%s ~~ '1\\'",
	"(%s = '123-45-6789') and (1 / 0 = 1)", "%s in ('123-45-6789')", "%s is distinct from '123-45-6789'", "row(%s, 1) = row('123-45-6789', 1)", "greatest(%s, '5')", "least(%s, '5')",
	"generate_series(1, substr(%s, 1, 1)::int)", "unnest(string_to_array(%s, '1'))", "regexp_split_to_table(%s, '1')", "json_array_elements(case when %s like '1%%' then '[1,2]' else '[]' end::json)", "regexp_matches(%s, '1', 'g')",
	"substr('x', 1, ascii(%s) - 50)", "chr(replace(%s, '-', '')::int)", "chr(ascii(%s))", "get_byte('x', replace(%s, '-', '')::int)", "set_byte('x', 0, ascii(%s))", "make_date(substr(%s, 1, 1)::int, 13, 1)", "make_time(substr(%s, 1, 1)::int + 24, 0, 0)",
	"to_char(1, %s)", "to_number(%s, '999-99-9999')", "to_date(%s, 'YYY-MM-DDDD')", "%s::int", "replace(%s, '-', '')::bigint", "replace(%s, '-', '')::numeric", "replace(%s, '-', '')::money", "replace(%s, '-', '')::float8", "replace(%s, '-', '')::oid",
	"%s::date", "%s::uuid", "%s::json", "%s::xml", "%s::inet", "%s::point", "%s::bool", "%s::interval", "%s::bit(88)", "%s::regclass", "translate(%s, '0123456789-', 'abcdefghij')::regclass", "translate(%s, '0123456789-', 'abcdefghij')::regproc",
	"translate(%s, '0123456789-', 'abcdefghij')::regtype", "translate(%s, '0123456789-', 'abcdefghij')::regrole", "translate(%s, '0123456789-', 'abcdefghij')::regnamespace", "translate(%s, '0123456789-', 'abcdefghij')::regconfig",
	"to_regclass(%s)", "has_table_privilege(translate(%s, '0123456789-', 'abcdefghij'), 'select')", "current_setting(translate(%s, '0123456789-', 'abcdefghij'))", "current_setting(%s, true)", "timezone(%s, now())", "date_trunc(%s, now())",
	"extract(year from %s::date)", "decode(%s, 'hex')", "decode(%s, 'base64')", "encode('x', %s)", "convert_to('x', %s)", "convert_from(%s::bytea, 'UTF8')", "to_tsvector(%s)", "to_tsquery(%s)", "xmlelement(name a, %s)", "xmlcomment(%s)", "xmlforest(%s as a)",
	"xpath(%s, '<a/>')", "regexp_replace('x', %s || '(', 'y')", "jsonb_path_query('{}', ('$.' || %s)::jsonpath)", "pg_typeof(%s)", "pg_column_size(%s)", "hashtext(%s)", "octet_length(%s)", "bit_length(%s)", "num_nulls(nullif(%s, '123-45-6789'))",
	"parse_ident(%s)", "quote_ident(%s)", "normalize(%s)", "ts_headline(%s, 'x')", "width_bucket(ascii(%s), 1, 100, 10)", "setseed(1.0 / ascii(%s))", "to_hex(ascii(%s))", "to_timestamp(ascii(%s))", "make_interval(ascii(%s))", "justify_days(make_interval(days => ascii(%s)))",
	"int4range(1, ascii(%s))", "daterange(null, %s::date)", "cardinality(string_to_array(%s, '1'))", "array_length(string_to_array(%s, '1'), 1)", "array_position(array['123-45-6789'], %s)", "enum_first(null::mood)::text || %s", "(select %s)", "(select max(v) from (values (%s), ('0')) z(v))",
	"array(select %s)", "exists (select 1 where %s like '1%%')", "(select 1 from generate_series(1, 2) where %s like '1%%')", "(select 1 from generate_series(1, 2) limit ascii(%s) - 48)", "lag(%s, 0) over ()", "first_value(%s) over ()", "ntile(2) over (order by %s)",
	"max(%s) over ()", "count(*) over (partition by %s)", "(%s collate \"C\")", "%s at time zone 'utc'", "cast(%s as varchar(3))", "(array['a','b'])[ascii(%s) - 48]", "('{\"1\":1}'::jsonb)[substr(%s, 1, 1)]", "('{\"1\":1}'::jsonb) -> substr(%s, 1, 1)",
}

// sources are places that hold the value of row n.
var attackSources = []struct{ x, from string }{
	{"c.ssn", "customers c where id = %d"},
	{"c.code", "contacts c where id = %d"},
	{"x", "(select ssn as x, id from customers) c where id = %d"},
}

func TestAttackLaundering(t *testing.T) {
	c := attackCluster(t)
	for _, method := range []string{"redact", "tokenize", "hash", "format-preserving", "partial"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			x := newTarget(t, c, "launder_"+method[:4], fmt.Sprintf(attackPack, method, ""))
			before := x.state()
			r := x.raid(t)
			for i, expression := range laundering {
				if method != "redact" && i == 0 {
					continue // two stored values have two tokens: that is what a token is for
				}
				for n, source := range attackSources {
					if n > 0 && method != "redact" {
						break
					}
					r = x.sameForBoth(t, r, "select "+fmt.Sprintf(expression, source.x)+" as v from "+source.from)
				}
			}
			x.unchanged(t, before, "laundering")
		})
	}
}

// sameForBoth asks query for both rows in three ways, and wants one answer.
func (x *target) sameForBoth(t *testing.T, r *raider, query string) *raider {
	t.Helper()
	var heard [2][3][]byte
	for row := range 2 {
		q := strings.ReplaceAll(query, "id = %d", "id = "+strconv.Itoa(row+1))
		for how := range 3 {
			r.conn.forget()
			if how == 2 {
				r.say(q)
			} else {
				r.extended(q, int16(how))
			}
			r.clean(q)
			heard[row][how] = r.conn.all()
			if r.dead {
				r = x.raid(t)
			}
		}
	}
	for how := range 3 {
		a, b := heard[0][how], bytes.ReplaceAll(heard[1][how], []byte("id = 2"), []byte("id = 1"))
		if !bytes.Equal(a, b) {
			t.Errorf("ORACLE: %s\n  row 1 %q\n  row 2 %q", query, a, b)
			return r
		}
	}
	return r
}

// mixing are scripts of messages that try to make the gate believe another
// session than the server has. Each batch is answered to its ReadyForQuery. The
// prize of each is the reversed note of other.plain, an unmasked ssn, or a
// changed marker.
const (
	readSSN = "select ssn from other.secrets"
	poke    = "update marker set n = n + 1"
	plain   = "select 1 as one"
)

func parseAs(name, q string, types ...uint32) pgproto3.FrontendMessage {
	return &pgproto3.Parse{Name: name, Query: q, ParameterOIDs: types}
}

func bindTo(portal, name string, params ...string) pgproto3.FrontendMessage {
	m := &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name}
	for _, p := range params {
		m.Parameters = append(m.Parameters, []byte(p))
	}
	return m
}

func run(portal string, rows uint32) pgproto3.FrontendMessage {
	return &pgproto3.Execute{Portal: portal, MaxRows: rows}
}
func ask1(q string) pgproto3.FrontendMessage { return &pgproto3.Query{String: q} }
func describe(what byte, name string) pgproto3.FrontendMessage {
	return &pgproto3.Describe{ObjectType: what, Name: name}
}

func shut(what byte, name string) pgproto3.FrontendMessage {
	return &pgproto3.Close{ObjectType: what, Name: name}
}

// once runs q by Parse, Bind and Execute of the unnamed portal.
func once(q string) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{parseAs("", q), bindTo("", ""), run("", 0)}
}

func batchOf(parts ...any) []pgproto3.FrontendMessage {
	var out []pgproto3.FrontendMessage
	for _, p := range parts {
		switch p := p.(type) {
		case pgproto3.FrontendMessage:
			out = append(out, p)
		case []pgproto3.FrontendMessage:
			out = append(out, p...)
		}
	}
	return out
}

func mixing() map[string][][]pgproto3.FrontendMessage {
	sync1, flush1 := &pgproto3.Sync{}, &pgproto3.Flush{}
	long := strings.Repeat("s", 63)
	type script = [][]pgproto3.FrontendMessage
	one := func(parts ...any) []pgproto3.FrontendMessage { return batchOf(parts...) }
	out := map[string]script{
		"PREPARE bound, never run":       {one(parseAs("s", poke), sync1), one(parseAs("", "prepare s as "+plain), bindTo("", ""), parseAs("x", "execute s"), bindTo("p", "x"), run("p", 0), sync1)},
		"DECLARE bound, never run":       {one(ask1("begin")), one(ask1("declare c cursor for " + readSSN)), one(parseAs("", "declare c cursor for "+plain), bindTo("", ""), parseAs("x", "fetch all c"), bindTo("p", "x"), run("p", 0), sync1)},
		"EXECUTE bound, then replaced":   {one(ask1("begin")), one(ask1("prepare s as " + plain)), one(parseAs("x", "execute s"), bindTo("p", "x"), sync1), one(ask1("deallocate s")), one(parseAs("s", poke), sync1), one(run("p", 0), sync1), one(ask1("commit"))},
		"EXECUTE replaced in one batch":  {one(ask1("begin")), one(ask1("prepare s as " + plain)), one(parseAs("x", "execute s"), bindTo("p", "x"), shut('S', "s"), parseAs("s", poke), run("p", 0), sync1), one(ask1("commit"))},
		"FETCH bound, then replaced":     {one(ask1("begin")), one(ask1("declare c cursor for " + plain)), one(parseAs("x", "fetch all c"), bindTo("p", "x"), sync1), one(ask1("close c")), one(ask1("declare c cursor for " + readSSN)), one(run("p", 0), sync1)},
		"portal closed, cursor declared": {one(ask1("begin")), one(parseAs("", plain), bindTo("p", ""), describe('P', "p"), sync1), one(ask1("close p")), one(ask1("declare p cursor for " + readSSN)), one(run("p", 0), sync1)},
		"all closed, cursor declared":    {one(ask1("begin")), one(parseAs("", plain), bindTo("p", ""), describe('P', "p"), sync1), one(ask1("close all")), one(ask1("declare p cursor for " + readSSN)), one(run("p", 0), sync1)},
		"portal to cursor in one batch":  {one(ask1("begin")), one(parseAs("", plain), bindTo("p", ""), describe('P', "p"), once("close p"), once("declare p cursor for "+readSSN), run("p", 0), sync1)},
		"cursor closed, portal bound":    {one(ask1("begin")), one(ask1("declare c cursor for " + plain)), one(shut('P', "c"), parseAs("", readSSN), bindTo("c", ""), sync1), one(ask1("fetch all c"))},
		"cursor to portal in one batch":  {one(ask1("begin")), one(ask1("declare c cursor for " + plain)), one(shut('P', "c"), parseAs("", readSSN), bindTo("c", ""), once("fetch all c"), sync1)},
		"long statement names":           {one(parseAs(long+"A", plain), sync1), one(shut('S', long+"B"), parseAs(long+"C", poke), sync1), one(bindTo("", long+"A"), run("", 0), sync1)},
		"long portal names":              {one(ask1("begin")), one(parseAs("", plain), bindTo(long+"A", ""), describe('P', long+"A"), sync1), one(shut('P', long+"B"), parseAs("", readSSN), bindTo(long+"C", ""), sync1), one(run(long+"A", 0), sync1)},
		"a parameter of a domain":        {one(parseAs("", "select $1::text", 0xffffffff), bindTo("", "", "x"), run("", 0), sync1)},
		"utility in another search_path": {one(ask1("begin")), one(ask1("set search_path = one")), one(parseAs("", "copy goods to stdout"), bindTo("p", ""), sync1), one(ask1("set search_path = two")), one(run("p", 0), sync1)},
		"execute twice":                  {one(ask1("begin")), one(parseAs("", plain), bindTo("p", ""), run("p", 0), run("p", 0), sync1)},
		"suspended over a close":         {one(ask1("begin")), one(parseAs("", readSSN), bindTo("p", ""), run("p", 1), sync1), one(ask1("close p")), one(ask1("declare p cursor for " + readSSN)), one(run("p", 1), sync1)},
		"Bind before ParseComplete":      {one(parseAs("s", plain), sync1), one(shut('S', "s"), parseAs("s", poke), bindTo("", "s"), run("", 0), sync1)},
		"Query inside a batch":           {one(parseAs("", plain), ask1(poke), sync1)},
		"Flush then harm":                {one(once(plain), flush1, once(poke), sync1)},
		"COPY with a pipeline behind":    {one(once("copy orders to stdout"), once(poke), sync1)},
		"COPY IN with a pipeline":        {one(once("copy marker from stdin"), once(poke), sync1)},
		"error, then harm":               {one(parseAs("", "selec"), flush1, once(poke), sync1)},
		"savepoint swaps a cursor": {
			one(ask1("begin")), one(ask1("declare c cursor for " + plain)), one(ask1("savepoint a")), one(ask1("close c")), one(ask1("declare c cursor for " + readSSN)),
			one(ask1("rollback to a")), one(ask1("fetch all c")),
		},
		"hold over a transaction": {one(ask1("begin")), one(ask1("declare c cursor with hold for " + readSSN)), one(ask1("commit")), one(ask1("declare c cursor for " + plain)), one(ask1("fetch all c"))},
		"binary cursor":           {one(ask1("begin")), one(ask1("declare c binary cursor for " + readSSN)), one(ask1("fetch all c")), one(ask1("fetch backward all c")), one(ask1("move absolute 0 c")), one(ask1("fetch relative 1 c"))},
		"DISCARD ALL and again":   {one(parseAs("s", poke), sync1), one(ask1("discard all")), one(ask1("prepare s as " + plain)), one(parseAs("", "deallocate all"), bindTo("", ""), sync1), one(ask1("execute s"))},
		"two-phase":               {one(ask1("begin; " + poke + "; prepare transaction 'x'")), one(ask1("commit prepared 'x'"))},
		"set in one message":      {one(ask1("set search_path = two; select note from goods")), one(ask1("set role postgres; " + poke)), one(ask1("set standard_conforming_strings = off; select '\\', '; " + poke + "; --'"))},
	}
	return out
}

func TestAttackMixing(t *testing.T) {
	c := attackCluster(t)
	for name, pack := range map[string]string{"reads": fmt.Sprintf(attackPack, "redact", ""), "exports": fmt.Sprintf(attackPack, "redact", exportsAllowed)} {
		x := newTarget(t, c, "mixing_"+name, pack)
		domain, err := x.root.Exec(t.Context(), "select 'poking'::regtype::oid").ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		oid, err := strconv.ParseUint(string(domain[0].Rows[0][0]), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		for what, script := range mixing() {
			t.Run(name+"/"+what, func(t *testing.T) {
				before := x.state()
				r := x.raid(t)
				for _, batch := range script {
					for _, m := range batch {
						if p, ok := m.(*pgproto3.Parse); ok && len(p.ParameterOIDs) == 1 && p.ParameterOIDs[0] == 0xffffffff {
							p.ParameterOIDs[0] = uint32(oid)
						}
					}
					r.send(batch...)
				}
				r.send(ask1("commit"))
				r.clean(what)
				_ = r.conn.Close()
				x.unchanged(t, before, what)
			})
		}
	}
}

// raids are statements in one session. None may bring anything planted, nor
// change the system.
var raids = map[string][]string{
	"rights": {
		"grant all on customers to public", "alter role current_user superuser", "create role thief superuser login", "alter table customers owner to postgres", "alter default privileges grant all on tables to public", "grant pg_read_all_data to public",
		"reassign owned by postgres to postgres", "revoke all on customers from public", "security label on table customers is 'x'",
	},
	"standing settings": {"alter database postgres set search_path = two", "alter role postgres set default_transaction_read_only = off", "alter system set log_statement = 'all'"},
	"schema": {
		"drop table customers", "truncate customers", "alter table customers drop column ssn", "create table mine (n int)", "create temp table mine as select ssn from customers", "select ssn into temp mine from customers", "create view mine as select reverse(ssn) from customers", "drop view contacts cascade",
		"create index on customers (ssn)", "comment on table customers is 'x'", "alter table customers rename column ssn to note", "create rule r as on select to one.goods do instead select id, ssn as note from two.goods", "alter view contacts rename column code to note",
		"create function f() returns int language sql as 'select 1'", "create operator === (leftarg = int, rightarg = int, function = int4eq)", "create extension dblink", "create trigger t after update on marker execute function suppress_redundant_updates_trigger()", "cluster", "vacuum customers", "reindex table customers",
		"refresh materialized view kept", "import foreign schema public from server s into one", "create cast (text as int) with inout as implicit", "create statistics s on id, ssn from customers",
	},
	"writes": {
		"insert into marker values (9)", "update marker set n = 5", "delete from marker", "merge into marker m using (select 1) s on true when matched then delete", "with x as (delete from marker returning n) select n from x", "select nextval('pg_toast.pg_toast_1')", "copy marker from stdin", "copy marker from program 'echo 1'",
		"select * from customers for update", "lock table customers", "select poke()", "select poke('x')", "select 'x'::poking", "do $$ begin update marker set n = 1; end $$", "call poke()", "explain analyze update marker set n = 7", "prepare p as update marker set n = 8; execute p", "select lo_import('/etc/passwd')", "select lo_create(99)",
		"values (poke())", "select 1 order by poke()", "select * from generate_series(1, poke())", "select array_agg(1 order by poke())", "select row(1) = row(poke())", "select cast(row('x') as contact)", "select xmlparse(document '<a/>'), poke()", "table marker; update marker set n = 3",
	},
	"settings": {
		"set role postgres; update marker set n = 1", "set session authorization postgres", "reset all; update marker set n = 1", "select set_config('search_path', 'two', false); select note from goods", "set local search_path = two; select * from goods", "begin; set transaction read write; update marker set n = 1; commit",
		"set standard_conforming_strings = off", "select '\\', '; update marker set n = 1; --'", "set client_encoding = 'GBK'", "set names 'SJIS'", "set escape_string_warning = off", "set row_security = off", "set session_replication_role = replica", "set bytea_output = escape; select raw from customers", "discard all", "set client_min_messages = debug5; select ssn from customers",
		"set application_name = 'x'; show application_name", "set timezone = 'utc'; select ssn from customers", "set datestyle = 'german'; select ssn from customers", "set extra_float_digits = 3; select ssn from customers",
	},
	"catalogue": {
		"select * from pg_stats where tablename = 'customers'", "select * from pg_statistic", "select * from pg_stats_ext_exprs", "select most_common_vals from pg_catalog.pg_stats", "select histogram_bounds::text from pg_stats", "select * from pg_authid", "select * from pg_shadow", "select * from pg_stat_activity", "select * from pg_prepared_statements",
		"select * from pg_largeobject", "select * from pg_user_mappings", "select * from pg_file_settings", "select * from pg_hba_file_rules", "select pg_read_file('pg_hba.conf')", "select pg_ls_dir('.')", "select * from pg_cursors", "select adsrc from (select pg_get_expr(adbin, adrelid) as adsrc from pg_attrdef) x",
	},
	"whole rows": {
		"select c from customers c", "select c.* from customers c", "select (c).* from customers c", "select (c).ssn from customers c", "select row(c.*) from customers c", "select to_json(c) from customers c", "select row_to_json(c) from customers c", "select json_agg(c) from customers c", "select array_agg(c) from customers c", "select c::text from customers c",
		"select hstore(c) from customers c", "select jsonb_each_text(to_jsonb(c)) from customers c", "select to_jsonb(c) -> 'ssn' from customers c", "select to_jsonb(c) ->> 'ssn' from customers c", "select to_jsonb(c) #>> '{ssn}' from customers c", "select (to_jsonb(c))['ssn'] from customers c", "select jsonb_pretty(to_jsonb(c)) from customers c", "select format('%s', c) from customers c",
		"select xmlforest(c) from customers c", "select query_to_xml('select * from customers', true, true, '')", "select table_to_xml('customers', true, true, '')", "select database_to_xml(true, true, '')", "select cursor_to_xml('x', 1, true, true, '')", "table customers", "select quote_literal(c) from customers c", "select c.quote_literal from customers c", "select record_out(c) from customers c",
	},
	"other columns": {
		"select doc from customers", "select doc ->> 'ssn' from customers", "select reverse(doc ->> 'ssn') from customers", "select doc #>> '{ssn}' as plan from customers", "select raw from customers", "select emails from customers", "select emails[1] from customers", "select unnest(emails) from customers", "select reach from customers", "select (reach).email from customers",
		"select (reach).email as x from customers", "select reverse((reach).email) as x from customers", "select mirrored from customers", "select mirrored as x from customers c", "select pan from customers", "select reverse(pan) from customers", "select reverse(password) from customers", "select reverse(card_number), reverse(email) from customers",
		"select reverse(code) from people", "select reverse(code) from people_heirs", "select reverse(code) from only people_heirs", "select reverse(code) from parts", "select reverse(code) from parts_one", "select reverse(code) from kept", "select reverse(c2) from deep", "select reverse(address) from contacts", "select doc ->> 'plan', reverse(doc -> 'ssn' ->> 0) from customers",
		"select reverse(doc['ssn'] ->> 0) from customers", "select reverse(jsonb_extract_path_text(doc, 'ssn')) as x from customers", "select value from customers, jsonb_each_text(doc)",
	},
	"decoys": {
		"select 'x' union all select ssn from customers", "select full_name from customers union all select reverse(ssn) from customers", "select reverse(ssn) from customers except select 'x'", "with customers as (select 1 as n) select reverse(ssn) from public.customers", "with x(id) as (select reverse(ssn) from customers) select id from x", "select id from (select reverse(ssn) as id from customers) z",
		"select z.b from customers as z(a, b, c, d, e)", "select reverse(z.e) from customers as z(a, b, c, d, e)", "select x.y from customers c, lateral (select reverse(c.ssn) as y) x", "select y from customers c cross join lateral unnest(array[reverse(c.ssn)]) y", "select * from (values ((select reverse(ssn) from customers where id = 1))) v(id)", "select (select reverse(ssn) from customers where id = 1) as id",
		"with recursive r(n, x) as (select 1, reverse(ssn) from customers union all select n + 1, x from r where n < 2) select x as id from r", "select max(reverse(ssn)) from customers", "select string_agg(reverse(ssn), ',') from customers", "select min(ssn) filter (where id = 1) from customers", "select a.* from customers c, lateral (select reverse(c.ssn) as region) a", "select \"?column?\" from (select ssn || '' from customers) q",
		"select case id when 1 then full_name else reverse(ssn) end from customers", "select coalesce(null, reverse(ssn)) from customers", "select greatest(reverse(ssn), '') from customers", "select array_to_string(array_agg(reverse(ssn)), '') from customers", "select reverse(ssn) as \"id\" from customers natural join (select 1 as id) q", "select j.x from (customers c join orders o on o.customer_id = c.id) as j(x)",
	},
	"copies": {
		"copy customers to stdout", "copy customers (ssn) to stdout", "copy customers (ssn) to stdout (format csv, header, force_quote *)", "copy customers (ssn) to stdout (format binary)", "copy binary customers to stdout", "copy (select reverse(ssn) from customers) to stdout", "copy (select substr(ssn, 1, 1) from customers) to stdout (null '1')", "copy (select ssn from customers) to stdout with null '123-45-6789'",
		"copy (select ssn from customers) to stdout csv null '123-45-6789' quote '-'", "copy customers (ssn, id) to stdout delimiter '-'", "copy customers to stdout (format csv, delimiter '1', null '')", "copy (select ssn, 1 from customers) to stdout (delimiter 'N')", "copy other.secrets to stdout (header)", "copy two.goods to '/tmp/x'", "copy two.goods to program 'cat'", "copy people_heirs to stdout", "copy parts_one to stdout",
		"copy (select mirrored from customers) to stdout", "copy (table customers) to stdout", "copy (select c from customers c) to stdout csv",
	},
	"cursors": {
		"begin; declare c cursor for select reverse(ssn) from customers; fetch all c; commit", "declare c cursor with hold for select reverse(ssn) from customers; fetch all c", "begin; declare c scroll cursor for table customers; fetch last c; fetch prior c; commit", "fetch all from \"<unnamed portal 1>\"", "prepare q as select reverse(ssn) from customers; execute q; deallocate q", "prepare q(text) as select reverse(ssn) from customers where id = $1::int; execute q('1')",
		"explain (analyze, verbose, format json) select reverse(ssn) from customers", "explain (analyze) select * from customers where ssn = '123'", "explain analyze execute q", "begin; declare d cursor for select ssn from customers; explain analyze fetch all d",
	},
	"errors": {
		"select 1 / 0 from customers where reverse(ssn) = 'x'", "select ssn::int from customers", "insert into customers (id, ssn) select 1, ssn from customers", "update customers set ssn = '123-45-6789'", "insert into marker select replace(ssn, '-', '')::int from customers", "select raise from customers", "select id from customers group by id having max(ssn)::int = 1", "select * from customers where ssn::int = 1",
		"select (select ssn from customers)", "select xmlparse(document ssn) from customers", "select ssn::xml from customers", "select json_object(array[ssn]) from customers", "select ('{' || ssn || '}')::int[] from customers", "select format(ssn || '%z') from customers",
	},
	"notices": {"listen x; notify x, 'hello'", "select pg_notify('x', ssn) from customers", "notify x, '123'", "select set_config('application_name', ssn, false) from customers where id = 1", "set application_name to default", "select pg_sleep(0)", "select dblink('host=127.0.0.1', 'select 1')", "select pg_terminate_backend(1)", "select pg_advisory_lock(1)", "select pg_logical_emit_message(true, 'a', 'b')"},
}

func TestAttackStatements(t *testing.T) {
	c := attackCluster(t)
	for name, pack := range map[string]string{"built_in": "", "reads": fmt.Sprintf(attackPack, "redact", ""), "exports": fmt.Sprintf(attackPack, "tokenize", exportsAllowed)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTarget(t, c, "raids_"+name, pack)
			for group, statements := range raids {
				if name == "exports" && group == "standing settings" {
					continue // that pack allows changes of settings
				}
				t.Run(group, func(t *testing.T) {
					before := x.state()
					for i, s := range statements {
						for how := range 3 {
							if name != "built_in" && how != i%3 {
								continue // each way with each statement once is enough
							}
							r := x.raid(t)
							if how == 2 {
								r.say(s)
							} else {
								r.extended(s, int16(how))
							}
							r.clean(s)
							_ = r.conn.Close()
						}
					}
					x.unchanged(t, before, group)
				})
			}
		})
	}
}
