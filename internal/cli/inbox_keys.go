package cli

import (
	"context"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/show"
)

// key does what a key is for.
func (m *inbox) key(k tea.KeyPressMsg) tea.Cmd {
	if k.String() == "ctrl+c" {
		return tea.Quit
	}
	switch m.mode {
	case browsing:
		return m.browse(k.String())
	case helping:
		m.mode = browsing
		return nil
	}
	filtered := m.mode == filtering
	switch k.String() {
	case "esc":
		m.mode, m.typed = browsing, ""
	case "enter":
		return m.enter()
	case "backspace":
		_, n := utf8.DecodeLastRuneInString(m.typed)
		m.typing("")
		m.typed = m.typed[:len(m.typed)-n]
	default:
		m.typing(k.Text)
	}
	if filtered {
		m.filter = m.typed
		if m.index() < 0 {
			m.choose(0)
			return m.open(m.at)
		}
	}
	return nil
}

// typing adds to what is typed; line breaks of something pasted are spaces.
func (m *inbox) typing(s string) {
	if m.mode == browsing || m.mode == helping {
		return
	}
	s = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ").Replace(s)
	if utf8.ValidString(s) && len(m.typed)+len(s) <= maxTyped {
		m.typed += s
	}
}

func (m *inbox) browse(k string) tea.Cmd {
	was := m.at
	switch k {
	case "Q", "esc":
		return tea.Quit
	case "j", "down":
		m.choose(m.index() + 1)
	case "k", "up":
		m.choose(m.index() - 1)
	case "g", "home":
		m.choose(0)
	case "G", "end":
		m.choose(len(m.all))
	case "space", "pgdown", " ":
		m.offset += max(m.pane()-1, 1)
	case "b", "pgup":
		m.offset = max(m.offset-max(m.pane()-1, 1), 0)
	case "r":
		m.says = ""
		return m.list()
	case "/":
		m.mode, m.typed = filtering, m.filter
	case "?":
		m.mode = helping
	case "enter":
		return m.console()
	case "a":
		m.answer(approving)
	case "d":
		m.answer(denying)
	case "q":
		m.answer(asking)
	}
	if m.at != was {
		m.says = ""
		return m.open(m.at)
	}
	return nil
}

// answer begins an answer, where one can be given here.
func (m *inbox) answer(mode string) {
	p := m.full
	switch {
	case p == nil || m.busy:
		return
	case m.readOnly:
		m.tell("A login reads and never reviews: enter opens the console", true)
	case p.State != "pending":
		m.tell("It is "+p.State, true)
	case mode != asking && p.YouCant != "":
		m.tell("You may not review this: "+p.YouCant, true)
	case mode != asking && p.YouNeed != "":
		m.tell("This needs "+p.YouNeed+" assurance, more than a token: enter opens the console", true)
	case mode == approving && p.Risk.Level == "critical":
		m.tell("It is critical: it is approved in the console, where enter leads", true)
	case mode == approving && !m.read[shownAs(p)]:
		m.tell("Read it to its end first: space", true)
	default:
		m.mode, m.typed, m.says = mode, "", ""
	}
}

// shownAs names what is on the screen, as an answer does.
func shownAs(p *client.Approval) string { return p.ID + " " + p.Digest + " " + itoa(p.Version) }

// enter sends what was typed.
func (m *inbox) enter() tea.Cmd {
	mode, text, p := m.mode, strings.TrimSpace(m.typed), m.full
	switch {
	case mode == filtering:
		m.mode = browsing
		return nil
	case text == "" && mode != approving:
		return nil // a denial has a reason, and a question is one
	case p == nil:
		m.mode = browsing
		return nil
	}
	m.mode, m.typed, m.busy = browsing, "", true
	return func() tea.Msg {
		ctx, stop := context.WithTimeout(m.ctx, callTime)
		defer stop()
		r := answered{what: mode}
		switch mode {
		case approving:
			r.p, r.err = m.c.Review(ctx, p, client.Approve, text)
		case denying:
			r.p, r.err = m.c.Review(ctx, p, "deny", text)
		case asking:
			r.p, r.err = m.c.Ask(ctx, p.ID, text)
		}
		return r
	}
}

// console opens the chosen one's page, and says where it is.
func (m *inbox) console() tea.Cmd {
	if m.full == nil {
		return nil
	}
	url := m.full.URL
	m.tell(url, false)
	if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
		return nil
	}
	return func() tea.Msg {
		_ = openBrowser(url) // the address stands on the screen, to be opened by hand
		return nil
	}
}

func clean(s string, max int) string { return show.Plain(s, max) }
