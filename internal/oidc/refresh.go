package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Again asks the issuer again about somebody who signed in: by their refresh
// token, else at its userinfo endpoint. The SignIn it returns has the groups of
// now and the tokens to keep in place of the old ones. ErrGone: they may not
// sign in any more. ErrDown: nobody knows.
func (i *Issuer) Again(ctx context.Context, s SignIn) (*SignIn, error) {
	at, err := i.ready(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := i.context(ctx)
	defer cancel()
	if s.Refresh == "" {
		return i.byUserinfo(ctx, at, s)
	}
	o, err := i.oauth(ctx, at, "")
	if err != nil {
		return nil, err
	}
	tok, err := o.TokenSource(ctx, &oauth2.Token{RefreshToken: s.Refresh, Expiry: time.Unix(1, 0)}).Token()
	if err != nil {
		return nil, i.tokenError(ctx, "refreshing the sign-in", err, i.silent)
	}
	if raw, _ := tok.Extra("id_token").(string); raw == "" { // it may leave one out (Core 12.2)
		s.Refresh, s.Access, s.AccessEnds = tok.RefreshToken, tok.AccessToken, tok.Expiry
		return i.byUserinfo(ctx, at, s)
	}
	out, err := i.signedIn(ctx, at, tok, expect{subject: s.Subject})
	if err != nil {
		return nil, err
	}
	if out.Key != s.Key {
		return nil, i.refused("its ID token is about another account", "sign in again")
	}
	out.AuthTime, out.AMR, out.IDToken = s.AuthTime, s.AMR, s.IDToken // a refresh is no sign-in
	return out, nil
}

// byUserinfo asks the userinfo endpoint alone.
func (i *Issuer) byUserinfo(ctx context.Context, at *found, s SignIn) (*SignIn, error) {
	if at.userinfo == "" || s.Access == "" {
		return nil, i.refused("it gives neither a refresh token nor a userinfo endpoint", "sign in again; scope offline_access lets sessions last")
	}
	c, err := i.userinfo(ctx, at, s.Access, s.Subject)
	if err != nil {
		return nil, err
	}
	out := s
	out.Groups, out.At = nil, i.c.Clock().UTC()
	if err := i.read(&out, c); err != nil {
		return nil, err
	}
	_ = i.note(nil)
	return &out, nil
}

// CanAsk reports whether the groups of s can be asked for again.
func (i *Issuer) CanAsk(s *SignIn) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return s.Refresh != "" || s.Access != "" && i.found != nil && i.found.userinfo != ""
}

var errStatus = errors.New("userinfo answered otherwise than 200")

// userinfo asks who an access token stands for. Its subject must be the ID token's (Core 5.3.2).
func (i *Issuer) userinfo(ctx context.Context, at *found, access, subject string) (claims, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.userinfo, nil)
	if err != nil {
		return nil, i.note(i.down("userinfo", err))
	}
	r.Header.Set("Authorization", "Bearer "+access)
	r.Header.Set("Accept", "application/json")
	res, err := i.http.Do(r)
	if err != nil {
		return nil, i.silent(ctx, "userinfo", err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		return nil, &Error{Issuer: i.c.Name, What: "it no longer knows this sign-in", Remedy: "sign in again", Kind: ErrGone}
	case res.StatusCode != http.StatusOK:
		return nil, i.note(i.down("userinfo", errStatus))
	}
	payload, err := io.ReadAll(res.Body)
	switch {
	case errors.Is(err, errTooLong):
		return nil, i.refused("its userinfo is longer than 1 MiB", "let it send fewer groups: only those assigned to this application")
	case err != nil: // cut off: it said nothing about this person
		return nil, i.silent(ctx, "userinfo", errors.New(withoutAnswer(err)))
	case !json.Valid(payload):
		return nil, i.refused("its userinfo is no JSON", "it must not be signed or encrypted for this client")
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, i.refused("its userinfo is ambiguous: "+err.Error(), "")
	}
	var sub string
	if json.Unmarshal(c["sub"], &sub) != nil || sub != subject {
		return nil, i.refused("its userinfo is about another person", "nothing was opened; begin again")
	}
	return c, nil
}

var _ oidc.KeySet = keySet{}
