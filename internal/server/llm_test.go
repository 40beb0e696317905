package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

const llmPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: models, version: 1.0.0, owner: tests }
rules:
  - id: models-flow
    match: { kind: [llm.call] }
    when: action.routine && !data.unscanned
    then: allow
  - id: others-wait
    match: { kind: [llm.call, data.export, unknown] }
    when: '!action.routine || data.unscanned || "data.export" in action.kinds'
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
  - id: masked
    match: { actor: [agent] }
    then: mask
    mask: { email: redact }
tests:
  - { name: models, given: { kind: llm.call, routine: true, unscanned: false }, want: { decision: allow } }
`

// modelUpstream says again what it was asked, and keeps it.
type modelUpstream struct {
	mu   sync.Mutex
	seen []string
}

func (u *modelUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	u.seen = append(u.seen, r.Header.Get("Authorization")+" "+string(body))
	u.mu.Unlock()
	content := string(body)
	if _, after, is := strings.Cut(content, `"content":`); is {
		content, _, _ = strings.Cut(after, "}")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":`+content+`,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}}],"usage":{"prompt_tokens":40,"completion_tokens":60}}`)
}

func (u *modelUpstream) all() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return strings.Join(u.seen, "\n")
}

// A model is asked through the gate: values that are masked don't reach it and come back, a value
// that isn't masked waits for a person as an export, the very request goes on once it is approved, and what was
// used is counted over a restart.
func TestLLMGate(t *testing.T) {
	up := &modelUpstream{}
	upstream := httptest.NewServer(up)
	defer upstream.Close()
	s := testServer(t, llmPack, `
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: models
    type: llm
    env: prod
    listen: 127.0.0.1:0
    llm:
      providers: [{ name: openai, api: openai, url: "`+upstream.URL+`/v1", key: { file: key }, models: ["gpt-*"] }]
      budgets: [{ each: person, output_tokens: 150 }]
`, map[string]string{"key": "sk-real\n"})
	token, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	type reply struct {
		status int
		body   string
	}
	post := func(body string) reply {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.GateAddr("models")+"/openai/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return reply{}
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return reply{}
		}
		defer func() { _ = resp.Body.Close() }()
		out, _ := io.ReadAll(resp.Body)
		return reply{resp.StatusCode, string(out)}
	}
	if r := post(`{"model":"gpt-x","messages":[{"role":"user","content":"write to ana.lopes@example.net"}]}`); r.status != 200 || !strings.Contains(r.body, "ana.lopes@example.net") {
		t.Fatalf("%+v", r)
	}
	if seen := up.all(); strings.Contains(seen, "ana.lopes") || !strings.Contains(seen, "Bearer sk-real ") || strings.Contains(seen, token) {
		t.Fatalf("arrived: %s", seen)
	}
	b := &bench{Server: s, t: t}
	b.ledTo(token, "model:call_1", "ask gpt-x at openai")
	const held = `{"model":"gpt-x","messages":[{"role":"user","content":"pay with 4111 1111 1111 1111"}]}`
	done := make(chan reply, 1)
	go func() { done <- post(held) }()
	a := b.waiting(1)[0]
	if !strings.Contains(a.Statement, "pay with") || strings.Contains(a.Statement, "4111 1111") || a.Target != "gpt-x" {
		t.Errorf("%q, %q", a.Statement, a.Target)
	}
	b.approve(a)
	if r := <-done; r.status != 200 || !strings.Contains(r.body, "4111 1111 1111 1111") {
		t.Errorf("%+v", r)
	}
	if !strings.HasSuffix(up.all(), held) {
		t.Errorf("what was approved went on as %s", up.all())
	}
	// The first two have used 120 tokens of 150: one more is asked, and then none.
	if r := post(`{"model":"gpt-x","messages":[{"role":"user","content":"hello"}]}`); r.status != 200 {
		t.Errorf("%+v", r)
	}
	if r := post(`{"model":"gpt-x","messages":[{"role":"user","content":"hello again"}]}`); r.status != 403 || !strings.Contains(r.body, "has no tokens for answers left") {
		t.Errorf("%+v", r)
	}
	if r := post(`{"model":"o9","messages":[{"role":"user","content":"hello"}]}`); r.status != 403 || !strings.Contains(r.body, "not among those") {
		t.Errorf("%+v", r)
	}
}

// ledTo checks that what an actor does next, if it names a parent so, is shown under an action of that title.
func (b *bench) ledTo(token, parent, title string) {
	b.t.Helper()
	authority := b.enforcer.Gate("elsewhere", action.Resource{URN: "test:elsewhere", Type: "test", Env: "prod"}, "")
	v, err := authority.Bearer(b.t.Context(), token)
	if err != nil {
		b.t.Fatal(err)
	}
	session, err := authority.Login(b.t.Context(), v, gate.Peer{Gate: "elsewhere"})
	if err != nil {
		b.t.Fatal(err)
	}
	defer session.Close()
	p, err := session.Enforce(b.t.Context(), &action.Action{
		Kinds: []action.Kind{action.LLMCall}, Routine: true, Verb: "f", Target: "it", Title: "what was called", Shape: "1", Payload: []byte("f"), Statement: "f",
		Claims: action.Claims{Parent: parent},
	}, gate.Hooks{})
	if err != nil {
		b.t.Fatal(err)
	}
	p.Done(gate.Outcome{State: gate.Executed})
	records := b.records(audit.TypeRequest)
	var by string
	for _, r := range records {
		if r.Title == "what was called" {
			by = r.Detail["parent"]
		}
	}
	for _, r := range records {
		if by != "" && r.Detail["act"] == by && r.Title == title {
			return
		}
	}
	b.t.Errorf("nothing led to it, or not %q: %q", title, by)
}
