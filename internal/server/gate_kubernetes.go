package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/gates/kubernetes"
)

func kubernetesGate(s *Server, g *GateConfig) (runningGate, error) {
	c := g.Cluster
	up, err := url.Parse(c.Server)
	if err != nil {
		return runningGate{}, err
	}
	transport, err := s.kubernetesTransport(c)
	if err != nil {
		return runningGate{}, err
	}
	o := kubernetes.Config{Name: g.Name, Upstream: up, Transport: transport, Rules: c.rules(), Recordings: s.recordings, Log: s.log}
	if c.Client == nil {
		o.Token = func(ctx context.Context) ([]byte, error) { return c.Token.Read(ctx, s.cfg) }
	}
	protocol, err := kubernetes.New(o)
	if err != nil {
		return runningGate{}, err
	}
	own, err := s.ownCertificate(g)
	if err != nil {
		return runningGate{}, err
	}
	return s.webGate(g, protocol, func(o *httpgate.Config) {
		if own != nil {
			o.TLS = s.askCertificate(&tls.Config{Certificates: []tls.Certificate{*own}, MinVersion: tls.VersionTLS12})
		}
	})
}

func (s *Server) kubernetesTransport(c *KubernetesConfig) (*http.Transport, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		b, err := os.ReadFile(s.cfg.path(c.CA))
		if err != nil {
			return nil, fmt.Errorf("reading kubernetes.ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("kubernetes.ca: %s holds no certificate in PEM form", c.CA)
		}
	}
	if c.Client != nil {
		cert, err := tls.LoadX509KeyPair(s.cfg.path(c.Client.Cert), s.cfg.path(c.Client.Key))
		if err != nil {
			return nil, fmt.Errorf("kubernetes.client: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return &http.Transport{
		TLSClientConfig: t, ForceAttemptHTTP2: true, DisableCompression: true, MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: 10 * time.Second, DialContext: s.dialer(c.Via),
	}, nil
}

// ownCertificateFile is the certificate and key that a gate on loopback makes for itself.
func (c *Config) ownCertificateFile(g *GateConfig) string {
	return filepath.Join(c.keysDir(), "gate-"+g.Name+".pem")
}

// ownCertificate makes a gate on loopback a certificate, since kubectl sends no token without TLS. nil: it
// has one by its configuration.
func (s *Server) ownCertificate(g *GateConfig) (*tls.Certificate, error) {
	if g.TLS != nil {
		return nil, nil
	}
	file := s.cfg.ownCertificateFile(g)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if b, err = newOwnCertificate(); err == nil {
			err = os.WriteFile(file, b, 0o600)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the gate's own certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(b, b)
	if err != nil {
		return nil, fmt.Errorf("the gate's own certificate in %s: %w (remove it, and another is made)", file, err)
	}
	return &cert, nil
}

// newOwnCertificate is a certificate for loopback, which signs nothing else, and its key.
func newOwnCertificate() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "assent gate on loopback"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	_ = pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: plain})
	return out.Bytes(), nil
}

// trusted is the certificate that clients of a gate are told to trust; "": those that their machine knows.
func (s *Server) trusted(g *GateConfig) string {
	if g.Cluster == nil {
		return ""
	}
	file := s.cfg.ownCertificateFile(g)
	switch {
	case g.Cluster.ClientCA != "":
		file = s.cfg.path(g.Cluster.ClientCA)
	case g.TLS != nil:
		return ""
	}
	b, err := os.ReadFile(file)
	if err != nil {
		s.log.Warn("the certificate that kubectl is to trust", "gate", g.Name, "err", err)
		return ""
	}
	var out bytes.Buffer
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" { // never the key beside it
			_ = pem.Encode(&out, block)
		}
	}
	return out.String()
}

// reachKubernetes tells whether the API server is there and has the certificate that it should.
func reachKubernetes(ctx context.Context, s *Server, g *GateConfig) error {
	up, err := url.Parse(g.Cluster.Server)
	if err != nil {
		return err
	}
	transport, err := s.kubernetesTransport(g.Cluster)
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, up.JoinPath("version").String(), nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
