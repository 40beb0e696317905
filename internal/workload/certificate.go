package workload

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// A CertificateRule says which client certificates stand for one actor. One of
// SPIFFE, DNS and Subject is set, and must be there exactly as it says.
type CertificateRule struct {
	Actor   string
	SPIFFE  string // the one URI of an X.509-SVID
	DNS     string // one of its DNS names
	Subject string // its whole subject, as RFC 2253 writes it: "CN=exporter,O=acme"
}

// Check says what is wrong with a rule, nil if nothing is.
func (r *CertificateRule) Check() error {
	set := 0
	for _, v := range []string{r.SPIFFE, r.DNS, r.Subject} {
		if v != "" {
			set++
		}
	}
	switch {
	case r.Actor == "":
		return errors.New("actor: is missing")
	case set != 1:
		return errors.New("one of spiffe, dns and subject says which certificates")
	case strings.Contains(r.DNS, "*"):
		return errors.New("dns: a certificate stands for one machine: no wildcard")
	}
	if r.SPIFFE != "" {
		if id, err := spiffeid.FromString(r.SPIFFE); err != nil || id.Path() == "" {
			return errors.New("spiffe: not a SPIFFE id of a workload, such as spiffe://example.org/ns/shop/sa/exporter")
		}
	}
	return nil
}

// Certificates finds the actor behind a client certificate. It never changes.
type Certificates struct {
	Pool  *x509.CertPool // authorities whose certificates count
	rules []CertificateRule
	now   func() time.Time
}

// NewCertificates reads the authorities in a PEM file.
func NewCertificates(ca string, rules []CertificateRule, now func() time.Time) (*Certificates, error) {
	if now == nil {
		now = time.Now
	}
	c := &Certificates{Pool: x509.NewCertPool(), rules: rules, now: now}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("reading client_ca: %w", err)
	}
	if !c.Pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client_ca: %s holds no certificate in PEM form", ca)
	}
	for i := range rules {
		if err := rules[i].Check(); err != nil {
			return nil, fmt.Errorf("certificates: %w", err)
		}
	}
	return c, nil
}

// Actor is whom a chain stands for, the client's own certificate first. The chain
// is verified again: what is asked later than at the handshake may have expired.
func (c *Certificates) Actor(chain []*x509.Certificate) (string, error) {
	if len(chain) == 0 {
		return "", refuse("no certificate")
	}
	leaf, rest := chain[0], x509.NewCertPool()
	for _, x := range chain[1:] {
		rest.AddCert(x)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: c.Pool, Intermediates: rest, CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return "", refuse("the certificate is not (or no longer) good for a client under client_ca")
	}
	if leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return "", refuse("the certificate is an authority's own")
	}
	found := ""
	for _, r := range c.rules {
		switch {
		case !r.names(leaf):
		case found != "" && found != r.Actor:
			return "", refuse("the certificate names several actors")
		default:
			found = r.Actor
		}
	}
	if found == "" {
		return "", refuse("no rule under certificates is for it")
	}
	return found, nil
}

// names reports whether a certificate is one that the rule means.
func (r *CertificateRule) names(leaf *x509.Certificate) bool {
	switch {
	case r.SPIFFE != "":
		id, err := x509svid.IDFromCert(leaf) // errs when there are several
		return err == nil && id.String() == r.SPIFFE
	case r.DNS != "":
		for _, n := range leaf.DNSNames {
			if n == r.DNS {
				return true
			}
		}
		return false
	case r.Subject != "":
		return leaf.Subject.String() == r.Subject
	}
	return false
}
