package oidc_test

import (
	"errors"
	"testing"

	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/oidc/oidctest"
)

// TestAccountsByAnotherClaim: where accounts are known by oid, a token without
// one is no sign-in, and none that changes it is a refresh.
func TestAccountsByAnotherClaim(t *testing.T) {
	p := newPair(t, oidctest.Options{}, func(c *oidc.Config) { c.SubjectClaim = "oid" })
	tweak := func(name string, v any) {
		p.idp.Tweak(func(t *oidctest.IDToken) { t.Claims[name] = v })
	}
	tweak("oid", "7b39475a")
	good, err := p.signIn(mira.Sub)
	if err != nil || good.Account() != "7b39475a" || good.Subject != mira.Sub {
		t.Fatalf("%+v, %v", good, err)
	}
	if good, err = p.Again(t.Context(), *good); err != nil || good.Account() != "7b39475a" {
		t.Fatalf("refresh: %+v, %v", good, err)
	}
	tweak("oid", "8c")
	if s, err := p.Again(t.Context(), *good); !errors.Is(err, oidc.ErrRefused) {
		t.Errorf("a refresh for another account: %+v, %v", s, err)
	}
	for name, v := range map[string]any{"none": nil, "empty": "", "a number": 7, "a list": []string{"7b39475a"}, "a line": "a\nb"} {
		tweak("oid", v)
		if s, err := p.signIn(mira.Sub); !errors.Is(err, oidc.ErrRefused) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	p.idp.Tweak(func(t *oidctest.IDToken) { t.Claims["oid"], t.Claims["OID"] = "7b39475a", "8c" })
	if s, err := p.signIn(mira.Sub); !errors.Is(err, oidc.ErrRefused) {
		t.Errorf("two spellings: %+v, %v", s, err)
	}
}
