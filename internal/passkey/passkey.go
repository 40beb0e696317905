// Package passkey keeps people's passkeys and checks what they sign: that a
// decision was made by the holder of a key that was bound to this person
// before, present and verified by the authenticator, over exactly this
// decision, once.
//
// A key is bound by an older key of the same person, by a fresh sign-in whose
// nonce names it, or by an open session alone; only the first counts at once.
// What can't be checked to the end is refused. Keys are sealed rows, so that a
// row edited, put back or taken away is found.
package passkey

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// Kind names the sealed rows.
const Kind sealed.Kind[Key] = "passkey"

// maxKeys bounds the keys of one person that aren't revoked.
const maxKeys = 20

// Errors of this package. What isn't on the list is an error of ours, and means no too.
var (
	ErrUnusable = errors.New("passkeys can't be used here")
	ErrNoKey    = errors.New("this person has no passkey that counts")
	ErrRefused  = errors.New("the passkey's answer is refused")
	ErrCloned   = fmt.Errorf("%w: its counter went back, so there may be a second copy of it; revoke it and register another", ErrRefused)
	ErrLate     = fmt.Errorf("%w: it came too late; try again", ErrRefused)
	ErrTooMany  = errors.New("this person has too many passkeys: revoke one first")
	ErrKnown    = errors.New("this passkey is registered already")
	ErrNotFound = errors.New("there is no such passkey")
)

// A Key is one person's passkey, as its sealed row holds it.
type Key struct {
	Person     string   `json:"person"`
	Name       string   `json:"name,omitempty"` // what its owner calls it
	Credential []byte   `json:"credential"`
	Public     []byte   `json:"public"` // DER SubjectPublicKeyInfo
	COSE       []byte   `json:"cose"`   // the same key, as it was registered
	RPID       string   `json:"rp_id"`
	Origin     string   `json:"origin"` // where it was registered
	Transports []string `json:"transports,omitempty"`
	Eligible   bool     `json:"eligible,omitempty"` // may be synchronised between devices
	BackedUp   bool     `json:"backed_up,omitempty"`
	Count      uint32   `json:"count,omitempty"`
	BoundBy    string   `json:"bound_by"` // evidence.ByPasskey and its like

	Created    time.Time `json:"created"`
	CountsFrom time.Time `json:"counts_from"`
	Revoked    time.Time `json:"revoked,omitzero"`
	RevokedBy  string    `json:"revoked_by,omitempty"`
	Why        string    `json:"why,omitempty"`

	ID string `json:"-"`
}

// Live reports whether the key counts at a time.
func (k *Key) Live(at time.Time) bool { return k.Revoked.IsZero() && !at.Before(k.CountsFrom) }

// Options say what Keys work with. Box, PublicURL and Secret are needed.
type Options struct {
	Box       *sealed.Box
	PublicURL string // of the console: its host is the relying party
	Secret    []byte // at least 32 bytes, kept outside the store; signs tickets
	// Began is when this deployment's log began; nil: long ago.
	Began func(ctx context.Context) (time.Time, error)
	Clock func() time.Time
}

// Keys are the passkeys of a deployment. They are safe for concurrent use, and
// several processes may share one store.
type Keys struct {
	o      Options
	site   evidence.Site
	lib    *webauthn.WebAuthn
	why    string // not empty: passkeys can't be used here
	secret []byte
}

// New refuses to work with anything missing. Under a public URL that has no
// name passkeys can't be used; Usable says so.
func New(o Options) (*Keys, error) {
	if o.Box == nil || len(o.Secret) < 32 {
		return nil, errors.New("passkeys need sealed rows and a secret of 32 bytes")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	u, err := url.Parse(o.PublicURL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("passkeys: the public URL %q names no host", o.PublicURL)
	}
	k := &Keys{o: o, site: evidence.Site{RPID: u.Hostname(), Origin: strings.ToLower(u.Scheme + "://" + u.Host)}}
	h := hmac.New(sha256.New, o.Secret)
	h.Write([]byte("assent-passkey-ticket/1"))
	k.secret = h.Sum(nil)
	if why := unusable(u); why != "" {
		k.why = why
		return k, nil
	}
	k.lib, err = webauthn.New(&webauthn.Config{
		RPID: k.site.RPID, RPDisplayName: "Assent", RPOrigins: []string{k.site.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	return k, nil
}

// Unusable says why browsers would refuse passkeys at a public URL; "" where they don't.
func Unusable(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil || u.Host == "" {
		return "the public URL names no host"
	}
	return unusable(u)
}

// unusable says why browsers would refuse passkeys at u.
func unusable(u *url.URL) string {
	switch {
	case net.ParseIP(u.Hostname()) != nil:
		return fmt.Sprintf("browsers bind passkeys to names, and %s is an address: set public_url to a name (http://localhost:PORT on one machine)", u.Hostname())
	case u.Scheme != "https" && u.Hostname() != "localhost":
		return "browsers offer passkeys over https only: set public_url to an https address"
	}
	return ""
}

// Usable errs where browsers would refuse passkeys, and says what to change.
func (k *Keys) Usable() error {
	if k.why != "" {
		return fmt.Errorf("%w: %s", ErrUnusable, k.why)
	}
	return nil
}

func (k *Keys) now() time.Time { return k.o.Clock().UTC().Truncate(time.Microsecond) }

// Of lists a person's keys, revoked ones too, the oldest first.
func (k *Keys) Of(ctx context.Context, person string) (out []Key, err error) {
	err = k.o.Box.View(ctx, func(r *sealed.Reader) error {
		out, err = of(ctx, r, person)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the passkeys of %s: %w", person, err)
	}
	return out, nil
}

// of errs when one of the kind is missing: a key that was taken away could be registered anew.
func of(ctx context.Context, r *sealed.Reader, person string) ([]Key, error) {
	all, err := Kind.All(ctx, r)
	if err != nil {
		return nil, err
	}
	var out []Key
	for _, e := range all {
		if person == "" || e.Value.Person == person {
			e.Value.ID = e.ID
			out = append(out, e.Value)
		}
	}
	sortKeys(out)
	return out, nil
}

// All lists everybody's keys, the oldest first.
func (k *Keys) All(ctx context.Context) ([]Key, error) {
	var out []Key
	err := k.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		out, err = of(ctx, r, "")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing passkeys: %w", err)
	}
	return out, nil
}

// Has reports whether a person has a key that counts now.
func (k *Keys) Has(ctx context.Context, person string) (bool, error) {
	if k.why != "" {
		return false, nil
	}
	keys, err := k.Of(ctx, person)
	if err != nil {
		return false, err
	}
	return len(live(keys, k.now())) > 0, nil
}

func live(keys []Key, at time.Time) []Key {
	var out []Key
	for _, k := range keys {
		if k.Live(at) {
			out = append(out, k)
		}
	}
	return out
}

// Revoke ends a key for good. owner is whose key it must be; "": anybody's.
func (k *Keys) Revoke(ctx context.Context, id, owner, by, why string) error {
	err := k.o.Box.Update(ctx, func(w *sealed.Writer) error {
		e, err := Kind.Get(ctx, &w.Reader, id)
		if errors.Is(err, sealed.ErrNotFound) || err == nil && owner != "" && e.Value.Person != owner {
			return ErrNotFound
		}
		if err != nil || !e.Value.Revoked.IsZero() {
			return err
		}
		e.Value.Revoked, e.Value.RevokedBy, e.Value.Why = k.now(), by, why
		return Kind.Put(ctx, w, e, &audit.Record{
			Type: audit.TypePasskey, Person: e.Value.Person, Decision: evidence.PasskeyRevoked,
			Detail: map[string]string{"by": by, "why": why},
		})
	})
	if err != nil {
		return fmt.Errorf("revoking passkey %s: %w", id, err)
	}
	return nil
}
