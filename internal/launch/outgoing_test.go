package launch

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func certificate(t *testing.T, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestOutgoing(t *testing.T) {
	system := filepath.Join(t.TempDir(), "system.pem")
	if err := os.WriteFile(system, certificate(t, "system root"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := certificate(t, "proxy root")
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:3128", User: url.UserPassword("assent", "s3cret")}
	set, remove, err := Outgoing([]string{"SSL_CERT_FILE=" + system, "JAVA_TOOL_OPTIONS=-Xmx64m"}, u, ca, []string{"assent.example"})
	if err != nil {
		t.Fatal(err)
	}
	all := valueOf(set, "SSL_CERT_FILE")
	text, err := os.ReadFile(all)
	if err != nil || bytes.Count(text, []byte("BEGIN CERTIFICATE")) != 2 {
		t.Errorf("%s: %v", text, err)
	}
	for _, file := range []string{all, valueOf(set, "NODE_EXTRA_CA_CERTS"), filepath.Dir(all)} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	if got := valueOf(set, "https_proxy"); got != "http://assent:s3cret@127.0.0.1:3128" {
		t.Error(got)
	}
	if got := valueOf(set, "no_proxy"); got != "localhost,127.0.0.1,::1,assent.example" {
		t.Error(got)
	}
	java := valueOf(set, "JAVA_TOOL_OPTIONS")
	if !strings.HasPrefix(java, "-Xmx64m -D") || strings.Contains(java, "s3cret") {
		t.Errorf("Java prints %s", java)
	}
	remove()
	if _, err := os.Stat(filepath.Dir(all)); err == nil {
		t.Error("the directory is still there")
	}
}

// Java's own tool reads what is written without it.
func TestTrustStore(t *testing.T) {
	store := filepath.Join(t.TempDir(), "all.jks")
	if err := os.WriteFile(store, trustStore(append(certificate(t, "one"), certificate(t, "two")...), time.Now()), 0o600); err != nil {
		t.Fatal(err)
	}
	keytool, err := exec.LookPath("keytool")
	if err != nil {
		t.Fatal("keytool is not here: run scripts/install")
	}
	out, err := exec.CommandContext(t.Context(), keytool, "-list", "-keystore", store, "-storetype", "JKS", "-storepass", storePassword).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("contains 2 entries")) || bytes.Count(out, []byte("trustedCertEntry")) != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDirect(t *testing.T) {
	for in, want := range map[string]string{"https://assent.example:8720": "assent.example", "127.0.0.1:5432": "127.0.0.1", "[::1]:5432": "::1", "0.0.0.0:5432": "", "db.internal:5432": "db.internal", "junk": ""} {
		if got := Direct(in); got != want {
			t.Errorf("Direct(%q) = %q, want %q", in, got, want)
		}
	}
}
