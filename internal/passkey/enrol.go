package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// maxName bounds what an owner calls a key, in bytes.
const maxName = 60

// AskNew makes the question that lets a browser make a new key for p.
func (k *Keys) AskNew(ctx context.Context, p identity.Person, session string) (*Question, error) {
	if err := k.Usable(); err != nil {
		return nil, err
	}
	keys, err := k.Of(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	t := k.issue(forNewKey, p.ID, session)
	creation, _, err := k.lib.BeginRegistration(account(p.ID, p.Name, nil), k.creation(t.Nonce, keys)...)
	if err != nil {
		return nil, fmt.Errorf("asking for a new passkey: %w", err)
	}
	return question(creation.Response, t)
}

// creation are the options of every registration.
func (k *Keys) creation(nonce string, keys []Key) []webauthn.RegistrationOption {
	var known []protocol.CredentialDescriptor
	for _, key := range keys {
		known = append(known, protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: key.Credential})
	}
	return []webauthn.RegistrationOption{
		webauthn.WithExclusions(known),
		webauthn.WithCredentialParameters(algorithms()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge, o.Timeout = creationChallenge(nonce), int(challengeLife.Milliseconds())
			return nil
		},
	}
}

// algorithms are what evidence verifies, the preferred first.
func algorithms() []protocol.CredentialParameter {
	var out []protocol.CredentialParameter
	for _, alg := range []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256} {
		out = append(out, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: alg})
	}
	return out
}

func creationChallenge(nonce string) []byte {
	sum := sha256.Sum256([]byte("assent-new-passkey/1\x00" + nonce))
	return sum[:]
}

// An Enrolment is a new key and what binds it to its person.
type Enrolment struct {
	Person  identity.Person
	Session string // the open session
	Name    string // what its owner calls it
	Ticket  Ticket // of AskNew
	New     []byte // PublicKeyCredential.toJSON of the registration

	// Older is an older key's answer to AskOlder, with that question's ticket.
	Older       []byte
	OlderTicket Ticket
	// IDToken is of a fresh sign-in whose nonce was SignInNonce of this key. The
	// caller has verified it, and that it is this person's.
	IDToken string
	Account string // that it is of: issuer|subject
}

// maxToken bounds an ID token that a record keeps, in bytes.
const maxToken = 40 << 10

// newKey is what a registration says, verified as far as it goes alone.
func (k *Keys) newKey(in *Enrolment) (*Key, [32]byte, error) {
	var attested [32]byte
	if err := k.Usable(); err != nil {
		return nil, attested, err
	}
	if err := k.redeem(in.Ticket, forNewKey, in.Person.ID, in.Session); err != nil {
		return nil, attested, err
	}
	if len(in.New) > maxAnswer || len(in.Name) > maxName || !utf8.ValidString(in.Name) {
		return nil, attested, fmt.Errorf("%w: it or its name is too long", ErrRefused)
	}
	p, err := protocol.ParseCredentialCreationResponseBytes(in.New)
	if err != nil {
		return nil, attested, fmt.Errorf("%w: it can't be read", ErrRefused)
	}
	user := account(in.Person.ID, in.Person.Name, nil)
	c, err := k.lib.CreateCredential(user, webauthn.SessionData{
		Challenge:      base64.RawURLEncoding.EncodeToString(creationChallenge(in.Ticket.Nonce)),
		RelyingPartyID: k.site.RPID, UserID: user.WebAuthnID(), UserVerification: protocol.VerificationRequired, CredParams: algorithms(),
	}, p)
	if err != nil {
		return nil, attested, fmt.Errorf("%w: %w", ErrRefused, said(err))
	}
	if p.Response.CollectedClientData.CrossOrigin || p.Response.CollectedClientData.Origin != k.site.Origin {
		return nil, attested, fmt.Errorf("%w: it was made at another site", ErrRefused)
	}
	der, err := pkix(c.PublicKey)
	if err != nil {
		return nil, attested, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	key := &Key{
		Person: in.Person.ID, Name: strings.TrimSpace(in.Name), Credential: c.ID, Public: der, COSE: c.PublicKey,
		RPID: k.site.RPID, Origin: k.site.Origin, Eligible: c.Flags.BackupEligible, BackedUp: c.Flags.BackupState,
		Count: c.Authenticator.SignCount, ID: evidence.PasskeyID(c.ID),
	}
	for _, t := range c.Transport {
		key.Transports = append(key.Transports, string(t))
	}
	return key, sha256.Sum256(c.Attestation.Object), nil
}

func (key *Key) registration(nonce string) *evidence.Registration {
	return &evidence.Registration{Person: key.Person, Credential: key.Credential, Key: key.Public, RPID: key.RPID, Nonce: nonce}
}

// AskOlder asks an older key of the same person to vouch for the new one.
func (k *Keys) AskOlder(ctx context.Context, in *Enrolment) (*Question, error) {
	key, _, err := k.newKey(in)
	if err != nil {
		return nil, err
	}
	t := k.issue(forVouching, in.Person.ID, in.Session)
	return k.ask(ctx, in.Person.ID, key.registration(t.Nonce).Challenge(), t)
}

// SignInNonce is the OpenID nonce by which a fresh sign-in binds the new key.
func (k *Keys) SignInNonce(in *Enrolment) (string, error) {
	key, _, err := k.newKey(in)
	if err != nil {
		return "", err
	}
	return key.registration(in.Ticket.Nonce).SignInNonce(), nil
}

// Enrol registers a new key. What binds it decides from when on it counts: an
// older key's signature, at once; a fresh sign-in or an open session, a day
// later; on the deployment's first day a person's first key counts at once,
// since whoever set the deployment up could have named anybody anyway.
func (k *Keys) Enrol(ctx context.Context, in *Enrolment) (*Key, error) {
	key, attested, err := k.newKey(in)
	if err != nil {
		return nil, err
	}
	detail := map[string]string{"attestation": "sha256:" + hex.EncodeToString(attested[:]), "name": key.Name, "nonce": in.Ticket.Nonce}
	began, err := k.began(ctx)
	if err != nil {
		return nil, fmt.Errorf("registering a passkey of %s: %w", in.Person.ID, err)
	}
	err = k.o.Box.Update(ctx, func(w *sealed.Writer) error { return k.enrol(ctx, w, in, key, began, detail) })
	if errors.Is(err, sealed.ErrConflict) {
		err = ErrKnown
	}
	if err != nil {
		return nil, fmt.Errorf("registering a passkey of %s: %w", in.Person.ID, err)
	}
	return key, nil
}

func (k *Keys) enrol(ctx context.Context, w *sealed.Writer, in *Enrolment, key *Key, began time.Time, detail map[string]string) error {
	keys, err := of(ctx, &w.Reader, key.Person)
	if err != nil {
		return err
	}
	open := 0
	for _, old := range keys {
		if old.Revoked.IsZero() {
			open++
		}
	}
	if open >= maxKeys {
		return ErrTooMany
	}
	now := k.now()
	key.Created, key.CountsFrom, key.BoundBy = now, now.Add(evidence.PasskeyWait), evidence.BySession
	switch {
	case len(in.Older) > 0:
		if err := k.vouch(ctx, w, in, key, detail); err != nil {
			return err
		}
		key.CountsFrom, key.BoundBy = now, evidence.ByPasskey
	case len(in.IDToken) > maxToken:
		return fmt.Errorf("%w: the issuer's ID token is too long to be kept: have it name fewer groups", ErrRefused)
	case in.IDToken != "":
		detail["id_token"], detail["account"], key.BoundBy = in.IDToken, in.Account, evidence.BySignIn
	case len(keys) == 0 && now.Before(began.Add(evidence.PasskeyWait)):
		key.CountsFrom, key.BoundBy = now, evidence.ByFirst
	}
	return k.register(ctx, w, key, detail)
}

// register writes the key down. The log's clock may be ahead of ours: a key that
// counts at once counts from its record on.
func (k *Keys) register(ctx context.Context, w *sealed.Writer, key *Key, detail map[string]string) error {
	head, err := w.Tx.Head(ctx)
	if err != nil {
		return err
	}
	if ahead := head.Last.Sub(key.Created); ahead > 0 {
		key.CountsFrom = key.CountsFrom.Add(ahead)
	}
	enc := base64.RawURLEncoding.EncodeToString
	for name, to := range map[string]string{
		"credential": enc(key.Credential), "key": enc(key.Public), "rp_id": key.RPID, "origin": key.Origin,
		"bound_by": key.BoundBy, "counts_from": key.CountsFrom.Format(time.RFC3339Nano),
	} {
		detail[name] = to
	}
	e := &sealed.Entry[Key]{ID: key.ID, Key: key.Person, Value: *key}
	return Kind.Put(ctx, w, e, &audit.Record{Type: audit.TypePasskey, Person: key.Person, Decision: evidence.PasskeyRegistered, Detail: detail})
}

// vouch checks the older key's signature over the new one.
func (k *Keys) vouch(ctx context.Context, w *sealed.Writer, in *Enrolment, key *Key, detail map[string]string) error {
	if err := k.redeem(in.OlderTicket, forVouching, in.Person.ID, in.Session); err != nil {
		return err
	}
	a, err := ParseAssertion(in.Older)
	if err != nil {
		return err
	}
	detail["nonce"] = in.OlderTicket.Nonce
	if err := k.Accept(ctx, w.Tx, key.Person, key.registration(in.OlderTicket.Nonce).Challenge(), a); err != nil {
		return err
	}
	older := map[string]string{}
	a.AssertionDetail(older)
	for name, to := range older {
		detail["by_"+name] = to
	}
	return nil
}

// began is when the deployment began; the log being empty, it begins now.
func (k *Keys) began(ctx context.Context) (time.Time, error) {
	if k.o.Began == nil {
		return time.Time{}, nil
	}
	t, err := k.o.Began(ctx)
	if err == nil && t.IsZero() {
		t = k.now()
	}
	return t, err
}
