package slack_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/channels/slack"
)

// TestFlood: however many at once, ten cards and one message that counts the rest, within
// what Slack takes; nobody's channel is flooded, and no approval is lost. ASSENT_FLOOD
// says how many; each is an approval stored for good, so 10,000 take a while.
func TestFlood(t *testing.T) {
	n := 300
	if more, err := strconv.Atoi(os.Getenv("ASSENT_FLOOD")); err == nil {
		n = more
	}
	p := open(t, rooms, func(p *place, _ *slack.Options) { p.PerSecond = 5 })
	last := p.Ask("select 0").ID
	var work sync.WaitGroup
	for w := range 50 {
		work.Go(func() {
			for i := w + 1; i < n; i += 50 {
				p.Ask(fmt.Sprintf("select %d", i))
			}
		})
	}
	work.Wait()
	p.Eventually("ten have a card", func() bool {
		p.Pass(time.Second)
		time.Sleep(200 * time.Millisecond)
		return len(p.Messages("C0OPS")) >= 10
	})
	for end := time.Now().Add(2 * time.Minute); p.folded() < n-10 && time.Now().Before(end); {
		time.Sleep(200 * time.Millisecond)
	}
	p.Pass(31 * time.Second)
	p.Eventually("the rest is counted", func() bool {
		p.Pass(time.Second)
		time.Sleep(200 * time.Millisecond)
		for _, m := range p.Messages("C0OPS") {
			if strings.Contains(m.Text, "more approvals wait") {
				t.Log(m.Text)
				return true
			}
		}
		return false
	})
	if posts, calls := len(p.Messages("C0OPS")), p.Calls("chat.postMessage"); posts > 35 || calls > 80 {
		t.Errorf("%d messages by %d calls", posts, calls)
	}
	p.must(p.Command("UANA", "C0OPS", "why "+last))
	p.hears("UANA", "looked at by hand")
}

// folded counts what is told by number only.
func (p *place) folded() int {
	n := 0
	for _, r := range p.Told() {
		if strings.HasPrefix(r, "folded ") {
			n++
		}
	}
	return n
}
