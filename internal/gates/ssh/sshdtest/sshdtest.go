// Package sshdtest starts a real sshd for tests, without a service of the system.
package sshdtest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"
)

// A Daemon is OpenSSH's sshd, one process for each connection, on a port that the kernel chose.
type Daemon struct {
	Addr    string
	Home    string // where its sessions of sftp begin; it has a .ssh
	HostKey gossh.PublicKey
	Key     []byte // the one private key that it accepts, in PEM form
	User    string
}

// New starts one. more are further lines of its configuration.
func New(t *testing.T, more ...string) *Daemon {
	t.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		if sshd, err = exec.LookPath("/usr/sbin/sshd"); err != nil {
			t.Fatal("sshd is not installed: run scripts/install")
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if os.Getuid() == 0 { // sshd's own condition, when root runs it
		if err := os.MkdirAll("/run/sshd", 0o750); err != nil {
			t.Fatal(err)
		}
	}
	d := &Daemon{Home: filepath.Join(dir, "home"), User: me.Username}
	hostPEM, hostPub := NewKey(t)
	d.HostKey = hostPub
	var pub gossh.PublicKey
	d.Key, pub = NewKey(t)
	write(t, filepath.Join(dir, "host"), hostPEM)
	write(t, filepath.Join(dir, "authorized"), gossh.MarshalAuthorizedKey(pub))
	for _, sub := range []string{"home", "home/.ssh"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := append([]string{
		"HostKey " + filepath.Join(dir, "host"), "AuthorizedKeysFile " + filepath.Join(dir, "authorized"),
		"PidFile none", "UsePAM no", "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no",
		"AcceptEnv LANG LC_* EVIL*", "AllowTcpForwarding yes", "AllowAgentForwarding yes", "PrintMotd no", "PrintLastLog no", "PermitUserRC no",
		"Subsystem sftp internal-sftp -d " + d.Home, "SetEnv HOME=" + d.Home + " BASH_ENV=", "LogLevel ERROR",
	}, more...)
	write(t, filepath.Join(dir, "config"), []byte(strings.Join(config, "\n")+"\n"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.Addr = l.Addr().String()
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				f, err := c.(*net.TCPConn).File()
				_ = c.Close()
				if err != nil {
					return
				}
				cmd := exec.CommandContext(ctx, sshd, "-i", "-e", "-f", filepath.Join(dir, "config"))
				cmd.Stdin, cmd.Stdout = f, f
				var errs bytes.Buffer
				cmd.Stderr = &errs
				_ = cmd.Start()
				_ = f.Close()
				_ = cmd.Wait()
				if errs.Len() > 0 && testing.Verbose() {
					t.Logf("sshd: %s", &errs)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		cancel()
		wg.Wait()
	})
	return d
}

// NewKey makes a pair of keys, the private one in PEM form.
func NewKey(t *testing.T) ([]byte, gossh.PublicKey) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	pub, err := gossh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), pub
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
