package server

import (
	"fmt"
	"strings"
	"testing"
)

// unclassedSetup puts planted values where no name, type or catalogue entry tells of them.
var unclassedSetup = []string{
	`create table words (id int, said text, doc jsonb, raw bytea, list text[], old json, status text, paid numeric, at timestamptz)`,
	`insert into words select id, v, jsonb_build_object('k', v, 'deep', jsonb_build_array(v)), v::bytea, array[v, 'x'], json_build_object('k', v), 'open', 12.50, '2026-03-05 12:00Z'
		from (select id, case id when 1 then ssn else email end as v from customers) c`,
	`create view said_again as select id, said as again, reverse(said) as turned, length(said) as size from words`,
	`create view said_thrice as select id, turned as third from said_again`,
	`create materialized view said_kept as select id, reverse(said) as kept from words`,
	`create table gene (id int, said text, twice text generated always as (reverse(said)) stored)`, `insert into gene select id, said from words`,
}

// Where nothing tells of a value but its form, no expression may change the form.
func TestAttackUnclassed(t *testing.T) {
	c := attackCluster(t)
	x := newTarget(t, c, "unclassed", fmt.Sprintf(attackPack, "redact", ""))
	x.must(x.root, unclassedSetup...)
	r := x.raid(t)
	try := func(q string) {
		r.conn.forget()
		r.say(q)
		r.extended(q, 0)
		r.extended(q, 1)
		r.clean(q)
		if r.dead {
			r = x.raid(t)
		}
	}
	for _, expression := range laundering {
		for _, source := range []string{
			"said from words w", "w.said from words w", "x from (select said as x, id from words) w", "x from (select value as x from words, jsonb_each_text(doc) where key = 'k') w",
			"x from (select doc ->> 'k' as x from words) w", "x from (select list[1] as x from words) w", "again from said_again", "x from (select convert_from(raw, 'UTF8') as x from words) w",
		} {
			column, from, _ := strings.Cut(source, " from ")
			try("select " + fmt.Sprintf(expression, column) + " as v from " + from)
		}
	}
	for _, q := range []string{
		"select turned from said_again", "select third from said_thrice", "select * from said_again", "select kept from said_kept", "select twice from gene", "select * from gene", "select s from said_again s", "select to_json(s) from said_again s",
		"select v from (select reverse(said) as v from words union all select 'x') u", "with q as (select reverse(said) as v from words) select max(v) from q", "with recursive q(n, v) as (select 1, reverse(said) from words union all select n + 1, v from q where n < 2) select v from q",
		"select (select reverse(said) from words where id = 1)", "select array(select reverse(said) from words)", "select v from words, lateral (select reverse(said) as v) l", "select v from words, lateral reverse(said) v", "select v from words cross join lateral unnest(array[reverse(said)]) v",
		"select y.* from words, regexp_split_to_table(said, '-') y", "select string_agg(reverse(said), ',') from words", "select string_agg(said, '0') from words", "select said || '0' from words", "select '0' || said from words", "select said || said from words", "select 'x' || said || 'x' from words",
		"select concat(said, '0') from words", "select concat_ws('', said, 'a') from words", "select format('%s0', said) from words", "select (said)::varchar(5) from words", "select said::char(6) from words", "select said::name from words", "select (said).reverse from words", "select encode(raw, 'base64') from words", "select encode(raw, 'escape') from words",
		"select raw::text from words", "select set_byte(raw, 0, 0) from words", "select substring(raw from 2) from words", "select json_object_agg(reverse(said), 1) from words", "select jsonb_path_query(doc, '$.k') #>> '{}' || '0' from words", "select translate(doc::text, '0123456789', 'abcdefghij') from words",
		"select replace(doc::text, '-', '') from words", "select reverse(to_jsonb(w)::text) from words w", "select reverse(w::text) from words w", "values ((select reverse(said) from words where id = 1))", "select xmlelement(name a, reverse(said)) from words", "select md5(said), sha256(said::bytea) from words",
		"copy (select reverse(said) from words) to stdout", "begin; declare c cursor for select reverse(said) from words; fetch all c; commit", "prepare p as select reverse(said) from words; execute p", "select coalesce(reverse(said), '') from words", "select case id when 1 then reverse(said) else '' end from words", "select nullif(reverse(said), '') from words",
		"select r.v from (select w.said as v from words w) as r(v) where true and reverse(r.v) <> '' union all select reverse(said) from words", "select array_to_string(regexp_split_to_array(said, ''), ' ') from words", "select array_to_string(array[said, said], '') from words", "select overlay(said placing '' from 4 for 1) from words",
	} {
		try(q)
	}
}

// What people do all day with columns that have no class comes as it is.
func TestUnclassedStaysUsable(t *testing.T) {
	c := attackCluster(t)
	x := newTarget(t, c, "usable", fmt.Sprintf(attackPack, "redact", ""))
	x.must(x.root, append(unclassedSetup, "update words set said = 'as agreed', list = '{a,b}', doc = '{\"plan\": \"pro\"}'")...)
	r := x.raid(t)
	for _, q := range []string{
		"select said, status, paid, at from words order by id", "select count(*), sum(paid), avg(paid), max(at), min(said) from words", "select status, count(*) from words group by status", "select lower(status), upper(status), length(said) from words",
		"select coalesce(said, ''), said || '', said || ' is ' || status from words", "select said || ', ' || status from words", "select concat_ws(', ', said, status) from words", "select string_agg(status, ', ') from words",
		"select date_trunc('day', at), extract(year from at), at::date, now() - at > interval '0', to_char(at, 'YYYY-MM') from words where id = 1", "select paid * 2, round(paid / 3, 2), paid::text, (paid + id)::int from words", "select case when status = 'open' then 1 else 0 end from words",
		"select sum(case when status = 'open' then paid else 0 end) from words", "select doc ->> 'plan', doc -> 'plan', to_jsonb(w) ->> 'status' from words w", "select list[1], cardinality(list), array_length(list, 1) from words", "select id::text, status::varchar, tableoid::regclass from words",
		"select row_number() over (order by id), lag(status) over (order by id) from words", "select json_agg(json_build_object('id', id, 'status', status)) from words", "select count(*) filter (where status = 'open'), count(distinct status) from words", "select trim(said), array_agg(status) from words group by said",
		"select again, size from said_again", "select s.key, s.value from words, jsonb_each_text(doc) s", "select substring(relname, 1, 3), upper(relkind::text), format_type(25, null) from pg_class where relname = 'words'", "select upper(table_name) from information_schema.tables where table_name = 'words'",
		"select exists (select 1 from words where said like 'as%')", "select greatest(paid, 1), least(at, now()) = at, nullif(status, '') from words", "select generate_series(1, 3) * 2, 'a' || 'b', upper('x'), md5('x'), substr('abc', 2)",
	} {
		r.conn.forget()
		r.say(q)
		want := x.direct(x.database).Exec(t.Context(), q)
		results, err := want.ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		heard := string(r.conn.all())
		if strings.Contains(heard, "masked") || strings.Contains(heard, "assent") {
			t.Errorf("%s: %q", q, heard)
		}
		for _, row := range results[0].Rows {
			for _, v := range row {
				if !strings.Contains(heard, string(v)) {
					t.Errorf("%s: %q did not come: %q", q, v, heard)
				}
			}
		}
	}
}
