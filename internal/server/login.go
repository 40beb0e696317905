package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/session"
)

const (
	devicePurpose = "device"
	loginsAtOnce  = 20  // device codes begun in a minute, by everybody
	pollsAtOnce   = 300 // polls that reach an issuer in a minute, of everybody
)

// logins drives device codes (RFC 8628) for commands: the client secret and the
// device code stay here. What comes of it reads and never reviews.
type logins struct {
	s *Server

	mu           sync.Mutex // owns what follows
	begun, asked []time.Time
}

// pendingLogin travels sealed with the command, so that any replica can go on.
type pendingLogin struct {
	Issuer, Code string
	Expires      time.Time
}

// Begin implements api.Logins.
func (l *logins) Begin(ctx context.Context, issuer string) (*api.Login, error) {
	if issuer == "" && len(l.s.issuers) == 1 {
		issuer = l.s.issuers[0].Name()
	}
	i, ok := l.s.sessions.Issuer(issuer)
	if !ok {
		return nil, &api.LoginError{Text: "name one of this deployment's issuers: " + l.s.issuerNames()}
	}
	if !l.room(&l.begun, loginsAtOnce) {
		return nil, &api.LoginError{Text: "too many logins were begun in the last minute: try again soon", Busy: true}
	}
	d, err := i.BeginDevice(ctx)
	if err != nil {
		return nil, loginError(err)
	}
	handle, err := l.s.sessions.Seal(devicePurpose, pendingLogin{i.Name(), d.Code, d.Expires})
	if err != nil {
		return nil, err
	}
	return &api.Login{Handle: handle, Issuer: i.Name(), UserCode: d.UserCode, URL: d.Verification, Complete: d.Complete, Expires: d.Expires, Interval: d.Interval}, nil
}

// room bounds what callers without a credential make us ask of issuers: so much in
// a minute, from wherever it comes.
func (l *logins) room(lately *[]time.Time, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	*lately = slices.DeleteFunc(*lately, func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	if len(*lately) >= most {
		return false
	}
	*lately = append(*lately, now)
	return true
}

// Poll implements api.Logins: nil until somebody confirmed.
func (l *logins) Poll(ctx context.Context, handle, agent string) (*api.LoggedIn, error) {
	var p pendingLogin
	if err := l.s.sessions.Unseal(devicePurpose, handle, &p); err != nil || !time.Now().Before(p.Expires) {
		return nil, &api.LoginError{Text: "this login is over: begin a new one"}
	}
	i, ok := l.s.sessions.Issuer(p.Issuer)
	if !ok {
		return nil, &api.LoginError{Text: "its issuer is no longer configured"}
	}
	if !l.room(&l.asked, pollsAtOnce) {
		return nil, nil // it asks again
	}
	in, err := i.PollDevice(ctx, p.Code)
	if errors.Is(err, oidc.ErrPending) || errors.Is(err, oidc.ErrSlow) {
		return nil, nil
	}
	if err != nil {
		return nil, loginError(err)
	}
	return l.open(ctx, in, agent)
}

func (l *logins) open(ctx context.Context, in *oidc.SignIn, agent string) (*api.LoggedIn, error) {
	var text string
	_, opened, err := l.s.sessions.Open(ctx, session.Opening{
		How: session.ByDevice, SignIn: in, Agent: agent,
		Mint: func(ctx context.Context, person string) (id string, err error) {
			secret, tok, err := l.s.tokens.Mint(ctx, identity.MintRequest{
				Kind: identity.KindPerson, Subject: person, Scopes: []string{identity.ScopeRead}, TTL: session.ReadLife, By: person,
			})
			if err != nil {
				return "", err
			}
			text = secret
			return tok.ID, nil
		},
	})
	if errors.Is(err, session.ErrNobody) {
		return nil, &api.LoginError{Text: "the issuer knows you, and this deployment doesn't: an administrator may add the account " + in.Issuer + "|" + in.Account()}
	}
	if err != nil {
		return nil, err
	}
	return &api.LoggedIn{Token: text, Person: opened.Person, Expires: opened.Expires, Session: opened.ID}, nil
}

// loginError is what a caller may be told.
func loginError(err error) error {
	var e *oidc.Error
	if errors.As(err, &e) {
		return &api.LoginError{Text: e.Error(), Busy: errors.Is(err, oidc.ErrDown)}
	}
	return err
}
