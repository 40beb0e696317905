package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
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
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/postgres"
)

const replicaPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 1.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
  - id: no-exports
    match: { kind: [data.export] }
    then: deny
  - id: writes-wait
    match: { kind: [data.write] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
tests:
  - { name: writes, given: { kind: data.write }, want: { decision: review } }
`

// A fleet is a deployment of several nodes on one PostgreSQL database.
type fleet struct {
	t       *testing.T
	dir     string
	cluster *pgcluster.Cluster
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	c, err := pgcluster.Start(context.WithoutCancel(t.Context()), pgcluster.Options{}) // nodes end first
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	f := &fleet{t: t, dir: t.TempDir(), cluster: c}
	for name, text := range map[string]string{"pack.yaml": replicaPack, "password": c.Password} {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *fleet) config(node, more string) *Config {
	f.t.Helper()
	u, err := url.Parse(f.cluster.DSN("postgres", "postgres"))
	if err != nil {
		f.t.Fatal(err)
	}
	u.User = url.User("postgres")
	cfg, err := ParseConfig(filepath.Join(f.dir, node+".yaml"), fmt.Appendf(nil, `
data: data-%s
store: { url: %q, password: { file: password } }
node: %s
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
%s`, node, u, node, more))
	if err != nil {
		f.t.Fatal(err)
	}
	return cfg
}

// node starts a node; what it says when it does not start is the error.
func (f *fleet) start(node, more string) (*Server, error) {
	f.t.Helper()
	s, err := New(f.t.Context(), f.config(node, more), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := s.Start(f.t.Context()); err != nil {
		_ = s.Close(context.Background())
		return nil, err
	}
	f.t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s, nil
}

const oneKeys = "keys: keys\nlimits: { export_after_rows: 1000 }\n"

func (f *fleet) node(name string) *bench {
	f.t.Helper()
	s, err := f.start(name, oneKeys)
	if err != nil {
		f.t.Fatal(err)
	}
	return &bench{Server: s, t: f.t, dir: f.dir}
}

func TestReplicas(t *testing.T) {
	f := newFleet(t)
	a := f.node("a")
	if _, err := a.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b := f.node("b")
	a.session, b.session = a.login(), b.login()

	t.Run("each looks at its clock", func(t *testing.T) {
		checked := false
		for _, c := range a.checks() {
			if c.Name == "clock" {
				checked = true
				if err := c.Run(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		if !checked {
			t.Error("nobody does")
		}
	})
	t.Run("an answer on one releases the hold on the other", func(t *testing.T) {
		var slowest time.Duration
		for i := range 20 {
			here, there := a, b
			if i%2 == 1 {
				here, there = b, a
			}
			held := here.background(t.Context(), fmt.Sprint("write ", i))
			list := there.waiting(1)
			start := time.Now()
			there.approve(list[0])
			if err := <-held; err != nil {
				t.Fatalf("hold %d: %v", i, err)
			}
			slowest = max(slowest, time.Since(start))
			got, err := there.engine.Get(t.Context(), list[0].ID)
			if err != nil || got.Node != here.node() {
				t.Fatalf("it was executed by %q: %v", got.Node, err)
			}
		}
		t.Logf("the slowest of 20 holds was released after %s", slowest.Round(time.Millisecond))
	})
	t.Run("an approval is used once, whoever asks", func(t *testing.T) {
		first := a.background(t.Context(), "write once")
		approvals := b.waiting(1)
		second := b.background(t.Context(), "write once") // the same credential, the same action: the same approval
		time.Sleep(200 * time.Millisecond)
		a.approve(approvals[0])
		one, two := <-first, <-second
		if (one == nil) == (two == nil) {
			t.Errorf("of two who waited for one approval: %v, %v", one, two)
		}
		if n := len(a.records(audit.TypeStarted)); n != 21 {
			t.Errorf("%d starts", n)
		}
	})
	t.Run("what is read on all counts", func(t *testing.T) {
		read := func(x *bench, rows int64) error {
			act := &action.Action{Kinds: []action.Kind{action.DataRead}, Verb: "select", Title: "read", Statement: "read", Payload: []byte("read")}
			x.session.Describe(act)
			p, err := x.session.Enforce(t.Context(), act, gate.Hooks{})
			if err != nil {
				return err
			}
			defer p.Done(gate.Outcome{State: gate.Executed})
			return p.Count(rows, 10)
		}
		for _, x := range []*bench{a, b} { // both have an account in memory
			if err := read(x, 1); err != nil {
				t.Fatal(err)
			}
		}
		// Each node pays for some rows ahead, and the other may have heard of those already.
		if err := read(a, 900); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		refusedWith(t, read(b, 100), gate.StatusLimit, "export")
	})
	t.Run("a credential revoked on one is cut off on the other", func(t *testing.T) {
		tokens, err := a.tokens.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, tok := range tokens {
			if tok.Kind == identity.KindActor {
				if err := (revoking{a.Server}).Revoke(t.Context(), tok.ID, "test"); err != nil {
					t.Fatal(err)
				}
			}
		}
		select {
		case <-b.session.Cut():
		case <-time.After(5 * time.Second):
			t.Error("its session on the other node goes on")
		}
	})
	t.Run("each node's commands have a credential of their own", func(t *testing.T) {
		for _, x := range []*bench{a, b} {
			o, err := ReadOperator(x.cfg.DataDir())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.tokens.Check(t.Context(), o.Token); err != nil {
				t.Errorf("node %s: %v", x.cfg.Node, err)
			}
		}
	})
	t.Run("each makes evidence, which the log tells", func(t *testing.T) {
		for _, x := range []*bench{a, b} {
			rec := &audit.Record{Type: audit.TypeEvidence, Person: "person:mira"}
			report, leaves := x.exported(rec, audit.Query{Actor: "agent:worker"})
			if own := leaves[rec.Index]; rec.Index == 0 || !strings.Contains(own, `"evidence.export"`) || report.Manifest.Hidden == 0 {
				t.Errorf("node %s: its own record %d is %q among %d hidden ones", x.cfg.Node, rec.Index, own, report.Manifest.Hidden)
			}
		}
	})
	t.Run("each verifies the log, and signs all of it", func(t *testing.T) {
		for _, x := range []*bench{a, b} {
			if _, err := x.VerifyLog(t.Context()); err != nil {
				t.Errorf("node %s: %v", x.cfg.Node, err)
			}
			vkey, err := Verifier(x.cfg)
			if err != nil {
				t.Fatal(err)
			}
			st, err := OpenReadOnly(t.Context(), x.cfg)
			if err != nil {
				t.Fatal(err)
			}
			r, err := audit.Verify(t.Context(), st, x.cfg.VerifyOptions(vkey))
			if err != nil || !r.OK() {
				t.Errorf("node %s, offline: %v %+v", x.cfg.Node, err, r)
			}
			_ = st.Close()
		}
		head, err := a.store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if b.auditLog.Signed().Size >= head.Size {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("b has signed %d of %d", b.auditLog.Signed().Size, head.Size)
	})
}

// A node whose keys are not the deployment's is refused before it makes or writes anything.
func TestAReplicaWithOtherKeys(t *testing.T) {
	f := newFleet(t)
	f.node("a")
	wantRefusal := func(what, node, more string) {
		t.Helper()
		if _, err := f.start(node, more); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("node %s: %v, want …%s…", node, err, what)
		}
	}
	wantRefusal("copy the key directory", "b", "")
	if _, err := os.Stat(filepath.Join(f.dir, "data-b", "keys", "log.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it made a key: %v", err)
	}
	// A copy in which one key is another.
	copied := filepath.Join(f.dir, "copied")
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(f.dir, "keys"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"seal.key", "match.key", "mask.key", "api.key", "log.key", "grant.jwks"} {
		if err := os.Chmod(filepath.Join(copied, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"seal", "match", "mask", "api"} {
		file := filepath.Join(copied, name+".key")
		was, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.Repeat("ab", 32)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantRefusal("("+name+")", "c", "keys: copied\n")
		if err := os.WriteFile(file, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantRefusal("log", "d", "keys: keys\npublic_url: https://other.example.com\n")
	if s, err := f.start("e", "keys: copied\n"); err != nil {
		t.Errorf("with the right ones: %v", err)
	} else if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A node that was taken for dead lets nothing pass any more and says so.
func TestAFencedNodeStopsServing(t *testing.T) {
	f := newFleet(t)
	a := f.node("a")
	if _, err := a.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	a.session = a.login()
	b := f.node("b")
	held := a.background(t.Context(), "write")
	list := b.waiting(1)
	// What another node does to one whose lease has ended.
	err := b.store.Update(t.Context(), func(tx approval.Tx) error { return tx.(*postgres.Tx).FenceNode("a") })
	if err != nil {
		t.Fatal(err)
	}
	b.approve(list[0])
	if err := <-held; err == nil {
		t.Error("a fenced node ran something")
	}
	select {
	case <-a.Stopped():
	case <-time.After(10 * time.Second):
		t.Fatal("it does not stop serving")
	}
	if !errors.Is(a.Lost(), store.ErrDead) {
		t.Errorf("it says %v", a.Lost())
	}
	resp, err := http.Get(a.URL() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz says %s", resp.Status)
	}
	if _, err := a.ask(t.Context(), action.DataRead, "select"); err == nil {
		t.Error("a harmless read passes")
	}
	if got, err := b.engine.Get(t.Context(), list[0].ID); err != nil || got.State != approval.Approved {
		t.Errorf("the approval is %s: %v", got.State, err)
	}
}
