package enforce

import (
	"context"
	"errors"
	"fmt"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// RequestPlan holds several actions until people decide about all of them at once, or
// finds the plan that already waits. Each must be one that policy asks people about: what
// it denies refuses the plan, and what it allows would only pad the card. An
// *approval.ItemError names the item that is wrong.
func (e *Enforcer) RequestPlan(ctx context.Context, asker identity.Asker, actions []*action.Action) (*approval.Approval, error) {
	var held []*judgement
	var questions []*approval.Question
	long := 0
	for i, a := range actions {
		j, err := e.judge(ctx, a, &asker, Where{Gate: apiGate})
		if err != nil {
			return nil, fmt.Errorf("requesting approval of a plan: item %d: %w", i+1, err)
		}
		e.consult(ctx, j)
		switch long += len(j.statement); {
		case j.stop != nil || j.decision.Verdict == policy.Deny:
			err = e.deny(ctx, j)
		case j.decision.Verdict != policy.Review:
			err = ErrNotHeld
		case long > maxHeld:
			err = e.tooLong(ctx, j)
		}
		if err != nil {
			return nil, &approval.ItemError{Item: i + 1, Err: err}
		}
		held, questions = append(held, j), append(questions, e.question(j))
	}
	a, existing, err := e.o.Approvals.AskPlan(ctx, questions)
	if err != nil {
		return nil, e.explainPlan(ctx, held, err)
	}
	for i, j := range held {
		e.note(j, facts.Facts{Ask: a.ID, Joined: existing || i > 0})
	}
	if existing && a.AskerGone {
		err = e.o.Approvals.Gone(ctx, a.ID, false)
	}
	return a, err
}

// explainPlan is explain for a plan: the record is of the item that is wrong, or of the
// first where all of it is refused.
func (e *Enforcer) explainPlan(ctx context.Context, held []*judgement, err error) error {
	var item *approval.ItemError
	if errors.Is(err, approval.ErrTwice) || len(held) == 0 {
		return err // the caller's mistake, which decides nothing
	}
	j, at := held[0], 0
	if errors.As(err, &item) {
		at = item.Item
		j = held[at-1]
	}
	var denied *gate.Denied
	if !errors.As(e.explain(ctx, j, err), &denied) {
		return err
	}
	err = errors.Join(denied, err) // the API tells the causes apart
	if at > 0 {
		err = &approval.ItemError{Item: at, Err: err}
	}
	return err
}
