package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/identity"
)

// A Registry keeps the actors that people registered.
type Registry interface {
	List() []actors.View
	Register(ctx context.Context, p *identity.Person, typ, name string) (identity.Actor, error)
	Retire(ctx context.Context, p *identity.Person, admin bool, id string) error
}

// An ActorView is who acts, and for whom.
type ActorView struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Owner      string    `json:"owner,omitempty" doc:"Person behind it"`
	Related    []string  `json:"related,omitempty" doc:"Further people who never review what it asks"`
	MayAct     []string  `json:"may_act,omitempty" doc:"Actors that may take its tasks over"`
	Registered time.Time `json:"registered,omitzero" doc:"When its owner registered it; not there: it is configured"`
	Retired    time.Time `json:"retired,omitzero"`
	LastSeen   time.Time `json:"last_seen,omitzero" doc:"To the hour, once the server was started again"`
	Credential string    `json:"credential,omitempty" doc:"It came with then: a token's id, or x5t#S256 of its certificate"`
}

// ActorList is every actor, in the order of their ids.
type ActorList struct {
	Actors []ActorView `json:"actors"`
}

// A NewActor is an actor to be registered; whoever does is its owner.
type NewActor struct {
	Name string `json:"name" minLength:"1" maxLength:"63" pattern:"^[a-z0-9][a-z0-9._-]*$"`
	Type string `json:"type,omitempty" enum:"agent,pipeline,service" default:"agent"`
}

type (
	listActorsOut    struct{ Body ActorList }
	registerActorIn  struct{ Body NewActor }
	registerActorOut struct{ Body ActorView }
	retireActorIn    struct {
		ID string `path:"id" maxLength:"80"`
	}
)

func (s *server) listActors(context.Context, *nothing) (*listActorsOut, error) {
	out := &listActorsOut{Body: ActorList{Actors: []ActorView{}}}
	for _, v := range s.Actors.List() {
		out.Body.Actors = append(out.Body.Actors, ActorView{
			ID: v.ID, Type: v.Type, Owner: v.Owner, Related: v.Related, MayAct: v.MayAct, Registered: v.Registered, Retired: v.Retired, LastSeen: v.Seen.Truncate(time.Minute), Credential: v.Credential,
		})
	}
	return out, nil
}

func (s *server) registerActor(ctx context.Context, in *registerActorIn) (*registerActorOut, error) {
	p := callerOf(ctx).Person
	if p == nil || p.ID == s.Machine {
		return nil, problem(http.StatusForbidden, "scope", "The server's own credential stands for nobody who could own an actor. Use a person's.")
	}
	typ := in.Body.Type
	if typ == "" {
		typ = "agent"
	}
	a, err := s.Actors.Register(ctx, p, typ, in.Body.Name)
	if err != nil {
		return nil, actorProblem(err)
	}
	return &registerActorOut{Body: ActorView{ID: a.ID, Type: a.Type, Owner: a.Owner, Registered: s.Clock().UTC()}}, nil
}

func (s *server) retireActor(ctx context.Context, in *retireActorIn) (*nothing, error) {
	c := callerOf(ctx)
	return nil, actorProblem(s.Actors.Retire(ctx, c.Person, c.Has(identity.ScopeAdmin), in.ID))
}

// actorProblem is an error of the registry as it may be told.
func actorProblem(err error) error {
	switch {
	case errors.Is(err, actors.ErrName), errors.Is(err, actors.ErrTooMany):
		return problem(http.StatusConflict, "conflict", err.Error())
	case errors.Is(err, actors.ErrNotYour):
		return problem(http.StatusNotFound, "not-found", err.Error())
	}
	return err
}
