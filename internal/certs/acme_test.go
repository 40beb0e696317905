package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// authority is Pebble, Let's Encrypt's test authority, which looks for challenges at the ports given.
func authority(t *testing.T, httpPort, tlsPort int) (directory string, itself, issued *x509.CertPool) {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	asks, _ := listen(t) // it asks over TCP
	names := &dns.Server{Listener: asks, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)}}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = names.ActivateAndServe() }()
	t.Cleanup(func() { _ = names.Shutdown() })

	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 0}})
	checks := va.New(quiet, httpPort, tlsPort, true, asks.Addr().String(), store)
	front := wfe.New(quiet, store, checks, issuer, []string{"pebble.letsencrypt.org"}, true, false, 1, 1)
	srv := httptest.NewTLSServer(located(front.Handler()))
	t.Cleanup(srv.Close)
	itself, issued = x509.NewCertPool(), x509.NewCertPool()
	itself.AddCert(srv.Certificate())
	issued.AddCert(issuer.GetRootCert(0).Cert)
	return srv.URL + wfe.DirectoryPath, itself, issued
}

// located says where an order is when it is finalized, as Let's Encrypt does and Pebble doesn't: x/crypto looks there.
func located(pebble http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, is := strings.CutPrefix(r.URL.Path, "/finalize-order/"); is {
			w.Header().Set("Location", "https://"+r.Host+"/my-order/"+id)
		}
		pebble.ServeHTTP(w, r)
	})
}

func listen(t *testing.T) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

// TestACME: a certificate is issued by each way of proving the host, kept for the next start, and
// never for another host.
func TestACME(t *testing.T) {
	for _, way := range []string{"TLS-ALPN-01", "HTTP-01"} {
		t.Run(way, func(t *testing.T) {
			secure, tlsPort := listen(t)
			plain, httpPort := listen(t)
			closed, nowhere := listen(t)
			_ = closed.Close()
			askTLS, askHTTP := tlsPort, nowhere
			if way == "HTTP-01" {
				askTLS, askHTTP = nowhere, httpPort
			}
			directory, itself, issued := authority(t, askHTTP, askTLS)
			cache := filepath.Join(t.TempDir(), "acme")
			a := &ACME{Directory: directory, Email: "ops@example.com", Cache: cache, Hosts: []string{"billing.example.com"}, Roots: itself}
			k, err := New(nil, a, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
			redirect := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
			if way == "HTTP-01" {
				redirect.Handler = k.Plain(redirect.Handler)
			}
			go func() { _ = srv.Serve(tls.NewListener(secure, k.Config())) }()
			go func() { _ = redirect.Serve(plain) }()
			t.Cleanup(func() { _, _ = srv.Close(), redirect.Close() })

			dial := func(name string) error {
				c, err := (&tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: issued}}).DialContext(context.Background(), "tcp", secure.Addr().String())
				if err == nil {
					_ = c.Close()
				}
				return err
			}
			if err := dial("billing.example.com"); err != nil {
				t.Fatal(err)
			}
			if err := dial("other.example.com"); err == nil {
				t.Error("a certificate for a host that is not configured")
			}
			info, err := os.Stat(cache)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the cache: %v, %v", info, err)
			}
			a.Directory = "https://127.0.0.1:1/nobody"
			again, err := New(nil, a, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			hello := &tls.ClientHelloInfo{ServerName: "billing.example.com", SupportedProtos: []string{"h2"}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256}, SupportedVersions: []uint16{tls.VersionTLS13}}
			if _, err := again.Certificate(hello); err != nil {
				t.Errorf("after a restart, with the authority away: %v", err)
			}
		})
	}
}
