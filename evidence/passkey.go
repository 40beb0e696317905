package evidence

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The words of passkey records: what a person did with a key, and what bound
// a new key to its person.
const (
	PasskeyRegistered = "registered"
	PasskeyUsed       = "used"
	PasskeyRevoked    = "revoked"

	ByPasskey = "passkey" // an older key of the person's signed the new one
	BySignIn  = "sign-in" // a fresh sign-in whose OpenID nonce names the new key
	BySession = "session" // nothing but an open session: it counts a day later
	ByFirst   = "first"   // the same, on the deployment's first day, for a person's first key
)

// PasskeyWait is how long a new key waits before it counts, unless an older one signed it.
const PasskeyWait = 24 * time.Hour

// A Review is what a person's passkey signs when it answers an approval.
type Review struct {
	Approval string
	Digest   string // of the action, "sha256:" and 64 hexadecimal digits
	Person   string
	Decision string // "approve" or "deny"
	Reason   string
	Version  int64  // of the approval as it was shown
	Scope    string // obligations and bounds, as the record has them
	Card     string // "sha256:" of the card as it was shown
	Nonce    string // 32 random bytes in unpadded base64url, used once
}

// Challenge is what the authenticator signs: SHA-256 over all of it.
func (r *Review) Challenge() [32]byte {
	return challengeOf("assent-review/1", r.Approval, r.Digest, r.Person, r.Decision, r.Reason,
		strconv.FormatInt(r.Version, 10), r.Scope, r.Card, r.Nonce)
}

// A Registration binds a new key to a person.
type Registration struct {
	Person     string
	Credential []byte
	Key        []byte // DER SubjectPublicKeyInfo
	RPID       string
	Nonce      string // 32 random bytes in unpadded base64url
}

// Challenge is what an older key signs to vouch for the new one, and, in
// unpadded base64url, the nonce of a sign-in that does.
func (r *Registration) Challenge() [32]byte {
	return challengeOf("assent-passkey/1", r.Person, string(r.Credential), string(r.Key), r.RPID, r.Nonce)
}

// SignInNonce is the OpenID nonce that names the new key.
func (r *Registration) SignInNonce() string {
	c := r.Challenge()
	return base64.RawURLEncoding.EncodeToString(c[:])
}

// AssertionDetail writes an assertion into the details of a record.
func (a *Assertion) AssertionDetail(detail map[string]string) {
	for name, part := range map[string][]byte{
		"credential": a.Credential, "authenticator_data": a.AuthData, "client_data": a.ClientData, "signature": a.Signature,
	} {
		detail[name] = base64.RawURLEncoding.EncodeToString(part)
	}
}

// AssertionOf reads an assertion from the details of a record. It verifies nothing.
func AssertionOf(detail map[string]string) (*Assertion, error) {
	a := &Assertion{}
	for name, part := range map[string]*[]byte{
		"credential": &a.Credential, "authenticator_data": &a.AuthData, "client_data": &a.ClientData, "signature": &a.Signature,
	} {
		b, err := decode64(detail[name])
		if err != nil || len(b) == 0 {
			return nil, fmt.Errorf("reading an assertion: no readable %s", name)
		}
		*part = b
	}
	return a, nil
}

// decode64 takes one spelling of each value only.
func decode64(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != s {
		return nil, errors.New("not unpadded base64url")
	}
	return b, nil
}

// nonceOf errs unless s is 32 bytes in base64url.
func nonceOf(s string) error {
	if b, err := decode64(s); err != nil || len(b) != 32 {
		return errors.New("its nonce isn't 32 bytes")
	}
	return nil
}

// CardHash is how the hash of a card is written.
func CardHash(card []byte) string {
	sum := sha256.Sum256(card)
	return "sha256:" + hex.EncodeToString(sum[:])
}
