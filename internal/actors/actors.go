// Package actors gives agents, pipelines and services their credentials: it
// exchanges a person's credential, a pipeline's own token or an agent's task for
// a short-lived token of an actor (RFC 8693).
//
// It promises that what it issues can ask and nothing else, that it ends no later
// than anything it was made from and as soon as any of that is revoked, and that
// everybody behind what it was made from stays out of reviewing. It gives nobody
// an actor that isn't theirs, and no actor another's task without that actor's word.
package actors

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/workload"
)

// Tokens is what the desk asks of the store of credentials.
type Tokens interface {
	Check(ctx context.Context, bearer string) (*identity.Caller, error)
	Describe(ctx context.Context, id string) (*identity.Token, error)
	Mint(ctx context.Context, m identity.MintRequest) (string, *identity.Token, error)
}

// Workloads checks tokens that others issued.
type Workloads interface {
	Verify(ctx context.Context, token, actor string) (*workload.Proof, error)
}

// Options are what a Desk works with. All but Refused, Logger and Clock are needed.
type Options struct {
	Tokens    Tokens
	Workloads Workloads
	Directory identity.Directory
	// Relate notes who is behind an actor: they review nothing that it asks for 30 days.
	Relate func(ctx context.Context, actors []identity.Actor) error
	// Refused records that somebody who proved who they are was refused.
	Refused  func(ctx context.Context, actor, detail string)
	Audience string // what an audience or resource parameter may say: our own public URL
	Machine  string // id of the person that stands for commands on the server's machine: nobody acts for it
	Logger   *slog.Logger
	Clock    func() time.Time
}

// A Desk exchanges credentials. It is safe for concurrent use.
type Desk struct{ o Options }

// New refuses to work without its parts.
func New(o Options) (*Desk, error) {
	if o.Tokens == nil || o.Workloads == nil || o.Directory == nil || o.Relate == nil {
		return nil, errors.New("exchanging credentials needs tokens, workloads, a directory and a record of relations")
	}
	if o.Refused == nil {
		o.Refused = func(context.Context, string, string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Desk{o: o}, nil
}
