package oidc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// A Box seals what must be kept where others can read it: a flow in a cookie,
// a refresh token in the database. What was sealed for one purpose and owner
// opens for no other.
type Box struct{ aead cipher.AEAD }

var errBox = errors.New("what was sealed does not open: it was changed, or sealed under another key")

// NewBox derives its key (HKDF-SHA256) from a secret of 32 bytes or more.
func NewBox(secret []byte) (*Box, error) {
	if len(secret) < 32 {
		return nil, errors.New("a box needs a secret of 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "assent-oidc-box/1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the box's key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making the box: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("making the box: %w", err)
	}
	return &Box{aead}, nil
}

// Seal writes v so that only Open with the same purpose reads it (AES-256-GCM, random nonce).
func (b *Box) Seal(purpose string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("sealing: %w", err)
	}
	nonce := make([]byte, b.aead.NonceSize())
	_, _ = rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(b.aead.Seal(nonce, nonce, text, []byte(purpose))), nil
}

// Open reads what Seal wrote.
func (b *Box) Open(purpose, text string, v any) error {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	n := b.aead.NonceSize()
	if err != nil || len(raw) < n {
		return errBox
	}
	plain, err := b.aead.Open(nil, raw[:n], raw[n:], []byte(purpose))
	if err != nil {
		return errBox
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return errBox
	}
	return nil
}
