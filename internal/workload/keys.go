package workload

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	keysLife  = 10 * time.Minute // a key the issuer withdrew counts no longer than this
	keysPause = 30 * time.Second // between two looks for a key that isn't there
	downPause = 5 * time.Second  // before an issuer that didn't answer is asked again
	fetchTime = 5 * time.Second
	maxKeys   = 100
	maxBody   = 1 << 20
)

// A source holds the keys of one issuer.
type source struct {
	fetch func(context.Context) ([]jose.JSONWebKey, error)
	now   func() time.Time

	fetching sync.Mutex // one fetch at a time; taken before mu

	mu    sync.Mutex // guards what follows
	keys  []jose.JSONWebKey
	at    time.Time // of the last fetch that worked
	tried time.Time
	err   error // of the last fetch
}

func newSource(r *Rule, now func() time.Time) (*source, error) {
	s := &source{now: now}
	client, err := httpClient(r.CA)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Type == SPIFFE:
		domain, err := spiffeid.TrustDomainFromString(r.Issuer)
		if err != nil {
			return nil, fmt.Errorf("issuer: %w", err)
		}
		s.fetch = func(ctx context.Context) ([]jose.JSONWebKey, error) { return bundleKeys(ctx, client, domain, r) }
	case r.Keys != "":
		s.fetch = func(context.Context) ([]jose.JSONWebKey, error) {
			b, err := readFile(r.Keys)
			if err != nil {
				return nil, err
			}
			return parseKeys(b)
		}
	default:
		s.fetch = func(ctx context.Context) ([]jose.JSONWebKey, error) { return discovered(ctx, client, r.Issuer) }
	}
	if r.Keys != "" { // a file that isn't there is a mistake of the configuration, an issuer that is down is not
		if _, err := s.fetch(context.Background()); err != nil {
			return nil, fmt.Errorf("jwks: %w", err)
		}
	}
	return s, nil
}

// verify checks the signature with the issuer's keys.
func (s *source) verify(ctx context.Context, t *token) error {
	keys, err := s.find(ctx, t.kid)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIssuer, err)
	}
	for _, k := range keys {
		if k.KeyID != t.kid || k.Algorithm != "" && k.Algorithm != t.alg || !suits(k.Key, t.alg) {
			continue
		}
		if _, err := t.jws.Verify(k.Key); err == nil {
			return nil
		}
	}
	return refuse("its signature is not by a key of its issuer")
}

// suits says whether an algorithm is one for this kind and size of key.
func suits(key any, alg string) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) && k.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		return map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[alg] == k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// find returns the issuer's keys. It asks the issuer when they are old, or when
// none has this id, but not for each id that somebody invents.
func (s *source) find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	if keys, err, done := s.cached(kid); done {
		return keys, err
	}
	s.fetching.Lock()
	defer s.fetching.Unlock()
	if keys, err, done := s.cached(kid); done { // somebody else asked meanwhile
		return keys, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	defer cancel()
	keys, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.tried, s.err = now, err
	switch {
	case err == nil:
		s.keys, s.at = keys, now
	case s.fresh(now): // a key that it doesn't tell us of is one that we don't know
		return s.keys, nil
	}
	return keys, err
}

// cached answers without asking the issuer, where that is enough.
func (s *source) cached(kid string) (keys []jose.JSONWebKey, err error, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	since := now.Sub(s.tried)
	if s.fresh(now) {
		known := kid == ""
		for _, k := range s.keys {
			known = known || k.KeyID == kid
		}
		return s.keys, nil, known || since >= 0 && since < keysPause
	}
	return nil, s.err, s.err != nil && since >= 0 && since < downPause
}

// fresh says that the keys may be used; mu is held.
func (s *source) fresh(now time.Time) bool {
	return !s.at.IsZero() && now.Sub(s.at) < keysLife && !now.Before(s.at)
}

// ready says whether the keys are there, without asking the issuer again if they are.
func (s *source) ready(ctx context.Context) error {
	_, err := s.find(ctx, "")
	return err
}

// Ready tells which issuer's keys can't be had.
func (v *Verifier) Ready(ctx context.Context) error {
	asked := map[*source]bool{}
	var errs []error
	for _, r := range v.rules {
		s := v.sources[r.Name]
		if asked[s] {
			continue
		}
		asked[s] = true
		if err := s.ready(ctx); err != nil {
			errs = append(errs, fmt.Errorf("issuer %s: %w", r.Issuer, err))
		}
	}
	return errors.Join(errs...)
}

// discovered asks the issuer where its keys are, and for them (OpenID Connect
// Discovery 1.0 section 4).
func discovered(ctx context.Context, c *http.Client, issuer string) ([]jose.JSONWebKey, error) {
	b, err := get(ctx, c, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	var doc struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, errors.New("its discovery document is not JSON")
	}
	if doc.Issuer != issuer {
		return nil, errors.New("its discovery document is of another issuer")
	}
	u, err := url.Parse(doc.Keys)
	if err != nil || u.Host == "" || u.User != nil || !secureURL(u) || u.Scheme == "http" && !strings.HasPrefix(issuer, "http:") {
		return nil, errors.New("its discovery document names no https address of keys")
	}
	if b, err = get(ctx, c, doc.Keys); err != nil {
		return nil, err
	}
	return parseKeys(b)
}

func parseKeys(b []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil || len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("not a JSON Web Key Set of at most %d keys", maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || !k.Valid() || !k.IsPublic() || k.Use != "" && k.Use != "sig" {
			continue // of another kind, which is no mistake (RFC 7517 section 5)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("its key set holds no public key for signatures")
	}
	return keys, nil
}

// bundleKeys reads the JWT authorities of a SPIFFE bundle (SPIFFE Trust Domain and Bundle, section 4).
func bundleKeys(ctx context.Context, c *http.Client, domain spiffeid.TrustDomain, r *Rule) ([]jose.JSONWebKey, error) {
	var b []byte
	var err error
	if r.Keys != "" {
		b, err = readFile(r.Keys)
	} else {
		b, err = get(ctx, c, r.Bundle)
	}
	if err != nil {
		return nil, err
	}
	bundle, err := spiffebundle.Parse(domain, b)
	if err != nil {
		return nil, errors.New("not a SPIFFE bundle")
	}
	var keys []jose.JSONWebKey
	for kid, key := range bundle.JWTAuthorities() {
		keys = append(keys, jose.JSONWebKey{KeyID: kid, Key: key})
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("the bundle holds %d JWT authorities", len(keys))
	}
	return keys, nil
}

// httpClient follows no redirect: where keys come from is configured, or said by the issuer itself.
func httpClient(ca string) (*http.Client, error) {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: fetchTime, ResponseHeaderTimeout: fetchTime, IdleConnTimeout: time.Minute, MaxIdleConns: 4,
		MaxResponseHeaderBytes: 64 << 10, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}
	if ca != "" {
		pem, err := readFile(ca)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca: holds no certificate in PEM form")
		}
	}
	return &http.Client{Transport: t, Timeout: fetchTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

func get(ctx context.Context, c *http.Client, from string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, fmt.Errorf("asking it: %w", err)
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	resp, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking it: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking it: %s answered %d", req.URL.Redacted(), resp.StatusCode)
	}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && t == "text/html" {
		return nil, fmt.Errorf("asking it: %s answered a page", req.URL.Redacted())
	}
	return bounded(resp.Body)
}

func bounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading its answer: %w", err)
	}
	if len(b) > maxBody {
		return nil, fmt.Errorf("its answer is longer than %d bytes", maxBody)
	}
	return b, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return bounded(f)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
