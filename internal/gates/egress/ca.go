package egress

import (
	"bytes"
	"container/list"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// How long certificates last. A root signs for one period. It is told to clients one
// period before and lasts until the end of its own, so that a client that fetched
// the roots once has half a year in which nothing changes for it.
const (
	period    = 182 * 24 * time.Hour
	leafLife  = 24 * time.Hour
	leafSkew  = time.Hour // clocks of clients may be behind
	maxLeaves = 1024
)

// A CA signs the certificates that the gate shows in place of the real servers.
// Its roots follow from one secret and the date alone: every replica has the same
// ones, and none is ever written down. It is safe for concurrent use.
//
// The roots are not constrained to names: which hosts there are changes with the
// configuration, and what clients hold would not.
type CA struct {
	secret []byte
	name   string
	now    func() time.Time
	key    *ecdsa.PrivateKey // of all leaves, until the process ends

	mu     sync.Mutex
	roots  map[int64]*root // owned by mu
	leaves map[string]*list.Element
	order  *list.List // owned by mu: the leaves, last used first
}

type root struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

type leaf struct {
	host string
	cert *tls.Certificate
}

// NewCA returns the authority of a secret of at least 32 bytes. name is what
// people see in lists of certificates.
func NewCA(secret []byte, name string, now func() time.Time) (*CA, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("the secret of the egress authority has %d bytes, not 32", len(secret))
	}
	if now == nil {
		now = time.Now
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &CA{secret: secret, name: name, now: now, key: key, roots: map[int64]*root{}, leaves: map[string]*list.Element{}, order: list.New()}
	_, err = c.PEM()
	return c, err
}

// PEM is the certificates that a client must trust: the root of now and the next one.
func (c *CA) PEM() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out bytes.Buffer
	n := c.number()
	for _, n := range []int64{n, n + 1} {
		r, err := c.root(n)
		if err != nil {
			return nil, err
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: r.cert.Raw}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func (c *CA) number() int64 { return c.now().Unix() / int64(period/time.Second) }

// root is the root of one period. c.mu is held.
func (c *CA) root(n int64) (*root, error) {
	if r := c.roots[n]; r != nil {
		return r, nil
	}
	key, err := derive(c.secret, n)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of the egress authority: %w", err)
	}
	begin := time.Unix(n*int64(period/time.Second), 0).UTC()
	t := &x509.Certificate{
		SerialNumber:          big.NewInt(n + 1),
		Subject:               pkix.Name{CommonName: c.name + " " + strconv.FormatInt(n, 10), Organization: []string{"Assent egress gate"}},
		NotBefore:             begin.Add(-period - leafLife),
		NotAfter:              begin.Add(period + leafLife),
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	// Without a source of randomness the signature follows from key and text (RFC 6979).
	der, err := x509.CreateCertificate(nil, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the root of the egress authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	for old := range c.roots { // two are needed
		if old < n-1 {
			delete(c.roots, old)
		}
	}
	c.roots[n] = &root{cert, key}
	return c.roots[n], nil
}

// derive makes the key of one period: the first candidate that is a number below the curve's order.
func derive(secret []byte, n int64) (*ecdsa.PrivateKey, error) {
	for i := 0; ; i++ {
		b, err := hkdf.Key(sha256.New, secret, nil, fmt.Sprintf("assent egress root/1 %d %d", n, i), 32)
		if err != nil {
			return nil, err
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b); err == nil {
			return key, nil
		}
	}
}

// Leaf is a certificate for host, a name in lower case or an address. The caller
// has permitted the host: each new one costs a signature.
func (c *CA) Leaf(host string) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if at := c.leaves[host]; at != nil {
		l := at.Value.(*leaf)
		if now.Add(leafLife/2).Before(l.cert.Leaf.NotAfter) && now.After(l.cert.Leaf.NotBefore) {
			c.order.MoveToFront(at)
			return l.cert, nil
		}
		c.order.Remove(at)
		delete(c.leaves, host)
	}
	cert, err := c.sign(host, now)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for %s: %w", host, err)
	}
	c.leaves[host] = c.order.PushFront(&leaf{host, cert})
	if c.order.Len() > maxLeaves {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.leaves, last.Value.(*leaf).host)
	}
	return cert, nil
}

// sign makes a certificate. c.mu is held.
func (c *CA) sign(host string, now time.Time) (*tls.Certificate, error) {
	r, err := c.root(c.number())
	if err != nil {
		return nil, err
	}
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails
	serial[0] &= 0x7f
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		NotBefore:    now.Add(-leafSkew), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if a, err := netip.ParseAddr(host); err == nil {
		t.IPAddresses = append(t.IPAddresses, a.AsSlice())
	} else {
		t.DNSNames = []string{host}
	}
	if len(host) <= 64 { // the longest that a common name may be; names of certificates are read elsewhere
		t.Subject.CommonName = host
	}
	der, err := x509.CreateCertificate(rand.Reader, t, r.cert, c.key.Public(), r.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, r.cert.Raw}, PrivateKey: c.key, Leaf: parsed}, nil
}
