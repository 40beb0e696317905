package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// write makes a pair for names at path.crt and path.key.
func write(t *testing.T, path string, until time.Time, names ...string) Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := Pair{path + ".crt", path + ".key"}
	for file, block := range map[string]*pem.Block{p.Cert: {Type: "CERTIFICATE", Bytes: der}, p.Key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func shown(t *testing.T, k *Keeper, name string) string {
	t.Helper()
	c, err := k.Certificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		return ""
	}
	return c.Leaf.SerialNumber.String()
}

func TestChoice(t *testing.T) {
	dir, later := t.TempDir(), time.Now().Add(time.Hour)
	k, err := New([]Pair{write(t, filepath.Join(dir, "wild"), later, "*.example.com"), write(t, filepath.Join(dir, "one"), later, "one.example.com")}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	wild, one := k.have[0].cert.Leaf.SerialNumber.String(), k.have[1].cert.Leaf.SerialNumber.String()
	for name, want := range map[string]string{
		"one.example.com": one, "ONE.example.com.": one, "two.example.com": wild, "": wild,
		"example.com": "", "a.b.example.com": "", "one.example.org": "",
	} {
		if got := shown(t, k, name); got != want {
			t.Errorf("%q is shown %q, want %q", name, got, want)
		}
	}
}

// TestChange: a new pair is shown without a restart; one that is half written, broken or over is not.
func TestChange(t *testing.T) {
	base, later := filepath.Join(t.TempDir(), "a"), time.Now().Add(time.Hour)
	p := write(t, base, later, "a.example.com")
	k, err := New([]Pair{p}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := shown(t, k, "a.example.com")
	k.look()
	if shown(t, k, "a.example.com") != first || k.Check(time.Now()) != nil {
		t.Error("nothing changed, and something did")
	}
	key, err := os.ReadFile(p.Key)
	if err != nil {
		t.Fatal(err)
	}
	touch := func() { // a file system may keep whole seconds
		at := time.Now().Add(time.Duration(len(t.Name())) * time.Minute)
		_ = os.Chtimes(p.Cert, at, at)
	}
	write(t, base, later, "a.example.com", "b.example.com")
	whole, err := os.ReadFile(p.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Key, key, 0o600); err != nil { // the old key beside the new certificate
		t.Fatal(err)
	}
	touch()
	k.look()
	if shown(t, k, "a.example.com") != first || k.Check(time.Now()) == nil {
		t.Error("half a pair was taken, or nobody hears of it")
	}
	if err := os.WriteFile(p.Key, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	k.look()
	second := shown(t, k, "a.example.com")
	if second == first || k.Check(time.Now()) != nil {
		t.Error("the whole pair was not taken")
	}
	write(t, base, time.Now().Add(-time.Minute), "a.example.com", "over.example.com")
	k.look()
	if shown(t, k, "a.example.com") != second || k.Check(time.Now()) == nil {
		t.Error("a certificate that is over was taken, or nobody hears of it")
	}
	if k.Check(later.Add(time.Hour)) == nil {
		t.Error("nobody hears that the certificate ended")
	}
}

func TestNewRefuses(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	if _, err := New(nil, nil, log); err == nil {
		t.Error("a keeper of nothing")
	}
	if _, err := New([]Pair{{"/nonexistent", "/nonexistent"}}, nil, log); err == nil {
		t.Error("a pair that isn't there was taken")
	}
}
