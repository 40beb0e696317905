// Package passkeytest is an authenticator in software, for tests: it registers
// keys and signs challenges as a browser with a security key does, and as an
// attacker would like to.
package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/assenthq/assent/evidence"
)

// An Authenticator holds one key. Its fields may be changed between answers.
type Authenticator struct {
	RPID, Origin string
	Credential   []byte
	UserHandle   []byte
	Signer       crypto.Signer
	Count        uint32 // told with the next answer, then moved by Step
	Step         uint32 // 0: it keeps no counter
	Flags        byte   // present and verified, unless changed
	CrossOrigin  bool
	Type         string // "": as the ceremony has it
}

// New makes an ES256 authenticator for the console at origin.
func New(rpID, origin string) *Authenticator {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return with(key, err, rpID, origin)
}

// NewEd25519 makes one that signs with Ed25519.
func NewEd25519(rpID, origin string) *Authenticator {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return with(key, err, rpID, origin)
}

// NewRSA makes one that signs with RS256.
func NewRSA(rpID, origin string) *Authenticator {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return with(key, err, rpID, origin)
}

func with(key crypto.Signer, err error, rpID, origin string) *Authenticator {
	if err != nil {
		panic(err) // no randomness: no test
	}
	a := &Authenticator{RPID: rpID, Origin: origin, Signer: key, Flags: 0x05, Credential: make([]byte, 16)}
	_, _ = rand.Read(a.Credential)
	return a
}

// PKIX is the public key as records hold it.
func (a *Authenticator) PKIX() []byte {
	b, err := x509.MarshalPKIXPublicKey(a.Signer.Public())
	if err != nil {
		panic(err)
	}
	return b
}

func (a *Authenticator) clientData(kind string, challenge []byte) []byte {
	if a.Type != "" {
		kind = a.Type
	}
	b, err := json.Marshal(map[string]any{
		"type": kind, "challenge": base64.RawURLEncoding.EncodeToString(challenge), "origin": a.Origin, "crossOrigin": a.CrossOrigin,
	})
	if err != nil {
		panic(err)
	}
	return b
}

func (a *Authenticator) authData(extra byte) []byte {
	sum := sha256.Sum256([]byte(a.RPID))
	b := append(sum[:], a.Flags|extra)
	b = binary.BigEndian.AppendUint32(b, a.Count)
	a.Count += a.Step
	return b
}

// Sign answers a challenge.
func (a *Authenticator) Sign(challenge []byte) *evidence.Assertion {
	out := &evidence.Assertion{Credential: a.Credential, AuthData: a.authData(0), ClientData: a.clientData("webauthn.get", challenge)}
	sum := sha256.Sum256(out.ClientData)
	data := append(append([]byte{}, out.AuthData...), sum[:]...)
	var err error
	if key, ok := a.Signer.(ed25519.PrivateKey); ok {
		out.Signature = ed25519.Sign(key, data)
	} else {
		digest := sha256.Sum256(data)
		out.Signature, err = a.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
	if err != nil {
		panic(err)
	}
	return out
}

// Answer is Sign as a browser's PublicKeyCredential.toJSON writes it.
func (a *Authenticator) Answer(challenge []byte) []byte {
	return AnswerJSON(a.Sign(challenge), a.UserHandle)
}

// AnswerJSON writes an assertion as a browser does.
func AnswerJSON(s *evidence.Assertion, userHandle []byte) []byte {
	e := base64.RawURLEncoding.EncodeToString
	response := map[string]any{"authenticatorData": e(s.AuthData), "clientDataJSON": e(s.ClientData), "signature": e(s.Signature)}
	if len(userHandle) > 0 {
		response["userHandle"] = e(userHandle)
	}
	return credential(s.Credential, response)
}

// Create answers a registration with "none" attestation, as a browser writes it.
func (a *Authenticator) Create(challenge []byte) []byte {
	e := base64.RawURLEncoding.EncodeToString
	data := a.authData(0x40)
	data = append(data, make([]byte, 16)...) // AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.Credential)))
	data = append(append(data, a.Credential...), a.cose()...)
	object := []byte{0xa3}
	object = append(append(object, text("fmt")...), text("none")...)
	object = append(append(object, text("attStmt")...), 0xa0)
	object = append(append(object, text("authData")...), bytestring(data)...)
	return credential(a.Credential, map[string]any{
		"attestationObject": e(object), "clientDataJSON": e(a.clientData("webauthn.create", challenge)), "transports": []string{"internal"},
	})
}

func credential(id []byte, response map[string]any) []byte {
	e := base64.RawURLEncoding.EncodeToString
	b, err := json.Marshal(map[string]any{
		"id": e(id), "rawId": e(id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
	})
	if err != nil {
		panic(err)
	}
	return b
}

// cose is the public key as RFC 9053 writes it, in canonical CBOR.
func (a *Authenticator) cose() []byte {
	switch k := a.Signer.Public().(type) {
	case *ecdsa.PublicKey:
		raw, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		b := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21}
		b = append(b, bytestring(raw[1:33])...)
		return append(append(b, 0x22), bytestring(raw[33:])...)
	case ed25519.PublicKey:
		return append([]byte{0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21}, bytestring(k)...)
	case *rsa.PublicKey:
		b := append([]byte{0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20}, bytestring(k.N.Bytes())...)
		return append(append(b, 0x21), bytestring([]byte{1, 0, 1})...)
	}
	panic(fmt.Sprintf("no COSE form of %T", a.Signer))
}

func text(s string) []byte { return append([]byte{0x60 | byte(len(s))}, s...) }

func bytestring(b []byte) []byte {
	switch n := len(b); {
	case n < 24:
		return append([]byte{0x40 | byte(n)}, b...)
	case n < 256:
		return append([]byte{0x58, byte(n)}, b...)
	default:
		return append([]byte{0x59, byte(n >> 8), byte(n)}, b...)
	}
}
