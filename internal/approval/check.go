package approval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/assenthq/assent/action"
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

// Reseal seals the body of an approval that was changed by whoever holds the key, without
// what its digest and shape could be guessed by. open: it may still be answered or run.
func Reseal(key, body []byte) (row Row, open bool, err error) {
	var a Approval
	if err := json.Unmarshal(body, &a); err != nil || len(a.Asker.Chain) == 0 {
		return row, false, fmt.Errorf("an approval has no readable body: %w", ErrTampered)
	}
	open = a.State == Pending || a.State == Planned || a.State == Approved || a.State == Executing
	a.Salt, a.Shape, a.Match, a.Frame, a.Masked = action.Salt{}, "", "", "", nil
	row = a.columns()
	if row.Body, err = json.Marshal(&a); err != nil {
		return row, open, fmt.Errorf("sealing approval %s: %w", a.ID, err)
	}
	row.MAC = seal(key, sealApproval, row.Body)
	return row, open, nil
}

// ResealReview is Reseal for a review; a passkey's signature was over what is changed, and goes.
func ResealReview(key, body []byte) (row ReviewRow, err error) {
	var r Review
	if err := json.Unmarshal(body, &r); err != nil {
		return row, fmt.Errorf("a review has no readable body: %w", ErrTampered)
	}
	r.Signature = nil
	row = ReviewRow{ID: r.ID, Approval: r.Approval, Person: r.Person}
	if row.Body, err = json.Marshal(&r); err != nil {
		return row, fmt.Errorf("sealing review %s: %w", r.ID, err)
	}
	row.MAC = seal(key, sealReview, row.Body)
	return row, nil
}

// RelationMAC seals a row that keeps a person from approving what an actor asks; seen is in
// microseconds since 1970.
func RelationMAC(key []byte, actor, person, why string, seen int64) []byte {
	return seal(key, sealRelation, fmt.Appendf(nil, "%q %q %q %d", actor, person, why, seen))
}
