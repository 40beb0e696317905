package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

const commandPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: house, version: 1.0.0, owner: tests }
rules:
  - { id: reads, match: { kind: [data.read], env: [lab] }, then: allow }
  - { id: masked, match: { actor: [agent] }, then: mask, mask: { email: redact } }
  - { id: small-plans, match: { kind: [infra.destroy], env: [lab] }, when: preview.destroys < 5, then: allow }
  - { id: writes-wait, match: { kind: [data.write] }, then: review, approval: { from: [group:reviewers], count: 1, assurance: token } }
  - { id: reads-of-prod-wait, match: { kind: [data.read], env: [prod] }, then: review, approval: { from: [group:reviewers], count: 1, assurance: token } }
tests:
  - { name: a small plan flows where it was counted, given: { kind: infra.destroy, env: lab, preview_destroys: 1 }, want: { decision: allow } }
`

// workshop is a real server with two command gates, and clients of two actors.
type workshop struct {
	*Server
	t                *testing.T
	worker, deployer *client.Client
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(commandPack), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }, { id: deployer, owner: dana }]
gates:
  - { name: lab, type: command, env: lab }
  - { name: ci, type: command, env: prod, actors: [deployer] }
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w := &workshop{Server: s, t: t}
	w.worker, w.deployer = w.client("worker"), w.client("deployer")
	return w
}

func (w *workshop) client(actor string) *client.Client {
	w.t.Helper()
	token, err := w.Mint(w.t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:" + actor}, TTL: time.Hour, By: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := client.New(w.URL(), token, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func argv(words ...string) *client.Command {
	return &client.Command{Argv: words, Dir: "/home/ann/app", Host: "box", User: "ann"}
}

func status(err error) int {
	var p *client.Error
	if errors.As(err, &p) {
		return p.Status
	}
	return 0
}

func TestCommandGates(t *testing.T) {
	w, ctx := newWorkshop(t), t.Context()
	a, err := w.worker.AskCommand(ctx, argv("cat", "README.md"), 0, false)
	if err != nil || a.Run == "" || a.Masks["email"] != "redact" {
		t.Fatalf("a read: %+v, %v", a, err)
	}
	if masked, err := w.worker.MaskOutput(ctx, a.Run, "Ann ann@example.com\n"); err != nil || strings.Contains(masked, "ann@") || !strings.HasPrefix(masked, "Ann ") {
		t.Errorf("%q, %v", masked, err)
	}
	if _, err := w.deployer.MaskOutput(ctx, a.Run, "x"); status(err) != 404 {
		t.Errorf("another actor's run: %v", err)
	}
	if err := w.deployer.EndRun(ctx, a.Run, client.RunOutcome{Ran: true}); status(err) != 404 {
		t.Errorf("another actor ended the run: %v", err)
	}
	if err := w.worker.EndRun(ctx, a.Run, client.RunOutcome{Ran: true, Exit: 1, Bytes: 10}); err != nil {
		t.Error(err)
	}
	if err := w.worker.EndRun(ctx, a.Run, client.RunOutcome{Ran: true}); status(err) != 404 {
		t.Errorf("a run ended twice: %v", err)
	}
	// The gate that takes an actor's commands says the environment; the actor doesn't.
	if a, err = w.deployer.AskCommand(ctx, argv("cat", "README.md"), 0, false); err != nil || a.Pending == nil {
		t.Errorf("the deployer reads in prod: %+v, %v", a, err)
	}
	list, err := w.engine.List(ctx, approval.Filter{States: []approval.State{approval.Pending}})
	if err != nil || len(list) != 1 || list[0].Resource.URN != "command:ci" || list[0].Resource.Env != "prod" {
		t.Errorf("%+v, %v", list, err)
	}
	env, err := w.deployer.Environment(ctx)
	if err != nil || env.Commands != "ci" || len(env.Gates) != 0 || env.Egress != nil {
		t.Errorf("%+v, %v", env, err)
	}
	for name, c := range map[string]*client.Command{
		"nothing":        argv(),
		"both":           {Argv: []string{"ls"}, Script: "ls", Dir: "/"},
		"a wrong digest": {Argv: []string{"ls"}, Dir: "/", Files: []client.CommandFile{{Path: "x", SHA256: strings.Repeat("0", 64), Content: new(string)}}},
	} {
		if _, err := w.worker.AskCommand(ctx, c, 0, false); status(err) != 422 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.worker.AskCommand(ctx, argv("shutdown", "now"), 0, false); status(err) != 403 {
		t.Errorf("what no rule permits: %v", err)
	}
}

// What the asker's own tool says makes no verdict milder, and people see whose words they are.
func TestAClaimedPreviewPermitsNothing(t *testing.T) {
	w, ctx := newWorkshop(t), t.Context()
	one := int64(1)
	c := argv("terraform", "destroy")
	c.Preview = &client.CommandPreview{Tool: "terraform", Destroys: &one, Time: time.Now()}
	if a, err := w.worker.AskCommand(ctx, c, 0, false); status(err) != 403 {
		t.Errorf("a claim of one object: %+v, %v", a, err)
	}
	c = argv("touch", "x")
	c.Preview = &client.CommandPreview{Tool: "kubectl", Destroys: &one, Detail: "namespace/shop", Time: time.Now()}
	if a, err := w.worker.AskCommand(ctx, c, 0, false); err != nil || a.Pending == nil {
		t.Fatalf("%+v, %v", a, err)
	}
	list, err := w.engine.List(ctx, approval.Filter{States: []approval.State{approval.Pending}})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	p := list[0].Preview
	if p == nil || !p.Claimed || p.Bound().Known || p.By != "the asker's own kubectl" || !strings.Contains(list[0].Statement, "namespace/shop") {
		t.Errorf("%+v\n%s", p, list[0].Statement)
	}
}

// A credential that is revoked while its command waits gets no answer but no.
func TestRevokedWhileACommandWaits(t *testing.T) {
	w, ctx := newWorkshop(t), t.Context()
	token, info, err := w.tokens.Mint(ctx, identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(w.URL(), token, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		a, err := c.AskCommand(ctx, argv("touch", "x"), 50*time.Second, true)
		if err == nil && a.Run != "" {
			err = errors.New("it was permitted")
		}
		got <- err
	}()
	for {
		if list, err := w.engine.List(ctx, approval.Filter{States: []approval.State{approval.Pending}}); err == nil && len(list) == 1 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := (revoking{w.Server}).Revoke(ctx, info.ID, "test"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		if status(err) != 403 && status(err) != 401 {
			t.Errorf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it still waits")
	}
}

func TestCommandGatesOfTheConfiguration(t *testing.T) {
	base := "people: [{ id: mira }]\nactors: [{ id: a, owner: mira }, { id: b, owner: mira }]\ngates:\n"
	for text, want := range map[string]string{
		"  - { name: x, type: command, env: lab, listen: 127.0.0.1:1 }\n":                                                          "listens nowhere",
		"  - { name: x, type: command, env: lab, upstream: { host: h } }\n":                                                        "has none",
		"  - { name: x, type: command, env: lab }\n  - { name: y, type: command, env: lab }\n":                                     "everybody's commands already",
		"  - { name: x, type: command, env: lab, actors: [c] }\n":                                                                  "is not among actors",
		"  - { name: x, type: command, env: lab, actors: [a] }\n  - { name: y, type: command, env: lab, actors: [a] }\n":           "takes the commands of",
		"  - { name: x, type: command }\n":                                                                                         "env: is missing",
		"  - { name: x, type: command, env: lab, actors: [a] }\n  - { name: y, type: command, env: prod }\n":                       "",
		"  - { name: x, type: postgres, env: p, listen: 127.0.0.1:1, actors: [a], upstream: { host: h, database: d, user: u } }\n": "is of command gates only",
	} {
		_, err := ParseConfig("a.yaml", []byte(base+text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if got := resourceOf(&GateConfig{Name: "commands", Type: "command"}); got.URN != "command:commands" || got.Type != "command" {
		t.Errorf("%+v", got)
	}
}
