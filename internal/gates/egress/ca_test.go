package egress

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"
	"time"
)

func secret() []byte { return bytes.Repeat([]byte{7}, 32) }

func newCA(t *testing.T, now func() time.Time) *CA {
	t.Helper()
	c, err := NewCA(secret(), "assent.example.com", now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pool(t *testing.T, c *CA) *x509.CertPool {
	t.Helper()
	text, err := c.PEM()
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		t.Fatal("no certificate in PEM")
	}
	return p
}

func TestLeaves(t *testing.T) {
	c := newCA(t, nil)
	for _, host := range []string{"api.github.com", "10.1.2.3", "2606:4700::1111"} {
		l, err := c.Leaf(host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Leaf.Verify(x509.VerifyOptions{Roots: pool(t, c), DNSName: host}); err != nil {
			t.Error(err)
		}
		if _, err := l.Leaf.Verify(x509.VerifyOptions{Roots: pool(t, c), DNSName: "other.example"}); err == nil {
			t.Error("a leaf is good for another name")
		}
		if l.Leaf.IsCA || l.Leaf.NotAfter.Sub(l.Leaf.NotBefore) > 25*time.Hour+time.Minute {
			t.Error("a leaf that is an authority, or lasts longer than a day")
		}
		again, _ := c.Leaf(host)
		if again != l {
			t.Error("a leaf was made twice")
		}
	}
}

func TestLeavesAreBounded(t *testing.T) {
	c := newCA(t, nil)
	for i := range maxLeaves + 50 {
		if _, err := c.Leaf(fmt.Sprintf("h%d.example", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.leaves) != maxLeaves || c.order.Len() != maxLeaves {
		t.Errorf("%d leaves are kept, in a list of %d", len(c.leaves), c.order.Len())
	}
}

// What a client fetched is good for what is signed half a year later, and the same at every replica.
func TestRootsOverlap(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	c, replica := newCA(t, clock), newCA(t, clock)
	roots := pool(t, c)
	one, _ := c.PEM()
	if two, _ := replica.PEM(); !bytes.Equal(one, two) {
		t.Error("two replicas have different roots")
	}
	for _, block := range blocksOf(one) {
		cert, err := x509.ParseCertificate(block)
		if err != nil {
			t.Fatal(err)
		}
		if life := cert.NotAfter.Sub(cert.NotBefore); life > 367*24*time.Hour || !cert.IsCA || !cert.MaxPathLenZero {
			t.Errorf("root lasts %v, authority %v", life, cert.IsCA)
		}
		if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
			t.Errorf("a root that is told is good from %v to %v", cert.NotBefore, cert.NotAfter)
		}
	}
	for day := 0; day < 180; day += 20 {
		now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).AddDate(0, 0, day)
		l, err := c.Leaf("api.example")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "api.example", CurrentTime: now}); err != nil {
			t.Errorf("day %d: %v", day, err)
		}
		if _, err := l.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "api.example", CurrentTime: l.Leaf.NotAfter.Add(-time.Minute)}); err != nil {
			t.Errorf("the last minute of a leaf of day %d: %v", day, err)
		}
	}
	other, err := NewCA(bytes.Repeat([]byte{8}, 32), "assent.example.com", clock)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := other.Leaf("api.example")
	if _, err := l.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "api.example", CurrentTime: now}); err == nil {
		t.Error("another secret's leaf is good")
	}
}

func blocksOf(text []byte) (out [][]byte) {
	for {
		b, rest := pem.Decode(text)
		if b == nil {
			return out
		}
		out, text = append(out, b.Bytes), rest
	}
}
