package teams

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/notify"
)

const (
	maxLines = 40 // of a statement, each a block of its own
	maxInput = 2000
)

// viewer is for whom a card is drawn.
type viewer struct {
	known bool
	may   error // why they may not answer; nil: they may
}

// nobody in particular: the card that everybody sees until they have their own.
var nobody = viewer{}

type object = map[string]any

// run is text in which nothing is markup: a TextRun is not read as Markdown. Only
// the functions of dates are, so that their braces are kept apart.
func run(s string, more ...object) object {
	for strings.Contains(s, "{{") { // "{{{" holds two
		s = strings.ReplaceAll(s, "{{", "{\u2060{")
	}
	o := object{"type": "TextRun", "text": s}
	for _, m := range more {
		for k, v := range m {
			o[k] = v
		}
	}
	return o
}

func line(runs ...object) object {
	all := make([]any, len(runs))
	for i, r := range runs {
		all[i] = r
	}
	return object{"type": "RichTextBlock", "inlines": all, "spacing": "Small"}
}

var (
	bold   = object{"weight": "Bolder"}
	subtle = object{"isSubtle": true}
	mono   = object{"fontType": "Monospace", "size": "Small"}
)

var riskColour = map[string]string{"crit": "Attention", "high": "Warning", "mod": "Accent"}

var stateColour = map[string]string{"ok": "Good", "bad": "Attention", "warn": "Warning", "wait": "Accent"}

// cardOf draws a card (Adaptive Cards 1.5) for one viewer.
func cardOf(c *card.Card, v viewer) object {
	body := []any{
		line(run(c.Risk.Name, bold, object{"color": riskColour[c.Risk.Class]}), run("  ·  "+c.State.Name, object{"color": stateColour[c.State.Class]})),
		func() object {
			o := line(run(c.Title, bold, object{"size": "Large"}))
			o["spacing"] = "None"
			return o
		}(),
		line(run(c.Who, bold), run(" for "+c.For)),
		line(run(strings.Join(c.Kinds, ", ")+"  ·  "), run(c.On, bold), run(where(c.Where), subtle)),
	}
	body = append(body, statement(c.Statement, c.Cut)...)
	for i := range c.Items {
		it := &c.Items[i]
		body = append(body, line(run(fmt.Sprintf("%d  ", it.N), subtle), run(it.Kind+"  ", object{"color": riskColour[it.Risk.Class]}), run(it.Title)), line(run(it.On, bold), run(where(it.Where), subtle)))
		body = append(body, statement(it.Statement, it.Cut)...)
	}
	body = append(body, line(run(c.Data)))
	for _, e := range c.Effects {
		r := run(e.Text)
		if e.Class == "warn" || e.Class == "unk" {
			r["color"] = "Warning"
		}
		body = append(body, line(r))
	}
	if c.Why != "" || len(c.Rules) > 0 {
		body = append(body, line(run("Why it is held  ", subtle), run(strings.TrimSpace(c.Why+" ("+strings.Join(c.Rules, ", ")+")"))))
	}
	for _, k := range c.Claims {
		body = append(body, line(run("The asker says, unchecked · "+k.Name+"  ", subtle), run(k.Text)))
	}
	for _, r := range c.Talk {
		body = append(body, line(run(r.Name+"  ", bold), run(r.Text)))
	}
	for _, r := range c.Reviews {
		word := "approved"
		if r.Decision != "approve" {
			word = "denied"
		}
		said := ""
		if r.Reason != "" {
			said = ": " + r.Reason
		}
		if r.Only != "" {
			said += " (only with " + r.Only + ")"
		}
		body = append(body, line(run(r.Name+" ", bold), run(word+" in "+r.Channel+said)))
	}
	out := object{"type": "AdaptiveCard", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "version": "1.5"}
	if c.Pending {
		body = append(body, line(run(fmt.Sprintf("Waiting for %s · %d of %d · until %s", c.Asks, c.Filled, c.Seats, utc(c.Expires)))))
		out["refresh"] = object{"action": execute("View", "view", c, nil)}
	} else {
		body = append(body, line(run(strings.TrimSpace(c.State.Says+". "+c.Decided), bold)))
	}
	switch {
	case c.Pending && v.known && v.may != nil:
		body = append(body, line(run(v.may.Error(), subtle)))
	case c.Pending && !c.Chat():
		body = append(body, line(run("It is decided in the console: "+whyThere(c), subtle)))
	}
	out["body"] = body
	out["actions"] = actions(c, v)
	return out
}

func where(to string) string {
	if to == "" {
		return ""
	}
	return "  →  " + to
}

func whyThere(c *card.Card) string {
	switch {
	case !c.Whole():
		return "it is too long to be shown whole here."
	case c.Risk.Class == "crit":
		return "it is critical."
	}
	return "its rule asks for assurance " + c.Assurance + "."
}

func utc(t time.Time) string { return t.UTC().Format("15:04:05 UTC, 2 Jan") }

// statement is one block a line; many lines are one block, each end a visible sign.
func statement(s string, cut int) []any {
	if s == "" {
		return nil
	}
	lines := strings.Split(strings.ReplaceAll(s, "\t", "    "), "\n")
	if len(lines) > maxLines {
		lines = []string{strings.Join(lines, " ⏎ ")}
	}
	var all []any
	for i, l := range lines {
		if l == "" {
			l = " "
		}
		b := line(run(l, mono))
		if i > 0 {
			b["spacing"] = "None"
		}
		all = append(all, b)
	}
	if cut > 0 {
		all = append(all, line(run(fmt.Sprintf("… %d more bytes: only the console shows all of it", cut), object{"color": "Warning"})))
	}
	return []any{object{"type": "Container", "style": "emphasis", "items": all}}
}

// execute is an action that comes back to us; clients that don't know it send it as a message.
func execute(title, verb string, c *card.Card, more object) object {
	data := object{"verb": verb, "id": c.ID, "digest": c.Digest, "version": c.Version}
	o := object{"type": "Action.Execute", "title": title, "verb": verb, "data": data, "fallback": object{"type": "Action.Submit", "title": title, "data": data}}
	for k, v := range more {
		o[k] = v
		if k == "style" {
			o["fallback"].(object)[k] = v
		}
	}
	return o
}

// say is an action with a text that must be given.
func say(title, verb, label, field string, c *card.Card) object {
	return object{"type": "Action.ShowCard", "title": title, "card": object{
		"type": "AdaptiveCard", "body": []any{object{
			"type": "Input.Text", "id": field, "label": label, "isMultiline": true, "isRequired": true, "errorMessage": "Say it in a few words.", "maxLength": maxInput,
		}},
		"actions": []any{execute(title, verb, c, nil)},
	}}
}

func actions(c *card.Card, v viewer) []any {
	var out []any
	if c.Pending && (!v.known || v.may == nil) {
		if c.Chat() {
			out = append(out, execute("Approve once", "approve", c, object{"style": "positive"}))
		}
		if c.Clicks() {
			out = append(out, say("Deny", "deny", "Why not? The asker and the log are told.", "reason", c))
		}
		out = append(out, say("Ask", "ask", "What do you want to know from the asker's side?", "question", c))
	}
	return append(out, object{"type": "Action.OpenUrl", "title": "See in console", "url": c.URL})
}

// noticeOf draws what is no approval.
func noticeOf(n *notify.Notice, publicURL string) object {
	colour := "Accent"
	if n.Grave {
		colour = "Attention"
	}
	body := []any{line(run(n.Title, bold, object{"color": colour, "size": "Large"}))}
	for _, l := range slices.Compact(strings.Split(n.Text, "\n")) {
		if l != "" {
			body = append(body, line(run(l)))
		}
	}
	body = append(body, line(run(utc(n.Time), subtle)))
	out := object{"type": "AdaptiveCard", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "version": "1.5", "body": body}
	if n.Path != "" {
		out["actions"] = []any{object{"type": "Action.OpenUrl", "title": "See in console", "url": strings.TrimSuffix(publicURL, "/") + n.Path}}
	}
	return out
}
