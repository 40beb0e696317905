//go:build unix

package launch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
)

// bench is a directory in which commands are described and run.
type bench struct {
	t        *testing.T
	dir      string
	env      []string
	out, err bytes.Buffer
}

func newBench(t *testing.T) *bench {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	return &bench{t: t, dir: dir, env: []string{"PATH=" + filepath.Join(dir, "bin") + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + dir}}
}

func (b *bench) file(name, text string, mode os.FileMode) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b *bench) request(in *os.File, argv ...string) *Request {
	b.out.Reset()
	b.err.Reset()
	r := &Request{Argv: argv, In: in, Out: &b.out, Err: &b.err, Env: b.env, Dir: b.dir}
	b.t.Cleanup(r.Close)
	return r
}

func (b *bench) prepare(r *Request) *Prepared {
	b.t.Helper()
	p, err := Prepare(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(p.Close)
	return p
}

func (b *bench) run(p *Prepared, masks map[string]string) *Result {
	b.t.Helper()
	r, err := p.Run(masks)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestStatusAndOutput(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name   string
		argv   []string
		script string
		status int
		signal string
		out    string
	}{
		{"words are not expanded", []string{"printf", "%s", "$HOME * | x"}, "", 0, "", "$HOME * | x"},
		{"its own status", nil, "echo a; exit 42", 42, "", "a\n"},
		{"killed", nil, "kill -9 $$", 137, "KILL", ""},
		{"terminated", nil, "kill -TERM $$", 143, "TERM", ""},
		{"a background process does not keep it", nil, "sleep 60 & echo done", 0, "", "done\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := b.request(nil, c.argv...)
			r.Script = c.script
			got := b.run(b.prepare(r), nil)
			if got.Status() != c.status || got.Outcome().Signal != c.signal || b.out.String() != c.out || got.Bytes != int64(len(c.out)) || !got.Ran {
				t.Errorf("%+v, printed %q", got, b.out.String())
			}
		})
	}
}

func TestNotFound(t *testing.T) {
	b := newBench(t)
	b.file("plain", "x", 0o644)
	b.file("rel/tool", "#!/bin/sh\n", 0o755)
	b.env[0] = "PATH=rel::."
	for argv, status := range map[string]int{"no-such": 127, "./plain": 126, "./rel": 126, "tool": 127, "./rel/none": 127} {
		_, err := Prepare(t.Context(), b.request(nil, argv))
		var missing *NotFoundError
		if !errors.As(err, &missing) || missing.Status != status {
			t.Errorf("%s: %v, want %d", argv, err, status)
		}
	}
	for _, argv := range [][]string{{"echo", "\xff"}, {"echo", "\ufffd"}, {"echo", "a\x00b"}, {}} {
		if _, err := Prepare(t.Context(), b.request(nil, argv...)); err == nil {
			t.Errorf("%q has no canonical form, and was taken", argv)
		}
	}
}

// A script is run as the text that was described, with its own name and arguments.
func TestScriptsRunAsDescribed(t *testing.T) {
	b := newBench(t)
	text := "echo \"$0 $# $2\"\nif [ -n \"$BASH_VERSION\" ]; then echo bash; fi\n"
	b.file("deploy.sh", text, 0o644)
	b.file("run", "#!/bin/bash -e\n"+text, 0o755)
	b.file("other", "#!/usr/bin/env python3\nprint('python')\n", 0o755)
	for _, c := range []struct {
		argv []string
		out  string
		sent bool
	}{
		{[]string{"bash", "deploy.sh", "a", "b c"}, "deploy.sh 2 b c\nbash\n", true},
		{[]string{"bash", "-u", "-o", "pipefail", "deploy.sh", "a", "b"}, "deploy.sh 2 b\nbash\n", true},
		{[]string{"./run", "a", "b"}, "./run 2 b\nbash\n", true},
	} {
		p := b.prepare(b.request(nil, c.argv...))
		sent := p.Question().Binary.Content != nil
		for _, f := range p.Question().Files {
			sent = sent || f.Content != nil
		}
		if sent != c.sent {
			t.Errorf("%q: content sent %v", c.argv, sent)
		}
		if b.run(p, nil); b.out.String() != c.out {
			t.Errorf("%q printed %q, want %q", c.argv, b.out.String(), c.out)
		}
	}
	p := b.prepare(b.request(nil, "./other"))
	if c := p.Question().Binary.Content; c == nil || !strings.Contains(*c, "print") {
		t.Error("the text of a script for another interpreter was not sent")
	}
}

// What changes between the question and the run is not run.
func TestSwapsAreNoticed(t *testing.T) {
	tool, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	for name, swap := range map[string]func(b *bench){
		"the script in place":    func(b *bench) { b.file("deploy.sh", "touch evil", 0o644) },
		"the script by a rename": func(b *bench) { _ = os.Rename(b.file("new", "touch evil", 0o644), filepath.Join(b.dir, "deploy.sh")) },
		"the script is gone":     func(b *bench) { _ = os.Remove(filepath.Join(b.dir, "deploy.sh")) },
		"the program in place":   func(b *bench) { b.file("bin/bash", "#!/bin/sh\ntouch evil\n", 0o755) },
		"the program by a rename": func(b *bench) {
			_ = os.Rename(b.file("new", "#!/bin/sh\ntouch evil\n", 0o755), filepath.Join(b.dir, "bin/bash"))
		},
		"the program by a link": func(b *bench) {
			_ = os.Remove(filepath.Join(b.dir, "bin/bash"))
			_ = os.Symlink(tool, filepath.Join(b.dir, "bin/bash"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.file("deploy.sh", "touch ran", 0o644)
			real, err := os.ReadFile("/bin/bash")
			if err != nil {
				t.Fatal(err)
			}
			b.file("bin/bash", string(real), 0o755)
			p := b.prepare(b.request(nil, "bash", "deploy.sh"))
			swap(b)
			r, err := p.Run(nil)
			var changed *ChangedError
			if !errors.As(err, &changed) || r.Ran {
				t.Errorf("%+v, %v", r, err)
			}
			for _, f := range []string{"evil", "ran"} {
				if _, err := os.Stat(filepath.Join(b.dir, f)); err == nil {
					t.Errorf("%s was made", f)
				}
			}
		})
	}
}

// The scripts and programs that a script names are bound too.
func TestFilesOfAScript(t *testing.T) {
	b := newBench(t)
	b.file("deploy.sh", "touch ran", 0o644)
	b.file("tool", "#!/bin/sh\ntouch ran\n", 0o755)
	for _, swapped := range []string{"deploy.sh", "tool"} {
		r := b.request(nil)
		r.Script = "cd . && sh deploy.sh && ./tool"
		p := b.prepare(r)
		if len(p.Question().Files) != 2 {
			t.Fatalf("%+v", p.Question().Files)
		}
		b.file(swapped, "touch evil", 0o755)
		var changed *ChangedError
		if _, err := p.Run(nil); !errors.As(err, &changed) {
			t.Errorf("%s was swapped: %v", swapped, err)
		}
	}
}

// A program that comes earlier in PATH by now is another question, and the one that was
// described is the one that runs.
func TestPathIsResolvedOnce(t *testing.T) {
	b := newBench(t)
	p := b.prepare(b.request(nil, "echo", "right"))
	before := *p.Question()
	b.file("bin/echo", "#!/bin/sh\necho wrong\n", 0o755)
	if b.run(p, nil); b.out.String() != "right\n" {
		t.Errorf("printed %q", b.out.String())
	}
	again := b.prepare(b.request(nil, "echo", "right")).Question()
	if again.Binary.Path == before.Binary.Path || again.Binary.SHA256 == before.Binary.SHA256 {
		t.Error("another program in PATH is the same question")
	}
	b.env[0] += ":/opt"
	if third := b.prepare(b.request(nil, "echo", "right")).Question(); third.Env.Digest == again.Env.Digest {
		t.Error("another PATH is the same question")
	}
}

func TestEnvironmentDigest(t *testing.T) {
	b := newBench(t)
	digest := func(more ...string) *client.CommandEnv {
		r := b.request(nil, "true")
		r.Env = append(append([]string{}, b.env...), more...)
		return b.prepare(r).Question().Env
	}
	plain := digest()
	for _, kv := range []string{"KUBECONFIG=/k", "AWS_PROFILE=prod", "LD_PRELOAD=/x.so", "BASH_ENV=/x", "BASH_FUNC_ls%%=() { :; }", "PGHOST=h", "TF_VAR_x=1"} {
		got := digest(kv)
		if got.Digest == plain.Digest || len(got.Names) != len(plain.Names)+1 {
			t.Errorf("%s changes nothing: %v", kv, got.Names)
		}
		if strings.Contains(got.Digest, strings.SplitN(kv, "=", 2)[1]) && len(kv) > 12 {
			t.Errorf("%s: its value stands in the digest", kv)
		}
	}
	if digest("COLUMNS=80", "ASSENT_SESSION=x").Digest != plain.Digest {
		t.Error("what doesn't matter changes the question")
	}
}

func TestStandardInput(t *testing.T) {
	b := newBench(t)
	file := func(text string) *os.File {
		f, err := os.Open(b.file("in", text, 0o600))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	p := b.prepare(b.request(file("select 1\n"), "cat"))
	if in := p.Question().Stdin; in == nil || in.Content == nil || *in.Content != "select 1\n" || in.Live {
		t.Errorf("%+v", in)
	}
	b.file("in", "drop it\n", 0o600) // what was read is what the command reads
	if b.run(p, nil); b.out.String() != "select 1\n" {
		t.Errorf("it read %q", b.out.String())
	}
	if p := b.prepare(b.request(file(""), "cat")); p.Question().Stdin != nil {
		t.Error("an empty file is input")
	}
	if p := b.prepare(b.request(file("\xff\x00binary"), "cat")); p.Question().Stdin.Content != nil || p.Question().Stdin.SHA256 == "" {
		t.Error("bytes were sent as text")
	}
	// A stream that stays open comes while the command runs, from its beginning.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := write.WriteString("first "); err != nil {
		t.Fatal(err)
	}
	p = b.prepare(b.request(read, "cat"))
	if in := p.Question().Stdin; !in.Live || in.SHA256 != "" {
		t.Errorf("an open stream: %+v", in)
	}
	go func() {
		_, _ = write.WriteString("second")
		_ = write.Close()
	}()
	if b.run(p, nil); b.out.String() != "first second" {
		t.Errorf("it read %q", b.out.String())
	}
}

func TestLargeInput(t *testing.T) {
	const size = 100 << 20
	b := newBench(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.New()
	go func() {
		chunk := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
		for n := 0; n < size; n += len(chunk) {
			want.Write(chunk)
			if _, err := write.Write(chunk); err != nil {
				return
			}
		}
		_ = write.Close()
	}()
	p := b.prepare(b.request(read, "sha256sum"))
	in := p.Question().Stdin
	if in.Bytes != size || in.Content != nil || in.SHA256 != hex.EncodeToString(want.Sum(nil)) {
		t.Errorf("%d bytes, %s", in.Bytes, in.SHA256)
	}
	if b.run(p, nil); !strings.HasPrefix(b.out.String(), in.SHA256) {
		t.Errorf("it read something else: %s", b.out.String())
	}
}

// What is printed is masked, however it is cut, in both streams; a method that needs a key of the server's redacts.
func TestOutputIsMasked(t *testing.T) {
	b := newBench(t)
	r := b.request(nil)
	r.Script = `printf 'Ann ann@exam'; sleep 0.2; printf 'ple.com end\n'; echo 'card 4111 1111 1111 1111' >&2; printf 'last bob@example.com'`
	b.run(b.prepare(r), map[string]string{"email": "tokenize", "card": "partial"})
	if s := b.out.String() + b.err.String(); strings.Contains(s, "@example") || strings.Contains(s, "4111 1111 1111") || !strings.Contains(s, "end\n") || !strings.Contains(s, "Ann ") || !strings.Contains(b.err.String(), "1111") {
		t.Errorf("printed %q and %q", b.out.String(), b.err.String())
	}
}

func TestSignalsAreForwarded(t *testing.T) {
	b := newBench(t)
	ready, tell := io.Pipe()
	r := b.request(nil)
	r.Script, r.Out = `trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done`, tell
	p := b.prepare(r)
	go func() {
		buf := make([]byte, 16)
		_, _ = ready.Read(buf)
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		_, _ = io.Copy(io.Discard, ready)
	}()
	if got := b.run(p, nil); got.Status() != 9 {
		t.Errorf("%+v", got)
	}
	_ = tell.Close()
}

func TestShims(t *testing.T) {
	b := newBench(t)
	dir, remove, err := Shims(b.file("it's assent", "#!/bin/sh\nprintf '<%s>' \"$@\"\n", 0o755), []string{"terraform"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(dir, "terraform"), "apply", "a b").Output()
	if err != nil || string(out) != "<exec><--><terraform><apply><a b>" {
		t.Errorf("%q, %v", out, err)
	}
	env := withoutShims([]string{"PATH=" + dir + ":/usr/bin", ShimsVariable + "=" + dir})
	if valueOf(env, "PATH") != "/usr/bin" {
		t.Errorf("PATH is %s", valueOf(env, "PATH"))
	}
	remove()
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory is still there")
	}
	for _, name := range []string{"", "../x", "-x", "a/b"} {
		if _, _, err := Shims("/assent", []string{name}); err == nil {
			t.Errorf("%q was taken for the name of a program", name)
		}
	}
}

func TestNamedFiles(t *testing.T) {
	for line, want := range map[string]string{
		"sh deploy.sh":                        "deploy.sh",
		"sudo bash -e deploy.sh x":            "deploy.sh",
		"bash -c deploy.sh":                   "",
		"python3 tool.py -f data":             "tool.py data",
		"python3 -m http.server":              "",
		"kubectl apply -f a.yaml -f b.yaml":   "a.yaml b.yaml",
		"psql --file=x.sql":                   "x.sql",
		"kubectl apply -f https://host/a.yml": "",
		"cat secret":                          "",
		"kubectl apply -f -":                  "",
		"env -i node server.js":               "server.js",
	} {
		if got := strings.Join(named(strings.Fields(line)), " "); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestQuietInputEnds(t *testing.T) {
	b := newBench(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = write.Close() }()
	begun := time.Now()
	if got := b.run(b.prepare(b.request(read, "true")), nil); got.Status() != 0 || time.Since(begun) > 30*time.Second {
		t.Errorf("%+v after %s: an open input keeps a command that does not read it", got, time.Since(begun))
	}
}
