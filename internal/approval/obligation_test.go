package approval_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

// oblige approves with an obligation, as the approval stands.
func (h *house) oblige(id, person string, o approval.Obligation) error {
	h.Helper()
	in := answer(h.get(id), person, approval.Approve)
	in.Obligation = o
	_, err := h.engine.Answer(context.Background(), in)
	return err
}

func rows(n int64) approval.Obligation { return approval.Obligation{Rows: action.KnownCount(n)} }

func TestAnObligationOnlyTightens(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	q.Decision.Masks = map[string]string{"email": "partial", "card": "redact"}
	q.Decision.RowLimit = action.KnownCount(1000)
	id := h.ask(q).ID
	masks := func(class, method string) approval.Obligation {
		return approval.Obligation{Masks: map[string]string{class: method}}
	}
	for name, o := range map[string]approval.Obligation{
		"more rows": rows(1001), "as many rows": rows(1000), "no rows": rows(0), "fewer than none": rows(-5),
		"a looser mask": masks("card", "partial"), "the same mask": masks("email", "partial"),
		"no class": masks("everything", "redact"), "no method": masks("email", "show"), "an empty method": masks("phone", ""),
		"a longer window": {Window: time.Hour}, "the same window": {Window: 15 * time.Minute},
		"a window nobody can meet": {Window: time.Second}, "a window before now": {Window: -time.Minute},
		"one tighter, one looser": {Masks: map[string]string{"email": "redact", "card": "hash"}},
	} {
		var no *approval.ObligationError
		if err := h.oblige(id, "person:ana", o); !errors.As(err, &no) {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := answer(h.get(id), "person:ana", approval.Deny)
	in.Obligation = rows(10)
	var no *approval.ObligationError
	if _, err := h.engine.Answer(context.Background(), in); !errors.As(err, &no) {
		t.Errorf("with a denial: %v", err)
	}
	if got := h.get(id); got.State != approval.Pending || len(got.Reviews) != 0 {
		t.Fatalf("%s after refusals, with %d reviews", got.State, len(got.Reviews))
	}
	must(t, h.oblige(id, "person:ana", approval.Obligation{Masks: map[string]string{"email": "redact"}, Rows: action.KnownCount(100), Window: 5 * time.Minute}))
	if err := h.oblige(id, "person:ben", rows(500)); !errors.As(err, &no) {
		t.Errorf("looser than the reviewer before: %v", err)
	}
	must(t, h.oblige(id, "person:ben", approval.Obligation{Masks: map[string]string{"phone": "redact"}}))
	a := h.get(id)
	want := approval.Bounds{Masks: map[string]string{"email": "redact", "card": "redact", "phone": "redact"}, Rows: action.KnownCount(100), Window: 5 * time.Minute}
	if d := cmp.Diff(want, a.Bounds()); d != "" || a.Window != want.Window {
		t.Error(d)
	}
	h.restart()
	used, err := h.engine.Use(context.Background(), id, use(q))
	must(t, err)
	if used.MaxRows != 100 || !cmp.Equal(used.Masks, want.Masks) {
		t.Errorf("used with %d rows and masks %v", used.MaxRows, used.Masks)
	}
	c, err := h.minter.Verify(used.Grant, q.Action.Resource.URN, h.clock.now())
	must(t, err)
	if c.MaxRows != 100 || !cmp.Equal(c.Masks, want.Masks) {
		t.Errorf("the grant says %d rows and masks %v", c.MaxRows, c.Masks)
	}
	var told []string
	for _, r := range h.records(audit.TypeReview) {
		told = append(told, r.Detail["obligation"])
	}
	if d := cmp.Diff([]string{"email masked (redact), at most 100 rows, usable for 5m0s", "phone masked (redact)"}, told); d != "" {
		t.Error(d)
	}
}

func TestAShorterWindowHolds(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	id := h.ask(q).ID
	must(t, h.oblige(id, "person:ana", approval.Obligation{Window: time.Minute}))
	h.approve(id, "person:ben")
	h.clock.add(time.Minute)
	_, err := h.engine.Use(context.Background(), id, use(q))
	wantErr(t, err, approval.ErrExpired)
}

// A limit on what nothing counts would be a promise that isn't kept.
func TestALimitThatNothingHoldsIsRefused(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "drop")
	q.Action.Kinds = []action.Kind{action.SchemaChange}
	id := h.ask(q).ID
	var no *approval.ObligationError
	if err := h.oblige(id, "person:ana", rows(10)); !errors.As(err, &no) || !strings.Contains(no.Why, "nothing counts") {
		t.Errorf("rows of a schema change: %v", err)
	}
	must(t, h.oblige(id, "person:ana", approval.Obligation{Window: time.Minute}))
}

// TestAnObligationCannotBeLost: the review with the obligation is taken away by SQL,
// the row put back, and others approve what they were shown without it.
func TestAnObligationCannotBeLost(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	id := h.ask(q).ID
	h.edit("CREATE TABLE kept AS SELECT * FROM approval")
	must(t, h.oblige(id, "person:ana", rows(10)))
	h.edit("DELETE FROM review")
	h.edit("INSERT OR REPLACE INTO approval SELECT * FROM kept")
	_, err := h.review(id, "person:ben", approval.Approve)
	wantErr(t, err, approval.ErrTampered)
}

func TestQuestions(t *testing.T) {
	h := newHouse(t, nil)
	ctx := context.Background()
	q := ask(agent("agent:x"), "copy")
	a := h.ask(q)
	question := func(person, text string) (*approval.Approval, error) {
		return h.engine.Question(ctx, a.ID, identity.Person{ID: person}, text, "console")
	}
	for name, x := range map[string]struct {
		person, text string
		want         error
	}{
		"nobody who was asked": {"person:out", "why?", approval.ErrNotEligible},
		"nothing":              {"person:ana", " \n", approval.ErrText}, "too much": {"person:ana", strings.Repeat("x", 2001), approval.ErrText},
	} {
		_, err := question(x.person, x.text)
		if !errors.Is(err, x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var excluded approval.ErrExcluded
	if _, err := question("person:own", "why?"); !errors.As(err, &excluded) {
		t.Errorf("the owner asks itself: %v", err)
	}
	asked, err := question("person:ana", "what for?")
	must(t, err)
	if asked.State != approval.Pending || asked.Version != a.Version || !asked.Expires.Equal(a.Expires) || len(asked.Open()) != 1 {
		t.Errorf("a question moved something: %+v", asked)
	}
	open := asked.Open()[0].ID
	reply := func(r approval.Reply) error {
		r.Approval, r.Text, r.Channel = a.ID, "for the partner", "api"
		_, err := h.engine.Reply(ctx, r)
		return err
	}
	other := agent("agent:y")
	wantErr(t, reply(approval.Reply{Question: open, Person: &identity.Person{ID: "person:ben"}}), approval.ErrNotAsked)
	wantErr(t, reply(approval.Reply{Question: open, Asker: &other}), approval.ErrNotAsked)
	wantErr(t, reply(approval.Reply{Question: open}), approval.ErrNotAsked)
	wantErr(t, reply(approval.Reply{Question: "qst_none", Asker: &q.Asker}), approval.ErrNoQuestion)
	seen := h.get(a.ID)
	must(t, reply(approval.Reply{Question: open, Asker: &q.Asker}))
	wantErr(t, reply(approval.Reply{Question: open, Person: &identity.Person{ID: "person:own"}}), approval.ErrNoQuestion) // answered
	_, err = h.engine.Answer(ctx, answer(seen, "person:ana", approval.Approve))
	wantErr(t, err, approval.ErrChanged) // the answer came between the look and the review
	h.approve(a.ID, "person:ana")
	again, err := question("person:ana", "and who else?") // who has reviewed may still ask
	must(t, err)
	must(t, reply(approval.Reply{Question: again.Open()[0].ID, Person: &identity.Person{ID: "person:own"}}))
	for n := len(h.get(a.ID).Remarks) / 2; n < 10; n++ {
		_, err = question("person:ben", "more?")
		must(t, err)
	}
	_, err = question("person:ben", "more?")
	wantErr(t, err, approval.ErrTooMuch)
	h.restart()
	if got := h.get(a.ID); len(got.Remarks) != 12 || got.State != approval.Pending || got.Remarks[1].By != "agent:x" || !got.Remarks[3].Person {
		t.Errorf("after a restart: %s, %+v", got.State, got.Remarks)
	}
	h.approve(a.ID, "person:ben")
	h.state(a.ID, approval.Approved)
	_, err = question("person:cas", "too late?")
	wantErr(t, err, approval.ErrDecided)
	if n := len(h.records(audit.TypeTalk)); n != 12 {
		t.Errorf("%d remarks on record", n)
	}
	h.verify()
}
