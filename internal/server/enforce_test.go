package server

import (
	"context"
	"errors"
	"os"
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

// bench is a real server with one open session of an agent.
type bench struct {
	*Server
	t       *testing.T
	dir     string
	session gate.Session
}

func newBench(t *testing.T, more ...string) *bench {
	t.Helper()
	s := heldServer(t, more...)
	b := &bench{Server: s, t: t, dir: filepath.Dir(s.cfg.file)}
	b.session = b.login()
	return b
}

func (b *bench) login() gate.Session {
	b.t.Helper()
	g := b.enforcer.Gate("line", action.Resource{URN: "line:test", Type: "line", Env: "test"}, "")
	v, err := g.Verifier(b.t.Context(), "worker")
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := g.Login(b.t.Context(), v, gate.Peer{Gate: "line", Address: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(s.Close)
	return s
}

// pack replaces the policy and reloads it.
func (b *bench) pack(text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "pack.yaml"), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := b.ReloadPolicy(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) ask(ctx context.Context, kind action.Kind, text string) (gate.Permit, error) {
	a := &action.Action{Kinds: []action.Kind{kind}, Verb: "write", Title: "write a line", Statement: text, Payload: []byte(text)}
	b.session.Describe(a)
	return b.session.Enforce(ctx, a, gate.Hooks{})
}

// background asks and hands over the answer once there is one.
func (b *bench) background(ctx context.Context, text string) <-chan error {
	out := make(chan error, 1)
	go func() {
		p, err := b.ask(ctx, action.DataWrite, text)
		if err == nil {
			p.Done(gate.Outcome{State: gate.Executed, Rows: 1})
		}
		out <- err
	}()
	return out
}

func (b *bench) waiting(n int) []*approval.Approval {
	b.t.Helper()
	for range 400 {
		list, err := b.engine.List(b.t.Context(), approval.Filter{States: []approval.State{approval.Pending}})
		if err != nil {
			b.t.Fatal(err)
		}
		if len(list) == n {
			return list
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatalf("there never were %d waiting", n)
	return nil
}

func (b *bench) approve(a *approval.Approval) {
	b.t.Helper()
	p, _ := b.Server.dir.Person("person:mira")
	if _, err := b.engine.Answer(b.t.Context(), approval.Answer{Approval: a.ID, Person: p, Decision: approval.Approve, Channel: "api", Assurance: "token", Digest: a.Digest, Version: a.Version}); err != nil {
		b.t.Fatal(err)
	}
}

func refusedWith(t *testing.T, err error, status, text string) {
	t.Helper()
	var d *gate.Denied
	if !errors.As(err, &d) || d.Status != status || !strings.Contains(d.Reason, text) {
		t.Errorf("answer = %v, want %s: …%s…", err, status, text)
	}
}

func (b *bench) records(typ string) []audit.Record {
	b.t.Helper()
	recs, err := b.store.Search(b.t.Context(), audit.Query{Types: []string{typ}, Limit: 100})
	if err != nil {
		b.t.Fatal(err)
	}
	return recs
}

const denyPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 2.0.0, owner: tests }
rules:
  - id: nothing-any-more
    match: { kind: [data.write] }
    then: deny
tests:
  - { name: writes, given: { kind: data.write }, want: { decision: deny } }
`

// An approval is decided again when it is used: a policy that changed meanwhile wins.
func TestPolicyChangedBetweenApprovalAndUse(t *testing.T) {
	b := newBench(t)
	ctx, leave := context.WithCancel(t.Context())
	first := b.background(ctx, "one")
	a := b.waiting(1)[0]
	leave() // approved while nobody waits, so that its use comes later
	<-first
	b.approve(a)
	b.pack(denyPack)
	_, err := b.ask(t.Context(), action.DataWrite, "one")
	refusedWith(t, err, gate.StatusDenied, "nothing-any-more")
	if got := b.records(audit.TypeStarted); len(got) != 0 {
		t.Errorf("%d executions were started", len(got))
	}
}

// What reviewers were shown to come back masked does not come back in clear, because the policy was loosened meanwhile.
func TestMasksLoosenedBetweenApprovalAndUse(t *testing.T) {
	const masks = `  - id: masks
    match: { kind: [data.write] }
    then: mask
    mask: { email: redact }
`
	masked := strings.Replace(heldPack, "tests:\n", masks+"tests:\n", 1)
	for _, c := range []struct {
		name, later string
		runs        bool
	}{{"dropped", heldPack, false}, {"weaker", strings.Replace(masked, "redact", "partial", 1), false}, {"the same", masked + "# touched\n", true}} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.pack(masked)
			ctx, leave := context.WithCancel(t.Context())
			first := b.background(ctx, "one")
			a := b.waiting(1)[0]
			if a.Masks["email"] != "redact" {
				t.Fatalf("the card shows the masks %v", a.Masks)
			}
			leave()
			<-first
			b.approve(a)
			b.pack(c.later)
			p, err := b.ask(t.Context(), action.DataWrite, "one")
			if c.runs {
				if err != nil {
					t.Fatal(err)
				}
				p.Done(gate.Outcome{State: gate.Executed})
				return
			}
			refusedWith(t, err, gate.StatusDenied, "masks other data")
		})
	}
}

// A client that leaves leaves its approval behind; the same action asked again finds it, another doesn't.
func TestAskedAgainFindsItsApproval(t *testing.T) {
	b := newBench(t)
	ctx, leave := context.WithCancel(t.Context())
	first := b.background(ctx, "one")
	a := b.waiting(1)[0]
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Fatalf("the one that left heard %v", err)
	}
	for range 100 {
		if a, _ = b.engine.Get(t.Context(), a.ID); a.AskerGone {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !a.AskerGone {
		t.Error("nobody said that the asker is gone")
	}
	b.approve(a)
	p, err := b.ask(t.Context(), action.DataWrite, "one")
	if err != nil {
		t.Fatalf("asked again: %v", err)
	}
	p.Done(gate.Outcome{State: gate.Executed})
	second := b.background(t.Context(), "one") // used up: it waits anew
	other := b.background(t.Context(), "one more")
	for _, a := range b.waiting(2) {
		if _, err := b.engine.Withdraw(t.Context(), a.ID, "person:mira", "test"); err != nil {
			t.Fatal(err)
		}
	}
	refusedWith(t, <-second, gate.StatusDenied, "withdrawn")
	refusedWith(t, <-other, gate.StatusDenied, "withdrawn")
}

// A revoked credential ends its open sessions, and what they ask is refused.
func TestRevocationCutsSessions(t *testing.T) {
	b := newBench(t)
	list, err := b.tokens.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range list {
		if tok.Kind == identity.KindActor {
			if err := (revoking{b.Server}).Revoke(t.Context(), tok.ID, "test"); err != nil {
				t.Fatal(err)
			}
		}
	}
	select {
	case <-b.session.Cut():
	case <-time.After(5 * time.Second):
		t.Fatal("the session lives on")
	}
	_, err = b.ask(t.Context(), action.DataWrite, "one")
	refusedWith(t, err, gate.StatusDenied, "revoked")
}

// What can't be recorded does not happen: neither a read nor anything else.
func TestNothingRunsUnrecorded(t *testing.T) {
	b := newBench(t)
	b.pack(`apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 3.0.0, owner: tests }
rules:
  - id: all
    match: { kind: [data.write, data.read] }
    then: allow
tests:
  - { name: writes, given: { kind: data.write }, want: { decision: allow } }
`)
	if _, err := b.ask(t.Context(), action.DataRead, "one"); err != nil {
		t.Fatalf("with everything in order: %v", err)
	}
	if err := b.spool.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := b.ask(t.Context(), action.DataRead, "two")
	refusedWith(t, err, gate.StatusNobody, "log can't be written")
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = b.ask(t.Context(), action.DataWrite, "three")
	var d *gate.Denied
	if !errors.As(err, &d) || d.Status != gate.StatusNobody {
		t.Errorf("without a store: %v", err)
	}
}

// Many small reads are one export, whichever session they come over, and a
// read that grows past the limit is stopped in mid-stream.
func TestReadsAddUp(t *testing.T) {
	b := newBench(t)
	b.pack(`apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 3.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
  - id: no-exports
    match: { kind: [data.export] }
    then: deny
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`)
	limit := b.cfg.Limits.ExportAfterRows
	for range 10 {
		b.session = b.login()
		p, err := b.ask(t.Context(), action.DataRead, "part")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Count(limit/10, 1000); err != nil {
			t.Fatal(err)
		}
		p.Done(gate.Outcome{State: gate.Executed})
	}
	_, err := b.ask(t.Context(), action.DataRead, "one more")
	refusedWith(t, err, gate.StatusDenied, "no-exports")

	fresh := newBench(t)
	fresh.pack(`apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 3.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`)
	p, err := fresh.ask(t.Context(), action.DataRead, "all")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Count(limit, 1000); err != nil {
		t.Fatalf("up to the limit: %v", err)
	}
	refusedWith(t, p.Count(1, 10), gate.StatusLimit, "export")
	p.Done(gate.Outcome{State: gate.Failed})
}

// The log holds no value: neither a finding nor a password, nor the payload.
func TestRecordsHoldNoValues(t *testing.T) {
	b := newBench(t)
	text := "UPDATE users SET password = 'hunter2hunter2' WHERE email = 'ada@example.com' AND card = '4000000000000010'"
	done := b.background(t.Context(), text)
	a := b.waiting(1)[0]
	if strings.Contains(a.Statement, "hunter2") || strings.Contains(a.Statement, "ada@") || strings.Contains(a.Statement, "4000000000000010") {
		t.Errorf("the card shows %s", a.Statement)
	}
	if _, err := b.engine.Withdraw(t.Context(), a.ID, "person:mira", "test"); err != nil {
		t.Fatal(err)
	}
	<-done
	head, err := b.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = b.store.Leaves(t.Context(), 0, head.Size, func(i int64, leaf []byte) error {
		for _, v := range []string{"hunter2", "ada@", "4000000000000010"} {
			if strings.Contains(string(leaf), v) {
				t.Errorf("record %d holds %q", i, v)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(b.dir, "data", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no data files", err)
	}
	for _, f := range append(files, filepath.Join(b.dir, "data", "spool")) {
		b.noValues(f)
	}
}

// unlessGone is err, unless a running server removed the file.
func unlessGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (b *bench) noValues(path string) {
	err := filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return unlessGone(err)
		}
		text, err := os.ReadFile(p)
		if err == nil && (strings.Contains(string(text), "hunter2hunter2") || strings.Contains(string(text), "ada@example")) {
			b.t.Errorf("%s holds a value", p)
		}
		return unlessGone(err)
	})
	if err != nil {
		b.t.Error(err)
	}
}
