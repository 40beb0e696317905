package approval_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// Each test here is a bug that others have had.

func TestNobodyApprovesTheirOwnAction(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy customers to stdout")
	id := h.ask(q).ID
	for who, person := range map[string]string{
		"the subject, who is in the group":       "person:sub",
		"the subject by a linked account":        "slack:SUB",
		"the agent's owner":                      "person:own",
		"the owner by a linked account":          "oidc:corp|own",
		"who started the agent":                  "person:dee",
		"the agent itself":                       "agent:x",
		"a person without the group":             "person:out",
		"a person whom nobody knows":             "person:nobody",
		"nobody":                                 "",
		"a member of another group than asked":   "person:eve",
		"a name that differs only in its case":   "person:Ana",
		"an account nobody linked to anyone":     "slack:NEW",
		"the agent's name without its type, too": "x",
	} {
		_, err := h.review(id, person, approval.Approve)
		var excluded approval.ErrExcluded
		if !errors.As(err, &excluded) && !errors.Is(err, approval.ErrNotEligible) {
			t.Errorf("%s approved: %v", who, err)
		}
	}
	if got := h.get(id); got.State != approval.Pending || len(got.Reviews) != 0 {
		t.Errorf("the approval is %s with %d reviews", got.State, len(got.Reviews))
	}
	if n := len(h.records(audit.TypeRefused)); n != 6 {
		t.Errorf("%d attempts at approving one's own action are on record, want 6", n)
	}
}

func TestClaimedGroupsDoNotCount(t *testing.T) {
	h := newHouse(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy"))
	in := answer(a, "person:out", approval.Approve)
	in.Person.Groups = []string{"owners"}
	_, err := h.engine.Answer(context.Background(), in)
	wantErr(t, err, approval.ErrNotEligible)
}

func TestOnePersonInTwoGroupsFillsOneSeat(t *testing.T) {
	h := newHouse(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy", policy.Requirement{
		Rule: "both", AllOf: []policy.Seats{{Group: "owners", Count: 1}, {Group: "dba", Count: 1}},
	}))
	h.approve(a.ID, "person:ana")
	h.state(a.ID, approval.Pending)
	_, err := h.review(a.ID, "person:ana", approval.Approve)
	wantErr(t, err, approval.ErrReviewed)
	_, err = h.review(a.ID, "slack:ANA", approval.Approve)
	wantErr(t, err, approval.ErrReviewed)
	// Ana gives way to the seat that only she can fill: Ben is an owner only.
	h.approve(a.ID, "person:ben")
	h.state(a.ID, approval.Approved)
	want := []approval.Seat{
		{Rule: "both", Groups: []string{"owners"}, Person: "person:ben", Name: "Ben"},
		{Rule: "both", Groups: []string{"dba"}, Person: "person:ana", Name: "Ana"},
	}
	if d := cmp.Diff(want, h.engine.Progress(h.get(a.ID))); d != "" {
		t.Error(d)
	}
}

func TestMoreApprovalsThanSeatsDoNotLeaveItPending(t *testing.T) {
	h := newHouse(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy",
		policy.Requirement{Rule: "one", From: []string{"owners"}, Count: 1},
		policy.Requirement{Rule: "two", From: []string{"dba"}, Count: 1}))
	h.approve(a.ID, "person:ben", "person:eve")
	h.state(a.ID, approval.Approved)

	b := h.ask(ask(agent("agent:y"), "copy",
		policy.Requirement{Rule: "one", From: []string{"owners"}, Count: 1},
		policy.Requirement{Rule: "two", From: []string{"dba"}, Count: 1}))
	h.approve(b.ID, "person:ben", "person:dee") // two owners where one was asked
	h.state(b.ID, approval.Pending)
	h.approve(b.ID, "person:eve")
	h.state(b.ID, approval.Approved)
}

func TestApproveNeverOverwritesADeny(t *testing.T) {
	h := newHouse(t, func(o *approval.Options) { o.DenyMemory = time.Microsecond })
	for range 30 {
		h.clock.add(time.Second)
		a := h.ask(ask(agent("agent:x"), "copy", policy.Requirement{Rule: "r", From: []string{"owners"}, Count: 1}))
		var wg sync.WaitGroup
		var errs [2]error
		for i, in := range []approval.Answer{answer(a, "person:ana", approval.Approve), answer(a, "person:ben", approval.Deny)} {
			wg.Go(func() { _, errs[i] = h.engine.Answer(context.Background(), in) })
		}
		wg.Wait()
		got := h.get(a.ID)
		if (errs[0] == nil) == (errs[1] == nil) || len(got.Reviews) != 1 {
			t.Fatalf("approve: %v, deny: %v, %d reviews: want exactly one to win", errs[0], errs[1], len(got.Reviews))
		}
		want := approval.Approved
		if errs[1] == nil {
			want = approval.Denied
		}
		if got.State != want {
			t.Fatalf("the approval is %s, the answer that won says %s", got.State, want)
		}
		if got.State == approval.Approved {
			_, err := h.engine.Withdraw(context.Background(), a.ID, "person:sub", "next round")
			must(t, err)
		}
	}
}

func TestOneDenyDecides(t *testing.T) {
	h := newHouse(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy"))
	h.approve(a.ID, "person:ana")
	_, err := h.review(a.ID, "person:ben", approval.Deny)
	must(t, err)
	h.state(a.ID, approval.Denied)
	_, err = h.review(a.ID, "person:cas", approval.Approve)
	wantErr(t, err, approval.ErrDecided)
}

func TestSessionIDsThatTheClientChoosesMeanNothing(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	q.Action.Claims.Session = "s1"
	a := h.ask(q)
	h.approve(a.ID, "person:ana", "person:ben")
	other := ask(agent("agent:x"), "copy")
	other.Asker.Credential = "tok-of-another-process"
	other.Action.Claims.Session = "s1"
	if b := h.ask(other); b.ID == a.ID {
		t.Fatal("another credential found the approval by its session id")
	}
	_, err := h.engine.Use(context.Background(), a.ID, use(other))
	wantErr(t, err, approval.ErrNotAsker)
	h.state(a.ID, approval.Approved)
}

func TestNothingIsBornApproved(t *testing.T) {
	h := newHouse(t, nil)
	for _, v := range []policy.Verdict{policy.Allow, policy.Deny} {
		q := ask(agent("agent:x"), "copy")
		q.Decision.Verdict = v
		if _, _, err := h.engine.Ask(context.Background(), q); err == nil {
			t.Errorf("verdict %s made an approval", v)
		}
	}
	for name, reqs := range map[string][]policy.Requirement{
		"nobody":              {},
		"zero people":         {{Rule: "r", From: []string{"owners"}}},
		"no group":            {{Rule: "r", Count: 1}},
		"an empty group name": {{Rule: "r", From: []string{""}, Count: 1}},
		"zero of a seat":      {{Rule: "r", AllOf: []policy.Seats{{Group: "owners"}}}},
		"less than nobody":    {{Rule: "r", From: []string{"owners"}, Count: -1, AllOf: []policy.Seats{{Group: "dba", Count: 1}}}},
		"an unknown level":    {{Rule: "r", From: []string{"owners"}, Count: 1, Assurance: "none"}},
	} {
		q := ask(agent("agent:x"), "copy")
		q.Decision.Requirements = reqs
		if _, _, err := h.engine.Ask(context.Background(), q); err == nil {
			t.Errorf("a quorum of %s made an approval", name)
		}
	}
}

func TestAnActionIsRunOnceByTwoReplicas(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "delete from orders")
	a := h.ask(q)
	h.approve(a.ID, "person:ana", "person:ben")
	engines := []*approval.Engine{h.engine, h.another()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []*approval.Used
	for i := range 50 {
		wg.Go(func() {
			used, err := engines[i%2].Use(context.Background(), a.ID, use(q))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, used)
			} else if !errors.Is(err, approval.ErrNotApproved) && !errors.Is(err, approval.ErrConflict) {
				t.Errorf("losing: %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d of 50 ran it", len(won))
	}
	started := h.records(audit.TypeStarted)
	if len(started) != 1 || started[0].Index != won[0].Index || started[0].Grant != won[0].GrantID {
		t.Fatalf("records of the start: %+v", started)
	}
	c, err := h.minter.Verify(won[0].Grant, q.Action.Resource.URN, h.clock.now())
	must(t, err)
	if c.Approval != a.ID || c.Digest != a.Digest.String() || c.LogIndex != won[0].Index || len(c.Reviews) != 2 {
		t.Fatalf("the grant says %+v", c)
	}
	// Asked again it is held again.
	if b := h.ask(q); b.ID == a.ID || b.State != approval.Pending {
		t.Fatalf("asked again: %s is %s", b.ID, b.State)
	}
	h.verify()
}

func TestAPendingPileExpires(t *testing.T) {
	h := newHouse(t, func(o *approval.Options) { o.PendingCap = 300 })
	for i := range 250 {
		h.ask(ask(agent("agent:x"), "copy "+string(rune('a'+i%26))+string(rune('a'+i/26))))
	}
	h.clock.add(15*time.Minute - time.Microsecond)
	must(t, h.engine.Recover(context.Background()))
	if n := h.count(approval.Pending); n != 250 {
		t.Fatalf("%d pending a moment before", n)
	}
	h.clock.add(time.Microsecond)
	must(t, h.engine.Recover(context.Background()))
	if n := h.count(approval.Expired); n != 250 {
		t.Fatalf("%d expired", n)
	}
}

func (h *house) count(s approval.State) int {
	h.Helper()
	list, err := h.engine.List(context.Background(), approval.Filter{States: []approval.State{s}})
	must(h.TB, err)
	return len(list)
}

func TestRunExpiresByItself(t *testing.T) {
	h := newHouse(t, func(o *approval.Options) { o.Clock = time.Now; o.Expires = 100 * time.Millisecond })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	events := h.engine.Subscribe(ctx)
	go func() { ended <- h.engine.Run(ctx) }()
	a := h.ask(ask(agent("agent:x"), "copy"))
	for ev := range events {
		if ev.ID == a.ID && ev.State == approval.Expired {
			break
		}
	}
	cancel()
	must(t, <-ended)
	for range events { // ends because ctx did
	}
	h.state(a.ID, approval.Expired)
}

func TestLateAnswersAndLateUsesAreRefused(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	a := h.ask(q)
	h.approve(a.ID, "person:ana")
	in := answer(h.get(a.ID), "person:ben", approval.Approve)
	h.clock.add(15 * time.Minute)
	_, err := h.engine.Answer(context.Background(), in)
	wantErr(t, err, approval.ErrExpired)
	h.state(a.ID, approval.Expired) // recorded although no timer ran
	b := h.ask(q)
	h.approve(b.ID, "person:ana", "person:ben")
	h.clock.add(15 * time.Minute)
	_, err = h.engine.Use(context.Background(), b.ID, use(q))
	wantErr(t, err, approval.ErrExpired)
	h.state(b.ID, approval.Expired)
}

func TestAClockTurnedBackRevivesNothing(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	a := h.ask(q)
	h.approve(a.ID, "person:ana", "person:ben")
	h.clock.add(time.Hour)
	h.ask(ask(agent("agent:y"), "select 1")) // a record from the later time
	h.clock.add(-time.Hour)
	_, err := h.engine.Use(context.Background(), a.ID, use(q))
	wantErr(t, err, approval.ErrExpired)

	// Nor does a restart with the clock turned back: the log knows the time.
	c := h.ask(q)
	h.approve(c.ID, "person:ana", "person:ben")
	h.clock.add(2 * time.Hour)
	h.ask(ask(agent("agent:y"), "select 2"))
	h.clock.add(-2 * time.Hour)
	h.restart()
	h.state(c.ID, approval.Expired)
}

func TestNoRawStatementIsStored(t *testing.T) {
	h := newHouse(t, nil)
	const secret = "4111-1111-1111-1111"
	q := ask(agent("agent:x"), "copy (select '"+secret+"')")
	a := h.ask(q)
	h.approve(a.ID, "person:ana", "person:ben")
	_, err := h.engine.Use(context.Background(), a.ID, use(q))
	must(t, err)
	must(t, filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s holds the statement", path)
		}
		return err
	}))
}

func TestAnApprovalBelongsToOneExactAction(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "DELETE FROM orders WHERE id = 1")
	a := h.ask(q)
	h.approve(a.ID, "person:ana", "person:ben")
	for name, change := range map[string]func(*approval.Question){
		"another argument":    func(o *approval.Question) { o.Action.Payload = []byte("DELETE FROM orders WHERE id = 2") },
		"another search_path": func(o *approval.Question) { o.Action.State["search_path"] = "evil, public" },
		"another role":        func(o *approval.Question) { o.Action.State["role"] = "admin" },
		"a setting more":      func(o *approval.Question) { o.Action.State["x"] = "" },
		"another destination": func(o *approval.Question) { o.Action.Data.Destination = "s3://elsewhere" },
		"another resource":    func(o *approval.Question) { o.Action.Resource.URN = "postgres:billing/prod/cards" },
	} {
		o := ask(agent("agent:x"), "DELETE FROM orders WHERE id = 1")
		change(o)
		if _, err := h.engine.Use(context.Background(), a.ID, use(o)); !errors.Is(err, approval.ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
		if b := h.ask(o); b.ID == a.ID {
			t.Errorf("%s found the approval", name)
		}
	}
	if _, err := h.engine.Use(context.Background(), a.ID, use(q)); err != nil {
		t.Errorf("the exact action was refused: %v", err)
	}
}

func TestAPromptFiresOnce(t *testing.T) {
	h := newHouse(t, nil)
	var ids []string
	for range 9 {
		ids = append(ids, h.ask(ask(agent("agent:x"), "copy")).ID)
	}
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("asked nine times, held as %v", ids)
		}
	}
	if n := len(h.records(audit.TypeRequest)); n != 9 {
		t.Errorf("%d requests on record, want 9", n)
	}
}

func TestAGroupEditedApprovedAndEditedBack(t *testing.T) {
	h := newHouse(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy"))
	joined := people()
	joined[7].Groups = []string{"owners"} // out joins
	h.town.set(t, joined, actors())
	_, err := h.review(a.ID, "person:out", approval.Approve)
	wantErr(t, err, approval.ErrNotEligible)

	left := people()
	left[0].Groups = nil // ana leaves
	h.town.set(t, left, actors())
	_, err = h.review(a.ID, "person:ana", approval.Approve)
	wantErr(t, err, approval.ErrNotEligible)
	h.town.set(t, people(), actors()) // and rejoins
	h.approve(a.ID, "person:ana", "person:ben")
	h.state(a.ID, approval.Approved)
}

func TestASeatNeedsTheGroupWhenAskedAndWhenAnswered(t *testing.T) {
	h := newHouse(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy", policy.Requirement{Rule: "r", AllOf: []policy.Seats{{Group: "dba", Count: 1}, {Group: "owners", Count: 1}}}))
	left := people()
	left[0].Groups = []string{"owners"} // ana leaves dba, and answers as an owner
	h.town.set(t, left, actors())
	h.approve(a.ID, "person:ana", "person:ben")
	h.town.set(t, people(), actors())
	h.state(a.ID, approval.Pending)
	h.approve(a.ID, "person:eve")
	h.state(a.ID, approval.Approved)
}

func TestHandingTheAgentOverDoesNotMakeAReviewer(t *testing.T) {
	h := newHouse(t, nil)
	h.ask(ask(agent("agent:x"), "select 1")) // seen: own is the owner
	handed := actors()
	handed[0].Owner, handed[0].Related = "person:cas", nil
	h.town.set(t, people(), handed)
	asker := agent("agent:x")
	asker.Chain[0] = handed[0]
	a := h.ask(ask(asker, "copy"))
	for _, p := range []string{"person:own", "person:dee", "person:cas"} {
		_, err := h.review(a.ID, p, approval.Approve)
		wantErr(t, errors.Unwrap(err), approval.ErrExcluded{Why: h.get(a.ID).Excluded[p]})
	}
	// Thirty days later the former owner may.
	h.clock.add(31 * 24 * time.Hour)
	b := h.ask(ask(asker, "copy"))
	h.approve(b.ID, "person:own")
}

func TestWhoBecomesRelatedWhileItWaitsIsOut(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	a := h.ask(q)
	handed := actors()
	handed[0].Related = append(handed[0].Related, "person:ana")
	h.town.set(t, people(), handed)
	_, err := h.review(a.ID, "person:ana", approval.Approve)
	var excluded approval.ErrExcluded
	if !errors.As(err, &excluded) {
		t.Fatalf("got %v", err)
	}
	h.town.set(t, people(), actors())
	h.approve(a.ID, "person:ana", "person:ben")
	h.town.set(t, people(), handed) // between approval and use
	_, err = h.engine.Use(context.Background(), a.ID, use(q))
	wantErr(t, err, approval.ErrNotApproved)
	h.state(a.ID, approval.Withdrawn)
	if len(h.records(audit.TypeAlarm)) != 1 {
		t.Error("no alarm on record")
	}
}

func TestAnAgentWithoutAHumanIsRefused(t *testing.T) {
	h := newHouse(t, nil)
	asker := agent("agent:orphan")
	asker.Subject = identity.Person{}
	_, _, err := h.engine.Ask(context.Background(), ask(asker, "copy"))
	wantErr(t, err, approval.ErrNoHuman)
	asker.Subject = identity.Person{ID: "person:invented"}
	_, _, err = h.engine.Ask(context.Background(), ask(asker, "copy"))
	wantErr(t, err, approval.ErrNoHuman)
}

func TestAnActionInAnothersName(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	q.Action.Subject = "person:ana"
	if _, _, err := h.engine.Ask(context.Background(), q); err == nil {
		t.Fatal("held under another subject than the credential's")
	}
}

func TestNobodyCanBeFlooded(t *testing.T) {
	h := newHouse(t, func(o *approval.Options) { o.PendingCap = 3 })
	for _, s := range []string{"1", "2", "3"} {
		h.ask(ask(agent("agent:x"), s))
	}
	_, _, err := h.engine.Ask(context.Background(), ask(agent("agent:x"), "4"))
	var full *approval.CapError
	if !errors.As(err, &full) || full.Cap != 3 {
		t.Fatalf("the fourth: %v", err)
	}
	h.ask(ask(agent("agent:x"), "1")) // what waits already is still found
	h.ask(ask(agent("agent:y"), "4")) // and others are unaffected
}

func TestNobodyIsFloodedThroughManyActors(t *testing.T) {
	h := newHouse(t, func(o *approval.Options) { o.PendingCap, o.PersonCap, o.BytesCap = 3, 4, 40_000 })
	refused := func(q *approval.Question, bytes bool) {
		t.Helper()
		var full *approval.CapError
		_, _, err := h.engine.Ask(context.Background(), q)
		if !errors.As(err, &full) || full.Person != "person:sub" || bytes != (full.Bytes > 0) {
			t.Fatalf("want the cap of the person behind: %v", err)
		}
	}
	for _, s := range []string{"1", "2", "3"} {
		h.ask(ask(agent("agent:x"), s))
	}
	other := agent("agent:y") // for somebody else: nobody's flood but their own counts
	other.Subject = people()[0]
	long := ask(agent("agent:y"), "long")
	long.Statement = strings.Repeat("x", 40_000)
	refused(long, true)
	fourth := h.ask(ask(agent("agent:y"), "4"))
	refused(ask(agent("agent:y"), "5"), false)
	h.ask(ask(agent("agent:x"), "2")) // what waits already is still found
	for _, s := range []string{"6", "7"} {
		h.ask(ask(other, s))
	}
	_, err := h.engine.Withdraw(context.Background(), fourth.ID, "person:own", "")
	must(t, err)
	h.ask(ask(agent("agent:y"), "5"))
}

func TestAskingAgainAfterADenyCostsASeat(t *testing.T) {
	h := newHouse(t, nil)
	one := policy.Requirement{Rule: "r", From: []string{"owners"}, Count: 1}
	seatsOf := func(q *approval.Question) (int, int) {
		a := h.ask(q)
		return a.Repeats, len(h.engine.Progress(a))
	}
	a := h.ask(ask(agent("agent:x"), "copy", one))
	_, err := h.review(a.ID, "person:ana", approval.Deny)
	must(t, err)
	if repeats, n := seatsOf(ask(agent("agent:x"), "copy", one)); repeats != 1 || n != 2 {
		t.Errorf("the same again: %d repeats, %d seats", repeats, n)
	}
	if repeats, n := seatsOf(ask(agent("agent:x"), "copy reworded", one)); repeats != 1 || n != 2 {
		t.Errorf("the same shape again: %d repeats, %d seats", repeats, n)
	}
	if repeats, n := seatsOf(ask(agent("agent:y"), "copy by a second agent of the same person", one)); repeats != 1 || n != 2 {
		t.Errorf("by another agent of the same person: %d repeats, %d seats", repeats, n)
	}
	all := policy.Requirement{Rule: "all", AllOf: []policy.Seats{{Group: "owners", Count: 1}, {Group: "dba", Count: 1}}}
	if _, n := seatsOf(ask(agent("agent:x"), "copy for both", all)); n != 3 {
		t.Errorf("all_of: %d seats, want 3", n)
	}
	h.clock.add(time.Hour + time.Microsecond)
	if repeats, n := seatsOf(ask(agent("agent:x"), "copy", one)); repeats != 0 || n != 1 {
		t.Errorf("an hour later: %d repeats, %d seats", repeats, n)
	}
}

func TestAQuorumThatNobodyCanFillIsRefusedAtOnce(t *testing.T) {
	h := newHouse(t, nil)
	for name, r := range map[string]policy.Requirement{
		"more than there are":     {Rule: "r", From: []string{"owners"}, Count: 4}, // six, three of them excluded
		"a group without members": {Rule: "r", From: []string{"ghosts"}, Count: 1},
		"two of one for two seats": {
			Rule: "r", AllOf: []policy.Seats{{Group: "dba", Count: 4}},
		},
	} {
		_, _, err := h.engine.Ask(context.Background(), ask(agent("agent:x"), name, r))
		var nobody *approval.UnsatisfiableError
		if !errors.As(err, &nobody) || nobody.Rule != "r" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h.count(approval.Pending) != 0 {
		t.Error("something is pending")
	}
}

func TestAssurance(t *testing.T) {
	h := newHouse(t, nil)
	for need, level := range map[string]string{"": "console", "token": "token", "chat": "chat", "console": "console", "passkey": "passkey"} {
		a := h.ask(ask(agent("agent:x"), "copy "+need, policy.Requirement{Rule: "r", From: []string{"owners"}, Count: 1, Assurance: need}))
		for _, given := range []string{"", "none", "token", "chat", "console", "passkey"} {
			in := answer(a, "person:ana", approval.Approve)
			in.Assurance = given
			enough := order(given) >= order(level)
			if err := h.engine.MayReview(a, &identity.Person{ID: "person:ana"}, given); (err == nil) != enough {
				t.Errorf("needing %q, given %q: %v", need, given, err)
			}
			if enough {
				continue
			}
			_, err := h.engine.Answer(context.Background(), in)
			var low approval.ErrAssurance
			if !errors.As(err, &low) || low.Need != level {
				t.Errorf("needing %q, given %q: %v", need, given, err)
			}
		}
	}
}

func order(level string) int {
	for i, l := range []string{"token", "chat", "console", "passkey"} {
		if l == level {
			return i
		}
	}
	return -1
}

func TestAReviewIsOfWhatWasShown(t *testing.T) {
	h := newHouse(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy"))
	stale := answer(a, "person:cas", approval.Approve)
	h.approve(a.ID, "person:ana")
	_, err := h.engine.Answer(context.Background(), stale)
	wantErr(t, err, approval.ErrChanged)
	other := answer(h.get(a.ID), "person:ben", approval.Approve)
	other.Digest[0] ^= 1
	_, err = h.engine.Answer(context.Background(), other)
	wantErr(t, err, approval.ErrChanged)
	for _, word := range []string{"", "Approve", "approve ", "yes"} {
		odd := answer(h.get(a.ID), "person:ben", word)
		if _, err := h.engine.Answer(context.Background(), odd); err == nil {
			t.Errorf("the answer %q was taken", word)
		}
	}
	_, err = h.engine.Answer(context.Background(), approval.Answer{Approval: "apr_none", Decision: approval.Approve})
	wantErr(t, err, approval.ErrNotFound)
}

func TestReDecisionWithdraws(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	a := h.ask(q)
	h.approve(a.ID, "person:ana", "person:ben")
	u := use(q)
	frozen := errors.New("frozen")
	u.Recheck = func(context.Context, *approval.Approval) error { return frozen }
	_, err := h.engine.Use(context.Background(), a.ID, u)
	wantErr(t, err, frozen)
	h.state(a.ID, approval.Withdrawn)
	u.Recheck = nil
	if _, err := h.engine.Use(context.Background(), a.ID, u); err == nil {
		t.Error("used without a re-decision")
	}
}

func TestAWithdrawnApprovalStaysSo(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	a := h.ask(q)
	_, err := h.engine.Withdraw(context.Background(), a.ID, "person:sub", "changed my mind")
	must(t, err)
	_, err = h.review(a.ID, "person:ana", approval.Approve)
	wantErr(t, err, approval.ErrDecided)
	_, err = h.engine.Withdraw(context.Background(), a.ID, "person:sub", "again")
	wantErr(t, err, approval.ErrDecided)
}

func TestAskerGoneStaysPendingAndComesBack(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	a := h.ask(q)
	must(t, h.engine.Gone(context.Background(), a.ID, true))
	gone := h.get(a.ID)
	if !gone.AskerGone || gone.State != approval.Pending || gone.Version != a.Version {
		t.Fatalf("gone: %+v", gone)
	}
	if _, err := h.engine.Answer(context.Background(), answer(a, "person:ana", approval.Approve)); err != nil {
		t.Fatalf("a card from before the asker left: %v", err)
	}
	if back := h.ask(q); back.ID != a.ID || back.AskerGone || h.get(a.ID).AskerGone {
		t.Fatalf("back: %+v", back)
	}
}

// An agent is handed over before it ever asked, and its former owner reviews.
func TestAFormerOwnerOfAnAgentThatNeverAsked(t *testing.T) {
	h := newHouse(t, nil)
	must(t, h.engine.Relate(context.Background(), actors()))
	h.clock.add(29 * 24 * time.Hour)
	all := actors()
	all[0].Owner, all[0].Related = "person:ana", nil
	h.town.set(t, people(), all)
	h.restart()
	asker := identity.Asker{Subject: people()[0], Chain: []identity.Actor{all[0]}, Credential: "tok-new", Scopes: []string{identity.ScopeAct}}
	a := h.ask(ask(asker, "copy"))
	for _, former := range []string{"person:own", "person:dee"} {
		var excluded approval.ErrExcluded
		if _, err := h.review(a.ID, former, approval.Approve); !errors.As(err, &excluded) {
			t.Errorf("%s, lately behind the agent, reviews: %v", former, err)
		}
	}
}
