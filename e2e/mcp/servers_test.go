package mcp_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const filesPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: files, version: 1.0.0, owner: tests }
rules:
  - { id: reads, match: { kind: [data.read, tool.call, llm.call] }, then: allow }
  - { id: masked, match: { actor: [agent] }, then: mask, mask: { email: redact } }
  - { id: no-writes, match: { kind: [data.write, data.delete] }, then: deny }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

// node is the command of an npm server.
func node(t *testing.T, server string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "node_modules/@modelcontextprotocol", server, "dist/index.js")
	if _, err := os.Stat(main); err != nil {
		t.Fatalf("%v: scripts/install gets what it needs", err)
	}
	return "'" + filepath.Join(dir, "node_modules/node/bin/node") + "', '" + main + "'"
}

type withBearer string

func (b withBearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func connect(t *testing.T, at, token string) *mcp.ClientSession {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	cs, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: at, HTTPClient: &http.Client{Transport: withBearer(token)}, MaxRetries: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cs.Close() })
	return cs
}

func text(t *testing.T, cs *mcp.ClientSession, tool string, arguments map[string]any) (string, bool) {
	t.Helper()
	r, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	var b strings.Builder
	for _, c := range r.Content {
		if x, is := c.(*mcp.TextContent); is {
			b.WriteString(x.Text)
		}
	}
	return b.String(), r.IsError
}

// The servers that people run: a file is read masked, and one that policy denies is never written.
func TestServersOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "note.txt"), []byte("write to ana.lopes@example.net\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gate, token := deployWith(t, filesPack, `
      - { name: files, kind: filesystem, command: [`+node(t, "server-filesystem")+`, '`+dir+`'] }
      - { name: every, command: [`+node(t, "server-everything")+`] }
`)
	for _, prefix := range []string{"", "files__"} {
		at := gate + "/mcp/files"
		if prefix != "" {
			at = gate + "/mcp"
		}
		cs := connect(t, at, token)
		if got, bad := text(t, cs, prefix+"read_text_file", map[string]any{"path": filepath.Join(dir, "note.txt")}); bad || strings.Contains(got, "ana.lopes") || !strings.Contains(got, "write to [masked:email]") {
			t.Errorf("%sread_text_file: %q", prefix, got)
		}
		if got, bad := text(t, cs, prefix+"write_file", map[string]any{"path": filepath.Join(dir, "new.txt"), "content": "x"}); !bad || !strings.Contains(got, "no-writes") {
			t.Errorf("%swrite_file: %q", prefix, got)
		}
		if _, err := os.Stat(filepath.Join(dir, "new.txt")); err == nil {
			t.Error("the file was written")
		}
	}
	cs := connect(t, gate+"/mcp/every", token)
	tools, err := cs.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(tools.Tools, func(x *mcp.Tool) bool { return x.Name == "echo" }) {
		t.Fatalf("%d tools", len(tools.Tools))
	}
	if got, bad := text(t, cs, "echo", map[string]any{"message": "to ana.lopes@example.net"}); bad || !strings.Contains(got, "to [masked:email]") {
		t.Errorf("echo: %q", got)
	}
}

// assent mcp, as its users run it: the server is started here, and only what policy allows reaches it.
func TestAssentMCP(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "assent")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/assenthq/assent/cmd/assent").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir := t.TempDir()
	gate, token := deployWith(t, filesPack, "      - { name: local, kind: filesystem, tunnel: true }\n")
	args := []string{"mcp", "--"}
	for _, a := range strings.Split(node(t, "server-filesystem"), ", ") {
		args = append(args, strings.Trim(a, "'"))
	}
	cmd := exec.Command(bin, append(args, dir)...)
	cmd.Env = append(os.Environ(), "ASSENT_MCP_URL="+gate+"/mcp", "ASSENT_TOKEN="+token)
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	cs, err := c.Connect(t.Context(), &mcp.CommandTransport{Command: cmd, TerminateDuration: 5 * time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, bad := text(t, cs, "list_directory", map[string]any{"path": dir}); bad {
		t.Errorf("list_directory: %q", got)
	}
	if got, bad := text(t, cs, "write_file", map[string]any{"path": filepath.Join(dir, "new.txt"), "content": "x"}); !bad || !strings.Contains(got, "no-writes") {
		t.Errorf("write_file: %q", got)
	}
	if err := cs.Close(); err != nil {
		t.Error(err)
	}
}
