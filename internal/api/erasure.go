package api

import (
	"context"
	"net/http"
)

// An ErasureRequest names one person by every name that records may use.
type ErasureRequest struct {
	Names  []string `json:"names" minItems:"1" maxItems:"50" doc:"person:ID, and every other name; what the configuration and accounts tell is added"`
	Reason string   `json:"reason" minLength:"1" maxLength:"2000"`
}

type erasePersonIn struct{ Body ErasureRequest }

func (s *server) erasePerson(ctx context.Context, in *erasePersonIn) (*changeOut, error) {
	p, err := proposal(callerOf(ctx))
	if err != nil {
		return nil, err
	}
	if s.ErasePerson == nil {
		return nil, problem(http.StatusNotFound, "no-erasure", "This server erases nobody.")
	}
	e, err := s.ErasePerson(ctx, in.Body.Names, in.Body.Reason, *p)
	if err != nil {
		return nil, err
	}
	return &changeOut{Body: s.changeView(e)}, nil
}
