package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// How a credential came to be. The zero value is an administrator's own hand.
const (
	ViaPerson      = "person"      // its owner, or an administrator, exchanged a credential for it
	ViaWorkload    = "workload"    // a rule of the configuration vouched for a foreign token
	ViaDelegation  = "delegation"  // an actor took over another's task, with both their tokens
	ViaCertificate = "certificate" // no token: a client certificate
)

// MaxChain is how many actors may stand between a person and an action.
const MaxChain = 4

// maxParents bounds what is read when a credential is used.
const maxParents = 16

// ErrReplay says that what may be exchanged once was exchanged already.
var ErrReplay = errors.New("this was exchanged already, and counts once")

// An Origin says what a credential stands on. It ends with any of that: a parent
// that is revoked, a rule that is no more, a minter who left or no longer owns.
type Origin struct {
	Via     string   `json:"via,omitempty"`
	Rule    string   `json:"rule,omitempty"`    // workload rule, or certificate's
	Foreign string   `json:"foreign,omitempty"` // issuer and subject of the foreign token
	Owner   string   `json:"owner,omitempty"`   // person who minted it as the actor's owner
	Parents []string `json:"parents,omitempty"` // ids of credentials that it was made from, and of theirs
	Related []string `json:"related,omitempty"` // people behind those; excluded as long as it lives
}

type certificatesKey struct{}

// WithCertificates notes the client certificates of a connection, the client's
// own first, once TLS has verified them.
func WithCertificates(ctx context.Context, chain []*x509.Certificate) context.Context {
	if len(chain) == 0 {
		return ctx
	}
	return context.WithValue(ctx, certificatesKey{}, chain)
}

// Certificates are what WithCertificates noted; nil: none.
func Certificates(ctx context.Context) []*x509.Certificate {
	chain, _ := ctx.Value(certificatesKey{}).([]*x509.Certificate)
	return chain
}

// Thumbprint is a certificate's x5t#S256 (RFC 8705 section 3.1).
func Thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// bound refuses a token that is bound to a certificate on any connection that
// didn't show it. A caller that knows nothing of certificates is refused too.
func (tok *Token) bound(ctx context.Context) error {
	if tok.Thumbprint == "" {
		return nil
	}
	chain := Certificates(ctx)
	if len(chain) == 0 || Thumbprint(chain[0]) != tok.Thumbprint {
		return fmt.Errorf("%w: it is bound to a client certificate that this connection has not shown", ErrBadToken)
	}
	return nil
}

// stands reads what a credential was made from: once one of these no longer
// counts, for whatever reason, neither does it.
func (t *Tokens) stands(ctx context.Context, tx TokenTx, tok *Token) error {
	for _, id := range tok.Origin.Parents {
		row, err := tx.TokenByID(ctx, id)
		if errors.Is(err, ErrNoToken) {
			return fmt.Errorf("%w: credential %s, from which it was made, is gone", ErrBadToken, id)
		}
		if err != nil {
			return err
		}
		parent, err := t.read(ctx, tx, row)
		if err != nil {
			return err
		}
		if parent.ID != id || !parent.live(t.o.Clock()) {
			return fmt.Errorf("%w: credential %s, from which it was made, has ended", ErrBadToken, id)
		}
		if _, err := t.caller(parent); err != nil {
			return fmt.Errorf("credential %s, from which it was made: %w", id, err)
		}
	}
	return nil
}

// origin holds what a credential stands on against the directory and the rules
// as they are now. chain is what the directory says of its actors.
func (t *Tokens) origin(tok *Token, chain []Actor) error {
	o := &tok.Origin
	switch o.Via {
	case "":
		return nil
	case ViaPerson:
		if _, known := t.o.Directory.Person(tok.CreatedBy); !known {
			return fmt.Errorf("%w: who minted it is no longer known", ErrBadToken)
		}
		if o.Owner != "" && chain[0].Owner != o.Owner {
			return fmt.Errorf("%w: who minted it no longer owns %s", ErrBadToken, chain[0].ID)
		}
		return nil
	case ViaWorkload:
		if len(chain) != 1 || t.o.Rule == nil || !t.o.Rule(o.Rule, chain[0].ID) {
			return fmt.Errorf("%w: rule %q, by which it was issued, is no more", ErrBadToken, o.Rule)
		}
		return nil
	case ViaDelegation:
		if len(chain) < 2 || len(o.Parents) < 2 {
			return fmt.Errorf("%w: a delegation without a chain", ErrBadToken)
		}
		for i := range chain[1:] {
			if !slices.Contains(chain[i+1].MayAct, chain[i].ID) {
				return fmt.Errorf("%w: %s may not act for %s", ErrBadToken, chain[i].ID, chain[i+1].ID)
			}
		}
		return nil
	}
	return fmt.Errorf("%w: made in a way that is not known here", ErrBadToken)
}

// onceID is the id of the one token that may be made of once: making a second
// one finds the first, on any replica and after a restart.
func (t *Tokens) onceID(once string) string {
	h := hmac.New(sha256.New, t.o.SealKey)
	h.Write([]byte("assent-once/1\x00" + once))
	sum := h.Sum(nil)
	id := make([]byte, tokenIDLen)
	for i := range id {
		id[i] = base32Digits[sum[i]&31]
	}
	return string(id)
}

// Inherit is the origin of a delegation: actor's and subject's credentials, with
// everything that either stood on.
func Inherit(actor, subject *Token) (Origin, error) {
	o := Origin{Via: ViaDelegation}
	add := func(list []string, more ...string) []string {
		for _, m := range more {
			if m != "" && !slices.Contains(list, m) {
				list = append(list, m)
			}
		}
		return list
	}
	for _, tok := range []*Token{actor, subject} {
		o.Parents = add(o.Parents, tok.ID)
		o.Parents = add(o.Parents, tok.Origin.Parents...)
		o.Related = add(o.Related, tok.Origin.Related...)
		o.Related = add(o.Related, tok.Subject)
		if tok.Origin.Via != "" || strings.HasPrefix(tok.CreatedBy, "person:") {
			o.Related = add(o.Related, tok.CreatedBy)
		}
		for _, a := range tok.Chain {
			o.Related = add(o.Related, a.Owner)
			o.Related = add(o.Related, a.Related...)
		}
	}
	if len(o.Parents) > maxParents {
		return Origin{}, fmt.Errorf("a credential made from more than %d others", maxParents)
	}
	return o, nil
}
