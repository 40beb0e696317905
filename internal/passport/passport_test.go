package passport

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

func newSigner(t *testing.T, at *time.Time) *Signer {
	t.Helper()
	s, err := New(bytes.Repeat([]byte{7}, 32), "https://assent.example.com", func() time.Time { return *at })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keysOf(t *testing.T, s *Signer) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(s.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		if !k.IsPublic() || k.Algorithm != "ES256" || k.Use != "sig" {
			t.Errorf("a published key that isn't a public ES256 one: %s", k.KeyID)
		}
	}
	return set
}

func TestSign(t *testing.T) {
	at := time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)
	s := newSigner(t, &at)
	text, err := s.Sign(Claims{Audience: "billing", Subject: "person:mira", Actors: []string{"agent:inner", "agent:outer"}, Groups: []string{"finance"}})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if tok.Headers[0].ExtraHeaders["typ"] != Type {
		t.Errorf("typ %v", tok.Headers[0].ExtraHeaders["typ"])
	}
	var c token
	if err := tok.Claims(keysOf(t, s), &c); err != nil {
		t.Fatal(err)
	}
	if c.ID == "" || c.Expires-c.Issued > 60 {
		t.Errorf("jti %q, lives %d s", c.ID, c.Expires-c.Issued)
	}
	want := token{
		Issuer: "https://assent.example.com", Audience: "billing", Subject: "person:mira", Groups: []string{"finance"}, ID: c.ID,
		Actor:  &Actor{Subject: "agent:inner", Actor: &Actor{Subject: "agent:outer"}},
		Issued: at.Unix(), Earliest: at.Unix() - 5, Expires: at.Unix() + 60,
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	again, err := s.Sign(Claims{Audience: "billing", Subject: "person:mira"})
	if err != nil || again == text {
		t.Errorf("a second token: %v", err)
	}
	for _, bad := range []Claims{{Subject: "person:mira"}, {Audience: "billing"}} {
		if _, err := s.Sign(bad); err == nil {
			t.Errorf("signed %+v", bad)
		}
	}
}

// TestKeysChange: who fetched the keys a week ago still knows the one that signs,
// and what was signed just before a change is still verified.
func TestKeysChange(t *testing.T) {
	at := time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)
	s := newSigner(t, &at)
	old := keysOf(t, s)
	before, err := s.Sign(Claims{Audience: "a", Subject: "b"})
	if err != nil {
		t.Fatal(err)
	}
	at = at.Add(period)
	after, err := s.Sign(Claims{Audience: "a", Subject: "b"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		keys jose.JSONWebKeySet
	}{"new token, old set": {after, old}, "old token, new set": {before, keysOf(t, s)}} {
		tok, err := jwt.ParseSigned(c.text, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		var out token
		if err := tok.Claims(c.keys, &out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	same := newSigner(t, &at)
	if !bytes.Equal(s.JWKS(), same.JWKS()) {
		t.Error("another node publishes other keys")
	}
	at = at.Add(3 * period)
	tok, err := jwt.ParseSigned(before, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Claims(keysOf(t, s), &token{}); err == nil {
		t.Error("a key of a month ago is still published")
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New([]byte("short"), "https://a", nil); err == nil {
		t.Error("a short seed was taken")
	}
	if _, err := New(make([]byte, 32), "", nil); err == nil {
		t.Error("no issuer was taken")
	}
}

func BenchmarkSign(b *testing.B) {
	s, err := New(make([]byte, 32), "https://assent.example.com", nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Sign(Claims{Audience: "billing", Subject: "person:mira", Actors: []string{"agent:a"}}); err != nil {
			b.Fatal(err)
		}
	}
}
