package actors

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// certified begins the id of a credential that is a client certificate.
const certified = "x509:"

// Certificates finds the actor behind a verified chain.
type Certificates interface {
	Actor(chain []*x509.Certificate) (string, error)
}

// A Door lets actors in by a token or, without one, by the client certificate
// that their connection has shown. A certificate can ask, as an agent's token
// can, and nothing else.
type Door struct {
	Tokens       *identity.Tokens
	Certificates Certificates // nil: none count
	Directory    identity.Directory
	SSH          *SSHKeys              // nil: none count
	Saw          func(*identity.Asker) // told of each actor that Check lets in; may be nil
}

// Check says who presents bearer; "" is who the connection's certificate stands for.
func (d *Door) Check(ctx context.Context, bearer string) (*identity.Caller, error) {
	check := d.byCertificate
	if bearer != "" {
		check = func(ctx context.Context) (*identity.Caller, error) { return d.Tokens.Check(ctx, bearer) }
	}
	c, err := check(ctx)
	if err == nil && c.Asker != nil && d.Saw != nil {
		d.Saw(c.Asker)
	}
	return c, err
}

// Proved says who a credential belongs to that was checked before, as things are now.
func (d *Door) Proved(ctx context.Context, id string) (*identity.Caller, error) {
	switch {
	case isSSH(id):
		return d.byKey(ctx, id)
	case !strings.HasPrefix(id, certified):
		return d.Tokens.Proved(ctx, id)
	}
	c, err := d.byCertificate(ctx)
	if err == nil && c.Token != id {
		return nil, fmt.Errorf("%w: another certificate", identity.ErrBadToken)
	}
	return c, err
}

// ByName is the actor called name at a gate, when the connection's certificate
// stands for it: nothing more is asked.
func (d *Door) ByName(ctx context.Context, name string) (*identity.Caller, error) {
	c, err := d.byCertificate(ctx)
	if err != nil {
		return nil, err
	}
	if _, own, _ := strings.Cut(c.Asker.Chain[0].ID, ":"); own != name || own == "" {
		return nil, fmt.Errorf("%w: the certificate stands for another actor", identity.ErrBadToken)
	}
	return c, nil
}

func (d *Door) byCertificate(ctx context.Context) (*identity.Caller, error) {
	chain := identity.Certificates(ctx)
	if d.Certificates == nil || len(chain) == 0 {
		return nil, identity.ErrBadToken
	}
	id, err := d.Certificates.Actor(chain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", identity.ErrBadToken, err)
	}
	return d.caller(id, certified+identity.Thumbprint(chain[0]), chain[0].NotAfter)
}

// caller is an actor with a credential that is no token; expires may be zero.
func (d *Door) caller(id, credential string, expires time.Time) (*identity.Caller, error) {
	actor, known := d.Directory.ActorByID(id)
	if !known {
		return nil, fmt.Errorf("%w: no actor %q", identity.ErrBadToken, id)
	}
	scopes := []string{identity.ScopeAct}
	a := &identity.Asker{Chain: []identity.Actor{actor}, Credential: credential, Expires: expires, Scopes: scopes}
	if actor.Owner != "" {
		if a.Subject, known = d.Directory.Person(actor.Owner); !known {
			return nil, fmt.Errorf("%w: no person %q", identity.ErrBadToken, actor.Owner)
		}
	}
	return &identity.Caller{Token: a.Credential, Kind: identity.KindActor, Scopes: scopes, Expires: a.Expires, Asker: a}, nil
}
