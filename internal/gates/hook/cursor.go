package hook

import (
	"encoding/json"

	"github.com/assenthq/assent/internal/jsontext"
)

// cursorEvent reads Cursor's documents (cursor.com/docs/hooks, read November 2026). One
// call may be announced twice: by preToolUse, and by the event of its kind.
func cursorEvent(f fields) (*Event, error) {
	e := &Event{Input: f["tool_input"]}
	var conversation, root string
	err := f.into(map[string]*string{
		"hook_event_name": &e.Name, "session_id": &e.Session, "conversation_id": &conversation, "cwd": &e.Dir,
		"tool_name": &e.Tool, "tool_use_id": &e.Use, "prompt": &e.Prompt,
	})
	if err != nil {
		return nil, err
	}
	if conversation != "" {
		e.Session = conversation
	}
	if root, err = firstRoot(f["workspace_roots"]); err != nil {
		return nil, err
	}
	if e.Dir == "" {
		e.Dir = root
	}
	if s, ok := jsontext.Text(e.Input); ok { // of MCP tools it is JSON in a string
		e.Input = []byte(s)
		if err := jsontext.Check(e.Input); err != nil {
			return nil, err
		}
	}
	if s, ok := jsontext.Text(f["tool_output"]); ok {
		e.Reply = f["tool_output"]
		if jsontext.Check([]byte(s)) == nil {
			e.Reply = []byte(s)
		}
	} else {
		e.Reply = f["tool_output"]
	}
	return e, e.cursorCall(f)
}

// firstRoot is the workspace's first directory.
func firstRoot(list []byte) (string, error) {
	if len(list) == 0 || string(list) == "null" {
		return "", nil
	}
	var roots []string
	if err := json.Unmarshal(list, &roots); err != nil || len(roots) == 0 {
		return "", nil // it is only where relative paths begin
	}
	return roots[0], nil
}

// cursorCall brings the events of one kind into the form of preToolUse.
func (e *Event) cursorCall(f fields) error {
	switch e.Name {
	case "beforeShellExecution":
		e.Tool, e.Input = "Shell", only(f, "command")
	case "beforeReadFile", "beforeTabFileRead":
		e.Tool, e.Input = "Read", only(f, "file_path")
	case "beforeMCPExecution":
		if e.Tool != "" {
			e.Tool = "MCP:" + e.Tool
		}
	case "subagentStart":
		e.Tool, e.Input = "Task", only(f, "task", "subagent_type")
		if err := f.into(map[string]*string{"subagent_id": &e.Use}); err != nil {
			return err
		}
	}
	in, err := members(e.Input)
	if err != nil {
		return nil // read says what is wrong with it
	}
	for _, name := range map[string][]string{"Shell": {"command"}, "Read": {"file_path", "path", "target_file"}}[e.Tool] {
		if s, err := in.text(name); err == nil && s != "" {
			e.Like = e.Tool + "\x00" + s
			break
		}
	}
	return nil
}

// only is an object of some members of f.
func only(f fields, names ...string) []byte {
	out := map[string]json.RawMessage{}
	for _, name := range names {
		if f.has(name) {
			out[name] = f[name]
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil
	}
	return b
}

var cursorPhases = map[string]Phase{
	"preToolUse": Ask, "beforeShellExecution": Confirm, "beforeMCPExecution": Confirm, "beforeReadFile": Confirm, "beforeTabFileRead": Confirm, "subagentStart": Confirm,
	"postToolUse": After, "postToolUseFailure": Ended, "beforeSubmitPrompt": Prompt, "sessionEnd": Over,
	"afterShellExecution": Note, "afterMCPExecution": Note, "afterFileEdit": Note, "afterTabFileEdit": Note, "afterAgentResponse": Note, "afterAgentThought": Note,
	"sessionStart": Note, "stop": Note, "subagentStop": Note, "preCompact": Note, "workspaceOpen": Note,
}

type cursorDocument struct {
	Permission string          `json:"permission,omitempty"`
	User       string          `json:"user_message,omitempty"`
	Agent      string          `json:"agent_message,omitempty"`
	Output     json.RawMessage `json:"updated_mcp_tool_output,omitempty"`
}

// cursorAnswer writes what Cursor reads. It takes another output of MCP tools alone.
func cursorAnswer(e *Event, a Answer) any {
	switch {
	case e.Phase == After:
		if _, _, mcp := e.mcpTool(); mcp {
			return cursorDocument{Output: a.Reply}
		}
		return cursorDocument{}
	case a.Verdict == Silent && e.Phase == Confirm, a.Verdict == Allow:
		return cursorDocument{Permission: "allow"}
	case a.Verdict == Silent && e.Phase != Unread:
		return cursorDocument{}
	}
	return cursorDocument{Permission: "deny", User: a.Reason, Agent: a.Reason}
}

var cursorTools = map[string]tool{
	"Shell": {do: runs, args: []string{"command"}, more: []string{"cwd|working_directory"}},

	"Read": {do: reads, args: []string{"file_path|path|target_file"}}, "ReadFile": {do: reads, args: []string{"file_path|path|target_file"}},
	"LS": {do: reads, args: []string{"path|target_directory"}}, "Glob": {do: reads, args: []string{"pattern|glob_pattern"}, more: []string{"path|target_directory"}},
	"Grep":      {do: reads, args: []string{"pattern"}, more: []string{"path", "glob"}, words: true},
	"ReadLints": {do: collects},

	"Write": {do: writes, args: []string{"file_path|path"}}, "StrReplace": {do: writes, args: []string{"file_path|path"}}, "Edit": {do: writes, args: []string{"file_path|path"}},
	"TabWrite": {do: writes, args: []string{"file_path|path"}}, "EditNotebook": {do: writes, args: []string{"target_notebook|file_path|path"}},
	"Delete": {do: deletes, args: []string{"file_path|path|target_file"}}, "ApplyPatch": {do: patches, args: []string{"patch|input"}},

	"WebFetch": {do: fetches, args: []string{"url"}}, "WebSearch": {do: searches, args: []string{"search_term|query"}},
	"Task": {do: calls}, "TodoWrite": harmless, "AskQuestion": harmless, "SwitchMode": harmless,
}
