// Package mariadbtest starts a real MariaDB server on loopback, for tests.
package mariadbtest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// A Server is one that runs. Its administrator is root, by the socket alone, without a password.
type Server struct {
	Port   int
	Socket string
	Roots  *x509.CertPool // of its certificate, for localhost and 127.0.0.1

	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed once it ended
	werr error
	log  bytes.Buffer
}

// Start starts a server, and runs statements on it as its administrator.
func Start(ctx context.Context, statements ...string) (_ *Server, err error) {
	for _, program := range []string{"mariadb-install-db", "mariadbd", "mariadb"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s is not installed: scripts/install does that (mariadb-server)", program)
		}
	}
	s := &Server{done: make(chan struct{})}
	if s.dir, err = os.MkdirTemp("", "assent-mariadb-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.Stop()
		}
	}()
	cert, key, err := s.certificate()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, "data")
	s.Socket = filepath.Join(s.dir, "s")
	out, err := exec.CommandContext(ctx, "mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	s.cmd = exec.Command("mariadbd", "--no-defaults", "--user=root", "--datadir="+data, "--socket="+s.Socket, "--port="+strconv.Itoa(s.Port), "--bind-address=127.0.0.1",
		"--pid-file="+filepath.Join(s.dir, "pid"), "--ssl-cert="+cert, "--ssl-key="+key, "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--max-allowed-packet=64M", "--skip-name-resolve",
		"--local-infile=1", "--secure-file-priv="+s.dir, "--plugin-load-add=auth_ed25519", "--log-bin=binlog", "--binlog-format=ROW", "--server-id=1")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.werr = s.cmd.Wait()
		close(s.done)
	}()
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err = s.Root(ctx, "SELECT 1"); err == nil {
			break
		}
		select {
		case <-s.done:
			return nil, fmt.Errorf("mariadbd ended: %w: %s", s.werr, s.log.Bytes())
		default:
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("mariadbd does not answer: %w", err)
		}
	}
	for _, q := range statements {
		if _, err := s.Root(ctx, q); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Root runs a text as the administrator, and returns what the client prints.
func (s *Server) Root(ctx context.Context, text string) (string, error) {
	cmd := exec.CommandContext(ctx, "mariadb", "--no-defaults", "--socket="+s.Socket, "--user=root", "--batch", "--skip-column-names", "--default-character-set=utf8mb4")
	cmd.Stdin = bytes.NewReader([]byte(text))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", text, err, out)
	}
	return string(bytes.TrimRight(out, "\n")), nil
}

// Stop ends the server and removes what it kept.
func (s *Server) Stop() error {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.done:
		case <-time.After(30 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.done
		}
	}
	return os.RemoveAll(s.dir)
}

func (s *Server) certificate() (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.Roots = x509.NewCertPool()
	s.Roots.AppendCertsFromPEM(public)
	if err := os.WriteFile(certFile, public, 0o600); err != nil {
		return "", "", err
	}
	return certFile, keyFile, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600)
}
