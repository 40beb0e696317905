package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/server"
)

// TestHealthTrustsOneCertificate: whoever else answers at that address is not taken for the server.
func TestHealthTrustsOneCertificate(t *testing.T) {
	ready := true
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host != "localhost:1":
			w.WriteHeader(http.StatusMisdirectedRequest)
		case r.URL.Path == "/readyz" && !ready:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"ready":false,"checks":[{"name":"store","ok":false},{"name":"log","ok":true}]}`))
		}
	})
	own := httptest.NewUnstartedServer(answer)
	own.Config.ErrorLog = log.New(io.Discard, "", 0)
	own.StartTLS()
	defer own.Close()
	dir := t.TempDir()
	at := func(cert []byte) {
		t.Helper()
		addr := own.Listener.Addr().String()
		b, err := json.Marshal(server.Operator{URL: "https://localhost:1", Addr: addr, Token: "none", Cert: string(cert)})
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "operator.json"), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := &server.Config{Data: dir}
	check := func(what string, live bool, want string) {
		t.Helper()
		said, err := askHealth(t.Context(), cfg, live)
		if err != nil {
			said = err.Error()
		}
		if !strings.Contains(said, want) || (err == nil) != (want == "ready" || want == "it answers") {
			t.Errorf("%s: %q, %v", what, said, err)
		}
	}
	if _, err := askHealth(t.Context(), cfg, false); err == nil || !strings.Contains(err.Error(), "has not started") {
		t.Errorf("without a server: %v", err)
	}
	at(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate().Raw}))
	check("its own", false, "ready")
	ready = false
	check("not ready", false, "not ready: store")
	check("not ready, but live", true, "it answers")
	ready = true
	at([]byte("nothing"))
	check("no certificate to go by", false, "holds no certificate")
	// A certificate that somebody else has the key of.
	at(newCertificate(t))
	check("another's certificate", false, "does not answer")
	own.Close()
	check("gone", true, "does not answer")
}

func newCertificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
