package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

// Rows of docs/threat-model.md that take a whole server.

const readsPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 3.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
  - id: no-exports
    match: { kind: [data.export] }
    then: deny
  - id: no-cards
    match: { kind: [data.write] }
    when: data.finding_counts["card"] > 1
    then: deny
  - id: writes
    match: { kind: [data.write] }
    then: allow
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

// threatened starts a server with two agents of one owner and one of another.
func threatened(t *testing.T, dir, pack string) (*Server, error) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(pack), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }, { id: omar }]
actors: [{ id: worker, owner: dana }, { id: twin, owner: dana }, { id: stranger, owner: omar }]
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := s.Start(t.Context()); err != nil {
		return nil, errors.Join(err, s.Close(context.Background()))
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, a := range []string{"agent:worker", "agent:twin", "agent:stranger"} {
		if _, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{a}, TTL: time.Hour, By: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	return s, nil
}

func threatBench(t *testing.T, pack string) *bench {
	t.Helper()
	dir := t.TempDir()
	s, err := threatened(t, dir, pack)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Server: s, t: t, dir: dir}
	b.as("worker")
	return b
}

// as logs in another agent, whose session asks from now on.
func (b *bench) as(user string) {
	b.t.Helper()
	g := b.enforcer.Gate("line", action.Resource{URN: "line:test", Type: "line", Env: "test"}, "")
	v, err := g.Verifier(b.t.Context(), user)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.session, err = g.Login(b.t.Context(), v, gate.Peer{Gate: "line", Address: "test"}); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(b.session.Close)
}

func (b *bench) read(user string) gate.Permit {
	b.t.Helper()
	b.as(user)
	p, err := b.ask(b.t.Context(), action.DataRead, "part")
	if err != nil {
		b.t.Fatalf("%s reads: %v", user, err)
	}
	return p
}

// What one person's agents read is one reader's, whichever of them reads.
func TestOnePersonsAgentsAddUp(t *testing.T) {
	b := threatBench(t, readsPack)
	limit := b.cfg.Limits.ExportAfterRows
	for _, user := range []string{"worker", "twin"} {
		p := b.read(user)
		if err := p.Count(limit/2, 1000); err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		p.Done(gate.Outcome{State: gate.Executed})
	}
	b.read("stranger").Done(gate.Outcome{State: gate.Executed})
	for _, user := range []string{"worker", "twin"} {
		b.as(user)
		_, err := b.ask(t.Context(), action.DataRead, "one more")
		refusedWith(t, err, gate.StatusDenied, "no-exports")
	}
}

// Reads that are open at the same time add up while they flow: none of them
// may count as if the others had read nothing.
func TestReadsSideBySideAddUp(t *testing.T) {
	b := threatBench(t, readsPack)
	var open []gate.Permit
	for range 4 {
		open = append(open, b.read("worker"), b.read("twin"))
	}
	passed, limit := int64(0), b.cfg.Limits.ExportAfterRows
	for round := range limit {
		p := open[round%8]
		if err := p.Count(limit/4, 1000); err != nil {
			refusedWith(t, err, gate.StatusLimit, "export")
			break
		}
		passed += limit / 4
	}
	for _, p := range open {
		p.Done(gate.Outcome{State: gate.Failed})
	}
	if passed > limit {
		t.Errorf("%d rows passed side by side, the limit is %d", passed, limit)
	}
}

// What waits when its credential is revoked never runs, approved or not.
func TestRevokedWhileHeldNeverRuns(t *testing.T) {
	b := threatBench(t, heldPack)
	var echoed atomic.Int64
	cfg := gate.Config{
		Name: "line", New: func() gate.Codec { return line{} }, Log: slog.New(slog.DiscardHandler),
		Authority: b.enforcer.Gate("line", action.Resource{URN: "line:test", Type: "line", Env: "test"}, ""),
		Dial:      func(context.Context) (net.Conn, error) { return echo(&echoed), nil },
	}
	near, far := net.Pipe()
	served := make(chan struct{})
	go func() { gate.ServeConn(t.Context(), far, cfg); close(served) }()
	heard := make(chan error, 1)
	go func() { heard <- ask(near, "one") }()
	a := b.waiting(1)[0]
	if err := (revoking{b.Server}).Revoke(t.Context(), a.Asker.Credential, "test"); err != nil {
		t.Fatal(err)
	}
	<-served // the connection of a revoked credential ends
	b.approve(a)
	if err := <-heard; err == nil {
		t.Error("the client was answered as if it had run")
	}
	b.as("twin") // another credential of the same owner doesn't find it
	ctx, leave := context.WithCancel(t.Context())
	second := b.background(ctx, "one\n")
	b.waiting(1)
	leave()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("another agent's second try: %v", err)
	}
	if n := echoed.Load(); n != 0 || len(b.records(audit.TypeStarted)) != 0 {
		t.Errorf("%d writes reached the system", n)
	}
}

// A denial names rule and pack; what made the rule match is for reviewers and the log.
func TestDenialsTellNoFigures(t *testing.T) {
	b := threatBench(t, readsPack)
	_, err := b.ask(t.Context(), action.DataWrite, "pay 4000000000000010 and 5555555555554444 and 4242424242424242")
	var d *gate.Denied
	if !errors.As(err, &d) {
		t.Fatalf("answer = %v", err)
	}
	said := d.Reason + d.Hint + d.URL + d.ID
	if strings.ContainsAny(said, "0123456789") || strings.Contains(said, "card ") || strings.Contains(said, "findings") {
		t.Errorf("the agent hears %q", said)
	}
	recs := b.records(audit.TypeRequest)
	if len(recs) != 1 || recs[0].Findings["card"] != 3 {
		t.Errorf("the log has %+v", recs)
	}
}

func (b *bench) call(method, path, token, body string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.URL()+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// The credential that lies in the data directory answers no review, and only its owner can read it.
func TestTheOperatorsFileReviewsNothing(t *testing.T) {
	b := threatBench(t, heldPack)
	done := b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	data := filepath.Join(b.dir, "data")
	o, err := ReadOperator(data)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(operatorFile(data))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if code, body := b.call("GET", "/v1/approvals/"+a.ID, o.Token, ""); code != 200 {
		t.Fatalf("the credential doesn't work at all: %d %s", code, body)
	}
	code, body := b.call("POST", "/v1/approvals/"+a.ID+"/review", o.Token, `{"decision":"approve","digest":"`+a.Digest.String()+`","version":1}`)
	if code != 403 || !strings.Contains(body, "scope") {
		t.Errorf("review: %d %s", code, body)
	}
	if _, err := b.personOf(t.Context(), o.Token); err == nil {
		t.Error("it signs in to the console")
	}
	b.waiting(1)
	if _, err := b.engine.Withdraw(t.Context(), a.ID, "person:mira", "test"); err != nil {
		t.Fatal(err)
	}
	<-done
}

// Metrics name no asker, no statement and no value.
func TestMetricsNameNobody(t *testing.T) {
	b := threatBench(t, readsPack)
	if _, err := b.ask(t.Context(), action.DataRead, "select 'ada@example.com'"); err != nil {
		t.Fatal(err)
	}
	o, err := ReadOperator(filepath.Join(b.dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	code, text := b.call("GET", "/metrics", o.Token, "")
	if code != 200 || !strings.Contains(text, `assent_decisions_total{gate="line",verdict="allow"} 1`) {
		t.Fatalf("%d %s", code, text)
	}
	for _, v := range []string{"worker", "dana", "ada@", "select", "person:", "agent:"} {
		if strings.Contains(text, v) {
			t.Errorf("metrics hold %q", v)
		}
	}
}

// A changed policy is on record with what it was before, and so is one that didn't load.
func TestPolicyChangesAreRecorded(t *testing.T) {
	b := threatBench(t, heldPack)
	before := b.policy.Current().Bundle()
	b.pack(denyPack)
	after := b.policy.Current().Bundle()
	if err := os.WriteFile(filepath.Join(b.dir, "pack.yaml"), []byte("rules: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.ReloadPolicy(t.Context()); err == nil {
		t.Error("a broken pack loads")
	}
	recs := b.records(audit.TypePolicy)
	if len(recs) != 2 || before == after {
		t.Fatalf("%d records", len(recs))
	}
	newest, oldest := recs[0], recs[1]
	if newest.Index < oldest.Index {
		newest, oldest = oldest, newest
	}
	if oldest.Policy != after || oldest.Detail["before"] != before || oldest.Detail["refused"] != "" {
		t.Errorf("the change: %+v", oldest)
	}
	if newest.Policy != after || newest.Detail["refused"] == "" {
		t.Errorf("the refused one: %+v", newest)
	}
	_, err := b.ask(t.Context(), action.DataWrite, "one")
	refusedWith(t, err, gate.StatusDenied, "nothing-any-more")
}

// A database put back to an earlier day forgets what was used since: the server doesn't start on it.
func TestARestoredDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	run := func() error {
		s, err := threatened(t, dir, heldPack)
		if err != nil {
			return err
		}
		return s.Close(context.Background())
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "data", "assent.db*"))
	if err != nil {
		t.Fatal(err)
	}
	old := map[string][]byte{}
	for _, f := range files {
		if old[f], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(); err != nil {
		t.Fatalf("started again on its own data: %v", err)
	}
	files, err = filepath.Glob(filepath.Join(dir, "data", "assent.db*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	for f, b := range old {
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(); !errors.Is(err, audit.ErrRolledBack) {
		t.Errorf("on a database that went back in time: %v", err)
	}
}
