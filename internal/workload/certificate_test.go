package workload_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/workload"
	"github.com/assenthq/assent/internal/workload/workloadtest"
)

const svid = "spiffe://example.org/ns/shop/sa/exporter"

func TestCertificates(t *testing.T) {
	ca, other := workloadtest.NewAuthority(t), workloadtest.NewAuthority(t)
	now := time.Now()
	rules := []workload.CertificateRule{
		{Actor: "agent:exporter", SPIFFE: svid}, {Actor: "service:reporter", DNS: "reporter.shop.internal"}, {Actor: "agent:exporter", Subject: "CN=old-exporter,O=acme"},
	}
	certs, err := workload.NewCertificates(ca.File(t, filepath.Join(t.TempDir(), "ca.pem")), rules, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	dns := func(names ...string) func(*x509.Certificate) { return func(c *x509.Certificate) { c.DNSNames = names } }
	for name, c := range map[string]struct {
		by     *workloadtest.Authority
		uri    string
		change func(*x509.Certificate)
		want   string
	}{
		"an SVID":          {ca, svid, nil, "agent:exporter"},
		"a name":           {ca, "", dns("reporter.shop.internal"), "service:reporter"},
		"one of its names": {ca, "", dns("reporter.shop.internal", "other.shop.internal"), "service:reporter"},
		"a subject": {ca, "", func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "old-exporter", Organization: []string{"acme"}}
		}, "agent:exporter"},
		"two ways to one": {ca, svid, func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "old-exporter", Organization: []string{"acme"}}
		}, "agent:exporter"},
		"another authority": {other, svid, nil, ""},
		"another path":      {ca, svid + "/x", nil, ""},
		"another domain":    {ca, "spiffe://example.com/ns/shop/sa/exporter", nil, ""},
		"two URIs": {ca, svid, func(c *x509.Certificate) {
			c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: "example.org", Path: "/x"})
		}, ""},
		"two actors":           {ca, svid, dns("reporter.shop.internal"), ""},
		"a wildcard":           {ca, "", dns("*.shop.internal"), ""},
		"a common name of DNS": {ca, "", func(c *x509.Certificate) { c.Subject.CommonName = "reporter.shop.internal" }, ""},
		"a subject with more": {ca, "", func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "old-exporter", Organization: []string{"acme", "evil"}}
		}, ""},
		"a name that writes a subject": {ca, "", func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "old-exporter,O=acme"} }, ""},
		"a server's":                   {ca, svid, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, ""},
		"an authority's":               {ca, svid, func(c *x509.Certificate) { c.IsCA = true }, ""},
		"one that signs":               {ca, svid, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }, ""},
		"expired":                      {ca, svid, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }, ""},
		"not yet":                      {ca, svid, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }, ""},
		"nobody's":                     {ca, "", nil, ""},
	} {
		got, err := certs.Actor([]*x509.Certificate{c.by.Client(t, c.uri, c.change).Leaf})
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, workload.ErrRefused) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	leaf := ca.Client(t, svid, nil).Leaf
	if _, err := certs.Actor(nil); err == nil {
		t.Error("nothing is somebody")
	}
	now = now.Add(11 * time.Minute)
	if _, err := certs.Actor([]*x509.Certificate{leaf}); err == nil {
		t.Error("it counts after its end")
	}
	for name, r := range map[string]workload.CertificateRule{
		"nothing": {Actor: "a"}, "two": {Actor: "a", DNS: "x", Subject: "CN=x"}, "no actor": {DNS: "x"}, "a wildcard": {Actor: "a", DNS: "*.x"}, "a domain": {Actor: "a", SPIFFE: "spiffe://example.org"}, "no SPIFFE id": {Actor: "a", SPIFFE: "https://example.org/x"},
	} {
		if r.Check() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
