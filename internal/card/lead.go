package card

import (
	"strings"

	"github.com/assenthq/assent/internal/approval"
)

// Said is what the asker's side says, which nobody checked: in its own words, and what
// it was told and came from. Its texts are not yet fit to be shown.
func Said(a *approval.Approval) []Claim {
	var out []Claim
	say := func(name, text string) {
		if text != "" {
			out = append(out, Claim{name, text})
		}
	}
	k := &a.Claims
	say("reason", k.Reason)
	say("ticket", k.Ticket)
	say("intent", k.Intent)
	if l := a.Lead; l != nil {
		say("prompt", promptText(l, a))
		say("led by", ledBy(l.By))
	}
	if k.BreakGlass {
		say("break-glass", "asked for; it permits nothing by itself")
	}
	return out
}

func promptText(l *approval.Lead, a *approval.Approval) string {
	p := l.Prompt
	if p == nil {
		return ""
	}
	text := "at " + p.Time.UTC().Format("15:04:05") + " UTC"
	switch l.Names {
	case "yes":
		text += ", which names " + a.Target
	case "no":
		text += ", which does not name " + a.Target
	}
	text += ": “" + p.Text // last, so that nothing in it passes for ours
	if p.Cut {
		text += "…"
	}
	return text + "”"
}

// ledBy is the way from the first action to this one.
func ledBy(steps []approval.LedBy) string {
	if len(steps) == 0 {
		return ""
	}
	var b strings.Builder
	for _, s := range steps {
		how := "as the asker's side says"
		if s.How == approval.Seen {
			how = "the only one under way"
		}
		b.WriteString(s.Title + " (" + s.ID + ", " + how + ") → ")
	}
	return b.String() + "this"
}

// saw says what the actor, or another of the same person, has seen lately.
func saw(a *approval.Approval, say func(class, format string, args ...any)) {
	if a.Lead == nil {
		return
	}
	for _, s := range a.Lead.Saw {
		what := "what must not leave"
		if s.Kind == approval.SawUntrusted {
			what = "what others wrote, which may tell it what to do"
		}
		by := ""
		if s.Act != "" {
			by = " (" + s.Act + ")"
		}
		say("warn", "%s has lately seen %s: %s at %s UTC%s", Label(s.Actor), what, s.What, s.Time.UTC().Format("15:04:05"), by)
	}
}
