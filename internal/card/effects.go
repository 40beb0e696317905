package card

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/show"
)

// An Effect is one sentence about what would happen. Class tells known from
// unknown: "known", "unk", "bound" or "warn". Its text is not yet fit to be shown.
type Effect struct{ Class, Text string }

// EffectsOf says what would happen, what bounds it, and what is not known.
func EffectsOf(a *approval.Approval) []Effect {
	var out []Effect
	say := func(class, format string, args ...any) {
		out = append(out, Effect{class, fmt.Sprintf(format, args...)})
	}
	if len(a.Items) > 0 {
		planEffects(a, say)
	} else if ChangesRules(a) {
		say("known", "Changes the rules, exactly as shown, once, on every node")
	} else if n := a.Data.Rows; n.Known {
		say("known", "%s %s of %s", verbOf(a), show.Plural(n.N, "row"), targetOf(a))
	} else if a.Preview == nil || a.Preview.Text == "" {
		say("unk", "%s %s; how many rows is not known before it runs", verbOf(a), targetOf(a))
	}
	sayPreview(say, a.Preview)
	bounds := a.Bounds()
	if bounds.Rows.Known {
		what := "Stops"
		if len(a.Items) > 0 {
			what = "Each stops"
		}
		say("bound", "%s after %s, whatever the statement says", what, show.Plural(bounds.Rows.N, "row"))
	}
	byMethod := map[string][]string{}
	masks := policy.FoldMasks(bounds.Masks)
	for _, class := range slices.Sorted(maps.Keys(masks)) {
		byMethod[masks[class]] = append(byMethod[masks[class]], class)
	}
	for _, method := range slices.Sorted(maps.Keys(byMethod)) {
		say("bound", "Comes back masked (%s): %s", method, strings.Join(byMethod[method], ", "))
	}
	switch {
	case a.Data.Unscanned:
		say("unk", "Part of it could not be decoded, so it was not scanned for sensitive data")
	case !a.Data.ClassesKnown && !ChangesRules(a):
		say("unk", "It may touch more sensitive data than is listed")
	}
	if a.Data.Inferred {
		say("unk", "Masked values can be inferred from it: they stand in a condition or an order")
	}
	saw(a, say)
	if a.OpenTransaction {
		say("warn", "The asker waits inside an open transaction and holds its locks")
	}
	if a.AskerGone {
		say("warn", "The asker has gone away. The same action asked again finds this answer")
	}
	if a.Repeats > 0 {
		say("warn", "Denied %d times in the last hour, and asked again: it needs one seat more", a.Repeats)
	}
	if a.Stamped != "" {
		say("warn", "One person more is asked: %s approves faster than anybody reads", Label(a.Stamped))
	}
	if a.Window > 0 {
		say("bound", "Usable once, within %s of the approval", minutes(a.Window))
	}
	return out
}

// ChangesRules reports whether a is a change of the rules, which touches no data.
func ChangesRules(a *approval.Approval) bool {
	return len(a.Kinds) == 1 && a.Kinds[0] == action.ConfigChange
}

// sayPreview says what the action would do, who found out and when, and whether it is held to that.
func sayPreview(say func(class, format string, args ...any), p *action.Preview) {
	if p == nil {
		return
	}
	if p.Text == "" {
		say("unk", "No preview: %s", p.Why)
		return
	}
	if p.Claimed {
		say("unk", "The asker's side says that it %s (%s, at %s UTC). Nobody of ours looked", p.Text, p.By, p.Time.UTC().Format("15:04:05"))
		return
	}
	class := "known"
	if !p.Rows.Known && !p.Destroys.Known {
		class = "unk"
	}
	say(class, "Preview: it %s, found at %s UTC by %s", p.Text, p.Time.UTC().Format("15:04:05"), p.By)
	if n := p.Bound(); n.Known {
		say("bound", "Held to %s: if it would change more, nothing of it is kept", show.Plural(n.N, "row"))
	} else if p.Why != "" {
		say("warn", "%s", p.Why)
	}
}

func verbOf(a *approval.Approval) string {
	switch Worst(a.Kinds) {
	case action.DataExport:
		return "Exports"
	case action.DataRead:
		return "Reads"
	case action.DataDelete:
		return "Deletes"
	case action.DataWrite:
		return "Writes"
	case action.SchemaChange:
		return "Changes the schema:"
	case action.PrivilegeChange, action.IdentityChange:
		return "Changes who may do what:"
	}
	return "Does " + a.Verb + " on"
}

func targetOf(a *approval.Approval) string {
	if a.Target != "" {
		return a.Target
	}
	return Resource(a)
}

func minutes(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return d.Round(time.Second).String()
}
