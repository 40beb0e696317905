package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOversights(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("ASSENT_TEST_HERE", "hunter2")
	for name, text := range map[string]string{"here": "hunter2\n", "empty": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const issuers = "issuers: [{ name: corp, issuer: \"https://idp.example.com\", client_id: a, client_secret: { file: here } }]\n"
	gate := func(password string) string {
		return "gates: [{ name: shop, type: postgres, listen: \"127.0.0.1:1\", env: prod, upstream: { host: db, database: d, user: u, password: " + password + " } }]\n"
	}
	const actor = "actors: [{ id: bot, owner: dana }]\n"
	for name, life := range map[string][2]time.Duration{"ended": {-48 * time.Hour, -24 * time.Hour}, "soon": {-100 * 24 * time.Hour, 72 * time.Hour}, "later": {24 * time.Hour, 100 * 24 * time.Hour}, "good": {-time.Hour, 100 * 24 * time.Hour}, "brief": {-time.Minute, time.Hour}} {
		lasting(t, filepath.Join(dir, name+".pem"), time.Now().Add(life[0]), time.Now().Add(life[1]))
	}
	shown := func(cert string) string { return "tls: { cert: " + cert + ".pem, key: key.pem }\n" }
	for _, c := range []struct{ name, text, want, remedy string }{
		{"a certificate", shown("good"), "", ""},
		{"a certificate of an hour", shown("brief"), "", ""},
		{"a certificate that has ended", shown("ended"), "tls.cert: ended.pem ended on", "renew"},
		{"a certificate that ends soon", shown("soon"), "tls.cert: soon.pem ends in 2 days", "renew"},
		{"a certificate of tomorrow", shown("later"), "tls.cert: later.pem begins on", "clock"},
		{"no certificate", "gates: [{ name: shop, type: mysql, listen: \"127.0.0.1:1\", env: prod, tls: { cert: here, key: here }, upstream: { host: db, database: d, user: u, password: { file: here } } }]\n", "gates[0].tls.cert: here: holds no certificate", "PEM"},
		{"a full disk", "data: .\nlimits: { spool_bytes: 4611686018427387904 }\n", "nothing runs once it is full", "audit.archive"},
		{"whole", issuers + gate("{ file: here }") + actor + "people: [{ id: dana, accounts: [\"corp|1\"] }]\n", "", ""},
		{"in the environment", gate("{ env: ASSENT_TEST_HERE }"), "", ""},
		{"a command is not run", gate("{ command: [/nonexistent] }"), "", ""},
		{"no file", gate("{ file: nowhere }"), "gates[0].upstream.password: reading a secret: open", "umask 077"},
		{"an empty file", gate("{ file: empty }"), "it is empty", "not empty"},
		{"nothing in the environment", gate("{ env: ASSENT_TEST_NOWHERE }"), "no ASSENT_TEST_NOWHERE", "set ASSENT_TEST_NOWHERE"},
		{"an owner without account", issuers + actor + "people: [{ id: dana }]\n", "no account of an issuer leads to dana", "corp|"},
		{"related, and only in a chat", issuers + "actors: [{ id: bot, related: [dana] }]\npeople: [{ id: dana, accounts: [\"chat|1\"] }]\nchannels: [{ name: chat, slack: { team: T1, app_id: A1, bot_token: { file: here }, signing_secret: { file: here } } }]\n", "dana is behind bot", ""},
		{"no issuer to sign in by", actor + "people: [{ id: dana }]\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			got := Oversights(cfg)
			if c.want == "" {
				if len(got) > 0 {
					t.Fatalf("found %v", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0].What, c.want) || !strings.Contains(got[0].Remedy, c.remedy) || strings.Contains(got[0].What, "hunter2") {
				t.Fatalf("found %v, want %q", got, c.want)
			}
		})
	}
}

// lasting writes a certificate that is good for this long.
func lasting(t *testing.T, file string, from, to time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
