// Package mcp_test holds the MCP gate against servers and suites of others.
package mcp_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/freeport"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/server"
)

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: open, version: 1.0.0, owner: tests }
rules:
  - { id: all, match: { kind: [data.read, data.write, tool.call, net.fetch, llm.call, execute, unknown] }, then: allow }
tests:
  - { name: tools, given: { kind: tool.call }, want: { decision: allow } }
`

// deploy starts a whole server with one gate before servers, and returns the gate's
// address and an agent's token.
func deploy(t testing.TB, servers string) (gate, token string) {
	t.Helper()
	return deployWith(t, pack, servers)
}

func deployWith(t testing.TB, pack, servers string) (gate, token string) {
	t.Helper()
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
limits: { export_after_rows: 1000000000 }
gates:
  - name: tools
    type: mcp
    env: test
    listen: 127.0.0.1:0
    servers:
`+servers))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("ASSENT_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s, err := server.New(t.Context(), cfg, log)
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
	token, err = s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + s.GateAddr("tools"), token
}

// everything builds and starts the official Go SDK's server for the suite.
func everything(t testing.TB, stateless bool) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "everything")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, "-http", addr, "-stateless="+strconv.FormatBool(stateless))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return "http://" + addr
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the server never listened")
	return ""
}

// withToken signs in for a suite that can't.
func withToken(t testing.TB, gate, token string) string {
	t.Helper()
	u, err := url.Parse(gate)
	if err != nil {
		t.Fatal(err)
	}
	p := httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host
		r.Out.Header.Set("Authorization", "Bearer "+token)
	}})
	t.Cleanup(p.Close)
	return p.URL + "/mcp"
}

var total = regexp.MustCompile(`(?m)^Total:\s+(\d+) passed, (\d+) failed`)

// suite runs the official conformance suite and returns what it counts.
func suite(t testing.TB, at string, arguments ...string) (passed, failed int, out string) {
	t.Helper()
	args := append([]string{"node_modules/@modelcontextprotocol/conformance/dist/index.js", "server", "--url", at, "--output-dir", t.TempDir()}, arguments...)
	cmd := exec.CommandContext(t.Context(), "node_modules/node/bin/node", args...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	_ = cmd.Run() // it fails where any scenario does
	m := total.FindStringSubmatch(b.String())
	if m == nil {
		t.Fatalf("the suite has no total:\n%s", b.String())
	}
	passed, _ = strconv.Atoi(m[1])
	failed, _ = strconv.Atoi(m[2])
	return passed, failed, b.String()
}

// Through the gate as many checks pass as without it.
func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name      string
		stateless bool
		args      []string
	}{
		{"with sessions", false, nil},
		{"2026-07-28", true, []string{"--spec-version", "2026-07-28"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("takes a minute")
			}
			up := everything(t, c.stateless)
			gate, token := deploy(t, "      - { name: one, url: '"+up+"' }\n")
			direct, lost, plain := suite(t, up, c.args...)
			through, failed, out := suite(t, withToken(t, gate, token), c.args...)
			t.Logf("%s: direct %d passed, %d failed; through the gate %d passed, %d failed", c.name, direct, lost, through, failed)
			if through < direct || failed > lost {
				t.Errorf("through the gate it is less:\n%s", less(plain, out))
			}
		})
	}
}

// less is the lines of a summary that another one has not.
func less(plain, out string) string {
	var lines []string
	for line := range strings.Lines(plain) {
		if (strings.HasPrefix(line, "✓") || strings.HasPrefix(line, "✗")) && !strings.Contains(out, line) {
			name, _, _ := strings.Cut(line, ":")
			_, now, _ := strings.Cut(out, name+":")
			now, _, _ = strings.Cut(now, "\n")
			lines = append(lines, strings.TrimSpace(line)+"; through the gate:"+now)
		}
	}
	return strings.Join(lines, "\n") + "\n" + out
}
