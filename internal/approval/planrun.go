package approval

import (
	"context"
	"errors"
	"fmt"

	"github.com/assenthq/assent/internal/audit"
)

// item reads one item of a plan and errs unless it is the one that the plan lists there.
func (e *Engine) item(ctx context.Context, tx Tx, a *Approval, i int) (*Approval, error) {
	item, err := e.load(ctx, tx, a.Items[i].Approval)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("item %d of plan %s is gone: %w", i+1, a.ID, ErrTampered)
	}
	if err != nil {
		return nil, err
	}
	if !item.listedIn(a) {
		return nil, fmt.Errorf("item %d of plan %s is another: %w", i+1, a.ID, ErrTampered)
	}
	return item, nil
}

// planOf reads the plan of an item, and errs unless it lists the item.
func (e *Engine) planOf(ctx context.Context, tx Tx, item *Approval) (*Approval, error) {
	a, err := e.load(ctx, tx, item.Plan)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, fmt.Errorf("the plan of item %s is gone: %w", item.ID, ErrTampered)
	case err != nil:
		return nil, err
	case !item.listedIn(a):
		return nil, fmt.Errorf("plan %s does not list item %s: %w", a.ID, item.ID, ErrTampered)
	}
	return a, nil
}

// listedIn says that plan a lists this item, where the item says it stands.
func (item *Approval) listedIn(a *Approval) bool {
	i := item.Position - 1
	return item.Plan == a.ID && i >= 0 && i < len(a.Items) && a.Items[i].Approval == item.ID && a.Items[i].Digest == item.Digest &&
		a.Digest == planDigest(a.Salt, a.Items)
}

// ItemsOf reads the items of a plan, in their order. One that can't be believed
// is an error: it opens nothing, and what it came to is not known.
func (e *Engine) ItemsOf(ctx context.Context, a *Approval) (out []*Approval, err error) {
	err = e.o.Store.View(ctx, func(tx Tx) error {
		out = make([]*Approval, 0, len(a.Items))
		for i := range a.Items {
			item, err := e.item(ctx, tx, a, i)
			if err != nil {
				return err
			}
			out = append(out, item)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the items of %s: %w", a.ID, err)
	}
	return out, nil
}

// carry brings the items of a plan that have not begun to where the plan has come.
// Approved is for all of them: an item that can't be believed then refuses the plan.
func (e *Engine) carry(ctx context.Context, tx Tx, a *Approval, by, why string) (events []Event, records []*audit.Record, err error) {
	for i := range a.Items {
		item, err := e.item(ctx, tx, a, i)
		if err == nil && a.State == Approved && item.State != Planned {
			err = fmt.Errorf("item %d of plan %s is %s before people decided: %w", i+1, a.ID, item.State, ErrTampered)
		}
		if errors.Is(err, ErrTampered) && a.State != Approved {
			e.o.Logger.ErrorContext(ctx, "alarm", "approval", a.Items[i].Approval, "what", err.Error())
			records = append(records, &audit.Record{Type: audit.TypeAlarm, Approval: a.Items[i].Approval, Detail: map[string]string{"what": err.Error()}})
			continue // its seal, or its absence, keeps it from opening anything
		}
		if err != nil {
			return nil, nil, err
		}
		from := item.State
		if from != Planned && from != Approved {
			continue
		}
		item.State, item.Why = a.State, a.Why
		if from == Planned {
			item.Decided, item.Window = a.Decided, a.Window
		}
		item.Version++
		if a.State == Denied {
			if err := e.noteDenial(ctx, tx, item); err != nil {
				return nil, nil, err
			}
		}
		if err := e.save(ctx, tx, item, from); err != nil {
			return nil, nil, err
		}
		events, records = append(events, item.event()), append(records, e.transition(item, by, why))
	}
	return events, records, nil
}

// moveItem ends an item: with it goes all of its plan that has not begun, since what
// people approved was the whole.
func (e *Engine) moveItem(ctx context.Context, tx Tx, item *Approval, to State, by, why string) ([]Event, error) {
	a, err := e.planOf(ctx, tx, item)
	if err != nil {
		return nil, err
	}
	if a.State != Pending && a.State != Approved {
		return nil, fmt.Errorf("item %s is %s, and its plan %s: %w", item.ID, item.State, a.State, ErrTampered)
	}
	if to == Withdrawn {
		why = fmt.Sprintf("item %d: %s", item.Position, why)
	}
	return e.move(ctx, tx, a, to, by, why)
}

// unsoundItem says why an item's plan doesn't carry it; "" when it does. The reviews
// of the plan are then the item's: their seats are counted again for the whole plan.
func (e *Engine) unsoundItem(ctx context.Context, tx Tx, item *Approval) (string, error) {
	a, err := e.planOf(ctx, tx, item)
	if err != nil {
		return "", err
	}
	if a.State != Approved {
		return "", fmt.Errorf("item %s is approved, and its plan %s: %w", item.ID, a.State, ErrTampered)
	}
	e.exclude(a, item.Excluded)
	why, err := e.unsound(ctx, tx, a)
	item.Reviews, item.whole = a.Reviews, a
	return why, err
}

// ended looks at what the end of an item means for its plan: after the first that
// did not succeed nothing more of it begins, and with the last it is over.
func (e *Engine) ended(ctx context.Context, tx Tx, item *Approval) ([]Event, error) {
	if item.Plan == "" {
		return nil, nil
	}
	a, err := e.planOf(ctx, tx, item)
	if errors.Is(err, ErrTampered) {
		// How the item ended must be on record all the same.
		e.o.Logger.ErrorContext(ctx, "alarm", "approval", item.Plan, "what", err.Error())
		return nil, e.o.Log.Append(ctx, tx, &audit.Record{Type: audit.TypeAlarm, Approval: item.Plan, Detail: map[string]string{"what": err.Error()}})
	}
	if err != nil {
		return nil, err
	}
	if a.State != Approved {
		return []Event{a.event()}, nil
	}
	if item.State != Executed {
		return e.move(ctx, tx, a, Withdrawn, "", fmt.Sprintf("item %d is %s: what had not begun is taken back", item.Position, item.State))
	}
	for i := range a.Items {
		if i == item.Position-1 {
			continue
		}
		if other, err := e.item(ctx, tx, a, i); errors.Is(err, ErrTampered) || err == nil && other.State != Executed {
			return []Event{a.event()}, nil
		} else if err != nil {
			return nil, err
		}
	}
	return e.move(ctx, tx, a, Executed, "", "every item ran")
}
