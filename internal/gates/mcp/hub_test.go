package mcp_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	gatemcp "github.com/assenthq/assent/internal/gates/mcp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// All servers behind one address: each name says whose it is, and each call is
// judged as one of its server.
func TestJoined(t *testing.T) {
	for _, rev := range []struct {
		version   string
		stateless bool
	}{{"2025-06-18", false}, {"2025-11-25", false}, {"2026-07-28", true}} {
		t.Run(rev.version, func(t *testing.T) {
			a := authority()
			url := open(t, a, nil, gatemcp.Server{Name: "one", URL: sdkHTTP(t, rev.stateless)}, stdioServer("two"), gatemcp.Server{Name: "local", Tunnel: true})
			asked := make(chan string, 2)
			cs := connect(t, url+"/mcp", &mcp.ClientOptions{ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				asked <- r.Params.Message
				return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"ok": true}}, nil
			}}, rev.version)
			if got := cs.InitializeResult().ProtocolVersion; got != rev.version {
				t.Errorf("they speak %s", got)
			}
			tools, err := cs.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, x := range tools.Tools {
				names = append(names, x.Name)
			}
			if len(names) != 8 || !slices.Contains(names, "one__look") || !slices.Contains(names, "two__look") {
				t.Errorf("tools: %v", names)
			}
			for _, server := range []string{"one", "two"} {
				if r := call(t, cs, server+"__look", "a secret"); said(r) != "saw a [masked]" {
					t.Errorf("look: %q", said(r))
				}
				last := a.Actions()[len(a.Actions())-1]
				if last.State["server"] != server || last.State["tool"] != "look" {
					t.Errorf("it was judged as %v", last.State)
				}
				uri := server + "+note://one"
				res, err := cs.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
				if err != nil || res.Contents[0].Text != "a [masked] note" || res.Contents[0].URI != uri {
					t.Errorf("resource: %+v, %v", res, err)
				}
				p, err := cs.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: server + "__hello"})
				if err != nil || p.Messages[0].Content.(*mcp.TextContent).Text != "tell the [masked]" {
					t.Errorf("prompt: %+v, %v", p, err)
				}
				if rev.stateless {
					continue
				}
				if r := call(t, cs, server+"__ask", "it"); said(r) != "user: accept" {
					t.Errorf("ask: %q", said(r))
				}
				if m := <-asked; m != "is [masked] it right?" {
					t.Errorf("the user was asked %q", m)
				}
			}
			resources, err := cs.ListResources(t.Context(), nil)
			if err != nil || len(resources.Resources) != 2 || resources.Resources[0].URI != "one+note://one" {
				t.Errorf("resources: %+v, %v", resources, err)
			}
			for _, bad := range []string{"look", "three__look", "local__look", "one__nothing", "one"} {
				if r, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: bad}); err == nil || !strings.Contains(err.Error(), "nknown") {
					t.Errorf("%s: %v, %v", bad, r, err)
				}
			}
		})
	}
}

// One server that is away leaves the others.
func TestJoinedWithoutOne(t *testing.T) {
	a := authority()
	a.Decide = func(_ context.Context, x *action.Action, _ func(gate.Held)) error { return nil }
	url := open(t, a, nil, gatemcp.Server{Name: "one", URL: sdkHTTP(t, false)}, gatemcp.Server{Name: "gone", URL: "http://127.0.0.1:1"})
	cs := connect(t, url+"/mcp", nil)
	tools, err := cs.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) != 4 || !strings.HasPrefix(tools.Tools[0].Name, "one__") {
		t.Errorf("tools: %v, %v", tools, err)
	}
	if r := call(t, cs, "one__look", "x"); r.IsError {
		t.Errorf("look: %q", said(r))
	}
}

// A server that ends in the middle of a call is lost for that call, and there again for the next.
func TestAServerThatEnds(t *testing.T) {
	a := authority()
	mortal := gatemcp.Server{Name: "two", Command: func(context.Context, gatemcp.Who) (gatemcp.Command, error) {
		return gatemcp.Command{Argv: []string{os.Args[0]}, Env: []string{asServer + "=1", dies + "=1"}}, nil
	}}
	url := open(t, a, nil, gatemcp.Server{Name: "one", URL: sdkHTTP(t, false)}, mortal)
	cs := connect(t, url+"/mcp", nil, "2025-11-25")
	for range 2 {
		r := call(t, cs, "two__die", "x")
		if m, _ := r.StructuredContent.(map[string]any); !r.IsError || m["status"] != gate.StatusLost {
			t.Errorf("the call that ended it: %q", said(r))
		}
		eventually(t, "it is there again", func() bool {
			r, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "two__look", Arguments: map[string]any{"text": "x"}})
			return err == nil && said(r) == "saw x"
		})
		if r := call(t, cs, "one__look", "x"); r.IsError {
			t.Errorf("the other one: %q", said(r))
		}
	}
	if !slices.ContainsFunc(a.Outcomes(), func(o gate.Outcome) bool { return o.State == gate.Unknown }) {
		t.Errorf("no outcome is unknown: %+v", a.Outcomes())
	}
	alone := connect(t, url+"/mcp/two", nil, "2025-11-25")
	// Its session ends with it, which this client may notice first.
	if r, err := alone.CallTool(t.Context(), &mcp.CallToolParams{Name: "die", Arguments: map[string]any{"text": "x"}}); err == nil && !r.IsError {
		t.Errorf("alone: %q", said(r))
	}
	again := connect(t, url+"/mcp/two", nil, "2025-11-25")
	if r := call(t, again, "look", "x"); said(r) != "saw x" {
		t.Errorf("begun anew: %q", said(r))
	}
}
