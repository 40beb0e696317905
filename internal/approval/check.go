package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Check tells what is wrong with the stored approval id and its reviews, whose
// seals are under key: one that was edited, moved or taken away. The passkey
// signatures on reviews are checked with the log.
func Check(ctx context.Context, tx Tx, key []byte, id string) (wrong, err error) {
	row, err := tx.ApprovalByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("approval %s is in the log and gone: %w", id, ErrTampered), nil
	}
	if err != nil {
		return nil, err
	}
	a, wrong := unseal(key, row)
	if wrong != nil {
		return wrong, nil
	}
	rows, err := tx.ReviewsOf(ctx, id)
	if err != nil {
		return nil, err
	}
	recorded, err := tx.Reviewed(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		r, wrong := unsealReview(key, row)
		if wrong != nil {
			return wrong, nil
		}
		if r.Approval != a.ID || r.Digest != a.Digest {
			return fmt.Errorf("review %s is of another action: %w", r.ID, ErrTampered), nil
		}
		recorded = slices.DeleteFunc(recorded, func(s string) bool { return s == r.ID })
	}
	if len(recorded) > 0 {
		return fmt.Errorf("review %s is in the log and gone: %w", recorded[0], ErrTampered), nil
	}
	reached, err := tx.Reached(ctx, id)
	if err != nil {
		return nil, err
	}
	said := func(s State) bool { return slices.Contains(reached, s) }
	waits := a.State == Pending || a.State == Planned
	if waits && len(reached) > 0 || a.State == Approved && (!said(Approved) || said(Executing)) {
		return fmt.Errorf("approval %s is stored as %s, and the log says %s: %w", id, a.State, reached, ErrTampered), nil
	}
	return nil, nil
}
