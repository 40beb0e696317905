package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	gatemcp "github.com/assenthq/assent/internal/gates/mcp"
	"github.com/assenthq/assent/internal/identity"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// revisions are what a client and a server may speak together.
var revisions = []struct {
	version   string
	stateless bool
}{{"2024-11-05", false}, {"2025-03-26", false}, {"2025-06-18", false}, {"2025-11-25", false}, {"2025-11-25", true}, {"2026-07-28", true}}

// A client of each revision works as without a gate, and sees nothing unmasked.
func TestRealClientAndServer(t *testing.T) {
	for _, rev := range revisions {
		name := rev.version
		if rev.stateless {
			name += " without sessions"
		}
		t.Run(name, func(t *testing.T) {
			a := authority()
			url := open(t, a, nil, gatemcp.Server{Name: "one", URL: sdkHTTP(t, rev.stateless)})
			cs := connect(t, url+"/mcp/one", nil, rev.version)
			if got := cs.InitializeResult().ProtocolVersion; got != rev.version {
				t.Errorf("they speak %s", got)
			}
			tools, err := cs.ListTools(t.Context(), nil)
			if err != nil || len(tools.Tools) != 4 {
				t.Fatalf("tools: %v, %v", tools, err)
			}
			r := call(t, cs, "look", "a secret")
			if s := said(r); s != "saw a [masked]" || r.IsError {
				t.Errorf("look: %q", s)
			}
			if m, _ := r.StructuredContent.(map[string]any); m["found"] != "a [masked]" {
				t.Errorf("structured: %v", r.StructuredContent)
			}
			if got := kinds(a, "call"); !slices.Equal(got, []action.Kind{action.DataRead}) {
				t.Errorf("look is %v", got)
			}
			res, err := cs.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "note://one"})
			if err != nil || res.Contents[0].Text != "a [masked] note" {
				t.Errorf("resource: %+v, %v", res, err)
			}
			p, err := cs.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "hello"})
			if err != nil || p.Messages[0].Content.(*mcp.TextContent).Text != "tell the [masked]" {
				t.Errorf("prompt: %+v, %v", p, err)
			}
			eventually(t, "every permit is completed", func() bool { return len(a.Outcomes()) >= 3 })
			for i, o := range a.Outcomes() {
				if o.State != gate.Executed || i == 0 && o.Untrusted != "result of one" {
					t.Errorf("outcome %d: %+v", i, o)
				}
			}
		})
	}
}

// What is refused comes back as a result that a model reads, and never reached the server.
func TestDenied(t *testing.T) {
	for _, rev := range revisions {
		a := authority()
		a.Decide = func(_ context.Context, x *action.Action, _ func(gate.Held)) error {
			if slices.Contains(x.Kinds, action.ToolCall) {
				return &gate.Denied{Status: gate.StatusDenied, Reason: "denied by rule no-changes", ID: "apr_1", URL: "https://assent/approvals/apr_1", Hint: "ask for less"}
			}
			return nil
		}
		url := open(t, a, nil, gatemcp.Server{Name: "one", URL: sdkHTTP(t, rev.stateless)})
		cs := connect(t, url+"/mcp", nil, rev.version)
		r := call(t, cs, "change", "x")
		m, _ := r.StructuredContent.(map[string]any)
		if !r.IsError || !strings.Contains(said(r), "no-changes") || m["status"] != "denied" || m["approvalId"] != "apr_1" || m["url"] != "https://assent/approvals/apr_1" {
			t.Errorf("%s: %q %v", rev.version, said(r), r.StructuredContent)
		}
		if r := call(t, cs, "look", "x"); r.IsError {
			t.Errorf("%s: after a denial nothing works: %q", rev.version, said(r))
		}
		if _, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "nothing"}); err == nil || !strings.Contains(err.Error(), "nknown tool") {
			t.Errorf("%s: an unlisted tool: %v", rev.version, err)
		}
	}
}

// A reader of nothing: a read that policy denies is an error of JSON-RPC.
func TestDeniedRead(t *testing.T) {
	a := authority()
	a.Decide = func(context.Context, *action.Action, func(gate.Held)) error { return errors.New("no store") }
	url := open(t, a, nil, gatemcp.Server{Name: "one", URL: sdkHTTP(t, true)})
	cs := connect(t, url+"/mcp", nil)
	if _, err := cs.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "note://one"}); err == nil || !strings.Contains(err.Error(), "no decision") {
		t.Errorf("a read that nobody decided: %v", err)
	}
	if r := call(t, cs, "look", "x"); !r.IsError || strings.Contains(said(r), "store") {
		t.Errorf("a call that nobody decided: %q", said(r))
	}
}

// What a server asks in the middle of a call reaches the client masked, and the
// answer needs what the call needed.
func TestServerAsks(t *testing.T) {
	a := authority()
	url := open(t, a, nil, gatemcp.Server{Name: "one", URL: sdkHTTP(t, false)})
	asked := make(chan string, 1)
	cs := connect(t, url+"/mcp", &mcp.ClientOptions{ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
		asked <- r.Params.Message
		return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"ok": true}}, nil
	}}, "2025-11-25")
	if r := call(t, cs, "ask", "it"); said(r) != "user: accept" {
		t.Errorf("ask: %q", said(r))
	}
	if m := <-asked; m != "is [masked] it right?" {
		t.Errorf("the user was asked %q", m)
	}
	if got := kinds(a, "elicitation/create"); !slices.Equal(got, []action.Kind{action.ToolCall}) {
		t.Errorf("the answer is %v", got)
	}
}

func TestProgress(t *testing.T) {
	a := authority()
	url := open(t, a, nil, gatemcp.Server{Name: "one", URL: sdkHTTP(t, true)})
	told := make(chan string, 10)
	cs := connect(t, url+"/mcp", &mcp.ClientOptions{ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) { told <- r.Params.Message }})
	p := &mcp.CallToolParams{Name: "slow", Arguments: map[string]any{"text": ""}}
	p.SetProgressToken("t")
	if r, err := cs.CallTool(t.Context(), p); err != nil || said(r) != "done" {
		t.Fatalf("%v, %v", r, err)
	}
	if m := <-told; m != "at [masked]" {
		t.Errorf("progress: %q", m)
	}
}

// A session is its credential's alone, and unknown ids are not found.
func TestNobodyElsesSession(t *testing.T) {
	url := open(t, authority(), nil, gatemcp.Server{Name: "one", URL: sdkHTTP(t, false)}, gatemcp.Server{Name: "two", URL: sdkHTTP(t, false)})
	code, _, h := post(t, url+"/mcp/one", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
	id := h.Get("Mcp-Session-Id")
	if code != http.StatusOK || !strings.HasPrefix(id, "mcp_") {
		t.Fatalf("%d, session %q", code, id)
	}
	list := `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
	if code, body, _ := post(t, url+"/mcp/one", list, "Mcp-Session-Id", id); code != http.StatusOK || !strings.Contains(body, `"look"`) {
		t.Errorf("own session: %d %s", code, body)
	}
	for _, bad := range []string{id + "x", "mcp_" + strings.Repeat("A", 26)} {
		if code, _, _ := post(t, url+"/mcp/one", list, "Mcp-Session-Id", bad); code != http.StatusNotFound {
			t.Errorf("session %s: %d", bad, code)
		}
	}
	if code, _, _ := post(t, url+"/mcp/two", list, "Mcp-Session-Id", id); code != http.StatusNotFound {
		t.Errorf("the session of another server: %d", code)
	}
}

func TestWhoComesIn(t *testing.T) {
	url := open(t, authority(), func(o *gatemcp.Config) { o.Origins = []string{"https://app.example"} }, gatemcp.Server{Name: "one", URL: sdkHTTP(t, true)})
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for _, c := range []struct {
		name string
		path string
		head []string
		want int
	}{
		{"a good token", "/mcp", nil, 200},
		{"no token", "/mcp", []string{"Authorization", ""}, 401},
		{"another token", "/mcp", []string{"Authorization", "Bearer nope"}, 401},
		{"another scheme", "/mcp", []string{"Authorization", "Basic nope"}, 401},
		{"a token in the address", "/mcp?access_token=x", nil, 400},
		{"a rebound name", "/mcp", []string{"Host", "evil.example"}, 403},
		{"another page", "/mcp", []string{"Origin", "https://evil.example"}, 403},
		{"a page that may", "/mcp", []string{"Origin", "https://app.example"}, 200},
		{"no origin at all", "/mcp", []string{"Origin", "null"}, 403},
		{"another type", "/mcp", []string{"Content-Type", "text/plain"}, 415},
		{"no such server", "/mcp/other", nil, 404},
		{"up the tree", "/mcp/../mcp/one/..", nil, 404},
	} {
		code, body, h := post(t, url+c.path, ping, c.head...)
		if code != c.want {
			t.Errorf("%s: %d %s", c.name, code, body)
		}
		if code == 401 && !strings.Contains(h.Get("WWW-Authenticate"), `resource_metadata="`+url+`/.well-known/oauth-protected-resource/mcp"`) {
			t.Errorf("%s: %s", c.name, h.Get("WWW-Authenticate"))
		}
	}
	for _, path := range []string{"", "/mcp", "/mcp/one"} {
		resp, err := http.Get(url + "/.well-known/oauth-protected-resource" + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("metadata%s: %d", path, resp.StatusCode)
		}
	}
}

// What travels in headers beside the body says what the body says.
func TestHeaders(t *testing.T) {
	s := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	s.AddTool(&mcp.Tool{Name: "look", InputSchema: json.RawMessage(`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}`)}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil
	})
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: true})
	regions := make(chan string, 100)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Method") == "tools/call" {
			regions <- r.Header.Get("Mcp-Param-Region")
		}
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			t.Error("the client's credential goes to the server")
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(up.Close)
	a := authority()
	url := open(t, a, nil, gatemcp.Server{Name: "one", URL: up.URL}) + "/mcp"
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look","arguments":{"region":"eu"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	good := []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "look", "Mcp-Param-Region", "eu", "Cookie", "a=b"}
	if code, got, _ := post(t, url, body, good...); code != 200 || !strings.Contains(got, "done") || <-regions != "eu" {
		t.Errorf("%d %s", code, got)
	}
	for _, bad := range [][2]string{{"Mcp-Param-Region", "us"}, {"Mcp-Param-Other", "x"}, {"Mcp-Name", "drop"}, {"Mcp-Name", ""}, {"Mcp-Method", "ping"}, {"Mcp-Method", ""}, {"Mcp-Protocol-Version", "2025-11-25"}, {"Mcp-Protocol-Version", ""}} {
		heads := append(slices.Clone(good), bad[0], bad[1])
		if code, got, _ := post(t, url, body, heads...); code != 400 || !strings.Contains(got, "-32020") {
			t.Errorf("%s: %q: %d %s", bad[0], bad[1], code, got)
		}
	}
	if n := len(regions); n != 0 {
		t.Errorf("%d calls went on", n)
	}
	eventually(t, "every permit is completed", func() bool { return len(a.Outcomes()) == len(a.Actions()) })
}

// What a request's headers say beside its message would go to the server unjudged and unseen.
func TestHeadersCarryNothingElse(t *testing.T) {
	seen := make(chan http.Header, 100)
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return sdkServer() }, &mcp.StreamableHTTPOptions{Stateless: true})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Clone()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(up.Close)
	url := open(t, authority(), nil, gatemcp.Server{Name: "one", URL: up.URL}) + "/mcp"
	far := strings.Repeat("x", 600)
	body := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	post(t, url, body, "Mcp-Name", far, "Mcp-Param-X", far, "Traceparent", far, "Tracestate", far, "Mcp-Protocol-Version", "2025-"+far, "X-Else", far, "Last-Event-Id", far)
	post(t, url, body, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate", far)
	post(t, url, body, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate", "a=1", "Mcp-Method", "ping")
	n := len(seen)
	for i := range n {
		head := <-seen
		for name, values := range head {
			if strings.Contains(strings.Join(values, " "), far) {
				t.Errorf("%s goes on", name)
			}
		}
		if trace := head.Get("Traceparent"); (trace != "") != (i > 0) || (head.Get("Tracestate") == "a=1") != (i == 2) || (head.Get("Mcp-Method") == "ping") != (i == 2) {
			t.Errorf("request %d came with %v", i, head)
		}
	}
	if n != 3 {
		t.Errorf("%d requests came", n)
	}
}

// A message that is too long is refused clearly, before anything of it is judged.
func TestTooLong(t *testing.T) {
	a := authority()
	url := open(t, a, nil, gatemcp.Server{Name: "one", URL: sdkHTTP(t, true)}) + "/mcp"
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look","arguments":{"text":"` + strings.Repeat("x", 17<<20) + `"}}}`
	if code, got, _ := post(t, url, body); code != http.StatusRequestEntityTooLarge || !strings.Contains(got, "16 MiB") {
		t.Errorf("%d %.200s", code, got)
	}
	if len(a.Actions()) != 0 {
		t.Error("it was judged")
	}
}

// A foreign token is taken where there is somebody to exchange it, once, and for this gate.
func TestForeignToken(t *testing.T) {
	n := 0
	url := open(t, authority(), func(o *gatemcp.Config) {
		o.Exchange = func(_ context.Context, foreign, resource string) (string, time.Time, error) {
			n++
			if foreign != "a.b.c" || !strings.HasSuffix(resource, "/mcp/one") {
				return "", time.Time{}, identity.ErrBadToken
			}
			return gatetest.Token, time.Now().Add(time.Minute), nil
		}
	}, gatemcp.Server{Name: "one", URL: sdkHTTP(t, true)})
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for range 3 {
		if code, got, _ := post(t, url+"/mcp/one", ping, "Authorization", "Bearer a.b.c"); code != 200 {
			t.Errorf("%d %s", code, got)
		}
	}
	if n != 1 {
		t.Errorf("it was exchanged %d times", n)
	}
	if code, _, _ := post(t, url+"/mcp/one", ping, "Authorization", "Bearer a.b.d"); code != 401 {
		t.Errorf("another: %d", code)
	}
}
