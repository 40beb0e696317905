package session

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/assenthq/assent/internal/oidc"
)

const freshLife = 5 * time.Minute

// Proof is a fresh sign-in that a person of an open session gave: what a
// passkey's enrolment is bound to, by its nonce.
type Proof struct {
	Person, Session, Account string
	Nonce                    string
	Issuer                   string // URL
	AuthTime                 time.Time
	IDToken                  string
	At                       time.Time
}

// KeepProof keeps a fresh sign-in of the person of session id until it is
// taken, for five minutes. Another account's is refused.
func (m *Manager) KeepProof(ctx context.Context, id, nonce string, in *oidc.SignIn) error {
	s, err := m.byID(ctx, id)
	if err != nil {
		return err
	}
	if account := in.Issuer + "|" + in.Account(); s.Account != account || nonce == "" {
		return fmt.Errorf("the fresh sign-in is another account's: %w", ErrNobody)
	}
	p := Proof{Person: s.Person, Session: id, Account: s.Account, Nonce: nonce, Issuer: in.URL, AuthTime: in.AuthTime, IDToken: in.IDToken, At: m.o.Clock().UTC()}
	text, err := m.box.Seal(proofKey(id), p)
	if err != nil {
		return fmt.Errorf("keeping a fresh sign-in: %w", err)
	}
	return m.o.Secrets.PutSetting(ctx, proofKey(id), []byte(text))
}

// TakeProof returns the fresh sign-in of session id with that nonce, once. ErrNone: there is none.
func (m *Manager) TakeProof(ctx context.Context, id, nonce string) (*Proof, error) {
	text, err := m.o.Secrets.Setting(ctx, proofKey(id))
	if err != nil {
		return nil, fmt.Errorf("looking for a fresh sign-in: %w", err)
	}
	var p Proof
	if len(text) == 0 || m.box.Open(proofKey(id), string(text), &p) != nil {
		return nil, ErrNone
	}
	if p.Session != id || subtle.ConstantTimeCompare([]byte(p.Nonce), []byte(nonce)) != 1 || m.o.Clock().Sub(p.At) > freshLife {
		return nil, ErrNone
	}
	if err := m.o.Secrets.PutSetting(ctx, proofKey(id), nothing); err != nil {
		return nil, fmt.Errorf("using a fresh sign-in up: %w", err)
	}
	return &p, nil
}

func proofKey(id string) string { return "proof/" + id }

// nothing takes the place of a value that is used up: it opens as none.
var nothing = []byte("-")
