package server

import (
	"context"

	"github.com/assenthq/assent/internal/console"
	"github.com/assenthq/assent/internal/sealed"
)

// inForce is what the console shows of the policy.
func (s *Server) inForce(ctx context.Context) (console.PolicyInForce, error) {
	p := console.PolicyInForce{Set: s.policy.Current()}
	err := s.box.View(ctx, func(r *sealed.Reader) error {
		e, err := s.stored(ctx, r)
		if err == nil && e != nil {
			p.Number, p.At, p.Change = e.Value.Number, e.Value.At, e.Value.Change
		}
		return err
	})
	if s.policy.Err() != nil {
		p.Problem = "The newest packs on disk did not load; the last good ones decide. assent policy check says what is wrong with them."
	}
	return p, err
}
