package api

import (
	"context"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/erase"
)

// A LegalHoldRequest says what is kept from erasure.
type LegalHoldRequest struct {
	Names  []string  `json:"names,omitempty" maxItems:"50" doc:"Of one person: person:ID, and every other name; none: everybody"`
	From   time.Time `json:"from,omitzero" doc:"Records from then on"`
	Until  time.Time `json:"until,omitzero" doc:"Records before then"`
	Reason string    `json:"reason" minLength:"1" maxLength:"2000"`
}

// A LegalReleaseRequest says why a hold ends.
type LegalReleaseRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// A HoldView is one legal hold.
type HoldView struct {
	ID    string    `json:"id"`
	State string    `json:"state" enum:"held,released"`
	Names []string  `json:"names,omitempty"`
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	At    time.Time `json:"at"`
}

// A HoldList is every legal hold that was ever placed.
type HoldList struct {
	Holds []HoldView `json:"holds"`
}

type (
	placeHoldIn   struct{ Body LegalHoldRequest }
	releaseHoldIn struct {
		ID   string `path:"id" maxLength:"64" pattern:"^chg_[0-9a-z]+$"`
		Body LegalReleaseRequest
	}
	listHoldsOut struct{ Body HoldList }
)

func (s *server) placeHold(ctx context.Context, in *placeHoldIn) (*changeOut, error) {
	b := &in.Body
	return s.hold(ctx, erase.HoldRequest{Names: b.Names, From: b.From, Until: b.Until}, b.Reason)
}

func (s *server) releaseHold(ctx context.Context, in *releaseHoldIn) (*changeOut, error) {
	return s.hold(ctx, erase.HoldRequest{Release: in.ID}, in.Body.Reason)
}

func (s *server) hold(ctx context.Context, h erase.HoldRequest, reason string) (*changeOut, error) {
	p, err := proposal(callerOf(ctx))
	if err != nil {
		return nil, err
	}
	if s.Privacy == nil {
		return nil, errNoErasure
	}
	e, err := s.Privacy.Hold(ctx, h, reason, *p)
	if err != nil {
		return nil, err
	}
	return &changeOut{Body: s.changeView(e)}, nil
}

func (s *server) listHolds(ctx context.Context, _ *nothing) (*listHoldsOut, error) {
	if s.Privacy == nil {
		return nil, errNoErasure
	}
	all, err := s.Privacy.Holds(ctx)
	if err != nil {
		return nil, err
	}
	out := &listHoldsOut{Body: HoldList{Holds: []HoldView{}}}
	for _, h := range all {
		out.Body.Holds = append(out.Body.Holds, HoldView{ID: h.ID, State: h.Key, Names: h.Value.Names, From: h.Value.From, Until: h.Value.Until, At: h.Value.At})
	}
	return out, nil
}

var errNoErasure = problem(http.StatusNotFound, "no-erasure", "This server erases nobody.")
