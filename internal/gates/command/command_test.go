package command

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/policy"
)

func sent(path, content string) File {
	return File{Path: path, Digest: Digest(content), Content: content, Sent: true}
}

func plainCommand() *Command {
	return &Command{
		Argv: []string{"sh", "deploy.sh", "prod"}, Dir: "/work", Home: "/home/ann", Host: "box", User: "ann",
		Binary: File{Path: "/bin/sh", Digest: Digest("sh")}, Files: []File{sent("deploy.sh", "rm -rf /srv/app\n")},
		Stdin: Stdin{Digest: Digest("in"), Bytes: 2, Content: "in", Sent: true}, Env: Env{Names: []string{"PATH"}, Digest: "d"},
		Preview: &Preview{Tool: "terraform", Creates: -1, Changes: -1, Destroys: 3, Digest: "p", Time: time.Unix(0, 0)},
	}
}

// Whatever a command is made of is bound: change it, and it is another action.
func TestEverythingIsBound(t *testing.T) {
	base := plainCommand()
	if err := base.Check(); err != nil {
		t.Fatal(err)
	}
	envelope := func(c *Command) string {
		t.Helper()
		b, err := Describe(c).Envelope()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	was := envelope(base)
	if was != envelope(plainCommand()) {
		t.Fatal("the same command has two envelopes")
	}
	for name, change := range map[string]func(*Command){
		"argument":         func(c *Command) { c.Argv[2] = "test" },
		"words cut anew":   func(c *Command) { c.Argv = []string{"sh", "deploy.sh prod"} },
		"script instead":   func(c *Command) { c.Script, c.Argv = "sh deploy.sh prod", nil },
		"directory":        func(c *Command) { c.Dir = "/tmp" },
		"host":             func(c *Command) { c.Host = "prod" },
		"user":             func(c *Command) { c.User = "root" },
		"binary's path":    func(c *Command) { c.Binary.Path = "/tmp/sh" },
		"binary's content": func(c *Command) { c.Binary.Digest = Digest("other") },
		"script's text":    func(c *Command) { c.Files[0] = sent("deploy.sh", "rm -rf /\n") },
		"script unsent":    func(c *Command) { c.Files[0].Sent, c.Files[0].Content = false, "" },
		"another file":     func(c *Command) { c.Files = append(c.Files, sent("x", "y")) },
		"standard input":   func(c *Command) { c.Stdin = Stdin{Digest: Digest("no"), Bytes: 2, Content: "no", Sent: true} },
		"live input":       func(c *Command) { c.Stdin = Stdin{Live: true} },
		"no input":         func(c *Command) { c.Stdin = Stdin{} },
		"environment":      func(c *Command) { c.Env.Digest = "e" },
		"variables":        func(c *Command) { c.Env.Names = append(c.Env.Names, "KUBECONFIG") },
		"plan":             func(c *Command) { c.Preview.Digest = "q" },
	} {
		c := plainCommand()
		change(c)
		if envelope(c) == was {
			t.Errorf("another %s is the same action", name)
		}
	}
	words := plainCommand()
	words.Claims.Reason, words.Preview.Detail = "because", "- a"
	if envelope(words) != was {
		t.Error("the asker's words make another action")
	}
}

func TestCheckRefuses(t *testing.T) {
	for name, change := range map[string]func(*Command){
		"nothing":             func(c *Command) { c.Argv = nil },
		"both":                func(c *Command) { c.Script = "ls" },
		"no name":             func(c *Command) { c.Argv[0] = "" },
		"a NUL":               func(c *Command) { c.Argv[1] = "a\x00b" },
		"bytes":               func(c *Command) { c.Dir = "\xff" },
		"a wrong digest":      func(c *Command) { c.Files[0].Content = "ls\n" },
		"a wrong input":       func(c *Command) { c.Stdin.Content = "xx" },
		"a short input":       func(c *Command) { c.Stdin.Bytes = 1 },
		"a long file":         func(c *Command) { c.Files[0] = sent("f", strings.Repeat("x", MaxContent+1)) },
		"many files":          func(c *Command) { c.Files = slices.Repeat([]File{sent("f", "x")}, maxFiles+1) },
		"an unknown tool":     func(c *Command) { c.Preview.Tool = "trust me" },
		"a long preview":      func(c *Command) { c.Preview.Detail = strings.Repeat("x", maxDetail+1) },
		"a preview of a byte": func(c *Command) { c.Preview.Detail = "\xff" },
	} {
		c := plainCommand()
		change(c)
		if c.Check() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// What a shell would read from a file is judged, and run, as text.
func TestInline(t *testing.T) {
	script := "echo hello\n"
	for _, c := range []struct {
		name string
		c    Command
		want []string
	}{
		{"a script", Command{Argv: []string{"sh", "-e", "s", "x"}, Files: []File{sent("s", script)}}, []string{"sh", "-e", "-c", script, "s", "x"}},
		{"by its path", Command{Argv: []string{"/bin/bash", "-o", "pipefail", "s"}, Files: []File{sent("s", script)}}, []string{"/bin/bash", "-o", "pipefail", "-c", script, "s"}},
		{"behind two dashes", Command{Argv: []string{"sh", "--", "s"}, Files: []File{sent("s", script)}}, []string{"sh", "-c", script, "s"}},
		{"like an option", Command{Argv: []string{"sh", "s"}, Files: []File{sent("s", "-s\n")}}, []string{"sh", "s"}},
		{"text already", Command{Argv: []string{"sh", "-c", "s"}, Files: []File{sent("s", script)}}, []string{"sh", "-c", "s"}},
		{"standard input", Command{Argv: []string{"sh", "-s", "s"}, Files: []File{sent("s", script)}}, []string{"sh", "-s", "s"}},
		{"another file", Command{Argv: []string{"sh", "s"}, Files: []File{sent("t", script)}}, []string{"sh", "s"}},
		{"unsent", Command{Argv: []string{"sh", "s"}, Files: []File{{Path: "s", Digest: Digest(script)}}}, []string{"sh", "s"}},
		{"no shell", Command{Argv: []string{"python3", "s"}, Files: []File{sent("s", script)}}, []string{"python3", "s"}},
		{"a program that is a script", Command{Argv: []string{"./s", "x"}, Binary: sent("/w/s", "#!/bin/sh -e\n"+script)}, []string{"/bin/sh", "-e", "-c", "#!/bin/sh -e\n" + script, "./s", "x"}},
		{"through env", Command{Argv: []string{"./s"}, Binary: sent("/w/s", "#!/usr/bin/env bash\n"+script)}, []string{"bash", "-c", "#!/usr/bin/env bash\n" + script, "./s"}},
		{"another interpreter", Command{Argv: []string{"./s"}, Binary: sent("/w/s", "#!/usr/bin/env python3\n"+script)}, []string{"./s"}},
		{"env with options", Command{Argv: []string{"./s"}, Binary: sent("/w/s", "#!/usr/bin/env -S bash -x\n"+script)}, []string{"./s"}},
	} {
		if got := c.c.Inline(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWhatTheEnvironmentTakesBack(t *testing.T) {
	set, err := policy.Default(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	base := Command{Argv: []string{"ls", "-l"}, Dir: "/home/ann/app", Binary: File{Path: "/usr/bin/ls"}}
	if v := verdict(set, &base); v != policy.Allow {
		t.Fatalf("a plain read: %v", v)
	}
	for name, change := range map[string]func(*Command){
		"a loader's variable":        func(c *Command) { c.Env.Names = []string{"LD_PRELOAD"} },
		"a shell's start file":       func(c *Command) { c.Env.Names = []string{"BASH_ENV"} },
		"a function of the name":     func(c *Command) { c.Env.Names = []string{"BASH_FUNC_ls%%"} },
		"a program in the work copy": func(c *Command) { c.Binary.Path = "/home/ann/app/bin/ls" },
		"a program in /tmp":          func(c *Command) { c.Binary.Path = "/tmp/x/ls" },
		"a program that is a script": func(c *Command) { c.Binary = sent("/usr/local/bin/ls", "#!/bin/sh\nrm -rf ~\n") },
	} {
		c := base
		change(&c)
		if v := verdict(set, &c); v == policy.Allow {
			t.Errorf("%s: it flows (%v)", name, Describe(&c).Kinds)
		}
	}
}

func verdict(set *policy.Set, c *Command) policy.Verdict {
	a := Describe(c)
	a.Resource = action.Resource{URN: "command:commands", Type: "command", Env: "workstation"}
	a.Subject, a.Actors = "person:ann", []action.Link{{ID: "agent:worker", Type: "agent"}}
	if a.Data.Destination == "" {
		a.Data.Destination, a.Data.DestinationTrust = "client", "internal"
	}
	return set.Explain(&policy.Input{Action: a, SubjectID: a.Subject, ActorID: "agent:worker", ActorType: "agent", ActorOwner: a.Subject, Time: time.Unix(1_800_000_000, 0)}).Verdict
}

// TestBypass: each line of the corpus once was, or could be, a way around; none flows.
func TestBypass(t *testing.T) {
	set, err := policy.Default(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("testdata/bypass.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	seen := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l struct {
			ID, Script, Dir, Binary string
			Argv, Env               []string
			Files                   map[string]string
			Stdin                   *string
			Live                    bool
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		if l.ID == "" || seen[l.ID] {
			t.Errorf("%s: a line needs an id of its own", lines.Text())
		}
		seen[l.ID] = true
		c := &Command{Argv: l.Argv, Script: l.Script, Dir: "/home/ann/app", Home: "/home/ann", Env: Env{Names: l.Env}, Binary: File{Path: l.Binary}, Stdin: Stdin{Live: l.Live}}
		if l.Dir != "" {
			c.Dir = l.Dir
		}
		for _, name := range slices.Sorted(maps.Keys(l.Files)) {
			if name == l.Binary {
				c.Binary = sent(name, l.Files[name])
			} else {
				c.Files = append(c.Files, sent(name, l.Files[name]))
			}
		}
		if l.Stdin != nil {
			c.Stdin = Stdin{Digest: Digest(*l.Stdin), Bytes: int64(len(*l.Stdin)), Content: *l.Stdin, Sent: true}
		}
		if err := c.Check(); err != nil {
			continue // refused
		}
		if verdict(set, c) == policy.Allow {
			t.Errorf("%s flows, as %v", l.ID, Describe(c).Kinds)
		}
	}
	if len(seen) < 40 {
		t.Errorf("%d lines were read", len(seen))
	}
}

func TestLine(t *testing.T) {
	for want, words := range map[string][]string{
		"terraform destroy -target=a.b":    {"terraform", "destroy", "-target=a.b"},
		`echo 'a b' '' '$HOME' 'it'\''s'`:  {"echo", "a b", "", "$HOME", "it's"},
		"echo 'two\nlines' '*' '~' 'a\\b'": {"echo", "two\nlines", "*", "~", `a\b`},
	} {
		if got := Line(words); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPreviewsAreClaims(t *testing.T) {
	p := &Preview{Tool: "terraform", Creates: 0, Changes: 1, Destroys: 18, Time: time.Unix(0, 0)}
	got := p.preview()
	if !got.Claimed || got.Binds || got.Bound().Known || got.Text != "would create 0, change 1, destroy 18 objects" || got.By != "the asker's own terraform" {
		t.Errorf("%+v", got)
	}
	none := (&Preview{Tool: "kubectl", Creates: -1, Changes: -1, Destroys: -1, Why: "its dry run failed"}).preview()
	if none.Text != "" || none.Why != "its dry run failed" || none.Destroys.Known {
		t.Errorf("%+v", none)
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add("sh", "deploy.sh", "rm -rf /", "#!/bin/sh\nls")
	f.Add("./run", "-c", "", "#!/usr/bin/env bash\nls")
	f.Add("bash", "-o", "x", "#!")
	f.Fuzz(func(t *testing.T, a, b, file, binary string) {
		c := &Command{Argv: []string{a, b}, Binary: sent("bin", binary), Files: []File{sent(b, file)}}
		if c.Check() != nil {
			return
		}
		got := Describe(c)
		if len(got.Kinds) == 0 || len(got.Payload) == 0 || got.Statement == "" {
			t.Fatalf("%+v", got)
		}
		if _, err := got.Envelope(); err != nil {
			t.Fatal(err)
		}
		if words := c.Inline(); len(words) < 2 || words[len(words)-1] != b {
			t.Fatalf("%q lost its arguments", words)
		}
	})
}
