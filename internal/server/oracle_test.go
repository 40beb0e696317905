package server

import (
	"bytes"
	"fmt"
	"testing"
)

// questions ask for a bit about a masked value without showing it. The answer to
// each must be the same whoever has which ssn.
var questions = []string{
	"select id from customers where ssn like '1%' order by id", "select id from customers where ssn = '123-45-6789'", "select count(*) from customers where ssn < '5'", "select count(*) from customers having max(ssn) < '5'", "select count(*) filter (where ssn like '1%') from customers group by id order by id",
	"select id, case when ssn like '1%' then 1 else 0 end from customers order by id", "select id from customers order by ssn", "select id, ssn from customers order by 2", "select id, ssn as s from customers order by s", "select id from customers order by reverse(ssn) desc", "select id from customers order by ssn limit 1",
	"select id, row_number() over (order by ssn) from customers order by id", "select id, count(*) over (partition by substr(ssn, 1, 1)) from customers order by id", "select id, first_value(id) over (order by ssn rows between unbounded preceding and current row) from customers order by id", "select id, rank() over w from customers window w as (order by ssn) order by id",
	"select id from customers order by id limit (select ascii(ssn) - 48 from customers where id = 1)", "select id from customers order by id offset (select ascii(ssn) - 49 from customers where id = 1)", "select c.id from customers c join (values ('123-45-6789')) v(s) on v.s = c.ssn", "select c.id from customers c natural join (values ('123-45-6789')) v(ssn)",
	"select c.id from customers c join (values ('123-45-6789')) v(ssn) using (ssn)", "select v.s from (values ('123-45-6789')) v(s) where exists (select 1 from customers c where c.ssn = v.s and c.id = 1)", "select id from customers where id = 1 and ssn in (select '123-45-6789')", "select id from customers where (id, ssn) = (1, '123-45-6789')", "select count(distinct substr(ssn, 1, id)) from customers where id = 1 or ssn like '1%'",
	"select min(id) from customers group by ssn order by min(ssn)", "select distinct on (substr(ssn, 1, 0)) id from customers order by substr(ssn, 1, 0), ssn", "select id, ssn from customers union select 1, '123-45-6789'", "select id, ssn from customers intersect select 1, '123-45-6789'", "select id, ssn from customers except select 1, '123-45-6789'", "select id from customers where ssn = '123-45-6789' union all select 7",
	"select id from customers where id = 1 and ssn::int > 0", "select 1 / (ascii(ssn) - 49) from customers where id = 1", "select id from customers where id = 1 and 1 / (ascii(ssn) - 49) > 0", "select pg_sleep(ascii(ssn) - 49) from customers where id = 1", "select case when ssn like '1%' then pg_sleep(1) end from customers where id = 1", "explain select id from customers where ssn like '1%' and id = 1",
	"explain analyze select id from customers where ssn like '1%' and id = 1", "explain (analyze, timing off, costs off, summary off) select id from customers where ssn = '123-45-6789' and id = 1", "select most_common_vals from pg_stats where tablename = 'customers'", "select histogram_bounds from pg_stats where attname = 'ssn'", "select id from customers tablesample system (100) where ssn like '1%'",
	"select id from customers tablesample bernoulli ((select ascii(ssn) - 49 from customers where id = 1))", "begin; declare c cursor for select id from customers order by ssn; fetch 1 c; commit", "begin; declare c cursor for select id from customers where ssn like '1%'; move forward all c; commit", "copy (select id from customers where ssn like '1%') to stdout", "copy (select id from customers order by ssn) to stdout",
	"update marker set n = n where exists (select 1 from customers where id = 1 and ssn like '1%') returning n", "select generate_series(1, ascii(ssn) - 48) from customers where id = 1", "select * from customers c, generate_series(1, ascii(c.ssn) - 48) g where c.id = 1", "prepare q(text) as select id from customers where ssn = $1; execute q('123-45-6789')", "prepare q2 as select id from customers where ssn like '1%'; execute q2",
	"select c2.id from contacts c2 where code like '1%'", "select id from deep d join contacts t on t.code = d.c2 where c2 like '1%'", "select id from kept where code like '1%'", "select id from customers where mirrored like '%1'", "select id from customers where doc ->> 'ssn' like '1%'", "select id from customers where (reach).email like 'zoe%' and ssn like '1%'", "select id from customers where customers::text like '%123-45%'",
	"select id from customers where to_jsonb(customers) ->> 'ssn' like '1%'", "with q as (select id, ssn as x from customers) select id from q where x like '1%'", "with q(a, b) as (select id, ssn from customers) select a from q order by b", "select a from (select id as a, reverse(ssn) as b from customers) q where b like '%1'", "select a from (select id as a, ssn as b from customers order by 2 limit 1) q", "select (select id from customers order by ssn limit 1)",
	"select array(select id from customers order by ssn)", "select array_agg(id order by ssn) from customers", "select string_agg(id::text, ',' order by ssn) from customers", "select percentile_disc(0.5) within group (order by ssn) from customers", "select mode() within group (order by ssn) from customers", "select id from customers group by id, ssn having ssn like '1%'", "select grouping(ssn), count(*) from customers group by rollup (ssn)",
	"select coalesce((select 1 from customers where id = 1 and ssn like '1%'), 0)", "select 1 where '123-45-6789' = any (select ssn from customers where id = 1)", "select 1 where '5' > all (select ssn from customers where id = 1)", "with recursive r(n) as (select 1 union all select n + 1 from r where n < (select ascii(ssn) - 47 from customers where id = 1)) select count(*) from r", "values ((select count(*) from customers where ssn like '1%' and id = 1))",
	"select id from customers where ssn is distinct from '123-45-6789' order by id", "select id from customers where nullif(ssn, '123-45-6789') is null", "select id from customers where ssn between '1' and '2'", "select id from customers where ssn similar to '1%'", "select id from customers where ssn ~ '^1'", "select id from customers where position('123' in ssn) = 1", "select id from customers where md5(ssn) = md5('123-45-6789')", "select id from customers where ascii(ssn) & 1 = 1",
	"select x.id from customers x left join customers y on y.id = x.id and y.ssn like '1%' where y.id is not null", "select x.id, y.id from customers x join customers y on x.ssn < y.ssn", "select id from customers, lateral (select 1 where ssn like '1%') l", "merge into marker m using customers c on c.ssn like '1%' and c.id = 1 when matched then do nothing",
}

// No statement returns a bit about a masked value unheld: with the values of two
// rows changed for each other, every answer stays what it was.
func TestAttackOracle(t *testing.T) {
	x := newTarget(t, attackCluster(t), "oracle", fmt.Sprintf(attackPack, "redact", exportsAllowed))
	r := x.raid(t)
	answers := func() (out [][3][]byte) {
		for _, q := range questions {
			var heard [3][]byte
			for how := range 3 {
				r.conn.forget()
				if how == 2 {
					r.say(q)
				} else {
					r.extended(q, int16(how))
				}
				r.clean(q)
				heard[how] = r.conn.all()
				r.say("rollback", "deallocate all")
				if r.dead {
					r = x.raid(t)
				}
			}
			out = append(out, heard)
		}
		return out
	}
	before := answers()
	x.must(x.root, "alter table customers drop constraint customers_ssn_key",
		"update customers c set ssn = o.ssn, doc = o.doc from customers o where o.id = 3 - c.id", "cluster customers using customers_pkey", "refresh materialized view kept", "analyze")
	for i, now := range answers() {
		for how := range now {
			if !bytes.Equal(before[i][how], now[how]) {
				t.Errorf("ORACLE: %s\n  %q\n  %q", questions[i], before[i][how], now[how])
				break
			}
		}
	}
}
