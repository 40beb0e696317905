package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// A SignIn is what an issuer vouches for.
type SignIn struct {
	Issuer, URL string // name and URL
	Subject     string // immutable at this issuer, and meaningless at another
	Key         string // what the account is known by here, where that is not Subject
	Name        string // for people to read
	Email       string // to write to, once the issuer has verified it; never a key
	Groups      []string
	Object      string    // "tenant/object id" at an issuer that is Entra; "" elsewhere
	AuthTime    time.Time // when the person really signed in there; zero: not told
	AMR         []string  // how
	At          time.Time // when it was said
	Refresh     string    // secret; "" when the issuer gives none
	Access      string    // secret
	AccessEnds  time.Time
	IDToken     string // as signed
}

// Account is the issuer's immutable id of the account.
func (s *SignIn) Account() string {
	if s.Key != "" {
		return s.Key
	}
	return s.Subject
}

// expect is what an ID token must answer to.
type expect struct {
	nonce   string // "" for none: refresh and device codes have none
	subject string // "" for any
	began   time.Time
	fresh   bool
}

// signedIn checks the tokens of an answer and reads who they are about.
func (i *Issuer) signedIn(ctx context.Context, at *found, tok *oauth2.Token, want expect) (*SignIn, error) {
	raw, _ := tok.Extra("id_token").(string)
	if raw == "" {
		return nil, i.refused("the answer has no ID token", "check that scope openid is allowed for this client")
	}
	s, c, err := i.verify(ctx, at, raw, tok.AccessToken, want)
	if err != nil {
		return nil, err
	}
	if i.lacks(c) && at.userinfo != "" {
		info, err := i.userinfo(ctx, at, tok.AccessToken, s.Subject)
		if err != nil {
			return nil, err
		}
		for name, v := range info {
			if _, told := c[name]; !told {
				c[name] = v
			}
		}
	}
	if err := i.read(s, c); err != nil {
		return nil, err
	}
	s.Refresh, s.Access, s.AccessEnds = tok.RefreshToken, tok.AccessToken, tok.Expiry
	_ = i.note(nil) // it answered
	return s, nil
}

func (i *Issuer) lacks(c claims) bool {
	_, name := c[i.c.NameClaim]
	_, groups := c[i.c.GroupsClaim]
	return !name || i.c.GroupsClaim != "" && !groups && !c.overage(i.c.GroupsClaim)
}

// verify checks one ID token (OpenID Connect Core 1.0, 3.1.3.7 and 12.2).
func (i *Issuer) verify(ctx context.Context, at *found, raw, access string, want expect) (*SignIn, claims, error) {
	if len(raw) > maxToken {
		return nil, nil, i.refused("its ID token is longer than 256 KiB", "let it send fewer groups: only those assigned to this application")
	}
	down := false
	t, err := at.verifier.Verify(context.WithValue(ctx, unreachable{}, &down), raw)
	switch {
	case down:
		return nil, nil, i.silent(ctx, "fetching its keys", nil)
	case err != nil:
		i.c.Logger.WarnContext(ctx, "an ID token was refused", "issuer", i.c.Name, "why", withoutAnswer(err))
		return nil, nil, i.refused("its ID token doesn't verify: signature, issuer or audience is wrong", "nothing was opened; an administrator looks into this server's log")
	}
	var payload json.RawMessage
	if err := t.Claims(&payload); err != nil {
		return nil, nil, i.refused("its ID token can't be read", "")
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, nil, i.refused("its ID token is ambiguous: "+err.Error(), "an administrator removes custom claims with such names")
	}
	s := &SignIn{Issuer: i.c.Name, URL: i.c.Issuer, Subject: t.Subject, At: i.c.Clock().UTC(), IDToken: raw}
	if err := i.answers(t, c, access, want); err != nil {
		return nil, nil, err
	}
	if s.Key, err = i.key(c); err != nil {
		return nil, nil, err
	}
	if err := i.times(s, t, c, want); err != nil {
		return nil, nil, err
	}
	return s, c, nil
}

// key reads the claim that accounts are known by, where it isn't sub.
func (i *Issuer) key(c claims) (key string, err error) {
	if i.c.SubjectClaim == "" || i.c.SubjectClaim == "sub" {
		return "", nil
	}
	if json.Unmarshal(c[i.c.SubjectClaim], &key) != nil || key == "" || len(key) > 255 || !clean(key) {
		return "", i.refused("its ID token has no usable "+i.c.SubjectClaim, "an administrator lets it send that claim (Entra: scope profile)")
	}
	return key, nil
}

// answers checks that a token is for us, about the right person, in answer to our question.
func (i *Issuer) answers(t *oidc.IDToken, c claims, access string, want expect) error {
	wrong := func(what string) error {
		return i.refused("its ID token "+what, "nothing was opened; begin again at this server's sign-in page")
	}
	var azp string
	if raw, told := c["azp"]; told && json.Unmarshal(raw, &azp) != nil {
		return wrong("names no party")
	}
	switch {
	case t.Subject == "" || len(t.Subject) > 255 || !clean(t.Subject):
		return wrong("has no usable subject")
	case want.subject != "" && t.Subject != want.subject:
		return wrong("is about another person")
	case len(t.Audience) > 1 && azp == "" || azp != "" && azp != i.c.ClientID:
		return wrong("was made for another party")
	case want.nonce != "" && t.Nonce != want.nonce:
		return wrong("answers another question (nonce)")
	case t.AccessTokenHash != "" && t.VerifyAccessToken(access) != nil:
		return wrong("belongs to another access token")
	}
	return nil
}

// times checks exp, iat, nbf and auth_time with a minute of skew.
func (i *Issuer) times(s *SignIn, t *oidc.IDToken, c claims, want expect) error {
	now := s.At
	clock := "the issuer's clock and this server's must agree within a minute: check time synchronisation on both"
	nbf, err1 := c.time("nbf")
	auth, err2 := c.time("auth_time")
	exp, err3 := c.time("exp")
	iat, err4 := c.time("iat")
	switch {
	case err1 != nil || err2 != nil || err3 != nil || err4 != nil || exp.IsZero() || iat.IsZero():
		return i.refused("its ID token has times that can't be read", "")
	case !exp.Add(skew).After(now):
		return i.refused(fmt.Sprintf("its ID token expired %s ago", now.Sub(exp).Round(time.Second)), clock)
	case iat.Sub(now) > skew:
		return i.refused(fmt.Sprintf("its ID token was issued %s in the future", iat.Sub(now).Round(time.Second)), clock)
	case now.Sub(iat) > oldest+skew:
		return i.refused(fmt.Sprintf("its ID token was issued %s ago", now.Sub(iat).Round(time.Second)), clock)
	case nbf.Sub(now) > skew:
		return i.refused(fmt.Sprintf("its ID token is valid only in %s", nbf.Sub(now).Round(time.Second)), clock)
	case auth.Sub(now) > skew:
		return i.refused("its ID token names a sign-in in the future", clock)
	case want.fresh && (auth.IsZero() || auth.Before(want.began.Add(-skew))):
		return i.refused("it did not ask the person to sign in anew (auth_time)", "sign out there and begin again; the issuer must honour max_age and send auth_time")
	}
	s.AuthTime = auth
	return nil
}

// read takes name, groups and methods out of the claims, and nothing else.
func (i *Issuer) read(s *SignIn, c claims) error {
	if raw, ok := c[i.c.NameClaim]; ok {
		var name string
		if json.Unmarshal(raw, &name) == nil {
			s.Name = readable(name)
		}
	}
	s.Email = c.email()
	if raw, ok := c["amr"]; ok {
		var amr []string
		if json.Unmarshal(raw, &amr) == nil && len(amr) <= 16 {
			for _, m := range amr {
				if len(m) <= 32 && clean(m) {
					s.AMR = append(s.AMR, m)
				}
			}
		}
	}
	if i.c.Entra {
		s.Object = c.object()
	}
	if i.c.GroupsClaim == "" {
		return nil
	}
	raw, told := c[i.c.GroupsClaim]
	if !told && c.overage(i.c.GroupsClaim) {
		return i.refused("it left the groups out because there are too many", "let it send only the groups assigned to this application (Entra: groups assigned to the application, as ids)")
	}
	if !told || string(raw) == "null" {
		return nil // in none
	}
	var groups []string
	if err := json.Unmarshal(raw, &groups); err != nil {
		return i.refused("its claim of groups is not a list of texts", "name another claim in groups_claim:")
	}
	if len(groups) > MaxGroups {
		return i.refused(fmt.Sprintf("it names %d groups, more than %d", len(groups), MaxGroups), "let it send only the groups assigned to this application: none is left out silently")
	}
	seen := map[string]bool{}
	for _, g := range groups {
		if g == "" || len(g) > 256 || !clean(g) {
			return i.refused("it names a group that is no plain id", "name another claim in groups_claim:, one that lists immutable ids")
		}
		if !seen[g] {
			s.Groups, seen[g] = append(s.Groups, g), true
		}
	}
	return nil
}

// claims are the members of a JSON object by their exact names.
type claims map[string]json.RawMessage

// names that must not stand twice, in whatever spelling: two parsers would read two people.
var names = []string{"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "at_hash", "auth_time", "amr", "tid", "oid", "_claim_names", "_claim_sources"}

func parseClaims(payload []byte) (claims, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("it is no object")
	}
	out := claims{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var v json.RawMessage
		if err != nil || !ok || d.Decode(&v) != nil {
			return nil, fmt.Errorf("it is no object")
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("a claim stands twice")
		}
		for _, n := range names {
			if name != n && strings.EqualFold(name, n) {
				return nil, fmt.Errorf("a second spelling of %s", n)
			}
		}
		out[name] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("it is no object")
	}
	return out, nil
}

// object is the person in the tenant, "" where the token names none in full.
func (c claims) object() string {
	var tid, oid string
	if json.Unmarshal(c["tid"], &tid) != nil || json.Unmarshal(c["oid"], &oid) != nil || !guid.MatchString(tid) || !guid.MatchString(oid) {
		return ""
	}
	return strings.ToLower(tid + "/" + oid)
}

// guid is the only form of ids in Entra.
var guid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// overage reports whether the issuer says that a claim is elsewhere (OpenID
// Connect Core 5.6.2; Entra does so past 200 groups).
func (c claims) overage(claim string) bool {
	var elsewhere map[string]json.RawMessage
	if raw, ok := c["_claim_names"]; ok && json.Unmarshal(raw, &elsewhere) != nil {
		return true // can't be read: then nobody knows
	}
	_, named := elsewhere[claim]
	var has bool
	if raw, ok := c["hasgroups"]; ok {
		has = json.Unmarshal(raw, &has) != nil || has
	}
	return named || has
}

// time reads a NumericDate (RFC 7519); a missing one is the zero time.
func (c claims) time(name string) (time.Time, error) {
	raw, ok := c[name]
	if !ok || string(raw) == "null" {
		return time.Time{}, nil
	}
	var n float64
	if err := json.Unmarshal(raw, &n); err != nil || math.IsNaN(n) || n < 1 || n > 1<<40 {
		return time.Time{}, fmt.Errorf("%s is no time", name)
	}
	return time.Unix(int64(n), 0).UTC(), nil
}

// clean reports whether s is valid UTF-8 without control characters.
func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// readable is a name without what can't be seen, at most 100 characters.
func readable(s string) string {
	if !utf8.ValidString(s) {
		return ""
	}
	r := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s))
	return strings.TrimSpace(string(r[:min(len(r), 100)]))
}
