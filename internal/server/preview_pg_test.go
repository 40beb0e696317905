package server

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/jackc/pgx/v5/pgproto3"
)

// peopleDecide has every write reviewed, over the API.
const peopleDecide = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: writes-wait, version: 1.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
  - id: writes
    match: { kind: [data.read, data.write, data.delete, schema.change, execute] }
    when: '"data.write" in action.kinds || "data.delete" in action.kinds || "schema.change" in action.kinds'
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
    show: [preview]
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
  - { name: writes, given: { kind: data.write }, want: { decision: review } }
`

// answer is what an agent heard of one request that waited for people.
type answer struct {
	tags, codes []string
	status      byte
	heard       []byte
}

// request sends messages as the agent, hands the approval that they wait for to decide, and
// returns what the agent heard in the end.
func (x *target) request(t *testing.T, r *raider, decide func(*approval.Approval), messages ...pgproto3.FrontendMessage) answer {
	t.Helper()
	r.conn.forget()
	r.held = false
	r.send(messages...)
	if !r.held {
		t.Fatalf("it did not wait for people: %q", r.conn.all())
	}
	var a *approval.Approval
	for range 500 {
		list, err := x.engine.List(t.Context(), approval.Filter{States: []approval.State{approval.Pending}})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 1 {
			a = list[0]
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if a == nil {
		t.Fatal("there is nothing to approve")
	}
	decide(a)
	var out answer
	for out.status == 0 {
		m, err := r.front.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.CommandComplete:
			out.tags = append(out.tags, string(m.CommandTag))
		case *pgproto3.ErrorResponse:
			out.codes = append(out.codes, m.Code)
		case *pgproto3.ReadyForQuery:
			out.status = m.TxStatus
		}
	}
	r.held = false
	out.heard = r.conn.all()
	return out
}

func (x *target) approve(t *testing.T, a *approval.Approval) {
	t.Helper()
	p, _ := x.dir.Person("person:mira")
	if _, err := x.engine.Answer(t.Context(), approval.Answer{Approval: a.ID, Person: p, Decision: approval.Approve, Channel: "api", Assurance: "token", Digest: a.Digest, Version: a.Version}); err != nil {
		t.Fatal(err)
	}
}

func (x *target) count(t *testing.T, table string) string {
	t.Helper()
	results, err := x.root.Exec(t.Context(), "select count(*) from "+table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return string(results[0].Rows[0][0])
}

// What people were shown is what runs: a set that grows while it is held, or in the
// moment between the last look and the run, is held again and nothing of it is kept.
func TestPreviewIsWhatRuns(t *testing.T) {
	c := attackCluster(t)
	defer c.Stop()
	x := newTarget(t, c, "previewed", peopleDecide)
	x.must(x.root, "create table queue (id int primary key, done bool)")
	refill := func() {
		x.must(x.root, "truncate queue", "insert into queue select i, i > 4321 from generate_series(1, 5000) i")
	}
	grow := func() { x.must(x.root, "insert into queue select i, false from generate_series(6001, 6100) i") }
	const remove = "delete from queue where not done"
	simple := []pgproto3.FrontendMessage{&pgproto3.Query{String: remove}}
	bound := []pgproto3.FrontendMessage{
		&pgproto3.Parse{Query: "delete from queue where done = $1"},
		&pgproto3.Bind{Parameters: [][]byte{[]byte("f")}}, &pgproto3.Execute{}, &pgproto3.Sync{},
	}
	for name, messages := range map[string][]pgproto3.FrontendMessage{"simple": simple, "extended": bound} {
		for _, transaction := range []bool{false, true} {
			if transaction {
				name += " in a transaction"
			}
			agent := func() *raider {
				r := x.raid(t)
				if transaction {
					r.say("begin")
				}
				return r
			}
			shown := func(a *approval.Approval) {
				t.Helper()
				if p := a.Preview; p == nil || p.Text != "would delete 4,321 rows of queue" || p.Bound().N != 4321 {
					t.Errorf("%s: people were shown %+v", name, a.Preview)
				}
			}
			idle := map[bool]byte{false: 'I', true: 'T'}[transaction]

			refill()
			r := agent()
			got := x.request(t, r, func(a *approval.Approval) { shown(a); x.approve(t, a) }, messages...)
			if len(got.tags) != 1 || got.tags[0] != "DELETE 4321" || got.status != idle {
				t.Errorf("%s: approved and unchanged: %q %q %c", name, got.tags, got.codes, got.status)
			}
			if transaction {
				r.say("commit")
			}
			if n := x.count(t, "queue"); n != "679" {
				t.Errorf("%s: %s rows are left", name, n)
			}

			refill()
			r = agent()
			got = x.request(t, r, func(a *approval.Approval) { shown(a); grow(); x.approve(t, a) }, messages...)
			if len(got.codes) != 1 || got.codes[0] != "42501" || x.count(t, "queue") != "5100" {
				t.Errorf("%s: grown while it was held: %q %q, %s rows", name, got.tags, got.codes, x.count(t, "queue"))
			}
			if bytes.Contains(got.heard, []byte("4321")) || bytes.Contains(got.heard, []byte("4,321")) || bytes.Contains(got.heard, []byte("4421")) || bytes.Contains(got.heard, []byte("4,421")) {
				t.Errorf("%s: the agent heard a figure of the preview: %q", name, got.heard)
			}

			refill()
			r = agent()
			locker := x.direct(x.database)
			got = x.request(t, r, func(a *approval.Approval) {
				// The last look finds a lock and learns nothing; the run then waits for it.
				x.must(locker, "begin", "lock table queue in access exclusive mode")
				x.approve(t, a)
				x.waitFor(t, "select 1 from pg_stat_activity where query like 'delete from queue%' and wait_event_type = 'Lock' and application_name not like 'assent%'")
				x.must(locker, "insert into queue select i, false from generate_series(6001, 6100) i", "commit")
			}, messages...)
			if len(got.codes) != 1 || got.codes[0] != "AS003" || x.count(t, "queue") != "5100" {
				t.Errorf("%s: grown between look and run: %q %q, %s rows", name, got.tags, got.codes, x.count(t, "queue"))
			}
			if want := map[bool]byte{false: 'I', true: 'E'}[transaction]; got.status != want {
				t.Errorf("%s: the status is %c, want %c", name, got.status, want)
			}
			r.dead = true
		}
	}
	for _, rec := range x.searched(t, audit.TypeRequest) {
		if rec.Decision == "review" && !strings.Contains(rec.Detail["preview"], "would delete") {
			t.Errorf("the log does not say what people were shown: %v", rec.Detail)
		}
	}
}

func (x *target) waitFor(t *testing.T, query string) {
	t.Helper()
	for range 1000 {
		results, err := x.root.Exec(t.Context(), query).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(results[0].Rows) > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never came to that: %s", query)
}

func (x *target) searched(t *testing.T, typ string) []audit.Record {
	t.Helper()
	recs, err := x.store.Search(t.Context(), audit.Query{Types: []string{typ}, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

// What nobody counts is bound to nothing, and the card says so: changes that only the
// session sees, a rule in between, more than one statement.
func TestPreviewSaysWhatItCantTell(t *testing.T) {
	c := attackCluster(t)
	defer c.Stop()
	x := newTarget(t, c, "untold", peopleDecide)
	x.must(x.root, "create table queue (id int primary key, done bool)", "insert into queue select i, false from generate_series(1, 50) i")
	for _, test := range []struct {
		name       string
		before     []string
		query      string
		text, why  string
		bound, end string
	}{
		{"its own changes", []string{"begin", "create temp table mine as select 1 as id"}, "delete from mine", "", "temporary relation", "", "DELETE 1"},
		{"a rule", nil, "delete from ruled", "", "a rule", "", ""},
		{"a statement before it", nil, "select 1; delete from queue where id = 1", "would delete 1 row of queue", "", "1", "DELETE 1"},
		{"two writes", nil, "delete from queue where id = 2; commit", "would delete 1 row of queue", "ends the transaction itself", "", "DELETE 1"},
		{"what can't run in a transaction", nil, "create index concurrently on queue (done)", "", "not previewed", "", "CREATE INDEX"},
	} {
		x.must(x.root, "create table if not exists ruled (id int)", "drop rule if exists r on ruled", "create rule r as on delete to ruled do instead delete from queue where id = 3")
		r := x.raid(t)
		for _, s := range test.before {
			r.send(&pgproto3.Query{String: s})
			if r.held {
				x.decideAll(t)
				for ok := true; ok; {
					m, err := r.front.Receive()
					if err != nil {
						t.Fatal(err)
					}
					_, done := m.(*pgproto3.ReadyForQuery)
					ok = !done
				}
				r.held = false
			}
		}
		got := x.request(t, r, func(a *approval.Approval) {
			p := a.Preview
			if p == nil || p.Text != test.text || !strings.Contains(p.Why, test.why) || p.Bound().Known != (test.bound != "") {
				t.Errorf("%s: people were shown %+v", test.name, p)
			}
			x.approve(t, a)
		}, &pgproto3.Query{String: test.query})
		if test.end != "" && (len(got.tags) == 0 || !strings.HasPrefix(strings.Join(got.tags, ";")+";", test.end) && !strings.Contains(strings.Join(got.tags, ";"), test.end)) {
			t.Errorf("%s: %q %q", test.name, got.tags, got.codes)
		}
		r.dead = true
	}
}

func (x *target) decideAll(t *testing.T) {
	t.Helper()
	list, err := x.engine.List(t.Context(), approval.Filter{States: []approval.State{approval.Pending}})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		x.approve(t, a)
	}
}
