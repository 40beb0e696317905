package server

import (
	"context"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/replay"
)

const factsPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: facts, version: 1.0.0, owner: tests }
rules:
  - { id: reads, match: { kind: [data.read] }, then: allow }
  - { id: no-deletes, match: { kind: [data.delete] }, then: deny }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

// Actions flow through a server; a replay of what it kept names what other packs change.
func TestWhatAServerKeepsIsReplayed(t *testing.T) {
	b := newBench(t)
	b.pack(factsPack)
	ask := func(kind action.Kind, shape string) {
		a := &action.Action{Kinds: []action.Kind{kind}, Verb: "do", Shape: shape, Statement: "secret words", Payload: []byte("secret words")}
		b.session.Describe(a)
		if p, err := b.session.Enforce(t.Context(), a, gate.Hooks{}); err == nil {
			p.Done(gate.Outcome{State: gate.Executed})
		}
	}
	for range 3 {
		ask(action.DataRead, "aa")
		ask(action.DataDelete, "bb")
	}
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	d, err := facts.OpenDir(FactsDir(b.cfg.DataDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	load := func(then string) *policy.Set {
		set, err := policy.LoadFiles(map[string][]byte{"p.yaml": []byte(`apiVersion: assent/v1
kind: PolicyPack
metadata: { name: facts, version: 2.0.0, owner: tests }
rules:
  - { id: reads, match: { kind: [data.read] }, then: allow }
  - { id: deletes, match: { kind: [data.delete] }, then: ` + then + ` }
`)}, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	for then, opened := range map[string]int{"deny": 0, "allow": 1} {
		r, err := replay.Run(t.Context(), replay.Options{Facts: d, Policy: load(then)})
		if err != nil {
			t.Fatal(err)
		}
		if r.Actions != 6 || len(r.Opened) != opened || opened == 1 && (r.Opened[0].Shape != "bb" || r.Opened[0].Actions != 3 || r.Opened[0].Rule != "facts/deletes") {
			t.Errorf("%s: %d actions, opened: %+v", then, r.Actions, r.Opened)
		}
	}
}
