package approval_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/sealed"
)

func standingHouse(t *testing.T) *house {
	return newHouse(t, func(o *approval.Options) {
		box, err := sealed.NewBox(o.Store.(sealed.Store), o.Log, o.SealKey)
		must(t, err)
		o.Box, o.StandingUses = box, 10
	})
}

var same = approval.Scope{Uses: 3, For: time.Hour, Values: approval.SameValues}

func anyOf(n int) approval.Scope {
	return approval.Scope{Uses: n, For: time.Hour, Values: approval.AnyValues}
}

// small is a question whose rows are bounded.
func small(asker identity.Asker, text string) *approval.Question {
	q := ask(asker, text)
	q.Action.Data.Rows, q.Action.Data.ClassesKnown = action.KnownCount(10), true
	q.Action.Data.Classes = []string{"email"}
	return q
}

// standBy asks q and has ana and ben approve it with these scopes; nil: none.
func (h *house) standBy(q *approval.Question, scopes ...*approval.Scope) *approval.Approval {
	h.Helper()
	a := h.ask(q)
	for i, by := range []string{"person:ana", "person:ben"} {
		in := answer(h.get(a.ID), by, approval.Approve)
		in.Standing = scopes[i]
		_, err := h.engine.Answer(context.Background(), in)
		must(h.TB, err)
	}
	h.state(a.ID, approval.Approved)
	return a
}

func (h *house) again(q *approval.Question) (*approval.Used, error) {
	return h.engine.UseStanding(context.Background(), q, use(q))
}

// covered reports whether q runs without anybody being asked.
func (h *house) covered(q *approval.Question) bool {
	h.Helper()
	used, err := h.again(q)
	var none *approval.StandingError
	if err != nil && !errors.As(err, &none) {
		h.Fatal(err)
	}
	if used != nil {
		must(h.TB, h.engine.Finish(context.Background(), used.Approval.ID, approval.Outcome{State: approval.Executed}))
	}
	return used != nil
}

func TestStandingCoversTheSameSoOften(t *testing.T) {
	h := standingHouse(t)
	q := ask(agent("agent:x"), "one")
	a := h.standBy(q, &same, &same)
	if _, err := h.engine.Use(context.Background(), a.ID, use(q)); err != nil { // the one that was asked about
		t.Fatal(err)
	}
	for i := range same.Uses {
		used, err := h.again(ask(agent("agent:x"), "one"))
		if err != nil || used == nil || used.Approval.Standing == "" || used.Approval.State != approval.Executing {
			t.Fatalf("use %d: %+v, %v", i, used, err)
		}
		claims, err := h.minter.Verify(used.Grant, used.Approval.Resource.URN, h.clock.now())
		if err != nil || len(claims.Reviews) != 2 || claims.Approval != used.Approval.ID {
			t.Fatalf("the grant says %+v, %v", claims, err)
		}
		must(t, h.engine.Finish(context.Background(), used.Approval.ID, approval.Outcome{State: approval.Executed}))
	}
	if h.covered(ask(agent("agent:x"), "one")) {
		t.Fatal("it was used once more")
	}
	if n := len(h.records(audit.TypeStanding)); n != 1+same.Uses {
		t.Fatalf("%d records of it", n)
	}
	h.verify()
}

func TestStandingCoversNothingElse(t *testing.T) {
	h := standingHouse(t)
	h.standBy(small(agent("agent:x"), "one"), &approval.Scope{Uses: 9, For: time.Hour, Values: approval.AnyValues}, &approval.Scope{Uses: 9, For: time.Hour, Values: approval.AnyValues})
	if !h.covered(small(agent("agent:x"), "two")) {
		t.Fatal("other values of the same shape are not covered")
	}
	for name, change := range map[string]func(q *approval.Question){
		"another shape":         func(q *approval.Question) { q.Action.Shape = "0ther" },
		"no shape":              func(q *approval.Question) { q.Action.Shape = "" },
		"another state":         func(q *approval.Question) { q.Action.State = map[string]string{"search_path": "evil", "role": "app"} },
		"another verb":          func(q *approval.Question) { q.Action.Verb = "drop" },
		"another target":        func(q *approval.Question) { q.Action.Target = "salaries" },
		"another kind too":      func(q *approval.Question) { q.Action.Kinds = append(q.Action.Kinds, action.PrivilegeChange) },
		"another resource":      func(q *approval.Question) { q.Action.Resource.URN = "postgres:billing/prod/salaries" },
		"another environment":   func(q *approval.Question) { q.Action.Resource.Env = "dev" },
		"another destination":   func(q *approval.Question) { q.Action.Data.Destination = "s3://elsewhere" },
		"another gate":          func(q *approval.Question) { q.Gate = "pg2" },
		"a class nobody saw":    func(q *approval.Question) { q.Action.Data.Classes = []string{"card", "email"} },
		"classes nobody knows":  func(q *approval.Question) { q.Action.Data.ClassesKnown = false },
		"what was not scanned":  func(q *approval.Question) { q.Action.Data.Unscanned = true },
		"more rows":             func(q *approval.Question) { q.Action.Data.Rows = action.KnownCount(11) },
		"another actor":         func(q *approval.Question) { *q = *small(agent("agent:y"), "two") },
		"another person behind": func(q *approval.Question) { q.Asker.Subject.ID, q.Action.Subject = "person:own", "person:own" },
	} {
		q := small(agent("agent:x"), "two")
		change(q)
		if h.covered(q) {
			t.Errorf("%s is covered", name)
		}
	}
	// Rows nobody counted are held to what people saw.
	q := small(agent("agent:x"), "three")
	q.Action.Data.Rows = action.Count{}
	used, err := h.again(q)
	if err != nil || used == nil || used.MaxRows != 10 {
		t.Errorf("bound = %+v, %v", used, err)
	}
}

func TestTheSameValuesAreTheSameBytes(t *testing.T) {
	h := standingHouse(t)
	h.standBy(small(agent("agent:x"), "one"), &same, &same)
	if h.covered(small(agent("agent:x"), "two")) {
		t.Fatal("other values are covered")
	}
	if !h.covered(small(agent("agent:x"), "one")) {
		t.Fatal("the same are not")
	}
}

func TestTheNarrowestScopeHolds(t *testing.T) {
	for name, x := range map[string]struct {
		scopes []*approval.Scope
		uses   int // 0: there is no standing grant
		other  bool
	}{
		"one asked for none":    {[]*approval.Scope{&same, nil}, 0, false},
		"the first asked none":  {[]*approval.Scope{nil, &same}, 0, false},
		"fewer uses":            {[]*approval.Scope{{Uses: 9, For: time.Hour, Values: "same"}, {Uses: 2, For: time.Hour, Values: "same"}}, 2, false},
		"one keeps the values":  {[]*approval.Scope{{Uses: 5, For: time.Hour, Values: "any"}, {Uses: 5, For: time.Hour, Values: "same"}}, 5, false},
		"both open the values":  {[]*approval.Scope{{Uses: 5, For: time.Hour, Values: "any"}, {Uses: 5, For: time.Hour, Values: "any"}}, 5, true},
		"a shorter time counts": {[]*approval.Scope{{Uses: 5, For: time.Hour, Values: "same"}, {Uses: 5, For: time.Minute, Values: "same"}}, 5, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := standingHouse(t)
			h.standBy(small(agent("agent:x"), "one"), x.scopes...)
			all, err := h.engine.Standings(context.Background())
			must(t, err)
			switch {
			case x.uses == 0 && len(all) != 0:
				t.Fatalf("there is %+v", all[0])
			case x.uses == 0:
				return
			case len(all) != 1 || all[0].Uses != x.uses:
				t.Fatalf("%+v", all)
			}
			if got := h.covered(small(agent("agent:x"), "two")); got != x.other {
				t.Errorf("other values covered: %v", got)
			}
			h.clock.add(2 * time.Minute)
			if got := h.covered(small(agent("agent:x"), "one")); got != (name != "a shorter time counts") {
				t.Errorf("after two minutes covered: %v", got)
			}
			h.clock.add(time.Hour)
			if h.covered(small(agent("agent:x"), "one")) {
				t.Error("it covers after its time")
			}
			h.clock.add(-90 * time.Minute)
			if h.covered(small(agent("agent:x"), "one")) {
				t.Error("a clock turned back revives it")
			}
		})
	}
}

func TestWhatNeverStands(t *testing.T) {
	h := standingHouse(t)
	refused := func(name string, q *approval.Question, s approval.Scope) {
		t.Helper()
		a := h.ask(q)
		in := answer(h.get(a.ID), "person:ana", approval.Approve)
		in.Standing = &s
		var none *approval.StandingError
		if _, err := h.engine.Answer(context.Background(), in); !errors.As(err, &none) {
			t.Errorf("%s: %v", name, err)
		}
		if got := h.get(a.ID); len(got.Reviews) != 0 {
			t.Errorf("%s: the review counts", name)
		}
		_, err := h.engine.Withdraw(context.Background(), a.ID, "", "next")
		must(t, err)
	}
	for _, k := range []action.Kind{
		action.PrivilegeChange, action.IdentityChange, action.SecretAccess, action.InfraDestroy, action.DataDelete,
		action.Payment, action.ConfigChange, action.AuditChange, action.Unknown,
	} {
		q := small(agent("agent:x"), string(k))
		q.Action.Kinds = []action.Kind{action.DataWrite, k}
		refused(string(k), q, same)
	}
	q := small(agent("agent:x"), "code")
	q.Action.Kinds = []action.Kind{action.Execute}
	refused("other values of code", q, anyOf(2))
	refused("other values without a bound", ask(agent("agent:x"), "unbound"), anyOf(2))
	refused("too often", small(agent("agent:x"), "often"), approval.Scope{Uses: 11, For: time.Hour, Values: "same"})
	refused("never", small(agent("agent:x"), "zero"), approval.Scope{Uses: 0, For: time.Hour, Values: "same"})
	refused("too long", small(agent("agent:x"), "long"), approval.Scope{Uses: 1, For: 9 * time.Hour, Values: "same"})
	refused("values of no kind", small(agent("agent:x"), "kind"), approval.Scope{Uses: 1, For: time.Hour, Values: "all"})
	refused("no values", small(agent("agent:x"), "none"), approval.Scope{Uses: 1, For: time.Hour})

	a := h.ask(small(agent("agent:x"), "deny"))
	in := answer(a, "person:ana", approval.Deny)
	in.Standing = &same
	var none *approval.StandingError
	if _, err := h.engine.Answer(context.Background(), in); !errors.As(err, &none) {
		t.Errorf("a denial with a scope: %v", err)
	}
}

// Each use looks at the people behind it again.
func TestStandingIsDecidedAgainEachTime(t *testing.T) {
	q := func() *approval.Question { return small(agent("agent:x"), "one") }
	for name, x := range map[string]func(h *house){
		"revoked": func(h *house) {
			all, err := h.engine.Standings(context.Background())
			must(t, err)
			_, err = h.engine.Revoke(context.Background(), all[0].ID, identity.Person{ID: "person:cas"}, "enough")
			must(t, err)
		},
		"a reviewer owns the agent now": func(h *house) {
			h.town.set(t, people(), []identity.Actor{{ID: "agent:x", Type: "agent", Owner: "person:ana"}, {ID: "agent:y", Type: "agent", Owner: "person:own"}})
		},
		"a reviewer is gone": func(h *house) { h.town.set(t, people()[1:], actors()) },
		"a review is gone":   func(h *house) { h.edit("DELETE FROM review WHERE person = 'person:ana'") },
		"denied lately": func(h *house) {
			other := small(agent("agent:x"), "two")
			a := h.ask(other)
			_, err := h.review(a.ID, "person:cas", approval.Deny)
			must(t, err)
		},
		"the policy says no": func(h *house) {},
	} {
		t.Run(name, func(t *testing.T) {
			h := standingHouse(t)
			h.standBy(q(), &same, &same)
			if !h.covered(q()) {
				t.Fatal("it does not cover before")
			}
			x(h)
			u := use(q())
			if name == "the policy says no" {
				u.Recheck = func(context.Context, *approval.Approval) error { return errors.New("no") }
			}
			if used, err := h.engine.UseStanding(context.Background(), q(), u); used != nil {
				t.Fatalf("it covers still: %v", err)
			}
			if n := len(h.records(audit.TypeStarted)); n != 1 {
				t.Fatalf("%d executions were started", n)
			}
		})
	}
}

// An operator of the database gives a standing grant more uses, or its old count back.
func TestATamperedStandingCoversNothing(t *testing.T) {
	q := func() *approval.Question { return small(agent("agent:x"), "one") }
	for name, attack := range map[string]func(h *house){
		"more uses": func(h *house) {
			h.edit(`UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), '"uses":3', '"uses":9') AS BLOB) WHERE kind = 'standing'`)
		},
		"its count put back": func(h *house) {
			h.edit(`CREATE TABLE kept AS SELECT * FROM sealed WHERE kind = 'standing'`)
			if !h.covered(q()) {
				t.Fatal("it does not cover before")
			}
			h.edit(`INSERT OR REPLACE INTO sealed SELECT * FROM kept`)
		},
		"copied under another id": func(h *house) {
			h.edit(`UPDATE sealed SET id = 'stg_0000000000000000' WHERE kind = 'standing'`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := standingHouse(t)
			h.standBy(q(), &same, &same)
			attack(h)
			if used, err := h.again(q()); used != nil || !errors.Is(err, sealed.ErrTampered) {
				t.Fatalf("%+v, %v", used, err)
			}
			if n := len(h.records(audit.TypeAlarm)); n == 0 {
				t.Error("no alarm")
			}
		})
	}
}

// Any number of replicas share the last uses: none is taken twice.
func TestStandingUsesAreCountedOnce(t *testing.T) {
	h := standingHouse(t)
	h.standBy(small(agent("agent:x"), "one"), &same, &same)
	engines := []*approval.Engine{h.engine, h.another(), h.another()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]bool{}
	for i := range 12 {
		wg.Go(func() {
			q := small(agent("agent:x"), "one")
			used, err := engines[i%len(engines)].UseStanding(context.Background(), q, use(q))
			if err != nil || used == nil {
				return
			}
			mu.Lock()
			got[used.GrantID] = true
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(got) != same.Uses {
		t.Fatalf("%d of %d uses were taken", len(got), same.Uses)
	}
	h.verify()
}

// What runs on a standing grant when the process dies is unknown afterwards, and its use stays counted.
func TestStandingOutlivesACrash(t *testing.T) {
	h := standingHouse(t)
	h.standBy(small(agent("agent:x"), "one"), &same, &same)
	used, err := h.again(small(agent("agent:x"), "one"))
	must(t, err)
	h.restart()
	h.state(used.Approval.ID, approval.Unknown)
	all, err := h.engine.Standings(context.Background())
	must(t, err)
	if all[0].Used != 1 {
		t.Errorf("it counts %d uses", all[0].Used)
	}
}

// A quorum of one level can't lend its scope to a use that asks for more.
func TestStandingNeedsTheWholeQuorum(t *testing.T) {
	h := standingHouse(t)
	q := small(agent("agent:x"), "one")
	q.Decision.Requirements = []policy.Requirement{{Rule: "hold", From: []string{"owners"}, Count: 3}}
	a := h.ask(q)
	for _, by := range []string{"person:ana", "person:ben"} {
		in := answer(h.get(a.ID), by, approval.Approve)
		in.Standing = &same
		_, err := h.engine.Answer(context.Background(), in)
		must(t, err)
	}
	h.state(a.ID, approval.Pending)
	all, err := h.engine.Standings(context.Background())
	must(t, err)
	if len(all) != 0 || h.covered(small(agent("agent:x"), "one")) {
		t.Fatal("two of three were enough")
	}
}
