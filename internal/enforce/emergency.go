package enforce

import (
	"context"

	"github.com/assenthq/assent/internal/approval"
)

// Emergencies are what people broke the glass for.
type Emergencies interface {
	Active(ctx context.Context, actor string) bool
	Allow(ctx context.Context, tx approval.Tx, a *approval.Approval) (string, error)
	// Used is told of what Allow allowed, once that is durable.
	Used(id string)
}

// emergency runs j without waiting when a person broke the glass for it. nil and
// nil: people are asked, as for anything else.
func (e *Enforcer) emergency(ctx context.Context, j *judgement) (*permit, error) {
	if e.o.Emergency == nil || !e.o.Emergency.Active(ctx, j.asker.Chain[0].ID) {
		return nil, nil
	}
	var again *judgement
	maxRows := int64(-1)
	if j.decision.RowLimit.Known {
		maxRows = j.decision.RowLimit.N
	}
	used, err := e.o.Approvals.UseEmergency(ctx, e.question(j), approval.Use{
		Action: j.action, Asker: *j.asker, MaxRows: maxRows, Session: j.where.Session,
		Recheck: func(ctx context.Context, a *approval.Approval) (err error) {
			again, err = e.recheck(ctx, j, a)
			return err
		},
	}, e.o.Emergency.Allow)
	switch {
	case err == nil && used == nil:
		return nil, nil
	case err == nil:
		e.o.Emergency.Used(used.Approval.BreakGlass)
		return e.granted(again, used), nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	e.o.Logger.Error("running in an emergency; people are asked instead", "gate", j.where.Gate, "err", err)
	return nil, nil
}
