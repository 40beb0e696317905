// Package awskey makes AWS key pairs for agents out of their credentials, and checks
// them without a store: all that a pair says is sealed in its session token.
//
// It promises that nobody makes a pair, or reads whose it is, without the server's key; that
// the secret of a pair follows from its id under that key and is kept nowhere; and that a pair ends
// with the credential it was made for, and within an hour. Whether that credential still
// stands is for whoever opens a session with it to ask.
package awskey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Life is how long a pair is good for at most.
const Life = time.Hour

// Prefix begins the id of every pair: no key of AWS's begins so.
const Prefix = "ASNT"

// Errors of Check.
var (
	ErrBad     = errors.New("the key pair is not one of this server's")
	ErrExpired = errors.New("the key pair has expired")
)

// A Pair is a key pair with its session token.
type Pair struct {
	ID, Secret, Token string
	Expires           time.Time
}

// A Maker makes and checks pairs. It is safe for concurrent use.
type Maker struct {
	secrets []byte
	seal    cipher.AEAD
}

// New returns a maker under a server's key.
func New(key []byte) (*Maker, error) {
	if len(key) < 32 {
		return nil, errors.New("key pairs need a key of 32 bytes")
	}
	secrets, err := hkdf.Key(sha256.New, key, nil, "assent aws key pair secret/1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of key pairs: %w", err)
	}
	sealing, err := hkdf.Key(sha256.New, key, nil, "assent aws session token/1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of key pairs: %w", err)
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of key pairs: %w", err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of key pairs: %w", err)
	}
	return &Maker{secrets: secrets, seal: seal}, nil
}

// Make makes a pair for a credential that ends at ends; zero: it doesn't.
func (m *Maker) Make(credential string, ends, now time.Time) (Pair, error) {
	until := now.Add(Life)
	if !ends.IsZero() && ends.Before(until) {
		until = ends
	}
	until = until.Truncate(time.Second)
	if credential == "" || !now.Before(until) {
		return Pair{}, errors.New("making a key pair: the credential has ended")
	}
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails
	p := Pair{ID: Prefix + base32.StdEncoding.EncodeToString(random[:]), Expires: until}
	p.Secret = m.secret(p.ID, until, credential)
	nonce := make([]byte, m.seal.NonceSize(), 128)
	_, _ = rand.Read(nonce)
	text := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	p.Token = base64.RawURLEncoding.EncodeToString(m.seal.Seal(nonce, nonce, append(text, credential...), []byte(p.ID))) //nolint:gosec // random, as of two lines above
	return p, nil
}

func (m *Maker) secret(id string, until time.Time, credential string) string {
	mac := hmac.New(sha256.New, m.secrets)
	fmt.Fprintf(mac, "%s %d %s", id, until.Unix(), credential)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))[:40]
}

// Check returns whose a pair is, and its secret, by which a signature is verified.
func (m *Maker) Check(id, token string, now time.Time) (credential, secret string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if !strings.HasPrefix(id, Prefix) || err != nil || len(raw) < m.seal.NonceSize() {
		return "", "", ErrBad
	}
	text, err := m.seal.Open(nil, raw[:m.seal.NonceSize()], raw[m.seal.NonceSize():], []byte(id))
	if err != nil || len(text) <= 8 {
		return "", "", ErrBad
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(text)), 0)
	if !now.Before(until) {
		return "", "", ErrExpired
	}
	credential = string(text[8:])
	return credential, m.secret(id, until, credential), nil
}
