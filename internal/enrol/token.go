package enrol

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// A Token is what a part enrols with: which entry it is for, a secret, and the
// SHA-256 of the authority's certificate, so that the first connection is
// authenticated already.
type Token struct {
	id     string
	secret [32]byte
	Pin    [32]byte // SHA-256 of the authority's certificate (DER)
}

// TokenPrefix is how each token begins, so that scanners find leaked ones.
const TokenPrefix = "assent_enrol_"

const idBytes = 12

func newToken(authority *x509.Certificate) *Token {
	t := &Token{Pin: sha256.Sum256(authority.Raw)}
	id := make([]byte, idBytes)
	_, _ = rand.Read(id) // never fails (Go 1.24)
	_, _ = rand.Read(t.secret[:])
	t.id = "enr_" + hex.EncodeToString(id)
	return t
}

// ID names the entry the token is for; a certificate has it as serialNumber of its subject.
func (t *Token) ID() string { return t.id }

func (t *Token) String() string {
	id, _ := hex.DecodeString(strings.TrimPrefix(t.id, "enr_")) // ours
	return TokenPrefix + base64.RawURLEncoding.EncodeToString(append(append(id, t.secret[:]...), t.Pin[:]...))
}

func (t *Token) hash() []byte {
	sum := sha256.Sum256(t.secret[:])
	return sum[:]
}

// ParseToken reads a token. The error holds none of it.
func ParseToken(text string) (*Token, error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(text), TokenPrefix)
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if !ok || err != nil || len(body) != base64.RawURLEncoding.EncodedLen(idBytes+64) { // the length of the text: line breaks in it are skipped
		return nil, fmt.Errorf("%w: it is not what assent printed (%s and %d characters)", ErrToken, TokenPrefix, base64.RawURLEncoding.EncodedLen(idBytes+64))
	}
	t := &Token{id: "enr_" + hex.EncodeToString(b[:idBytes])}
	copy(t.secret[:], b[idBytes:])
	copy(t.Pin[:], b[idBytes+32:])
	return t, nil
}
