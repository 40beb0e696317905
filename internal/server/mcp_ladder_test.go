package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/assenthq/assent/internal/approval"
)

// A ladderBench is a deployment with a gate before a real MCP server.
type ladderBench struct {
	*bench
	gate, token, other string
	ran                atomic.Int64 // writes that reached the server
}

// newLadder starts one. The server's tool run_code calls what it is told to through
// the gate, as the agent whose token it was given.
func newLadder(t *testing.T, more ...string) *ladderBench {
	t.Helper()
	l := &ladderBench{}
	s := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "write_note"}, func(_ context.Context, _ *mcp.CallToolRequest, a noteArgs) (*mcp.CallToolResult, any, error) {
		l.ran.Add(1)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "wrote " + a.Text}}}, nil, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "run_code"}, func(ctx context.Context, _ *mcp.CallToolRequest, a noteArgs) (*mcp.CallToolResult, any, error) {
		cs, err := l.dial(ctx, l.token, nil, "")
		if err != nil {
			return nil, nil, err
		}
		defer func() { _ = cs.Close() }()
		r, err := cs.CallTool(ctx, &mcp.CallToolParams{Name: "write_note", Arguments: map[string]any{"text": a.Text}})
		return r, nil, err
	})
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: true})
	up := httptest.NewServer(h)
	t.Cleanup(up.Close)
	servers := ""
	for _, name := range append([]string{"notes"}, more...) {
		servers += `
      - { name: ` + name + `, url: "` + up.URL + `", tools: [{ tool: write_note, kinds: [data.write] }, { tool: run_code, kinds: [data.read] }] }`
	}
	l.bench = &bench{t: t, Server: testServer(t, mcpPack, `
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }, { id: twin, owner: dana }]
gates:
  - name: tools
    type: mcp
    env: prod
    listen: 127.0.0.1:0
    servers:`+servers+"\n", nil)}
	l.gate = "http://" + l.GateAddr("tools") + "/mcp"
	l.token, l.other = l.agentToken("agent:worker"), l.agentToken("agent:twin")
	return l
}

func (l *ladderBench) dial(ctx context.Context, token string, o *mcp.ClientOptions, version string) (*mcp.ClientSession, error) {
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, o)
	return c.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: l.gate, HTTPClient: &http.Client{Transport: withToken(token)}, MaxRetries: -1}, &mcp.ClientSessionOptions{ProtocolVersion: version})
}

func (l *ladderBench) client(o *mcp.ClientOptions, version string) *mcp.ClientSession {
	l.t.Helper()
	cs, err := l.dial(l.t.Context(), l.token, o, version)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = cs.Close() })
	return cs
}

// note calls the tool that waits, and says what came of it.
func note(ctx context.Context, cs *mcp.ClientSession, tool, text string) (string, error) {
	r, err := cs.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: map[string]any{"text": text}})
	if err != nil {
		return "", err
	}
	return r.Content[0].(*mcp.TextContent).Text, nil
}

// held approves what waits, and hands over what the call came to.
func (l *ladderBench) held(cs *mcp.ClientSession, tool string) string {
	l.t.Helper()
	done := make(chan string, 1)
	go func() {
		got, err := note(l.t.Context(), cs, tool, "hello")
		if err != nil {
			got = err.Error()
		}
		done <- got
	}()
	a := l.waiting(1)[0]
	select {
	case got := <-done:
		l.t.Fatalf("before anybody decided: %s", got)
	case <-time.After(50 * time.Millisecond):
	}
	l.approve(a)
	return <-done
}

// Real clients, held and approved by another person, by the rung that each declares.
func TestRealClientsOnTheLadder(t *testing.T) {
	l := newLadder(t)
	for _, c := range []struct {
		version string
		url     bool
		asked   int64
	}{
		{"2026-07-28", true, 1}, {"2026-07-28", false, 0}, {"2025-11-25", true, 1}, {"2025-11-25", false, 0}, {"2024-11-05", false, 0},
	} {
		var asked atomic.Int64
		var opened sync.Map
		o := &mcp.ClientOptions{}
		if c.url {
			o.Capabilities = &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{URL: &mcp.URLElicitationCapabilities{}}}
			o.ElicitationHandler = func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				asked.Add(1)
				opened.Store(r.Params.URL, true)
				return &mcp.ElicitResult{Action: "accept"}, nil // at once, and it means nothing
			}
		}
		before := l.ran.Load()
		if got := l.held(l.client(o, c.version), "write_note"); got != "wrote hello" {
			t.Errorf("%+v: %q", c, got)
		}
		if asked.Load() != c.asked || l.ran.Load() != before+1 {
			t.Errorf("%+v: its user was asked %d times, and it ran %d times", c, asked.Load(), l.ran.Load()-before)
		}
		list, err := l.engine.List(t.Context(), approval.Filter{Limit: 1})
		if err != nil || list[0].State != approval.Executed {
			t.Fatalf("%+v: %v %v", c, list[0].State, err)
		}
		if _, ok := opened.Load("http://localhost:8720/approvals/" + list[0].ID); c.url && !ok {
			t.Errorf("%+v: it opened something else than %s", c, list[0].ID)
		}
	}
}

// A user who declines withdraws, whichever way they were asked.
func TestDecliningAtTheClientWithdraws(t *testing.T) {
	l := newLadder(t)
	for _, version := range []string{"2026-07-28", "2025-11-25"} {
		o := &mcp.ClientOptions{
			Capabilities: &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{URL: &mcp.URLElicitationCapabilities{}}},
			ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				return &mcp.ElicitResult{Action: "decline"}, nil
			},
		}
		got, err := note(t.Context(), l.client(o, version), "write_note", version)
		if err != nil || !strings.HasPrefix(got, "DENIED") {
			t.Errorf("%s: %q %v", version, got, err)
		}
		list, err := l.engine.List(t.Context(), approval.Filter{Limit: 1})
		if err != nil || list[0].State != approval.Withdrawn || !strings.Contains(list[0].Why, "declined") {
			t.Errorf("%s: %+v %v", version, list[0].State, err)
		}
	}
	if l.ran.Load() != 0 {
		t.Error("something ran")
	}
}

// A client that gives up after a moment leaves its approval, marked so; what is
// approved afterwards runs with its next call, once.
func TestAClientThatGivesUp(t *testing.T) {
	l := newLadder(t)
	for _, version := range []string{"2026-07-28", "2025-06-18"} {
		cs := l.client(nil, version)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if got, err := note(ctx, cs, "write_note", version); err == nil {
				t.Errorf("%s: %q", version, got)
			}
			cancel()
		}
		a := l.waiting(1)[0]
		for end := time.Now().Add(10 * time.Second); !a.AskerGone && time.Now().Before(end); a = l.waiting(1)[0] {
			time.Sleep(5 * time.Millisecond) // it is noted a moment after the client left
		}
		if !a.AskerGone {
			t.Errorf("%s: its asker is still there", version)
		}
		l.approve(a)
		before := l.ran.Load()
		if got, err := note(t.Context(), cs, "write_note", version); err != nil || got != "wrote "+version || l.ran.Load() != before+1 {
			t.Errorf("%s: %q %v", version, got, err)
		}
	}
}

// What code calls from inside a tool is held by itself, while the call around it goes on.
func TestNestedCallsAreHeldToo(t *testing.T) {
	l := newLadder(t)
	if got := l.held(l.client(nil, ""), "run_code"); got != "wrote hello" {
		t.Errorf("%q", got)
	}
	if l.ran.Load() != 1 {
		t.Errorf("it ran %d times", l.ran.Load())
	}
}

// An asker that was told to come back is not said to have gone, and nobody but the
// credential that asked has an approval withdrawn.
func TestToldToComeBack(t *testing.T) {
	l := newLadder(t)
	_, got, _ := l.send(l.token, "tools/call", "write_note", map[string]any{"elicitation": map[string]any{"url": map[string]any{}}}, map[string]any{"name": "write_note", "arguments": map[string]any{"text": "x"}})
	a := l.waiting(1)[0]
	if got["resultType"] != "input_required" || a.AskerGone {
		t.Errorf("%v, and its asker has gone: %v", got, a.AskerGone)
	}
	for _, credential := range []string{"", "tok_other"} {
		if err := l.withdrawHeld(t.Context(), credential, a.ID, "not theirs"); err == nil {
			t.Errorf("%q withdrew it", credential)
		}
	}
	l.waiting(1)
	if err := l.withdrawHeld(t.Context(), a.Asker.Credential, a.ID, "theirs"); err != nil {
		t.Error(err)
	}
	l.waiting(0)
}

// message is one request of a client that declares tasks, without any SDK.
func (l *ladderBench) message(token, method, name string, params map[string]any) (status int, result map[string]any, code float64) {
	l.t.Helper()
	return l.send(token, method, name, map[string]any{"extensions": map[string]any{"io.modelcontextprotocol/tasks": map[string]any{}}}, params)
}

func (l *ladderBench) send(token, method, name string, capabilities, params map[string]any) (status int, result map[string]any, code float64) {
	l.t.Helper()
	params["_meta"] = map[string]any{
		"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": map[string]any{"name": "raw", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": capabilities,
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		l.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, l.gate, bytes.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	for k, v := range map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": name} {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	var out struct {
		Result map[string]any
		Error  struct{ Code float64 }
	}
	if err := json.Unmarshal(text, &out); err != nil {
		l.t.Fatalf("%s: %d %s", method, resp.StatusCode, text)
	}
	return resp.StatusCode, out.Result, out.Error.Code
}

// Behind the one address of several servers a call is held as at its own server.
func TestTheLadderOfSeveralServers(t *testing.T) {
	l := newLadder(t, "more")
	_, found, _ := l.message(l.token, "server/discover", "", map[string]any{})
	if extensions, _ := found["capabilities"].(map[string]any)["extensions"].(map[string]any); extensions["io.modelcontextprotocol/tasks"] == nil {
		t.Errorf("discover says %v", found["capabilities"])
	}
	_, got, _ := l.message(l.token, "tools/call", "more__write_note", map[string]any{"name": "more__write_note", "arguments": map[string]any{"text": "x"}})
	id, _ := got["taskId"].(string)
	if id == "" {
		t.Fatalf("no task: %v", got)
	}
	l.approve(l.waiting(1)[0])
	for end := time.Now().Add(10 * time.Second); got["status"] != "completed" && time.Now().Before(end); {
		_, got, _ = l.message(l.token, "tasks/get", id, map[string]any{"taskId": id})
	}
	if got["status"] != "completed" || l.ran.Load() != 1 {
		t.Errorf("%v, ran %d times", got, l.ran.Load())
	}
	var asked atomic.Int64
	cs := l.client(&mcp.ClientOptions{
		Capabilities: &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{URL: &mcp.URLElicitationCapabilities{}}},
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			asked.Add(1)
			return &mcp.ElicitResult{Action: "accept"}, nil
		},
	}, "2026-07-28")
	if got := l.held(cs, "notes__write_note"); got != "wrote hello" || asked.Load() != 1 {
		t.Errorf("%q, asked %d times", got, asked.Load())
	}
}

// A task outlives the request it began with, runs once it is approved, belongs to its
// credential, and is withdrawn when its client cancels it or the credential ends.
func TestTasksOfARealDeployment(t *testing.T) {
	l := newLadder(t)
	_, found, _ := l.message(l.token, "server/discover", "", map[string]any{})
	if extensions, _ := found["capabilities"].(map[string]any)["extensions"].(map[string]any); extensions["io.modelcontextprotocol/tasks"] == nil {
		t.Errorf("discover says %v", found["capabilities"])
	}
	write := func(text string) string {
		t.Helper()
		_, got, _ := l.message(l.token, "tools/call", "write_note", map[string]any{"name": "write_note", "arguments": map[string]any{"text": text}})
		id, _ := got["taskId"].(string)
		if got["resultType"] != "task" || id == "" {
			t.Fatalf("no task: %v", got)
		}
		return id
	}
	get := func(token, id string) (map[string]any, float64) {
		t.Helper()
		_, got, code := l.message(token, "tasks/get", id, map[string]any{"taskId": id})
		return got, code
	}
	first := write("one")
	a := l.waiting(1)[0]
	if a.AskerGone {
		t.Error("its asker is said to have gone")
	}
	if _, code := get(l.other, first); code != -32602 {
		t.Errorf("another credential: %v", code)
	}
	if status, _, code := l.message(l.token, "tasks/get", "task_other", map[string]any{"taskId": first}); status != 400 || code != -32020 {
		t.Errorf("a header of another task: %d %v", status, code)
	}
	l.approve(a)
	got, _ := get(l.token, first)
	for end := time.Now().Add(10 * time.Second); got["status"] == "working" && time.Now().Before(end); {
		got, _ = get(l.token, first)
	}
	result, _ := got["result"].(map[string]any)
	if got["status"] != "completed" || result == nil || l.ran.Load() != 1 {
		t.Fatalf("%v, ran %d times", got, l.ran.Load())
	}
	second := write("two")
	l.message(l.token, "tasks/cancel", second, map[string]any{"taskId": second})
	l.waiting(0)
	if got, _ := get(l.token, second); got["status"] != "cancelled" {
		t.Errorf("cancelled: %v", got)
	}
	third := write("three")
	a = l.waiting(1)[0]
	if err := (revoking{l.Server}).Revoke(t.Context(), a.Asker.Credential, "test"); err != nil {
		t.Fatal(err)
	}
	// Nobody may ask for it now, and what is approved afterwards doesn't run.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.gate, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"`+third+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+l.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a revoked credential: %d", resp.StatusCode)
	}
	l.approve(l.waiting(1)[0])
	time.Sleep(50 * time.Millisecond)
	if l.ran.Load() != 1 {
		t.Errorf("it ran %d times", l.ran.Load())
	}
}
