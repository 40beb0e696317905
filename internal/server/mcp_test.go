package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	gatemcp "github.com/assenthq/assent/internal/gates/mcp"
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
// packs are what policy is made of in its place.
func testServer(t *testing.T, pack, config string, files map[string]string, packs ...string) *Server {
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
	policy := "pack.yaml"
	if len(packs) > 0 {
		policy = `"` + strings.Join(packs, `", "`) + `"`
	}
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte("data: data\nlisten: 127.0.0.1:0\npolicy: ["+policy+"]\n"+config))
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

// What a configuration of an MCP gate may not say, each with its place.
func TestMCPConfig(t *testing.T) {
	const good = "actors: [{ id: worker }]\ngates:\n  - name: tools\n    type: mcp\n    env: prod\n    listen: 127.0.0.1:8721\n    servers:\n      - name: notes\n        url: https://mcp.example.com/mcp\n        headers: { Authorization: { env: NOTES } }\n"
	if _, err := ParseConfig("a.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"no server", "    servers:\n      - name: notes\n        url: https://mcp.example.com/mcp\n        headers: { Authorization: { env: NOTES } }\n", "", "gates[0].servers: is missing"},
		{"not encrypted", "https://mcp", "http://mcp", "servers[0].url: is not encrypted"},
		{"a password in the address", "https://mcp", "https://u:hunter2@mcp", "servers[0].url: is not an address"},
		{"two ways", "        headers", "        tunnel: true\n        headers", "is reached in 2 ways"},
		{"no way", "        url: https://mcp.example.com/mcp\n", "", "is reached in 0 ways"},
		{"a header that is ours", "Authorization", "Mcp-Session-Id", "is not a header that may be set"},
		{"a plain credential", "{ env: NOTES }", "hunter2", "a secret never stands in this file"},
		{"a name that divides", "name: notes", "name: my__notes", "is not a short name of its own"},
		{"a kind of its own", "        headers", "        kind: hunter3\n        headers", "it is one of"},
		{"a kind that is none", "        headers", "        tools: [{ tool: x, kinds: [data.teleport] }]\n        headers", "there is no kind"},
		{"environment of an address", "        headers", "        env: { A: b }\n        headers", "is of a server with a command"},
		{"a resource that is not the gate's", "    servers:", "    mcp: { resource: \"http://example.com/mcp\" }\n    servers:", "gates[0].mcp.resource"},
		{"beyond loopback without a name", "127.0.0.1:8721", "0.0.0.0:8721\n    tls: { cert: c, key: k }", "mcp.resource: is missing"},
	} {
		text := strings.Replace(good, c.from, c.to, 1)
		if text == good {
			t.Fatalf("%s changes nothing", c.name)
		}
		_, err := ParseConfig("a.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

// A credential of each person's own stays within its directory, whatever they are called.
func TestSecretOfWhoAsks(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dana-coder"), []byte("for dana\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Config{}
	for _, s := range []Secret{{File: dir + "/{person}-{actor}"}, {Command: []string{"cat", dir + "/{person}-{actor}"}}} {
		if got, err := s.readFor(t.Context(), c, gatemcp.Who{Person: "dana", Actor: "coder"}); err != nil || string(got) != "for dana" {
			t.Errorf("%q, %v", got, err)
		}
		for _, who := range []gatemcp.Who{{}, {Person: "dana"}, {Person: "../dana", Actor: "coder"}, {Person: "dana", Actor: "a/b"}, {Person: "-n", Actor: "coder"}, {Person: "a..b", Actor: "coder"}, {Person: "dana\x00", Actor: "coder"}} {
			if got, err := s.readFor(t.Context(), c, who); err == nil {
				t.Errorf("%+v reads %q", who, got)
			}
		}
	}
}

// A token of another issuer is for this gate and nothing else.
func TestForeignTokenIsForThisGate(t *testing.T) {
	for audience, want := range map[string]bool{
		`"https://a/mcp"`: true, `["https://a/mcp"]`: true, `"https://a"`: false, `["https://a/mcp","https://b"]`: false, `[]`: false, `null`: false, `{"a":1}`: false, `"https://a/mcp/"`: false,
	} {
		var v any
		if err := json.Unmarshal([]byte(audience), &v); err != nil {
			t.Fatal(err)
		}
		if onlyFor(v, "https://a/mcp") != want {
			t.Errorf("aud %s", audience)
		}
	}
}
