package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// described writes a probe in a line.
func (p *Probe) described() string {
	s := p.Query
	if p.Rows.Known {
		s = fmt.Sprint(p.Rows.N)
	}
	if p.AtMost {
		s = "at most " + s
	}
	if p.Times > 1 {
		s = fmt.Sprint(p.Times, " times ", s)
	}
	s = strings.NewReplacer("( ", "(", " )", ")").Replace(s)
	return strings.Join(p.Targets, " ") + ": " + s
}

// A probe counts the rows of exactly the statement's own tables and conditions.
func TestProbe(t *testing.T) {
	c := New(Options{})
	for text, want := range map[string]string{
		"update ignore Customers c set n = 1 where c.id = 2 and x like 'a%'": "shop.Customers: at most SELECT COUNT(*) FROM Customers c where c.`id` = 2 and x like 'a%'",
		"delete from crm.orders":                                                     "crm.orders: SELECT COUNT(*) FROM crm.`orders`",
		"delete from t where a = 1 order by sleep(9) limit 3":                        "shop.t: SELECT COUNT(*) FROM (SELECT 1 FROM t where a = 1 limit 3) AS _assent",
		"delete from t where `limit` = ')'":                                          "shop.t: SELECT COUNT(*) FROM t where `limit` = ')'",
		"delete from t where a in (select b from u order by b limit 3)":              "shop.t: SELECT COUNT(*) FROM t where a in (select b from u order by b limit 3)",
		"update t, u set t.a = u.b where t.id = u.id":                                "shop.t: at most SELECT COUNT(*) FROM t , u where t.`id` = u.`id`",
		"update t join crm.u x on t.id = x.id set t.a = 1, x.b = 2 where x.c":        "shop.t crm.u: 2 times at most SELECT COUNT(*) FROM t join crm.`u` x on t.`id` = x.`id` where x.`c`",
		"update t join u using (id) set a = 1":                                       "shop.t shop.u: 2 times at most SELECT COUNT(*) FROM t join u using (id)",
		"delete o, c from orders o join customers c on o.c = c.id where c.gone":      "shop.orders shop.customers: 2 times at most SELECT COUNT(*) FROM orders o join customers c on o.`c` = c.`id` where c.`gone`",
		"delete from o using orders o left join customers c on o.c = c.id":           "shop.orders: at most SELECT COUNT(*) FROM orders o left join customers c on o.`c` = c.`id`",
		"with k as (select 1 as id) delete from t where id in (select id from k)":    "shop.t: with k as (select 1 as id) SELECT COUNT(*) FROM t where id in (select id from k)",
		"insert into t (a, b) values (1, 2), (3, 4)":                                 "shop.t: 2",
		"insert into t (a) values (1) on duplicate key update a = 2":                 "shop.t: at most 1",
		"insert into t set a = 1":                                                    "shop.t: 1",
		"replace into t values (1), (2)":                                             "shop.t: 2",
		"insert into t select u.id, v.id from u join v on u.a = v.a":                 "shop.t: WITH _assent (c0, c1) AS (select u.`id` , v.`id` from u join v on u.`a` = v.`a`) SELECT COUNT(*) FROM _assent",
		"insert ignore into t (a) (select * from u) on duplicate key update t.a = 3": "shop.t: at most SELECT COUNT(*) FROM (select * from u) AS _assent",
		"select a from t where b = 1":                                                ": select a from t where b = 1",
		"truncate t":                                                                 "shop.t: ",
		"drop table if exists `odd.name`, crm.u":                                     "shop.odd.name crm.u: ",
		"drop schema crm":                                                            "crm: ",
		// What can't be counted this way says so.
		"delete from t where a = @x":                       "! variables",
		"delete from t where a = @@session.timestamp":      "! variables",
		"delete from t where id = last_insert_id()":        "! only this session knows",
		"insert into t select a from u for update":         "! lock rows",
		"insert into t select a from u lock in share mode": "! lock rows",
		"with t as (select 1) delete from t":               "! has the name of the table",
		"delete /*! ignore */ from t":                      "! code in it",
		"drop procedure p":                                 "! not previewed",
		"drop temporary table t":                           "! not previewed",
		"delete quick from t":                              "! could not be written down",
		"load data infile 'x' into table t":                "! not previewed",
		"call p()":                                         "! ",
		"set @a = 1":                                       "! ",
		"delete from t; delete from u":                     "! more than one",
		"delete from t where a = ?":                        "! parameters",
	} {
		p, err := c.Probe(text, State{Database: "shop"}, nil)
		var got string
		if err != nil {
			got = "! " + err.Error()
		} else {
			got = p.described()
		}
		if no, is := strings.CutPrefix(want, "! "); is && err != nil && strings.Contains(err.Error(), no) {
			continue
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	p, err := c.Probe("update t set a = ? where b = ? and c < ? limit ?", State{Database: "shop"}, []string{"'no'", "'it''s'", "(-5)", "7"})
	if want := "shop.t: at most SELECT COUNT(*) FROM (SELECT 1 FROM t where b = 'it''s' and c < (- 5) limit 7) AS _assent"; err != nil || p.described() != want {
		t.Errorf("parameters: %+v, %v", p, err)
	}
	if _, err := c.Probe("delete from t where a in (1"+strings.Repeat(",1", 100_000)+")", State{}, nil); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a text of 200 KB: %v", err)
	}
}

// The probe of any text is itself a text of one statement that only reads the tables of the text.
func FuzzProbe(f *testing.F) {
	_, texts := corpus(f)
	for _, t := range texts {
		f.Add(t)
	}
	f.Add("delete o, c from orders o join customers c on o.c = c.id where c.gone")
	f.Add("update t set a = 1 where b in (select 1 from u) limit 3")
	f.Add("insert into t (select a, b from u) on duplicate key update a = 1")
	c := New(Options{CacheEntries: -1})
	f.Fuzz(func(t *testing.T, text string) {
		st := State{Database: "shop"}
		p, err := c.Probe(text, st, nil)
		if err != nil || p.Query == "" {
			return
		}
		whole, probe := c.Classify(text, st), c.Classify(p.Query, st)
		if p.Op != ProbeRead && len(probe.Writes) > 0 {
			t.Fatalf("%q: the probe %q writes", text, p.Query)
		}
		for _, o := range probe.Objects {
			if !slices.Contains(whole.Objects, o) {
				t.Fatalf("%q: the probe %q reads %q, which the text doesn't", text, p.Query, o)
			}
		}
	})
}
