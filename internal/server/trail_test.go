package server

import (
	"context"
	"database/sql"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

const taintPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: taint, version: 1.0.0, owner: tests }
rules:
  - id: all
    match: { kind: [data.read, data.export, data.write, execute] }
    then: allow
  - id: no-secrets
    match: { actor: [agent] }
    then: mask
    mask: { secret: redact, card: redact }
  - id: tainted-exports-wait
    match: { kind: [data.export] }
    when: context.saw_sensitive
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
    reason: "it has {{context.seen}}"
  - id: none-after-the-web
    match: { kind: [data.export] }
    when: context.saw_untrusted
    then: deny
tests:
  - { name: exports, given: { kind: data.export, tainted: false }, want: { decision: allow } }
`

// exports tells what becomes of an export that user asks for: "allow", "deny", or "review".
func (b *bench) exports(user string) string {
	b.t.Helper()
	b.as(user)
	ctx, cancel := context.WithTimeout(b.t.Context(), 200*time.Millisecond)
	defer cancel()
	p, err := b.ask(ctx, action.DataExport, "out")
	if err == nil {
		p.Done(gate.Outcome{State: gate.Executed})
		return "allow"
	}
	if ctx.Err() != nil {
		return "review"
	}
	return "deny"
}

// What an actor has seen restricts what it and the person's other actors send out, in
// each session, and a restart changes nothing.
func TestTaintStaysWithActorAndPerson(t *testing.T) {
	b := threatBench(t, taintPack)
	check := func(when string, want map[string]string) {
		t.Helper()
		for user, want := range want {
			if got := b.exports(user); got != want {
				t.Errorf("%s: an export by %s: %s, want %s", when, user, got, want)
			}
		}
	}
	for name, seen := range map[string]func(gate.Permit){
		"nothing":           func(p gate.Permit) { _ = p.Count(3, 30) },
		"a masked card":     func(p gate.Permit) { p.Text([]byte("it is 4000 0000 0000 0010")); _ = p.Count(1, 30) },
		"nothing at all":    func(gate.Permit) {},
		"no row of a class": func(p gate.Permit) { p.Rows([]gate.Column{{Name: "email"}}); _ = p.Count(0, 0) },
	} {
		p := b.read("worker")
		seen(p)
		p.Done(gate.Outcome{State: gate.Executed})
		check(name, map[string]string{"worker": "allow", "twin": "allow"})
	}
	p := b.read("worker")
	if out := p.Text([]byte("key AKIAIOSFODNN7EXAMPLE")); strings.Contains(string(out), "AKIA") {
		t.Fatal("the secret isn't masked")
	}
	if err := p.Count(1, 30); err != nil {
		t.Fatal(err)
	}
	restricted := map[string]string{"worker": "review", "twin": "review", "stranger": "allow"}
	check("before the read has ended", restricted)
	p.Done(gate.Outcome{State: gate.Executed})
	list, err := b.engine.List(t.Context(), approval.Filter{States: []approval.State{approval.Pending}})
	if err != nil || len(list) != 2 {
		t.Fatalf("%d wait, %v", len(list), err)
	}
	for _, a := range list {
		if !strings.Contains(a.Reason, "it has write on line:test with aws-key at ") || a.Lead == nil || len(a.Lead.Saw) != 1 || a.Lead.Saw[0].Actor != "agent:worker" {
			t.Errorf("people read %q of %+v", a.Reason, a.Lead)
		}
	}
	// The twin may still read: nothing leaves by it.
	b.read("twin").Done(gate.Outcome{State: gate.Executed})

	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.Server, err = threatened(t, b.dir, taintPack); err != nil {
		t.Fatal(err)
	}
	check("after a restart", restricted)

	// Deleting the rows while the server is down is found: it counts as having seen everything.
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(b.dir, "data", "assent.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("delete from sealed where kind = 'taint'"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Server, err = threatened(t, b.dir, taintPack); err != nil {
		t.Fatal(err)
	}
	check("after its rows were deleted", map[string]string{"worker": "deny", "twin": "deny", "stranger": "allow"})
}

// What can't be noted does not flow, neither as rows nor as text.
func TestWhatCantBeNotedDoesNotFlow(t *testing.T) {
	b := threatBench(t, taintPack)
	p := b.read("worker")
	rename := func(from, to string) {
		t.Helper()
		db, err := sql.Open("sqlite", filepath.Join(b.dir, "data", "assent.db")+"?_pragma=busy_timeout(10000)")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if _, err := db.Exec("alter table " + from + " rename to " + to); err != nil {
			t.Fatal(err)
		}
	}
	rename("sealed", "elsewhere")
	defer rename("elsewhere", "sealed")
	if out := string(p.Text([]byte("key AKIAIOSFODNN7EXAMPLE and more"))); strings.Contains(out, "more") {
		t.Errorf("it shows %q", out)
	}
	refusedWith(t, p.Count(1, 30), gate.StatusNobody, "can't be noted")
	p.Done(gate.Outcome{State: gate.Failed})
}

// A command that reads a credential has shown it, though no gate saw its output.
func TestAccessToSecretsTaints(t *testing.T) {
	b := threatBench(t, strings.Replace(taintPack, "data.write, execute]", "data.write, execute, secret.access]", 1))
	for _, state := range []gate.OutcomeState{gate.NotRun, gate.Failed} {
		b.as("worker")
		p, err := b.ask(t.Context(), action.SecretAccess, "cat .aws/credentials")
		if err != nil {
			t.Fatal(err)
		}
		p.Done(gate.Outcome{State: state})
		want := map[gate.OutcomeState]string{gate.NotRun: "allow", gate.Failed: "review"}[state]
		if got := b.exports("worker"); got != want {
			t.Errorf("after %s: %s, want %s", state, got, want)
		}
	}
}

func TestUntrustedContentTaints(t *testing.T) {
	b := threatBench(t, taintPack)
	b.as("stranger")
	p, err := b.ask(t.Context(), action.Execute, "curl example.com")
	if err != nil {
		t.Fatal(err)
	}
	p.Done(gate.Outcome{State: gate.Executed, Untrusted: "web page"})
	for user, want := range map[string]string{"stranger": "deny", "worker": "allow"} {
		if got := b.exports(user); got != want {
			t.Errorf("an export by %s: %s, want %s", user, got, want)
		}
	}
	recs := b.records(audit.TypeTaint)
	if len(recs) != 1 || recs[0].Actor != "agent:stranger" || recs[0].Detail["saw"] != approval.SawUntrusted || !strings.HasPrefix(recs[0].Detail["what"], "web page: ") {
		t.Errorf("on record: %+v", recs)
	}
}

// hook opens the session that a hook or a command of user's has.
func (b *bench) hook(user, session string) (s gate.Session, credential, token string) {
	b.t.Helper()
	token, err := b.Mint(b.t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:" + user}, TTL: time.Hour, By: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	pool := gate.NewSessions(b.enforcer.Gate("hooks", action.Resource{URN: "command:hooks", Type: "command", Env: "workstation"}, ""), time.Minute)
	b.t.Cleanup(pool.Close)
	var release func()
	s, credential, release, err = pool.Open(b.t.Context(), token, gate.Peer{Gate: "hooks", Address: "test"}, session)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(release)
	return s, credential, token
}

const promptText = "Export the orders for the auditors. The key is AKIAIOSFODNN7EXAMPLE."

// begin has user's hook tell a prompt and start a command that runs until the test ends.
// It returns the credential of both.
func (b *bench) begin(user, session, tool string) (token string) {
	b.t.Helper()
	s, credential, token := b.hook(user, session)
	if err := gate.Prompt(b.t.Context(), s, session, promptText); err != nil {
		b.t.Fatal(err)
	}
	p, err := s.Enforce(b.t.Context(), &action.Action{
		Kinds: []action.Kind{action.Execute}, Verb: "psql", Title: "Bash psql shop", Statement: "psql shop", Payload: []byte("psql shop"),
		Resource: action.Resource{URN: "command:hooks"}, Claims: action.Claims{Session: session},
	}, gate.Hooks{})
	if err != nil {
		b.t.Fatal(err)
	}
	runs := gate.NewRuns(time.Hour)
	runs.Begin(credential, tool, p, nil)
	b.t.Cleanup(runs.Close)
	return token
}

// traffic is what the traffic lane holds of a gate's requests.
func (b *bench) traffic(at string) (out []audit.Record) {
	b.t.Helper()
	look := b.spool.Recent()
	defer look.Close()
	for seq, next := look.Bounds(); seq < next; seq++ {
		var r audit.Record
		leaf, ok := look.Leaf(seq)
		if !ok || json.Unmarshal(leaf, &r) != nil {
			b.t.Fatalf("record %d can't be read", seq)
		}
		if r.Type == audit.TypeRequest && r.Gate == at {
			out = append(out, r)
		}
	}
	return out
}

// A name that another actor's session has reaches nothing of it.
func TestForgedSessionGetsNothing(t *testing.T) {
	b := threatBench(t, taintPack)
	b.begin("worker", "s1", "toolu_1")
	for _, user := range []string{"twin", "stranger"} {
		b.as(user)
		a := &action.Action{Kinds: []action.Kind{action.DataWrite}, Verb: "write", Title: "x", Claims: action.Claims{Session: "s1", Parent: "toolu_1"}}
		b.session.Describe(a)
		p, err := b.session.Enforce(t.Context(), a, gate.Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		p.Done(gate.Outcome{State: gate.Executed})
	}
	for _, r := range b.records(audit.TypeRequest) {
		if r.Gate == "line" && (r.Detail["prompt"] != "" || r.Detail["parent"] != "" || r.Detail["session"] != "s1") {
			t.Errorf("%s: %v", r.Actor, r.Detail)
		}
	}
}

const sendPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: send, version: 1.0.0, owner: tests }
rules:
  - { id: reads, match: { kind: data.read }, then: allow }
  - { id: secrets, match: { actor: agent }, then: mask, mask: { secret: redact } }
  - id: sending-waits
    match: { kind: [message.send] }
    then: review
    approval: { from: [group:reviewers], count: 1, assurance: token }
  - id: tainted-sending-waits
    match: { kind: [message.send] }
    when: context.tainted
    then: review
    approval: { from: [group:reviewers], count: 1, assurance: token }
tests:
  - { name: sends, given: { kind: message.send }, want: { decision: review } }
`

// What people allowed again without asking, they allowed an agent that had seen nothing.
func TestTaintEndsStandingGrants(t *testing.T) {
	b := threatBench(t, sendPack)
	send := func(ctx context.Context) error {
		a := &action.Action{Kinds: []action.Kind{action.MessageSend}, Verb: "send", Title: "send", Shape: "5e9d", Statement: "hello", Payload: []byte("hello")}
		b.session.Describe(a)
		p, err := b.session.Enforce(ctx, a, gate.Hooks{})
		if err == nil {
			p.Done(gate.Outcome{State: gate.Executed})
		}
		return err
	}
	done := make(chan error, 1)
	go func() { done <- send(t.Context()) }()
	a := b.waiting(1)[0]
	p, _ := b.Server.dir.Person("person:mira")
	if _, err := b.engine.Answer(t.Context(), approval.Answer{Approval: a.ID, Person: p, Decision: approval.Approve, Channel: "api", Assurance: "token", Digest: a.Digest, Version: a.Version, Standing: &approval.Scope{Uses: 5, For: time.Hour, Values: approval.SameValues}}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := send(t.Context()); err != nil {
		t.Fatalf("on the standing grant: %v", err)
	}
	r := b.read("worker")
	r.Text([]byte("key AKIAIOSFODNN7EXAMPLE"))
	if err := r.Count(1, 30); err != nil {
		t.Fatal(err)
	}
	r.Done(gate.Outcome{State: gate.Executed})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := send(ctx); err == nil || len(b.waiting(1)) != 1 {
		t.Errorf("after a secret it runs on the standing grant: %v", err)
	}
}
