package mysql_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	sqldriver "github.com/go-sql-driver/mysql"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/gates/mysql"
	"github.com/assenthq/assent/internal/identity"
)

// carded is an authority that knows its agent by a certificate alone.
type carded struct{ gatetest.Authority }

func (*carded) Verifier(ctx context.Context, _ string) (gate.Verifier, error) {
	if len(identity.Certificates(ctx)) == 0 {
		return gate.Verifier{}, errors.New("no certificate")
	}
	return gate.Verifier{Credential: "cred_gatetest", Proved: true}, nil
}

// A client certificate that TLS has verified needs no token; without one, or with one of another authority, there is no session.
func TestClientCertificates(t *testing.T) {
	customers(t)
	pair, client, stranger := pairFor(t), pairFor(t), pairFor(t)
	addr := serve(t, &carded{}, func(c *mysql.Config) {
		c.ClientTLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: poolOf(t, client)}
		c.RequireClientTLS = true
	})
	for name, own := range map[string][]tls.Certificate{"its own": {client}, "none": nil, "a stranger's": {stranger}} {
		cfg := &tls.Config{RootCAs: poolOf(t, pair), ServerName: "localhost", Certificates: own}
		// As clients do that don't care for the authorities that the server names.
		if len(own) > 0 {
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own[0], nil }
		}
		if err := sqldriver.RegisterTLSConfig("carded", cfg); err != nil {
			t.Fatal(err)
		}
		var n int
		err := open(t, addr, "tls=carded").QueryRow("SELECT count(*) FROM customers").Scan(&n)
		switch {
		case name == "its own":
			if err != nil || n != 2 {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		case err == nil || n != 0:
			t.Errorf("%s: %d, %v", name, n, err)
		case name == "none" && !strings.Contains(err.Error(), "access denied"):
			t.Errorf("%s: %v", name, err)
		}
	}
}
