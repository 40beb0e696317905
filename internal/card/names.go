package card

import (
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/approval"
)

// Label is an id without the word that only machines need: "agent:x" is "x".
func Label(id string) string {
	if _, name, ok := strings.Cut(id, ":"); ok && name != "" {
		return name
	}
	return id
}

// A State is an approval's state in words and colour.
type State struct{ Class, Name, Says string }

// StateOf tells them apart: expired, denied and pending are three answers.
func StateOf(a *approval.Approval) State {
	if says := a.Reveals(); says != "" {
		return State{"dim", "canary", says}
	}
	switch a.State {
	case approval.Pending:
		return State{"wait", "waiting", "Waiting for people"}
	case approval.Approved:
		return State{"ok", "approved", "Approved. It has not run yet"}
	case approval.Denied:
		return State{"bad", "denied", "Denied by a person"}
	case approval.Expired:
		if a.Decided.IsZero() || len(a.Reviews) == 0 {
			return State{"warn", "expired", "Expired. Nobody decided in time, so it was not allowed"}
		}
		return State{"warn", "expired", "Expired. It was not used in time"}
	case approval.Withdrawn:
		return State{"dim", "withdrawn", "Withdrawn. It can no longer run"}
	case approval.Executing:
		return State{"ok", "running", "Approved, and running now"}
	case approval.Executed:
		return State{"ok", "executed", "Approved, and it ran"}
	case approval.Failed:
		return State{"bad", "failed", "Approved. It ran and failed"}
	case approval.Unknown:
		return State{"warn", "unknown", "Approved. The connection was lost, so nobody here knows whether it ran"}
	}
	return State{"warn", "unclear", "In a state this edition doesn't know. Nothing is allowed by it"}
}

// Agent names who acts.
func Agent(a *approval.Approval) string {
	if len(a.Asker.Chain) > 0 {
		return Label(a.Asker.Chain[0].ID)
	}
	return "nobody"
}

// Subject names for whom.
func Subject(a *approval.Approval) string {
	switch s := a.Asker.Subject; {
	case s.Name != "":
		return s.Name
	case s.ID != "":
		return Label(s.ID)
	}
	return "nobody"
}

// Resource names what a is done to: of a plan, everything that it is done to.
func Resource(a *approval.Approval) string {
	if all := strings.Join(a.Places(), ", "); all != "" {
		return all
	}
	return "unnamed resource"
}

// Where names the places outside to which data leaves, each once; "" when all
// of it goes back to the asker.
func Where(a *approval.Approval) string {
	var out []string
	add := func(to string) {
		if to != "" && to != "client" && !slices.Contains(out, to) {
			out = append(out, to)
		}
	}
	for i := range a.Items {
		add(a.Items[i].Data.Destination)
	}
	if len(a.Items) == 0 {
		add(a.Data.Destination)
	}
	return strings.Join(out, ", ")
}

// WhereTrust is how far those places are trusted: of several, as the least trusted.
func WhereTrust(a *approval.Approval) string {
	if len(a.Items) == 0 {
		return a.Data.DestinationTrust
	}
	all := map[string]bool{}
	for i := range a.Items {
		if d := &a.Items[i].Data; d.Destination != "" && d.Destination != "client" {
			all[d.DestinationTrust] = true
		}
	}
	switch {
	case all["external"]:
		return "external"
	case len(all) == 1 && all["internal"]:
		return "internal"
	}
	return ""
}
