// Package mcpclients_test drives the MCP gate with the official SDKs of TypeScript
// (both generations, and the package for tasks) and Python: each is held, approved
// by another person, and goes on, by the rung of the ladder that it declares.
package mcpclients_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/freeport"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/server"
)

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 1.0.0, owner: tests }
rules:
  - id: writes-wait
    match: { kind: [data.write] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
  - id: the-rest-flows
    match: { kind: [data.read, tool.call] }
    then: allow
tests:
  - { name: writes, given: { kind: data.write }, want: { decision: review } }
`

type house struct {
	t     *testing.T
	gate  string
	own   string // our own server of tools
	agent string
	mira  *client.Client
	ran   atomic.Int64 // calls that reached the modern server
}

type echoArgs struct {
	Message string `json:"message"`
}

// newHouse is a real server with a gate before a server of the Go SDK (modern), and
// before npm's everything server, which speaks earlier revisions.
func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t}
	up := mcp.NewServer(&mcp.Implementation{Name: "modern", Version: "1"}, nil)
	mcp.AddTool(up, &mcp.Tool{Name: "echo"}, func(_ context.Context, _ *mcp.CallToolRequest, a echoArgs) (*mcp.CallToolResult, any, error) {
		h.ran.Add(1)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "Echo: " + a.Message}}}, nil, nil
	})
	modern := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return up }, &mcp.StreamableHTTPOptions{Stateless: true}))
	t.Cleanup(modern.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(pack), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := server.ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: tools
    type: mcp
    env: test
    listen: 127.0.0.1:0
    servers:
      - { name: modern, url: "`+modern.URL+`", tools: [{ tool: echo, kinds: [data.write] }] }
      - { name: everything, url: "`+everything(t)+`", tools: [{ tool: echo, kinds: [data.write] }] }
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
	h.agent = mint(identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}})
	h.gate, h.own = "http://"+s.GateAddr("tools")+"/mcp/", s.URL()+"/mcp"
	if h.mira, err = client.New(s.URL(), mint(identity.MintRequest{Kind: identity.KindPerson, Subject: "person:mira", Scopes: []string{"review"}}), nil); err != nil {
		t.Fatal(err)
	}
	return h
}

// everything starts npm's server and returns its address.
func everything(t *testing.T) string {
	t.Helper()
	free, err := freeport.Port()
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", "node_modules/@modelcontextprotocol/server-everything/dist/index.js", "streamableHttp")
	cmd.Env = append(os.Environ(), "PORT="+port)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: scripts/install gets what it needs", err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	for s := bufio.NewScanner(out); s.Scan(); {
		if strings.Contains(s.Text(), "listening on port") {
			go func() {
				for s.Scan() { // it must not block on what nobody reads
				}
			}()
			return "http://127.0.0.1:" + port + "/mcp"
		}
	}
	t.Fatal("the everything server doesn't begin: scripts/install gets what it needs")
	return ""
}

// A line is what a client tells.
type line struct {
	Asked, Task, Result, Error, Message string
	IsError                             bool
}

// run starts a client, and hands over what it tells.
func (h *house) run(kind, upstream, message string) <-chan line {
	h.t.Helper()
	return h.call(kind, h.gate+upstream, "echo", map[string]any{"message": message})
}

func (h *house) call(kind, url, tool string, with map[string]any) <-chan line {
	h.t.Helper()
	command := []string{"node", "client.mjs"}
	if sdk, rest, _ := strings.Cut(kind, ":"); sdk == "python" {
		python, err := filepath.Abs("../../.cache/python/bin/python")
		if err != nil {
			h.t.Fatal(err)
		}
		command, kind = []string{python, "client.py"}, rest
	}
	args, err := json.Marshal(with)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], kind, url, h.agent, tool, string(args))...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatalf("%v: scripts/install gets what it needs", err)
	}
	lines := make(chan line, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			var l line
			if json.Unmarshal(s.Bytes(), &l) == nil {
				lines <- l
			}
		}
		_ = cmd.Wait()
	}()
	h.t.Cleanup(func() {
		cancel()
		<-ended
		if h.t.Failed() {
			h.t.Logf("%s: %s", kind, errs.String())
		}
	})
	return lines
}

// pending is the one approval that waits.
func (h *house) pending() *client.Approval {
	h.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		page, err := h.mira.Approvals(h.t.Context(), client.ListOptions{States: []string{"pending"}})
		if err != nil {
			h.t.Fatal(err)
		}
		if len(page.Approvals) == 1 {
			return page.Approvals[0]
		}
	}
	h.t.Fatal("nothing came to wait for people")
	return nil
}

// Each client, by the rung that it declares, gets the answer of what people approved, once.
func TestOfficialClients(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		kind, upstream string
		asked          int    // how often its user is asked to open the approval
		tells          string // a status of a task
	}{
		{kind: "modern", upstream: "modern"},
		{kind: "modern-url", upstream: "modern", asked: 1},
		{kind: "modern-tasks", upstream: "modern", tells: "working"},
		{kind: "legacy", upstream: "everything"},
		{kind: "legacy-url", upstream: "everything", asked: 1},
		{kind: "v1", upstream: "everything"},
		{kind: "v1-url", upstream: "everything", asked: 1},
		{kind: "python:modern", upstream: "modern"},
		{kind: "python:modern-url", upstream: "modern", asked: 1},
		{kind: "python:legacy", upstream: "everything"},
		{kind: "python:legacy-url", upstream: "everything", asked: 1},
	} {
		t.Run(c.kind, func(t *testing.T) {
			h.t = t
			lines := h.run(c.kind, c.upstream, c.kind)
			a := h.pending()
			asked, task := 0, ""
			var last line
			take := func(l line) {
				if l.Asked != "" {
					asked++
					if l.Asked != a.URL {
						t.Errorf("it opened %s, the approval is at %s", l.Asked, a.URL)
					}
				}
				if task == "" {
					task = l.Task
				}
				last = l
			}
			for asked < c.asked || task != c.tells { // told before anybody decided
				l, more := <-lines
				if !more {
					t.Fatalf("it ended: %+v", last)
				}
				take(l)
			}
			if last.Result != "" {
				t.Fatalf("before anybody decided: %+v", last)
			}
			if _, err := h.mira.Review(t.Context(), a, "approve", ""); err != nil {
				t.Fatal(err)
			}
			for l := range lines {
				take(l)
			}
			if last.Result != "Echo: "+c.kind || last.IsError || asked != c.asked {
				t.Errorf("%+v, asked %d times", last, asked)
			}
			got, err := h.mira.Approval(t.Context(), a.ID)
			if err != nil || got.State != "executed" {
				t.Errorf("the approval is %s, %v", got.State, err)
			}
		})
	}
}

// A client that gives up after a second and calls again makes one approval; what is
// approved meanwhile runs with its next call, once.
func TestAClientThatTimesOut(t *testing.T) {
	h := newHouse(t)
	for kind, upstream := range map[string]string{"modern-hasty": "modern", "v1-hasty": "everything"} {
		t.Run(kind, func(t *testing.T) {
			h.t = t
			lines := h.run(kind, upstream, kind)
			a := h.pending()
			for range 2 {
				if l := <-lines; l.Error == "" {
					t.Fatalf("%+v", l)
				}
			}
			if again := h.pending(); again.ID != a.ID {
				t.Errorf("another approval: %s", again.ID)
			}
			a, err := h.mira.Approval(t.Context(), a.ID)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.mira.Review(t.Context(), a, "approve", ""); err != nil {
				t.Fatal(err)
			}
			var last line
			for l := range lines {
				last = l
			}
			if last.Result != "Echo: "+kind {
				t.Errorf("%+v", last)
			}
		})
	}
	if n := h.ran.Load(); n != 1 {
		t.Errorf("the modern server ran it %d times", n)
	}
}

// Our own tools answer every client and era; what a gate held is waited for there.
func TestOwnTools(t *testing.T) {
	h := newHouse(t)
	held := h.run("modern", "modern", "held")
	a := h.pending()
	for _, kind := range []string{"modern", "v1", "python:legacy"} {
		var last line
		for l := range h.call(kind, h.own, "assent_list", map[string]any{}) {
			last = l
		}
		if !strings.Contains(last.Result, a.ID+" pending") || last.IsError {
			t.Errorf("%s: %+v", kind, last)
		}
	}
	waits := h.call("python:modern", h.own, "assent_wait", map[string]any{"approval_id": a.ID})
	if _, err := h.mira.Review(t.Context(), a, "approve", ""); err != nil {
		t.Fatal(err)
	}
	for l := range waits {
		if !strings.HasPrefix(l.Result, "APPROVED ("+"approval "+a.ID) {
			t.Errorf("waited: %+v", l)
		}
	}
	for l := range held {
		if l.Result != "Echo: held" {
			t.Errorf("held: %+v", l)
		}
	}
}
