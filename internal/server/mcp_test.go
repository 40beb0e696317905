package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const mcpPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 1.0.0, owner: tests }
rules:
  - id: tools-wait
    match: { kind: [tool.call, data.write] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
  - id: reads-flow
    match: { kind: [data.read] }
    then: allow
  - id: masked
    match: { actor: [agent] }
    then: mask
    mask: { email: redact }
tests:
  - { name: tools, given: { kind: tool.call }, want: { decision: review } }
`

type noteArgs struct {
	Text string `json:"text"`
}

// mcpUpstream is a real MCP server; seen is told of each request's Authorization.
func mcpUpstream(t *testing.T, seen func(string)) string {
	t.Helper()
	s := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "write_note"}, func(_ context.Context, _ *mcp.CallToolRequest, a noteArgs) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "wrote " + a.Text}}}, nil, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "read_note"}, func(_ context.Context, _ *mcp.CallToolRequest, _ noteArgs) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: `{"owner": {"email": "ana.lopes@example.net"}, "text": "write to ana.lopes@example.net"}`}}}, map[string]any{"email": "ana.lopes@example.net", "n": 3}, nil
	})
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: true})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen(r.Header.Get("Authorization"))
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(up.Close)
	return up.URL
}

type withToken string

func (b withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// An agent's call of a tool waits for a person, its read comes back masked, and the
// server sees the gate's own credential for that person and never the agent's.
func TestMCPGate(t *testing.T) {
	auth := make(chan string, 1000)
	upstream := mcpUpstream(t, func(s string) { auth <- s })
	s := testServer(t, mcpPack, `
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: tools
    type: mcp
    env: prod
    listen: 127.0.0.1:0
    servers:
      - name: notes
        url: `+upstream+`
        headers: { Authorization: { file: "secret-{person}-{actor}" } }
        tools: [{ tool: read_note, kinds: [data.read] }]
`, map[string]string{"secret-dana-worker": "Bearer for-dana\n"})
	token, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	cs, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: "http://" + s.GateAddr("tools") + "/mcp", HTTPClient: &http.Client{Transport: withToken(token)}, MaxRetries: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cs.Close() }()
	r, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "read_note", Arguments: map[string]any{"text": ""}})
	if err != nil {
		t.Fatal(err)
	}
	got := r.Content[0].(*mcp.TextContent).Text
	m, _ := r.StructuredContent.(map[string]any)
	if strings.Contains(got, "ana.lopes") || !strings.Contains(got, "masked:email") || m["email"] == "ana.lopes@example.net" || m["n"] != 3.0 {
		t.Errorf("read: %s, %v", got, r.StructuredContent)
	}
	done := make(chan string, 1)
	go func() {
		r, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "write_note", Arguments: map[string]any{"text": "hello"}})
		if err != nil {
			done <- err.Error()
			return
		}
		done <- r.Content[0].(*mcp.TextContent).Text
	}()
	b := &bench{Server: s, t: t}
	a := b.waiting(1)[0]
	if a.Statement == "" || !strings.Contains(a.Statement, "hello") || !strings.Contains(a.Statement, "write_note") {
		t.Errorf("the card says %q", a.Statement)
	}
	b.approve(a)
	if got := <-done; got != "wrote hello" {
		t.Errorf("approved: %q", got)
	}
	if a, err = s.engine.Get(t.Context(), a.ID); err != nil || a.State != approval.Executed {
		t.Errorf("the approval is %s, %v", a.State, err)
	}
	for range len(auth) {
		if got := <-auth; got != "Bearer for-dana" {
			t.Errorf("the server saw %q", got)
		}
	}
}

// testServer starts a server with a pack, a configuration and files beside it.
func testServer(t *testing.T, pack, config string, files map[string]string) *Server {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(pack), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte("data: data\nlisten: 127.0.0.1:0\npolicy: [pack.yaml]\n"+config))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
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
	return s
}
