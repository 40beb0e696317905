package mcp_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	gatemcp "github.com/assenthq/assent/internal/gates/mcp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// asServer makes this test binary a server that speaks over standard input and output.
const asServer = "ASSENT_TEST_MCP_SERVER"

// dies gives such a server a tool that ends it.
const dies = "ASSENT_TEST_MCP_DIES"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		_ = sdkServer().Run(context.Background(), &mcp.StdioTransport{})
		return
	}
	os.Exit(m.Run())
}

func stdioServer(name string) gatemcp.Server {
	return gatemcp.Server{Name: name, Command: func(context.Context, gatemcp.Who) (gatemcp.Command, error) {
		return gatemcp.Command{Argv: []string{os.Args[0]}, Env: []string{asServer + "=1"}}, nil
	}}
}

// A server that speaks over standard input and output is there for clients of HTTP.
func TestCommand(t *testing.T) {
	for _, version := range []string{"2025-06-18", "2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) {
			a := authority()
			url := open(t, a, nil, stdioServer("one"))
			asked := make(chan string, 1)
			cs := connect(t, url+"/mcp/one", &mcp.ClientOptions{ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				asked <- r.Params.Message
				return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"ok": true}}, nil
			}}, version)
			if got := cs.InitializeResult().ProtocolVersion; got != version {
				t.Errorf("they speak %s", got)
			}
			if r := call(t, cs, "look", "a secret"); said(r) != "saw a [masked]" {
				t.Errorf("look: %q", said(r))
			}
			if version < "2026-07-28" {
				if r := call(t, cs, "ask", "it"); said(r) != "user: accept" {
					t.Errorf("ask: %q", said(r))
				}
				if m := <-asked; m != "is [masked] it right?" {
					t.Errorf("the user was asked %q", m)
				}
			}
		})
	}
}

// tunnel runs assent mcp and returns a client of it.
func tunnel(t *testing.T, url string, command []string) (*mcp.ClientSession, <-chan error) {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	p := &gatemcp.Tunnel{URL: url, Token: gatetest.Token, Command: command, In: inR, Out: outW, Err: io.Discard}
	done := make(chan error, 1)
	go func() {
		err := p.Run(context.WithoutCancel(t.Context()))
		_ = outW.Close()
		done <- err
	}()
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
		return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"ok": true}}, nil
	}})
	cs, err := c.Connect(t.Context(), &mcp.IOTransport{Reader: outR, Writer: inW}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cs, done
}

// assent mcp -- command: the server runs where its client is, and the gate judges between them.
func TestTunnel(t *testing.T) {
	t.Setenv(asServer, "1") // for the server that the tunnel starts
	a := authority()
	a.Decide = func(_ context.Context, x *action.Action, _ func(gate.Held)) error {
		if slices.Contains(x.Kinds, action.ToolCall) && strings.Contains(x.Statement, "forbidden") {
			return &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
		}
		return nil
	}
	url := open(t, a, nil, gatemcp.Server{Name: "local", Tunnel: true})
	cs, done := tunnel(t, url+"/mcp/local", []string{os.Args[0]})
	if r := call(t, cs, "look", "a secret"); said(r) != "saw a [masked]" {
		t.Errorf("look: %q", said(r))
	}
	if r := call(t, cs, "change", "forbidden"); !r.IsError {
		t.Errorf("change: %q", said(r))
	}
	last := a.Actions()[len(a.Actions())-1]
	if !strings.Contains(last.State["command"], os.Args[0]) || !strings.Contains(last.Statement, os.Args[0]) {
		t.Errorf("what runs is not in the action: %v, %s", last.State, last.Statement)
	}
	if err := cs.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// assent mcp --server NAME: a client that speaks stdio alone reaches servers of either kind.
func TestBridge(t *testing.T) {
	for name, s := range map[string]gatemcp.Server{
		"http, with sessions":    {Name: "one", URL: sdkHTTP(t, false)},
		"http, without sessions": {Name: "one", URL: sdkHTTP(t, true)},
		"stdio":                  stdioServer("one"),
	} {
		t.Run(name, func(t *testing.T) {
			a := authority()
			url := open(t, a, nil, s)
			cs, done := tunnel(t, url+"/mcp/one", nil)
			if r := call(t, cs, "look", "a secret"); said(r) != "saw a [masked]" {
				t.Errorf("look: %q", said(r))
			}
			if err := cs.Close(); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// Without the gate nothing passes, and the client hears why.
func TestTunnelWithoutGate(t *testing.T) {
	url := open(t, authority(), nil, gatemcp.Server{Name: "local", Tunnel: true}, gatemcp.Server{Name: "far", URL: sdkHTTP(t, true)})
	for name, p := range map[string]*gatemcp.Tunnel{
		"nobody answers":            {URL: "http://127.0.0.1:1/mcp/local", Token: gatetest.Token, Command: []string{os.Args[0]}},
		"another token":             {URL: url + "/mcp/local", Token: "x", Command: []string{os.Args[0]}},
		"no such server":            {URL: url + "/mcp/other", Token: gatetest.Token},
		"no command":                {URL: url + "/mcp/local", Token: gatetest.Token},
		"a command for one that is": {URL: url + "/mcp/far", Token: gatetest.Token, Command: []string{"cat"}},
		"a command that is not":     {URL: url + "/mcp/local", Token: gatetest.Token, Command: []string{"/does/not/exist"}},
	} {
		t.Run(name, func(t *testing.T) {
			inR, inW := io.Pipe()
			outR, outW := io.Pipe()
			p.In, p.Out, p.Err = inR, outW, io.Discard
			done := make(chan error, 1)
			go func() {
				done <- p.Run(t.Context())
				_ = outW.Close()
				_ = inR.Close()
			}()
			go func() {
				_, _ = io.WriteString(inW, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"look"}}`+"\n")
			}()
			line, err := bufio.NewReader(outR).ReadString('\n')
			if err != nil || !strings.Contains(line, `"id":7`) || !strings.Contains(line, `"error"`) {
				t.Errorf("the client hears %q, %v", line, err)
			}
			_ = inW.Close()
			if err := <-done; err == nil {
				t.Error("it ended as if all were well")
			}
		})
	}
	if code, _, _ := post(t, url+"/mcp/local", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); code != http.StatusOK {
		t.Errorf("over HTTP: %d", code)
	}
}
