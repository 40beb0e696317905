// Package hookfiles puts Assent's hook into the settings of coding agents, takes it
// out again, and says what is wrong with it there.
//
// It promises to keep every byte that is not its own, that what it took out is as if
// it had never been there where nobody edited the file since, that a file is replaced
// whole or not at all, and that hooks of others stay. It refuses files that it can't
// read whole, and links that lead out of a project.
//
// What it can't see: settings that an agent gets from elsewhere (a server, a plugin, its
// command line), and whether the agent heeds them.
package hookfiles

import (
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Scopes are where settings may stand: a person's own, a project's, a machine's.
var scopes = []string{"user", "project", "managed"}

// Scopes are the names of the places that settings may stand in.
func Scopes() []string { return slices.Clone(scopes) }

// An agent is what is known of the settings of one.
type agent struct {
	program string            // that answers --version
	dir     string            // environment variable that moves the user's directory
	user    string            // under the home directory, or under dir
	project string            // under the project
	managed map[string]string // by operating system
	asks    []string          // events that must be refused when the hook fails
	tells   []string          // events that are only told
	nested  bool              // an event has groups of hooks, and each of them hooks
	matcher bool              // a group says which tools
	seconds int               // how long 600 seconds are in the agent's unit
	closed  [2]string         // the member and its value that make a failure a no; "" where there is none
	known   []string          // every event; nil: others are no harm
}

var agents = map[string]agent{
	"claude-code": {
		program: "claude", dir: "CLAUDE_CONFIG_DIR", user: ".claude/settings.json", project: ".claude/settings.json",
		managed: map[string]string{"linux": "/etc/claude-code/managed-settings.json", "darwin": "/Library/Application Support/ClaudeCode/managed-settings.json", "windows": `C:\Program Files\ClaudeCode\managed-settings.json`},
		asks:    []string{"PreToolUse"}, tells: []string{"PostToolUse", "PostToolUseFailure", "PermissionDenied", "UserPromptSubmit", "SessionEnd"},
		nested: true, matcher: true, seconds: 600, closed: [2]string{"onFailure", `"block"`},
	},
	"codex": {
		program: "codex", dir: "CODEX_HOME", user: ".codex/hooks.json", project: ".codex/hooks.json",
		asks: []string{"PreToolUse"}, tells: []string{"PostToolUse", "UserPromptSubmit", "SessionEnd"},
		nested: true, seconds: 600,
	},
	"cursor": {
		program: "cursor-agent", user: ".cursor/hooks.json", project: ".cursor/hooks.json",
		managed: map[string]string{"linux": "/etc/cursor/hooks.json", "darwin": "/Library/Application Support/Cursor/hooks.json", "windows": `C:\ProgramData\Cursor\hooks.json`},
		asks:    []string{"preToolUse", "beforeShellExecution", "beforeMCPExecution", "beforeReadFile", "subagentStart"}, tells: []string{"postToolUse", "postToolUseFailure", "beforeSubmitPrompt", "sessionEnd"},
		seconds: 600, closed: [2]string{"failClosed", "true"},
		known: strings.Fields("beforeShellExecution beforeMCPExecution afterShellExecution afterMCPExecution beforeReadFile afterFileEdit beforeTabFileRead afterTabFileEdit stop beforeSubmitPrompt afterAgentResponse afterAgentThought sessionStart sessionEnd preCompact subagentStart subagentStop preToolUse postToolUse postToolUseFailure workspaceOpen"),
	},
	"gemini": {
		program: "gemini", user: ".gemini/settings.json", project: ".gemini/settings.json",
		managed: map[string]string{"linux": "/etc/gemini-cli/settings.json", "darwin": "/Library/Application Support/GeminiCli/settings.json", "windows": `C:\ProgramData\gemini-cli\settings.json`},
		asks:    []string{"BeforeTool"}, tells: []string{"AfterTool", "BeforeAgent", "SessionEnd"},
		nested: true, seconds: 600_000,
	},
}

// Places say where to look. Getenv is os.Getenv but in tests.
type Places struct {
	Home, Project, Root string // Root stands before managed paths in tests; else ""
	Getenv              func(string) string
}

// Path is where an agent's settings of a scope stand.
func (p Places) Path(name, scope string) (string, error) {
	a, ok := agents[name]
	if !ok {
		return "", fmt.Errorf("there is no agent %q", name)
	}
	switch scope {
	case "user":
		if dir := p.Getenv(a.dir); a.dir != "" && dir != "" {
			return filepath.Join(dir, filepath.Base(a.user)), nil
		}
		return filepath.Join(p.Home, filepath.FromSlash(a.user)), nil
	case "project":
		return filepath.Join(p.Project, filepath.FromSlash(a.project)), nil
	case "managed":
		if path := a.managed[runtime.GOOS]; path != "" {
			return filepath.Join(p.Root, path), nil
		}
		return "", fmt.Errorf("where %s reads managed hooks on %s is not known: use --scope user or project", name, runtime.GOOS)
	}
	return "", fmt.Errorf("scope %q: it is %s", scope, strings.Join(scopes, ", "))
}

// ours matches a command that is assent hook AGENT, however it is called: also by a
// program that was installed under a name with its version or platform.
func ours(name string) *regexp.Regexp {
	return regexp.MustCompile(`(^|[/\\"' ])assent([-._][-._0-9A-Za-z]*)?["']?\s+hook\s+` + regexp.QuoteMeta(name) + `(\s|$)`)
}

// Command is the command line of the hook: program is a path, flags are its own.
func Command(program, name string, flags []string) (string, error) {
	words := append([]string{program, "hook", name}, flags...)
	for i, w := range words {
		if strings.ContainsAny(w, "'\n\r\x00") {
			return "", fmt.Errorf("%q can't stand in a command line", w)
		}
		if strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,") != "" {
			words[i] = "'" + w + "'"
		}
	}
	line := strings.Join(words, " ")
	if name == "cursor" && strings.Contains(line, "//") {
		return "", fmt.Errorf("Cursor takes // for a comment wherever it stands: set ASSENT_URL for it in place of --url")
	}
	return line, nil
}

// fallback makes the shell say no where assent itself can't: it is gone, or was killed.
func fallback() string {
	if runtime.GOOS == "windows" {
		return ""
	}
	return ` || { echo "Assent did not answer, so the answer is no" >&2; exit 2; }`
}
