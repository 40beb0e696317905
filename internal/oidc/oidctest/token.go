package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strconv"

	"github.com/go-jose/go-jose/v4"
)

// idToken signs what a grant says. mu is held.
func (p *Provider) idToken(g grant, access string) (string, error) {
	now, u, k := p.o.Clock(), p.users[g.sub], p.keys[0]
	sum := sha256.Sum256([]byte(access))
	t := IDToken{Alg: jose.ES256, Key: k.key, KeyID: k.id, Claims: map[string]any{
		"iss": p.issuer, "sub": g.sub, "aud": g.client, "exp": now.Unix() + 300, "iat": now.Unix(),
		"auth_time": g.at.Unix(), "amr": []string{"pwd", "otp"}, "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	}}
	if g.nonce != "" {
		t.Claims["nonce"] = g.nonce
	}
	if !p.o.GroupsInUserinfo {
		t.Claims["name"], t.Claims["groups"] = u.Name, groupsOf(u)
	}
	if p.tweak != nil {
		p.tweak(&t)
	}
	return t.sign()
}

func groupsOf(u User) []string { return append([]string{}, u.Groups...) }

func (t *IDToken) sign() (string, error) {
	body, err := json.Marshal(t.Claims)
	if err != nil {
		return "", fmt.Errorf("writing a token: %w", err)
	}
	if t.Alg == "none" {
		enc := base64.RawURLEncoding.EncodeToString
		return enc([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + enc(body) + ".", nil
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: t.Alg, Key: jose.JSONWebKey{Key: t.Key, KeyID: t.KeyID}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	jws, err := s.Sign(body)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return jws.CompactSerialize()
}

// An Attack is one bad ID token; nobody may get in by it.
type Attack struct {
	Name  string
	Spoil func(*IDToken)
}

// Attacks is every bad ID token we know of. now is the relying party's.
func Attacks() []Attack {
	set := func(name string, v any) func(*IDToken) {
		return func(t *IDToken) {
			if v == nil {
				delete(t.Claims, name)
				return
			}
			t.Claims[name] = v
		}
	}
	shift := func(name string, by int64) func(*IDToken) {
		return func(t *IDToken) { t.Claims[name] = t.Claims["iat"].(int64) + by }
	}
	many := make([]string, 2001)
	for i := range many {
		many[i] = "g-" + strconv.Itoa(i)
	}
	return []Attack{
		{"forged: another key under the right key id", func(t *IDToken) {
			t.Key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		}},
		{"unknown key id", func(t *IDToken) {
			t.Key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			t.KeyID = "nobody's"
		}},
		{"no signature (alg none)", func(t *IDToken) { t.Alg = "none" }},
		{"HS256 with the public key as the secret", func(t *IDToken) {
			der, _ := x509.MarshalPKIXPublicKey(&t.Key.(*ecdsa.PrivateKey).PublicKey)
			t.Alg, t.Key = jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		}},
		{"HS256 with the client secret", func(t *IDToken) { t.Alg, t.Key = jose.HS256, []byte("secret-secret-secret-secret-secret") }},
		{"expired", shift("exp", -3600)},
		{"without an end", set("exp", nil)},
		{"issued in the future", shift("iat", 600)},
		{"issued long ago", shift("iat", -3600)},
		{"without a time of issue", set("iat", nil)},
		{"not valid yet", shift("nbf", 600)},
		{"for another audience", set("aud", "someone-else")},
		{"for nobody", set("aud", nil)},
		{"for several, none of them named as party", set("aud", []string{"assent", "someone-else"})},
		{"authorized to another party", set("azp", "someone-else")},
		{"from another issuer", set("iss", "https://evil.example")},
		{"from no issuer", set("iss", nil)},
		{"without a nonce", set("nonce", nil)},
		{"with another nonce (replayed)", set("nonce", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY")},
		{"without a subject", set("sub", "")},
		{"a subject that is no text", set("sub", 7)},
		{"a subject with a control character", set("sub", "mira\x00root")},
		{"a subject of 300 bytes", set("sub", string(make([]byte, 300)))},
		{"the hash of another access token", set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		{"groups that don't fit in the token (Entra's overage)", func(t *IDToken) {
			delete(t.Claims, "groups")
			t.Claims["_claim_names"] = map[string]any{"groups": "src1"}
			t.Claims["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": "http://127.0.0.1:1/getMemberObjects"}}
		}},
		{"groups that don't fit (hasgroups)", func(t *IDToken) { delete(t.Claims, "groups"); t.Claims["hasgroups"] = true }},
		{"2,001 groups", set("groups", many)},
		{"groups that are no list", set("groups", map[string]any{"data-owners": true})},
		{"a group that is no text", set("groups", []any{"g-1", 7})},
		{"a group with a control character", set("groups", []any{"g-1\n"})},
		{"the subject twice, in two spellings", set("SUB", "somebody-else")},
		{"a number for the time of sign-in that is no time", set("auth_time", "yesterday")},
	}
}
