package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A signer signs "id.timestamp.body", as Standard Webhooks has it.
type signer func(content []byte) string

// newSigner takes a shared secret (whsec_, at least 24 bytes) or an Ed25519
// private key (whsk_, the seed or seed and public half).
func newSigner(text []byte) (signer, error) {
	s := strings.TrimSpace(string(text))
	if rest, ok := strings.CutPrefix(s, "whsk_"); ok {
		b, err := base64.StdEncoding.DecodeString(rest)
		if err != nil || len(b) != ed25519.SeedSize && len(b) != ed25519.PrivateKeySize {
			return nil, errors.New("a secret that begins with whsk_ is base64 of an Ed25519 private key")
		}
		key := ed25519.NewKeyFromSeed(b[:ed25519.SeedSize])
		return func(c []byte) string { return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(key, c)) }, nil
	}
	rest, ok := strings.CutPrefix(s, "whsec_")
	key, err := base64.StdEncoding.DecodeString(rest)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New(`a secret is "whsec_" and base64 of 24 to 64 random bytes: echo whsec_$(openssl rand -base64 32)`)
	}
	return func(c []byte) string {
		m := hmac.New(sha256.New, key)
		m.Write(c)
		return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
	}, nil
}

// Signers sign a request to a receiver, each with one of its secrets.
type Signers []signer

// NewSigners takes secrets as Standard Webhooks writes them: whsec_ or whsk_ and base64.
func NewSigners(secrets [][]byte) (Signers, error) {
	var out Signers
	for _, s := range secrets {
		k, err := newSigner(s)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// Sign names the message, and signs it with every key: while a secret is
// replaced, receivers with the old one or the new one both accept it.
func (keys Signers) Sign(head http.Header, id string, now time.Time, body []byte) {
	at := strconv.FormatInt(now.Unix(), 10)
	head.Set("Webhook-Id", id)
	head.Set("Webhook-Timestamp", at)
	content := append([]byte(id+"."+at+"."), body...)
	var all []string
	for _, k := range keys {
		all = append(all, k(content))
	}
	if len(all) > 0 {
		head.Set("Webhook-Signature", strings.Join(all, " "))
	}
}
