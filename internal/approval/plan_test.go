package approval_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// planOf is a plan of agent:x: one question for each text.
func planOf(texts ...string) []*approval.Question {
	var qs []*approval.Question
	for _, text := range texts {
		q := ask(agent("agent:x"), text)
		q.Title, q.Statement, q.Action.Shape = text, "‹masked› "+text, text
		qs = append(qs, q)
	}
	return qs
}

func (h *house) askPlan(qs []*approval.Question) *approval.Approval {
	h.Helper()
	a, _, err := h.engine.AskPlan(context.Background(), qs)
	must(h.TB, err)
	return a
}

// approved is a plan that Ana and Ben approved.
func (h *house) approved(qs []*approval.Question) *approval.Approval {
	h.Helper()
	a := h.askPlan(qs)
	return h.approve(a.ID, "person:ana", "person:ben")
}

func (h *house) items(a *approval.Approval, want ...approval.State) {
	h.Helper()
	items, err := h.engine.ItemsOf(context.Background(), a)
	must(h.TB, err)
	var got []approval.State
	for _, item := range items {
		got = append(got, item.State)
	}
	if !slices.Equal(got, want) {
		h.Fatalf("the items are %s, want %s", got, want)
	}
}

func (h *house) useItem(a *approval.Approval, i int, qs []*approval.Question) error {
	_, err := h.engine.Use(context.Background(), a.Items[i].Approval, use(qs[i]))
	return err
}

func (h *house) finish(a *approval.Approval, i int, to approval.State) {
	h.Helper()
	must(h.TB, h.engine.Finish(context.Background(), a.Items[i].Approval, approval.Outcome{State: to}))
}

func TestAPlanIsAnsweredAsOne(t *testing.T) {
	h := newHouse(t, nil)
	qs := planOf("one", "two", "three")
	qs[1].Action.Kinds = []action.Kind{action.DataDelete}
	qs[2].Decision.Requirements = []policy.Requirement{{Rule: "each", From: []string{"dba"}, Count: 1}}
	a := h.askPlan(qs)
	if len(a.Items) != 3 || len(a.Kinds) != 2 || len(a.Requirements) != 2 || a.Asks() != "2 of owners and 1 of dba" {
		t.Fatalf("the card says %+v, asks %s", a.Kinds, a.Asks())
	}
	h.items(a, approval.Planned, approval.Planned, approval.Planned)
	for i := range qs {
		wantErr(t, h.useItem(a, i, qs), approval.ErrNotApproved)
		_, err := h.review(a.Items[i].Approval, "person:ana", approval.Approve)
		wantErr(t, err, approval.ErrPart)
		wantErr(t, h.engine.MayReview(h.get(a.Items[i].Approval), &people()[0], "console"), approval.ErrPart)
	}
	h.approve(a.ID, "person:ben")
	h.items(a, approval.Planned, approval.Planned, approval.Planned)
	h.approve(a.ID, "person:ana")
	h.items(a, approval.Approved, approval.Approved, approval.Approved)
	list, err := h.engine.List(context.Background(), approval.Filter{})
	must(t, err)
	if len(list) != 1 || list[0].ID != a.ID {
		t.Fatalf("%d are listed, want the plan alone", len(list))
	}
	_, err = h.engine.Use(context.Background(), a.ID, use(qs[0]))
	wantErr(t, err, approval.ErrMismatch)
	for _, i := range []int{1, 0, 2} { // in any order, each once, by its own bytes
		wantErr(t, func() error {
			_, err := h.engine.Use(context.Background(), a.Items[i].Approval, use(qs[(i+1)%3]))
			return err
		}(), approval.ErrMismatch)
		must(t, h.useItem(a, i, qs))
		wantErr(t, h.useItem(a, i, qs), approval.ErrNotApproved)
		h.state(a.ID, approval.Approved)
		h.finish(a, i, approval.Executed)
	}
	h.state(a.ID, approval.Executed)
	if n := len(h.records(audit.TypeStarted)); n != 3 {
		t.Errorf("%d starts on record", n)
	}
	h.verify()
}

// What an outsider needs to see from the log alone that this item was in what people approved.
func TestAPlansDigestCanBeComputedFromTheLog(t *testing.T) {
	h := newHouse(t, nil)
	a := h.approved(planOf("one", "two"))
	for _, r := range append(h.records(audit.TypeRequest), h.records(audit.TypeApproval)...) {
		if r.Approval != a.ID {
			if r.Detail["plan"] != a.ID || r.Detail["plan_item"] == "" {
				t.Errorf("the %s of an item says %v", r.Type, r.Detail)
			}
			continue
		}
		var items [][32]byte
		for _, line := range strings.Split(r.Detail["plan_items"], "\n") {
			_, digest, _ := strings.Cut(line, " ")
			d, err := action.ParseDigest(digest)
			must(t, err)
			items = append(items, d)
		}
		salt, err := action.ParseDigest("sha256:" + r.Detail["plan_salt"])
		must(t, err)
		if got := action.Digest(evidence.PlanDigest(salt, items)); got.String() != r.Digest {
			t.Errorf("the %s is of %s, its items make %s", r.Type, r.Digest, got)
		}
	}
}

func TestAPlanEndsWhole(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]struct {
		do   func(h *house, a *approval.Approval, qs []*approval.Question)
		plan approval.State
		want []approval.State
	}{
		"denied": {func(h *house, a *approval.Approval, _ []*approval.Question) {
			_, err := h.review(a.ID, "person:ana", approval.Deny)
			must(h.TB, err)
		}, approval.Denied, []approval.State{approval.Denied, approval.Denied}},
		"expired": {func(h *house, _ *approval.Approval, _ []*approval.Question) {
			h.clock.add(time.Hour)
			must(h.TB, h.engine.Tick(ctx))
		}, approval.Expired, []approval.State{approval.Expired, approval.Expired}},
		"taken back": {func(h *house, a *approval.Approval, _ []*approval.Question) {
			_, err := h.engine.Withdraw(ctx, a.ID, "", "")
			must(h.TB, err)
		}, approval.Withdrawn, []approval.State{approval.Withdrawn, approval.Withdrawn}},
		"an item taken back": {func(h *house, a *approval.Approval, _ []*approval.Question) {
			_, err := h.engine.Withdraw(ctx, a.Items[1].Approval, "", "")
			must(h.TB, err)
		}, approval.Withdrawn, []approval.State{approval.Withdrawn, approval.Withdrawn}},
		"not used in time": {func(h *house, a *approval.Approval, qs []*approval.Question) {
			h.approve(a.ID, "person:ana", "person:ben")
			must(h.TB, h.useItem(a, 0, qs))
			h.clock.add(time.Hour)
			wantErr(h.TB, h.useItem(a, 1, qs), approval.ErrExpired)
		}, approval.Expired, []approval.State{approval.Executing, approval.Expired}},
		"after an item that failed": {func(h *house, a *approval.Approval, qs []*approval.Question) {
			h.approve(a.ID, "person:ana", "person:ben")
			must(h.TB, h.useItem(a, 1, qs))
			h.finish(a, 1, approval.Failed)
			wantErr(h.TB, h.useItem(a, 0, qs), approval.ErrNotApproved)
		}, approval.Withdrawn, []approval.State{approval.Withdrawn, approval.Failed}},
		"after an item that nobody knows of": {func(h *house, a *approval.Approval, qs []*approval.Question) {
			h.approve(a.ID, "person:ana", "person:ben")
			must(h.TB, h.useItem(a, 1, qs))
			h.restart()
		}, approval.Withdrawn, []approval.State{approval.Withdrawn, approval.Unknown}},
		"after an item that policy no longer allows": {func(h *house, a *approval.Approval, qs []*approval.Question) {
			h.approve(a.ID, "person:ana", "person:ben")
			u, no := use(qs[1]), errors.New("denied now")
			u.Recheck = func(context.Context, *approval.Approval) error { return no }
			_, err := h.engine.Use(ctx, a.Items[1].Approval, u)
			wantErr(h.TB, err, no)
		}, approval.Withdrawn, []approval.State{approval.Withdrawn, approval.Withdrawn}},
		"when a reviewer turns out to be behind it": {func(h *house, a *approval.Approval, qs []*approval.Question) {
			h.approve(a.ID, "person:ana", "person:ben")
			all := actors()
			all[0].Related = append(all[0].Related, "person:ben")
			h.town.set(h.TB, people(), all)
			wantErr(h.TB, h.useItem(a, 0, qs), approval.ErrNotApproved)
		}, approval.Withdrawn, []approval.State{approval.Withdrawn, approval.Withdrawn}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			qs := planOf("one", "two")
			a := h.askPlan(qs)
			end.do(h, a, qs)
			h.state(a.ID, end.plan)
			h.items(a, end.want...)
			h.verify()
		})
	}
}

func TestNobodyBehindAPlanApprovesIt(t *testing.T) {
	h := newHouse(t, nil)
	a := h.askPlan(planOf("one", "two"))
	for _, who := range []string{"person:own", "person:sub", "person:dee", "slack:OWN"} {
		_, err := h.review(a.ID, who, approval.Approve)
		if !errors.As(err, new(approval.ErrExcluded)) && !errors.Is(err, approval.ErrNotEligible) {
			t.Errorf("%s: %v", who, err)
		}
	}
	// A rule of one item bars people from all of the plan.
	h = newHouse(t, nil)
	h.approve(h.ask(ask(agent("agent:x"), "before")).ID, "person:ana", "person:ben")
	q := ask(identity.Asker{Subject: people()[0], Chain: []identity.Actor{{ID: "agent:y", Type: "agent", Owner: "person:ana"}}, Credential: "y"}, "mine")
	q2 := ask(q.Asker, "mine too", policy.Requirement{Rule: "r", From: []string{"owners"}, Count: 1, Reciprocal: true})
	b := h.askPlan([]*approval.Question{q, q2})
	_, err := h.review(b.ID, "person:own", approval.Approve)
	if !errors.As(err, new(approval.ErrExcluded)) {
		t.Errorf("whose action Ana approved may approve hers: %v", err)
	}
}

func TestWhatIsNoPlan(t *testing.T) {
	h := newHouse(t, func(o *approval.Options) { o.PendingCap, o.BytesCap = 2, 1<<20 })
	ctx := context.Background()
	wants := func(name string, qs []*approval.Question, item int, want error) {
		t.Helper()
		_, _, err := h.engine.AskPlan(ctx, qs)
		var at *approval.ItemError
		if err == nil || errors.As(err, &at) != (item > 0) || item > 0 && at.Item != item || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wants("none", nil, 0, nil)
	many := make([]string, approval.MaxItems+1)
	for i := range many {
		many[i] = fmt.Sprint("item ", i)
	}
	wants("too many", planOf(many...), 0, nil)
	wants("the same twice", planOf("one", "two", "one"), 3, approval.ErrTwice)
	mixed := planOf("one", "two")
	mixed[1] = ask(agent("agent:y"), "two")
	wants("two askers", mixed, 2, approval.ErrNotAsker)
	allowed := planOf("one", "two")
	allowed[1].Decision = &policy.Decision{Verdict: policy.Allow}
	wants("one that needs nobody", allowed, 2, nil)
	long := planOf("one", "two", "three")
	for _, q := range long {
		q.Statement = strings.Repeat("x", 200<<10)
	}
	wants("too long", long, 0, nil) // each alone would fit, and twice each is stored
	if rows := h.count(approval.Planned) + h.count(approval.Pending); rows != 0 {
		t.Fatalf("%d were left", rows)
	}
	h.askPlan(planOf(many[:approval.MaxItems]...)) // counts as one
	h.askPlan(planOf("last"))
	wants("past the cap", planOf("more"), 0, nil)
}

func TestAPlanAskedAgain(t *testing.T) {
	h := newHouse(t, nil)
	ctx := context.Background()
	a := h.askPlan(planOf("one", "two"))
	again, existing, err := h.engine.AskPlan(ctx, planOf("one", "two"))
	must(t, err)
	if !existing || again.ID != a.ID {
		t.Errorf("the same plan is %s, existing %v", again.ID, existing)
	}
	other, existing, err := h.engine.AskPlan(ctx, planOf("two", "one"))
	must(t, err)
	if existing || other.ID == a.ID {
		t.Error("another order is the same plan")
	}
	_, err = h.engine.Withdraw(ctx, other.ID, "", "")
	must(t, err)
	item, existing, err := h.engine.Ask(ctx, planOf("two")[0])
	must(t, err)
	if !existing || item.ID != a.Items[1].Approval {
		t.Errorf("an item asked by itself is %s, existing %v", item.ID, existing)
	}
	// Who waits for an item is woken by the answer to its plan.
	done := make(chan *approval.Approval, 1)
	go func() {
		got, err := h.engine.Wait(ctx, item.ID)
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	h.approve(a.ID, "person:ana", "person:ben")
	if got := <-done; got == nil || got.State != approval.Approved {
		t.Fatalf("it waited for %+v", got)
	}
}

func TestADeniedPlanIsRememberedForEachItem(t *testing.T) {
	h := newHouse(t, nil)
	a := h.askPlan(planOf("one", "two"))
	_, err := h.review(a.ID, "person:ana", approval.Deny)
	must(t, err)
	b := h.ask(planOf("two")[0])
	if b.Repeats != 1 || b.Denial == nil || b.Denial.Approval != a.ID || b.Denial.Name != "Ana" || b.Asks() != "3 of owners" {
		t.Errorf("asked for by itself: %d repeats, %+v, %s", b.Repeats, b.Denial, b.Asks())
	}
	c := h.askPlan(planOf("three", "one"))
	if c.Repeats != 1 || c.Asks() != "3 of owners" || c.Items[0].Repeats != 0 || c.Items[1].Repeats != 1 {
		t.Errorf("in another plan: %d repeats, %s", c.Repeats, c.Asks())
	}
}

func TestAPlanTakesNoStandingGrant(t *testing.T) {
	h := newHouse(t, nil)
	a := h.askPlan(planOf("one"))
	for _, of := range []*approval.Approval{a, h.get(a.Items[0].Approval)} {
		if err := h.engine.Coverable(of, approval.Scope{Uses: 2, For: time.Hour, Values: approval.SameValues}); err == nil {
			t.Error("a standing grant of a plan")
		}
	}
}

func TestObligationsOfAPlanHoldForEachItem(t *testing.T) {
	h := newHouse(t, nil)
	qs := planOf("one", "two")
	qs[0].Decision.Masks = map[string]string{"email": "redact"}
	qs[1].Decision.RowLimit = action.KnownCount(5)
	a := h.askPlan(qs)
	in := answer(a, "person:ana", approval.Approve)
	in.Obligation = approval.Obligation{Masks: map[string]string{"phone": "redact"}, Rows: action.KnownCount(20), Window: time.Minute}
	_, err := h.engine.Answer(context.Background(), in)
	must(t, err)
	h.approve(a.ID, "person:ben")
	for i, rows := range []int64{20, 5} {
		used, err := h.engine.Use(context.Background(), a.Items[i].Approval, use(qs[i]))
		must(t, err)
		if used.MaxRows != rows || used.Masks["phone"] != "redact" || (used.Masks["email"] == "redact") != (i == 0) || len(used.Approval.Reviews) != 2 {
			t.Errorf("item %d may show %d rows, masked %v", i+1, used.MaxRows, used.Masks)
		}
		c, err := h.minter.Verify(used.Grant, qs[i].Action.Resource.URN, h.clock.now())
		must(t, err)
		if c.Approval != a.Items[i].Approval || c.Digest != a.Items[i].Digest.String() || len(c.Reviews) != 2 {
			t.Errorf("the grant says %+v", c)
		}
		h.finish(a, i, approval.Executed)
	}
	if w := h.get(a.Items[0].Approval).Window; w != time.Minute {
		t.Errorf("it was usable for %s", w)
	}
}

func TestOnlyThePlanIsTold(t *testing.T) {
	h := newHouse(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := h.engine.Subscribe(ctx)
	qs := planOf("one", "two")
	a := h.approved(qs)
	must(t, h.useItem(a, 0, qs))
	h.finish(a, 0, approval.Failed)
	must(t, h.engine.Changed(ctx, a.Items[1].Approval)) // as another node hears of it
	told, quiet := false, 20*time.Second
	for {
		select {
		case ev := <-events:
			if ev.ID != a.ID {
				t.Fatalf("told %+v", ev)
			}
			if ev.State == approval.Withdrawn { // what comes after it was pushed already
				told, quiet = true, 100*time.Millisecond
			}
			continue
		case <-time.After(quiet):
		}
		break
	}
	if !told {
		t.Error("nobody was told that it was taken back")
	}
}

func TestAnItemIsUsedOnceByTwoReplicas(t *testing.T) {
	h := newHouse(t, nil)
	qs := planOf("one", "two")
	a := h.approved(qs)
	engines := []*approval.Engine{h.engine, h.another()}
	won := [2]int{}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range 40 {
		wg.Go(func() {
			_, err := engines[i%2].Use(context.Background(), a.Items[i/2%2].Approval, use(qs[i/2%2]))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won[i/2%2]++
			} else if !errors.Is(err, approval.ErrNotApproved) && !errors.Is(err, approval.ErrConflict) {
				t.Errorf("losing: %v", err)
			}
		})
	}
	wg.Wait()
	if won != [2]int{1, 1} || len(h.records(audit.TypeStarted)) != 2 {
		t.Fatalf("used %v", won)
	}
	h.verify()
}

// While people decide, the plan is taken back or an item fails: never both.
func TestAPlanIsApprovedAndTakenBackAtOnce(t *testing.T) {
	for range 5 {
		h := newHouse(t, nil)
		qs := planOf("one", "two", "three")
		a := h.approved(qs)
		other := h.another()
		var wg sync.WaitGroup
		used := make([]error, len(qs))
		for i := range qs {
			wg.Go(func() { used[i] = h.useItem(a, i, qs) })
		}
		wg.Go(func() { _, _ = other.Withdraw(context.Background(), a.ID, "", "") })
		wg.Wait()
		h.state(a.ID, approval.Withdrawn)
		items, err := h.engine.ItemsOf(context.Background(), a)
		must(t, err)
		for i, item := range items {
			if want := map[bool]approval.State{true: approval.Executing, false: approval.Withdrawn}[used[i] == nil]; item.State != want {
				t.Errorf("item %d is %s, used: %v", i+1, item.State, used[i])
			}
		}
		h.verify()
	}
}

// The database is edited: rows moved, swapped, taken away or put back.
func TestATamperedPlanOpensNothing(t *testing.T) {
	ctx := context.Background()
	for name, edit := range map[string]func(h *house, a, b *approval.Approval) int64{
		"an item of another plan in its place": func(h *house, a, b *approval.Approval) int64 {
			return h.edit(`UPDATE approval SET body = (SELECT body FROM approval WHERE id = $2), mac = (SELECT mac FROM approval WHERE id = $2) WHERE id = $1`, a.Items[0].Approval, b.Items[0].Approval)
		},
		"the plan of another in its place": func(h *house, a, b *approval.Approval) int64 {
			return h.edit(`UPDATE approval SET body = (SELECT body FROM approval WHERE id = $2), mac = (SELECT mac FROM approval WHERE id = $2) WHERE id = $1`, a.ID, b.ID)
		},
		"an item edited": func(h *house, a, _ *approval.Approval) int64 {
			return h.edit(`UPDATE approval SET state = 'approved', body = CAST(replace(replace(CAST(body AS TEXT), '"State":"planned"', '"State":"approved"'), '"Rows":0', '"Rows":7') AS BLOB) WHERE id = $1`, a.Items[0].Approval)
		},
		"the plan edited": func(h *house, a, _ *approval.Approval) int64 {
			return h.edit(`UPDATE approval SET body = CAST(replace(CAST(body AS TEXT), $2, $3) AS BLOB) WHERE id = $1`, a.ID, a.Items[1].Approval, a.Items[0].Approval)
		},
		"an item gone": func(h *house, a, _ *approval.Approval) int64 {
			return h.edit(`DELETE FROM approval WHERE id = $1`, a.Items[0].Approval)
		},
		"the plan gone": func(h *house, a, _ *approval.Approval) int64 {
			return h.edit(`DELETE FROM approval WHERE id = $1`, a.ID)
		},
		"reviews of another plan": func(h *house, a, b *approval.Approval) int64 {
			return h.edit(`UPDATE OR REPLACE review SET approval = $1 WHERE approval = $2`, a.ID, b.ID)
		},
		"the reviews gone": func(h *house, a, _ *approval.Approval) int64 {
			return h.edit(`DELETE FROM review WHERE approval = $1`, a.ID)
		},
	} {
		for _, decided := range []bool{false, true} {
			t.Run(fmt.Sprint(name, decided), func(t *testing.T) {
				h := newHouse(t, nil)
				qs := planOf("one", "two")
				a, b := h.askPlan(qs), h.approved(planOf("three", "four"))
				if decided {
					h.approve(a.ID, "person:ana", "person:ben")
				} else {
					h.approve(a.ID, "person:ana")
				}
				if n := edit(h, a, b); n == 0 {
					t.Fatal("the edit changed nothing")
				}
				in := answer(a, "person:ben", approval.Approve)
				in.Version = 2
				if _, err := h.engine.Answer(ctx, in); err == nil {
					t.Error("it was approved")
				}
				if err := h.useItem(a, 0, qs); err == nil {
					t.Error("its first item was used")
				}
				if err := h.useItem(a, 1, qs); err == nil && name != "an item gone" && name != "an item edited" && name != "an item of another plan in its place" {
					t.Error("its second item was used")
				}
				if len(h.records(audit.TypeAlarm)) == 0 && name != "an item gone" && (decided || name != "the plan gone") {
					t.Error("no alarm on record")
				}
			})
		}
	}
}

// An item put back as it was, seal and all, after it ran or its plan was taken back.
func TestAnOldItemPutBackIsNotUsed(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(h *house, a *approval.Approval, qs []*approval.Question){
		"it ran": func(h *house, a *approval.Approval, qs []*approval.Question) {
			must(h.TB, h.useItem(a, 0, qs))
			h.finish(a, 0, approval.Executed)
		},
		"its plan was taken back": func(h *house, a *approval.Approval, _ []*approval.Question) {
			_, err := h.engine.Withdraw(ctx, a.ID, "", "")
			must(h.TB, err)
		},
	} {
		for _, everything := range []bool{false, true} {
			t.Run(fmt.Sprint(name, everything), func(t *testing.T) {
				h := newHouse(t, nil)
				qs := planOf("one", "two")
				a := h.approved(qs)
				h.edit("CREATE TABLE kept AS SELECT * FROM approval")
				end(h, a, qs)
				restore := "INSERT OR REPLACE INTO approval SELECT * FROM kept"
				if !everything {
					restore += " WHERE id <> '" + a.ID + "'"
				}
				h.edit(restore)
				h.restart() // what this process remembers is gone too
				h.state(a.Items[0].Approval, approval.Approved)
				if err := h.useItem(a, 0, qs); err == nil {
					t.Error("it was used")
				}
				if n := len(h.records(audit.TypeStarted)); n > 1 {
					t.Errorf("%d starts", n)
				}
				if len(h.records(audit.TypeAlarm)) == 0 {
					t.Error("no alarm on record")
				}
			})
		}
	}
}

func TestAFrozenItemHoldsNoPlan(t *testing.T) {
	frozen := false
	h := newHouse(t, func(o *approval.Options) {
		o.Frozen = func(_ context.Context, _ approval.Tx, a *approval.Approval) (string, error) {
			if frozen && slices.Contains(a.Places(), "postgres:cold") {
				return "Eve", nil
			}
			return "", nil
		}
	})
	qs := planOf("one", "two")
	qs[1].Action.Resource.URN = "postgres:cold"
	a := h.approved(qs)
	frozen = true
	wantErr2 := func(err error) {
		t.Helper()
		if !errors.As(err, new(*approval.FrozenError)) {
			t.Fatal(err)
		}
	}
	wantErr2(h.useItem(a, 1, qs))
	h.items(a, approval.Withdrawn, approval.Withdrawn)
	_, _, err := h.engine.AskPlan(context.Background(), qs)
	wantErr2(err)
}
