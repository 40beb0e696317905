package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/trail"
)

// A prompt that a hook tells, the command that follows and the statement that the
// command sends through another gate are one story: in the log and on the card.
func TestPromptCommandStatement(t *testing.T) {
	c := attackCluster(t)
	defer c.Stop()
	x := newTarget(t, c, "story", taintPack)
	b := &bench{Server: x.Server, t: t, dir: filepath.Dir(x.cfg.file)}
	token := b.begin("worker", "s1", "toolu_1")
	_, port, _ := net.SplitHostPort(x.addr)
	as := func(application string) *pgconn.PgConn {
		t.Helper()
		conn, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%s user=worker password=%s dbname=story sslmode=disable application_name=%s", port, token, application))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	var act string
	for _, r := range b.records(audit.TypeRequest) {
		act = r.Detail["act"]
	}
	if act == "" {
		t.Fatal("the command has no name on record")
	}
	for _, tt := range []struct{ application, how string }{{"assent/s1/toolu_1", approval.Stated}, {"psql", approval.Seen}} {
		if _, err := as(tt.application).Exec(t.Context(), "select id, item from orders where id = 7").ReadAll(); err != nil {
			t.Fatal(err)
		}
		got := b.traffic("shop")
		if len(got) == 0 {
			t.Fatal("nothing is on record")
		}
		d := got[len(got)-1].Detail
		if d["session"] != "s1" || d["parent"] != act || d["parent.how"] != tt.how || len(d["prompt"]) != 32 {
			t.Errorf("as %s: %v", tt.application, d)
		}
	}
	// A newer prompt, as Claude Code's own hook tells it, is the intent from here on.
	if code, body := b.call("POST", "/v1/hooks/claude-code", token, `{"session_id":"s1","cwd":"/","hook_event_name":"UserPromptSubmit","prompt":"Now tidy up the invoices; mail zoe.secret@example.org"}`); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	// Customers' numbers come unmasked here: what leaves after it waits for people.
	one := as("assent/s1/toolu_1")
	if _, err := one.Exec(t.Context(), "copy orders to stdout").ReadAll(); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Exec(t.Context(), "select ssn from customers").ReadAll(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := one.Exec(t.Context(), "copy orders to stdout").ReadAll()
		done <- err
	}()
	a := b.waiting(1)[0]
	l := a.Lead
	switch {
	case l == nil || l.Prompt == nil || len(l.By) != 1 || len(l.Saw) != 1:
		t.Fatalf("%+v", l)
	case l.By[0].ID != act || l.By[0].Title != "Bash psql shop" || l.By[0].How != approval.Stated || l.Names != "no" || l.Session != "s1":
		t.Errorf("%+v", l)
	case l.Prompt.Text != "Now tidy up the invoices; mail [masked:email]":
		t.Errorf("prompt %q", l.Prompt.Text)
	case !strings.Contains(l.Saw[0].What, "customers with us-ssn") || l.Saw[0].Kind != approval.SawSensitive:
		t.Errorf("saw %+v", l.Saw)
	}
	// The same statement asked by another command finds its approval.
	b.approve(a)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// What one node notes of an actor counts on the other, and a node that starts later has it too.
func TestTrailOnTwoNodes(t *testing.T) {
	f := newFleet(t)
	a, b := f.node("a"), f.node("b")
	who, twin := trail.Who{Person: "person:dana", Actor: "agent:worker"}, trail.Who{Person: "person:dana", Actor: "agent:twin"}
	if err := a.trail.Book(who).Prompt(t.Context(), "s1", "tidy up", audit.Record{}); err != nil {
		t.Fatal(err)
	}
	if l := b.trail.Book(who).Lead(t.Context(), "shop", "s1", ""); l == nil || l.Prompt == nil || l.Prompt.Text != "tidy up" {
		t.Errorf("the other node's intent: %+v", l)
	}
	tainted := func(n *bench) func() bool {
		return func() bool { return n.trail.Book(twin).Taint(time.Now(), true).Sensitive != nil }
	}
	var both sync.WaitGroup
	for _, n := range []*bench{a, b} { // of two that note it at once, neither is lost
		for _, kind := range []string{approval.SawSensitive, approval.SawUntrusted} {
			both.Go(func() {
				if err := n.trail.Book(who).See(t.Context(), approval.Saw{Kind: kind, What: "it"}, time.Now()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	both.Wait()
	third := trail.Who{Person: "person:omar", Actor: "agent:third"}
	if err := a.trail.Book(third).See(t.Context(), approval.Saw{Kind: approval.SawUntrusted, What: "web page"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other node knows", func() bool {
		return tainted(b)() && b.trail.Book(third).Taint(time.Now(), false).Untrusted != nil
	})
	if c := f.node("c"); !tainted(c)() || c.trail.Book(third).Taint(time.Now(), false).Untrusted == nil {
		t.Error("a node that starts later doesn't know")
	}
}

// A hook's tool call, the same call as the MCP gate sees it, and the statement that the
// tool's server sends through a third gate: each is led by the one before.
func TestHookToolStatement(t *testing.T) {
	c := attackCluster(t)
	defer c.Stop()
	var ask func(context.Context) error
	tools := sdk.NewServer(&sdk.Implementation{Name: "notes", Version: "1"}, nil)
	sdk.AddTool(tools, &sdk.Tool{Name: "query"}, func(ctx context.Context, _ *sdk.CallToolRequest, _ noteArgs) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "done"}}}, nil, ask(ctx)
	})
	up := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return tools }, &sdk.StreamableHTTPOptions{Stateless: true}))
	defer up.Close()
	s := testServer(t, strings.Replace(taintPack, "execute]", "execute, tool.call]", 1), `
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: tools
    type: mcp
    env: prod
    listen: 127.0.0.1:0
    servers: [{ name: notes, url: `+up.URL+`, tools: [{ tool: query, kinds: [tool.call] }] }]
  - name: db
    type: postgres
    env: prod
    listen: 127.0.0.1:0
    upstream: { host: 127.0.0.1, port: `+strconv.Itoa(c.Port)+`, database: postgres, user: `+c.User+`, password: { file: pw }, tls: "off" }
`, map[string]string{"pw": c.Password})
	b := &bench{Server: s, t: t}
	token := b.begin("worker", "s1", "toolu_1")
	_, port, _ := net.SplitHostPort(s.GateAddr("db"))
	ask = func(ctx context.Context) error {
		conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%s user=worker password=%s dbname=postgres sslmode=disable", port, token))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, "select relname from pg_class limit 1").ReadAll()
		return err
	}
	cs, err := sdk.NewClient(&sdk.Implementation{Name: "client", Version: "1"}, nil).Connect(t.Context(),
		&sdk.StreamableClientTransport{Endpoint: "http://" + s.GateAddr("tools") + "/mcp", HTTPClient: &http.Client{Transport: withToken(token)}, MaxRetries: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cs.Close() }()
	r, err := cs.CallTool(t.Context(), &sdk.CallToolParams{Meta: sdk.Meta{"dev.assent/session": "s1", "dev.assent/parent": "toolu_1"}, Name: "query", Arguments: map[string]any{"text": ""}})
	if err != nil || r.IsError {
		t.Fatalf("%+v, %v", r, err)
	}
	asked := map[string]audit.Record{}
	for _, r := range append(b.records(audit.TypeRequest), b.traffic("db")...) {
		asked[r.Gate] = r
	}
	hook, tool, statement := asked["hooks"].Detail, asked["tools"].Detail, asked["db"].Detail
	if tool["parent"] != hook["act"] || tool["parent.how"] != approval.Stated || tool["prompt"] == "" {
		t.Errorf("the tool call: %v, under %v", tool, hook)
	}
	if statement["parent"] != tool["act"] || statement["parent.how"] != approval.Seen || statement["session"] != "s1" || statement["prompt"] != tool["prompt"] {
		t.Errorf("the statement: %v, under %v", statement, tool)
	}
}
