package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/passkey"
)

// Passkeys are people's authenticators. They are registered and used in the
// console alone: a bearer token can look at them, and end them.
type Passkeys interface {
	Of(ctx context.Context, person string) ([]passkey.Key, error)
	All(ctx context.Context) ([]passkey.Key, error)
	Revoke(ctx context.Context, id, owner, by, why string) error
}

// A PasskeyView is one person's passkey.
type PasskeyView struct {
	ID         string    `json:"id"`
	Person     Party     `json:"person"`
	Name       string    `json:"name,omitempty" doc:"What its owner calls it"`
	BoundBy    string    `json:"bound_by" enum:"passkey,sign-in,session,first" doc:"What showed that it is this person's: an older passkey, a fresh sign-in, an open session, or that on the same day this deployment began"`
	BackedUp   bool      `json:"backed_up,omitempty" doc:"Synchronised between devices"`
	Created    time.Time `json:"created"`
	CountsFrom time.Time `json:"counts_from"`
	Revoked    time.Time `json:"revoked,omitzero"`
	RevokedBy  string    `json:"revoked_by,omitempty"`
	Why        string    `json:"why,omitempty"`
}

// PasskeyList is every passkey that one may see, the oldest first.
type PasskeyList struct {
	Passkeys []PasskeyView `json:"passkeys"`
}

type listPasskeysOut struct{ Body PasskeyList }

func (s *server) listPasskeys(ctx context.Context, _ *nothing) (*listPasskeysOut, error) {
	out := &listPasskeysOut{Body: PasskeyList{Passkeys: []PasskeyView{}}}
	c := callerOf(ctx)
	if s.Passkeys == nil {
		return out, nil
	}
	var keys []passkey.Key
	var err error
	switch {
	case c.Has(identity.ScopeAdmin):
		keys, err = s.Passkeys.All(ctx)
	case c.Person != nil:
		keys, err = s.Passkeys.Of(ctx, c.Person.ID)
	}
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		out.Body.Passkeys = append(out.Body.Passkeys, PasskeyView{
			ID: k.ID, Person: s.party(k.Person), Name: k.Name, BoundBy: k.BoundBy, BackedUp: k.BackedUp,
			Created: k.Created, CountsFrom: k.CountsFrom, Revoked: k.Revoked, RevokedBy: k.RevokedBy, Why: k.Why,
		})
	}
	return out, nil
}

type revokePasskeyIn struct {
	ID  string `path:"id" maxLength:"64" pattern:"^psk_[0-9a-z]+$"`
	Why string `query:"why" maxLength:"200" doc:"Kept in the log"`
}

func (s *server) revokePasskey(ctx context.Context, in *revokePasskeyIn) (*nothing, error) {
	c := callerOf(ctx)
	if s.Passkeys == nil || c.Person == nil {
		return nil, noSuchPasskey()
	}
	owner := c.Person.ID
	if c.Has(identity.ScopeAdmin) {
		owner = ""
	}
	err := s.Passkeys.Revoke(ctx, in.ID, owner, c.Person.ID, in.Why)
	if errors.Is(err, passkey.ErrNotFound) {
		return nil, noSuchPasskey()
	}
	return nil, err
}

func noSuchPasskey() *Problem {
	return problem(http.StatusNotFound, "not-found", "You may end no such passkey.")
}
