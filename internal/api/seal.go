package api

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/identity"
)

// Purposes of sealed tokens. Each has a type and a key of its own, so that
// none passes for another, nor for a grant.
const (
	purposeBinding  = "assent-binding+jwt"  // a denial that people may lift, bound to its action
	purposeApproval = "assent-approval+jwt" // an approval, bound to its asker; a reference, never a grant
)

var errSeal = errors.New("the token is not ours, not for this, or too old")

// A sealed token says which action of whom it belongs to. It is a JWS (RFC 7515).
type sealed struct {
	Issuer     string `json:"iss"`
	Audience   string `json:"aud"`
	Subject    string `json:"sub"`                  // who asked: subject and chain, as askerKey writes them
	Credential string `json:"credential,omitempty"` // id of the credential that was used
	Salt       string `json:"salt,omitempty"`       // of the digest, base64url
	Digest     string `json:"digest,omitempty"`     // action digest
	Approval   string `json:"approval,omitempty"`   // approval id
	ID         string `json:"jti"`                  // evaluation id
	Issued     int64  `json:"iat"`                  // seconds since 1970
	Expires    int64  `json:"exp"`
}

// A sealer makes and opens sealed tokens. It never changes after newSealer.
type sealer struct {
	issuer string
	keys   map[string]ed25519.PrivateKey // by purpose
	now    func() time.Time
}

func newSealer(seed []byte, issuer string, now func() time.Time) (*sealer, error) {
	s := &sealer{issuer: issuer, keys: map[string]ed25519.PrivateKey{}, now: now}
	for _, purpose := range []string{purposeBinding, purposeApproval} {
		key, err := hkdf.Key(sha256.New, seed, nil, "assent api "+purpose, ed25519.SeedSize)
		if err != nil {
			return nil, fmt.Errorf("deriving the key for %s: %w", purpose, err)
		}
		s.keys[purpose] = ed25519.NewKeyFromSeed(key)
	}
	return s, nil
}

func (s *sealer) seal(purpose string, claims sealed) (string, error) {
	claims.Issuer, claims.Audience, claims.Issued = s.issuer, s.issuer, s.now().Unix()
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sealing %s: %w", purpose, err)
	}
	opts := (&jose.SignerOptions{}).WithType(jose.ContentType(purpose)).WithHeader("kid", s.kid(purpose))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: s.keys[purpose]}, opts)
	if err != nil {
		return "", fmt.Errorf("sealing %s: %w", purpose, err)
	}
	jws, err := signer.Sign(body)
	if err != nil {
		return "", fmt.Errorf("sealing %s: %w", purpose, err)
	}
	return jws.CompactSerialize()
}

// open reads a token of exactly this purpose. Whatever is wrong, the error is errSeal.
func (s *sealer) open(purpose, token string) (*sealed, error) {
	if len(token) > 4096 || strings.Count(token, ".") != 2 {
		return nil, errSeal
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errSeal
	}
	head := jws.Signatures[0].Protected
	if head.ExtraHeaders[jose.HeaderType] != purpose || head.KeyID != s.kid(purpose) || len(head.ExtraHeaders) != 1 || head.JSONWebKey != nil {
		return nil, errSeal // jku, x5u, crit, jwk: nothing but what we write
	}
	body, err := jws.Verify(s.keys[purpose].Public())
	if err != nil {
		return nil, errSeal
	}
	var claims sealed
	if err := decodeStrict(body, &claims); err != nil {
		return nil, errSeal
	}
	now := s.now().Unix()
	if claims.Issuer != s.issuer || claims.Audience != s.issuer || now >= claims.Expires || claims.Issued > now+5 {
		return nil, errSeal
	}
	return &claims, nil
}

// binds reports whether the token was made for this asker, credential and action.
func (t *sealed) binds(asker *identity.Asker, a *action.Action) bool {
	if t.Subject != askerKey(asker) || t.Credential != asker.Credential || t.Digest == "" {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(t.Salt)
	if err != nil || len(raw) != len(action.Salt{}) {
		return false
	}
	digest, err := a.Digest(action.Salt(raw))
	return err == nil && digest.String() == t.Digest
}

// askerKey names who asks, without ambiguity: subject and chain.
func askerKey(a *identity.Asker) string {
	ids := []string{a.Subject.ID}
	for _, c := range a.Chain {
		ids = append(ids, c.ID)
	}
	b, err := action.Canonical(ids)
	if err != nil { // an id that isn't UTF-8: no two are ever equal
		return fmt.Sprintf("%q", ids)
	}
	return string(b)
}

// kid is the key's own hash, so that it needs no place to be kept.
func (s *sealer) kid(purpose string) string {
	sum := sha256.Sum256(s.keys[purpose].Public().(ed25519.PublicKey))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// publish adds the public keys to a JSON Web Key Set.
func (s *sealer) publish(set *jose.JSONWebKeySet) {
	for _, purpose := range []string{purposeBinding, purposeApproval} {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: s.keys[purpose].Public(), KeyID: s.kid(purpose), Algorithm: string(jose.EdDSA), Use: "sig",
		})
	}
}
