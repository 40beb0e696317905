package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/notify/notifytest"
)

// count is how many cards and digests a board shows, and what the latest digest says.
func (b *board) count() (cards, digests int, says string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.show {
		if m.Card != nil {
			cards++
			continue
		}
		digests++
		if !strings.HasPrefix(m.Notice.Title, "No more") {
			says = m.Notice.Title
		}
	}
	return cards, digests, says
}

// TestFlood: what is too much to be read is counted in one message, gets its own
// card as there is room, the gravest first, and what is critical comes at once.
func TestFlood(t *testing.T) {
	h := notifytest.New(t)
	b := newBoard("board")
	_, stop := h.Dispatch("n1", everything, b)
	var all []*approval.Approval
	for i := range 24 {
		all = append(all, h.Ask(fmt.Sprintf("select %d", i)))
	}
	is := func(cards, digests int, says string) {
		t.Helper()
		h.Eventually(fmt.Sprintf("%d cards and %d digests with %q", cards, digests, says), func() bool {
			c, d, s := b.count()
			return c == cards && d == digests && s == says
		})
	}
	is(10, 0, "")
	told(h, "folded", 14)
	h.Pass(3 * time.Second)
	is(10, 1, "14 more approvals wait")
	grave := h.AskFor(action.AuditChange, "drop the log")
	is(11, 1, "14 more approvals wait")
	high := h.AskFor(action.DataExport, "copy customers")
	told(h, "folded", 15)
	for _, a := range all { // those that are folded are not decided here: each is looked for by its card
		if b.shows(a.ID) == nil {
			if err := h.Answer(a.ID, "person:ana", approval.Deny); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	told(h, "unfolded", 1)
	h.Pass(31 * time.Second)
	is(11, 1, "14 more approvals wait") // one less, one more
	stop()                              // whoever comes next goes on
	h.Pass(30 * time.Second)            // room again, but for the critical one's
	h.Dispatch("n2", everything, b)
	h.Eventually("there is room for more", func() bool {
		if c, _, _ := b.count(); c < 20 {
			round(h) // the other one's claim has to run out, if it was at it
			return false
		}
		return true
	})
	if b.shows(high.ID) == nil || b.shows(grave.ID) == nil {
		t.Error("the gravest one stayed folded")
	}
	h.Eventually("each has its card", func() bool {
		round(h)
		c, d, s := b.count()
		return c == 25 && d == 1 && s == ""
	})
	if b.posts() != 26 { // of 26 one was denied while it was folded, and one more is the digest
		t.Errorf("%d posts", b.posts())
	}
	h.Pass(time.Minute)
	for i := range 12 { // another flood, another message
		h.Ask(fmt.Sprintf("again %d", i))
	}
	told(h, "folded", 17)
	h.Pass(3 * time.Second)
	h.Eventually("a second digest", func() bool { _, d, s := b.count(); return d == 2 && s == "2 more approvals wait" })
}

// TestFloodThatEnds before anybody could be told leaves no message behind, and
// one that ends otherwise says so.
func TestFloodThatEnds(t *testing.T) {
	h := notifytest.New(t)
	b := newBoard("board")
	h.Dispatch("n1", everything, b)
	for i := range 15 {
		h.Ask(fmt.Sprintf("select %d", i))
	}
	told(h, "folded", 5)
	h.Pass(3 * time.Second)
	h.Eventually("it is counted", func() bool { c, d, s := b.count(); return c == 10 && d == 1 && s == "5 more approvals wait" })
	h.Pass(2 * time.Hour)
	h.Eventually("all are over", func() bool {
		c, d, s := b.count()
		return c == 10 && d == 1 && s == "" && !strings.Contains(b.states(), "waiting")
	})
}

// TestFloodOnTwoNodes: one digest, and no card twice.
func TestFloodOnTwoNodes(t *testing.T) {
	h := notifytest.New(t)
	b := newBoard("board")
	h.Dispatch("n1", everything, b)
	h.Dispatch("n2", everything, b)
	for i := range 25 {
		h.Ask(fmt.Sprintf("select %d", i))
	}
	h.Eventually("each has its card, once", func() bool {
		round(h)
		c, d, s := b.count()
		return c == 25 && d == 1 && s == ""
	})
	if b.posts() != 26 {
		t.Errorf("%d posts", b.posts())
	}
}

// told waits until the log has so many records of that.
func told(h *notifytest.House, what string, n int) {
	h.Helper()
	h.Eventually(fmt.Sprintf("%d %s", n, what), func() bool {
		have := 0
		for _, r := range h.Told() {
			if strings.HasPrefix(r, what+" ") {
				have++
			}
		}
		return have == n
	})
}

// round lets half a minute pass, and the dispatchers look at what is due.
func round(h *notifytest.House) {
	h.Pass(31 * time.Second)
	time.Sleep(1500 * time.Millisecond)
}

// shows is the card of an approval.
func (b *board) shows(id string) any {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.show {
		if m.Card != nil && m.Card.ID == id {
			return m
		}
	}
	return nil
}
