package notify_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/notify/notifytest"
	"github.com/assenthq/assent/internal/policy"
)

var incidents = map[string][]notify.Target{"slack:#incidents": {{Channel: "board", Place: "#incidents"}}}

func match(rule, actor string) *notify.Match {
	return &notify.Match{Pack: "p", Rule: rule, Verdict: "allow", Actor: actor, Title: "SELECT public.orders", Resource: "postgres:orders/prod", To: []string{"slack:#incidents", "slack:#gone"}}
}

// TestARuleTellsOnce: 10,000 actions on two nodes are two messages: the first, and how many more.
func TestARuleTellsOnce(t *testing.T) {
	h, b := notifytest.New(t), newBoard("board")
	h.Targets = incidents
	one, _ := h.Dispatch("n1", nil, b)
	two, _ := h.Dispatch("n2", nil, b)
	var work sync.WaitGroup
	for _, d := range []*notify.Dispatcher{one, two} {
		work.Go(func() {
			for range 5_000 {
				d.Matched(match("r", "agent:exporter"))
			}
		})
	}
	work.Wait()
	h.Eventually("the first is told", func() bool { return b.states() == "Allowed: SELECT public.orders" })
	h.Pass(12 * time.Minute)
	h.Eventually("the rest is told", func() bool { return strings.Contains(b.states(), "9,999 more by rule p/r: agent:exporter") })
	h.Pass(12 * time.Minute)
	one.Matched(match("r", "agent:exporter"))
	h.Eventually("the next window's first is told", func() bool { return b.posts() == 3 })
	if told := strings.Join(h.Told(), "\n"); !strings.Contains(told, "to tell board #incidents rule") || strings.Contains(told, "#gone") {
		t.Errorf("the log says\n%s", told)
	}
}

// TestManyActorsTellLittle: however many actors and rules match, a place hears a bounded number.
func TestManyActorsTellLittle(t *testing.T) {
	h, b := notifytest.New(t), newBoard("board")
	h.Targets = incidents
	d, _ := h.Dispatch("n1", nil, b)
	for i := range 2_000 {
		d.Matched(match(fmt.Sprint("r", i%50), fmt.Sprint("agent:", i)))
	}
	h.Eventually("the first are told", func() bool { return b.posts() == 41 })
	h.Pass(12 * time.Minute)
	h.Eventually("the rest is counted", func() bool { return strings.Contains(b.states(), "1,959 more by further rules: further actors") })
	if n := b.posts(); n > 2*41 {
		t.Errorf("%d messages", n)
	}
	for i := range 100 {
		d.Matched(match("r", fmt.Sprint("agent:", i)))
	}
	before := b.posts()
	h.Eventually("ten actors are named, the others are one", func() bool { return b.posts() == before+11 })
}

// TestAMatchOutlivesItsNode: what was counted when a process stops is told by the next.
func TestAMatchOutlivesItsNode(t *testing.T) {
	h, b := notifytest.New(t), newBoard("board")
	h.Targets = incidents
	d, stop := h.Dispatch("n1", nil, b)
	for range 3 {
		d.Matched(match("r", "agent:exporter"))
	}
	stop()
	h.Pass(12 * time.Minute)
	h.Dispatch("n2", nil, b)
	h.Eventually("both are told", func() bool { return b.posts() == 2 && strings.Contains(b.states(), "2 more by rule p/r") })
}

// TestAnApprovalTells: a requirement's notify shows the card at its place, without a route, and keeps it true.
func TestAnApprovalTells(t *testing.T) {
	h, b := notifytest.New(t), newBoard("board")
	h.Targets = incidents
	h.Dispatch("n1", nil, b)
	h.Ask("select 1")
	a := h.Ask("select 2", policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 1, Assurance: "chat", Notify: []string{"slack:#incidents"}})
	h.Eventually("it waits", func() bool { return b.states() == "waiting" })
	if err := h.Answer(a.ID, "person:ana", "deny"); err != nil {
		t.Fatal(err)
	}
	h.Eventually("it is denied", func() bool { return b.states() == "denied" })
	if b.posts() != 1 {
		t.Errorf("%d cards", b.posts())
	}
}
