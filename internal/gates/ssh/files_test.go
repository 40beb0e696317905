package ssh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/ssh/sshdtest"
)

// sftp runs OpenSSH's client with a batch.
func (h *house) sftp(lines ...string) said {
	h.t.Helper()
	batch := filepath.Join(h.dir, "batch")
	write(h.t, batch, []byte(strings.Join(lines, "\n")+"\n"))
	return ended(h.client("sftp", "-q", "-oBatchMode=no", "-b", batch, "gate"))
}

func (h *house) put(name, text string) string {
	h.t.Helper()
	p := filepath.Join(h.home, name)
	write(h.t, p, []byte(text))
	return p
}

func (h *house) text(p string) string {
	b, err := os.ReadFile(p)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return string(b)
}

// verbs are what was asked for, and of what kinds.
func (h *house) verbs() []string {
	var out []string
	for _, a := range h.Actions() {
		var kinds []string
		for _, k := range a.Kinds {
			kinds = append(kinds, string(k))
		}
		out = append(out, a.Verb+" "+strings.TrimPrefix(strings.TrimPrefix(a.Target, h.home), "/")+" "+strings.Join(kinds, ","))
	}
	return out
}

func TestFiles(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.masking("4111111111111111", "[card]")
	h.put("notes", "a 4111111111111111\nb\n")
	h.put("4111111111111111.txt", "")
	local := filepath.Join(h.dir, "local")
	write(t, local, []byte(strings.Repeat("up and away\n", 20_000)))
	got := filepath.Join(h.dir, "got")
	s := h.sftp("ls", "get notes "+got, "put "+local+" up", "chmod 600 up", "mkdir d", "rename up d/up", "ln -s d/up link", "rm link", "put -p "+local+" kept")
	if s.code != 0 || strings.Contains(s.out+s.err, "4111") || !strings.Contains(s.out, "[card].txt") {
		t.Fatalf("%+v", s)
	}
	if got := h.text(got); got != "a [card]\nb\n" {
		t.Errorf("downloaded %q", got)
	}
	if h.text(filepath.Join(h.home, "d/up")) != h.text(local) || h.text(filepath.Join(h.home, "kept")) != h.text(local) {
		t.Error("an upload is not what was sent")
	}
	h.stop()
	want := []string{
		"look  data.read", "read notes data.read", "write up data.write", "change attributes up data.write,privilege.change", "make directory d data.write",
		"rename d/up data.read,data.write", "link link data.read,data.write", "remove link data.delete,data.write", "write kept data.write",
	}
	if got := h.verbs(); !slices.Equal(got, want) {
		t.Errorf("asked for\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, o := range h.Outcomes() {
		if o.State != gate.Executed {
			t.Errorf("outcome %d is %+v", i, o)
		}
	}
}

// only permits what a function says, and denies the rest.
func (h *house) only(permit func(a *action.Action) bool) {
	h.deciding(func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
		if a.Verb == "look" || permit(a) {
			return nil
		}
		return &gate.Denied{Status: gate.StatusDenied, Reason: "not this one", ID: "apr_7"}
	})
}

func TestFilesDenied(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.only(func(*action.Action) bool { return false })
	notes := h.put("notes", "secret")
	for _, line := range []string{
		"get notes " + h.dir + "/got", "put notes new", "rm notes", "rename notes other", "chmod 777 notes", "mkdir d", "ln notes hard", "ln -s notes soft",
	} {
		cmd := h.client("sftp", "-q", "-oBatchMode=no", "-b", "-", "gate")
		cmd.Dir = h.home
		cmd.Stdin = strings.NewReader(line + "\n")
		if s := ended(cmd); s.code == 0 || !strings.Contains(s.err, "ermission denied") && !strings.Contains(s.err, "not this one") {
			t.Errorf("%s: %+v", line, s)
		}
	}
	entries, _ := os.ReadDir(h.home)
	if len(entries) != 2 || h.text(notes) != "secret" { // and .ssh
		t.Errorf("%d entries, notes %q", len(entries), h.text(notes))
	}
}

func TestRenameOverAuthorizedKeysIsHeld(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.put(".ssh/authorized_keys", "mine")
	h.put("harmless", "theirs")
	k := h.holding()
	done := make(chan said, 1)
	go func() { done <- h.sftp("rename harmless .ssh/authorized_keys") }()
	a := within(t, "asking", k.asked)
	if !slices.Contains(a.Kinds, action.PrivilegeChange) && !slices.Contains(a.Kinds, action.IdentityChange) {
		t.Errorf("kinds %v", a.Kinds)
	}
	k.answer <- &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
	if s := within(t, "answering", done); s.code == 0 {
		t.Errorf("%+v", s)
	}
	if got := h.text(filepath.Join(h.home, ".ssh/authorized_keys")); got != "mine" {
		t.Errorf("it holds %q", got)
	}
}

// A link is judged by where it leads, and one that changes while it waits opens nothing.
func TestLinks(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	key := h.put(".ssh/id_ed25519", "private")
	other := h.put("other", "harmless")
	link := filepath.Join(h.home, "link")
	if err := os.Symlink(key, link); err != nil {
		t.Fatal(err)
	}
	k := h.holding()
	done := make(chan said, 1)
	go func() { done <- h.sftp("get link " + h.dir + "/got") }()
	a := within(t, "asking", k.asked)
	if a.Target != key || !slices.Contains(a.Kinds, action.SecretAccess) {
		t.Errorf("asked for %s, %v", a.Target, a.Kinds)
	}
	k.answer <- &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
	within(t, "answering", done)

	// The real file is swapped for a link while its reading waits.
	go func() { done <- h.sftp("put " + other + " other") }()
	if a := within(t, "asking", k.asked); a.Target != other {
		t.Errorf("asked for %s", a.Target)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(key, other); err != nil {
		t.Fatal(err)
	}
	k.answer <- nil
	if s := within(t, "answering", done); s.code == 0 {
		t.Errorf("%+v", s)
	}
	if got := h.text(key); got != "private" {
		t.Errorf("the key is %q", got)
	}
	h.wantRefusal("a path that leads elsewhere")
}

// The environment of a program of the account's is a secret, also by the name that its threads have.
func TestEnvironmentOfAThread(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.deciding(func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
		if slices.Contains(a.Kinds, action.SecretAccess) {
			return &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
		}
		return nil
	})
	for _, name := range []string{"/proc/%d/environ", "/proc/%d/task/%[1]d/environ", "/proc/%d/root/proc/%[1]d/task/%[1]d/environ"} {
		got := filepath.Join(h.dir, "got")
		if s := h.sftp(fmt.Sprintf("get "+name+" "+got, os.Getpid())); s.code == 0 || h.text(got) != "(open "+got+": no such file or directory)" {
			t.Errorf("%s: %+v: %.40q", name, s, h.text(got))
		}
	}
}

// A new file that runs as its owner is a change of privileges from its opening on.
func TestNewFileThatRunsAsItsOwner(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	p := h.player(t)
	p.line("> 3 1 s:plain u:26 u:4 u:493") // 0755
	p.line("< 102")
	p.line("> 3 2 s:setuid u:26 u:4 u:2541") // 04755
	p.line("< 102")
	want := []string{"write plain data.write", "write setuid data.write,privilege.change"}
	if got := h.verbs(); len(got) != 3 || !slices.Equal(got[1:], want) {
		t.Errorf("%q", got)
	}
}

func TestFilesThatAreNotText(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.only(func(a *action.Action) bool { return !a.Data.Unscanned })
	h.put("binary", "a\x00b")
	long := h.put("long", strings.Repeat("0123456789abcde\n", maxScanned/16+1))
	if s := h.sftp("get binary " + h.dir + "/got"); s.code == 0 {
		t.Errorf("%+v", s)
	}
	if s := h.sftp("get long " + h.dir + "/got"); s.code == 0 {
		t.Errorf("%+v", s)
	}
	h.only(func(*action.Action) bool { return true })
	if s := h.sftp("get binary "+h.dir+"/got", "get long "+h.dir+"/long"); s.code != 0 || h.text(h.dir+"/got") != "a\x00b" || h.text(h.dir+"/long") != h.text(long) {
		t.Errorf("%+v", s)
	}
}

func TestCopying(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	k := h.holding()
	src := filepath.Join(h.dir, "src")
	write(t, src, []byte(strings.Repeat("line\n", 1000)))
	for _, c := range []struct {
		name string
		cmd  []string
	}{
		{"scp", []string{"scp", "-q", src, "gate:" + h.home + "/to"}},
		{"scp, the old protocol", []string{"scp", "-q", "-O", src, "gate:" + h.home + "/to"}},
		{"scp back, the old protocol", []string{"scp", "-q", "-O", "gate:" + h.home + "/to", h.dir + "/back"}},
		{"rsync", []string{"rsync", "-e", "ssh -F " + filepath.Join(h.dir, "config"), src, "gate:" + h.home + "/to2"}},
		{"rsync back", []string{"rsync", "-e", "ssh -F " + filepath.Join(h.dir, "config"), "gate:" + h.home + "/to2", h.dir + "/back2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := h.client(c.cmd[0], c.cmd[1:]...)
			if c.cmd[0] == "rsync" {
				cmd.Args = c.cmd
			}
			done := make(chan said, 1)
			go func() { done <- ended(cmd) }()
			a := within(t, "asking", k.asked)
			t.Log(a.Verb, a.Kinds, string(a.Payload))
			k.answer <- nil
			if s := within(t, "copying", done); s.code != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
	for _, p := range []string{h.home + "/to", h.dir + "/back", h.home + "/to2", h.dir + "/back2"} {
		if h.text(p) != h.text(src) {
			t.Errorf("%s is %.40q", p, h.text(p))
		}
	}
}

// What a host says of a file in its own words, and names in another case, are nothing to lean on.
func TestAttributesAndNames(t *testing.T) {
	raw := []byte{0x80, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0x81, 0xa4, 0, 0, 0, 1}
	r := reader{b: putString(putString(raw, "note@host"), "4111111111111111")}
	a := r.attrs()
	if !r.end() || string(a.shown()) != "\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x81\xa4" {
		t.Errorf("%q, %v", a.shown(), r.bad)
	}
	for p, kind := range map[string]action.Kind{
		"/Users/a/.SSH/ID_ed25519": action.SecretAccess, `/C:/Users/a\.ssh\id_ed25519`: action.Unknown,
	} {
		if got := readKinds(p); !slices.Contains(got, kind) {
			t.Errorf("%s: %v", p, got)
		}
	}
}

func TestCredentialThatCannotBeRead(t *testing.T) {
	h := newHouse(t, sshdtest.New(t), func(c *Config) {
		c.Hosts[0].Key = func(context.Context) ([]byte, error) { return nil, errors.New("open /etc/keys/web1: no such file") }
	})
	s := h.ssh("gate", "echo in")
	s.want(t, 255, "", "the gate's credential for host web1 can't be had")
	if strings.Contains(s.err, "/etc/keys") {
		t.Errorf("the agent hears %q", s.err)
	}
	h.wantAsked(0)
}
