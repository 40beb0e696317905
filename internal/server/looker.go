package server

import (
	"context"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/mask"
)

// looker looks into what callers of the API send.
func (s *Server) looker(k *keys) *api.Looker {
	return &api.Looker{
		Engine: s.detect,
		Masks:  mask.New(k.mask, s.detect).For,
		Record: func(ctx context.Context, r *audit.Record) error { return s.record(ctx, r) },
	}
}
