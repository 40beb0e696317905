package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// maxAnswer bounds what a browser may send, in bytes.
const maxAnswer = 32 << 10

// A Question is what the page asks the authenticator, and what must come back with its answer.
type Question struct {
	Options json.RawMessage `json:"publicKey"` // PublicKeyCredentialRequestOptions or …CreationOptions, as JSON
	Ticket
}

// AskReview makes the challenge that binds a review, whose nonce it sets. session
// names the open session in which it is answered.
func (k *Keys) AskReview(ctx context.Context, session string, v *evidence.Review) (*Question, error) {
	if err := k.Usable(); err != nil {
		return nil, err
	}
	t := k.issue(forReview, v.Person, session)
	v.Nonce = t.Nonce
	return k.ask(ctx, v.Person, v.Challenge(), t)
}

// Answered reads a review's assertion as the page sent it, in the session in
// which it was asked for. What it signs is checked when the review is taken.
func (k *Keys) Answered(person, session string, t Ticket, answer []byte) (*evidence.Assertion, error) {
	if err := k.redeem(t, forReview, person, session); err != nil {
		return nil, err
	}
	return ParseAssertion(answer)
}

// ask offers the live keys of a person for one challenge.
func (k *Keys) ask(ctx context.Context, person string, challenge [32]byte, t Ticket) (*Question, error) {
	keys, err := k.Of(ctx, person)
	if err != nil {
		return nil, err
	}
	keys = live(keys, k.now())
	if len(keys) == 0 {
		return nil, ErrNoKey
	}
	a, _, err := k.lib.BeginLogin(account(person, person, keys), webauthn.WithChallenge(challenge[:]))
	if err != nil {
		return nil, fmt.Errorf("asking for a passkey: %w", err)
	}
	a.Response.Timeout = int(challengeLife.Milliseconds())
	return question(a.Response, t)
}

func question(options any, t Ticket) (*Question, error) {
	b, err := json.Marshal(options)
	if err != nil {
		return nil, fmt.Errorf("asking for a passkey: %w", err)
	}
	return &Question{Options: b, Ticket: t}, nil
}

// ParseAssertion reads PublicKeyCredential.toJSON of an assertion. It verifies nothing.
func ParseAssertion(answer []byte) (*evidence.Assertion, error) {
	if len(answer) > maxAnswer {
		return nil, fmt.Errorf("%w: it is too long", ErrRefused)
	}
	p, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, fmt.Errorf("%w: it can't be read", ErrRefused)
	}
	r := p.Raw.AssertionResponse
	return &evidence.Assertion{Credential: p.RawID, AuthData: r.AuthenticatorData, ClientData: r.ClientDataJSON, Signature: r.Signature}, nil
}

// Accept verifies a fresh assertion in the transaction that records what it
// signs: the key is that person's and counts now, the signature is over this
// challenge, and the counter moved on.
func (k *Keys) Accept(ctx context.Context, tx sealed.Tx, person string, challenge [32]byte, a *evidence.Assertion) error {
	if err := k.Usable(); err != nil {
		return err
	}
	w := k.o.Box.Join(tx)
	e, err := k.signer(ctx, &w.Reader, person, k.now(), a)
	if err != nil {
		return err
	}
	answer, err := evidence.VerifyAssertion(a, e.Value.Public, challenge, k.site)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := k.library(e, challenge, a); err != nil {
		return err
	}
	if answer.Count <= e.Value.Count && (answer.Count > 0 || e.Value.Count > 0) {
		return ErrCloned
	}
	if answer.Count == e.Value.Count && answer.BackedUp == e.Value.BackedUp {
		return nil // it keeps no counter, and nothing about it changed
	}
	e.Value.Count, e.Value.BackedUp = answer.Count, answer.BackedUp
	return Kind.Put(ctx, w, e, &audit.Record{
		Type: audit.TypePasskey, Person: person, Decision: evidence.PasskeyUsed,
		Detail: map[string]string{"count": strconv.FormatUint(uint64(answer.Count), 10)},
	})
}

// Holds verifies again what was recorded: the signature, and that the key was
// that person's, counted at the time and isn't revoked since.
func (k *Keys) Holds(ctx context.Context, tx sealed.Tx, person string, at time.Time, challenge [32]byte, a *evidence.Assertion) error {
	e, err := k.signer(ctx, &k.o.Box.Join(tx).Reader, person, at, a)
	if err != nil {
		return err
	}
	site := evidence.Site{RPID: e.Value.RPID, Origin: e.Value.Origin}
	if site.RPID == k.site.RPID {
		site.Origin = "" // the console may have moved to another port since
	}
	if _, err := evidence.VerifyAssertion(a, e.Value.Public, challenge, site); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// Refused implements approval.Passkeys.
func (*Keys) Refused(err error) (refused, alarm bool) {
	return errors.Is(err, ErrRefused) || errors.Is(err, ErrUnusable), errors.Is(err, ErrCloned)
}

// signer finds the key of an assertion, as its row and the log have it.
func (k *Keys) signer(ctx context.Context, r *sealed.Reader, person string, at time.Time, a *evidence.Assertion) (*sealed.Entry[Key], error) {
	if a == nil {
		return nil, fmt.Errorf("%w: there is none", ErrRefused)
	}
	id := evidence.PasskeyID(a.Credential)
	e, err := Kind.Get(ctx, r, id)
	switch {
	case errors.Is(err, sealed.ErrNotFound):
		return nil, fmt.Errorf("%w: this key isn't registered", ErrRefused)
	case err != nil:
		return nil, err
	case e.Value.Person != person:
		return nil, fmt.Errorf("%w: this key is another person's", ErrRefused)
	case !e.Value.Revoked.IsZero():
		return nil, fmt.Errorf("%w: this key is revoked", ErrRefused)
	case at.Before(e.Value.CountsFrom):
		return nil, fmt.Errorf("%w: this key counts only from %s UTC", ErrRefused, e.Value.CountsFrom.UTC().Format("2 January 15:04"))
	}
	return e, nil
}

// library has go-webauthn follow the specification's own steps (section 7.2)
// besides what evidence checks, as anybody can offline. Both must agree.
func (k *Keys) library(e *sealed.Entry[Key], challenge [32]byte, a *evidence.Assertion) error {
	enc := base64.RawURLEncoding.EncodeToString
	raw, err := json.Marshal(map[string]any{
		"id": enc(a.Credential), "rawId": enc(a.Credential), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"authenticatorData": enc(a.AuthData), "clientDataJSON": enc(a.ClientData), "signature": enc(a.Signature)},
	})
	if err != nil {
		return fmt.Errorf("checking an assertion: %w", err)
	}
	p, err := protocol.ParseCredentialRequestResponseBytes(raw)
	if err != nil {
		return fmt.Errorf("%w: it can't be read", ErrRefused)
	}
	user := account(e.Value.Person, "", []Key{e.Value})
	_, err = k.lib.ValidateLogin(user, webauthn.SessionData{
		Challenge: enc(challenge[:]), RelyingPartyID: k.site.RPID, UserID: user.WebAuthnID(),
		AllowedCredentialIDs: [][]byte{e.Value.Credential}, UserVerification: protocol.VerificationRequired,
	}, p)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, said(err))
	}
	return nil
}

// said is the library's own words, without the values it quotes.
func said(err error) error {
	var p *protocol.Error
	if errors.As(err, &p) && p.Details != "" {
		return errors.New(p.Details)
	}
	return errors.New("it doesn't verify")
}

// user is one person as the library wants to see them.
type user struct {
	id, name, display string
	keys              []Key
}

func account(person, display string, keys []Key) *user {
	return &user{id: person, name: display, display: display, keys: keys}
}

// WebAuthnID is the user handle: it tells an authenticator nothing about the person.
func (u *user) WebAuthnID() []byte {
	sum := sha256.Sum256([]byte("assent-user/1\x00" + u.id))
	return sum[:]
}

func (u *user) WebAuthnName() string        { return u.name }
func (u *user) WebAuthnDisplayName() string { return u.display }

func (u *user) WebAuthnCredentials() []webauthn.Credential {
	out := make([]webauthn.Credential, 0, len(u.keys))
	for _, k := range u.keys {
		c := webauthn.Credential{
			ID: k.Credential, PublicKey: k.COSE,
			Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: k.Eligible, BackupState: k.BackedUp},
			Authenticator: webauthn.Authenticator{SignCount: k.Count},
		}
		for _, t := range k.Transports {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
		}
		out = append(out, c)
	}
	return out
}
