package mcp_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/mcp"
)

func classifier(t testing.TB) *mcp.Classifier {
	t.Helper()
	c, err := mcp.New(mcp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func define(t testing.TB, raw string) mcp.Definition {
	t.Helper()
	d, err := mcp.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func tool(t testing.TB, name string) mcp.Definition {
	return define(t, `{"name":"`+name+`","inputSchema":{"type":"object"}}`)
}

func kinds(r *mcp.Result) string {
	var s []string
	for _, k := range r.Kinds {
		s = append(s, string(k))
	}
	return strings.Join(s, " ")
}

type listing struct {
	Package    string
	ServerInfo struct{ Name string }
	Tools      []json.RawMessage
}

// sections says which kind of server each recorded list is of.
var sections = map[string]string{
	"context7": "search", "everything": "everything", "fetch": "fetch", "filesystem": "filesystem", "git": "git", "github": "github",
	"github-npm": "github", "memory": "memory", "notion": "notion", "playwright": "browser", "postgres": "postgres",
	"puppeteer": "browser", "sequential-thinking": "sequential-thinking", "slack": "slack", "time": "time",
}

// Every tool that a well-known server listed is in the table; and where the server
// only calls itself so, its calls wait all the same.
func TestEveryListedToolIsKnown(t *testing.T) {
	c := classifier(t)
	files, err := filepath.Glob("testdata/lists/*.json")
	if err != nil || len(files) != len(sections) {
		t.Fatalf("%d lists, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var l listing
		if err := json.Unmarshal(b, &l); err != nil || len(l.Tools) == 0 {
			t.Fatalf("%s: %d tools, %v", f, len(l.Tools), err)
		}
		kind := sections[strings.TrimSuffix(filepath.Base(f), ".json")]
		for _, raw := range l.Tools {
			d := define(t, string(raw))
			r := c.Tool(mcp.Server{Name: "s", Kind: kind, Told: l.ServerInfo.Name}, d, nil)
			if !r.Mapped {
				t.Errorf("%s: %s is in no row of %s", l.Package, d.Name, kind)
			}
			told := c.Tool(mcp.Server{Name: "s", Told: l.ServerInfo.Name}, d, nil)
			if told.Mapped || !slices.Contains(told.Kinds, action.ToolCall) {
				t.Errorf("%s: %s of a server that only calls itself so: %v", l.Package, d.Name, told.Kinds)
			}
			for _, k := range r.Kinds {
				if !slices.Contains(told.Kinds, k) && r.Harmless == "" {
					t.Errorf("%s: %s: %s is forgotten where the server only calls itself so", l.Package, d.Name, k)
				}
			}
		}
	}
}

func TestCalls(t *testing.T) {
	c := classifier(t)
	for _, row := range []struct{ server, tool, args, want string }{
		{"filesystem", "read_text_file", `{"path":"notes/a.txt"}`, "data.read"},
		{"filesystem", "read_text_file", `{"path":"/home/u/.ssh/id_ed25519"}`, "data.read secret.access"},
		{"filesystem", "read_multiple_files", `{"paths":["a","/root/.aws/credentials"]}`, "data.read secret.access"},
		{"filesystem", "write_file", `{"path":"a.txt","content":"x"}`, "data.write"},
		{"filesystem", "Read_text_file", `{"path":"a"}`, "tool.call"},
		{"filesystem", "rеad_file", `{"path":"a"}`, "tool.call"},
		{"filesystem", "read_file", `{"path":1}`, "data.read unknown"},
		{"filesystem", "read_file", `{"path":"a","path":"b"}`, "data.read unknown"},
		{"filesystem", "read_file", `["a"]`, "data.read unknown"},
		{"sequential-thinking", "sequentialthinking", `{"thought":"x"}`, ""},
		{"memory", "delete_entities", `{"entityNames":["a"]}`, "data.delete"},
		{"fetch", "fetch", `{"url":"https://example.com/a"}`, "net.fetch"},
		{"fetch", "fetch", `{"url":"http://169.254.169.254/latest/meta-data"}`, "net.fetch secret.access"},
		{"fetch", "fetch", `{"url":"http://2852039166/"}`, "net.fetch unknown"},
		{"fetch", "fetch", `{"url":"file:///etc/shadow"}`, "data.read net.fetch secret.access"},
		{"fetch", "fetch", `{"url":"gopher://x/"}`, "net.fetch unknown"},
		{"postgres", "query", `{"sql":"SELECT name FROM customers"}`, "data.read"},
		{"postgres", "query", `{"sql":"COMMIT; DROP TABLE customers"}`, "schema.change"},
		{"postgres", "query", `{"sql":"SELECT 1","extra":{"x":1}}`, ""},
		{"postgres", "query", `{}`, "unknown"},
		{"database", "read_query", `{"query":"SELECT name FROM customers"}`, "data.read"},
		{"database", "read_query", `{"query":"SELECT a FROM t --1 INTO OUTFILE '/tmp/x'"}`, "data.read unknown"},
		{"database", "read_query", `{"query":"SELECT a FROM t /*!; DROP TABLE x */"}`, "data.read unknown"},
		{"database", "write_query", `{"query":"DELETE FROM customers"}`, "data.delete"},
		{"github", "create_issue", `{"owner":"o","repo":"r","title":"t"}`, "message.send"},
		{"github", "push_files", `{"owner":"o","repo":"r","files":[{"path":"a.go","content":"x"}]}`, "code.change data.write"},
		{"filesystem", "read_text_file", `{"path":"C:\\Users\\u\\.ssh\\id_ed25519"}`, "data.read secret.access"},
		{"shell", "execute_command", `{"command":"ls"}`, "data.read"},
		{"shell", "execute_command", `{"command":"rm -rf /srv/data"}`, "data.delete"},
		{"shell", "start_process", `{"command":"$(echo cm) x"}`, "execute unknown"},
		{"kubernetes", "pods_exec", `{"name":"p","command":["cat","/etc/hosts"]}`, "data.read execute infra.change"},
		{"aws", "call_aws", `{"cli_command":"aws s3 rb s3://x --force"}`, "data.delete infra.destroy"},
		{"github", "label_write", `{"method":"Delete","name":"x"}`, "data.delete data.write"},
		{"github", "merge_pull_request", `{}`, "code.change"},
		{"github", "delete_everything", `{}`, "tool.call"},
		{"slack", "slack_post_message", `{"channel_id":"C1","text":"hi"}`, "message.send"},
		{"browser", "browser_tabs", `{"action":"list"}`, "data.read"},
		{"browser", "browser_tabs", `{"action":"new","url":"example.com"}`, "data.read net.fetch"},
		{"browser", "browser_evaluate", `{"function":"() => 1"}`, "execute net.fetch unknown"},
		{"kubernetes", "resources_get", `{"kind":"Secret","name":"x"}`, "data.read secret.access"},
		{"kubernetes", "resources_create_or_update", `{"resource":"kind: ClusterRoleBinding"}`, "deploy infra.change privilege.change"},
		{"code", "run_code", `{"code":"print(1)"}`, "execute unknown"},
		{"", "anything", `{}`, "tool.call"},
		{"", "anything", `{"url":"https://example.com"}`, "net.fetch tool.call"},
		{"", "anything", `{"sql":"GRANT ALL ON x TO y"}`, "privilege.change tool.call"},
		// Calls inside calls.
		{"filesystem", "read_file", `{"path":"a","then":{"tool":"write_file","arguments":{"path":"b"}}}`, "data.read data.write"},
		{"filesystem", "read_file", `{"path":"a","then":"{\"name\":\"rm\",\"arguments\":{}}"}`, "data.read tool.call"},
		{"", "call_tool", `{"tool_name":"write_file","tool_input":"{\"path\":\"/root/.ssh/config\"}"}`, "config.change tool.call"},
		{"memory", "search_nodes", `{"query":"{\"method\":\"tools/call\",\"params\":{\"name\":\"delete_entities\",\"arguments\":{}}}"}`, "data.delete data.read tool.call"},
	} {
		r := c.Tool(mcp.Server{Name: "s", Kind: row.server}, tool(t, row.tool), []byte(row.args))
		if got := kinds(&r); got != row.want {
			t.Errorf("%s %s %s: %s, want %s (%v)", row.server, row.tool, row.args, got, row.want, r.Why)
		}
		if (r.Harmless != "") != (row.want == "") {
			t.Errorf("%s %s: harmless %q", row.server, row.tool, r.Harmless)
		}
	}
}

// The administrator's mapping goes before everything; an exact name before a
// pattern, and a longer pattern before a shorter one, in whatever order.
func TestTheAdministratorsMappingGoesFirst(t *testing.T) {
	c := classifier(t)
	s := mcp.Server{Name: "s", Kind: "filesystem", Rules: []mcp.Rule{
		{Tool: "*", Kinds: []action.Kind{action.DataRead}},
		{Tool: "write_*", Kinds: []action.Kind{action.CodeChange}, Writes: []string{"path"}},
		{Tool: "write_file", Kinds: []action.Kind{action.Deploy}},
		{Tool: "a*", Kinds: []action.Kind{action.DataWrite}},
		{Tool: "*b", Kinds: []action.Kind{action.Payment}},
		{Tool: "run", Shell: []string{"line"}},
	}}
	if err := c.Check(&s); err != nil {
		t.Fatal(err)
	}
	destroys := `{"name":"%","annotations":{"readOnlyHint":false,"destructiveHint":true}}`
	for name, want := range map[string]string{
		"move_file": "data.read", "write_log": "code.change data.write", "write_file": "deploy", "ab": "data.write payment", "other": "data.read",
	} {
		r := c.Tool(s, define(t, strings.Replace(destroys, "%", name, 1)), []byte(`{"path":"x"}`))
		if got := kinds(&r); got != want || !r.Mapped {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if r := c.Tool(s, tool(t, "run"), []byte(`{"line":"rm -rf /"}`)); !slices.Contains(r.Kinds, action.Execute) && !slices.Contains(r.Kinds, action.DataDelete) {
		t.Errorf("run: %v", r.Kinds)
	}
	for _, bad := range []mcp.Server{
		{Kind: "githib"}, {Rules: []mcp.Rule{{Tool: "x"}}}, {Rules: []mcp.Rule{{Kinds: []action.Kind{action.DataRead}}}}, {Rules: []mcp.Rule{{Tool: "x", Kinds: []action.Kind{"read"}}}},
	} {
		if c.Check(&bad) == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// A hint that sounds better than what is known changes nothing; one that sounds worse counts.
func TestAnnotationsOnlyTighten(t *testing.T) {
	c := classifier(t)
	const reads, writes, destroys = `{"readOnlyHint":true,"destructiveHint":false,"openWorldHint":false}`, `{"readOnlyHint":false,"destructiveHint":false}`, `{"destructiveHint":true}`
	for _, row := range []struct {
		kind, tool, hints string
		trusted           bool
		want              string
	}{
		{"filesystem", "write_file", reads, false, "data.write"},
		{"filesystem", "write_file", reads, true, "data.write"},
		{"memory", "delete_entities", reads, true, "data.delete"},
		{"", "drop_everything", reads, false, "tool.call"},
		{"", "drop_everything", reads, true, "data.read"},
		{"", "drop_everything", `{"readOnlyHint":true}`, true, "data.read net.fetch"},
		{"", "drop_everything", `{"destructiveHint":false}`, true, "tool.call"},
		{"", "drop_everything", `{"readOnlyHint":false,"openWorldHint":false}`, true, "data.delete data.write"},
		{"", "drop_everything", `{"readOnlyHint":false,"openWorldHint":false,"destructiveHint":false}`, true, "data.write"},
		{"filesystem", "read_file", writes, false, "data.read data.write"},
		{"filesystem", "read_file", destroys, false, "data.delete data.read data.write"},
		{"filesystem", "read_file", reads, false, "data.read"},
	} {
		r := c.Tool(mcp.Server{Name: "s", Kind: row.kind, Trusted: row.trusted}, define(t, `{"name":"`+row.tool+`","annotations":`+row.hints+`}`), nil)
		if got := kinds(&r); got != row.want {
			t.Errorf("%+v: %s", row, got)
		}
	}
	open := c.Tool(mcp.Server{Name: "s", Kind: "memory"}, define(t, `{"name":"read_graph","annotations":{"openWorldHint":true}}`), nil)
	closed := c.Tool(mcp.Server{Name: "s", Kind: "slack"}, define(t, `{"name":"slack_get_channel_history","annotations":{"openWorldHint":false}}`), nil)
	if !open.Untrusted || !closed.Untrusted {
		t.Errorf("others' words are not known for such: %v %v", open.Untrusted, closed.Untrusted)
	}
}

func TestWhatPeopleRead(t *testing.T) {
	c := classifier(t)
	r := c.Tool(mcp.Server{Name: "shop", Kind: "postgres"}, tool(t, "query"), []byte(`{"sql":"DELETE FROM orders\nWHERE id = 1","note":"a\nsql:\nSELECT 1"}`))
	want := "query {\n  \"note\": \"a\\nsql:\\nSELECT 1\"\n}\nsql:\nDELETE FROM orders\nWHERE id = 1"
	if r.Statement != want || r.Verb != "delete" || r.Target != "orders" || r.Title != "Call query of shop on orders" {
		t.Errorf("%q, %s of %s: %s", r.Statement, r.Verb, r.Target, r.Title)
	}
	r = c.Tool(mcp.Server{Name: "gh", Kind: "github"}, tool(t, "create_issue"), []byte(`{"owner":"o","repo":"r","title":"t"}`))
	if r.Target != "o/r" || r.Destination != "gh:r" || r.Verb != "create_issue" {
		t.Errorf("%+v", r)
	}
	a := c.Tool(mcp.Server{Name: "s", Kind: "slack"}, tool(t, "slack_post_message"), []byte(`{"channel_id":"C1","text":"a"}`))
	b := c.Tool(mcp.Server{Name: "s", Kind: "slack"}, tool(t, "slack_post_message"), []byte(`{"text":"b","channel_id":"C2"}`))
	d := c.Tool(mcp.Server{Name: "s", Kind: "slack"}, tool(t, "slack_post_message"), []byte(`{"channel_id":"C1","text":"a","blocks":[]}`))
	if a.Shape != b.Shape || a.Shape == d.Shape {
		t.Errorf("shapes %s %s %s", a.Shape, b.Shape, d.Shape)
	}
}

// What arguments hold stands in the statement alone, which others mask.
func TestArgumentsDontLeak(t *testing.T) {
	const value = "ana.lopes@example.net"
	c, err := mcp.New(mcp.Options{Mask: func(s string) string { return strings.ReplaceAll(s, value, "[masked]") }})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ kind, tool, args string }{
		{"filesystem", "read_file", `{"path":"/home/ana.lopes@example.net/a"}`},
		{"fetch", "fetch", `{"url":"https://ana.lopes@example.net/x"}`},
		{"redis", "get", `{"key":"ana.lopes@example.net"}`},
		{"mail", "send_email", `{"to":"ana.lopes@example.net"}`},
		{"github", "create_issue", `{"owner":"ana.lopes@example.net","repo":"r"}`},
		{"", "x", `{"tool":"ana.lopes@example.net","arguments":{"path":"ana.lopes@example.net"}}`},
		{"shell", "execute_command", `{"command":"cat ana.lopes@example.net"}`},
		{"postgres", "query", `{"sql":"SELECT a FROM t WHERE e = 'ana.lopes@example.net'"}`},
	} {
		r := c.Tool(mcp.Server{Name: "s", Kind: row.kind}, tool(t, row.tool), []byte(row.args))
		if !strings.Contains(r.Statement, value) {
			t.Errorf("%s %s: the statement is %q", row.kind, row.tool, r.Statement)
		}
		r.Statement = ""
		if b, err := json.Marshal(r); err != nil || strings.Contains(string(b), "lopes") {
			t.Errorf("%s %s: %s, %v", row.kind, row.tool, b, err)
		}
	}
}

func TestWhatSQLGivesAwayUnseen(t *testing.T) {
	c, err := mcp.New(mcp.Options{Class: func(column string) string {
		if strings.HasSuffix(column, ".ssn") || column == "ssn" {
			return "us-ssn"
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"SELECT name FROM c WHERE c.id = 1": "", "SELECT c.ssn FROM c": "", "SELECT c.name FROM c WHERE c.ssn LIKE '1%'": "us-ssn",
		"SELECT reverse(c.ssn) FROM c": "us-ssn", "SELECT max(c.ssn) FROM c": "us-ssn", "SELECT count(*) FROM c": "",
	} {
		r := c.Tool(mcp.Server{Name: "s", Kind: "postgres"}, tool(t, "query"), []byte(`{"sql":`+quote(text)+`}`))
		if got := strings.Join(r.Inferred, " "); got != want {
			t.Errorf("%s gives away %q, want %q", text, got, want)
		}
		if r := classifier(t).Tool(mcp.Server{Name: "s", Kind: "postgres"}, tool(t, "query"), []byte(`{"sql":`+quote(text)+`}`)); want != "" && !slices.Equal(r.Inferred, []string{"*"}) {
			t.Errorf("%s, where nobody knows of classes: %v", text, r.Inferred)
		}
	}
}

func TestOneDigestForOneDefinition(t *testing.T) {
	const one = `{"name":"a","description":"d","inputSchema":{"type":"object","properties":{"x":{"type":"number","minimum":0.5},"y":{}},"required":["x","y"]},"_meta":{"at":1}}`
	base := define(t, one)
	for name, same := range map[string]string{
		"order of members":  `{"inputSchema":{"required":["y","x"],"properties":{"y":{},"x":{"minimum":0.5,"type":"number"}},"type":"object"},"description":"d","name":"a"}`,
		"space and escapes": "{ \"name\":\"\\u0061\",\n\"description\":\"d\",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"number\",\"minimum\":0.5},\"y\":{}},\"required\":[\"x\",\"y\"]}}",
	} {
		if d := define(t, same); d.Digest() != base.Digest() {
			t.Errorf("%s: another digest\n%s\n%s", name, d.Canonical, base.Canonical)
		}
	}
	for name, other := range map[string]string{
		"description": strings.Replace(one, `"d"`, `"d "`, 1),
		"schema":      strings.Replace(one, `0.5`, `0.6`, 1),
		"title":       strings.Replace(one, `"name":"a"`, `"name":"a","title":"t"`, 1),
		"annotations": strings.Replace(one, `"name":"a"`, `"name":"a","annotations":{"readOnlyHint":true}`, 1),
		"output":      strings.Replace(one, `"name":"a"`, `"name":"a","outputSchema":{}`, 1),
		"required":    strings.Replace(one, `["x","y"]`, `["x"]`, 1),
	} {
		if d := define(t, other); d.Digest() == base.Digest() {
			t.Errorf("%s: the same digest", name)
		}
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"name":1}`, `{"name":""}`, `{"name":"a","name":"b"}`, `{"name":"a","Name":"b"}`, `{"name":"a","annotations":1}`, `{"name":"a","annotations":{"readOnlyHint":"yes"}}`, `{"name":"a"} x`} {
		if d, err := mcp.Parse([]byte(bad)); err == nil {
			t.Errorf("%s became %s", bad, d.Canonical)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, row := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*c*e", "abcde", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"", "a", false},
		{"a", "b", false},
		{"a*b", "aXbX", false},
		{"*a*a*a*b", strings.Repeat("a", 200), false},
	} {
		if got := mcp.Glob(row.pattern, row.name); got != row.want {
			t.Errorf("%q %q: %v", row.pattern, row.name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"name":"a","description":"\u200b","inputSchema":{"required":["b","a"]},"annotations":{"readOnlyHint":true}}`))
	f.Add([]byte(`{"name":"a","x":1e400}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := mcp.Parse(raw)
		if err != nil {
			return
		}
		again, err := mcp.Parse(d.Canonical)
		if err != nil || again.Digest() != d.Digest() {
			t.Fatalf("%s became %s (%v)", raw, d.Canonical, err)
		}
	})
}

// Whatever the arguments are, a call has kinds or a reason to have none, and what
// is added to them never makes the call milder.
func FuzzTool(f *testing.F) {
	c := classifier(f)
	f.Add("query", `{"sql":"SELECT 1"}`)
	f.Add("write_file", `{"path":"a","then":"{\"tool\":\"x\",\"arguments\":{}}"}`)
	f.Add("run", `{"command":"ls"}`)
	f.Add("fetch", `{"url":"http://[::1]:x/"}`)
	f.Fuzz(func(t *testing.T, name, args string) {
		d := mcp.Definition{Name: name}
		for _, kind := range append([]string{""}, c.ServerKinds()...) {
			r := c.Tool(mcp.Server{Name: "s", Kind: kind}, d, []byte(args))
			if (len(r.Kinds) == 0) != (r.Harmless != "") {
				t.Fatalf("%s %s %s: %v, harmless %q", kind, name, args, r.Kinds, r.Harmless)
			}
			if kind == "" && !slices.Contains(r.Kinds, action.ToolCall) {
				t.Fatalf("%s %s: %v", name, args, r.Kinds)
			}
			more := c.Tool(mcp.Server{Name: "s", Kind: kind}, d, []byte(`{"also":{"tool":"rm","arguments":{}},"sql":"DROP TABLE x","q":`+quote(args)+`}`))
			if len(more.Kinds) == 0 {
				t.Fatalf("%s %s: harmless with a call inside", kind, name)
			}
		}
	})
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}
