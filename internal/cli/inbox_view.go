package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/show"
)

// Looks. They are taken away where the terminal has no colours, or NO_COLOR is
// set: no meaning is in a colour alone.
var (
	strong  = lipgloss.NewStyle().Bold(true)
	faint   = lipgloss.NewStyle().Faint(true)
	chosen  = lipgloss.NewStyle().Reverse(true)
	alarm   = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Red)
	warning = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	fine    = lipgloss.NewStyle().Foreground(lipgloss.Green)
)

func riskStyle(level string) lipgloss.Style {
	switch level {
	case "critical":
		return alarm
	case "high":
		return warning
	}
	return faint
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// rows of the list, of the terminal's; the rest is the detail pane's.
func (m *inbox) rows() int { return min(max(len(m.shown()), 1), max((m.h-6)/3, 1)) }

// pane is how many lines the detail has.
func (m *inbox) pane() int { return max(m.h-m.rows()-4, 1) }

// View implements tea.Model.
func (m *inbox) View() tea.View {
	var lines []string
	if m.mode == helping {
		lines = m.help()
	} else {
		lines = append(lines, m.head())
		lines = append(lines, m.listing()...)
		lines = append(lines, faint.Render(strings.Repeat("─", m.w)))
		lines = append(lines, m.detail()...)
		lines = append(lines, m.foot()...)
	}
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], m.w, "…")
	}
	v := tea.NewView(strings.Join(lines[:min(len(lines), m.h)], "\n"))
	v.AltScreen, v.WindowTitle = true, "Assent: "+strconv.Itoa(len(m.all))+" waiting"
	return v
}

func (m *inbox) head() string {
	s := strong.Render("Assent inbox") + "  " + strconv.Itoa(len(m.all)) + " waiting"
	if m.more {
		s = strong.Render("Assent inbox") + "  " + strconv.Itoa(mostListed) + " shown of more"
	}
	if m.filter != "" {
		s += "  filter: " + clean(m.filter, 60)
	}
	if m.lost {
		s += "  " + alarm.Render("not live: r reads again")
	}
	return s
}

func (m *inbox) listing() []string {
	l := m.shown()
	if len(l) == 0 {
		return []string{faint.Render("  nothing waits")}
	}
	n, at := m.rows(), max(m.index(), 0)
	first := min(max(at-n/2, 0), len(l)-n)
	var out []string
	for _, p := range l[first : first+n] {
		left := "in " + span(p.Expires.Sub(m.now))
		text := fmt.Sprintf("%-8s  %-9s  %s  (%s)", p.Risk.Level, left, clean(p.Title, 200), clean(who(p), 100))
		if p.ID == m.at {
			out = append(out, chosen.Render("> "+ansi.Truncate(text, m.w-2, "…")))
		} else {
			out = append(out, "  "+riskStyle(p.Risk.Level).Render(text[:8])+text[8:])
		}
	}
	return out
}

// detail is the part of the chosen one that fits, and notes when its end was shown.
func (m *inbox) detail() []string {
	n := m.pane()
	out := make([]string, n)
	if m.full == nil {
		return out
	}
	if m.drawn != m.full || m.drawnAt != m.w {
		m.lines, m.drawn, m.drawnAt = detailLines(m.full, m.w, m.now), m.full, m.w
	}
	all := m.lines
	m.offset = min(m.offset, max(len(all)-n, 0))
	if m.offset+n >= len(all) {
		m.read[shownAs(m.full)] = true
	}
	copy(out, all[m.offset:])
	if m.offset+n < len(all) {
		out[n-1] = warning.Render(fmt.Sprintf("… %s more: space", count(len(all)-m.offset-n+1, "line", "lines")))
	}
	return out
}

// detailLines is all there is to read of p, wrapped. What agents wrote is made
// fit to be shown: no escape sequence of theirs reaches the terminal.
func detailLines(p *client.Approval, w int, now time.Time) []string {
	var out []string
	line := func(style lipgloss.Style, label, text string) {
		first := true
		for _, l := range wrap(text, w-10) {
			if first {
				out = append(out, faint.Render(fmt.Sprintf("%-9s", label))+" "+style.Render(l))
			} else {
				out = append(out, strings.Repeat(" ", 10)+style.Render(l))
			}
			first = false
		}
	}
	none := lipgloss.NewStyle()
	say := func(label, text string) {
		if text != "" {
			line(none, label, show.Plain(text, 4_000))
		}
	}
	line(strong, p.Risk.Level, show.Plain(p.Title, 1_000))
	say("who", who(p))
	say("on", p.Resource+" ("+p.Env+")")
	say("kinds", strings.Join(p.Kinds, ", "))
	say("data", dataOf(p.Data))
	if p.Preview != nil {
		say("preview", previewed(p.Preview))
	}
	say("held", p.Reason)
	for _, r := range p.Rules {
		say("", r.Then+" by rule "+r.Rule+" of pack "+r.Pack)
	}
	say("asks", p.Asks)
	say("expires", "in "+span(p.Expires.Sub(now))+", asked "+ago(p.Created, now))
	if p.Locks {
		line(warning, "", "The asker waits inside an open transaction and holds its locks")
	}
	if p.Repeats > 0 {
		line(warning, "", "Denied before in the last hour: "+strconv.Itoa(p.Repeats))
	}
	say("nudge", p.Nudge)
	text, _ := show.Text(p.Statement, 8<<20)
	out = append(out, "", faint.Render("runs      (sensitive values are masked here; the digest binds the real ones)"))
	for _, l := range strings.Split(text, "\n") {
		for _, l := range wrap(strings.ReplaceAll(l, "\t", "    "), w-2) {
			out = append(out, "│ "+l) // no line of theirs begins as one of ours
		}
	}
	out = append(out, "")
	for i := range p.Items {
		it := &p.Items[i]
		say("item "+strconv.Itoa(i+1), it.Title)
		t, _ := show.Text(it.Statement, 8<<20)
		for _, l := range strings.Split(t, "\n") {
			for _, l := range wrap(strings.ReplaceAll(l, "\t", "    "), w-4) {
				out = append(out, "  │ "+l)
			}
		}
	}
	for _, x := range [][2]string{{"reason", p.Claims.Reason}, {"ticket", p.Claims.Ticket}, {"intent", p.Claims.Intent}} {
		if x[1] != "" {
			say("claims", x[0]+": “"+x[1]+"” (the asker's own words)")
		}
	}
	for _, x := range leadLines(p.Lead) {
		say(x[0], x[1])
	}
	for _, r := range p.Reviews {
		say("review", r.Name+": "+r.Decision+" by "+r.Channel+" “"+r.Reason+"”, "+ago(r.Time, now))
	}
	for _, r := range p.Remarks {
		if r.Of == "" {
			say("asked", cmp.Or(r.Name, r.By)+": “"+r.Text+"”")
		} else {
			say("answer", cmp.Or(r.Name, r.By)+": “"+r.Text+"”")
		}
	}
	switch {
	case p.YouCant != "":
		line(warning, "you", "may not review this: "+show.Plain(p.YouCant, 500))
	case p.YouNeed != "":
		line(warning, "you", "need "+show.Plain(p.YouNeed, 100)+" assurance for this: enter opens the console")
	}
	say("digest", p.Digest)
	return append(out, faint.Render("— end —"))
}

// wrap breaks a line where the terminal ends; nothing of it is left out or moved.
func wrap(s string, w int) []string { return strings.Split(ansi.Hardwrap(s, max(w, 1), true), "\n") }

func (m *inbox) foot() []string {
	status := ""
	if m.says != "" {
		style := fine
		if m.bad {
			style = warning
		}
		status = style.Render(m.says)
	}
	if m.busy {
		status = faint.Render("…")
	}
	label := map[string]string{filtering: "filter: ", approving: "Approve. Reason, if any: ", denying: "Deny. Reason: ", asking: "Ask the asker's side: "}[m.mode]
	if label == "" {
		return []string{status, faint.Render("j k move  space read  a approve  d deny  q ask  enter console  / filter  ? help  Q leave")}
	}
	typed := clean(m.typed, 2*maxTyped)
	for room := max(m.w-len(label)-2, 1); ansi.StringWidth(typed) > room; {
		_, typed = cutFirst(typed)
	}
	return []string{strong.Render(label) + typed + "▏", faint.Render("enter sends, esc goes back")}
}

// cutFirst takes the first character off.
func cutFirst(s string) (first, rest string) {
	for i := range s {
		if i > 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

func (m *inbox) help() []string {
	return []string{
		strong.Render("Assent inbox"), "",
		"  j k ↓ ↑      the next, the one before      g G   first, last",
		"  space b      read on, and back",
		"  a            approve: once it was read to its end",
		"  d            deny, with a reason",
		"  q            ask the asker's side a question; it decides nothing",
		"  enter        open it in the console, where all of it can be decided",
		"  /            show only what has a text in it; esc ends that",
		"  r            read everything again",
		"  Q ctrl+c     leave; nothing is decided by that", "",
		"An answer is of what the screen shows: when it changes, nothing is decided.",
		"What is critical, or needs more than a token, is answered in the console.", "",
		faint.Render("any key goes back"),
	}
}
