package hook

import (
	"encoding/json"

	"github.com/assenthq/assent/internal/jsontext"
)

// codexEvent reads Codex's documents (codex-rs/hooks/schema/generated, and what 0.169.0 sends).
func codexEvent(f fields) (*Event, error) {
	e := &Event{Input: f["tool_input"], Reply: f["tool_response"]}
	return e, f.into(map[string]*string{
		"hook_event_name": &e.Name, "session_id": &e.Session, "cwd": &e.Dir,
		"tool_name": &e.Tool, "tool_use_id": &e.Use, "prompt": &e.Prompt,
	})
}

var codexPhases = map[string]Phase{
	"PreToolUse": Ask, "PermissionRequest": Confirm, "PostToolUse": After, "UserPromptSubmit": Prompt, "SessionEnd": Over,
	"SessionStart": Note, "Stop": Note, "StopFailure": Note, "SubagentStart": Note, "SubagentStop": Note, "PreCompact": Note, "PostCompact": Note,
	"Interrupt": Note, "PreModelRequest": Note,
}

// A codexDocument is strict: a member too many, or a decision that an event doesn't
// know, and Codex goes on as if there was no hook. So there is no allow, no
// continue and no updatedToolOutput in it (0.169.0).
type codexDocument struct {
	Decision string         `json:"decision,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Specific *codexSpecific `json:"hookSpecificOutput,omitempty"`
}

type codexSpecific struct {
	Event      string          `json:"hookEventName"`
	Permission string          `json:"permissionDecision,omitempty"`
	Reason     string          `json:"permissionDecisionReason,omitempty"`
	Decision   *claudeBehavior `json:"decision,omitempty"`
}

func codexAnswer(e *Event, a Answer) any {
	switch {
	case e.Phase == Unread:
		return codexDocument{Decision: "block", Reason: a.Reason}
	case e.Phase == After && a.Reply != nil: // the reason stands in place of what the tool said
		return codexDocument{Decision: "block", Reason: plainReply(a)}
	case a.Verdict == Silent:
		return codexDocument{}
	case e.Phase == Confirm && a.Verdict == Allow:
		return codexDocument{Specific: &codexSpecific{Event: e.Name, Decision: &claudeBehavior{Behavior: "allow"}}}
	case e.Phase == Confirm:
		return codexDocument{Specific: &codexSpecific{Event: e.Name, Decision: &claudeBehavior{Behavior: "deny", Message: a.Reason}}}
	case a.Verdict == Allow:
		return codexDocument{}
	}
	return codexDocument{Specific: &codexSpecific{Event: e.Name, Permission: "deny", Reason: a.Reason}}
}

// plainReply is a reply for agents that take text alone.
func plainReply(a Answer) string {
	if a.Verdict == Deny {
		return a.Reason
	}
	if s, ok := jsontext.Text(a.Reply); ok {
		return s
	}
	return string(json.RawMessage(a.Reply))
}

// codexTools are those that Codex 0.169.0 asks about. Of write_stdin, which types into
// a command that runs already, it doesn't.
var codexTools = map[string]tool{
	"Bash": {do: runs, args: []string{"command"}}, "apply_patch": {do: patches, args: []string{"command|input|patch"}},
	"view_image": {do: reads, args: []string{"path"}}, "NetworkAccess": {do: runsElsewhere, args: []string{"command"}},
	"update_plan": harmless, "get_goal": harmless, "create_goal": harmless, "update_goal": harmless, "request_user_input": harmless,
}
