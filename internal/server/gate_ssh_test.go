package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/gates/ssh/sshdtest"
	"github.com/assenthq/assent/internal/identity"
	gossh "golang.org/x/crypto/ssh"
)

const sshPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: ssh, version: 1.0.0, owner: tests }
rules:
  - { id: reads, match: { kind: [data.read] }, when: '!data.unscanned', then: allow }
  - { id: masked, match: { actor: [agent] }, then: mask, mask: { pci: redact } }
  - id: changes-wait
    match: { kind: [data.write, data.delete, data.export, execute, code.change, privilege.change, secret.access, session.open, unknown] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

// sshBench is a real server whose ssh gate stands before a real sshd.
type sshBench struct {
	*bench
	token  string
	daemon *sshdtest.Daemon
}

func newSSHBench(t *testing.T, login string) *sshBench {
	t.Helper()
	d := sshdtest.New(t)
	dir := t.TempDir()
	for name, text := range map[string][]byte{"pack.yaml": []byte(sshPack), "host.key": d.Key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), fmt.Appendf(nil, `
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: bastion
    type: ssh
    listen: 127.0.0.1:0
    env: prod
    labels: { team: shop }
    hosts:
      - name: web1
        address: %q
        user: %q
        env: staging
        key: { file: host.key }
        host_key: [%q]
%s
`, d.Addr, d.User, bytes.TrimSpace(gossh.MarshalAuthorizedKey(d.HostKey)), login))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
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
	token, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return &sshBench{bench: &bench{Server: s, t: t, dir: dir}, token: token, daemon: d}
}

// dial logs in at the gate, and holds it to its own key.
func (b *sshBench) dial(method gossh.AuthMethod) (*gossh.Client, error) {
	key, err := SSHHostKey(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return gossh.Dial("tcp", b.GateAddr("bastion"), &gossh.ClientConfig{
		User: "worker+web1", Auth: []gossh.AuthMethod{method}, HostKeyCallback: gossh.FixedHostKey(key), Timeout: 10 * time.Second,
	})
}

func (b *sshBench) run(c *gossh.Client, text string) (string, error) {
	s, err := c.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }()
	out, err := s.Output(text)
	return string(out), err
}

func TestSSHGate(t *testing.T) {
	b := newSSHBench(t, "")
	c, err := b.dial(gossh.Password(b.token))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	notes := filepath.Join(b.daemon.Home, "notes")
	if err := os.WriteFile(notes, []byte("card 4111 1111 1111 1111\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := b.run(c, "cat "+notes); err != nil || strings.Contains(out, "4111") || !strings.HasPrefix(out, "card ") {
		t.Errorf("reading: %q, %v", out, err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.run(c, "rm "+notes)
		done <- err
	}()
	a := b.waiting(1)[0]
	if a.Resource.URN != "ssh:bastion/web1" || a.Resource.Env != "staging" || a.Resource.Labels["team"] != "shop" || !strings.Contains(a.Title, "as "+b.daemon.User+" on web1") {
		t.Errorf("asked for %+v: %s", a.Resource, a.Title)
	}
	if _, err := os.Stat(notes); err != nil {
		t.Fatal("it ran before it was approved")
	}
	b.approve(a)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(notes); err == nil {
		t.Error("it did not run")
	}
	got, err := b.engine.Get(t.Context(), a.ID)
	if err != nil || got.State != approval.Executed {
		t.Errorf("the approval is %v, %v", got.State, err)
	}
	if _, err := b.dial(gossh.Password("ast_wrong")); err == nil {
		t.Error("a wrong token let somebody in")
	}
}

// A connection ends with its token, whatever runs.
func TestSSHGateRevocation(t *testing.T) {
	b := newSSHBench(t, "")
	c, err := b.dial(gossh.Password(b.token))
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.TokenID(b.token)
	if err != nil {
		t.Fatal(err)
	}
	if err := (revoking{b.Server}).Revoke(t.Context(), id, "test"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the connection outlived its token")
	}
}

func signer(t *testing.T) gossh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := gossh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSSHKeysAndCertificates(t *testing.T) {
	mine, other, ca, otherCA := signer(t), signer(t), signer(t), signer(t)
	line := func(s gossh.Signer) string {
		return string(bytes.TrimSpace(gossh.MarshalAuthorizedKey(s.PublicKey())))
	}
	b := newSSHBench(t, fmt.Sprintf("    ssh:\n      keys: [{ actor: worker, key: %q }]\n      user_ca: [%q]\n      certificate_life: 1h", line(mine), line(ca)))
	now := uint64(time.Now().Unix())
	cert := func(by gossh.Signer, change func(*gossh.Certificate)) gossh.Signer {
		key := signer(t)
		c := &gossh.Certificate{Key: key.PublicKey(), CertType: gossh.UserCert, ValidPrincipals: []string{"worker+web1", "worker"}, ValidAfter: now - 60, ValidBefore: now + 600}
		change(c)
		if err := c.SignCert(rand.Reader, by); err != nil {
			t.Fatal(err)
		}
		s, err := gossh.NewCertSigner(c, key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	none := func(*gossh.Certificate) {}
	for _, c := range []struct {
		name string
		key  gossh.Signer
		in   bool
	}{
		{"registered key", mine, true},
		{"another key", other, false},
		{"certificate", cert(ca, none), true},
		{"of another authority", cert(otherCA, none), false},
		{"for another actor", cert(ca, func(c *gossh.Certificate) { c.ValidPrincipals = []string{"somebody"} }), false},
		{"for nobody in particular", cert(ca, func(c *gossh.Certificate) { c.ValidPrincipals = nil }), false},
		{"expired", cert(ca, func(c *gossh.Certificate) { c.ValidBefore = now - 1 }), false},
		{"not yet valid", cert(ca, func(c *gossh.Certificate) { c.ValidAfter = now + 60 }), false},
		{"for too long", cert(ca, func(c *gossh.Certificate) { c.ValidBefore = now + 7200 }), false},
		{"for ever", cert(ca, func(c *gossh.Certificate) { c.ValidBefore = gossh.CertTimeInfinity }), false},
		{"of a host", cert(ca, func(c *gossh.Certificate) { c.CertType = gossh.HostCert }), false},
		{"with a forced command", cert(ca, func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "true"} }), false},
		{"from another address", cert(ca, func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "192.0.2.1"} }), false},
		{"from this address", cert(ca, func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "127.0.0.0/8"} }), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := b.dial(gossh.PublicKeys(c.key))
			if (err == nil) != c.in {
				t.Fatalf("login: %v, want let in: %v", err, c.in)
			}
			if err != nil {
				return
			}
			if out, err := b.run(client, "echo in"); out != "in\n" || err != nil {
				t.Errorf("%q, %v", out, err)
			}
			_ = client.Close()
		})
	}
}

func TestSSHConfiguration(t *testing.T) {
	const good = `
actors: [{ id: worker }]
gates:
  - { name: b, type: ssh, listen: "0.0.0.0:2222", env: prod, hosts: [{ name: web1, address: "web1:22", user: deploy, agent: /run/agent, known_hosts: known }] }
`
	if _, err := ParseConfig("a.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"no hosts", `hosts: [{ name: web1, address: "web1:22", user: deploy, agent: /run/agent, known_hosts: known }]`, "hosts: []", "gates[0].hosts: is missing"},
		{"no key of the host", ", known_hosts: known", "", "needs one of host_key and known_hosts"},
		{"two credentials", "agent: /run/agent", "agent: /run/agent, password: { env: X }", "names 2 credentials"},
		{"no credential", "agent: /run/agent, ", "", "names 0 credentials"},
		{"no port", `"web1:22"`, "web1", "not host:port"},
		{"not a key", "known_hosts: known", "host_key: [AAAA]", "is not a public key"},
		{"no account", "user: deploy, ", "", "user: is missing"},
		{"tls", "env: prod,", "env: prod, tls: { cert: a, key: b },", "has no place at an ssh gate"},
		{"a key of nobody", "env: prod,", `env: prod, ssh: { keys: [{ actor: ghost, key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }] },`, "\"ghost\" is not among actors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.from, c.to, 1)
			if text == good {
				t.Fatal("nothing was replaced")
			}
			if _, err := ParseConfig("a.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
	if isPort("65536") || !isPort("22") {
		t.Error("ports")
	}
}

// A terminal waits for people, and its recording is held against the log.
func TestSSHRecordings(t *testing.T) {
	b := newSSHBench(t, "")
	c, err := b.dial(gossh.Password(b.token))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 30, 100, nil); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		out, err := s.Output("echo card 4111 1111 1111 1111")
		if strings.Contains(string(out), "4111") {
			err = fmt.Errorf("the terminal shows %q", out)
		}
		done <- err
	}()
	a := b.waiting(1)[0]
	b.approve(a)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	operator, err := ReadOperator(b.cfg.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	api, err := client.New(operator.URL, operator.Token, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := api.Recordings(t.Context())
	if err != nil || len(list) != 1 || list[0].Actor != "agent:worker" || list[0].Resource != "ssh:bastion/web1" || list[0].Subject != "person:dana" {
		t.Fatalf("%+v, %v", list, err)
	}
	var one *client.Recording
	eventually(t, "the outcome's record", func() bool {
		one, err = api.Recording(t.Context(), list[0].ID)
		return err == nil && one.Intact != nil
	})
	if !*one.Intact {
		t.Errorf("%+v", one)
	}
	r, err := api.Cast(t.Context(), one.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	cast, err := io.ReadAll(r)
	if _ = r.Close(); err != nil || !bytes.Contains(cast, []byte("card ")) || bytes.Contains(cast, []byte("4111 1111")) {
		t.Errorf("%s, %v", cast, err)
	}
	if r, err = api.Cast(t.Context(), one.ID, int64(len(cast))-3); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if _ = r.Close(); err != nil || !bytes.Equal(rest, cast[len(cast)-3:]) {
		t.Errorf("%q, %v", rest, err)
	}
	file := filepath.Join(b.cfg.DataDir(), "recordings", one.ID+".cast")
	if err := os.WriteFile(file, bytes.Replace(cast, []byte("card"), []byte("cart"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if one, err = api.Recording(t.Context(), one.ID); err != nil || one.Intact == nil || *one.Intact {
		t.Errorf("a recording that was changed: %+v, %v", one, err)
	}
	if _, err := api.Cast(t.Context(), "rec_aaaaaaaaaaaaaaaa", 0); !client.Is(err, "not-found") {
		t.Errorf("%v", err)
	}
}
