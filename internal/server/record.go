package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/enforce"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/session"
	"github.com/assenthq/assent/internal/store"

	"github.com/assenthq/assent/action"
)

// record appends to the decision lane; durable when it returns nil.
func (s *Server) record(ctx context.Context, recs ...*audit.Record) error {
	return s.store.Update(ctx, func(tx approval.Tx) error { return s.auditLog.Append(ctx, tx, recs...) })
}

type recorder struct{ s *Server }

func (r recorder) Record(ctx context.Context, recs ...*audit.Record) error {
	return r.s.record(ctx, recs...)
}

// recordToken puts the change of a credential into the log, in the same transaction.
func (s *Server) recordToken(ctx context.Context, tx identity.TokenTx, c identity.TokenChange) error {
	atx, ok := tx.(audit.Tx)
	if !ok {
		return fmt.Errorf("recording a token: the store's transaction has no log")
	}
	rec := &audit.Record{Type: audit.TypeToken, Subject: c.Token.Subject, Person: c.By, Detail: map[string]string{
		"what": c.What, "token": c.Token.ID, "kind": c.Token.Kind, "expires": c.Token.Expires.UTC().Format(time.RFC3339),
	}}
	for name, value := range map[string]string{"via": c.Token.Origin.Via, "rule": c.Token.Origin.Rule, "for": c.Token.Origin.Foreign, "from": strings.Join(c.Token.Origin.Parents, " "), "certificate": c.Token.Thumbprint} {
		if value != "" {
			rec.Detail[name] = value
		}
	}
	for i, a := range c.Token.Chain {
		if i == 0 {
			rec.Actor = a.ID
		}
		rec.Chain = append(rec.Chain, a.ID)
	}
	return s.auditLog.Append(ctx, atx, rec)
}

// tokenRevoked asks the log what the row of a credential may no longer say.
func tokenRevoked(ctx context.Context, tx identity.TokenTx, id string) (bool, error) {
	stx, ok := tx.(store.Tx)
	if !ok {
		return false, fmt.Errorf("reading a token: the store's transaction has no log")
	}
	return stx.TokenRevoked(ctx, id)
}

const relateEvery = 12 * time.Hour // relations count for 30 days after they were last seen

// relateLoop notes again who is behind each actor, as long as it is so.
func (s *Server) relateLoop(ctx context.Context) {
	tick := time.NewTicker(relateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.engine.Relate(ctx, s.dir.Actors()); err != nil && ctx.Err() == nil {
			s.log.Error("noting who is behind the actors", "err", err)
		}
	}
}

// toSign notes the newest durable head; it never blocks a commit.
func (s *Server) toSign(h audit.Head) {
	for {
		select {
		case s.head <- h:
			return
		default:
		}
		select { // an older head waits: the newer takes its place
		case <-s.head:
		default:
		}
	}
}

const signEvery = 50 * time.Millisecond // many commits share one signature

func (s *Server) signLoop(ctx context.Context) {
	tick := time.NewTicker(signEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case h := <-s.head:
			if h.Size < s.auditLog.Signed().Size {
				continue
			}
			if _, err := s.auditLog.Sign(ctx, h); err != nil && ctx.Err() == nil {
				s.log.Error("signing a checkpoint", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// credentials shows the token store to gates.
type credentials struct {
	door   *actors.Door
	person func(ctx context.Context, session string) (*identity.Asker, error) // of a session at a gate
}

func (c credentials) ByUser(ctx context.Context, user string) (gate.Verifier, error) {
	if caller, err := c.door.ByName(ctx, user); err == nil {
		return gate.Verifier{Credential: caller.Token, Proved: true}, nil
	}
	tok, err := c.door.Tokens.ByUser(ctx, user)
	if err != nil {
		return gate.Verifier{}, err
	}
	return gate.Verifier{Credential: tok.ID, Salt: tok.Salt, Iterations: tok.Iterations, StoredKey: tok.StoredKey, ServerKey: tok.ServerKey}, nil
}

func (c credentials) ByToken(ctx context.Context, token string) (string, error) {
	caller, err := c.door.Check(ctx, token)
	switch {
	case err != nil:
		return "", err
	case caller.Asker == nil || !caller.Has(identity.ScopeAct):
		return "", identity.ErrBadToken
	}
	return caller.Token, nil
}

func (c credentials) ByID(ctx context.Context, id string) (*identity.Asker, error) {
	if of, is := strings.CutPrefix(id, session.CredentialPrefix); is {
		return c.person(ctx, of)
	}
	caller, err := c.door.Proved(ctx, id)
	if err != nil {
		return nil, err
	}
	if caller.Asker == nil {
		return nil, identity.ErrBadToken
	}
	return caller.Asker, nil
}

// personAsks is the person of a session at a gate, who asks for themselves: actor
// and subject are one human being, who reviews nothing of it.
func (s *Server) personAsks(ctx context.Context, id string) (*identity.Asker, error) {
	one, err := s.sessions.Find(ctx, id)
	if errors.Is(err, session.ErrNone) {
		return nil, fmt.Errorf("%w: the session has ended", identity.ErrBadToken)
	}
	if err != nil {
		return nil, err
	}
	p, known := s.dir.Person(one.Key())
	if one.How != session.ByGate || !known || p.Gone || p.ID != one.Person {
		return nil, fmt.Errorf("%w: the session is nobody's here", identity.ErrBadToken)
	}
	return &identity.Asker{
		Subject: p, Chain: []identity.Actor{{ID: p.ID, Type: "human", Owner: p.ID}},
		Credential: session.CredentialPrefix + id, Expires: one.Expires, Scopes: []string{identity.ScopeAct},
	}, nil
}

// revoking ends the open sessions of a token that is revoked.
type revoking struct{ s *Server }

func (r revoking) Mint(ctx context.Context, m identity.MintRequest) (string, *identity.Token, error) {
	// Whoever makes an actor's credential could use it: they are behind the actor from now on.
	if actor, known := r.s.dir.ActorByID(first(m.Actors)); known && m.Kind == identity.KindActor && strings.HasPrefix(m.By, "person:") && m.By != operatorPerson {
		actor.Related = append(slices.Clone(actor.Related), m.By)
		if err := r.s.engine.Relate(ctx, []identity.Actor{actor}); err != nil {
			return "", nil, err
		}
	}
	return r.s.tokens.Mint(ctx, m)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func (r revoking) List(ctx context.Context) ([]identity.Token, error) { return r.s.tokens.List(ctx) }

func (r revoking) Revoke(ctx context.Context, id, by string) error {
	if err := r.s.tokens.Revoke(ctx, id, by); err != nil {
		return err
	}
	r.s.enforcer.CutCredential(id)
	r.s.lookAgain()
	return nil
}

// proving is the log as the API shows it.
type proving struct{ s *Server }

func (p proving) Checkpoint() []byte { return p.s.auditLog.Checkpoint() }

func (p proving) Published() []byte { return p.s.published() }

func (p proving) Tile(ctx context.Context, path string) ([]byte, error) {
	return p.s.auditLog.TileAt(ctx, p.s.store, path)
}

func (p proving) Bundle(ctx context.Context, path string) ([]byte, error) {
	return p.s.auditLog.BundleAt(ctx, p.s.store, path)
}

func (p proving) Proof(ctx context.Context, index int64) ([]byte, error) {
	proof, err := p.s.auditLog.Proof(ctx, p.s.store, index)
	if err != nil {
		return nil, err
	}
	return proof.Text(), nil
}

// apiEnforcer gives the API the enforcer's answers in its own terms.
type apiEnforcer struct{ e *enforce.Enforcer }

func (a apiEnforcer) Evaluate(ctx context.Context, asker identity.Asker, act *action.Action) (api.Evaluation, error) {
	ev, err := a.e.Evaluate(ctx, asker, act)
	return evaluation(ev), err
}

func (a apiEnforcer) Request(ctx context.Context, asker identity.Asker, act *action.Action) (*approval.Approval, error) {
	return a.e.Request(ctx, asker, act)
}

func (a apiEnforcer) RequestPlan(ctx context.Context, asker identity.Asker, acts []*action.Action) (*approval.Approval, error) {
	return a.e.RequestPlan(ctx, asker, acts)
}

func (a apiEnforcer) Redeem(ctx context.Context, asker identity.Asker, act *action.Action, id string) (api.Evaluation, error) {
	ev, err := a.e.Redeem(ctx, asker, act, id)
	return evaluation(ev), err
}

func evaluation(ev enforce.Evaluation) api.Evaluation {
	out := api.Evaluation{Verdict: ev.Verdict, Rule: ev.Rule, Who: ev.Who, Masks: ev.Masks, RowLimit: ev.RowLimit, Grant: ev.Grant}
	for _, r := range ev.Decision.Requirements {
		if out.Expires == 0 || r.Expires > 0 && r.Expires < out.Expires {
			out.Expires = r.Expires
		}
	}
	return out
}
