package api

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/identity"
)

func testSealer(t *testing.T, now *time.Time) *sealer {
	s, err := newSealer(bytes.Repeat([]byte{1}, 32), "https://a.example", func() time.Time { return *now })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedTokensOpenForTheirPurposeOnly(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	s := testSealer(t, &now)
	token, err := s.seal(purposeBinding, sealed{Subject: "x", Expires: now.Add(time.Minute).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.open(purposeBinding, token); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	other, _ := newSealer(bytes.Repeat([]byte{2}, 32), "https://a.example", s.now)
	elsewhere, _ := newSealer(bytes.Repeat([]byte{1}, 32), "https://b.example", s.now)
	foreign, _ := other.seal(purposeBinding, sealed{Subject: "x", Expires: now.Add(time.Minute).Unix()})
	moved, _ := elsewhere.seal(purposeBinding, sealed{Subject: "x", Expires: now.Add(time.Minute).Unix()})
	crossed := forge(t, s.keys[purposeApproval], purposeBinding, s.kid(purposeBinding), nil)
	bad := map[string]string{
		"another key": foreign, "another server": moved, "no signature": parts[0] + "." + parts[1] + ".",
		"another payload":  parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"y"}`)) + "." + parts[2],
		"alg none":         base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"assent-binding+jwt"}`)) + "." + parts[1] + ".",
		"the approval key": crossed,
		"no type":          forge(t, s.keys[purposeBinding], "", s.kid(purposeBinding), nil),
		"a grant's type":   forge(t, s.keys[purposeBinding], "assent-grant+jwt", s.kid(purposeBinding), nil),
		"jku":              forge(t, s.keys[purposeBinding], purposeBinding, s.kid(purposeBinding), map[string]any{"jku": "https://evil.example"}),
		"x5u":              forge(t, s.keys[purposeBinding], purposeBinding, s.kid(purposeBinding), map[string]any{"x5u": "https://evil.example"}),
		"crit":             forge(t, s.keys[purposeBinding], purposeBinding, s.kid(purposeBinding), map[string]any{"crit": []string{"exp"}}),
		"kid of another":   forge(t, s.keys[purposeBinding], purposeBinding, s.kid(purposeApproval), nil),
		"empty":            "", "JSON form": `{"payload":"` + parts[1] + `"}`, "long": strings.Repeat("a", 5000) + ".b.c",
	}
	for name, text := range bad {
		if _, err := s.open(purposeBinding, text); err == nil {
			t.Errorf("%s: it opened", name)
		}
	}
	if _, err := s.open(purposeApproval, token); err == nil {
		t.Error("a binding token passed for an approval")
	}
	now = now.Add(time.Minute)
	if _, err := s.open(purposeBinding, token); err == nil {
		t.Error("it opened after its expiry")
	}
}

// forge signs a token that is right in all but what the case changes.
func forge(t *testing.T, key ed25519.PrivateKey, typ, kid string, extra map[string]any) string {
	opts := (&jose.SignerOptions{}).WithHeader("kid", kid)
	if typ != "" {
		opts.WithType(jose.ContentType(typ))
	}
	for k, v := range extra {
		opts.WithHeader(jose.HeaderKey(k), v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(sealed{Issuer: "https://a.example", Audience: "https://a.example", Subject: "x", Expires: 1 << 40})
	jws, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := jws.CompactSerialize()
	return out
}

func TestSealedBindsActionAskerAndCredential(t *testing.T) {
	asker := identity.Asker{Subject: identity.Person{ID: "person:lena"}, Chain: []identity.Actor{{ID: "agent:x"}}, Credential: "c1"}
	a := action.Action{Kinds: []action.Kind{action.DataExport}, Verb: "copy", Payload: []byte("select 890"), State: map[string]string{"role": "a"}}
	salt := action.NewSalt()
	digest, err := a.Digest(salt)
	if err != nil {
		t.Fatal(err)
	}
	token := sealed{Subject: askerKey(&asker), Credential: "c1", Salt: base64.RawURLEncoding.EncodeToString(salt[:]), Digest: digest.String()}
	if !token.binds(&asker, &a) {
		t.Fatal("it doesn't bind its own action")
	}
	otherPayload, otherState, otherAsker, otherCredential := a, a, asker, asker
	otherPayload.Payload = []byte("select 891")
	otherState.State = map[string]string{"role": "b"}
	otherAsker.Chain = []identity.Actor{{ID: "agent:y"}}
	otherCredential.Credential = "c2"
	if token.binds(&asker, &otherPayload) || token.binds(&asker, &otherState) || token.binds(&otherAsker, &a) || token.binds(&otherCredential, &a) {
		t.Fatal("it binds something else")
	}
	noSalt := token
	noSalt.Salt = ""
	if noSalt.binds(&asker, &a) || (&sealed{Subject: token.Subject, Credential: "c1"}).binds(&asker, &a) {
		t.Fatal("it binds without a digest")
	}
}
