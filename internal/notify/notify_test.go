package notify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/notify/notifytest"
	"github.com/assenthq/assent/internal/policy"
)

// board is a channel that people could look at: what each post shows now.
type board struct {
	name string
	mu   sync.Mutex
	keys map[string]string // key → ref
	show map[string]*notify.Message
	post int
	fail func(n int) error // of the nth call
	n    int
}

func newBoard(name string) *board {
	return &board{name: name, keys: map[string]string{}, show: map[string]*notify.Message{}}
}

func (b *board) Name() string { return b.name }

func (b *board) call() error {
	b.n++
	if b.fail != nil {
		return b.fail(b.n)
	}
	return nil
}

func (b *board) Post(_ context.Context, place, key string, m *notify.Message) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.call(); err != nil {
		return "", err
	}
	ref := b.keys[key]
	if ref == "" {
		b.post++
		ref = fmt.Sprintf("%s#%d", place, b.post)
		b.keys[key] = ref
	}
	b.show[ref] = m
	return ref, nil
}

func (b *board) Update(_ context.Context, _, ref string, m *notify.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.call(); err != nil {
		return err
	}
	b.show[ref] = m
	return nil
}

func (b *board) posts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.post
}

func (b *board) states() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, m := range b.show {
		if m.Card != nil {
			out = append(out, m.Card.State.Name)
		} else {
			out = append(out, m.Notice.Title)
		}
	}
	return strings.Join(out, " ")
}

var everything = []notify.Route{{Channel: "board", Place: "#ops", Notices: []string{"alarm"}}}

func TestACardIsKeptTrue(t *testing.T) {
	h := notifytest.New(t)
	b := newBoard("board")
	h.Dispatch("n1", everything, b)
	a := h.Ask("select 1")
	h.Eventually("it waits", func() bool { return b.states() == "waiting" })
	if err := h.Answer(a.ID, "person:ana", approval.Deny); err != nil {
		t.Fatal(err)
	}
	h.Eventually("it is denied", func() bool { return b.states() == "denied" })
	h.Eventually("it is in the log", func() bool { return len(h.Told()) == 4 })
	if got := h.Told(); got[0] != "sending board #ops asked" || got[3] != "told board #ops changed" {
		t.Errorf("the log says %q", got)
	}
	again := h.Ask("select 2")
	h.Eventually("another one waits", func() bool { return strings.Contains(b.states(), "waiting") })
	h.Pass(time.Hour)
	h.Eventually("it expired", func() bool {
		return !strings.Contains(b.states(), "waiting") && strings.Contains(b.states(), "expired")
	})
	if h.Get(again.ID).State != approval.Expired {
		t.Error("the card says more than the store")
	}
}

// TestRestart: what was asked, and decided, while nobody told is told afterwards, once.
func TestRestart(t *testing.T) {
	h := notifytest.New(t)
	b := newBoard("board")
	_, stop := h.Dispatch("n1", everything, b)
	a := h.Ask("select 1")
	h.Eventually("it waits", func() bool { return b.states() == "waiting" })
	stop()
	second := h.Ask("select 2")
	if err := h.Answer(a.ID, "person:ana", approval.Deny); err != nil {
		t.Fatal(err)
	}
	h.Dispatch("n1", everything, b)
	h.Eventually("the second waits", func() bool { return b.posts() == 2 && strings.Contains(b.states(), "waiting") })
	h.Pass(time.Hour) // the first one's card is looked at once it should have ended
	h.Eventually("both are over", func() bool { s := b.states(); return strings.Contains(s, "denied") && strings.Contains(s, "expired") })
	if h.Get(second.ID).State != approval.Expired || b.posts() != 2 {
		t.Errorf("%d cards", b.posts())
	}
}

// TestTwoNodes: however many tell, each place has one card, and it ends true.
func TestTwoNodes(t *testing.T) {
	h := notifytest.New(t)
	b := newBoard("board")
	for _, n := range []string{"n1", "n2", "n3"} {
		h.Dispatch(n, everything, b)
	}
	var all []*approval.Approval
	for i := range 10 {
		all = append(all, h.Ask(fmt.Sprintf("select %d", i)))
	}
	h.Eventually("all are told", func() bool { return strings.Count(b.states(), "waiting") == len(all) })
	for _, a := range all {
		if err := h.Answer(a.ID, "person:ana", approval.Deny); err != nil {
			t.Fatal(err)
		}
	}
	h.Eventually("all are denied", func() bool { return strings.Count(b.states(), "denied") == len(all) })
	if b.posts() != len(all) {
		t.Errorf("%d posts for %d approvals", b.posts(), len(all))
	}
}

// TestFailures: what fails is tried again; what never works is dead until it is replayed.
func TestFailures(t *testing.T) {
	h := notifytest.New(t)
	b := newBoard("board")
	b.fail = func(n int) error {
		switch n {
		case 1:
			return errors.New("down")
		case 2:
			return notify.Later(errors.New("rate limited"), 30*time.Second)
		case 3:
			return fmt.Errorf("the place is gone: %w", notify.ErrNever)
		}
		return nil
	}
	d, _ := h.Dispatch("n1", everything, b)
	h.Ask("select 1", policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 1, Expires: 12 * time.Hour})
	dead := func() []notify.Delivery {
		all, err := d.Deliveries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	tries := func(n int) func() bool {
		return func() bool { all := dead(); return len(all) == 1 && all[0].Tries == n }
	}
	h.Eventually("it failed", tries(1))
	h.Pass(5 * time.Second)
	h.Eventually("it failed again", tries(2))
	if due := dead()[0].Due; due.Before(h.Clock().Add(30 * time.Second)) {
		t.Errorf("a rate limit is not waited for: %s", due)
	}
	h.Pass(time.Minute)
	h.Eventually("it is dead", func() bool { all := dead(); return len(all) == 1 && all[0].Dead })
	h.Pass(time.Hour)
	if b.states() != "" {
		t.Error("a dead delivery was tried")
	}
	if err := d.Replay(t.Context(), dead()[0].ID, "person:ana"); err != nil {
		t.Fatal(err)
	}
	h.Eventually("it was replayed", func() bool { return b.states() == "waiting" })
}

func TestNotice(t *testing.T) {
	h := notifytest.New(t)
	b := newBoard("board")
	d, _ := h.Dispatch("n1", everything, b)
	for range 3 { // told once
		if err := d.Notify(t.Context(), notify.Notice{ID: "x", Kind: "alarm", Title: "The log can't be verified"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Notify(t.Context(), notify.Notice{ID: "y", Kind: "freeze", Title: "not asked for"}); err != nil {
		t.Fatal(err)
	}
	h.Eventually("it is told", func() bool { return b.states() == "The log can't be verified" })
}

func TestRoutes(t *testing.T) {
	h := notifytest.New(t)
	b := newBoard("board")
	h.Dispatch("n1", []notify.Route{
		{Channel: "board", Place: "#prod", Envs: []string{"prod"}, Resources: []string{"postgres:billing/*/*"}, Groups: []string{"group:owners"}, Kinds: []string{"data.read"}, Rules: []string{"hold"}},
		{Channel: "board", Place: "#other", Envs: []string{"test"}},
		{Channel: "board", Place: "#critical", Risk: "critical"},
		{Channel: "board", Place: notify.Reviewers},
	}, b)
	h.Ask("select 1")
	h.Eventually("everybody concerned is told", func() bool { return b.posts() == 4 })
	b.mu.Lock()
	defer b.mu.Unlock()
	for ref := range b.show { // not Sub and Own: they may not answer
		switch place, _, _ := strings.Cut(ref, "#1"); {
		case strings.HasPrefix(place, "#prod"), strings.HasPrefix(place, "person:ana"), strings.HasPrefix(place, "person:ben"), strings.HasPrefix(place, "person:cas"):
		default:
			t.Errorf("told at %s", ref)
		}
	}
}

// An agent that puts what a room watches into a plan with something else is told of there all the same.
func TestAPlanGoesWhereverItsItemsGo(t *testing.T) {
	h := notifytest.New(t)
	b := newBoard("board")
	h.Dispatch("n1", []notify.Route{
		{Channel: "board", Place: "#billing", Resources: []string{"postgres:billing/prod/*"}},
		{Channel: "board", Place: "#test", Envs: []string{"test"}},
		{Channel: "board", Place: "#else", Resources: []string{"postgres:hr/*/*"}},
	}, b)
	h.AskPlan("select 1")
	h.Eventually("both rooms are told", func() bool { return b.posts() == 2 })
	b.mu.Lock()
	defer b.mu.Unlock()
	for ref := range b.show {
		if strings.HasPrefix(ref, "#else") {
			t.Error("told where nobody watches it")
		}
	}
}

func TestDesk(t *testing.T) {
	h := notifytest.New(t)
	desk := h.Desk()
	press := func(a *approval.Approval, account, decision string) error {
		_, err := desk.Answer(t.Context(), notify.Press{Account: account, Channel: "slack", Approval: a.ID, Digest: a.Digest.String(), Version: a.Version, Decision: decision, Reason: "because"})
		return err
	}
	need := func(assurance string) policy.Requirement {
		return policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 1, Assurance: assurance}
	}
	refused := func(err error, want string) {
		t.Helper()
		var r *notify.Refusal
		if !errors.As(err, &r) || !strings.Contains(r.Says, want) {
			t.Errorf("got %v, want a refusal with %q", err, want)
		}
	}
	a := h.Ask("select 1")
	refused(press(a, "slack|T1/UNOBODY", approval.Approve), "Link it")
	refused(press(a, "slack|T2/UANA", approval.Approve), "Link it")
	refused(press(a, "slack|T1/USUB", approval.Approve), "can't review")
	refused(press(a, "slack|T1/UOWN", approval.Deny), "can't review")
	refused(press(a, "slack|T1/UOUT", approval.Approve), "not among those")
	other := *a
	other.Version++
	refused(press(&other, "slack|T1/UANA", approval.Approve), "changed")
	other = *h.Ask("select 2")
	other.ID = a.ID
	refused(press(&other, "slack|T1/UANA", approval.Approve), "changed")
	refused(press(h.Ask("select 3", need("console")), "slack|T1/UANA", approval.Approve), "assurance")
	refused(press(h.Ask("select 4", need("passkey")), "slack|T1/UANA", approval.Approve), "assurance")
	refused(press(h.Ask("select '"+strings.Repeat("x", 3000)+"'"), "slack|T1/UANA", approval.Approve), "too long")
	if err := press(a, "slack|T1/UANA", approval.Approve); err != nil {
		t.Error(err)
	}
	refused(press(a, "slack|T1/UANA", approval.Approve), "already")
	refused(press(a, "slack|T1/UBEN", approval.Approve), "already")
	late := h.Ask("select 5")
	h.Pass(time.Hour)
	refused(press(late, "slack|T1/UANA", approval.Approve), "")
	if got := h.Get(a.ID).Reviews; len(got) != 1 || got[0].Assurance != "chat" || got[0].Person != "person:ana" {
		t.Errorf("reviews are %+v", got)
	}
}

// TestQuiet: who is spared is told when that ends; places of several people are told at once.
func TestQuiet(t *testing.T) {
	h := notifytest.New(t)
	end := h.Clock().Add(2 * time.Second)
	h.Quiet = func(person, _ string, _ int64, grave bool) time.Time {
		if person == "person:ana" && !grave && h.Clock().Before(end) {
			return end
		}
		return time.Time{}
	}
	b := newBoard("board")
	h.Dispatch("n1", []notify.Route{{Channel: "board", Place: notify.Reviewers}, {Channel: "board", Place: "#ops"}}, b)
	h.Ask("select 1")
	h.Eventually("the others are told", func() bool { return b.posts() == 3 })
	b.mu.Lock()
	for ref := range b.show {
		if strings.HasPrefix(ref, "person:ana") {
			t.Error("ana was woken")
		}
	}
	b.mu.Unlock()
	h.Pass(3 * time.Second)
	h.Eventually("ana is told", func() bool { return b.posts() == 4 })
}
