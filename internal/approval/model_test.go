package approval_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

// A model is what the table of states says, written the simple way: one kind of
// quorum (two owners, three after a denial), no store, no seals.
type model struct {
	state    approval.State
	action   int
	need     int
	approved []string
	expires  time.Time
	window   time.Time
}

func (m *model) expire(now time.Time) {
	if m.state == approval.Pending && !now.Before(m.expires) || m.state == approval.Approved && !now.Before(m.window) {
		m.state = approval.Expired
	}
}

type machine struct {
	*house
	models   map[string]*model
	order    []string
	denied   []time.Time
	executed int
}

func question(i int) *approval.Question {
	return ask(agent("agent:x"), fmt.Sprint("copy ", i), policy.Requirement{Rule: "r", From: []string{"owners"}, Count: 2})
}

func (m *machine) live(i int) string {
	for _, id := range m.order {
		x := m.models[id]
		if x.action == i && (x.state == approval.Pending || x.state == approval.Approved) {
			return id
		}
	}
	return ""
}

// settle lets the model see the time before each step; the engine sees it by itself.
func (m *machine) settle() time.Time {
	now := m.clock.now()
	for _, x := range m.models {
		x.expire(now)
	}
	return now
}

func (m *machine) pending() (n int) {
	for _, x := range m.models {
		if x.state == approval.Pending {
			n++
		}
	}
	return n
}

func (m *machine) doAsk(t *rapid.T) {
	now, i := m.settle(), rapid.IntRange(0, 3).Draw(t, "action")
	want := m.live(i)
	must(m.TB, m.engine.Recover(context.Background())) // the cap counts what nobody expired yet
	m.recovered()
	a, existing, err := m.engine.Ask(context.Background(), question(i))
	if want == "" && m.pending() >= 3 {
		var full *approval.CapError
		if !errors.As(err, &full) {
			t.Fatalf("over the cap: %v", err)
		}
		return
	}
	need := 2
	for _, d := range m.denied {
		if now.Sub(d) <= time.Hour {
			need = 3
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if existing != (want != "") || existing && a.ID != want {
		t.Fatalf("asked for %d: got %s (existing %v), want %q", i, a.ID, existing, want)
	}
	if !existing {
		m.models[a.ID] = &model{state: approval.Pending, action: i, need: need, expires: now.Add(15 * time.Minute)}
		m.order = append(m.order, a.ID)
	}
}

// recovered is what Recover does to the model: executing has no witness any more.
func (m *machine) recovered() {
	for _, x := range m.models {
		if x.state == approval.Executing {
			x.state = approval.Unknown
		}
	}
}

func (m *machine) pick(t *rapid.T) (string, *model) {
	if len(m.order) == 0 {
		t.Skip("nothing was asked yet")
	}
	id := rapid.SampledFrom(m.order).Draw(t, "approval")
	return id, m.models[id]
}

func (m *machine) doReview(t *rapid.T) {
	now := m.settle()
	id, x := m.pick(t)
	who := rapid.SampledFrom([]string{"person:ana", "person:ben", "person:cas", "person:own", "person:sub", "person:eve"}).Draw(t, "who")
	decision := rapid.SampledFrom([]string{approval.Approve, approval.Approve, approval.Approve, approval.Deny}).Draw(t, "decision")
	may := slices.Contains([]string{"person:ana", "person:ben", "person:cas"}, who) && !slices.Contains(x.approved, who)
	_, err := m.review(id, who, decision)
	if ok := x.state == approval.Pending && may; ok != (err == nil) {
		t.Fatalf("%s says %s to %s, which is %s: %v", who, decision, id, x.state, err)
	}
	if err != nil {
		return
	}
	if decision == approval.Deny {
		x.state, m.denied = approval.Denied, append(m.denied, now)
		return
	}
	if x.approved = append(x.approved, who); len(x.approved) >= x.need {
		x.state, x.window = approval.Approved, now.Add(15*time.Minute)
	}
}

func (m *machine) doUse(t *rapid.T) {
	m.settle()
	id, x := m.pick(t)
	i := rapid.IntRange(0, 3).Draw(t, "with action")
	_, err := m.engine.Use(context.Background(), id, use(question(i)))
	if ok := x.state == approval.Approved && x.action == i; ok != (err == nil) {
		t.Fatalf("using %s (%s, action %d) for action %d: %v", id, x.state, x.action, i, err)
	}
	if err == nil {
		x.state = approval.Executing
		m.executed++
	}
}

func (m *machine) doFinish(t *rapid.T) {
	m.settle()
	id, x := m.pick(t)
	to := rapid.SampledFrom([]approval.State{approval.Executed, approval.Failed, approval.Unknown, approval.Approved, approval.Pending}).Draw(t, "to")
	err := m.engine.Finish(context.Background(), id, approval.Outcome{State: to})
	ok := x.state == approval.Executing && to != approval.Approved && to != approval.Pending
	if ok != (err == nil) {
		t.Fatalf("finishing %s (%s) as %s: %v", id, x.state, to, err)
	}
	if ok {
		x.state = to
	}
}

func (m *machine) doWithdraw(t *rapid.T) {
	m.settle()
	id, x := m.pick(t)
	must(m.TB, m.engine.Recover(context.Background()))
	m.recovered()
	_, err := m.engine.Withdraw(context.Background(), id, "person:sub", "")
	if ok := x.state == approval.Pending || x.state == approval.Approved; ok != (err == nil) {
		t.Fatalf("withdrawing %s (%s): %v", id, x.state, err)
	} else if ok {
		x.state = approval.Withdrawn
	}
}

func (m *machine) doTime(t *rapid.T) {
	m.clock.add(time.Duration(rapid.IntRange(1, 20).Draw(t, "minutes")) * time.Minute)
	m.settle()
}

func (m *machine) doRestart(t *rapid.T) {
	m.settle()
	m.restart()
	m.recovered()
}

// check compares every approval with its model, and the log with both.
func (m *machine) check(t *rapid.T) {
	for id, x := range m.models {
		got := m.get(id)
		overdue := x.state == approval.Expired && (got.State == approval.Pending || got.State == approval.Approved)
		if got.State != x.state && !overdue {
			t.Fatalf("%s is %s, the model says %s", id, got.State, x.state)
		}
		if x.state == approval.Pending && len(got.Reviews) != len(x.approved) {
			t.Fatalf("%s has %d reviews, the model %d", id, len(got.Reviews), len(x.approved))
		}
	}
	if n := len(m.records(audit.TypeStarted)); n != m.executed {
		t.Fatalf("%d starts on record, %d uses", n, m.executed)
	}
}

func TestEngineFollowsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{house: newHouse(t, func(o *approval.Options) { o.PendingCap = 3 }), models: map[string]*model{}}
		defer func() { _ = m.store.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"ask": m.doAsk, "ask again": m.doAsk, "review": m.doReview, "review again": m.doReview, "review once more": m.doReview,
			"use": m.doUse, "finish": m.doFinish, "withdraw": m.doWithdraw, "time": m.doTime, "restart": m.doRestart,
			"": m.check,
		})
		m.verify()
	})
}
