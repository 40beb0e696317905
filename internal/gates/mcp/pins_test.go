package mcp_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	classify "github.com/assenthq/assent/internal/classify/mcp"
	gatemcp "github.com/assenthq/assent/internal/gates/mcp"
	"github.com/assenthq/assent/internal/pins"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// asked are pins that let everything through, unless they fail, and know who was asked about.
type asked struct {
	mu      sync.Mutex
	servers map[string]bool
	fail    error
}

func (p *asked) Check(_ context.Context, server string, defs []classify.Definition) ([]pins.Verdict, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers[server] = true
	out := make([]pins.Verdict, len(defs))
	for i := range defs {
		out[i] = pins.Verdict{Tool: defs[i].Name, Digest: defs[i].Digest(), Pinned: true}
	}
	return out, p.fail
}

func (p *asked) Known(context.Context, string, string) (string, bool) { return "", false }

// Two commands under one name are two servers to the pins.
func TestPinsOfWhatClientsStart(t *testing.T) {
	t.Setenv(asServer, "1")
	p := &asked{servers: map[string]bool{}}
	url := open(t, authority(), func(o *gatemcp.Config) { o.Pins = p }, gatemcp.Server{Name: "local", Tunnel: true})
	for _, command := range [][]string{{os.Args[0]}, {os.Args[0], "-test.v"}} {
		cs, done := tunnel(t, url+"/mcp/local", command)
		if r := call(t, cs, "look", "x"); said(r) == "" {
			t.Errorf("look: %+v", r)
		}
		_ = cs.Close()
		<-done
	}
	if len(p.servers) != 2 {
		t.Errorf("asked about %v", p.servers)
	}
	for name := range p.servers {
		if !strings.HasPrefix(name, "local#") {
			t.Errorf("asked about %s", name)
		}
	}
}

// Where nobody knows what is pinned, nothing is listed and nothing called.
func TestPinsThatCantBeAsked(t *testing.T) {
	p := &asked{servers: map[string]bool{}, fail: errors.New("the store is away")}
	a := authority()
	url := open(t, a, func(o *gatemcp.Config) { o.Pins = p }, gatemcp.Server{Name: "one", URL: sdkHTTP(t, true)})
	cs, done := tunnel(t, url+"/mcp/one", nil)
	if _, err := cs.ListTools(t.Context(), nil); err == nil || strings.Contains(err.Error(), "look") {
		t.Errorf("listed: %v", err)
	}
	if _, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "look", Arguments: map[string]any{"text": "x"}}); err == nil {
		t.Error("called")
	}
	if n := len(a.Actions()); n != 0 {
		t.Errorf("%d actions were judged", n)
	}
	_ = cs.Close()
	<-done
}
