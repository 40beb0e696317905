package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/identity"
)

const tellingPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: tells, version: 1.0.0, owner: ops }
rules:
  - { id: reads, match: { kind: [data.read] }, then: allow, notify: ["webhook:hook"] }
  - { id: drops, match: { kind: [schema.change] }, then: deny, notify: ["webhook:audit"] }
  - { id: writes, match: { kind: [data.write] }, then: review, approval: { from: [group:reviewers], notify: ["webhook:on-call"] } }
tests:
  - { name: a read, given: { kind: data.read }, want: { decision: allow } }
`

// hookAt keeps what a webhook was told.
type hookAt struct {
	mu   sync.Mutex
	told []string
}

func (h *hookAt) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, string(body))
}

// about are the bodies in which all of words stand.
func (h *hookAt) about(words ...string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, body := range h.told {
		all := true
		for _, w := range words {
			all = all && strings.Contains(body, w)
		}
		if all {
			n++
		}
	}
	return n
}

func telling(t *testing.T, pack string) (*bench, *hookAt, error) {
	t.Helper()
	t.Setenv("HOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	h := &hookAt{}
	receiver := httptest.NewServer(h)
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(pack), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := startIn(t, dir, threeAdmins+`
channels:
  - name: hook
    webhook: { url: "`+receiver.URL+`", secrets: [{ env: HOOK_SECRET }], private: true }
    places: [audit, on-call]
`)
	if err != nil {
		return nil, nil, err
	}
	b := &bench{Server: s, t: t, dir: dir}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b.session = b.login()
	return b, h, nil
}

// TestRulesTell: who a rule names under notify is told of what it matched, without what was masked.
func TestRulesTell(t *testing.T) {
	b, h, err := telling(t, tellingPack)
	if err != nil {
		t.Fatal(err)
	}
	const card = "4111 1111 1111 1111"
	for range 50 {
		a := &action.Action{Kinds: []action.Kind{action.DataRead}, Verb: "read", Title: "read what " + card + " bought", Statement: "read " + card, Payload: []byte(card)}
		b.session.Describe(a)
		p, err := b.session.Enforce(t.Context(), a, gate.Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		p.Done(gate.Outcome{State: gate.Executed, Rows: 1})
	}
	if _, err := b.ask(t.Context(), action.SchemaChange, "drop all"); err == nil {
		t.Fatal("what is denied runs")
	}
	b.background(t.Context(), "a write")
	eventually(t, "the places of the channel are told of the read", func() bool { return h.about("Allowed: read what", "agent:worker", "tells/reads", "line:test") == 2 })
	eventually(t, "one is told of what was denied", func() bool { return h.about("Denied: write a line", "tells/drops", `"to":"audit"`) == 1 })
	eventually(t, "one has the card of what is held", func() bool { return h.about(`"to":"on-call"`, b.waiting(1)[0].ID) >= 1 })
	if n := h.about("tells/drops"); n != 1 {
		t.Errorf("%d places are told of what was denied", n)
	}
	if h.about("4111") > 0 || h.about("1111 1111") > 0 {
		t.Error("what is masked was told")
	}
}

// TestWhoNobodyIs: a pack that tells a place the configuration doesn't name is refused where it would come into force.
func TestWhoNobodyIs(t *testing.T) {
	bad := strings.Replace(tellingPack, "webhook:hook", "webhook:hok", 1)
	want := []string{"'webhook:hok' is no place that the configuration names", "did you mean 'webhook:hook'?", "pack.yaml:5"}
	_, _, err := telling(t, bad)
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Fatalf("%v\nlacks %s", err, w)
		}
	}
	b, _, err := telling(t, tellingPack)
	if err != nil {
		t.Fatal(err)
	}
	before := b.policy.Current().Bundle()
	if err := os.WriteFile(filepath.Join(b.dir, "pack.yaml"), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.ReloadPolicy(t.Context()); err == nil || b.policy.Current().Bundle() != before || b.policy.Err() == nil {
		t.Fatalf("%v: it came into force", err)
	}
}

// TestAPackHalfWritten: the last good one decides until the file is whole, and the server says so.
func TestAPackHalfWritten(t *testing.T) {
	b, _, err := telling(t, tellingPack)
	if err != nil {
		t.Fatal(err)
	}
	before, path := b.policy.Current().Bundle(), filepath.Join(b.dir, "pack.yaml")
	whole := strings.Replace(tellingPack, "1.0.0", "1.1.0", 1)
	for _, at := range []int{0, 1, len(whole) / 3, strings.Index(whole, "approval:") + 20} {
		if err := os.WriteFile(path, []byte(whole[:at]), 0o600); err != nil {
			t.Fatal(err)
		}
		err := b.ReloadPolicy(t.Context())
		if err == nil || !strings.Contains(err.Error(), "the last good one stays in force") || !strings.Contains(err.Error(), "pack.yaml") {
			t.Errorf("%d bytes of it: %v", at, err)
		}
		if b.policy.Current().Bundle() != before {
			t.Fatalf("%d bytes of it came into force", at)
		}
		if p, err := b.inForce(t.Context()); err != nil || p.Problem == "" {
			t.Errorf("%d bytes: the console says %q, %v", at, p.Problem, err)
		}
		if _, err := b.ask(t.Context(), action.SchemaChange, "drop all"); err == nil || !strings.Contains(err.Error(), "drops") {
			t.Errorf("%d bytes: %v", at, err)
		}
	}
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.ReloadPolicy(t.Context()); err != nil || b.policy.Current().Bundle() == before || b.policy.Err() != nil {
		t.Fatalf("%v: the whole one is not in force", err)
	}
}
