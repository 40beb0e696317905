package ssh

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/ssh/sshdtest"
	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

func TestCommands(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.ssh("gate", "echo hello; echo oops >&2; exit 3").want(t, 3, "hello\n", "oops\n")
	h.ssh("gate", "cat").want(t, 0, "", "")
	c := h.client("ssh", "gate", "cat")
	c.Stdin = strings.NewReader("through\nand through")
	ended(c).want(t, 0, "through\nand through", "")
	if s := h.ssh("gate", "kill -TERM $$"); s.code == 0 {
		t.Errorf("killed by a signal: exit %d", s.code)
	}
	h.stop()
	h.wantAsked(4)
	for i, want := range []string{"exit 3", "", "", "signal TERM"} {
		if got := h.Outcomes()[i].Code; got != want {
			t.Errorf("outcome %d is %q, want %q", i, got, want)
		}
	}
}

func TestHeldCommandRunsOnce(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	k := h.holding()
	mark := filepath.Join(h.dir, "mark")
	done := make(chan said, 1)
	go func() { done <- h.ssh("gate", "touch "+mark+"; echo ran") }()
	a := within(t, "asking", k.asked)
	if _, err := os.Stat(mark); err == nil {
		t.Error("it ran before it was approved")
	}
	k.answer <- nil
	within(t, "running", done).want(t, 0, "ran\n", "assent: waiting for approval apr_held by 2 of data-owners")
	if string(a.Payload) != "touch "+mark+"; echo ran" || a.State["user"] == "" || a.State["host"] != "web1" {
		t.Errorf("asked about %q in %v", a.Payload, a.State)
	}
	h.stop()
	if got := h.Outcomes(); len(got) != 1 || got[0].State != gate.Executed {
		t.Errorf("outcomes %+v", got)
	}
}

func TestDenied(t *testing.T) {
	for _, c := range []struct {
		status string
		code   int
	}{{gate.StatusDenied, 77}, {gate.StatusExpired, 77}, {gate.StatusPending, 75}, {gate.StatusNobody, 75}} {
		t.Run(c.status, func(t *testing.T) {
			h := newHouse(t, sshdtest.New(t))
			h.deciding(func(context.Context, *action.Action, func(gate.Held)) error {
				return &gate.Denied{Status: c.status, Reason: "not today", ID: "apr_1", URL: "http://localhost/apr_1"}
			})
			mark := filepath.Join(h.dir, "mark")
			h.ssh("gate", "touch "+mark).want(t, c.code, "", "assent: "+c.status+": not today; approval apr_1, see http://localhost/apr_1")
			if _, err := os.Stat(mark); err == nil {
				t.Error("it ran")
			}
		})
	}
}

func TestClientKilledWhileHeld(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	k := h.holding()
	mark := filepath.Join(h.dir, "mark")
	c := h.client("ssh", "gate", "touch "+mark)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, "asking", k.asked)
	_ = c.Process.Signal(syscall.SIGKILL)
	within(t, "noticing that the client left", k.left)
	_ = c.Wait()
	if _, err := os.Stat(mark); err == nil {
		t.Error("it ran")
	}
}

// What a client sends before its command may run is not sent on.
func TestStandardInputWaits(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	k := h.holding()
	file := filepath.Join(h.dir, "file")
	c := h.client("ssh", "gate", "tee "+file)
	c.Stdin = strings.NewReader(strings.Repeat("x", 100<<10))
	done := make(chan said, 1)
	go func() { done <- ended(c) }()
	within(t, "asking", k.asked)
	if _, err := os.Stat(file); err == nil {
		t.Error("it began")
	}
	k.answer <- nil
	if s := within(t, "running", done); len(s.out) != 100<<10 {
		t.Errorf("%d bytes came back", len(s.out))
	}
}

func TestWrongCredentials(t *testing.T) {
	d := sshdtest.New(t)
	h := newHouse(t, d, func(c *Config) {
		c.Hosts = append(c.Hosts, &Host{})
		*c.Hosts[1] = *c.Hosts[0]
		c.Hosts[1].Name = "web2"
	})
	var said []string
	for _, c := range []struct{ user, token string }{
		{"agent+web1", "wrong"},
		{"agent+web1", ""},
		{"agent+web3", "conformance-token-7f21"},
		{"agent", "conformance-token-7f21"},
		{"somebody+web1", "conformance-token-7f21"},
		{"somebody+web1", "wrong"},
		{"agent+", "conformance-token-7f21"},
	} {
		h.token(c.token)
		s := h.ssh("-l", c.user, "gate", "echo in")
		s.want(t, 255, "", "Permission denied")
		said = append(said, strings.ReplaceAll(s.err, c.user, "USER"))
	}
	for _, s := range said[1:] {
		if s != said[0] {
			t.Errorf("answers differ: %q and %q", said[0], s)
		}
	}
	h.token("conformance-token-7f21")
	h.ssh("-l", "agent+web2", "gate", "echo in").want(t, 0, "in\n", "")
	h.wantAsked(1)
	h.wantRefusal("the user name leads to no host")
}

func TestHostWithAnotherKey(t *testing.T) {
	d := sshdtest.New(t)
	_, other := sshdtest.NewKey(t)
	h := newHouse(t, d, func(c *Config) { c.Hosts[0].HostKeys[0] = other })
	s := h.ssh("gate", "echo in")
	s.want(t, 255, "", "assent: host web1 shows the key SHA256:")
	if !strings.Contains(s.err, "an operator adds it to host_key") {
		t.Errorf("no remedy in %q", s.err)
	}
	h.wantAsked(0)

	known := filepath.Join(h.dir, "hosts")
	write(t, known, append([]byte("otherhost "), gossh.MarshalAuthorizedKey(other)...))
	h = newHouse(t, d, func(c *Config) { c.Hosts[0].HostKeys, c.Hosts[0].KnownHosts = nil, known })
	h.ssh("gate", "echo in").want(t, 255, "", "is not in known_hosts")
}

func TestForwardsAreRefused(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.ssh("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "gate", "echo in").want(t, 255, "", "remote port forwarding failed")
	h.wantRefusal("a forward from the host to the client")
	h.ssh("-W", "127.0.0.1:1", "gate").want(t, 255, "", "port forwarding is not allowed here")
	h.wantRefusal("a forward from the client to the host's network")
	c := h.client("ssh", "-A", "-o", "IdentityAgent="+agentSocket(t), "gate", "printenv SSH_AUTH_SOCK")
	ended(c).want(t, 1, "", "")
	h.wantRefusal("forwarding of an authentication agent")
	h.ssh("-s", "gate", "netconf").want(t, 255, "", "subsystem request failed")
	h.wantAsked(1)
}

func TestEnvironment(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.ssh("-o", "SetEnv=EVIL=1", "gate", "printenv EVIL").want(t, 1, "", "")
	h.ssh("-o", "SetEnv=LC_ALL=zh_CN.GBK", "gate", "printenv LC_ALL").want(t, 1, "", "")
	h.ssh("-o", "SetEnv=LC_ALL=C.UTF-8", "gate", "printenv LC_ALL").want(t, 0, "C.UTF-8\n", "")
	h.wantRefusal("an environment variable that is on no list")
	if got := h.Actions()[2].State["env.LC_ALL"]; got != "C.UTF-8" {
		t.Errorf("the variable is not in what was judged: %q", got)
	}
}

func TestOutputIsMasked(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.masking("4111111111111111", "[card]")
	h.ssh("gate", "echo card 4111111111111111; printf 'in two pa'; sleep 0.01; printf 'rts 4111111111111111'; echo 4111111111111111 >&2").
		want(t, 0, "card [card]\nin two parts [card]", "[card]\n")
}

// Output that can't be scanned is another question, and nothing of it passes before the answer.
// A line longer than what is masked as one, with a value wherever it might be cut.
func TestLongLineIsMasked(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.masking("secret", "[masked]")
	line := strings.Repeat(`{"a":"secret"},`, 4*longLine/15)
	write(t, filepath.Join(h.home, "long"), []byte(line))
	h.ssh("gate", "cat "+filepath.Join(h.home, "long")).want(t, 0, strings.ReplaceAll(line, "secret", "[masked]"), "")
}

func TestOutputThatIsNotText(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	k := h.holding()
	done := make(chan said, 1)
	show := func(answer error) said {
		go func() { done <- h.ssh("gate", `printf 'a\n\377\376b\n'`) }()
		if a := within(t, "asking", k.asked); !a.Data.Unscanned || a.Verb != "show" {
			t.Errorf("asked about %+v", a)
		}
		k.answer <- answer
		return within(t, "showing", done)
	}
	show(nil).want(t, 0, "a\n\xff\xfeb\n", "waiting for approval")
	if s := show(&gate.Denied{Status: gate.StatusDenied, Reason: "no"}); s.code != 77 || strings.Contains(s.out, "\xff") {
		t.Errorf("denied: %+v", s)
	}
}

func TestCutWhileRunning(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	c := h.client("ssh", "gate", "echo began; sleep 100")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if n, err := out.Read(make([]byte, 6)); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	h.Cut()
	if err := c.Wait(); err == nil {
		t.Error("it went on")
	}
	h.stop()
	if got := h.Outcomes(); len(got) != 1 || got[0].State != gate.Unknown {
		t.Errorf("outcomes %+v", got)
	}
}

func TestShutdownKeepsWhatWaits(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	k := h.holding()
	done := make(chan said, 1)
	go func() { done <- h.ssh("gate", "rm -rf /nothing") }()
	within(t, "asking", k.asked)
	go h.stop()
	within(t, "answering", done).want(t, 75, "", "assent: pending: the gate is shutting down")
}

// A port that the configuration lists is a question with its destination, and any other is refused.
func TestListedForward(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello from behind\n")
			_ = c.Close()
		}
	}()
	h := newHouse(t, sshdtest.New(t), func(c *Config) { c.Hosts[0].Forward = []string{l.Addr().String()} })
	k := h.holding()
	done := make(chan said, 1)
	through := func(answer error) said {
		go func() { done <- h.ssh("-W", l.Addr().String(), "gate") }()
		if a := within(t, "asking", k.asked); a.Data.Destination != l.Addr().String() || !a.Data.Unscanned {
			t.Errorf("asked for %+v", a.Data)
		}
		k.answer <- answer
		return within(t, "ending", done)
	}
	through(nil).want(t, 0, "hello from behind\n", "")
	through(&gate.Denied{Status: gate.StatusDenied, Reason: "not there"}).want(t, 255, "", "not there")
	h.ssh("-W", "127.0.0.1:1", "gate").want(t, 255, "", "port forwarding is not allowed here")
	h.stop()
	if o := h.Outcomes(); len(o) != 1 || o[0].State != gate.Executed || o[0].Bytes != 18 {
		t.Errorf("outcomes %+v", o)
	}
}

// The gate's credential may be in an agent, and the host's key in a known_hosts file.
func TestAgentAndKnownHosts(t *testing.T) {
	d := sshdtest.New(t)
	key, err := gossh.ParseRawPrivateKey(d.Key)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(ring, c)
			_ = c.Close()
		}
	}()
	known := filepath.Join(t.TempDir(), "known")
	write(t, known, []byte(knownhosts.Line([]string{d.Addr}, d.HostKey)+"\n"))
	h := newHouse(t, d, func(c *Config) {
		c.Hosts[0].Key, c.Hosts[0].Agent, c.Hosts[0].HostKeys, c.Hosts[0].KnownHosts = nil, socket, nil, known
	})
	h.ssh("gate", "echo in").want(t, 0, "in\n", "")
}
