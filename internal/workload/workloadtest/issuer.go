// Package workloadtest is an issuer of machine tokens for tests: discovery, keys
// and signing over loopback, with a way to get each thing wrong. Nothing of a
// running deployment uses it.
package workloadtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An Issuer signs whatever a test asks for.
type Issuer struct {
	URL  string
	Asks atomic.Int64 // requests for keys so far

	mu   sync.Mutex
	kid  string
	key  *ecdsa.PrivateKey
	down bool
	odd  func(w http.ResponseWriter, r *http.Request) bool // answers instead, when it returns true
}

// New starts an issuer that ends with the test.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{}
	i.Rotate(t)
	s := httptest.NewServer(i)
	t.Cleanup(s.Close)
	i.URL = s.URL
	return i
}

// Rotate takes a new key and forgets the old one.
func (i *Issuer) Rotate(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key, i.kid = key, "key-"+rand.Text()[:8]
}

// Down makes it answer 503 to everything, or no longer.
func (i *Issuer) Down(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Odd lets a test answer in its place.
func (i *Issuer) Odd(fn func(http.ResponseWriter, *http.Request) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.odd = fn
}

// KeySet is its public key as a JSON Web Key Set; use is "sig", or "jwt-svid" for a SPIFFE bundle.
func (i *Issuer) KeySet(use string) []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	b, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: i.kid, Use: use}}}) // a public key always has a form
	return b
}

// Key is the key it signs with now.
func (i *Issuer) Key() (kid string, key *ecdsa.PrivateKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.kid, i.key
}

func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	down, odd := i.down, i.odd
	i.mu.Unlock()
	if odd != nil && odd(w, r) {
		return
	}
	switch {
	case down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case r.URL.Path == "/.well-known/openid-configuration":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	case r.URL.Path == "/keys":
		i.Asks.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(i.KeySet("sig"))
	case r.URL.Path == "/bundle":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(i.KeySet("jwt-svid"))
	default:
		http.NotFound(w, r)
	}
}

// Claims are those of a good token: from i, for aud, issued now, good for five
// minutes. more replaces some; nil takes one away.
func (i *Issuer) Claims(aud string, more map[string]any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{"iss": i.URL, "aud": aud, "sub": "repo:acme/shop:ref:refs/heads/main", "iat": now, "nbf": now, "exp": now + 300, "jti": rand.Text()}
	maps.Copy(c, more)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// Sign signs claims with the key of now.
func (i *Issuer) Sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return i.SignRaw(t, b, map[string]any{"typ": "JWT"})
}

// SignRaw signs any bytes, with further members of the header.
func (i *Issuer) SignRaw(t testing.TB, payload []byte, header map[string]any) string {
	t.Helper()
	kid, key := i.Key()
	return Sign(t, jose.ES256, key, kid, payload, header)
}

// Sign signs payload with any key.
func Sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, payload []byte, header map[string]any) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	if kid != "" {
		opts.WithHeader("kid", kid)
	}
	for k, v := range header {
		opts.WithHeader(jose.HeaderKey(k), v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
