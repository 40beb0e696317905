package mcp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const maskedPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: masked, version: 1.0.0, owner: tests }
rules:
  - { id: reads, match: { kind: [data.read] }, then: allow }
  - { id: masked, match: { actor: [agent] }, then: mask, mask: { pii: redact, pci: partial, secret: redact } }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

// BenchmarkGate calls a tool that reads, directly, through a bare reverse
// proxy of net/http and through the gate in turns, and prints calls a second and latencies of both.
func BenchmarkGate(b *testing.B) {
	s := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	line := "order 1842, shipped to Ana Lopes, ana.lopes@example.net, 3 parcels, paid\n"
	mcp.AddTool(s, &mcp.Tool{Name: "read"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strings.Repeat(line, 14)}}}, nil, nil
	})
	up := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
	b.Cleanup(up.Close)
	gate, token := deployWith(b, maskedPack, "      - { name: notes, url: '"+up.URL+"', tools: [{ tool: read, kinds: [data.read] }] }\n")
	seconds, rounds := 2.0, 5
	if v, err := strconv.ParseFloat(os.Getenv("ASSENT_BENCH_SECONDS"), 64); err == nil {
		seconds = v
	}
	u, err := url.Parse(up.URL)
	if err != nil {
		b.Fatal(err)
	}
	hop := httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }})
	b.Cleanup(hop.Close)
	for _, clients := range []int{1, 8} {
		var directly, proxied, through side
		for range rounds {
			directly.run(b, up.URL, "", clients, seconds)
			proxied.run(b, hop.URL, "", clients, seconds)
			through.run(b, gate+"/mcp", token, clients, seconds)
		}
		d, p, g := directly.sum(), proxied.sum(), through.sum()
		fmt.Printf("%d clients: direct %.0f calls/s, p50 %v, p99 %v; a bare reverse proxy %.0f, %v, %v; gate %.0f, %v, %v\n",
			clients, d.rate, d.p50, d.p99, p.rate, p.p50, p.p99, g.rate, g.p50, g.p99)
		fmt.Printf("%d clients: gate has %.2f of direct calls/s and %.2f of the proxy's; p50 +%v\n", clients, g.rate/d.rate, g.rate/p.rate, g.p50-d.p50)
	}
}

type side struct {
	took  []time.Duration
	spent time.Duration
}

type figures struct {
	rate     float64
	p50, p99 time.Duration
}

func (s *side) sum() figures {
	slices.Sort(s.took)
	at := func(q float64) time.Duration {
		return s.took[int(q*float64(len(s.took)-1))].Round(time.Microsecond)
	}
	return figures{float64(len(s.took)) / s.spent.Seconds(), at(.5), at(.99)}
}

func (s *side) run(b *testing.B, url, token string, clients int, seconds float64) {
	b.Helper()
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer c.CloseIdleConnections()
	var id atomic.Int64
	one := func() error {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"read","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, id.Add(1))
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			return err
		}
		for k, v := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "read"} {
			r.Header.Set(k, v)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := c.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err == nil && (!strings.Contains(string(text), "parcels") || strings.Contains(string(text), "isError") || token != "" && strings.Contains(string(text), "ana.lopes")) {
			err = fmt.Errorf("%d %s", resp.StatusCode, text)
		}
		return err
	}
	for range 20 { // connections, the list of tools
		if err := one(); err != nil {
			b.Fatal(err)
		}
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	began := time.Now()
	end := began.Add(time.Duration(seconds * float64(time.Second)))
	for range clients {
		work.Go(func() {
			var took []time.Duration
			for time.Now().Before(end) {
				t := time.Now()
				if err := one(); err != nil {
					b.Error(err)
					return
				}
				took = append(took, time.Since(t))
			}
			mu.Lock()
			defer mu.Unlock()
			s.took = append(s.took, took...)
		})
	}
	work.Wait()
	s.spent += time.Since(began)
}
