package approval_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

func withCanaries(o *approval.Options) { o.Canaries = true }

func (h *house) plant(slot string, reqs ...policy.Requirement) *approval.Approval {
	h.Helper()
	a, err := h.engine.Plant(context.Background(), ask(agent("agent:x"), "drop table customers", reqs...), h.engine.CanaryID(slot))
	must(h.TB, err)
	return a
}

func (h *house) answer(a *approval.Approval, who, decision string) *approval.Approval {
	h.Helper()
	got, err := h.review(a.ID, "person:"+who, decision)
	must(h.TB, err)
	return got
}

// commits checks that the record of a canary's request was bound to what its end reveals.
func (h *house) commits(a *approval.Approval, decision, person string) {
	h.Helper()
	var blind string
	for _, r := range h.records(audit.TypeRequest) {
		if r.Approval == a.ID {
			blind = r.Detail["blind"]
		}
	}
	for _, r := range h.records(audit.TypeCanary) {
		if r.Approval != a.ID {
			continue
		}
		sum := sha256.Sum256([]byte("assent-canary/1\x00" + a.ID + "\x00" + r.Detail["nonce"]))
		if blind == "" || hex.EncodeToString(sum[:]) != blind || r.Decision != decision || r.Person != person {
			h.Errorf("revealed: %+v of %q", r, blind)
		}
		return
	}
	h.Errorf("nothing reveals %s", a.ID)
}

// A canary looks like any other hold until somebody answers: in what is stored of
// it for reviewers, and in the log.
func TestACanaryLooksLikeAnyOther(t *testing.T) {
	h := newHouse(t, withCanaries)
	real, fake := h.ask(ask(agent("agent:y"), "copy customers")), h.plant("w1")
	if fake.Reveals() != "" || len(fake.ID) != len(real.ID) || len(fake.Match) != len(real.Match) {
		t.Errorf("%+v", fake)
	}
	records := h.records(audit.TypeRequest)
	if len(records) != 2 || len(records[0].Detail["blind"]) != len(records[1].Detail["blind"]) {
		t.Fatalf("%+v", records)
	}
	keys := func(r audit.Record) []string { return slices.Sorted(maps.Keys(r.Detail)) }
	if !slices.Equal(keys(records[0]), keys(records[1])) {
		t.Errorf("%v and %v", keys(records[0]), keys(records[1]))
	}
	if n := len(h.records(audit.TypeCanary)); n != 0 {
		t.Errorf("%d records tell of it", n)
	}
	for name, r := range map[string]audit.Record{"real": records[0], "canary": records[1]} {
		if text, _ := json.Marshal(r); strings.Contains(strings.ToLower(string(text)), "canary") {
			t.Errorf("%s: %s", name, text)
		}
	}
	seats, others := h.engine.Progress(fake), h.engine.Progress(real)
	if len(seats) != len(others) || fake.Asks() != real.Asks() {
		t.Errorf("seats %v and %v", seats, others)
	}
}

// The first answer ends it, and tells. Nothing that anybody does makes it run.
func TestACanaryNeverRuns(t *testing.T) {
	h := newHouse(t, withCanaries)
	q := ask(agent("agent:x"), "drop table customers")
	a := h.plant("w1") // two seats: one answer is enough to know
	got := h.answer(a, "ana", approval.Approve)
	if got.State != approval.Withdrawn || !strings.Contains(got.Reveals(), "should have been denied") {
		t.Errorf("approved: %s, %q", got.State, got.Reveals())
	}
	h.commits(a, approval.Approve, "person:ana")
	use := approval.Use{Asker: q.Asker, Action: q.Action, MaxRows: -1, Recheck: func(context.Context, *approval.Approval) error { return nil }}
	if _, err := h.engine.Use(context.Background(), a.ID, use); err == nil {
		t.Error("it was used")
	}
	// Whoever had every key of the server: a row that says approved, canary or not.
	for _, strip := range []bool{false, true} {
		h.forge(a.ID, func(body map[string]any) {
			body["State"], body["Decided"] = "approved", h.clock.now().UTC()
			if strip {
				delete(body, "Canary")
			}
		})
		if u, err := h.engine.Use(context.Background(), a.ID, use); err == nil || u != nil {
			t.Errorf("a forged row (%v) was used: %+v", strip, u)
		}
	}
	if n := len(h.records(audit.TypeStarted)); n != 0 {
		t.Errorf("%d executions", n)
	}
	// The same action asked for real is a question of its own.
	if fresh := h.ask(q); fresh.ID == a.ID || fresh.State != approval.Pending {
		t.Errorf("the real one is %s, %s", fresh.ID, fresh.State)
	}
}

// forge writes a row sealed with the server's own key.
func (h *house) forge(id string, change func(map[string]any)) {
	h.Helper()
	must(h.TB, h.store.Update(context.Background(), func(tx approval.Tx) error {
		row, err := tx.ApprovalByID(context.Background(), id)
		if err != nil {
			return err
		}
		from := row.State
		var body map[string]any
		must(h.TB, json.Unmarshal(row.Body, &body))
		change(body)
		body["Revision"] = row.Revision + 1
		row.State, row.Revision = approval.Approved, row.Revision+1
		row.Decided = h.clock.now().UTC()
		row.Due = row.Decided.Add(15 * time.Minute)
		row.Body, err = json.Marshal(body)
		must(h.TB, err)
		mac := hmac.New(sha256.New, sealKey)
		mac.Write([]byte("assent-approval/1\x00"))
		mac.Write(row.Body)
		row.MAC = mac.Sum(nil)
		return tx.SwapApproval(context.Background(), from, row.Revision-1, row)
	}))
}

// A canary that is denied, expires or is planted twice leaves nothing behind that
// weighs on what agents really ask.
func TestACanaryLeavesNothingBehind(t *testing.T) {
	h := newHouse(t, withCanaries)
	a := h.plant("w1")
	if _, err := h.engine.Plant(context.Background(), ask(agent("agent:x"), "drop table customers"), a.ID); !errors.Is(err, approval.ErrConflict) {
		t.Errorf("planted twice: %v", err)
	}
	got := h.answer(a, "ana", approval.Deny)
	if got.State != approval.Denied || !strings.Contains(got.Reveals(), "it was seen") {
		t.Errorf("denied: %s, %q", got.State, got.Reveals())
	}
	h.commits(a, approval.Deny, "person:ana")
	if _, err := h.engine.Plant(context.Background(), ask(agent("agent:x"), "drop table customers"), a.ID); !errors.Is(err, approval.ErrConflict) {
		t.Errorf("planted again: %v", err)
	}
	fresh := h.ask(ask(agent("agent:x"), "drop table customers"))
	if fresh.Repeats != 0 || fresh.Denial != nil {
		t.Errorf("a denied canary costs a seat: %d, %+v", fresh.Repeats, fresh.Denial)
	}
	late := h.plant("w2")
	h.clock.add(time.Hour)
	must(t, h.engine.Tick(context.Background()))
	if now, err := h.engine.Get(context.Background(), late.ID); err != nil || now.State != approval.Expired || now.Reveals() == "" {
		t.Errorf("expired: %+v, %v", now, err)
	}
	h.commits(late, string(approval.Expired), "")
	if _, err := newHouse(t, nil).engine.Plant(context.Background(), ask(agent("agent:x"), "x"), a.ID); err == nil {
		t.Error("planted where there are none")
	}
}

// Canaries count in how people review.
func TestQualityOfCanaries(t *testing.T) {
	h := newHouse(t, withCanaries)
	for i, d := range []string{approval.Approve, approval.Deny, approval.Approve} {
		a := h.plant(string(rune('a' + i)))
		h.clock.add(time.Minute)
		h.answer(a, "ana", d)
	}
	h.answer(h.plant("z"), "ben", approval.Deny)
	by := map[string]approval.Reviewer{}
	for _, r := range approval.Quality(append(h.records(audit.TypeReview), h.records(audit.TypeCanary)...)) {
		by[r.Person] = r
	}
	if r := by["person:ana"]; r.Canaries != 3 || r.Missed != 2 || r.Reviews != 3 || !strings.Contains(r.Stamps(), "2 of 3 canaries") {
		t.Errorf("ana: %+v %q", r, r.Stamps())
	}
	if r := by["person:ben"]; r.Canaries != 1 || r.Missed != 0 || r.Stamps() != "" {
		t.Errorf("ben: %+v %q", r, r.Stamps())
	}
}
