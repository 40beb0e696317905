package hook

import (
	"encoding/json"
	"errors"
)

// claudeEvent reads Claude Code's documents (@anthropic-ai/claude-agent-sdk 0.3.330, sdk.d.ts).
func claudeEvent(f fields) (*Event, error) {
	if f.has("cursor_version") { // Cursor runs Claude Code's hooks too, and its own beside them
		return nil, errors.New("it is Cursor's, and Claude Code's hook is no hook of Cursor: run assent hook install cursor, and switch third-party hooks off there")
	}
	e := &Event{Input: f["tool_input"], Reply: f["tool_response"]}
	err := f.into(map[string]*string{
		"hook_event_name": &e.Name, "session_id": &e.Session, "cwd": &e.Dir,
		"tool_name": &e.Tool, "tool_use_id": &e.Use, "prompt": &e.Prompt,
	})
	if err != nil {
		return nil, err
	}
	if f.has("mcp_server") {
		server, err := members(f["mcp_server"])
		if err != nil {
			return nil, err
		}
		if e.Server, err = server.text("name"); err != nil {
			return nil, err
		}
	}
	e.NotRun = e.Name == "PermissionDenied"
	return e, nil
}

// claudePhases are HOOK_EVENTS of sdk.d.ts. Of an MCP server's elicitation the person at the
// terminal decides; a change of the model, of files or directories runs nothing.
var claudePhases = map[string]Phase{
	"PreToolUse": Ask, "PermissionRequest": Confirm, "PostToolUse": After, "PostToolUseFailure": Ended, "PermissionDenied": Ended,
	"UserPromptSubmit": Prompt, "SessionEnd": Over,
	"SessionStart": Note, "Stop": Note, "StopFailure": Note, "SubagentStart": Note, "SubagentStop": Note, "PostToolBatch": Note,
	"Notification": Note, "UserPromptExpansion": Note, "PreCompact": Note, "PostCompact": Note, "PreModelSwitch": Note, "PostModelSwitch": Note,
	"Setup": Note, "TeammateIdle": Note, "TaskCreated": Note, "TaskCompleted": Note, "Elicitation": Note, "ElicitationResult": Note,
	"ConfigChange": Note, "WorktreeCreate": Note, "WorktreeRemove": Note, "InstructionsLoaded": Note, "CwdChanged": Note, "FileChanged": Note,
	"DirectoryAdded": Note, "MessageDisplay": Note,
}

type claudeDocument struct {
	Continue *bool           `json:"continue,omitempty"`
	Stop     string          `json:"stopReason,omitempty"`
	Decision string          `json:"decision,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Specific *claudeSpecific `json:"hookSpecificOutput,omitempty"`
}

type claudeSpecific struct {
	Event      string          `json:"hookEventName"`
	Permission string          `json:"permissionDecision,omitempty"`
	Reason     string          `json:"permissionDecisionReason,omitempty"`
	Decision   *claudeBehavior `json:"decision,omitempty"`
	Output     json.RawMessage `json:"updatedToolOutput,omitempty"`
}

type claudeBehavior struct {
	Behavior string `json:"behavior"`
	Message  string `json:"message,omitempty"`
}

// claudeAnswer writes what Claude Code reads. A document that nobody could read stops
// it, and blocks what it asked for: continue alone lets the call run first (2.1.330).
func claudeAnswer(e *Event, a Answer) any {
	s := &claudeSpecific{Event: e.Name}
	switch {
	case e.Phase == Unread:
		return claudeDocument{Continue: new(bool), Stop: a.Reason, Decision: "block", Reason: a.Reason}
	case a.Reply != nil:
		s.Output = a.Reply
	case a.Verdict == Silent:
		return claudeDocument{}
	case e.Phase == Confirm:
		s.Decision = &claudeBehavior{Behavior: "deny", Message: a.Reason}
		if a.Verdict == Allow {
			s.Decision = &claudeBehavior{Behavior: "allow"}
		}
	case a.Verdict == Allow:
		s.Permission = "allow"
	case a.Verdict == Defer:
		s.Permission, s.Reason = "defer", a.Reason
	default:
		s.Permission, s.Reason = "deny", a.Reason
	}
	return claudeDocument{Specific: s}
}

// claudeTools is BUILTIN_TOOL_NAMES and the inputs of sdk-tools.d.ts, and the names that
// earlier versions had. What is not here is unknown.
var claudeTools = map[string]tool{
	"Bash":       {do: runs, args: []string{"command"}},
	"Monitor":    {do: runs, args: []string{"command"}},
	"PowerShell": {do: runsElsewhere, args: []string{"command"}},

	"Read": {do: reads, args: []string{"file_path"}}, "NotebookRead": {do: reads, args: []string{"notebook_path"}},
	"Glob": {do: reads, args: []string{"pattern"}, more: []string{"path"}}, "LS": {do: reads, args: []string{"path"}},
	"Grep":       {do: reads, args: []string{"pattern"}, more: []string{"path", "glob"}, words: true},
	"LSP":        {do: reads, args: []string{"filePath"}},
	"BashOutput": {do: collects}, "TaskOutput": {do: collects},

	"Write": {do: writes, args: []string{"file_path"}}, "Edit": {do: writes, args: []string{"file_path"}},
	"MultiEdit": {do: writes, args: []string{"file_path"}}, "NotebookEdit": {do: writes, args: []string{"notebook_path"}},

	"WebFetch": {do: fetches, args: []string{"url"}}, "WebSearch": {do: searches, args: []string{"query"}},

	"Agent": {do: calls, args: []string{"prompt"}}, "Task": {do: calls, args: []string{"prompt"}},
	"Skill": {do: calls, args: []string{"skill"}}, "Workflow": {do: calls},
	"ReadMcpResourceTool": {do: resource, args: []string{"server", "uri"}}, "ReadMcpResourceDirTool": {do: resource, args: []string{"server", "uri"}},

	"TodoWrite": harmless, "TodoRead": harmless, "AskUserQuestion": harmless, "EnterPlanMode": harmless, "ExitPlanMode": harmless,
	"TaskCreate": harmless, "TaskGet": harmless, "TaskList": harmless, "TaskUpdate": harmless, "TaskStop": harmless, "KillShell": harmless, "KillBash": harmless,
	"ToolSearch": harmless, "ListMcpResourcesTool": harmless,
	"ListAgents": harmless, "WaitForMcpServers": harmless, "CronList": harmless, "ReadNotifications": harmless, "EndConversation": harmless,
	"ReportFindings": harmless, "SetGoal": harmless, "SubagentHandback": harmless,
}
