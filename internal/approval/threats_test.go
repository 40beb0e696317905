package approval_test

import (
	"context"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// An agent with the tokens of two people asks for one of them so that the other may
// approve: for a day, everybody it acted for is out.
func TestWhomAnAgentActedForStaysOutForADay(t *testing.T) {
	h := newHouse(t, nil)
	as := func(id string) identity.Asker {
		asker := agent("agent:x")
		for _, p := range people() {
			if p.ID == id {
				asker.Subject = p
			}
		}
		return asker
	}
	h.ask(ask(as("person:ana"), "select 1"))
	h.clock.add(23 * time.Hour)
	a := h.ask(ask(as("person:sub"), "copy"))
	_, err := h.review(a.ID, "person:ana", approval.Approve)
	wantErr(t, err, approval.ErrExcluded{Why: h.get(a.ID).Excluded["person:ana"]})
	if _, ok := h.get(a.ID).Excluded["person:ana"]; !ok {
		t.Fatal("the card doesn't say that ana is excluded")
	}
	h.clock.add(25 * time.Hour)
	b := h.ask(ask(as("person:sub"), "copy it again"))
	h.approve(b.ID, "person:ana")
}

// Many agents of one owner don't keep the approvals of others from being asked and answered.
func TestAFloodLeavesOthersAlone(t *testing.T) {
	h := newHouse(t, nil)
	flood := agent("agent:x")
	held := 0
	for i := range 100 {
		q := ask(flood, "copy")
		q.Action.Payload = []byte{byte(i)}
		if _, _, err := h.engine.Ask(context.Background(), q); err == nil {
			held++
		}
	}
	if held == 0 || held == 100 {
		t.Fatalf("%d of 100 wait: the cap is not at work", held)
	}
	q := ask(agent("agent:y"), "copy")
	a := h.ask(q)
	h.approve(a.ID, "person:ana", "person:ben")
	_, err := h.engine.Use(context.Background(), a.ID, use(q))
	must(t, err)
}
