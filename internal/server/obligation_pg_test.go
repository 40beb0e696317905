package server

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/jackc/pgx/v5/pgproto3"
)

// readsWait shows everything as it is, to whom people allow it.
const readsWait = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: reads-wait, version: 1.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: review } }
`

// What a reviewer asks for besides holds on the wire: a mask reaches each value that
// the agent reads, and of more rows than were approved nothing more passes, in words
// that say so.
func TestObligationsReachTheReader(t *testing.T) {
	c := attackCluster(t)
	defer c.Stop()
	x := newTarget(t, c, "obliged", readsWait)
	x.must(x.root, "create table members (id int primary key, email text)",
		"insert into members select i, 'member' || i || '@example.com' from generate_series(1, 3000) i")
	with := func(o approval.Obligation) func(*approval.Approval) {
		return func(a *approval.Approval) {
			t.Helper()
			p, _ := x.dir.Person("person:mira")
			_, err := x.engine.Answer(t.Context(), approval.Answer{
				Approval: a.ID, Person: p, Decision: approval.Approve, Channel: "api", Assurance: "token", Digest: a.Digest, Version: a.Version, Obligation: o,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	forms := map[string]func(query string) []pgproto3.FrontendMessage{
		"simple": func(query string) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{&pgproto3.Query{String: query}}
		},
		"extended, binary": func(query string) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: query}, &pgproto3.Bind{ResultFormatCodes: []int16{1}}, &pgproto3.Execute{}, &pgproto3.Sync{}}
		},
	}
	for name, form := range forms {
		clear := []byte("member7@example.com")
		got := x.request(t, x.raid(t), with(approval.Obligation{}), form("select id, email from members where id = 7 -- "+name)...)
		if !slices.Equal(got.tags, []string{"SELECT 1"}) || !bytes.Contains(got.heard, clear) {
			t.Errorf("%s: approved as it is: %q %q", name, got.tags, got.codes)
		}
		got = x.request(t, x.raid(t), with(approval.Obligation{Masks: map[string]string{"email": "redact"}}), form("select email, id from members where id = 7 -- "+name)...)
		if !slices.Equal(got.tags, []string{"SELECT 1"}) || bytes.Contains(got.heard, clear) || bytes.Contains(got.heard, []byte("member7")) {
			t.Errorf("%s: approved with a mask: %q %q, heard %q", name, got.tags, got.codes, got.heard)
		}

		got = x.request(t, x.raid(t), with(approval.Obligation{Rows: action.KnownCount(10)}), form("select id from members where id <= 10 -- "+name)...)
		if !slices.Equal(got.tags, []string{"SELECT 10"}) {
			t.Errorf("%s: as many rows as were approved: %q %q", name, got.tags, got.codes)
		}
		got = x.request(t, x.raid(t), with(approval.Obligation{Rows: action.KnownCount(10)}), form("select id, email from members order by id -- "+name)...)
		if len(got.tags) > 0 || len(got.codes) != 1 || !strings.Contains(string(got.heard), "it was approved for 10 rows at most, and there are more") {
			t.Errorf("%s: more rows than were approved: %q %q, heard %.300q", name, got.tags, got.codes, got.heard)
		}
		if bytes.Contains(got.heard, []byte("member11@")) {
			t.Errorf("%s: an eleventh row passed", name)
		}
	}
}
