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
		r := c.Classify(p.Query, State{})
		if r.ParseError || len(r.Statements) != 1 {
			t.Fatalf("%q: the probe %q is not one statement", text, p.Query)
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
				t.Fatalf("%q: the probe %q reads %q, which the text doesn't", text, p.Query, o)
			}
		}
	})
}
