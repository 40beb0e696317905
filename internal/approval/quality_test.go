package approval_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

func qualityOf(h *house, person string) approval.Reviewer {
	for _, r := range approval.Quality(h.records(audit.TypeReview)) {
		if r.Person == person {
			return r
		}
	}
	return approval.Reviewer{}
}

func one() policy.Requirement {
	return policy.Requirement{Rule: "r", From: []string{"owners"}, Count: 1}
}

func TestQuality(t *testing.T) {
	h := newHouse(t, func(o *approval.Options) { o.PendingCap = 100 })
	asked := func(n int) (ids []string) {
		for i := range n {
			q := ask(agent("agent:x"), fmt.Sprint(h.clock.now().UnixNano(), i), one())
			q.Action.Shape = fmt.Sprint("shape", i)
			ids = append(ids, h.ask(q).ID)
		}
		return ids
	}
	// Ana reads: a minute for each. Ben goes through a queue that waited for long.
	for _, id := range asked(12) {
		h.clock.add(20 * time.Second)
		h.approve(id, "person:ana")
	}
	ids := asked(12)
	h.clock.add(5 * time.Minute)
	for _, id := range ids {
		h.clock.add(time.Second)
		h.approve(id, "person:ben")
	}
	deny := asked(1)[0]
	_, err := h.review(deny, "person:ben", approval.Deny)
	must(t, err)
	ana, ben := qualityOf(h, "person:ana"), qualityOf(h, "person:ben")
	if ana.Reviews != 12 || ana.Fast != 0 || ana.Stamps() != "" || ana.Median != 20*time.Second {
		t.Errorf("who reads: %+v, %q", ana, ana.Stamps())
	}
	if ben.Reviews != 13 || ben.Approved != 12 || ben.Fast != 11 || ben.Stamps() != "11 of 12 approvals within 3 seconds" || ben.Median > 3*time.Second {
		t.Errorf("who doesn't: %+v, %q", ben, ben.Stamps())
	}
}

func TestPairsAreSeen(t *testing.T) {
	h := newHouse(t, nil)
	h.town.set(t, people(), []identity.Actor{{ID: "agent:x", Type: "agent", Owner: "person:ana"}, {ID: "agent:y", Type: "agent", Owner: "person:ben"}})
	for i, x := range []struct{ agent, owner, reviewer string }{
		{"agent:x", "person:ana", "person:ben"}, {"agent:y", "person:ben", "person:ana"}, {"agent:x", "person:ana", "person:ben"}, {"agent:x", "person:ana", "person:cas"},
	} {
		a, _ := h.town.ActorByID(x.agent)
		p, _ := h.town.Person(x.owner)
		q := ask(identity.Asker{Subject: p, Chain: []identity.Actor{a}, Credential: "tok", Scopes: []string{identity.ScopeAct}}, fmt.Sprint(i), one())
		h.approve(h.ask(q).ID, x.reviewer)
	}
	ana := qualityOf(h, "person:ana")
	if len(ana.Pairs) != 1 || ana.Pairs[0] != (approval.Pair{With: "person:ben", Given: 1, Gotten: 2}) {
		t.Errorf("%+v", ana.Pairs)
	}
	if cas := qualityOf(h, "person:cas"); len(cas.Pairs) != 0 {
		t.Errorf("one way is no pair: %+v", cas.Pairs)
	}
}

// TestRubberStampsCostASeat: where the deployment says so, an approval by somebody who
// doesn't read asks for one person more, once.
func TestRubberStampsCostASeat(t *testing.T) {
	h := newHouse(t, func(o *approval.Options) {
		o.Stamps = func(p string) bool { return p == "person:ben" || p == "person:cas" }
	})
	q := ask(agent("agent:x"), "copy", one())
	id := h.ask(q).ID
	h.approve(id, "person:ben")
	if a := h.get(id); a.State != approval.Pending || a.Asks() != "2 of owners" || a.Stamped != "person:ben" {
		t.Fatalf("%s, asks %s, for %s", a.State, a.Asks(), a.Stamped)
	}
	h.approve(id, "person:cas") // one seat more, not one for each
	h.state(id, approval.Approved)
	if _, err := h.engine.Use(context.Background(), id, use(q)); err != nil {
		t.Error(err)
	}
	other := h.ask(ask(agent("agent:y"), "other", one())).ID
	h.approve(other, "person:ana")
	h.state(other, approval.Approved)
}
