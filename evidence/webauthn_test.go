package evidence_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
)

const (
	rpID   = "assent.example"
	site   = "https://assent.example"
	nonce1 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
)

var here = evidence.Site{RPID: rpID, Origin: site}

func TestAssertionsOfEachAlgorithmVerify(t *testing.T) {
	challenge := (&evidence.Review{Approval: "apr_1", Nonce: nonce1}).Challenge()
	for name, a := range map[string]*passkeytest.Authenticator{
		"ES256": passkeytest.New(rpID, site), "EdDSA": passkeytest.NewEd25519(rpID, site), "RS256": passkeytest.NewRSA(rpID, site),
	} {
		a.Count, a.Step = 41, 1
		got, err := evidence.VerifyAssertion(a.Sign(challenge[:]), a.PKIX(), challenge, here)
		if err != nil || got.Count != 41 || got.Origin != site || got.BackedUp {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, err := evidence.VerifyAssertion(a.Sign(challenge[:]), a.PKIX(), challenge, evidence.Site{RPID: rpID}); err != nil {
			t.Errorf("%s, by its host alone: %v", name, err)
		}
	}
}

func TestForgedAssertionsAreRefused(t *testing.T) {
	challenge := (&evidence.Review{Approval: "apr_1", Decision: "approve", Nonce: nonce1}).Challenge()
	denial := (&evidence.Review{Approval: "apr_1", Decision: "deny", Nonce: nonce1}).Challenge()
	other := passkeytest.New(rpID, site)
	for name, c := range map[string]struct {
		why    string
		change func(*passkeytest.Authenticator)
		signed [32]byte
		after  func(*evidence.Assertion)
	}{
		"another challenge":      {why: "another challenge", signed: denial},
		"no user verification":   {why: "verify its user", change: func(a *passkeytest.Authenticator) { a.Flags = 0x01 }},
		"nobody there":           {why: "nobody touched", change: func(a *passkeytest.Authenticator) { a.Flags = 0x04 }},
		"backed up, not allowed": {why: "backups", change: func(a *passkeytest.Authenticator) { a.Flags = 0x15 }},
		"another relying party":  {why: "another relying party", change: func(a *passkeytest.Authenticator) { a.RPID = "evil.example" }},
		"another origin":         {why: "it was made at", change: func(a *passkeytest.Authenticator) { a.Origin = "https://evil.assent.example" }},
		"plain http":             {why: "it was made at", change: func(a *passkeytest.Authenticator) { a.Origin = "http://assent.example" }},
		"a path behind":          {why: "it was made at", change: func(a *passkeytest.Authenticator) { a.Origin = site + "/x" }},
		"another port":           {why: "it was made at", change: func(a *passkeytest.Authenticator) { a.Origin = site + ":8443" }},
		"a name before":          {why: "it was made at", change: func(a *passkeytest.Authenticator) { a.Origin = "https://assent.example@evil.example" }},
		"a frame":                {why: "frame", change: func(a *passkeytest.Authenticator) { a.CrossOrigin = true }},
		"a registration":         {why: "isn't an assertion", change: func(a *passkeytest.Authenticator) { a.Type = "webauthn.create" }},
		"another key":            {why: "isn't by that key", change: func(a *passkeytest.Authenticator) { a.Signer = other.Signer }},
		"no signature":           {why: "missing", after: func(a *evidence.Assertion) { a.Signature = nil }},
		"data behind":            {why: "follows", after: func(a *evidence.Assertion) { a.AuthData = append(a.AuthData, 0) }},
		"cut data":               {why: "too short", after: func(a *evidence.Assertion) { a.AuthData = a.AuthData[:36] }},
		"long client data":       {why: "too long", after: func(a *evidence.Assertion) { a.ClientData = bytes.Repeat([]byte(" "), 5000) }},
		"two challenges": {why: "twice", after: func(a *evidence.Assertion) {
			a.ClientData = bytes.Replace(a.ClientData, []byte("{"), []byte(`{"challenge":"x",`), 1)
		}},
		"something behind": {why: "nothing else", after: func(a *evidence.Assertion) { a.ClientData = append(a.ClientData, "{}"...) }},
		"top origin": {why: "frame", after: func(a *evidence.Assertion) {
			a.ClientData = bytes.Replace(a.ClientData, []byte("{"), []byte(`{"topOrigin":"https://evil.example",`), 1)
		}},
	} {
		a := passkeytest.New(rpID, site)
		key := a.PKIX()
		if c.change != nil {
			c.change(a)
		}
		if c.signed == [32]byte{} {
			c.signed = challenge
		}
		s := a.Sign(c.signed[:])
		if c.after != nil {
			c.after(s)
		}
		sites := []evidence.Site{here}
		if name != "another port" {
			sites = append(sites, evidence.Site{RPID: rpID})
		}
		for _, at := range sites {
			if _, err := evidence.VerifyAssertion(s, key, challenge, at); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%s at %+v: %v", name, at, err)
			}
		}
	}
	a := passkeytest.New(rpID, site)
	if _, err := evidence.VerifyAssertion(nil, a.PKIX(), challenge, here); err == nil {
		t.Error("none at all passes")
	}
	if _, err := evidence.VerifyAssertion(a.Sign(challenge[:]), a.PKIX(), challenge, evidence.Site{}); err == nil {
		t.Error("it passes at no site")
	}
}

func TestAssertionChangedAtEveryBit(t *testing.T) {
	challenge := (&evidence.Review{Approval: "apr_1", Nonce: nonce1}).Challenge()
	a := passkeytest.NewEd25519(rpID, site)
	good := a.Sign(challenge[:])
	for _, part := range []*[]byte{&good.AuthData, &good.ClientData, &good.Signature} {
		for i := range *part {
			for bit := range 8 {
				(*part)[i] ^= 1 << bit
				if _, err := evidence.VerifyAssertion(good, a.PKIX(), challenge, here); err == nil {
					t.Errorf("bit %d of byte %d changed: it passes", bit, i)
				}
				(*part)[i] ^= 1 << bit
			}
		}
	}
	if _, err := evidence.VerifyAssertion(good, a.PKIX(), challenge, here); err != nil {
		t.Fatal(err)
	}
}

func TestKeysThatAreNotTaken(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, pub := range map[string]any{"P-384": &p384.PublicKey, "RSA of 1024 bits": &small.PublicKey} {
		b, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		if evidence.CheckPasskey(b) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	good := passkeytest.New(rpID, site).PKIX()
	if evidence.CheckPasskey(append(good, 0)) == nil || evidence.CheckPasskey(nil) == nil || evidence.CheckPasskey(make([]byte, 5000)) == nil {
		t.Error("bytes that are no key are taken")
	}
}

// TestEveryFieldIsSigned changes each field of what is signed, and moves a byte over each border.
func TestEveryFieldIsSigned(t *testing.T) {
	v := evidence.Review{"apr_1", "sha256:00", "person:mira", "approve", "because", 3, "{}", "sha256:11", nonce1}
	was := v.Challenge()
	for name, w := range map[string]evidence.Review{
		"approval": {"apr_2", "sha256:00", "person:mira", "approve", "because", 3, "{}", "sha256:11", nonce1},
		"digest":   {"apr_1", "sha256:01", "person:mira", "approve", "because", 3, "{}", "sha256:11", nonce1},
		"person":   {"apr_1", "sha256:00", "person:sam", "approve", "because", 3, "{}", "sha256:11", nonce1},
		"decision": {"apr_1", "sha256:00", "person:mira", "deny", "because", 3, "{}", "sha256:11", nonce1},
		"reason":   {"apr_1", "sha256:00", "person:mira", "approve", "becaus", 3, "{}", "sha256:11", nonce1},
		"version":  {"apr_1", "sha256:00", "person:mira", "approve", "because", 4, "{}", "sha256:11", nonce1},
		"scope":    {"apr_1", "sha256:00", "person:mira", "approve", "because", 3, "{ }", "sha256:11", nonce1},
		"card":     {"apr_1", "sha256:00", "person:mira", "approve", "because", 3, "{}", "sha256:12", nonce1},
		"nonce":    {"apr_1", "sha256:00", "person:mira", "approve", "because", 3, "{}", "sha256:11", nonce1[1:]},
		"a border": {"apr_1s", "ha256:00", "person:mira", "approve", "because", 3, "{}", "sha256:11", nonce1},
	} {
		if w.Challenge() == was {
			t.Errorf("%s isn't signed", name)
		}
	}
	r := evidence.Registration{"person:mira", []byte("cred"), []byte("key"), rpID, nonce1}
	first := r.Challenge()
	for name, o := range map[string]evidence.Registration{
		"person": {"person:sam", []byte("cred"), []byte("key"), rpID, nonce1}, "credential": {"person:mira", []byte("cre"), []byte("dkey"), rpID, nonce1},
		"key": {"person:mira", []byte("cred"), []byte("kez"), rpID, nonce1}, "relying party": {"person:mira", []byte("cred"), []byte("key"), "x", nonce1},
		"nonce": {"person:mira", []byte("cred"), []byte("key"), rpID, ""},
	} {
		if o.Challenge() == first {
			t.Errorf("%s of a registration isn't signed", name)
		}
	}
}

func FuzzAssertion(f *testing.F) {
	challenge := (&evidence.Review{Approval: "apr_1", Nonce: nonce1}).Challenge()
	a := passkeytest.NewEd25519(rpID, site)
	good := a.Sign(challenge[:])
	key := a.PKIX()
	f.Add(good.AuthData, good.ClientData, good.Signature, key)
	f.Add([]byte{}, []byte(`{"type":"webauthn.get","crossOrigin":true}`), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, data, client, sig, pub []byte) {
		s := &evidence.Assertion{Credential: good.Credential, AuthData: data, ClientData: client, Signature: sig}
		if _, err := evidence.VerifyAssertion(s, key, challenge, here); err == nil && !(bytes.Equal(data, good.AuthData) && bytes.Equal(client, good.ClientData) && bytes.Equal(sig, good.Signature)) {
			t.Fatal("a signature that the key never made passes")
		}
		_, _ = evidence.VerifyAssertion(s, pub, challenge, here) // whatever key: it ends, and in order
	})
}
