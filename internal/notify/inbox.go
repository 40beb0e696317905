package notify

import (
	"context"
	"errors"
	"slices"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
)

// Inbox is what waits for the person that an account leads to, the gravest and
// soonest first: what they may answer here or in the console.
func (d *Desk) Inbox(ctx context.Context, account string) ([]*card.Card, error) {
	p, err := d.Person(account)
	if err != nil {
		return nil, err
	}
	pending, err := d.Reviews.List(ctx, approval.Filter{States: []approval.State{approval.Pending}})
	if err != nil {
		return nil, d.words(err)
	}
	var out []*card.Card
	for _, a := range pending {
		var level approval.ErrAssurance
		if err := d.Reviews.MayReview(a, &p, "chat"); err != nil && !errors.As(err, &level) {
			continue
		}
		out = append(out, card.Of(a, d.Reviews.Progress(a), d.PublicURL))
	}
	slices.SortStableFunc(out, func(a, b *card.Card) int {
		if a.Risk.Score != b.Risk.Score {
			return b.Risk.Score - a.Risk.Score
		}
		return a.Expires.Compare(b.Expires)
	})
	return out, nil
}
