package server

import (
	"context"
	"fmt"
	"time"
)

// clockSlack is how far the clocks of a node and of the database it shares may differ.
// Tokens, grants and approvals end by the node's own.
const clockSlack = 5 * time.Second

// clockHolds errs where this node's clock isn't that of the database, and so not the other nodes'.
func (s *Server) clockHolds(ctx context.Context) error {
	asked := time.Now()
	at, err := s.shared.Clock(ctx)
	if err != nil {
		return err
	}
	return clockDiffers(asked, at, time.Now())
}

// clockDiffers errs where at, told at some moment between asked and answered, is neither, by more than clockSlack.
func clockDiffers(asked, at, answered time.Time) error {
	early, late := asked.Round(0).Sub(at), at.Sub(answered.Round(0)) // as people read the clock, not as it runs
	switch {
	case early > clockSlack:
		return fmt.Errorf("this node's clock is %s ahead of the database's", early.Round(time.Second))
	case late > clockSlack:
		return fmt.Errorf("this node's clock is %s behind the database's", late.Round(time.Second))
	}
	return nil
}
