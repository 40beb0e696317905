package server

import (
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
)

// worker is agent:worker as the directory knows it, for its owner.
func (b *bench) worker() identity.Asker {
	b.t.Helper()
	actor, ok := b.Server.dir.ActorByID("agent:worker")
	if !ok {
		b.t.Fatal("nobody knows the worker")
	}
	return identity.Asker{Subject: b.person("dana"), Chain: []identity.Actor{actor}, Credential: "tok_plan"}
}

// writes are actions on the resources given, one each.
func writes(urns ...string) []*action.Action {
	var out []*action.Action
	for _, urn := range urns {
		out = append(out, &action.Action{
			Kinds: []action.Kind{action.DataWrite}, Verb: "write", Title: "write " + urn, Statement: "to " + urn, Payload: []byte("to " + urn),
			Resource: action.Resource{URN: urn, Type: "line"},
		})
	}
	return out
}

// A plan under the real policy: held, approved, used item by item, and believed by the offline verifier.
func TestAPlanIsRunItemByItem(t *testing.T) {
	b := ruled(t, oneAdmin)
	worker := b.worker()
	urns := []string{"line:one", "line:two"}
	a, err := b.enforcer.RequestPlan(t.Context(), worker, writes(urns...))
	if err != nil {
		t.Fatal(err)
	}
	b.approve(a)
	for _, i := range []int{1, 0} {
		ev, err := b.enforcer.Redeem(t.Context(), worker, writes(urns...)[i], a.Items[i].Approval)
		if err != nil || ev.Grant == "" {
			t.Fatalf("item %d: %v", i+1, err)
		}
		if err := b.engine.Finish(t.Context(), a.Items[i].Approval, approval.Outcome{State: approval.Executed}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.engine.Get(t.Context(), a.ID); err != nil || got.State != approval.Executed {
		t.Errorf("the plan is %s, %v", got.State, err)
	}
	if r := b.verified(); len(r.Problems) > 0 {
		t.Errorf("%+v", r.Problems)
	}
}

// What stops one item stops the plan: a freeze of its resource, or a policy that no longer asks as it did.
func TestWhatStopsAnItemStopsItsPlan(t *testing.T) {
	for name, stop := range map[string]func(b *bench){
		"frozen": func(b *bench) { b.freeze(freeze.Resource, "line:two") },
		"another policy": func(b *bench) {
			b.pack("apiVersion: assent/v1\nkind: PolicyPack\nmetadata: { name: held, version: 1.0.1, owner: tests }\nrules:\n" +
				"  - { id: nothing, match: { resource: [\"line:two\"] }, then: deny, reason: closed }\n" +
				"  - { id: writes-wait, match: { kind: [data.write] }, then: review, approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token } }\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := ruled(t, oneAdmin)
			worker := b.worker()
			urns := []string{"line:one", "line:two"}
			a, err := b.enforcer.RequestPlan(t.Context(), worker, writes(urns...))
			if err != nil {
				t.Fatal(err)
			}
			b.approve(a)
			stop(b)
			if _, err := b.enforcer.Redeem(t.Context(), worker, writes(urns...)[1], a.Items[1].Approval); err == nil {
				t.Error("the item that is stopped was used")
			}
			for range 300 {
				if got, err := b.engine.Get(t.Context(), a.ID); err != nil || got.State == approval.Withdrawn {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if _, err := b.enforcer.Redeem(t.Context(), worker, writes(urns...)[0], a.Items[0].Approval); err == nil {
				t.Error("the other item was used")
			}
			if got, err := b.engine.Get(t.Context(), a.ID); err != nil || got.State != approval.Withdrawn {
				t.Errorf("the plan is %s, %v", got.State, err)
			}
			if n := len(b.records(audit.TypeStarted)); n != 0 {
				t.Errorf("%d executions were started", n)
			}
		})
	}
}
