package postgres_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/gates/postgres"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/jackc/pgx/v5"
)

// selfSigned makes a certificate for localhost and the pool that trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func TestUpstreamTLS(t *testing.T) {
	cert, pool := selfSigned(t)
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgcluster.Start(t.Context(), pgcluster.Options{
		Password: upstreamPassword, Settings: map[string]string{"fsync": "off"},
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	_, stranger := selfSigned(t)
	for name, x := range map[string]struct {
		tls *tls.Config
		ok  bool
	}{
		"trusted":            {&tls.Config{RootCAs: pool, ServerName: "localhost"}, true},
		"another authority":  {&tls.Config{RootCAs: stranger, ServerName: "localhost"}, false},
		"another name":       {&tls.Config{RootCAs: pool, ServerName: "db.example.com"}, false},
		"told not to verify": {&tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}, false},
	} {
		dsn := start(t, &authority{}, func(cfg *postgres.Config) {
			cfg.Upstream.Port, cfg.Upstream.Plain, cfg.Upstream.TLS = c.Port, false, x.tls
		})
		conn, err := pgx.Connect(t.Context(), dsn)
		if (err == nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		var ssl bool
		if err := conn.QueryRow(t.Context(), "select ssl from pg_stat_ssl where pid = pg_backend_pid()").Scan(&ssl); err != nil || !ssl {
			t.Errorf("%s: ssl %v, %v", name, ssl, err)
		}
		_ = conn.Close(context.Background())
	}
}

// An upstream that asks for the password in clear or as MD5, or sends bytes
// before TLS, learns nothing.
func TestUpstreamDowngrade(t *testing.T) {
	for name, reply := range map[string]string{
		"cleartext": "R\x00\x00\x00\x08\x00\x00\x00\x03", "md5": "R\x00\x00\x00\x0c\x00\x00\x00\x05salt", "trust": "R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I",
		"gss": "R\x00\x00\x00\x08\x00\x00\x00\x07", "another SASL": "R\x00\x00\x00\x0f\x00\x00\x00\x0aPLAIN\x00\x00", "huge": "R\x7f\xff\xff\xff", "garbage": "HTTP/1.1 400 Bad Request\r\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan string, 1)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				heard <- ""
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			var head [4]byte
			_, _ = io.ReadFull(r, head[:])
			_, _ = io.CopyN(io.Discard, r, int64(head[3])+int64(head[2])*256-4)
			_, _ = io.WriteString(conn, reply)
			rest, _ := io.ReadAll(r)
			heard <- string(rest)
		}()
		dsn := start(t, &authority{}, func(cfg *postgres.Config) { cfg.Upstream.Port = l.Addr().(*net.TCPAddr).Port })
		if c, err := pgx.Connect(t.Context(), dsn); err == nil {
			_ = c.Close(context.Background())
			t.Errorf("%s: logged in", name)
		} else if strings.Contains(err.Error(), upstreamPassword) {
			t.Errorf("%s: the error tells the credential", name)
		}
		if got := <-heard; got != "" {
			t.Errorf("%s: upstream was told %q", name, got)
		}
		_ = l.Close()
	}
}
