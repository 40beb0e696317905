// Package passport tells an upstream who asks: a signed token in a header, with
// the person and the actors between them and the request.
//
// It promises that a token says what was checked for this very request, lives no
// longer than a minute, is for one audience, and can't be taken for a grant or any
// other token of ours: its type, its algorithm and its keys are its own. Keys
// change each week; the one to come and the one before are published beside the
// one that signs, so that nobody who keeps the key set for a day meets an unknown
// one. It can't see whether an upstream verifies what it gets.
package passport

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What a token is known by.
const (
	Header = "X-Assent-Identity"   // the request header that holds it
	Type   = "assent-identity+jwt" // its typ (RFC 8725 section 3.11)
	Life   = time.Minute           // from iat to exp

	period = 7 * 24 * time.Hour // one key signs for that long
	early  = 5 * time.Second    // how far an upstream's clock may be behind: nbf
)

// Claims are what a token says. The issuer is the deployment's public URL.
type Claims struct {
	Audience string
	Subject  string   // the person it is for; the actor itself, where it works for nobody
	Actors   []string // who acts for the subject, the acting one first (RFC 8693 section 4.1)
	Groups   []string // of the subject, where the route hands them on
}

// An Actor is one link of the claim act.
type Actor struct {
	Subject string `json:"sub"`
	Actor   *Actor `json:"act,omitempty"`
}

type token struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Subject  string   `json:"sub"`
	Actor    *Actor   `json:"act,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Issued   int64    `json:"iat"`
	Earliest int64    `json:"nbf"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
}

// A Signer signs tokens. It is safe for concurrent use.
type Signer struct {
	seed   []byte
	issuer string
	clock  func() time.Time

	mu   sync.Mutex // owns what follows
	at   int64      // the period of sign and jwks
	sign jose.Signer
	jwks []byte
}

// New derives the keys of all periods from seed, a secret of at least 32 bytes
// that all nodes of a deployment share: they sign and publish the same ones.
func New(seed []byte, issuer string, clock func() time.Time) (*Signer, error) {
	if len(seed) < 32 || issuer == "" {
		return nil, errors.New("signing identities needs a seed of 32 bytes and an issuer")
	}
	if clock == nil {
		clock = time.Now
	}
	s := &Signer{seed: seed, issuer: issuer, clock: clock, at: -1}
	_, _, err := s.now()
	return s, err
}

// Sign makes the token of one request.
func (s *Signer) Sign(c Claims) (string, error) {
	if c.Audience == "" || c.Subject == "" {
		return "", errors.New("signing an identity: it names no audience or subject")
	}
	now := s.clock()
	t := token{
		Issuer: s.issuer, Audience: c.Audience, Subject: c.Subject, Groups: c.Groups, ID: rand.Text(),
		Issued: now.Unix(), Earliest: now.Add(-early).Unix(), Expires: now.Add(Life).Unix(),
	}
	for i := len(c.Actors) - 1; i >= 0; i-- {
		t.Actor = &Actor{Subject: c.Actors[i], Actor: t.Actor}
	}
	payload, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("signing an identity: %w", err)
	}
	sign, _, err := s.now()
	if err != nil {
		return "", err
	}
	jws, err := sign.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing an identity: %w", err)
	}
	return jws.CompactSerialize()
}

// JWKS is the public key set (RFC 7517): of the period before, of this one and of the next.
func (s *Signer) JWKS() []byte {
	_, jwks, err := s.now()
	if err != nil {
		return []byte(`{"keys":[]}`)
	}
	return bytes.Clone(jwks)
}

// now is the signer and the key set of this period.
func (s *Signer) now() (jose.Signer, []byte, error) {
	at := s.clock().Unix() / int64(period/time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == at {
		return s.sign, s.jwks, nil
	}
	var set jose.JSONWebKeySet
	var own jose.JSONWebKey
	for n := at - 1; n <= at+1; n++ {
		k, err := s.key(n)
		if err != nil {
			return nil, nil, fmt.Errorf("making a key of identities: %w", err)
		}
		if n == at {
			own = k
		}
		set.Keys = append(set.Keys, k.Public())
	}
	sign, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: own}, (&jose.SignerOptions{}).WithType(Type))
	if err != nil {
		return nil, nil, fmt.Errorf("making a signer of identities: %w", err)
	}
	jwks, err := json.Marshal(set)
	if err != nil {
		return nil, nil, fmt.Errorf("writing JWKS: %w", err)
	}
	s.at, s.sign, s.jwks = at, sign, jwks
	return sign, jwks, nil
}

// key is that of period n: the first scalar of its sequence that is one of P-256's.
func (s *Signer) key(n int64) (jose.JSONWebKey, error) {
	for try := 0; ; try++ {
		raw, err := hkdf.Key(sha256.New, s.seed, nil, "assent-identity-key/1 "+strconv.FormatInt(n, 10)+" "+strconv.Itoa(try), 32)
		if err != nil {
			return jose.JSONWebKey{}, err
		}
		priv, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
		if err != nil && try < 16 { // one in 2³² is past the group's order
			continue
		}
		if err != nil {
			return jose.JSONWebKey{}, err
		}
		sum, err := (&jose.JSONWebKey{Key: priv.Public()}).Thumbprint(crypto.SHA256)
		return jose.JSONWebKey{Key: priv, KeyID: base64.RawURLEncoding.EncodeToString(sum), Algorithm: string(jose.ES256), Use: "sig"}, err
	}
}
