package ssh

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/gates/ssh/sshdtest"
	"github.com/assenthq/assent/internal/recording"
	"go.uber.org/goleak"
	gossh "golang.org/x/crypto/ssh"
)

const patience = 15 * time.Second

// A house is a real sshd, a gate in front of it, and what real clients need.
type house struct {
	*gatetest.Authority
	t    *testing.T
	dir  string // of keys and files
	home string // what sftp begins in
	addr string // of the gate
	up   string // of sshd
	host *Host
	stop func()

	mu      sync.Mutex // guards what follows
	refused []string
	decide  func(ctx context.Context, a *action.Action, held func(gate.Held)) error
	mask    func([]byte) []byte
}

// deciding has fn decide from now on.
func (h *house) deciding(fn func(ctx context.Context, a *action.Action, held func(gate.Held)) error) {
	h.mu.Lock()
	h.decide = fn
	h.mu.Unlock()
}

// masking has one text masked from now on.
func (h *house) masking(text, by string) {
	h.mu.Lock()
	h.mask = func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(text), []byte(by)) }
	h.mu.Unlock()
}

// behind is d as a host behind a gate.
func behind(d *sshdtest.Daemon, a gate.Authority) *Host {
	return &Host{
		Name: "web1", Address: d.Addr, User: d.User, Authority: a, HostKeys: []gossh.PublicKey{d.HostKey},
		Key: func(context.Context) ([]byte, error) { return d.Key, nil },
	}
}

// newHouse opens a gate in front of a daemon; it fails the test when goroutines, permits or sessions are left.
func newHouse(t *testing.T, d *sshdtest.Daemon, change ...func(*Config)) *house {
	t.Helper()
	before := goleak.IgnoreCurrent()
	h := &house{t: t, dir: t.TempDir(), home: d.Home, up: d.Addr}
	h.Authority = &gatetest.Authority{
		Decide: func(ctx context.Context, a *action.Action, held func(gate.Held)) error {
			h.mu.Lock()
			decide := h.decide
			h.mu.Unlock()
			if decide == nil {
				return nil
			}
			return decide(ctx, a, held)
		},
		Mask: func(b []byte) []byte {
			h.mu.Lock()
			mask := h.mask
			h.mu.Unlock()
			if mask == nil {
				return b
			}
			return mask(b)
		},
	}
	h.host = behind(d, h.Authority)
	signer, err := HostKey(filepath.Join(h.dir, "gate_host_key"))
	if err != nil {
		t.Fatal(err)
	}
	recordings, err := recording.Open(filepath.Join(h.dir, "recordings"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Name: "bastion", Recordings: recordings, Hosts: []*Host{h.host}, HostKey: signer, Grace: time.Second, Refused: func(_ context.Context, _ gate.Peer, detail string) {
		h.mu.Lock()
		h.refused = append(h.refused, detail)
		h.mu.Unlock()
	}}
	for _, f := range change {
		f(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := within(t, "ending the gate", served); err != nil {
			t.Error(err)
		}
		h.Check(t)
		goleak.VerifyNone(t, before)
	})
	t.Cleanup(h.stop)
	host, port, _ := net.SplitHostPort(h.addr)
	write(t, filepath.Join(h.dir, "known"), fmt.Appendf(nil, "[%s]:%s %s", host, port, gossh.MarshalAuthorizedKey(cfg.HostKey.PublicKey())))
	h.token(gatetest.Token)
	write(t, filepath.Join(h.dir, "config"), []byte(strings.Join([]string{
		"Host gate", "HostName " + host, "Port " + port, "User " + gatetest.User, "UserKnownHostsFile " + filepath.Join(h.dir, "known"),
		"StrictHostKeyChecking yes", "IdentityFile none", "IdentityAgent none", "PreferredAuthentications password", "NumberOfPasswordPrompts 1", "LogLevel INFO",
	}, "\n")+"\n"))
	return h
}

// token has clients log in with a token, by the program that OpenSSH asks for one.
func (h *house) token(token string) {
	path := filepath.Join(h.dir, "askpass")
	write(h.t, path, []byte("#!/bin/sh\necho '"+token+"'\n"))
	if err := os.Chmod(path, 0o700); err != nil {
		h.t.Fatal(err)
	}
}

// client is a real client program that is told about the gate.
func (h *house) client(program string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	h.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, append([]string{"-F", filepath.Join(h.dir, "config")}, args...)...)
	cmd.Env = append(os.Environ(), "SSH_ASKPASS="+filepath.Join(h.dir, "askpass"), "SSH_ASKPASS_REQUIRE=force", "SSH_AUTH_SOCK=", "LC_ALL=", "LANG=")
	cmd.Dir = h.dir
	return cmd
}

// A said is how a client program ended.
type said struct {
	out, err string
	code     int
}

func ended(cmd *exec.Cmd) said {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	s := said{out.String(), errs.String(), 0}
	if err != nil {
		s.code = -1
		if cmd.ProcessState != nil {
			s.code = cmd.ProcessState.ExitCode()
		}
	}
	return s
}

func (h *house) ssh(args ...string) said { h.t.Helper(); return ended(h.client("ssh", args...)) }

func (s said) want(t *testing.T, code int, out, errs string) {
	t.Helper()
	if s.code != code || s.out != out || !strings.Contains(s.err, errs) || errs == "" && s.err != "" {
		t.Errorf("exit %d, output %q, errors %q; want exit %d, output %q, errors with %q", s.code, s.out, s.err, code, out, errs)
	}
}

func (h *house) wantRefusal(part string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	all := append(h.Refusals(), h.refused...)
	if !strings.Contains(strings.Join(all, "\n"), part) {
		h.t.Errorf("no record of %q among %q", part, all)
	}
}

func (h *house) wantAsked(n int) {
	h.t.Helper()
	if got := len(h.Actions()); got != n {
		h.t.Errorf("asked about %d actions, want %d", got, n)
	}
}

// holding makes the authority hold what is not a plain read, until it is answered.
func (h *house) holding() *keeper {
	k := &keeper{asked: make(chan *action.Action, 8), answer: make(chan error), left: make(chan struct{}, 8)}
	h.deciding(func(ctx context.Context, a *action.Action, held func(gate.Held)) error {
		if len(a.Kinds) == 1 && a.Kinds[0] == action.DataRead && !a.Data.Unscanned {
			return nil
		}
		if held != nil {
			held(gate.Held{ID: "apr_held", URL: "http://localhost/apr_held", Who: "2 of data-owners", Expires: time.Now().Add(time.Hour)})
		}
		k.asked <- a
		select {
		case err := <-k.answer:
			return err
		case <-ctx.Done():
			k.left <- struct{}{}
			return ctx.Err()
		}
	})
	return k
}

type keeper struct {
	asked  chan *action.Action
	answer chan error
	left   chan struct{}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func within[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
	}
	return v
}

// agentSocket is an authentication agent that a client could forward.
func agentSocket(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return path
}
