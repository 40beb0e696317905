package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// selfSigned is a pair for a name, in PEM form.
func selfSigned(t *testing.T, name string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool.AppendCertsFromPEM(text)
	return string(text), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})), pool
}

// By TLS the gate speaks HTTP/2, shows each host its own certificate, and says to come by https alone.
func TestHTTPSGate(t *testing.T) {
	seen := make(chan http.Header, 1)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Clone()
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Strict-Transport-Security", "max-age=0")
		_, _ = io.WriteString(w, "hello")
	}))
	defer up.Close()
	one, oneKey, oneCA := selfSigned(t, "one.test")
	two, twoKey, twoCA := selfSigned(t, "two.test")
	s := testServer(t, webPack, `
people: [{ id: dana }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: web
    type: http
    env: prod
    listen: 127.0.0.1:0
    http: { certificates: [{ cert: one.crt, key: one.key }, { cert: two.crt, key: two.key }] }
    routes:
      - { name: one, host: one.test, upstreams: ["`+up.URL+`"] }
      - { name: two, host: two.test, upstreams: ["`+up.URL+`"] }
`, map[string]string{"one.crt": one, "one.key": oneKey, "two.crt": two, "two.key": twoKey})
	token, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	get := func(name, host string, roots *x509.CertPool) (*http.Response, error) {
		r, err := http.NewRequest("GET", "https://"+s.GateAddr("web")+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("Authorization", "Bearer "+token)
		tr := &http.Transport{TLSClientConfig: &tls.Config{ServerName: name, RootCAs: roots}, ForceAttemptHTTP2: true}
		t.Cleanup(tr.CloseIdleConnections)
		return tr.RoundTrip(r)
	}
	for name, roots := range map[string]*x509.CertPool{"one.test": oneCA, "two.test": twoCA} {
		resp, err := get(name, name, roots)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK || !bytes.Equal(b, []byte("hello")) || strings.Join(resp.Header.Values("Strict-Transport-Security"), "|") != "max-age=31536000" {
			t.Errorf("%s: HTTP/%d %d %q %v", name, resp.ProtoMajor, resp.StatusCode, b, resp.Header)
		}
		if h := <-seen; h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Forwarded-Host") != name {
			t.Errorf("%s: the application heard %v", name, h)
		}
	}
	resp, err := get("one.test", "two.test", oneCA)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a Host other than TLS's name: %d", resp.StatusCode)
	}
	if resp, err := get("three.test", "one.test", oneCA); err == nil {
		_ = resp.Body.Close()
		t.Error("a name without a certificate was taken")
	}
}

// Who comes plainly is sent to https of the same host, and nowhere else.
func TestToHTTPS(t *testing.T) {
	h := toHTTPS([]WebRouteConfig{{Host: "one.test"}, {Host: "two.test:9443"}}, "8443")
	for at, want := range map[string]string{
		"http://one.test/a?b=c": "https://one.test:8443/a?b=c", "http://ONE.test:80//x": "https://one.test:8443//x", "http://two.test/": "https://two.test:9443/", "http://evil.test/": "", "http://one.test.evil.test/": "",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", at, nil))
		if w.Header().Get("Location") != want {
			t.Errorf("%s is sent to %q, want %q", at, w.Header().Get("Location"), want)
		}
	}
}
