package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
)

// A Vault has the values behind tokens, where a policy says that they are kept.
type Vault interface {
	// ReadValue shows one value to who may see it, after the look is on record.
	ReadValue(ctx context.Context, by identity.Person, token, reason string) (value []byte, kept *mask.Kept, err error)
	// EraseValues erases what fits, on record.
	EraseValues(ctx context.Context, by string, what mask.Erasure, reason string) (int64, error)
}

// Errors of a vault.
var (
	ErrVaultRight = errors.New("you may not read values back: who may is in the configuration, vault.groups")
	ErrNotKept    = errors.New("no value is kept under this token: it was erased, or no policy kept it")
)

// A VaultQuestion names one token, and says why its value is read.
type VaultQuestion struct {
	Token  string `json:"token" minLength:"1" maxLength:"200" pattern:"^tok_[a-z0-9_]+_[0-9a-f]{20}$"`
	Reason string `json:"reason" minLength:"1" maxLength:"2000" doc:"On record, for everybody who reads the log"`
}

// A VaultValue is the value behind a token.
type VaultValue struct {
	Token string    `json:"token"`
	Class string    `json:"class"`
	Actor string    `json:"actor,omitempty" doc:"Whose token it is. None: every actor's"`
	Kept  time.Time `json:"kept"`
	Value string    `json:"value"`
}

type readVaultIn struct{ Body VaultQuestion }

type readVaultOut struct{ Body VaultValue }

func (s *server) readVault(ctx context.Context, in *readVaultIn) (*readVaultOut, error) {
	c := callerOf(ctx)
	if c.Person == nil {
		return nil, problem(http.StatusForbidden, "scope", "People read values back; nothing else does.")
	}
	if s.Vault == nil {
		return nil, problem(http.StatusNotFound, "not-found", ErrNotKept.Error())
	}
	value, kept, err := s.Vault.ReadValue(ctx, *c.Person, in.Body.Token, in.Body.Reason)
	switch {
	case errors.Is(err, ErrVaultRight):
		return nil, problem(http.StatusForbidden, "vault", err.Error())
	case errors.Is(err, ErrNotKept):
		return nil, problem(http.StatusNotFound, "not-found", err.Error())
	case err != nil:
		return nil, err
	}
	return &readVaultOut{Body: VaultValue{Token: kept.Token, Class: kept.Class, Actor: kept.Actor, Kept: kept.At, Value: strings.ToValidUTF8(string(value), "\uFFFD")}}, nil
}

// A VaultErasure says which values are erased: those that fit all it says.
type VaultErasure struct {
	Token  string    `json:"token,omitempty" maxLength:"200"`
	Class  string    `json:"class,omitempty" maxLength:"100"`
	Actor  string    `json:"actor,omitempty" maxLength:"256"`
	Before time.Time `json:"before,omitzero" doc:"Those kept before"`
	Reason string    `json:"reason" minLength:"1" maxLength:"2000"`
}

// VaultErased is how many values were.
type VaultErased struct {
	Erased int64 `json:"erased"`
}

type eraseVaultIn struct{ Body VaultErasure }

type eraseVaultOut struct{ Body VaultErased }

func (s *server) eraseVault(ctx context.Context, in *eraseVaultIn) (*eraseVaultOut, error) {
	c := callerOf(ctx)
	if c.Person == nil {
		return nil, problem(http.StatusForbidden, "scope", "People erase values; nothing else does.")
	}
	what := mask.Erasure{Token: in.Body.Token, Class: in.Body.Class, Actor: in.Body.Actor, Before: in.Body.Before}
	if what.Everything() {
		return nil, problem(http.StatusUnprocessableEntity, "invalid", "Say which values: of a token, a class, an actor, or kept before a time.")
	}
	out := &eraseVaultOut{}
	if s.Vault == nil {
		return out, nil
	}
	var err error
	out.Body.Erased, err = s.Vault.EraseValues(ctx, c.Person.ID, what, in.Body.Reason)
	return out, err
}
