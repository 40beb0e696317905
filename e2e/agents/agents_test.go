//go:build agents

package agents_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const modules = "../../.cache/agents/node_modules/"

// An agent is how one of them is started, and what its model's API says.
type agent struct {
	home  func(t *testing.T, home, model string) // settings before the hook comes
	env   func(model string) []string
	argv  func() []string
	reply func(w http.ResponseWriter, r *http.Request, body map[string]any, next func() *turn)
}

// A turn is one command that the model wants to run; nil: it is done.
type turn struct{ id, command string }

var agents = map[string]agent{
	"claude-code": {
		env: func(model string) []string {
			return []string{"ANTHROPIC_BASE_URL=" + model, "ANTHROPIC_API_KEY=sk-ant-x", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1", "IS_SANDBOX=1"}
		},
		argv: func() []string {
			return []string{modules + "@anthropic-ai/claude-code-linux-x64/claude", "-p", "go", "--permission-mode", "bypassPermissions"}
		},
		reply: claude,
	},
	"codex": {
		home: func(t *testing.T, home, model string) {
			write(t, filepath.Join(home, ".codex/config.toml"), fmt.Sprintf("model = \"gpt-x\"\nmodel_provider = \"stub\"\ncheck_for_update_on_startup = false\n[analytics]\nenabled = false\n[model_providers.stub]\nname = \"stub\"\nbase_url = \"%s/v1\"\nenv_key = \"STUB_KEY\"\nwire_api = \"responses\"\nsupports_websockets = false\n", model))
		},
		env: func(string) []string { return []string{"STUB_KEY=x"} },
		argv: func() []string {
			return []string{modules + "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--dangerously-bypass-hook-trust", "go"}
		},
		reply: codex,
	},
	"gemini": {
		home: func(t *testing.T, home, _ string) {
			write(t, filepath.Join(home, ".gemini/settings.json"), `{"security":{"auth":{"selectedType":"gemini-api-key"}}}`)
		},
		env: func(model string) []string {
			return []string{"GEMINI_API_KEY=x", "GOOGLE_GEMINI_BASE_URL=" + model, "GEMINI_CLI_TRUST_WORKSPACE=true", "GEMINI_TELEMETRY_ENABLED=false"}
		},
		argv: func() []string {
			return []string{"node", modules + "@google/gemini-cli/bundle/gemini.js", "--yolo", "-m", "gemini-2.5-flash", "-p", "go"}
		},
		reply: gemini,
	},
}

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: agents, version: 1.0.0, owner: tests }
rules:
  - { id: reads, match: { kind: [data.read] }, then: allow }
  - { id: masked, match: { actor: [agent] }, then: mask, mask: { pii: redact } }
  - { id: writes-wait, match: { kind: [data.write] }, then: review, approval: { from: [group:reviewers], count: 1, expires: 10m, assurance: token } }
  - { id: never, match: { kind: [data.delete] }, then: deny, reason: nothing goes }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
  - { name: writes, given: { kind: data.write }, want: { decision: review } }
  - { name: deletes, given: { kind: data.delete }, want: { decision: deny } }
`

// TestAgents: what policy allows runs and is masked, what it denies doesn't, what people
// approve while it waits does, and without a server nothing runs.
func TestAgents(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Fatal("the paths of the agents' programs are those of Linux on x86-64")
	}
	dir := t.TempDir()
	assent := filepath.Join(dir, "assent")
	if out, err := exec.Command("go", "build", "-o", assent, "../../cmd/assent").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, filepath.Join(dir, "pack.yaml"), pack)
	write(t, filepath.Join(dir, "assent.yaml"), "data: data\nlisten: 127.0.0.1:0\npolicy: [pack.yaml]\npeople: [{ id: mira, groups: [reviewers] }, { id: dana }]\nactors: [{ id: worker, owner: dana }]\n")
	server := serve(t, assent, dir)
	token := run(t, dir, nil, assent, "token", "mint", "--actor", "worker", "--data", "data")
	mira := run(t, dir, nil, assent, "token", "mint", "--person", "mira", "--scope", "review", "--data", "data")
	for name, a := range agents {
		t.Run(name, func(t *testing.T) {
			model := &model{agent: a, turns: []*turn{{"call_1", "cat data.txt"}, {"call_2", "rm data.txt"}, {"call_3", "echo hello > " + name + ".txt"}}}
			done := make(chan struct{})
			defer close(done)
			go approve(assent, dir, server, mira, name+".txt", done)
			work := model.play(t, assent, name, server, token)
			if got := model.said(); strings.Contains(got, "ann@example.com") || !strings.Contains(got, "[masked:email]") {
				t.Errorf("the model was told %s", got)
			}
			if _, err := os.Stat(filepath.Join(work, "data.txt")); err != nil {
				t.Errorf("what policy denies ran: %v", err)
			}
			if text, err := os.ReadFile(filepath.Join(work, name+".txt")); err != nil || string(text) != "hello\n" {
				t.Errorf("what was approved did not run: %q, %v", text, err)
			}
		})
		t.Run(name+"/without a server", func(t *testing.T) {
			model := &model{agent: a, turns: []*turn{{"call_1", "echo hello > away.txt"}}}
			work := model.play(t, assent, name, "http://127.0.0.1:1", token)
			if _, err := os.Stat(filepath.Join(work, "away.txt")); err == nil {
				t.Error("it ran")
			}
			if !strings.Contains(model.said(), "does not answer") {
				t.Errorf("the model was told %s", model.said())
			}
		})
	}
}

// A model says what comes next, and keeps what it was told.
type model struct {
	agent
	mu    sync.Mutex
	turns []*turn
	told  []string
}

func (m *model) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.told, "\n")
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	raw := new(bytes.Buffer)
	_, _ = raw.ReadFrom(r.Body)
	_ = json.Unmarshal(raw.Bytes(), &body)
	m.mu.Lock()
	m.told = append(m.told, raw.String())
	m.mu.Unlock()
	m.reply(w, r, body, func() *turn {
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.turns) == 0 {
			return nil
		}
		next := m.turns[0]
		m.turns = m.turns[1:]
		return next
	})
}

// play runs an agent to its end and returns the directory it worked in.
func (m *model) play(t *testing.T, assent, name, server, token string) string {
	t.Helper()
	home, work := t.TempDir(), t.TempDir()
	write(t, filepath.Join(work, "data.txt"), "contact ann@example.com\n")
	api := httptest.NewServer(m)
	defer api.Close()
	if m.home != nil {
		m.home(t, home, api.URL)
	}
	env := append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "ASSENT_URL=" + server, "ASSENT_TOKEN=" + token}, m.env(api.URL)...)
	run(t, work, env, assent, "hook", "install", name, "--wait", "60s")
	argv := m.argv()
	for i, a := range argv {
		if strings.HasPrefix(a, modules) {
			argv[i], _ = filepath.Abs(a)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = work, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return work
}

func stream(w http.ResponseWriter, events ...map[string]any) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		data, _ := json.Marshal(e)
		if typ, ok := e["type"].(string); ok {
			fmt.Fprintf(w, "event: %s\n", typ)
		}
		fmt.Fprintf(w, "data: %s\n\n", data)
	}
}

type obj = map[string]any

func claude(w http.ResponseWriter, r *http.Request, body map[string]any, next func() *turn) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/messages") {
		_, _ = w.Write([]byte(`{"input_tokens":1}`))
		return
	}
	var said *turn
	if tools, _ := body["tools"].([]any); len(tools) > 0 {
		said = next()
	}
	block, stop, delta := obj{"type": "text", "text": ""}, "end_turn", obj{"type": "text_delta", "text": "done"}
	if said != nil {
		args, _ := json.Marshal(obj{"command": said.command, "description": "d"})
		block, stop, delta = obj{"type": "tool_use", "id": "toolu_" + said.id, "name": "Bash", "input": obj{}}, "tool_use", obj{"type": "input_json_delta", "partial_json": string(args)}
	}
	stream(w,
		obj{"type": "message_start", "message": obj{"id": "m", "type": "message", "role": "assistant", "model": body["model"], "content": []any{}, "usage": obj{"input_tokens": 1, "output_tokens": 1}}},
		obj{"type": "content_block_start", "index": 0, "content_block": block},
		obj{"type": "content_block_delta", "index": 0, "delta": delta},
		obj{"type": "content_block_stop", "index": 0},
		obj{"type": "message_delta", "delta": obj{"stop_reason": stop}, "usage": obj{"output_tokens": 1}},
		obj{"type": "message_stop"})
}

func codex(w http.ResponseWriter, r *http.Request, _ map[string]any, next func() *turn) {
	if r.Method != http.MethodPost {
		_, _ = w.Write([]byte(`{"data":[],"models":[]}`))
		return
	}
	item := obj{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": []any{obj{"type": "output_text", "text": "done"}}}
	if said := next(); said != nil {
		args, _ := json.Marshal(obj{"cmd": said.command})
		item = obj{"type": "function_call", "id": "f" + said.id, "call_id": said.id, "name": "exec_command", "arguments": string(args), "status": "completed"}
	}
	stream(w, obj{"type": "response.created", "response": obj{"id": "r"}}, obj{"type": "response.output_item.done", "output_index": 0, "item": item},
		obj{"type": "response.completed", "response": obj{"id": "r", "output": []any{item}, "usage": obj{"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}})
}

func gemini(w http.ResponseWriter, r *http.Request, body map[string]any, next func() *turn) {
	part := obj{"text": `{"reasoning":"","next_speaker":"user"}`}
	if tools, _ := body["tools"].([]any); len(tools) > 0 {
		part = obj{"text": "done"}
		if said := next(); said != nil {
			part = obj{"functionCall": obj{"name": "run_shell_command", "args": obj{"command": said.command, "description": "d"}}}
		}
	}
	answer := obj{"totalTokens": 1, "candidates": []any{obj{"content": obj{"role": "model", "parts": []any{part}}, "finishReason": "STOP", "index": 0}}, "usageMetadata": obj{"totalTokenCount": 1}}
	if strings.Contains(r.URL.Path, "stream") {
		stream(w, answer)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// approve answers yes to what waits for a word in it, until done.
func approve(assent, dir, server, token, word string, done chan struct{}) {
	env := []string{"ASSENT_URL=" + server, "ASSENT_TOKEN=" + token, "HOME=" + dir}
	for {
		select {
		case <-done:
			return
		case <-time.After(300 * time.Millisecond):
		}
		list := exec.Command(assent, "list")
		list.Env = env
		out, _ := list.Output()
		for line := range strings.Lines(string(out)) {
			if id := regexp.MustCompile(`apr_\w+`).FindString(line); id != "" && strings.Contains(line, word) {
				yes := exec.Command(assent, "approve", id)
				yes.Env = env
				_ = yes.Run()
			}
		}
	}
}

func serve(t *testing.T, assent, dir string) string {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(assent, "serve", "-c", "assent.yaml")
	cmd.Dir, cmd.Stderr = dir, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = log.Close() })
	ready := regexp.MustCompile(`"msg":"ready","console":"([^"]+)"`)
	for range 300 {
		text, _ := os.ReadFile(log.Name())
		if m := ready.FindSubmatch(text); m != nil {
			return string(m[1])
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("assent serve is not ready")
	return ""
}

func run(t *testing.T, dir string, env []string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", argv, err)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
