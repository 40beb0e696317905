package cli

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/assenthq/assent/client"
)

// inboxOf is an inbox that shows p, as the server tells of it.
func inboxOf(p *client.Approval) *inbox {
	m := newInbox(nil, nil, false) //nolint:staticcheck // nothing is called
	m.w, m.h = 80, 24
	_, _ = m.Update(listed{all: []*client.Approval{p}})
	_, _ = m.Update(opened{p: p})
	m.View()
	return m
}

func press(m *inbox, keys string) {
	for _, r := range keys {
		_, _ = m.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
	m.View()
}

func sample() *client.Approval {
	return &client.Approval{
		ID: "apr_1", State: "pending", Version: 1, Digest: "sha256:00", URL: "https://assent.test/approvals/apr_1", Title: "Export customers", Statement: "select 1",
		Risk: client.Risk{Level: "high", Score: 60}, Expires: time.Now().Add(time.Hour), Created: time.Now(), YouMay: true,
	}
}

// TestInboxChanges: an approval that changed under the reviewer's hands is not sent.
func TestInboxChanges(t *testing.T) {
	m := inboxOf(sample())
	press(m, "ayes")
	if m.mode != approving || m.typed != "yes" {
		t.Fatalf("mode %q, typed %q", m.mode, m.typed)
	}
	other := sample()
	other.Version, other.Statement = 2, "select 2"
	_, _ = m.Update(opened{p: other})
	if m.mode != browsing || m.typed != "" || !strings.Contains(m.says, "changed") {
		t.Errorf("mode %q, says %q", m.mode, m.says)
	}
	if _, cmd := m.Update(tea.KeyPressMsg{Code: tea.KeyEnter}); m.busy || cmd == nil && m.full != other {
		t.Error("it was sent")
	}
	gone := inboxOf(sample())
	press(gone, "ayes")
	_, _ = gone.Update(listed{all: []*client.Approval{{ID: "apr_2", Risk: client.Risk{Score: 99, Level: "critical"}}}})
	if gone.full.ID != "apr_1" || gone.at != "apr_1" {
		t.Error("another one came under the reviewer's hands")
	}
}

// TestInboxLeads: what can't be answered here leads to the console, and says why.
func TestInboxLeads(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *client.Approval, m *inbox)
		key    string
		want   string
	}{
		"critical":   {func(p *client.Approval, _ *inbox) { p.Risk.Level = "critical" }, "a", "critical"},
		"needs more": {func(p *client.Approval, _ *inbox) { p.YouNeed = "passkey" }, "a", "passkey"},
		"deny too":   {func(p *client.Approval, _ *inbox) { p.YouNeed = "passkey" }, "d", "passkey"},
		"may not":    {func(p *client.Approval, _ *inbox) { p.YouCant = "it is yours" }, "a", "it is yours"},
		"login":      {func(_ *client.Approval, m *inbox) { m.readOnly = true }, "a", "never reviews"},
		"decided":    {func(p *client.Approval, _ *inbox) { p.State = "denied" }, "a", "denied"},
		"unread":     {func(p *client.Approval, m *inbox) { p.Digest = "sha256:01" }, "a", "to its end"},
	} {
		p := sample()
		m := inboxOf(p)
		tt.change(p, m)
		_, _ = m.Update(tea.KeyPressMsg{Code: rune(tt.key[0]), Text: tt.key})
		if m.mode != browsing || !strings.Contains(m.says, tt.want) {
			t.Errorf("%s: mode %q, says %q", name, m.mode, m.says)
		}
	}
	m := inboxOf(sample())
	press(m, "a")
	if m.mode != approving {
		t.Error("what may be answered here isn't")
	}
	denied := inboxOf(sample())
	press(denied, "d")
	if _, cmd := denied.Update(tea.KeyPressMsg{Code: tea.KeyEnter}); cmd != nil || denied.mode != denying {
		t.Error("a denial without a reason is sent")
	}
}

// TestInboxLong: 2 MB of a statement, and 10,000 that wait, are shown in part and in order.
func TestInboxLong(t *testing.T) {
	p := sample()
	p.Statement = strings.Repeat("x\u202e\x1b[2J\n", 200_000)
	m := inboxOf(p)
	v := m.View().Content
	if len(v) > 1<<16 || strings.Contains(v, "\u202e") || strings.Contains(v, "\x1b[2J") || m.read[shownAs(p)] {
		t.Errorf("%d bytes, read: %v", len(v), m.read)
	}
	var all []*client.Approval
	for i := range 10_000 {
		a := sample()
		a.ID, a.Risk.Score = "apr_"+itoa(int64(i)), i%100
		all = append(all, a)
	}
	_, _ = m.Update(listed{all: all, more: true})
	if lines := strings.Count(m.View().Content, "\n") + 1; lines > m.h || m.all[0].Risk.Score != 99 {
		t.Errorf("%d lines on %d", lines, m.h)
	}
	for _, size := range [][2]int{{1, 1}, {20, 8}, {300, 100}} {
		_, _ = m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.View()
	}
}
