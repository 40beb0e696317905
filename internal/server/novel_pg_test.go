package server

import (
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/habit"
)

const novelPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 5.0.0, owner: tests }
rules:
  - id: writes
    match: { kind: [data.write] }
    then: allow
  - id: new-things-wait
    match: { kind: [data.write] }
    when: context.novel_shape || context.novel_target
    then: review
    approval: { from: [group:reviewers], assurance: token }
tests:
  - { name: known, given: { kind: data.write, novel_shape: false, novel_target: false }, want: { decision: allow, rule: writes } }
  - { name: a new shape, given: { kind: data.write, novel_shape: true, novel_target: false }, want: { decision: review, rule: new-things-wait } }
  - { name: nobody knows, given: { kind: data.write }, want: { decision: review } }
`

// What is new to an actor waits for people; what it did flows from then on; what was denied stays new.
func TestWhatIsNewToAnActor(t *testing.T) {
	b := newBench(t)
	b.pack(novelPack)
	ask := func(shape, target string) <-chan error {
		out := make(chan error, 1)
		go func() {
			a := &action.Action{Kinds: []action.Kind{action.DataWrite}, Verb: "write", Shape: shape, Target: target, Title: "write " + target, Statement: shape + target, Payload: []byte(shape + target)}
			b.session.Describe(a)
			p, err := b.session.Enforce(t.Context(), a, gate.Hooks{})
			if err == nil {
				p.Done(gate.Outcome{State: gate.Executed})
			}
			out <- err
		}()
		return out
	}
	answer := func(decision string) {
		t.Helper()
		a := b.waiting(1)[0]
		mira, _ := b.Server.dir.Person("person:mira")
		if _, err := b.engine.Answer(t.Context(), approval.Answer{Approval: a.ID, Person: mira, Decision: decision, Channel: "api", Assurance: "token", Digest: a.Digest, Version: a.Version}); err != nil {
			t.Fatal(err)
		}
	}
	first := ask("aa", "orders")
	answer(approval.Deny)
	if err := <-first; err == nil {
		t.Fatal("what a reviewer denied runs")
	}
	again := ask("bb", "orders") // not learnt: a denial is no habit
	answer(approval.Approve)
	if err := <-again; err != nil {
		t.Fatal(err)
	}
	if err := <-ask("bb", "orders"); err != nil {
		t.Errorf("what it did is held again: %v", err)
	}
	other := ask("bb", "items")
	answer(approval.Approve)
	if err := <-other; err != nil {
		t.Fatal(err)
	}
	recs := b.records(audit.TypeRequest)
	if len(recs) != 4 || recs[1].Decision != "allow" || recs[1].Detail["risk"] >= recs[0].Detail["risk"] {
		t.Errorf("%d requests, what is known has risk %s, what is new %s", len(recs), recs[1].Detail["risk"], recs[0].Detail["risk"])
	}
}

// What an actor did through one node is known to the others.
func TestNodesShareHabits(t *testing.T) {
	f := newFleet(t)
	one, two := f.node("one"), f.node("two")
	act := one.habits.Act("line:test", "aa", "orders")
	if s, _ := two.habits.Book("agent:worker").Knows(t.Context(), act, time.Now()); s != habit.Never {
		t.Fatalf("before: %v", s)
	}
	one.habits.Book("agent:worker").Did(act, time.Now())
	if err := one.habits.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if err := two.habits.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s, g := two.habits.Book("agent:worker").Knows(t.Context(), act, time.Now()); s == habit.Before && g == habit.Before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("what was done through one node stays new to the other")
}
