package sql

import (
	"strings"
	"testing"
)

// A probe counts the rows of exactly the statement's own FROM, USING and WHERE.
func TestProbe(t *testing.T) {
	c := New(Options{})
	for text, want := range map[string]string{
		"update only Customers c set n = 1 where c.id = $2 and x like 'a%'": "SELECT pg_catalog.count(*) FROM ONLY customers c WHERE c.id = $2 AND x LIKE 'a%'",
		"delete from shop.orders":                                        "SELECT pg_catalog.count(*) FROM shop.orders",
		"delete from orders o using customers c where o.c = c.id":        "SELECT pg_catalog.count(*) FROM orders o WHERE EXISTS (SELECT 1 FROM customers c WHERE o.c = c.id)",
		"update t set a = u.b from u join v on u.i = v.i, w":             "SELECT pg_catalog.count(*) FROM t WHERE EXISTS (SELECT 1 FROM u JOIN v ON u.i = v.i, w)",
		"with k as (select 1 as id) delete from t where id in (table k)": "WITH k AS (SELECT 1 AS id) SELECT pg_catalog.count(*) FROM t WHERE id IN (SELECT * FROM k)",
		"insert into t select * from u where a > 1 order by b":           "SELECT pg_catalog.count(*) FROM (SELECT * FROM u WHERE a > 1 ORDER BY b) _assent",
		"insert into t(a) values (1), (2) on conflict do nothing":        "at most 2",
		"insert into t default values":                                   "1",
		"insert into t values (1) union all select 2":                    "SELECT pg_catalog.count(*) FROM (VALUES (1) UNION ALL SELECT 2) _assent",
		"copy t (a, b) to stdout":                                        "SELECT * FROM t",
		"copy (select a from t) to stdout":                               "SELECT a FROM t",
		`drop table "odd ""name", s.t cascade`:                           `cascade "odd ""name" "s"."t"`,
		"truncate a, b.c":                                                `"a" "b"."c"`,
		// What can't be counted this way says so.
		"update t set n = 1 where current of c":                     "! which only this session sees",
		"with t as (select 1) delete from t":                        "! has the name of the table",
		"merge into t using u on true when matched then do nothing": "! not previewed",
		"copy t from stdin":                                         "! comes only when it runs",
		"create table x (a int)":                                    "! not previewed",
		"select 1; select 2":                                        "! not understood as one",
		"selec":                                                     "! not understood",
		"drop function f":                                           "! not previewed",
		"select 1 into t":                                           "! makes a table",
	} {
		p, err := c.Probe(text)
		var got string
		switch {
		case err != nil:
			got = "! " + err.Error()
		case p.Query != "":
			got = p.Query
		case p.Rows.Known:
			got = strings.TrimSpace(map[bool]string{true: "at most "}[p.AtMost] + string(rune('0'+p.Rows.N)))
		default:
			got = map[bool]string{true: "cascade "}[p.Cascade] + strings.Join(p.Objects, " ")
		}
		if err != nil && strings.HasPrefix(want, "! ") && strings.Contains(got, want[2:]) {
			continue
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	if _, err := c.Probe("delete from t where a in (1" + strings.Repeat(",1", 100_000) + ")"); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a text of 200 KB: %v", err)
	}
	p, err := c.Probe("update t set a = $1 where b = $3 or b = $3")
	if err != nil || len(p.Params) != 1 || p.Params[0] != 3 {
		t.Errorf("parameters: %+v, %v", p, err)
	}
}

// The rows behind a group are counted where each stands for one of a table, and in one
// way only: with the statement's own WHERE, GROUP BY and HAVING, NULLs left out.
func TestProbeGroups(t *testing.T) {
	c := New(Options{})
	counted := func(inner string) string {
		return "SELECT COALESCE(pg_catalog.min(_assent_n), 0) FROM (" + inner + ") _assent"
	}
	for text, want := range map[string]string{
		"select count(*) from t where a = $1 limit $2":                                      counted("SELECT count(*), LEAST(pg_catalog.count(*)) AS _assent_n FROM t WHERE a = $1"),
		"select avg(pay) from s.t x":                                                        counted("SELECT avg(pay), LEAST(pg_catalog.count(*), pg_catalog.count(pay)) AS _assent_n FROM s.t x"),
		"select a, round(sum(t.pay) / count(*), 2) from t group by 1 order by 2":            counted("SELECT a, round(sum(t.pay) / count(*), 2), LEAST(pg_catalog.count(*), pg_catalog.count(t.pay)) AS _assent_n FROM t GROUP BY 1"),
		"select a from t where at >= date '2026-01-01' group by a":                          counted("SELECT a, LEAST(pg_catalog.count(*)) AS _assent_n FROM t WHERE at >= '2026-01-01'::date GROUP BY a"),
		"select date_trunc('day', at) as d, count(b) from t group by d having count(*) > 9": counted("SELECT date_trunc('day', at) AS d, count(b), LEAST(pg_catalog.count(*), pg_catalog.count(b)) AS _assent_n FROM t GROUP BY d HAVING count(*) > 9"),
		// One person among many, or no group at all.
		"select a, pay from t": "", "select sum(pay) filter (where name = 'Bob') from t": "", "select sum(case when name = 'Bob' then pay end) from t": "",
		"select sum(pay * (name = 'Bob')::int) from t": "", "select max(pay) from t": "", "select array_agg(pay) from t": "", "select sum(distinct pay) from t": "",
		"select avg(pay) from t, u where t.name = 'Bob'": "", "select avg(pay) from t join u on true": "", "select avg(p) from (select pay as p from t) q": "",
		"select avg(pay) from t tablesample system (1)": "", "with q as (select 1) select avg(pay) from t": "", "select avg(pay) from generate_series(1, 99) pay": "",
		"select count(*), (select pay from u) from t": "", "select count(*) from t where a in (select 1)": "", "select count(*) from t limit (select pay from u)": "",
		"select avg(pay) from t group by name = 'Bob' having sum(pay) > 9": "", "select a, avg(pay) from t group by a having a > 1": "",
		"select a, count(*) from t group by a order by max(pay)": "", "select distinct avg(pay) from t group by a": "", "select avg(pay) from t group by rollup (a)": "",
		"select avg(pay) over () from t": "", "select count(*) over w from t window w as ()": "", "select avg(pay) from t union select 1": "",
		"select percentile_cont(0.5) within group (order by pay) from t": "", "select count(*) from other.s.t": "",
		// What a run could see otherwise than a preview.
		"select avg(pay) from t where name = 'Bob' or current_setting('application_name') = 'assent preview'": "", "select avg(pay) from t where random() < 0.5": "",
		"select avg(pay) from t where at < now()": "", "select avg(pay) from t where at < 'NOW'": "", "select avg(pay) from t where at < current_date": "",
		"select avg(pay) from t where a @@ 'the'": "", "select avg(pay) from t where a::timestamptz > b": "", "select avg(pay) from t where (a = null) is null": "",
		"select avg(pay) from t where a operator(s.=) 1": "", "select s.avg(pay) from t": "", "select mine(pay) from t group by a": "",
	} {
		if p, err := c.Probe(text); err != nil || p.Groups != want {
			t.Errorf("%s: %v\n got %s\nwant %s", text, err, p.Groups, want)
		}
	}
	p, err := c.Probe("select count(*) from s.t where a = $2 limit $1")
	if err != nil || len(p.GroupParams) != 1 || p.GroupParams[0] != 2 || p.Target != "s.t" {
		t.Errorf("parameters: %+v, %v", p, err)
	}
}

// The probe of any text is itself a text of one statement that only reads the
// objects of the text; the deparser, which is C, outlives whatever the parser lets through.
func FuzzProbe(f *testing.F) {
	for _, t := range texts(f) {
		f.Add(t)
	}
	c := New(Options{CacheEntries: -1})
	f.Fuzz(func(t *testing.T, text string) {
		p, err := c.Probe(text)
		if err != nil || p.Query == "" {
			return
		}
		if p.Groups != "" {
			reads(t, c, text, p.Groups)
		}
		reads(t, c, text, p.Query)
	})
}

// reads fails unless query is one statement over objects of text.
func reads(t *testing.T, c *Classifier, text, query string) {
	t.Helper()
	r := c.Classify(query, State{})
	if r.ParseError || len(r.Statements) != 1 {
		t.Fatalf("%q: the probe %q is not one statement", text, query)
	}
	whole := c.Classify(text, State{})
	for _, o := range r.Statements[0].Objects {
		found := false
		for _, s := range whole.Statements {
			for _, have := range s.Objects {
				found = found || have == o
			}
		}
		if !found {
			t.Fatalf("%q: the probe %q reads %q, which the text doesn't", text, query, o)
		}
	}
}
