package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/workload/workloadtest"
)

// A mutual is a whole server before a real PostgreSQL, to which machines come
// with certificates and with an issuer's tokens.
type mutual struct {
	*Server
	t      *testing.T
	ca     *workloadtest.Authority
	issuer *workloadtest.Issuer

	authority *removable
}

// removable is the configured authorities, until they are no longer.
type removable struct {
	actors.Certificates
	off atomic.Bool
}

func (r *removable) Actor(chain []*x509.Certificate) (string, error) {
	if r.off.Load() {
		return "", errors.New("no authority is configured")
	}
	return r.Certificates.Actor(chain)
}

const exporterID = "spiffe://example.org/ns/shop/sa/exporter"

func newMutual(t *testing.T) *mutual {
	t.Helper()
	c, err := pgcluster.Start(t.Context(), pgcluster.Options{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	m := &mutual{t: t, ca: workloadtest.NewAuthority(t), issuer: workloadtest.New(t)}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	m.ca.File(t, in("clients.pem"))
	m.ca.Server(t, in("cert.pem"), in("key.pem"))
	for name, text := range map[string]string{"pw": c.Password, "pack.yaml": readsPack} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := ParseConfig(in("assent.yaml"), []byte(fmt.Sprintf(`
data: data
listen: 127.0.0.1:0
public_url: https://localhost
policy: [pack.yaml]
tls: { cert: cert.pem, key: key.pem }
client_ca: clients.pem
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: exporter, owner: dana }, { id: other, owner: dana }, { id: deployer, type: pipeline, owner: dana }]
certificates: [{ actor: exporter, spiffe: %q }]
workloads:
  - { name: deploy, issuer: %q, match: { sub: "repo:acme/shop:ref:refs/heads/main" }, actor: deployer }
gates:
  - name: shop
    type: postgres
    listen: 127.0.0.1:0
    env: prod
    tls: { cert: cert.pem, key: key.pem }
    upstream: { host: 127.0.0.1, port: %d, database: postgres, user: %s, password: { file: pw }, tls: "off" }
`, exporterID, m.issuer.URL, c.Port, c.User)))
	if err != nil {
		t.Fatal(err)
	}
	if m.Server, err = New(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	m.authority = &removable{Certificates: m.door.Certificates}
	m.door.Certificates = m.authority
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(context.Background()) })
	return m
}

// call asks the API with a certificate, a token, both or neither.
func (m *mutual) call(method, path, token, body string, cert *tls.Certificate) (int, string) {
	m.t.Helper()
	conf := &tls.Config{RootCAs: m.ca.Pool(), MinVersion: tls.VersionTLS12}
	if cert != nil {
		conf.Certificates = []tls.Certificate{*cert}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.URL()+path, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	switch {
	case path == "/oauth/token":
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case body != "":
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error() // the handshake failed
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// connect logs in at the gate.
func (m *mutual) connect(user, password string, cert *tls.Certificate) (*pgx.Conn, error) {
	m.t.Helper()
	cfg, err := pgx.ParseConfig("postgres://" + m.GateAddr("shop") + "/postgres?sslmode=require")
	if err != nil {
		m.t.Fatal(err)
	}
	cfg.User, cfg.Password = user, password
	cfg.TLSConfig = &tls.Config{RootCAs: m.ca.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	if cert != nil {
		cfg.TLSConfig.Certificates = []tls.Certificate{*cert}
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer cancel()
	return pgx.ConnectConfig(ctx, cfg)
}

func TestMutualTLS(t *testing.T) {
	m := newMutual(t)
	mine := m.ca.Client(t, exporterID, nil)
	nobodys := m.ca.Client(t, "", nil)
	foreign := workloadtest.NewAuthority(t).Client(t, exporterID, nil)
	expired := m.ca.Client(t, exporterID, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })

	if status, body := m.call("GET", "/v1/whoami", "", "", &mine); status != 200 || !strings.Contains(body, `"agent:exporter"`) || !strings.Contains(body, `"scopes":["act"]`) || !strings.Contains(body, `"person:dana"`) {
		t.Errorf("whoami: %d %s", status, body)
	}
	for name, c := range map[string]*tls.Certificate{"nobody's": &nobodys, "none": nil} {
		if status, _ := m.call("GET", "/v1/whoami", "", "", c); status != 401 {
			t.Errorf("%s: %d", name, status)
		}
	}
	for name, c := range map[string]*tls.Certificate{"a foreign one": &foreign, "an expired one": &expired} {
		if status, _ := m.call("GET", "/v1/whoami", "", "", c); status == 200 {
			t.Errorf("%s is let in", name)
		}
		if _, err := m.connect("exporter", "", c); err == nil {
			t.Errorf("%s is let in at the gate", name)
		}
	}
	// A certificate can ask, and nothing else: whatever else is open to people is closed.
	for _, path := range []string{"GET /v1/approvals", "POST /v1/approvals/apr_0000000000000000/review", "POST /v1/approvals/apr_0000000000000000/withdraw", "POST /v1/tokens", "GET /v1/tokens", "GET /v1/audit/records", "GET /metrics", "POST /v1/freezes"} {
		method, path, _ := strings.Cut(path, " ")
		body := ""
		if method == "POST" {
			body = "{}"
		}
		if status, _ := m.call(method, path, "", body, &mine); status != 403 {
			t.Errorf("%s %s: %d", method, path, status)
		}
	}

	c, err := m.connect("exporter", "", &mine) // no password at all
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := c.QueryRow(t.Context(), "select 1").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	for name, c := range map[string]struct {
		user string
		cert *tls.Certificate
	}{
		"as another actor": {"other", &mine}, "as nobody": {"", &mine}, "without it": {"exporter", nil}, "with nobody's": {"exporter", &nobodys}, "by its whole id": {"agent:exporter", &mine},
	} {
		if _, err := m.connect(c.user, "x", c.cert); err == nil {
			t.Errorf("%s: let in", name)
		}
	}
	m.authority.off.Store(true) // as after a restart without the authority
	m.lookAgain()
	gone := time.Now().Add(20 * time.Second)
	for c.Ping(t.Context()) == nil {
		if time.Now().After(gone) {
			t.Fatal("the connection of a certificate that no longer counts goes on")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A pipeline exchanges its issuer's token over mutual TLS, and uses what it got at the gate: with that certificate only.
func TestAPipelineAtTheGate(t *testing.T) {
	m := newMutual(t)
	cert, other := m.ca.Client(t, "", nil), m.ca.Client(t, "", nil)
	exchange := func(cert *tls.Certificate) (token, user string) {
		form := url.Values{"grant_type": {actors.GrantType}, "subject_token_type": {actors.JWT}, "subject_token": {m.issuer.Sign(t, m.issuer.Claims("https://localhost", nil))}}
		status, body := m.call("POST", "/oauth/token", "", form.Encode(), cert)
		var got struct {
			Token    string `json:"access_token"`
			Username string `json:"username"`
			Bound    string `json:"x5t#S256"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		want := ""
		if cert != nil {
			want = identity.Thumbprint(cert.Leaf)
		}
		if got.Bound != want {
			t.Errorf("bound to %q, want %q", got.Bound, want)
		}
		return got.Token, got.Username
	}
	token, user := exchange(nil)
	c, err := m.connect(user, token, nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := c.QueryRow(t.Context(), "select 1").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	_ = c.Close(t.Context())
	if _, err := m.connect("deployer", token, nil); err == nil {
		t.Error("it goes by the plain name too")
	}
	bound, user := exchange(&cert)
	if c, err = m.connect(user, bound, &cert); err != nil {
		t.Fatal(err)
	}
	_ = c.Close(t.Context())
	for name, cert := range map[string]*tls.Certificate{"without its certificate": nil, "with another": &other} {
		if _, err := m.connect(user, bound, cert); err == nil {
			t.Errorf("%s: let in at the gate", name)
		}
		if status, _ := m.call("GET", "/v1/whoami", bound, "", cert); status != 401 {
			t.Errorf("%s: the API answers %d", name, status)
		}
	}
	if status, body := m.call("GET", "/v1/whoami", bound, "", &cert); status != 200 {
		t.Errorf("with its certificate: %d %s", status, body)
	}
}
