package evidence

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxPart bounds each part of an assertion before anything is parsed.
const maxPart = 4 << 10

// An Assertion is one signature by a passkey: what the authenticator answered
// to one challenge (WebAuthn Level 3, section 5.2.2), byte for byte.
type Assertion struct {
	Credential []byte // the credential's id
	AuthData   []byte // authenticatorData
	ClientData []byte // clientDataJSON
	Signature  []byte
}

// A Site is where a passkey may be used.
type Site struct {
	RPID   string // the relying party's id: the host name of the console
	Origin string // exactly this one; "": https, or http on localhost, with RPID as its host
}

// An Answer is what a verified assertion says beside "this key signed this".
type Answer struct {
	Count    uint32 // the authenticator's signature counter; 0: it keeps none
	BackedUp bool   // the key is synchronised between devices
	Origin   string
}

// Flags of authenticator data (WebAuthn section 6.1).
const (
	flagPresent  = 0x01
	flagVerified = 0x04
	flagEligible = 0x08 // for backup
	flagBackedUp = 0x10
	flagAttested = 0x40
	flagExtended = 0x80
)

// VerifyAssertion checks that the holder of key (a DER SubjectPublicKeyInfo)
// signed exactly this challenge at this site, present and verified as a user
// (a PIN or a biometric), from a page that nobody framed. Sign counters and
// whose key it is are the caller's to compare.
func VerifyAssertion(a *Assertion, key []byte, challenge [32]byte, site Site) (*Answer, error) {
	if a == nil {
		return nil, errors.New("verifying assertion: there is none")
	}
	answer, err := a.verify(key, challenge, site)
	if err != nil {
		return nil, fmt.Errorf("verifying assertion: %w", err)
	}
	return answer, nil
}

func (a *Assertion) verify(key []byte, challenge [32]byte, site Site) (*Answer, error) {
	for _, part := range [][]byte{a.Credential, a.AuthData, a.ClientData, a.Signature} {
		if len(part) == 0 || len(part) > maxPart {
			return nil, errors.New("a part of it is missing or too long")
		}
	}
	origin, err := clientData(a.ClientData, challenge, site)
	if err != nil {
		return nil, err
	}
	answer, err := authData(a.AuthData, site.RPID)
	if err != nil {
		return nil, err
	}
	answer.Origin = origin
	pub, err := parsePasskey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(a.ClientData)
	if !signed(pub, append(bytes.Clone(a.AuthData), sum[:]...), a.Signature) {
		return nil, errors.New("the signature isn't by that key")
	}
	return answer, nil
}

// clientData checks what the browser says was signed, where and for whom
// (WebAuthn section 5.8.1). Its members are unique: of two "challenge"s one
// reader takes the first, another the last.
func clientData(b []byte, challenge [32]byte, site Site) (origin string, err error) {
	members, err := uniqueMembers(b)
	if err != nil {
		return "", fmt.Errorf("client data: %w", err)
	}
	text := func(name string) string {
		var s string
		if raw, ok := members[name]; !ok || json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	}
	origin = text("origin")
	want := base64.RawURLEncoding.EncodeToString(challenge[:])
	cross, crossed := members["crossOrigin"]
	_, topped := members["topOrigin"]
	switch {
	case text("type") != "webauthn.get":
		return "", errors.New("client data: it isn't an assertion")
	case subtle.ConstantTimeCompare([]byte(text("challenge")), []byte(want)) != 1:
		return "", errors.New("client data: it answers another challenge")
	case crossed && string(cross) != "false" || topped:
		return "", errors.New("client data: it was made in a frame of another site")
	case !site.covers(origin):
		return "", fmt.Errorf("client data: it was made at %q", origin)
	}
	return origin, nil
}

func (s Site) covers(origin string) bool {
	if s.RPID == "" {
		return false
	}
	if s.Origin != "" {
		return origin == s.Origin
	}
	u, err := url.Parse(origin)
	return err == nil && u.Scheme+"://"+u.Host == origin && u.Hostname() == s.RPID &&
		(u.Scheme == "https" || u.Scheme == "http" && s.RPID == "localhost")
}

// uniqueMembers reads one JSON object, each of whose names stands once.
func uniqueMembers(b []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it isn't UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it isn't a JSON object")
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, errors.New("it isn't JSON")
		}
		name, _ := t.(string)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("it isn't JSON")
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("%q stands in it twice", name)
		}
		out[name] = value
	}
	if _, err := d.Token(); err != nil || d.InputOffset() != int64(len(b)) {
		return nil, errors.New("it isn't one JSON object and nothing else")
	}
	return out, nil
}

// authData reads an authenticator's own words (WebAuthn section 6.1).
func authData(b []byte, rpID string) (*Answer, error) {
	if len(b) < 37 {
		return nil, errors.New("authenticator data is too short")
	}
	hash, flags := sha256.Sum256([]byte(rpID)), b[32]
	switch {
	case rpID == "" || subtle.ConstantTimeCompare(b[:32], hash[:]) != 1:
		return nil, fmt.Errorf("it is for another relying party than %q", rpID)
	case flags&flagPresent == 0:
		return nil, errors.New("nobody touched the authenticator")
	case flags&flagVerified == 0:
		return nil, errors.New("the authenticator didn't verify its user (no PIN, no biometric)")
	case flags&flagBackedUp != 0 && flags&flagEligible == 0:
		return nil, errors.New("authenticator data contradicts itself about backups")
	case flags&(flagAttested|flagExtended) == 0 && len(b) != 37:
		return nil, errors.New("something follows the authenticator data")
	}
	return &Answer{Count: binary.BigEndian.Uint32(b[33:37]), BackedUp: flags&flagBackedUp != 0}, nil
}

// CheckPasskey errs unless key, a DER SubjectPublicKeyInfo, is one that
// VerifyAssertion takes: ES256 on P-256, EdDSA on Ed25519, or RS256 of 2048 to 4096 bits.
func CheckPasskey(key []byte) error {
	_, err := parsePasskey(key)
	return err
}

func parsePasskey(key []byte) (crypto.PublicKey, error) {
	if len(key) > maxPart {
		return nil, errors.New("the key is too long")
	}
	pub, err := x509.ParsePKIXPublicKey(key)
	if err != nil {
		return nil, errors.New("the key isn't a public key in PKIX form")
	}
	if again, err := x509.MarshalPKIXPublicKey(pub); err != nil || !bytes.Equal(again, key) {
		return nil, errors.New("the key isn't written the one way")
	}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return k, nil
		}
	case ed25519.PublicKey:
		return k, nil
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n >= 2048 && n <= 4096 && k.E >= 3 {
			return k, nil
		}
	}
	return nil, errors.New("the key is of no kind that is taken here")
}

func signed(pub crypto.PublicKey, data, sig []byte) bool {
	sum := sha256.Sum256(data)
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, sum[:], sig)
	case ed25519.PublicKey:
		return ed25519.Verify(k, data, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], sig) == nil
	}
	return false
}

// challengeOf hashes parts so that no two lists of them give one hash.
func challengeOf(version string, parts ...string) [32]byte {
	var b []byte
	for _, p := range append([]string{version}, parts...) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return sha256.Sum256(b)
}

// PasskeyID is the id under which a credential is registered: an authenticator's
// credential has one, and so it can be registered once.
func PasskeyID(credential []byte) string {
	const crockford = "0123456789abcdefghjkmnpqrstvwxyz"
	sum := sha256.Sum256(credential)
	var b strings.Builder
	b.WriteString("psk_")
	for _, c := range sum[:16] {
		b.WriteByte(crockford[c&31])
	}
	return b.String()
}
