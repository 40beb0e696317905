// Package egress_test leads real clients through the egress gate, as assent run does:
// curl, Python, Node.js, git, pip, npm, Go and Java, each against a local server of TLS
// whose authority only the gate trusts.
package egress_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/cli"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/server"
)

// asCLI in the environment makes this test binary the command itself.
const asCLI = "ASSENT_TEST_AS_CLI"

func TestMain(m *testing.M) {
	if os.Getenv(asCLI) != "" {
		os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: egress, version: 1.0.0, owner: tests }
rules:
  - { id: fetches, match: { kind: [net.fetch] }, when: action.routine, then: allow }
  - { id: internal, match: { kind: [data.read, data.write] }, then: allow }
  - { id: sending-waits, match: { kind: [data.export] }, then: review, approval: { from: [group:reviewers], count: 1, expires: 10m, use_within: 10m, assurance: token } }
tests:
  - { name: a fetch flows, given: { kind: net.fetch, routine: true }, want: { decision: allow } }
`

// A house is a real server with an egress gate, before one real server of HTTPS that
// stands for every host.
type house struct {
	t     *testing.T
	dir   string
	url   string
	agent string
	mira  *client.Client

	mu  sync.Mutex
	got []request // owned by mu
}

type request struct{ method, host, path, auth, body string }

func newHouse(t *testing.T, routes map[string]http.Handler) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	names := make([]string, 0, len(routes))
	for name := range routes {
		names = append(names, name)
	}
	addr := h.site(names, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.mu.Lock()
		h.got = append(h.got, request{r.Method, r.Host, r.URL.Path, r.Header.Get("Proxy-Authorization"), string(body)})
		h.mu.Unlock()
		routes[r.Host].ServeHTTP(w, r)
	}))
	var hosts strings.Builder
	for _, name := range names {
		trust := "external"
		if strings.HasPrefix(name, "git.") {
			trust = "internal"
		}
		fmt.Fprintf(&hosts, "        - { host: %s, addresses: [%q], ca: site.pem, routine: true, trust: %s }\n", name, addr, trust)
	}
	h.write("pack.yaml", pack)
	cfg, err := server.ParseConfig(filepath.Join(h.dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: out
    type: egress
    env: internet
    listen: 127.0.0.1:0
    egress:
      registries: [none]
      hosts:
`+hosts.String()))
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
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
	mint := func(m identity.MintRequest) string {
		m.TTL, m.By = time.Hour, "test"
		token, err := s.Mint(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	h.url, h.agent = s.URL(), mint(identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}})
	if h.mira, err = client.New(s.URL(), mint(identity.MintRequest{Kind: identity.KindPerson, Subject: "person:mira", Scopes: []string{"review"}}), nil); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) write(name, text string) string {
	h.t.Helper()
	file := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return file
}

// site serves HTTPS for names with an authority of its own, in site.pem.
func (h *house) site(names []string, handler http.Handler) string {
	t := h.t
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sites"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: names, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	h.write("site.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() { _ = s.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// requests are what reached the site.
func (h *house) requests() []request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]request(nil), h.got...)
}

// assent runs the command line tool itself.
func (h *house) assent(args []string, env ...string) (out string, err error) {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), append([]string{asCLI + "=1", "ASSENT_URL=" + h.url, "ASSENT_TOKEN=" + h.agent, "HOME=" + h.dir}, env...)...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	return b.String(), err
}

// run is assent run -- argv, which must end well.
func (h *house) run(argv ...string) string {
	h.t.Helper()
	out, err := h.assent(append([]string{"run", "--"}, argv...))
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

// reached says that a request for a host and path came through, without the agent's credential.
func (h *house) reached(host, path string) {
	h.t.Helper()
	found := false
	for _, r := range h.requests() {
		if r.auth != "" {
			h.t.Errorf("the credential reached %s", r.host)
		}
		found = found || r.host == host && r.path == path
	}
	if !found {
		h.t.Errorf("%s%s was not reached: %+v", host, path, h.requests())
	}
}
