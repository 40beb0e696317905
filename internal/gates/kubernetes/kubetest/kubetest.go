// Package kubetest runs a real cluster for tests: Kubernetes' own API server with
// etcd behind it, and a kubelet of ours that runs what it is told on this machine. What
// it needs comes by scripts/install; what is missing is an error.
package kubetest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/freeport"
)

// Token is the cluster's own credential, of a member of system:masters.
const Token = "the-clusters-own-token"

// A Cluster is one that runs.
type Cluster struct {
	URL     string
	CA      []byte // that signed its certificate
	Kubelet int    // port of the kubelet on 127.0.0.1
	dir     string
	stop    []func()
}

// Program is one that scripts/install builds.
func Program(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		p := filepath.Join(dir, ".cache", "kubernetes", name)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s is missing: run scripts/install", name)
}

// Start starts one. log is what every container is said to have written.
func Start(log string) (c *Cluster, err error) {
	dir, err := os.MkdirTemp("", "assent-kubernetes-*")
	if err != nil {
		return nil, err
	}
	c = &Cluster{dir: dir, stop: []func(){func() { _ = os.RemoveAll(dir) }}}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		return nil, fmt.Errorf("etcd is missing: run scripts/install (%w)", err)
	}
	apiserver, err := Program("apiserver")
	if err != nil {
		return nil, err
	}
	kubelet, err := Program("kubelet")
	if err != nil {
		return nil, err
	}
	client, peer, secure := free(), free(), free()
	if err := c.run(nil, nil, etcd, "--data-dir", filepath.Join(dir, "etcd"),
		"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer, "--initial-cluster", "default=http://"+peer); err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	sa := filepath.Join(dir, "sa.key")
	if err := os.WriteFile(sa, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		return nil, err
	}
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(Token+",gate,1,system:masters\n"), 0o600); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(secure)
	certs := filepath.Join(dir, "certs")
	if err := c.run(nil, nil, apiserver, "--etcd-servers=http://"+client, "--service-account-key-file="+sa, "--service-account-signing-key-file="+sa,
		"--service-account-issuer=https://kubernetes.default.svc", "--cert-dir="+certs, "--secure-port="+port, "--bind-address=127.0.0.1",
		"--token-auth-file="+tokens, "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount",
		"--kubelet-preferred-address-types=InternalIP"); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := c.run(&out, []string{"KUBELET_LOG=" + log}, kubelet); err != nil {
		return nil, err
	}
	if _, err := fmt.Fscan(strings.NewReader(out.String()), &c.Kubelet); err != nil {
		return nil, fmt.Errorf("the kubelet's port: %w", err)
	}
	c.URL = "https://" + secure
	return c, c.ready(filepath.Join(certs, "apiserver.crt"))
}

// run starts a program that ends with the cluster. With out it waits for its first line.
func (c *Cluster) run(out *bytes.Buffer, env []string, path string, args ...string) error {
	log, err := os.Create(filepath.Join(c.dir, filepath.Base(path)+".log"))
	if err != nil {
		return err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	c.stop = append(c.stop, func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		<-ended
		_ = log.Close()
	})
	if out != nil {
		line, err := bufio.NewReader(stdout).ReadString('\n')
		out.WriteString(line)
		return err
	}
	return nil
}

// ready waits until the API server says so, trusting the certificate it made for itself.
func (c *Cluster) ready(cert string) error {
	var last error
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		b, err := os.ReadFile(cert)
		if err != nil {
			last = err
			continue
		}
		c.CA = b
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(b)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, c.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+Token)
		t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
		resp, err := t.RoundTrip(req)
		t.CloseIdleConnections()
		if last = err; err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			last = fmt.Errorf("the API server is not ready: %d", resp.StatusCode)
		}
	}
	log, _ := os.ReadFile(filepath.Join(c.dir, "apiserver.log"))
	return fmt.Errorf("%w\n%s", last, log[max(0, len(log)-2000):])
}

// Close ends it and removes what it kept.
func (c *Cluster) Close() {
	for i := len(c.stop) - 1; i >= 0; i-- {
		c.stop[i]()
	}
}

func free() string {
	address, err := freeport.Address()
	if err != nil {
		return "127.0.0.1:0"
	}
	return address
}
