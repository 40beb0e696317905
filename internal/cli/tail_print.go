package cli

import (
	"cmp"
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/show"
)

// picks are what a tail shows of all records; an empty one shows all.
type picks struct{ actor, person, kind, decision, resource, text string }

func (f *picks) takes(r *client.Record) bool {
	has := func(want string, in ...string) bool {
		return want == "" || strings.Contains(strings.ToLower(strings.Join(in, " ")), strings.ToLower(want))
	}
	return has(f.actor, r.Actor) && has(f.person, r.Person) && has(f.resource, r.Resource) && (f.decision == "" || f.decision == r.Decision) &&
		(f.kind == "" || r.Type == f.kind || strings.HasPrefix(r.Type, f.kind+".")) &&
		has(f.text, r.Title, r.Actor, r.Person, r.Resource, r.Approval, r.Detail["what"])
}

// recordLine is a record on one line, in columns, its time in the layout times. colour says that a terminal
// that knows colours looks at it; no meaning is in a colour alone.
func recordLine(name string, r *client.Record, times string, colour bool) string {
	what := cmp.Or(r.Decision, r.Outcome, "·")
	if r.Decision != "" && r.Outcome != "" {
		what += " " + r.Outcome
	}
	column := func(s string, w int) string {
		s = ansi.Truncate(show.Plain(s, 200), w, "…")
		return s + strings.Repeat(" ", max(w-ansi.StringWidth(s), 0))
	}
	whom := cmp.Or(r.Actor, r.Person)
	parts := []string{fmt.Sprintf("%-8s", name), r.Time.Local().Format(times), column(r.Type, 15), column(what, 12), column(whom, 22)}
	if colour {
		parts[0], parts[1] = faint.Render(parts[0]), faint.Render(parts[1])
		parts[3] = decisionStyle(what).Render(parts[3])
	}
	title := r.Title
	if r.Detail["parent"] != "" {
		title = "↳ " + title
	}
	said := r.Detail["what"]
	if r.Type == "prompt" {
		said = "“" + r.Detail["text"] + "” session " + r.Session
	}
	for _, p := range []string{title, r.Resource, r.Approval, said} {
		if p != "" {
			parts = append(parts, clip(show.Plain(p, 400), 80))
		}
	}
	for _, name := range []string{"session", "parent"} {
		if v := r.Detail[name]; v != "" {
			parts = append(parts, name+" "+clip(show.Plain(v, 200), 60))
		}
	}
	if r.Actor != "" && r.Person != "" {
		parts = append(parts, "by "+clip(show.Plain(r.Person, 200), 60))
	}
	return strings.TrimRight(strings.Join(parts, "  "), " ")
}

func decisionStyle(what string) lipgloss.Style {
	switch word, _, _ := strings.Cut(what, " "); word {
	case "deny", "denied", "dead", "failed", "freeze", "unknown", "break":
		return alarm
	case "review", "ask", "expired", "withdrawn", "mask", "remind", "escalate":
		return warning
	case "allow", "approve", "approved", "told", "thaw", "executed":
		return fine
	}
	return lipgloss.NewStyle()
}
