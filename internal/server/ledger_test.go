package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/identity"
)

const readsNoExports = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 1.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
  - id: no-exports
    match: { kind: [data.export] }
    then: deny
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

const ledgerActors = 20

// readers is a server with twenty actors of one person, one of another, and two
// gates before one system.
type readers struct {
	*Server
	t     *testing.T
	dir   string
	gates []gate.Authority
}

func newReaders(t *testing.T) *readers {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(readsNoExports), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &readers{t: t, dir: dir}
	r.open()
	for _, user := range append(users(), "stranger") {
		if _, err := r.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:" + user}, TTL: time.Hour, By: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func users() (out []string) {
	for i := range ledgerActors {
		out = append(out, fmt.Sprintf("worker%d", i))
	}
	return out
}

func (r *readers) open() {
	r.t.Helper()
	text := "data: data\nlisten: 127.0.0.1:0\npolicy: [pack.yaml]\npeople: [{ id: dana }, { id: eve }]\nlimits: { export_after_rows: 1000, export_after_rows_of: { email: 50 } }\nactors:\n  - { id: stranger, owner: eve }\n"
	for _, user := range users() {
		text += "  - { id: " + user + ", owner: dana }\n"
	}
	cfg, err := ParseConfig(filepath.Join(r.dir, "assent.yaml"), []byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	if r.Server, err = New(r.t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		r.t.Fatal(err)
	}
	if err := r.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	s := r.Server
	r.t.Cleanup(func() { _ = s.Close(context.Background()) })
	r.gates = nil
	for _, name := range []string{"front", "back"} {
		r.gates = append(r.gates, r.enforcer.Gate(name, action.Resource{URN: "line:" + name, Type: "line", Env: "test"}, "line://one"))
	}
}

// read reads rows of columns, one by one, and returns how many passed.
func (r *readers) read(g gate.Authority, user string, rows int, sources ...string) (int, error) {
	r.t.Helper()
	v, err := g.Verifier(r.t.Context(), user)
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := g.Login(r.t.Context(), v, gate.Peer{Address: "test"})
	if err != nil {
		r.t.Fatal(err)
	}
	defer s.Close()
	a := &action.Action{Kinds: []action.Kind{action.DataRead}, Verb: "select", Title: "read", Statement: "read", Payload: []byte("read")}
	for _, source := range sources {
		a.Columns = append(a.Columns, action.Column{Name: "x", Sources: []string{source}})
	}
	s.Describe(a)
	p, err := s.Enforce(r.t.Context(), a, gate.Hooks{})
	if err != nil {
		return 0, err
	}
	defer p.Done(gate.Outcome{State: gate.Executed})
	for i := range rows {
		if err := p.Count(1, 10); err != nil {
			return i, err
		}
	}
	return rows, nil
}

// stored is what the store alone has of dana's reading.
func (r *readers) stored() map[string]int64 {
	r.t.Helper()
	rows, _, err := r.store.SumRows(r.t.Context(), "person:dana", "line://one", time.Now().Add(-time.Hour))
	if err != nil {
		r.t.Fatal(err)
	}
	return rows
}

// 1,001 reads of one row each, by 20 actors of one person through two gates before
// one system, trip the rule that one read of 1,001 rows would.
func TestManySmallReadsAreOneExport(t *testing.T) {
	r := newReaders(t)
	for i := range 1000 {
		if n, err := r.read(r.gates[i%2], users()[i%ledgerActors], 1, "orders.item"); n != 1 {
			t.Fatalf("read %d: %v", i, err)
		}
	}
	_, err := r.read(r.gates[1], users()[7], 1, "orders.item")
	refusedWith(t, err, gate.StatusDenied, "no-exports")
	if n, err := r.read(r.gates[0], "stranger", 1, "orders.item"); n != 1 {
		t.Errorf("another person's agent: %v", err)
	}
}

// A class has a limit of its own, and only rows with the class count for it.
func TestReadsAddUpByClass(t *testing.T) {
	r := newReaders(t)
	if n, err := r.read(r.gates[0], users()[0], 200, "orders.item"); n != 200 {
		t.Fatalf("%d rows: %v", n, err)
	}
	if n, err := r.read(r.gates[0], users()[0], 30, "customers.email"); n != 30 {
		t.Fatalf("%d rows: %v", n, err)
	}
	n, err := r.read(r.gates[1], users()[1], 30, "orders.item", "customers.email")
	refusedWith(t, err, gate.StatusLimit, "export")
	if n != 20 {
		t.Errorf("%d rows passed under what is left of the limit", n)
	}
	_, err = r.read(r.gates[0], users()[2], 1, "customers.email")
	refusedWith(t, err, gate.StatusDenied, "no-exports")
	if n, err := r.read(r.gates[0], users()[2], 1, "orders.item"); n != 1 {
		t.Errorf("another class: %v", err)
	}
}

// What a kill would leave says at least what passed, at any moment; an orderly
// end leaves what passed.
func TestRowsAreInTheStoreBeforeTheyPass(t *testing.T) {
	r := newReaders(t)
	for passed := int64(0); passed < 45; {
		n, err := r.read(r.gates[0], users()[0], 3, "customers.email")
		if err != nil {
			t.Fatal(err)
		}
		passed += int64(n)
		if have := r.stored(); have[""] < passed || have["email"] < passed || have[""] > passed+10+passed/4 {
			t.Fatalf("%d passed, stored %v", passed, have)
		}
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.open()
	if have := r.stored(); have[""] != 45 || have["email"] != 45 {
		t.Errorf("after an orderly end: %v", have)
	}
	if n, err := r.read(r.gates[0], users()[1], 10, "customers.email"); n != 5 || err == nil {
		t.Errorf("after a restart %d rows passed: %v", n, err)
	}
}

// Whoever edits the ledger by SQL stops reading, rather than counting.
func TestEditedLedgerStopsReads(t *testing.T) {
	r := newReaders(t)
	if _, err := r.read(r.gates[0], users()[0], 40, "customers.email"); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	edit(t, r.dir, "UPDATE ledger SET row_count = 1")
	r.open()
	_, err := r.read(r.gates[0], users()[0], 1, "customers.email")
	refusedWith(t, err, gate.StatusNobody, "no decision")
}
