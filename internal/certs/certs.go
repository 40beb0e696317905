// Package certs keeps the certificates of a listener that answers for several
// hosts: files that are read again when they change, and certificates that an ACME
// authority issues.
//
// It promises that a change takes effect whole or not at all (the pair that was good
// goes on being shown), that a client which names a host gets that host's
// certificate or none, and that ACME is asked for the configured hosts alone. It
// can't see whether a certificate was revoked.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// A Pair is a certificate chain and its key, as PEM files.
type Pair struct{ Cert, Key string }

// ACME says who issues what no pair covers.
type ACME struct {
	Directory string // URL of the authority's directory (RFC 8555 section 7.1.1)
	Email     string // where the authority writes to; may be ""
	Cache     string // directory for account key and certificates, made with mode 0700
	Hosts     []string
	Roots     *x509.CertPool // that the authority's own certificate is checked against; nil: the system's
}

// A Keeper chooses certificates. It is safe for concurrent use.
type Keeper struct {
	pairs []Pair
	log   *slog.Logger
	acme  *autocert.Manager // nil: nobody issues any
	names []string          // that acme answers for

	mu   sync.RWMutex // owns what follows
	have []loaded
}

type loaded struct {
	cert  *tls.Certificate
	stamp [2]stamp
	err   error // of the newest files, where they are not what is shown
}

type stamp struct {
	at   time.Time
	size int64
}

// New reads all pairs; one that can't be used is an error.
func New(pairs []Pair, a *ACME, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{pairs: pairs, log: log, have: make([]loaded, len(pairs))}
	for i, p := range pairs {
		cert, err := read(p)
		if err != nil {
			return nil, err
		}
		k.have[i] = loaded{cert: cert, stamp: p.stamp()}
	}
	if a != nil {
		k.names = a.Hosts
		if err := os.MkdirAll(a.Cache, 0o700); err != nil {
			return nil, fmt.Errorf("making the directory of ACME: %w", err)
		}
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: a.Roots, MinVersion: tls.VersionTLS12}
		k.acme = &autocert.Manager{
			Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(a.Cache), HostPolicy: autocert.HostWhitelist(a.Hosts...), Email: a.Email,
			Client: &acme.Client{DirectoryURL: a.Directory, UserAgent: "assent", HTTPClient: &http.Client{Transport: t, Timeout: time.Minute}},
		}
	}
	if len(pairs) == 0 && k.acme == nil {
		return nil, errors.New("there is no certificate")
	}
	return k, nil
}

func read(p Pair) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", p.Cert, err)
	}
	if cert.Leaf == nil { // filled in since Go 1.23, unless a GODEBUG says otherwise
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", p.Cert, err)
		}
	}
	return &cert, nil
}

// stamp tells one state of the two files from another.
func (p Pair) stamp() (out [2]stamp) {
	for i, file := range []string{p.Cert, p.Key} {
		if info, err := os.Stat(file); err == nil {
			out[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return out
}

// lookEvery is how often the files are looked at.
const lookEvery = 5 * time.Second

// Run takes over files that changed, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.look()
		}
	}
}

// look reads each pair whose files are not as they were.
func (k *Keeper) look() {
	for i, p := range k.pairs {
		k.mu.RLock()
		was := k.have[i]
		k.mu.RUnlock()
		now := p.stamp()
		if now == was.stamp && was.err == nil {
			continue
		}
		cert, err := read(p)
		if err == nil && time.Now().After(cert.Leaf.NotAfter) {
			err = fmt.Errorf("certificate %s ended %s", p.Cert, cert.Leaf.NotAfter.Format(time.RFC3339))
		}
		next := loaded{cert: cert, stamp: now}
		if err != nil { // one file may be written and the other not yet: it is tried again
			next = loaded{cert: was.cert, stamp: was.stamp, err: err}
			if was.err == nil || was.err.Error() != err.Error() {
				k.log.Warn("a changed certificate is not taken; the one before is still shown", "err", err)
			}
		} else {
			k.log.Info("a changed certificate is shown from now on", "cert", p.Cert, "until", cert.Leaf.NotAfter)
		}
		k.mu.Lock()
		k.have[i] = next
		k.mu.Unlock()
	}
}

// Check is what an operator must hear: a pair that ends soon, or files that can't be used.
func (k *Keeper) Check(now time.Time) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var errs []error
	for i, h := range k.have {
		if h.err != nil {
			errs = append(errs, h.err)
		}
		if now.After(h.cert.Leaf.NotAfter) {
			errs = append(errs, fmt.Errorf("certificate %s ended %s", k.pairs[i].Cert, h.cert.Leaf.NotAfter.Format(time.RFC3339)))
		}
	}
	return errors.Join(errs...)
}

// Certificate is tls.Config.GetCertificate.
func (k *Keeper) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.TrimSuffix(strings.ToLower(hello.ServerName), ".")
	if k.acme != nil && slices.Contains(hello.SupportedProtos, acme.ALPNProto) {
		return k.acme.GetCertificate(hello)
	}
	if cert := k.own(name); cert != nil {
		return cert, nil
	}
	if k.acme != nil && slices.Contains(k.names, name) {
		return k.acme.GetCertificate(hello)
	}
	return nil, errors.New("no certificate for the host that the client names")
}

// own is the pair for a host, an exact name before a wildcard; the first where none is named.
func (k *Keeper) own(name string) *tls.Certificate {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if len(k.have) == 0 {
		return nil
	}
	if name == "" {
		return k.have[0].cert
	}
	var wild *tls.Certificate
	for _, h := range k.have {
		if slices.ContainsFunc(h.cert.Leaf.DNSNames, func(n string) bool { return strings.EqualFold(n, name) }) {
			return h.cert
		}
		if wild == nil && h.cert.Leaf.VerifyHostname(name) == nil {
			wild = h.cert
		}
	}
	return wild
}

// Config is what a listener needs; the caller may add what it asks of clients.
func (k *Keeper) Config() *tls.Config {
	c := &tls.Config{GetCertificate: k.Certificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if k.acme != nil {
		c.NextProtos = append(c.NextProtos, acme.ALPNProto)
	}
	return c
}

// Plain answers on port 80: ACME's challenges (HTTP-01), and next for the rest.
func (k *Keeper) Plain(next http.Handler) http.Handler {
	if k.acme == nil {
		return next
	}
	challenges := k.acme.HTTPHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil { // the port is no part of the name that is proved
			r = r.WithContext(r.Context())
			r.Host = host
		}
		challenges.ServeHTTP(w, r)
	})
}
