package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/assenthq/assent/action"
)

// An Allowance lets an action run without an answer of its own, within the
// transaction that records it. It returns what it stands on; an error, or "", means
// that people are asked as ever.
type Allowance func(ctx context.Context, tx Tx, a *Approval) (id string, err error)

// neverOutright are the kinds that no emergency reaches.
var neverOutright = []action.Kind{action.ConfigChange, action.AuditChange, action.Unknown}

// UseEmergency runs q at once in an emergency that somebody declared: nil and nil
// when there is none. Policy is decided again by u.Recheck, freezes are looked at, and masks and
// limits stay; only the wait for people is left out. The start is on record first.
func (e *Engine) UseEmergency(ctx context.Context, q *Question, u Use, allowed Allowance) (*Used, error) {
	if allowed == nil || slices.ContainsFunc(q.Action.Kinds, func(k action.Kind) bool { return slices.Contains(neverOutright, k) }) {
		return nil, nil
	}
	fresh, err := e.hold(q)
	if err != nil {
		return nil, fmt.Errorf("looking for an emergency: %w", err)
	}
	if err := u.Recheck(ctx, fresh); err != nil {
		return nil, fmt.Errorf("deciding again: %w", err)
	}
	var used *Used
	errNone := errors.New("no emergency")
	err = e.update(ctx, fresh.ID, func(tx Tx) ([]Event, error) {
		a := *fresh
		id, err := allowed(ctx, tx, &a)
		if err != nil {
			return nil, err
		}
		if id == "" {
			return nil, errNone
		}
		related, err := e.remember(ctx, tx, &a.Asker, a.Created)
		if err != nil {
			return nil, err
		}
		e.exclude(&a, related)
		a.BreakGlass = id
		used, err = e.begin(ctx, tx, &a, q, &u, nil)
		return []Event{a.event()}, err
	})
	if errors.Is(err, errNone) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("running in an emergency: %w", err)
	}
	e.running.add(used.Approval.ID)
	return used, nil
}
