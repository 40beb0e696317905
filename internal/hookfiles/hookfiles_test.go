package hookfiles_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/hookfiles"
)

// settings are files as people have them.
var settings = map[string]string{
	"nothing":  "",
	"empty":    "{}\n",
	"spread":   "{\n}\n",
	"one line": `{"permissions":{"deny":["Read(./.env)"]},"unknown":[1,2.50,1e3]}`,
	"tabs":     "{\n\t\"model\": \"opus\",\n\t\"env\": {\n\t\t\"A\": \"b\\u00e9\"\n\t}\n}\n",
	"comments": "// mine\n{\n    /* keep */ \"a\": 1, // one\n    \"hooks\": {\n        // others'\n        \"PreToolUse\": [\n            { \"matcher\": \"Bash\", \"hooks\": [{ \"type\": \"command\", \"command\": \"other\", },], },\n        ],\n    },\n}\n",
	"hooks":    "{\n  \"version\": 1,\n  \"hooks\": {\n    \"PreToolUse\": [],\n    \"Stop\": [{\"hooks\": [{\"type\": \"command\", \"command\": \"say done\"}]}],\n    \"preToolUse\": [{\"command\": \"mine\"}]\n  },\n  \"z\": null\n}",
	"crlf":     "{\r\n  \"a\": 1\r\n}\r\n",
}

func command(t *testing.T, agent string, flags ...string) string {
	t.Helper()
	c, err := hookfiles.Command("/usr/local/bin/assent", agent, flags)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// others are the settings without comments and without what is ours.
func others(t *testing.T, text []byte) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

// TestRoundTrip: it goes in once, whatever is there stays, and it comes out without a trace.
func TestRoundTrip(t *testing.T) {
	for _, agent := range hookfiles.Agents() {
		for name, text := range settings {
			t.Run(agent+"/"+name, func(t *testing.T) {
				c := command(t, agent, "--token-file", "/home/u/a file")
				in, err := hookfiles.Install(agent, []byte(text), c)
				if err != nil {
					t.Fatal(err)
				}
				again, err := hookfiles.Install(agent, in, c)
				if err != nil || !bytes.Equal(in, again) {
					t.Errorf("a second time: %v\n%s", err, again)
				}
				if name == "comments" && (!bytes.Contains(in, []byte("/* keep */ \"a\": 1, // one")) || !bytes.Contains(in, []byte("// others'"))) {
					t.Errorf("comments are gone:\n%s", in)
				}
				if !strings.Contains(name, "comments") && !json.Valid(in) {
					t.Errorf("no JSON any more:\n%s", in)
				}
				if out, err := hookfiles.Uninstall(agent, in, []byte(text)); err != nil || string(out) != text {
					t.Errorf("out, unedited: %v\n%q\nwant\n%q", err, out, text)
				}
				other, err := hookfiles.Install(agent, in, command(t, agent))
				if err != nil || bytes.Equal(other, in) || bytes.Contains(other, []byte("token-file")) {
					t.Errorf("with other flags: %v\n%s", err, other)
				}
				// Somebody edits the file: what they wrote stays, ours goes.
				edited := bytes.Replace(in, []byte("{"), []byte("{\"edited\": true,"), 1)
				out, err := hookfiles.Uninstall(agent, edited, []byte(text))
				if err != nil || bytes.Contains(out, []byte("assent hook")) || !bytes.Contains(out, []byte(`"edited": true`)) {
					t.Errorf("out, edited: %v\n%s", err, out)
				}
				if name == "one line" && !strings.Contains(others(t, out), `"unknown":[1,2.5,1000]`) {
					t.Errorf("what others wrote is gone:\n%s", out)
				}
				if name == "hooks" && (!bytes.Contains(out, []byte("say done")) || !bytes.Contains(out, []byte(`"command": "mine"`))) {
					t.Errorf("hooks of others are gone:\n%s", out)
				}
			})
		}
	}
}

// TestBeside: a hook that somebody put beside ours stays, in the same group too.
func TestBeside(t *testing.T) {
	in := `{"hooks":{"PreToolUse":[{"hooks":[{"type":"command","command":"a"},{"type":"command","command":"/x/assent hook claude-code"},{"type":"http","url":"https://h/v1/hooks/claude-code"}]}]}}`
	out, err := hookfiles.Uninstall("claude-code", []byte(in), nil)
	if err != nil || string(out) != `{"hooks":{"PreToolUse":[{"hooks":[{"type":"command","command":"a"}]}]}}` {
		t.Errorf("%v: %s", err, out)
	}
	for _, program := range []string{"assent-1.4.0", "/opt/assent_linux_amd64", "assent.exe"} {
		in := `{"hooks":{"PreToolUse":[{"hooks":[{"type":"command","command":"` + program + ` hook claude-code"},{"type":"command","command":"a"}]}]}}`
		if out, err := hookfiles.Uninstall("claude-code", []byte(in), nil); err != nil || strings.Contains(string(out), "hook claude-code") {
			t.Errorf("%s was not taken for ours: %v, %s", program, err, out)
		}
	}
	for _, notOurs := range []string{"assent hook codex", "assenthook claude-code", "assent hook claude-codes", "echo assent", "my-assent hook claude-code"} {
		text := `{"hooks":{"PreToolUse":[{"hooks":[{"type":"command","command":"` + notOurs + `"}]}]}}`
		if out, err := hookfiles.Uninstall("claude-code", []byte(text), nil); err != nil || string(out) != text {
			t.Errorf("%s was taken for ours: %v, %s", notOurs, err, out)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{"[]", "{", `{"a":1}x`, `{"hooks":[]}`, `{"hooks":{"PreToolUse":{}}}`, `{"a":1,"a":2}`, `{"a" 1}`, "/* open", `{"a":tru}`, strings.Repeat("[", 1000), `{"a":"\ud8"}`} {
		if out, err := hookfiles.Install("claude-code", []byte(text), command(t, "claude-code")); err == nil {
			t.Errorf("%s became %s", text, out)
		}
	}
	if _, err := hookfiles.Command("/bin/assent", "cursor", []string{"--url", "http://127.0.0.1:8720"}); err == nil {
		t.Error("Cursor would take it for a comment")
	}
	if _, err := hookfiles.Command("/bin/as'sent", "codex", nil); err == nil {
		t.Error("a quote in a command line")
	}
}

// TestFiles: whole or not at all, through links but not out of a project, with the mode it had.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".claude", "settings.json")
	c := command(t, "claude-code")
	if ch, err := hookfiles.Put("claude-code", path, dir, c, true); err != nil || !ch.Changed || ch.Backup != "" {
		t.Fatalf("dry: %+v, %v", ch, err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Error("a dry run made something")
	}
	put := func() hookfiles.Change {
		t.Helper()
		ch, err := hookfiles.Put("claude-code", path, dir, c, false)
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	if ch := put(); !ch.Changed {
		t.Error("nothing changed")
	}
	if ch := put(); ch.Changed {
		t.Error("changed twice")
	}
	if ch, err := hookfiles.Take("claude-code", path, dir, false); err != nil || !ch.Changed {
		t.Fatalf("%+v, %v", ch, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file was not there before, and is")
	}

	text := []byte("{ // mine\n}")
	real := filepath.Join(dir, "dotfiles.json")
	if err := os.WriteFile(real, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, path); err != nil {
		t.Fatal(err)
	}
	put()
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode: %v", info.Mode())
	}
	if kept, err := os.ReadFile(real + ".before-assent"); err != nil || !bytes.Equal(kept, text) {
		t.Errorf("the copy: %q, %v", kept, err)
	}
	if _, err := hookfiles.Take("claude-code", path, dir, false); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(real); !bytes.Equal(now, text) {
		t.Errorf("out: %q", now)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 2 { // .claude and the file
		t.Errorf("left behind: %q", left)
	}

	outside := filepath.Join(t.TempDir(), "elsewhere.json")
	if err := os.WriteFile(outside, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(path)
	_ = os.Symlink(outside, path)
	if _, err := hookfiles.Put("claude-code", path, dir, c, false); err == nil {
		t.Error("it led out of the project")
	}
	_ = os.Remove(path)
	_ = os.Symlink(filepath.Join(dir, "nowhere"), path)
	if _, err := hookfiles.Put("claude-code", path, dir, c, false); err == nil {
		t.Error("a link that leads nowhere")
	}
	_ = os.RemoveAll(filepath.Dir(path))
	_ = os.Symlink(filepath.Dir(outside), filepath.Dir(path))
	if _, err := hookfiles.Put("claude-code", path, dir, c, false); err == nil {
		t.Error("its directory led out of the project")
	}
}

// TestExamine: what makes a hook fail open is named.
func TestExamine(t *testing.T) {
	here := filepath.Join(t.TempDir(), "assent")
	if err := os.WriteFile(here, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	installed := func(agent string) string {
		c, _ := hookfiles.Command(here, agent, nil)
		out, err := hookfiles.Install(agent, nil, c)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	cc := installed("claude-code")
	for name, tt := range map[string]struct {
		agent, text, managed, version, want string
	}{
		"whole":           {"claude-code", cc, "", "2.1.330", ""},
		"old":             {"claude-code", cc, "", "2.1.294", "knows no onFailure"},
		"no onFailure":    {"claude-code", strings.Replace(cc, `, "onFailure": "block"`, "", 1), "", "2.1.330", "without onFailure"},
		"continue":        {"claude-code", strings.Replace(cc, `"block"`, `"continue"`, 1), "", "2.1.330", "without onFailure"},
		"some tools":      {"claude-code", strings.Replace(cc, `"matcher": "*"`, `"matcher": "Bash"`, 1), "", "2.1.330", "asked about \"Bash\" alone"},
		"if":              {"claude-code", strings.Replace(cc, `"type"`, `"if": "Bash(git *)", "type"`, 1), "", "2.1.330", "leaves calls out"},
		"switched off":    {"claude-code", strings.Replace(cc, `{`, `{"disableAllHooks": true,`, 1), "", "2.1.330", "switches every hook off"},
		"managed only":    {"claude-code", cc, `{"allowManagedHooksOnly": true}`, "2.1.330", "managed hooks only"},
		"gone":            {"claude-code", strings.ReplaceAll(cc, here, "/nowhere/assent"), "", "2.1.330", "is not there"},
		"not asked":       {"claude-code", strings.Replace(cc, `"PreToolUse"`, `"PreToolUsed"`, 1), "", "2.1.330", "not of PreToolUse"},
		"broken":          {"claude-code", cc + "x", "", "2.1.330", "can't be read"},
		"codex":           {"codex", installed("codex"), "", "0.169.0", "not trusted or times out"},
		"gemini":          {"gemini", installed("gemini"), "", "0.61.0", "times out lets the call run"},
		"cursor":          {"cursor", installed("cursor"), "", "", ""},
		"failClosed gone": {"cursor", strings.Replace(installed("cursor"), `"failClosed": true`, `"failClosed": false`, 1), "", "", "without failClosed"},
		"cursor's events": {"cursor", strings.Replace(installed("cursor"), `"hooks": {`, `"hooks": { "preTool": [],`, 1), "", "", "names an event"},
		"slashes":         {"cursor", strings.Replace(installed("cursor"), `"hooks": {`, `"hooks": { "stop": [{"command": "curl http://x"}],`, 1), "", "", "has // in a string"},
	} {
		t.Run(name, func(t *testing.T) {
			home, root := t.TempDir(), t.TempDir()
			p := hookfiles.Places{Home: home, Project: t.TempDir(), Root: root, Getenv: func(string) string { return "" }}
			write := func(scope, text string) {
				path, err := p.Path(tt.agent, scope)
				if err != nil {
					t.Fatal(err)
				}
				_ = os.MkdirAll(filepath.Dir(path), 0o700)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("user", tt.text)
			if tt.managed != "" {
				write("managed", tt.managed)
			}
			lookup := func(string) (string, error) { return "/bin/x", nil }
			if tt.version == "" {
				lookup = func(string) (string, error) { return "", errors.New("none") }
			}
			var problems []string
			for _, f := range hookfiles.Examine(t.Context(), p, lookup, func(context.Context, string) string { return tt.version }) {
				if f.State == "problem" {
					problems = append(problems, f.What)
				}
			}
			all := strings.Join(problems, "\n")
			if tt.want == "" && all != "" || !strings.Contains(all, tt.want) {
				t.Errorf("problems:\n%s\nwant %q", all, tt.want)
			}
		})
	}
}

// FuzzInstall: settings stay what they were, or are refused.
func FuzzInstall(f *testing.F) {
	for _, text := range settings {
		for _, agent := range hookfiles.Agents() {
			f.Add(agent, text)
		}
	}
	f.Fuzz(func(t *testing.T, agent, text string) {
		known := false
		for _, a := range hookfiles.Agents() {
			known = known || a == agent
		}
		if !known || strings.Contains(text, "assent") {
			return
		}
		c, _ := hookfiles.Command("/bin/assent", agent, nil)
		in, err := hookfiles.Install(agent, []byte(text), c)
		if err != nil {
			return
		}
		if again, err := hookfiles.Install(agent, in, c); err != nil || !bytes.Equal(again, in) {
			t.Fatalf("a second time: %v\n%q\n%q", err, in, again)
		}
		if out, err := hookfiles.Uninstall(agent, in, []byte(text)); err != nil || string(out) != text {
			t.Fatalf("out: %v, %q, want %q", err, out, text)
		}
		if out, err := hookfiles.Uninstall(agent, in, nil); err != nil || bytes.Contains(out, []byte("assent hook")) {
			t.Fatalf("out, without a copy: %v, %q", err, out)
		}
		if json.Valid([]byte(text)) && !json.Valid(in) {
			t.Fatalf("no JSON any more: %q", in)
		}
	})
}
