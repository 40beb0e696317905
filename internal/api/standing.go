package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// Standings are the standing grants: bounded permissions minted by a whole quorum.
type Standings interface {
	Standings(ctx context.Context) ([]approval.StandingEntry, error)
	Revoke(ctx context.Context, id string, by identity.Person, why string) (approval.StandingEntry, error)
	Coverable(a *approval.Approval, s approval.Scope) error
}

// A StandingScope is what a reviewer allows beyond the one action. It counts
// only if every review of the quorum asks for one; the narrowest of all holds.
type StandingScope struct {
	Uses       int    `json:"uses" minimum:"1" maximum:"1000000" doc:"How often at most"`
	ForSeconds int    `json:"for_seconds" minimum:"60" maximum:"31622400" doc:"How long, once everybody has approved"`
	Values     string `json:"values,omitempty" enum:"same,any" default:"same" doc:"same: the same action byte for byte. any: other literals in the same places, where something bounds the rows"`
}

func (s *StandingScope) scope() *approval.Scope {
	if s == nil {
		return nil
	}
	values := s.Values
	if values == "" {
		values = approval.SameValues
	}
	return &approval.Scope{Uses: s.Uses, For: time.Duration(s.ForSeconds) * time.Second, Values: values}
}

// A StandingView is a standing grant.
type StandingView struct {
	ID        string    `json:"id"`
	Live      bool      `json:"live" doc:"It covers something now"`
	Approval  string    `json:"approval" doc:"Whose reviews it stands on"`
	Title     string    `json:"title"`
	Statement string    `json:"statement" doc:"Masked"`
	Values    string    `json:"values" enum:"same,any"`
	Kinds     []string  `json:"kinds"`
	Actor     string    `json:"actor"`
	Subject   string    `json:"subject,omitempty"`
	Resource  string    `json:"resource"`
	Env       string    `json:"env,omitempty"`
	Gate      string    `json:"gate,omitempty"`
	Classes   []string  `json:"classes,omitempty"`
	Rows      *int64    `json:"rows,omitempty" doc:"Most rows of one use"`
	Reviewers []string  `json:"reviewers"`
	Uses      int       `json:"uses"`
	Used      int       `json:"used"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
	Why       string    `json:"why,omitempty"`
}

func standingView(e approval.StandingEntry, now time.Time) StandingView {
	v := StandingView{
		ID: e.ID, Live: e.Live(now), Approval: e.Approval, Title: e.Title, Statement: e.Statement, Values: e.Values, Subject: e.Subject,
		Resource: e.Resource.URN, Env: e.Resource.Env, Gate: e.Gate, Classes: e.Classes, Rows: known(e.Rows), Reviewers: e.Reviewers,
		Uses: e.Uses, Used: e.Used, Since: e.Since, Until: e.Until, Revoked: e.Revoked, RevokedBy: e.RevokedBy, Why: e.Why,
	}
	if len(e.Actors) > 0 {
		v.Actor = e.Actors[0].ID
	}
	for _, k := range e.Kinds {
		v.Kinds = append(v.Kinds, string(k))
	}
	return v
}

// A StandingList is every standing grant, newest first.
type StandingList struct {
	Standing []StandingView `json:"standing"`
}

type listStandingOut struct{ Body StandingList }

func (s *server) listStanding(ctx context.Context, _ *nothing) (*listStandingOut, error) {
	all, err := s.Standings.Standings(ctx)
	if err != nil {
		return nil, err
	}
	out := &listStandingOut{Body: StandingList{Standing: []StandingView{}}}
	for _, e := range all {
		out.Body.Standing = append(out.Body.Standing, standingView(e, s.Clock()))
	}
	return out, nil
}

// A RevokeRequest says why a standing grant ends.
type RevokeRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

type revokeStandingIn struct {
	ID   string `path:"id" maxLength:"64" pattern:"^stg_[0-9a-z]+$"`
	Body RevokeRequest
}

type standingOut struct{ Body StandingView }

func (s *server) revokeStanding(ctx context.Context, in *revokeStandingIn) (*standingOut, error) {
	c := callerOf(ctx)
	if c.Person == nil {
		return nil, problem(http.StatusForbidden, "scope", "People revoke; nothing else does.")
	}
	e, err := s.Standings.Revoke(ctx, in.ID, *c.Person, strings.TrimSpace(in.Body.Reason))
	if err != nil {
		return nil, err
	}
	return &standingOut{Body: standingView(e, s.Clock())}, nil
}

// A StandingPreview is what a standing grant would have covered lately.
type StandingPreview struct {
	May      bool      `json:"may" doc:"A standing grant of this scope can be asked for"`
	Why      string    `json:"why,omitempty" doc:"Why not"`
	Since    time.Time `json:"since"`
	Asked    int       `json:"asked" doc:"Actions of this shape by this actor on this resource"`
	Same     int       `json:"same" doc:"Of them with the same text, as far as its masked form tells"`
	Denied   int       `json:"denied"`
	Examples []string  `json:"examples" doc:"Different texts among them, masked"`
	Partial  bool      `json:"partial,omitempty" doc:"There is more than was looked at"`
}

type previewStandingIn struct {
	ID         string `path:"id" maxLength:"64" pattern:"^apr_[0-9A-Za-z]+$"`
	Uses       int    `query:"uses" minimum:"1" maximum:"1000000" default:"1"`
	ForSeconds int    `query:"for_seconds" minimum:"60" maximum:"31622400" default:"60"`
	Values     string `query:"values" enum:"same,any" default:"same"`
}

type previewStandingOut struct{ Body StandingPreview }

func (s *server) previewStanding(ctx context.Context, in *previewStandingIn) (*previewStandingOut, error) {
	a, err := s.Approvals.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	past, err := approval.PastOf(ctx, s.Audit, a, s.Clock())
	if err != nil {
		return nil, err
	}
	out := StandingPreview{May: true, Since: past.Since, Asked: past.Asked, Same: past.Same, Denied: past.Denied, Examples: past.Examples, Partial: past.Partial}
	if out.Examples == nil {
		out.Examples = []string{}
	}
	scope := &StandingScope{Uses: in.Uses, ForSeconds: in.ForSeconds, Values: in.Values}
	if err := s.Standings.Coverable(a, *scope.scope()); err != nil {
		out.May, out.Why = false, err.Error()
	}
	return &previewStandingOut{Body: out}, nil
}

func standingProblem(err error) *Problem {
	var no *approval.StandingError
	if errors.As(err, &no) {
		return problem(http.StatusUnprocessableEntity, "standing", "Such a standing grant can't be had: "+no.Why+".")
	}
	return nil
}
