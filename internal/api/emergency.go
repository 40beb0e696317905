package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/emergency"
	"github.com/assenthq/assent/internal/identity"
)

// A Glass is broken by people in an emergency, and others look at it afterwards.
type Glass interface {
	Break(ctx context.Context, by identity.Person, assurance, actor, resource, reason string, life time.Duration) (emergency.Entry, error)
	Review(ctx context.Context, id string, by identity.Person, assurance, verdict, note string) (emergency.Entry, error)
	List(ctx context.Context) ([]emergency.Entry, error)
}

// An EmergencyView is the glass once broken.
type EmergencyView struct {
	ID         string    `json:"id"`
	Actor      string    `json:"actor"`
	Resource   string    `json:"resource"`
	By         Party     `json:"by"`
	Reason     string    `json:"reason"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"`
	ReviewBy   time.Time `json:"review_by" doc:"Unless somebody else has reviewed it by then, who broke the glass and the actor are frozen"`
	Ran        int       `json:"ran" doc:"Actions that ran without waiting"`
	State      string    `json:"state" enum:"open,reviewed,overdue"`
	Reviewer   string    `json:"reviewer,omitempty"`
	ReviewedAt time.Time `json:"reviewed_at,omitzero"`
	Verdict    string    `json:"verdict,omitempty" enum:"justified,wrong"`
	Note       string    `json:"note,omitempty"`
}

func emergencyView(e emergency.Entry) EmergencyView {
	return EmergencyView{
		ID: e.ID, Actor: e.Actor, Resource: e.Resource, By: Party{ID: e.Person, Name: e.Name}, Reason: e.Reason, Since: e.Since, Until: e.Until,
		ReviewBy: e.ReviewBy, Ran: e.Ran, State: e.State, Reviewer: e.Reviewer, ReviewedAt: e.ReviewedAt, Verdict: e.Verdict, Note: e.Note,
	}
}

// An EmergencyList is every emergency, newest first.
type EmergencyList struct {
	Emergencies []EmergencyView `json:"emergencies"`
}

type listEmergenciesOut struct{ Body EmergencyList }

func (s *server) listEmergencies(ctx context.Context, _ *nothing) (*listEmergenciesOut, error) {
	all, err := s.Glass.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &listEmergenciesOut{Body: EmergencyList{Emergencies: []EmergencyView{}}}
	for _, e := range all {
		out.Body.Emergencies = append(out.Body.Emergencies, emergencyView(e))
	}
	return out, nil
}

// A BreakRequest says for whom, where, how long and why nobody is waited for.
type BreakRequest struct {
	Actor    string `json:"actor" minLength:"1" maxLength:"256"`
	Resource string `json:"resource" minLength:"1" maxLength:"512" doc:"URN, or the beginning of it up to a slash"`
	Seconds  int    `json:"seconds" minimum:"60" maximum:"86400"`
	Reason   string `json:"reason" minLength:"1" maxLength:"2000"`
}

type breakIn struct{ Body BreakRequest }

type emergencyOut struct{ Body EmergencyView }

func (s *server) breakGlass(ctx context.Context, in *breakIn) (*emergencyOut, error) {
	c := callerOf(ctx)
	if c.Person == nil {
		return nil, problem(http.StatusForbidden, "scope", "People break the glass; nothing else does.")
	}
	e, err := s.Glass.Break(ctx, *c.Person, byToken, in.Body.Actor, in.Body.Resource, in.Body.Reason, time.Duration(in.Body.Seconds)*time.Second)
	if err != nil {
		return nil, s.inConsole(err)
	}
	return &emergencyOut{Body: emergencyView(e)}, nil
}

// An EmergencyReview is what somebody else found afterwards.
type EmergencyReview struct {
	Verdict string `json:"verdict" enum:"justified,wrong" doc:"wrong freezes who broke the glass, and the actor"`
	Note    string `json:"note" minLength:"1" maxLength:"2000"`
}

type reviewEmergencyIn struct {
	ID   string `path:"id" maxLength:"64" pattern:"^emg_[0-9a-z]+$"`
	Body EmergencyReview
}

func (s *server) reviewEmergency(ctx context.Context, in *reviewEmergencyIn) (*emergencyOut, error) {
	c := callerOf(ctx)
	if c.Person == nil {
		return nil, problem(http.StatusForbidden, "scope", "People review; nothing else does.")
	}
	e, err := s.Glass.Review(ctx, in.ID, *c.Person, byToken, in.Body.Verdict, in.Body.Note)
	if err != nil {
		return nil, s.inConsole(err)
	}
	return &emergencyOut{Body: emergencyView(e)}, nil
}

// byToken is what a caller of this API has shown.
const byToken = "token"

// inConsole says where to go to whom a token is too little.
func (s *server) inConsole(err error) error {
	if !errors.Is(err, emergency.ErrAssurance) {
		return err
	}
	return problem(http.StatusForbidden, "assurance", "This takes a signed-in session in the console, at "+s.base+"/emergencies: a token is too little (break_glass.assurance).")
}

func glassProblem(err error) *Problem {
	switch {
	case errors.Is(err, emergency.ErrRight):
		return problem(http.StatusForbidden, "break-glass", emergency.ErrRight.Error())
	case errors.Is(err, emergency.ErrOwn):
		return problem(http.StatusForbidden, "excluded", emergency.ErrOwn.Error())
	case errors.Is(err, emergency.ErrBounds):
		return problem(http.StatusUnprocessableEntity, "invalid", emergency.ErrBounds.Error())
	case errors.Is(err, emergency.ErrDone):
		return problem(http.StatusConflict, "reviewed", emergency.ErrDone.Error())
	}
	return nil
}
