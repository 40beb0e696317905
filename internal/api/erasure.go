package api

import (
	"context"

	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/erase"
	rows "github.com/assenthq/assent/internal/sealed"
)

// Privacy erases people, and keeps from erasure what must be kept. Each takes two administrators.
type Privacy interface {
	ErasePerson(ctx context.Context, names []string, reason string, p change.Proposal) (change.Entry, error)
	Hold(ctx context.Context, h erase.HoldRequest, reason string, p change.Proposal) (change.Entry, error)
	Holds(ctx context.Context) ([]*rows.Entry[erase.Hold], error)
}

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
	if s.Privacy == nil {
		return nil, errNoErasure
	}
	e, err := s.Privacy.ErasePerson(ctx, in.Body.Names, in.Body.Reason, *p)
	if err != nil {
		return nil, err
	}
	return &changeOut{Body: s.changeView(e)}, nil
}
