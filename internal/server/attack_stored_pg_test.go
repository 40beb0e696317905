package server

import (
	"fmt"
	"strings"
	"testing"
)

// storedSetup puts planted values where the system keeps what users told it, and
// into types and documents that hide what a value is.
var storedSetup = []string{
	`alter database stored set app.secret = 'hunter2hunter2'`, `alter database stored set app.ssn = '123-45-6789'`,
	`create foreign data wrapper far`, `create server far foreign data wrapper far options (password 'hunter2hunter2')`, `comment on table orders is 'of 123-45-6789'`,
	`create type color as enum ('red', 'green')`,
	`create table kept_docs (id int, doc jsonb, old json, k text, tsv tsvector, num numeric, big int8, span int8range, color color)`,
	`insert into kept_docs values (1, '{"password": "hunter2hunter2", "plan": "gold", "a": {"password": "hunter2hunter2"}}', '{"password": "hunter2hunter2"}', 'password',
		to_tsvector('simple', '123-45-6789 zoe.secret@example.org'), 4000000000000010, 4000000000000010, '[1,4000000000000010]', 'red')`,
	`create table crowd as select i as id, 'person number ' || i as who from generate_series(1, 20000) i`,
}

// storedTraces are what the gate's other traces don't look for: lexemes and exponents.
var storedTraces = []string{"-6789", "4.00000000000001e+15", "4,000,000,000,000,010", "1110001101011111101010010011000110100000000000001010"}

// What users stored in settings, options, comments, documents, tsvectors and numbers comes masked.
func TestAttackStored(t *testing.T) {
	x := newTarget(t, attackCluster(t), "stored", fmt.Sprintf(attackPack, "redact", ""))
	x.must(x.root, storedSetup...)
	r := x.raid(t)
	for _, q := range []string{
		"show app.secret", "show app.ssn", "show all", "select current_setting('app.secret') as v", "select current_setting('app.' || 'secret')", "select reverse(current_setting('app.secret'))", "select v from (select current_setting('app.ssn') v) q",
		"select * from current_setting('app.secret') v", "select setconfig from pg_db_role_setting", "select reverse(setconfig::text) from pg_db_role_setting", "select unnest(setconfig) from pg_db_role_setting", "explain verbose select current_setting('app.secret')",
		"select srvoptions from pg_foreign_server", "select reverse(srvoptions::text) from pg_foreign_server", "select * from pg_options_to_table((select srvoptions from pg_foreign_server))", "select (pg_options_to_table(srvoptions)).* from pg_foreign_server",
		"select option_value from information_schema.foreign_server_options", "select foreign_server_options from information_schema.foreign_server_options",
		"select obj_description('orders'::regclass)", "select reverse(obj_description('orders'::regclass))", "select reverse(description) from pg_description where objoid = 'orders'::regclass", "select reverse(d::text) from pg_description d where objoid = 'orders'::regclass",
		"select doc ->> ('pass' || 'word') from kept_docs", "select doc ->> k from kept_docs", "select doc #>> array['a', 'pass' || 'word'] from kept_docs", "select doc #>> array['a', 'password'] from kept_docs", "select doc['pass' || 'word'] from kept_docs",
		"select (doc -> 'a')[k] from kept_docs", "select jsonb_extract_path_text(doc, k) from kept_docs", "select old ->> k, old -> k from kept_docs", "select json_build_array(doc ->> k) from kept_docs", "select v from (select doc ->> k as v from kept_docs) q",
		"select tsv from kept_docs", "select * from kept_docs", "select d from kept_docs d", "select to_json(d) from kept_docs d", "select tsv::text from kept_docs", "select unnest(tsv) from kept_docs", "select lexeme from kept_docs, unnest(tsv)", "select tsvector_to_array(tsv) from kept_docs", "select array_agg(tsv) from kept_docs",
		"select num::float8 from kept_docs", "select num::money from kept_docs", "select point(num, 1) from kept_docs", "select big::bit(64) from kept_docs", "select span from kept_docs", "select int8range(big, null) from kept_docs", "select circle(point(1, num), 1) from kept_docs", "select int8multirange(span) from kept_docs",
	} {
		r.conn.forget()
		r.say(q)
		r.extended(q, 0)
		r.extended(q, 1)
		r.clean(q)
		heard := string(r.conn.all())
		for _, form := range storedTraces {
			if strings.Contains(heard, form) {
				t.Errorf("LEAK of %q by %s", form, q)
			}
		}
		if r.held || r.dead {
			r = x.raid(t)
		}
	}
	for q, want := range map[string]string{
		"select current_setting('server_version_num')::int / 10000 * 1000": "15000", "show server_version_num": "1500", "select doc ->> 'plan', (doc -> 'plan')::text from kept_docs": "gold", "select color::text || ' it is' from kept_docs": "red it is",
		"select int8range(1, 4), point(1, 2), 12::money, 1.5e20::float8": "[1,4)", "select description || '' from pg_description where description = 'list of tables'": "", "select upper(relname), relkind::text from pg_class where relname = 'orders'": "ORDERS",
	} {
		r.conn.forget()
		r.say(q)
		if heard := string(r.conn.all()); !strings.Contains(heard, want) || strings.Contains(heard, "masked") {
			t.Errorf("%s: %q", q, heard)
		}
	}
}

// A table in one row weighs what it holds: after some of them a read is an export.
func TestAttackOneBigRow(t *testing.T) {
	for name, q := range map[string]string{
		"strings": "select string_agg(who, ',') from crowd", "json": "select json_agg(c) from crowd c", "array": "select array(select who from crowd)",
		"recursion": "with recursive r(n, s) as (select 1, ''::text union all select n + 1, repeat('person number ' || n || ', ', 1500) from r where n < 14) select array_agg(s) from r, (select 1 from crowd limit 1) c",
	} {
		t.Run(name, func(t *testing.T) {
			x := newTarget(t, attackCluster(t), "bigrow", fmt.Sprintf(attackPack, "redact", ""))
			x.must(x.root, storedSetup[len(storedSetup)-1])
			r := x.raid(t)
			for i := range 40 {
				r.conn.forget()
				r.say(q)
				if strings.Contains(string(r.conn.all()), "AS003") || strings.Contains(string(r.conn.all()), "42501") {
					if i == 0 {
						t.Error("stopped at once")
					}
					return
				}
			}
			t.Error("the table was read forty times, as forty rows")
		})
	}
}
