package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/gates/ssh/sshdtest"
	gossh "golang.org/x/crypto/ssh"
)

// TestConformance runs the suite of every gate. What reached the host is what its
// sshd handed to a shell.
func TestConformance(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	d := sshdtest.New(t, `ForceCommand printf '%s\n' "$SSH_ORIGINAL_COMMAND" >> `+log+`; eval "$SSH_ORIGINAL_COMMAND"`)
	value := filepath.Join(d.Home, "value")
	pem, hostKey := sshdtest.NewKey(t)
	signer, err := gossh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	gatetest.Run(t, gatetest.Harness{
		Upstream: d.Addr,
		Serve: func(t *testing.T, upstream string, a gate.Authority) func(context.Context, net.Listener) error {
			host := behind(d, a)
			host.Address = upstream
			g, err := New(Config{Name: "bastion", Hosts: []*Host{host}, HostKey: signer, Grace: time.Second, DialTimeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			return g.Serve
		},
		Dial: func(t *testing.T, addr string) gatetest.Client {
			raw, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			conn, channels, requests, err := gossh.NewClientConn(raw, addr, &gossh.ClientConfig{
				User: gatetest.User, Auth: []gossh.AuthMethod{gossh.Password(gatetest.Token)}, HostKeyCallback: gossh.FixedHostKey(hostKey),
			})
			if err != nil {
				t.Fatal(err)
			}
			return &library{raw: raw, value: value, Client: gossh.NewClient(conn, channels, requests)}
		},
		IsWrite: func(a *action.Action) bool { return bytes.Contains(a.Payload, []byte(" > ")) },
		Sent: func(a *action.Action, _ []byte) bool {
			b, _ := os.ReadFile(log)
			return bytes.Contains(b, a.Payload)
		},
	})
}

// A library is golang.org/x/crypto/ssh as a client.
type library struct {
	*gossh.Client
	raw   net.Conn
	value string
}

func (c *library) run(text string) (string, error) {
	s, err := c.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }()
	var errs bytes.Buffer
	s.Stderr = &errs
	out, err := s.Output(text)
	if err != nil {
		err = errors.Join(err, errors.New(errs.String()))
	}
	return string(out), err
}

func (c *library) Write(value string) error {
	_, err := c.run("printf %s '" + value + "' > " + c.value + ".$$ && mv " + c.value + ".$$ " + c.value)
	return err
}

func (c *library) Read() (string, error) {
	out, err := c.run("cat " + c.value)
	return strings.TrimSpace(out), err
}

func (c *library) Junk() error {
	// Only once the gate has answered is the login over there too: what comes before that is told of elsewhere.
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		return err
	}
	if _, err := c.raw.Write(bytes.Repeat([]byte("junk"), 1000)); err != nil {
		return err
	}
	err := c.Wait()
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	var network net.Error
	if errors.As(err, &network) {
		return nil
	}
	return err
}

func (c *library) Close() { _ = c.Client.Close() }
