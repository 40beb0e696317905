package server

import (
	"bytes"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/jackc/pgx/v5/pgproto3"
)

// floorPack has people look at aggregates of masked columns over fewer than 20 rows.
const floorPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: floor, version: 1.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
  - id: masked
    match: { actor: [agent] }
    then: mask
    mask: { pii: redact }
  - id: floor
    match: { kind: [data.read] }
    when: data.aggregated && preview.smallest_group < 20
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
tests:
  - { name: few, given: { kind: data.read, actor: agent, aggregated_of: [us-ssn], preview_smallest_group: 19 }, want: { decision: review, rule: floor } }
  - { name: uncounted, given: { kind: data.read, actor: agent, aggregated_of: [us-ssn] }, want: { decision: review, rule: floor } }
  - { name: many, given: { kind: data.read, actor: agent, aggregated_of: [us-ssn], preview_smallest_group: 20 }, want: { decision: allow } }
`

// An aggregate of a masked column flows where enough rows stand behind its smallest
// group, is held where few do or nobody can count them, and stays masked.
func TestAggregatesBelowAFloor(t *testing.T) {
	c := attackCluster(t)
	defer c.Stop()
	x := newTarget(t, c, "floor", floorPack)
	x.must(x.root, "create table staff (id int primary key, dept text, name text, ssn numeric, at timestamptz default now())",
		"insert into staff select i, case when i <= 3 then 'board' when i <= 1500 then 'sales' else 'works' end, 'n' || i, 100000000 + i from generate_series(1, 3000) i",
		"update staff set ssn = null where id between 1501 and 2999", "create view staffed as select * from staff",
		"create table walled as select * from staff", "alter table walled enable row level security")
	const board = "3 rows behind the smallest group"
	r := x.raid(t)
	for q, want := range map[string]string{
		"select avg(ssn) from staff":                                                                "",
		"select count(*) from staff where ssn > 5":                                                  "",
		"select dept, avg(ssn) from staff where dept = 'sales' group by 1":                          "",
		"select dept, count(ssn) as n from staff where id < 1500 group by dept having count(*) > 3": "",
		"select avg(ssn) from staff where dept = 'board'":                                           board,
		"select dept, avg(ssn) from staff where id < 1500 group by dept order by 2 limit 1":         board,
		"select dept, sum(ssn) from staff group by dept having count(*) > 3":                        "1 row behind",
		"select avg(ssn) from staff where id < 0":                                                   "0 rows behind",
		"select avg(ssn) filter (where id = 1) from staff":                                          "not counted",
		"select sum(ssn * (id = 1)::int) from staff":                                                "not counted",
		"select id = 1, avg(ssn) from staff group by 1 having min(ssn) > 9":                         "not counted",
		"select avg(s.ssn) from staff s, orders o where s.id = 1":                                   "not counted",
		"select avg(ssn) from staff where id = 1 or at < now()":                                     "not counted",
		"select max(ssn) from staff":                                                                "not counted",
		"select avg(ssn) from staffed":                                                              "not counted",
		"select avg(ssn) from walled":                                                               "not counted",
	} {
		for _, messages := range [][]pgproto3.FrontendMessage{
			{&pgproto3.Query{String: q}},
			{&pgproto3.Parse{Query: q}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}},
		} {
			if want == "" {
				r.conn.forget()
				if r.send(messages...); r.held {
					t.Fatalf("%s: it was held", q)
				}
				if heard := r.conn.all(); bytes.Contains(heard, []byte("assent")) || bytes.Contains(heard, []byte("1000")) {
					t.Errorf("%s: %q", q, heard)
				}
				continue
			}
			got := x.request(t, r, func(a *approval.Approval) {
				if p := a.Preview; p == nil || !strings.Contains(p.Text+" / "+p.Why, want) {
					t.Errorf("%s: people were shown %+v, want %q", q, p, want)
				}
				x.approve(t, a)
			}, messages...)
			if len(got.tags) != 1 || len(got.codes) != 0 || bytes.Contains(got.heard, []byte("behind")) || bytes.Contains(got.heard, []byte("1000")) {
				t.Errorf("%s: approved: %q %q, heard %q", q, got.tags, got.codes, got.heard)
			}
		}
	}
	// A transaction may see what was there before.
	r.say("begin")
	x.request(t, r, func(a *approval.Approval) { x.approve(t, a) }, &pgproto3.Query{String: "select avg(ssn) from staff"})
	r.say("commit")
	// A parameter is counted with its value, and none that stands for the time.
	bound := func(value string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "select avg(ssn) from staff where id = 1 or at < $1"}, &pgproto3.Bind{Parameters: [][]byte{[]byte(value)}}, &pgproto3.Execute{}, &pgproto3.Sync{}}
	}
	if r.send(bound("2900-01-01")...); r.held {
		t.Error("a parameter that finds everybody was held")
	}
	for value, want := range map[string]string{"1900-01-01": "1 row behind", " noW ": "not counted"} {
		x.request(t, r, func(a *approval.Approval) {
			if !strings.Contains(a.Preview.Text+a.Preview.Why, want) {
				t.Errorf("%s: people were shown %+v", value, a.Preview)
			}
			x.approve(t, a)
		}, bound(value)...)
	}
	// What was approved is no smaller when it runs.
	got := x.request(t, r, func(a *approval.Approval) {
		x.must(x.root, "delete from staff where id = 3")
		x.approve(t, a)
	}, &pgproto3.Query{String: "select avg(ssn) from staff where dept = 'board'"})
	if len(got.codes) != 1 || got.codes[0] != "42501" || bytes.Contains(got.heard, []byte("3 rows")) || bytes.Contains(got.heard, []byte("2 rows")) {
		t.Errorf("a group that became smaller: %q %q %q", got.tags, got.codes, got.heard)
	}
}

func TestSmallestGroupExceeds(t *testing.T) {
	of := func(n int64) *action.Preview { return &action.Preview{SmallestGroup: action.KnownCount(n)} }
	for _, c := range []struct {
		now, shown *action.Preview
		exceeds    bool
	}{{of(3), of(3), false}, {of(9), of(3), false}, {of(2), of(3), true}, {of(0), of(3), true}, {of(1), of(0), true}, {of(0), of(0), false}, {&action.Preview{}, of(3), true}, {of(1), &action.Preview{}, false}} {
		if what := c.now.Exceeds(c.shown); (what != "") != c.exceeds {
			t.Errorf("%v now, %v shown: %q", c.now.SmallestGroup, c.shown.SmallestGroup, what)
		}
	}
}
