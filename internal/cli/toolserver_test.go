package cli_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdToolServer starts an MCP server whose one tool, create_issue, is described by
// whatever stands in a file; its address goes into an environment variable: toolserver VAR FILE.
func cmdToolServer(ts *testscript.TestScript, _ bool, args []string) {
	s := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server {
		s := mcp.NewServer(&mcp.Implementation{Name: "issues", Version: "1"}, nil)
		s.AddTool(&mcp.Tool{Name: "create_issue", Description: strings.TrimSpace(ts.ReadFile(args[1])), InputSchema: map[string]any{"type": "object"}}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{}, nil
		})
		return s
	}, &mcp.StreamableHTTPOptions{Stateless: true}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// A bearer signs requests.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// cmdListTools lists the tools at the gate as an agent does: listtools TOKEN.
func cmdListTools(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "scripts", Version: "1"}, nil).Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: "http://127.0.0.1:" + ts.Getenv("GATE") + "/mcp", HTTPClient: &http.Client{Transport: bearer(args[0])}, DisableStandaloneSSE: true,
	}, nil)
	ts.Check(err)
	_, err = cs.ListTools(ctx, nil)
	ts.Check(err)
	ts.Check(cs.Close())
}
