package card

import (
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

// Resource is the URN without its scheme's repetition: "billing/prod/customers".
func Resource(a *approval.Approval) string {
	if a.Resource.URN == "" {
		return "unnamed resource"
	}
	return a.Resource.URN
}
