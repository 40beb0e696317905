package mcp_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	classify "github.com/assenthq/assent/internal/classify/mcp"
	gatemcp "github.com/assenthq/assent/internal/gates/mcp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// judge knows the tools of the test's server.
type judge struct{}

func (judge) Tool(_ classify.Server, def classify.Definition, _ []byte) classify.Result {
	if def.Name == "look" {
		return classify.Result{Kinds: []action.Kind{action.DataRead}, Untrusted: true}
	}
	return classify.Result{}
}

// authority masks the word secret.
func authority() *gatetest.Authority {
	return &gatetest.Authority{Mask: func(v []byte) []byte { return bytes.ReplaceAll(v, []byte("secret"), []byte("[masked]")) }}
}

type textArgs struct {
	Text string `json:"text"`
}

// sdkServer is a real server, made by the official SDK.
func sdkServer() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "look", Description: "Reads."}, func(_ context.Context, _ *mcp.CallToolRequest, a textArgs) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "saw " + a.Text}}}, map[string]any{"found": a.Text, "rows": []int{1, 2}}, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "change", Description: "Writes."}, func(_ context.Context, _ *mcp.CallToolRequest, a textArgs) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "changed " + a.Text}}}, nil, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "ask", Description: "Asks the user."}, func(ctx context.Context, r *mcp.CallToolRequest, a textArgs) (*mcp.CallToolResult, any, error) {
		got, err := r.Session.Elicit(ctx, &mcp.ElicitParams{Message: "is secret " + a.Text + " right?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{"ok": map[string]any{"type": "boolean"}}}})
		if err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "user: " + got.Action}}}, nil, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "slow", Description: "Tells how far it is."}, func(ctx context.Context, r *mcp.CallToolRequest, a textArgs) (*mcp.CallToolResult, any, error) {
		for i := range 2 {
			_ = r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: float64(i), Message: "at secret"})
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
	})
	if os.Getenv(dies) != "" {
		mcp.AddTool(s, &mcp.Tool{Name: "die"}, func(context.Context, *mcp.CallToolRequest, textArgs) (*mcp.CallToolResult, any, error) {
			os.Exit(3)
			return nil, nil, nil
		})
	}
	s.AddResource(&mcp.Resource{URI: "note://one", Name: "one"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "note://one", Text: "a secret note"}}}, nil
	})
	s.AddPrompt(&mcp.Prompt{Name: "hello"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: "tell the secret"}}}}, nil
	})
	return s
}

// sdkHTTP serves it over streamable HTTP.
func sdkHTTP(t *testing.T, stateless bool) string {
	t.Helper()
	s := sdkServer()
	h := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: stateless}))
	t.Cleanup(h.Close)
	return h.URL
}

// open serves a gate before the servers and returns its address.
func open(t *testing.T, a gate.Authority, change func(*gatemcp.Config), servers ...gatemcp.Server) string {
	t.Helper()
	o := gatemcp.Config{Name: "tools", Authority: a, Judge: judge{}, Servers: servers, Authorization: []string{"https://issuer.example"}}
	if change != nil {
		change(&o)
	}
	g, err := gatemcp.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// bearer adds a token to each request.
type bearer struct{ token string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

// connect is a real client through the gate. versions are those it may speak.
func connect(t *testing.T, url string, o *mcp.ClientOptions, versions ...string) *mcp.ClientSession {
	t.Helper()
	if o == nil {
		o = &mcp.ClientOptions{}
	}
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, o)
	so := &mcp.ClientSessionOptions{}
	if len(versions) > 0 {
		so.ProtocolVersion = versions[0]
	}
	cs, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: bearer{gatetest.Token}}, MaxRetries: -1}, so)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cs.Close() })
	return cs
}

func call(t *testing.T, cs *mcp.ClientSession, tool, text string) *mcp.CallToolResult {
	t.Helper()
	r, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: map[string]any{"text": text}})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return r
}

func said(r *mcp.CallToolResult) string {
	var b strings.Builder
	for _, c := range r.Content {
		if t, is := c.(*mcp.TextContent); is {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

// post sends raw bytes and returns status and body.
func post(t *testing.T, url, body string, heads ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+gatetest.Token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(heads); i += 2 {
		if r.Header.Set(heads[i], heads[i+1]); heads[i] == "Host" {
			r.Host = heads[i+1]
		}
		if heads[i+1] == "" {
			r.Header.Del(heads[i])
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// eventually waits for something that follows a moment later.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never came to this: %s", what)
}

func kinds(a *gatetest.Authority, verb string) []action.Kind {
	for _, x := range slices.Backward(a.Actions()) {
		if x.Verb == verb {
			return x.Kinds
		}
	}
	return nil
}
