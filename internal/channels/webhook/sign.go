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

// sign names the message, and signs it with every key: while a secret is
// replaced, receivers with the old one or the new one both accept it.
func (c *Channel) sign(req *http.Request, id string, body []byte) {
	at := strconv.FormatInt(c.o.Clock().Unix(), 10)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	content := append([]byte(id+"."+at+"."), body...)
	var all []string
	for _, k := range c.keys {
		all = append(all, k(content))
	}
	if len(all) > 0 {
		req.Header.Set("Webhook-Signature", strings.Join(all, " "))
	}
}
