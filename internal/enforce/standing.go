package enforce

import (
	"context"
	"errors"

	"github.com/assenthq/assent/internal/approval"
)

// standing runs j on a standing grant, when one covers it. nil and nil: people
// are asked, as for anything else. What keeps a grant from covering j is no
// refusal of j.
func (e *Enforcer) standing(ctx context.Context, j *judgement) (*permit, error) {
	var again *judgement
	maxRows := int64(-1)
	if j.decision.RowLimit.Known {
		maxRows = j.decision.RowLimit.N
	}
	used, err := e.o.Approvals.UseStanding(ctx, e.question(j), approval.Use{
		Action: j.action, Asker: *j.asker, MaxRows: maxRows, Session: j.where.Session,
		Recheck: func(ctx context.Context, a *approval.Approval) (err error) {
			again, err = e.recheck(ctx, j, a)
			return err
		},
	})
	if err == nil && used == nil {
		return nil, nil
	}
	if err == nil {
		return e.granted(again, used), nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var none *approval.StandingError
	var changed *ChangedError
	if !errors.As(err, &none) && !errors.As(err, &changed) {
		e.o.Logger.Error("using a standing grant; people are asked instead", "gate", j.where.Gate, "err", err)
	}
	return nil, nil
}
