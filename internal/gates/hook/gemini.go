package hook

import "strings"

// geminiEvent reads Gemini CLI's documents (docs/hooks/reference.md, and
// @google/gemini-cli-core 0.61.0).
func geminiEvent(f fields) (*Event, error) {
	e := &Event{Input: f["tool_input"], Reply: f["tool_response"]}
	err := f.into(map[string]*string{
		"hook_event_name": &e.Name, "session_id": &e.Session, "cwd": &e.Dir, "tool_name": &e.Tool, "prompt": &e.Prompt,
	})
	if err != nil {
		return nil, err
	}
	if f.has("tool_response") { // what the model reads of it
		reply, err := members(e.Reply)
		if err != nil {
			return nil, err
		}
		e.Reply = reply["llmContent"]
	}
	if rest, ok := strings.CutPrefix(e.Tool, "mcp_"); ok && !strings.HasPrefix(rest, "_") { // mcp_SERVER_TOOL: where the one ends nobody can tell
		e.Server = rest
	}
	if f.has("mcp_context") {
		context, err := members(f["mcp_context"])
		if err != nil {
			return nil, err
		}
		if e.Server, err = context.text("server_name"); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// What a model is asked and answers runs nothing here: the tools it calls come by themselves.
var geminiPhases = map[string]Phase{
	"BeforeTool": Ask, "AfterTool": After, "BeforeAgent": Prompt, "SessionEnd": Over,
	"SessionStart": Note, "AfterAgent": Note, "BeforeModel": Note, "AfterModel": Note, "BeforeToolSelection": Note, "Notification": Note, "PreCompress": Note,
}

type geminiDocument struct {
	Decision string `json:"decision,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// geminiAnswer writes what Gemini CLI reads. 0.61.0 knows no replacement of what a tool
// said but the reason of a denial, which the model is shown in its place.
func geminiAnswer(e *Event, a Answer) any {
	switch {
	case e.Phase == After && a.Reply != nil:
		return geminiDocument{Decision: "deny", Reason: plainReply(a)}
	case a.Verdict == Silent && e.Phase != Unread:
		return geminiDocument{}
	case a.Verdict == Allow && e.Phase == Ask:
		return geminiDocument{Decision: "allow"}
	}
	return geminiDocument{Decision: "deny", Reason: a.Reason}
}

// geminiTools are those of tools/definitions/base-declarations.js and tools/tool-names.js.
var geminiTools = map[string]tool{
	"run_shell_command": {do: runs, args: []string{"command"}, more: []string{"dir_path|directory"}},

	"read_file": {do: reads, args: []string{"file_path|absolute_path"}}, "list_directory": {do: reads, args: []string{"dir_path|path"}},
	"glob": {do: reads, args: []string{"pattern"}, more: []string{"dir_path|path"}}, "read_many_files": {do: readsMany},
	"grep_search":         {do: reads, args: []string{"pattern"}, more: []string{"dir_path|path", "include_pattern|include"}, words: true},
	"search_file_content": {do: reads, args: []string{"pattern"}, more: []string{"dir_path|path", "include_pattern|include"}, words: true},

	"write_file": {do: writes, args: []string{"file_path"}}, "replace": {do: writes, args: []string{"file_path"}},
	"save_memory": {do: calls, args: []string{"fact"}},

	"web_fetch": {do: fetchesAny, args: []string{"url|prompt"}}, "google_web_search": {do: searches, args: []string{"query"}},

	"invoke_agent": {do: calls}, "activate_skill": {do: calls}, "read_mcp_resource": {do: resourceOf, args: []string{"uri"}},

	"write_todos": harmless, "ask_user": harmless, "enter_plan_mode": harmless, "exit_plan_mode": harmless, "update_topic": harmless, "complete_task": harmless,
	"get_internal_docs": harmless, "list_mcp_resources": harmless, "tracker_create_task": harmless, "tracker_update_task": harmless, "tracker_get_task": harmless,
	"tracker_list_tasks": harmless, "tracker_add_dependency": harmless, "tracker_visualize": harmless,
}
