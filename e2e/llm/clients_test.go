// Package llm_test drives the gate of language models with the official clients of
// OpenAI and Anthropic, in Python and JavaScript, as assent run leads them: nothing that is masked
// arrives, answers come back whole, and a held call goes on once it is approved.
package llm_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/server"
)

const (
	email = "alice.roe@example.com"
	card  = "4111 1111 1111 1111"
)

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: models, version: 1.0.0, owner: tests }
rules:
  - id: models-flow
    match: { kind: [llm.call] }
    when: action.routine && !data.unscanned
    then: allow
  - id: exports-wait
    match: { kind: [data.export] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
  - id: masked
    match: { actor: [agent] }
    then: mask
    mask: { email: redact }
tests:
  - { name: models, given: { kind: llm.call, routine: true, unscanned: false }, want: { decision: allow } }
`

// A model says again what it was told, letter by letter where it is streamed, and keeps what arrived.
type model struct {
	mu      sync.Mutex
	arrived strings.Builder
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	_ = r.Header.Write(&m.arrived)
	m.arrived.WriteString(r.URL.String() + "\n" + string(body) + "\n")
	m.mu.Unlock()
	var in struct {
		Stream   bool
		Tools    []any
		Input    string
		Messages []struct{ Content string }
	}
	_ = json.Unmarshal(body, &in)
	if len(in.Messages) > 0 {
		in.Input = in.Messages[0].Content
	}
	said := "you said: " + in.Input
	args := fmt.Sprintf(`{"to": %s}`, quote(in.Input))
	s := &script{w: w, stream: in.Stream}
	switch {
	case r.URL.Path == "/v1/models":
		s.json(`{"object":"list","data":[{"id":"gpt-x","object":"model","created":1,"owned_by":"x"}]}`)
	case r.URL.Path == "/v1/chat/completions":
		s.chat(said, args, len(in.Tools) > 0)
	case r.URL.Path == "/v1/responses":
		s.responses(said, args)
	default:
		s.messages(said, args, len(in.Tools) > 0)
	}
}

func quote(s string) string {
	out, _ := json.Marshal(s)
	return string(out)
}

type script struct {
	w      http.ResponseWriter
	stream bool
	number int
}

func (s *script) json(doc string) {
	s.w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(s.w, doc)
}

func (s *script) event(name, data string) {
	s.w.Header().Set("Content-Type", "text/event-stream")
	if name != "" {
		name = "event: " + name + "\n"
	}
	_, _ = io.WriteString(s.w, name+"data: "+data+"\n\n")
	s.w.(http.Flusher).Flush()
}

func (s *script) chat(said, args string, tools bool) {
	const head = `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-x","choices":[{"index":0,"delta":`
	if !s.stream {
		s.json(`{"id":"c1","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":` + quote(said) + `,"refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
		return
	}
	s.event("", head+`{"role":"assistant","content":""},"finish_reason":null}]}`)
	for _, c := range said {
		s.event("", head+`{"content":`+quote(string(c))+`},"finish_reason":null}]}`)
	}
	if tools {
		s.event("", head+`{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"send","arguments":""}}]},"finish_reason":null}]}`)
		for _, c := range args {
			s.event("", head+`{"tool_calls":[{"index":0,"function":{"arguments":`+quote(string(c))+`}}]},"finish_reason":null}]}`)
		}
	}
	s.event("", head+`{},"finish_reason":"stop"}]}`)
	s.event("", `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
	s.event("", "[DONE]")
}

func (s *script) numbered(kind, rest string) {
	s.event(kind, fmt.Sprintf(`{"type":%q,"sequence_number":%d%s}`, kind, s.number, rest))
	s.number++
}

func (s *script) responses(said, args string) {
	response := func(status, output string) string {
		return `,"response":{"id":"r1","object":"response","created_at":1,"model":"gpt-x","status":"` + status + `","output":[` + output + `],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":null}`
	}
	text := func(s string) string {
		return `{"type":"output_text","text":` + quote(s) + `,"annotations":[],"logprobs":[]}`
	}
	message := `{"id":"m1","type":"message","role":"assistant","status":"completed","content":[` + text(said) + `]}`
	call := func(args string) string {
		return `{"id":"f1","type":"function_call","call_id":"call_1","name":"send","status":"completed","arguments":` + quote(args) + `}`
	}
	s.numbered("response.created", response("in_progress", ""))
	s.numbered("response.output_item.added", `,"output_index":0,"item":{"id":"m1","type":"message","role":"assistant","status":"in_progress","content":[]}`)
	s.numbered("response.content_part.added", `,"item_id":"m1","output_index":0,"content_index":0,"part":`+text(""))
	for _, c := range said {
		s.numbered("response.output_text.delta", `,"item_id":"m1","output_index":0,"content_index":0,"logprobs":[],"delta":`+quote(string(c)))
	}
	s.numbered("response.output_text.done", `,"item_id":"m1","output_index":0,"content_index":0,"logprobs":[],"text":`+quote(said))
	s.numbered("response.content_part.done", `,"item_id":"m1","output_index":0,"content_index":0,"part":`+text(said))
	s.numbered("response.output_item.done", `,"output_index":0,"item":`+message)
	s.numbered("response.output_item.added", `,"output_index":1,"item":`+call(""))
	for _, c := range args {
		s.numbered("response.function_call_arguments.delta", `,"item_id":"f1","output_index":1,"delta":`+quote(string(c)))
	}
	s.numbered("response.function_call_arguments.done", `,"item_id":"f1","output_index":1,"name":"send","arguments":`+quote(args))
	s.numbered("response.output_item.done", `,"output_index":1,"item":`+call(args))
	s.numbered("response.completed", response("completed", message+","+call(args)))
}

func (s *script) messages(said, args string, tools bool) {
	const head = `"id":"msg_1","type":"message","role":"assistant","model":"claude-x"`
	if !s.stream {
		s.json(`{` + head + `,"content":[{"type":"text","text":` + quote(said) + `}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}`)
		return
	}
	event := func(kind, rest string) { s.event(kind, `{"type":"`+kind+`"`+rest+`}`) }
	event("message_start", `,"message":{`+head+`,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}`)
	event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
	event("ping", "")
	for _, c := range said {
		event("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":`+quote(string(c))+`}`)
	}
	event("content_block_stop", `,"index":0`)
	if tools {
		event("content_block_start", `,"index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"send","input":{}}`)
		for _, c := range args {
			event("content_block_delta", `,"index":1,"delta":{"type":"input_json_delta","partial_json":`+quote(string(c))+`}`)
		}
		event("content_block_stop", `,"index":1`)
	}
	event("message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}`)
	event("message_stop", "")
}

// A line is what a client tells.
type line struct{ Name, Text, Final, To, Retries string }

func TestOfficialClients(t *testing.T) {
	assent := filepath.Join(t.TempDir(), "assent")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", assent, "../../cmd/assent").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	python, err := filepath.Abs("../../.cache/llm/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	for name, argv := range map[string][]string{"python": {python, "client.py"}, "node": {"node", "client.mjs"}} {
		t.Run(name, func(t *testing.T) { drive(t, assent, argv) })
	}
}

func drive(t *testing.T, assent string, argv []string) {
	m := &model{}
	upstream := httptest.NewServer(m)
	t.Cleanup(upstream.Close)
	s, mira, agent := house(t, upstream.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, assent, append(append([]string{"--url", s.URL(), "run", "--"}, argv...), email, card)...)
	cmd.Env = append(os.Environ(), "ASSENT_TOKEN="+agent, "OPENAI_API_KEY=sk-own", "ANTHROPIC_API_KEY=sk-ant-own", "HOME="+t.TempDir())
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := "you said: I am " + email
	want := map[string]line{
		"chat": {Text: said}, "chat stream": {Text: said, To: "I am " + email}, "chat accumulated": {Text: said},
		"responses stream": {Text: said, Final: said, To: "I am " + email},
		"messages":         {Text: said}, "messages stream": {Text: said, Final: said, To: "I am " + email},
		"models": {Text: "gpt-x"}, "asking": {}, "held": {Text: "you said: pay with " + card},
	}
	seen := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			continue
		}
		seen++
		if strings.HasSuffix(l.Name, " denied") {
			if l.Retries != "0" || !strings.Contains(l.Text, "github-token in messages[0].content") || strings.Contains(l.Text, "ghp_") {
				t.Errorf("%+v", l)
			}
			continue
		}
		w := want[l.Name]
		if w.Name = l.Name; l != w {
			t.Errorf("%+v, want %+v", l, w)
		}
		if l.Name == "asking" {
			approve(t, mira)
		}
	}
	if err := cmd.Wait(); err != nil || seen != len(want)+2 {
		t.Errorf("%v after %d lines: %s", err, seen, errs.String())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	arrived := m.arrived.String()
	for _, not := range []string{email, "alice", "ghp_", "sk-own", "sk-ant-own", agent} {
		if strings.Contains(arrived, not) {
			t.Errorf("%s arrived", not)
		}
	}
	if strings.Contains(arrived, "Assent-Session") || strings.Contains(arrived, "run-") {
		t.Error("the session's name arrived")
	}
	if strings.Count(arrived, card) != 1 || !strings.Contains(arrived, "Authorization: Bearer real-key") || !strings.Contains(arrived, "X-Api-Key: real-key") {
		t.Errorf("arrived: %s", arrived)
	}
}

// approve answers the one approval that comes to wait.
func approve(t *testing.T, mira *client.Client) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		page, err := mira.Approvals(t.Context(), client.ListOptions{States: []string{"pending"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Approvals) != 1 {
			continue
		}
		if _, err := mira.Review(t.Context(), page.Approvals[0], "approve", ""); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("nothing came to wait for people")
}

// house is a real server with a gate before the model, a reviewer and an agent's token.
func house(t *testing.T, model string) (*server.Server, *client.Client, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"pack.yaml": pack, "key": "real-key\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := server.ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: models
    type: llm
    env: test
    listen: 127.0.0.1:0
    llm:
      providers:
        - { name: openai, api: openai, url: "`+model+`", key: { file: key }, models: ["gpt-*"] }
        - { name: anthropic, api: anthropic, url: "`+model+`", key: { file: key }, models: ["claude-*"] }
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	mint := func(m identity.MintRequest) string {
		m.TTL, m.By = time.Hour, "test"
		token, err := s.Mint(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	agent := mint(identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}})
	mira, err := client.New(s.URL(), mint(identity.MintRequest{Kind: identity.KindPerson, Subject: "person:mira", Scopes: []string{"review"}}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, mira, agent
}
