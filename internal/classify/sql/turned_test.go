package sql

import (
	"slices"
	"testing"
)

// What an output column shows can be found by its form, or it says that it can't.
func TestTurned(t *testing.T) {
	c := New(Options{})
	columns := func(text string) (turned bool) {
		r := c.Classify(text, State{Database: "shop"})
		if r.ParseError {
			t.Fatalf("%s: not understood", text)
		}
		for _, s := range r.Statements {
			inner := s.Columns
			if s.Cursor != nil && s.Cursor.Inner != nil {
				inner = s.Cursor.Inner.Columns
			}
			if s.Prepare != nil {
				inner = s.Prepare.Inner.Columns
			}
			for _, col := range inner {
				turned = turned || col.Turned
				if slices.ContainsFunc(col.Sources, isMark) {
					t.Errorf("%s: a mark among the sources of %s", text, col.Name)
				}
			}
			if slices.ContainsFunc(slices.Concat(s.Inferred, s.Objects), isMark) {
				t.Errorf("%s: a mark outside", text)
			}
		}
		return turned
	}
	for _, plain := range []string{
		"select * from t", "select note from t", "select t from t", "select count(*), count(note), sum(n), avg(n), min(note) from t", "select coalesce(note, '') from t", "select note || '' from t", "select a || ', ' || b from t", "select ' ' || note || ' ' from t",
		"select concat(a, ' ', b) from t", "select concat_ws(', ', a, b) from t", "select string_agg(note, ', ') from t", "select note::text, note::varchar, n::int8, doc::jsonb from t", "select doc -> 'a' ->> 'b', doc #>> '{a,b}' from t", "select trim(note), trim(both from note) from t",
		"select lower(note), upper(note), length(note) from t", "select case when status = 'x' then note else '' end from t", "select nullif(note, ''), greatest(note, 'a') from t", "select note from t where reverse(note) = 'x' order by substr(note, 1)",
		"select value from t, jsonb_each_text(doc)", "select note in ('a', 'b'), note is null, note is distinct from 'x', note = 'x' from t", "select array_agg(note), (array_agg(note))[1] from t", "select to_json(t), row_to_json(t), json_build_object('a', note) from t", "select reverse('x'), md5('y'), 1 + 1",
		"with recursive q(id, note, depth) as (select id, note, 1 from t union all select t.id, t.note, q.depth + 1 from t join q on t.up = q.id) select id, note from q",
		"with q as (select note from t) select max(note) from q", "select exists (select 1 from t where reverse(note) = 'x')", "select (t.reach).email from t", "select unnest(list) from t",
	} {
		if columns(plain) {
			t.Errorf("%s: turned", plain)
		}
	}
	for _, turned := range []string{
		"select row_number() over (order by reverse(note)) from t", "select reverse(note) from t", "select note || '0' from t", "select 'x' || note from t", "select a || b from t", "select a || '-' || b from t", "select note || ' 0' from t", "select concat(a, b) from t", "select concat_ws('', a, b) from t", "select concat_ws(sep, a, b) from t", "select string_agg(note, '') from t",
		"select string_agg(note, sep) from t", "select trim('x' from note) from t", "select btrim(note, '123') from t", "select note::varchar(3) from t", "select note::bytea from t", "select note::text[] from t", "select note::name from t", "select note::bit(8) from t", "select n + 1 from t", "select note like 'a%' from t", "select note ~ 'a' from t",
		"select note < 'a' from t", "select note between 'a' and 'b' from t", "select note similar to 'a' from t", "select case when note like 'a%' then 1 end from t", "select (note).reverse from t", "select xmlelement(name a, note) from t", "select substr(note, 1, 1) from t", "select encode(note::bytea, 'hex') from t", "select translate(note, 'a', 'b') from t",
		"select x from (select reverse(note) as x from t) q", "select x from (select reverse(note) as y from t) q(x)", "with q as (select reverse(note) as x from t) select max(x) from q", "with recursive q(n, x) as (select 1, reverse(note) from t union all select n + 1, x from q) select x from q", "with recursive q(n, x, y) as (select 1, reverse(note), note from t union all select n + 1, y, x from q) select y from q", "select 'a' union all select reverse(note) from t", "select (select reverse(note) from t)",
		"select array(select reverse(note) from t)", "select x from t, lateral (select reverse(note) as x) l", "select x from t, regexp_split_to_table(note, '') x", "values ((select reverse(note) from t))", "insert into u values (1) returning reverse(note)", "declare c cursor for select reverse(note) from t", "prepare p as select reverse(note) from t", "copy (select reverse(note) from t) to stdout",
		"create temp table q as select reverse(note) as x from t; select x from q", "create temp view q as select reverse(note) as x from t; select x from q", "select reverse(note) as x into temp q from t; select x from q", "select public.mine(note) from t", "select format('%s', note) from t", "select string_to_array(note, '') from t", "select q.* from (select md5(note) from t) q",
		"select to_json(q) from (select reverse(note) as x from t) q", "select j.x from (t join u on true) as j(x), lateral (select reverse(j.x) as x) k union select reverse(note) from t", "select lag(reverse(note)) over () from t", "select max(reverse(note)) filter (where true) from t", "select doc -> reverse(note) from t", "select (array['a','b'])[ascii(note)] from t",
	} {
		if !columns(turned) {
			t.Errorf("%s: not turned", turned)
		}
	}
}

func TestAggregateColumns(t *testing.T) {
	c := New(Options{})
	for text, want := range map[string]bool{
		"select max(ssn) from t": true, "select x from (select avg(n) as x from t) q": true, "select count(*) from t": true, "select 1 + sum(n) from t": true, "select my_agg(distinct n) from t": true,
		"select ssn from t": false, "select length(ssn) from t": false, "select row_number() over () from t": false,
	} {
		if got := c.Classify(text, State{}).Statements[0].Columns[0].Aggregate; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
