package server

import (
	"context"
	"encoding/json"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// began is the time of the log's first record: a person's first passkey counts
// at once on the deployment's first day only.
func (s *Server) began(ctx context.Context) (t time.Time, err error) {
	head, err := s.store.Head(ctx)
	if err != nil || head.Size == 0 {
		return t, err
	}
	err = s.store.Leaves(ctx, 0, 1, func(_ int64, leaf []byte) error {
		var r audit.Record
		err := json.Unmarshal(leaf, &r)
		t = r.Time
		return err
	})
	return t, err
}
