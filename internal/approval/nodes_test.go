package approval_test

import (
	"context"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
)

// node is an engine of another process on the same store.
func (h *house) node(name string) *approval.Engine {
	h.Helper()
	tune := h.tune
	defer func() { h.tune = tune }()
	h.tune = func(o *approval.Options) {
		if tune != nil {
			tune(o)
		}
		o.Node = name
	}
	return h.another()
}

// executing has engine e run a fresh approval.
func (h *house) executing(e *approval.Engine, text string) *approval.Approval {
	h.Helper()
	q := ask(agent("agent:x"), text)
	a := h.ask(q)
	h.approve(a.ID, "person:ana", "person:ben")
	_, err := e.Use(context.Background(), a.ID, use(q))
	must(h.TB, err)
	return h.get(a.ID)
}

func TestOnlyADeadNodesExecutionsBecomeUnknown(t *testing.T) {
	h := newHouse(t, nil)
	ctx := context.Background()
	live, dead := h.node("live/1"), h.node("dead/7")
	a, b := h.executing(live, "one"), h.executing(dead, "two")
	if a.Node != "live/1" || b.Node != "dead/7" {
		t.Fatalf("executed by %q and %q", a.Node, b.Node)
	}
	h.clock.add(time.Hour) // a long run is no lost one
	for range 2 {
		must(t, live.RecoverFrom(ctx, func(node string) bool { return node == "dead/7" }))
	}
	h.state(a.ID, approval.Executing)
	h.state(b.ID, approval.Unknown)
	// The dead one comes back: what it ran is on record as unknown, and stays so.
	err := dead.Finish(ctx, b.ID, approval.Outcome{State: approval.Executed, Rows: 1})
	wantErr(t, err, approval.ErrDecided)
	h.state(b.ID, approval.Unknown)
	must(t, live.Finish(ctx, a.ID, approval.Outcome{State: approval.Executed, Rows: 1}))
	h.state(a.ID, approval.Executed)
	h.verify()
}

// The answer to a start was lost: it is on record, and nobody runs it.
func TestAStartNobodyRunsBecomesUnknown(t *testing.T) {
	h := newHouse(t, nil)
	ctx := context.Background()
	runs, lost := h.node("n/1"), h.node("n/1")
	a, b := h.executing(runs, "one"), h.executing(lost, "two") // runs knows nothing of b
	never := func(string) bool { return false }
	must(t, runs.Settle(ctx, never))
	h.state(b.ID, approval.Executing) // its commit may still be waiting for the answer
	h.clock.add(2 * time.Minute)
	must(t, runs.Settle(ctx, never))
	h.state(a.ID, approval.Executing)
	h.state(b.ID, approval.Unknown)
}

func TestAWaiterHearsOfAnotherProcess(t *testing.T) {
	h := newHouse(t, func(o *approval.Options) { o.Clock = time.Now })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	here, there := h.node("here/1"), h.node("there/1")
	a := h.ask(ask(agent("agent:x"), "copy"))
	events := here.Subscribe(ctx)
	got := make(chan approval.State, 1)
	go func() {
		a, err := here.Wait(ctx, a.ID)
		if err != nil {
			t.Error(err)
			got <- ""
			return
		}
		got <- a.State
	}()
	for _, who := range []string{"person:ana", "person:ben"} {
		seen, err := there.Get(ctx, a.ID)
		must(t, err)
		_, err = there.Answer(ctx, answer(seen, who, approval.Approve))
		must(t, err)
	}
	time.Sleep(50 * time.Millisecond) // it waits on, unless it is told
	select {
	case s := <-got:
		if s != approval.Approved {
			t.Fatalf("it waited for %q", s)
		}
		t.Log("the waiter began after the decision")
	default:
		must(t, here.Changed(ctx, a.ID, "apr_none"))
		if s := <-got; s != approval.Approved {
			t.Fatalf("it waited for %q", s)
		}
		if ev := <-events; ev.ID != a.ID || ev.State != approval.Approved || ev.Version != h.get(a.ID).Version {
			t.Fatalf("subscribers heard %+v", ev)
		}
	}
}
