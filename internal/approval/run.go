package approval

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

const (
	sweepBatch = 50                     // of one transaction: decisions wait for it
	longestNap = 30 * time.Second       // so that a change of the clock is noticed
	shortNap   = 50 * time.Millisecond  // between sweeps that are behind
	waitSlack  = 200 * time.Millisecond // a waiter expires its approval only if Run hasn't
)

// Wait returns an approval once it is no longer pending. It costs one parked
// goroutine and a timer, and reads the store only when something changed.
func (e *Engine) Wait(ctx context.Context, id string) (*Approval, error) {
	for {
		a, err := e.waitOnce(ctx, id)
		if a != nil || err != nil {
			return a, err
		}
	}
}

// waitOnce parks until something may have changed; nil and nil: look again.
func (e *Engine) waitOnce(ctx context.Context, id string) (*Approval, error) {
	changed, leave := e.hub.join(id)
	defer leave()
	left, a, err := e.pendingFor(ctx, id)
	if a != nil || err != nil {
		return a, err
	}
	timer := time.NewTimer(left + waitSlack)
	defer timer.Stop()
	select {
	case <-changed:
		return nil, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for %s: %w", id, ctx.Err())
	case <-timer.C:
		return nil, e.expireOne(ctx, id)
	}
}

// pendingFor says how long id stays pending, or returns it when it is decided.
func (e *Engine) pendingFor(ctx context.Context, id string) (time.Duration, *Approval, error) {
	a, err := e.Get(ctx, id)
	if err != nil || !a.Waiting() {
		return 0, a, err
	}
	return a.Expires.Sub(e.now()), nil, nil
}

func (e *Engine) expireOne(ctx context.Context, id string) error {
	return e.update(ctx, id, func(tx Tx) ([]Event, error) {
		a, err := e.load(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		return e.tick(ctx, tx, a)
	})
}

// Recover is RecoverFrom for the only process of a store: whatever executes was left by a dead one.
func (e *Engine) Recover(ctx context.Context) error {
	return e.RecoverFrom(ctx, func(string) bool { return true })
}

// RecoverFrom settles what dead processes left: what nodes execute that gone
// says are no more becomes unknown, because nobody here saw the answer and we
// never run an action again, and what is overdue expires. It is called once at start.
func (e *Engine) RecoverFrom(ctx context.Context, gone func(node string) bool) error {
	if err := e.Settle(ctx, gone); err != nil {
		return fmt.Errorf("recovering approvals: %w", err)
	}
	_, err := e.sweep(ctx)
	return err
}

// notBefore keeps the clock from telling a time before t: that of the newest record.
func (e *Engine) notBefore(t time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.After(e.last) {
		e.last = t.UTC()
	}
}

// eachRow runs fn for each row that can be believed. One that can't is moved
// out of the way, so that it blocks no other; its seal keeps it from opening.
func (e *Engine) eachRow(ctx context.Context, tx Tx, rows []Row, fn func(*Approval) ([]Event, error)) ([]Event, error) {
	reviews, err := reviewsOf(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	var all []Event
	for _, row := range rows {
		a, err := e.openWith(ctx, tx, row, reviews[row.ID])
		if errors.Is(err, ErrTampered) {
			if err := e.quarantine(ctx, tx, row, err); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		events, err := fn(a)
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	return all, nil
}

// sweep does what is due and says when to look again. It writes only
// when something is due: Run is woken by each new approval.
func (e *Engine) sweep(ctx context.Context) (next time.Time, err error) {
	for {
		next, err = e.nextDue(ctx)
		if err != nil || next.After(e.now()) {
			return next, err
		}
		err = e.update(ctx, "", func(tx Tx) ([]Event, error) {
			rows, err := tx.ListApprovals(ctx, Selection{Due: e.now(), SoonestFirst: true, Limit: sweepBatch})
			if err != nil {
				return nil, err
			}
			return e.eachRow(ctx, tx, rows, func(a *Approval) ([]Event, error) { return e.tick(ctx, tx, a) })
		})
		if err != nil {
			return next, fmt.Errorf("expiring approvals: %w", err)
		}
	}
}

// nextDue is when the next approval expires, or when to look again if that is long from now.
func (e *Engine) nextDue(ctx context.Context) (next time.Time, err error) {
	err = e.o.Store.View(ctx, func(tx Tx) error {
		next = e.now().Add(longestNap)
		rows, err := tx.ListApprovals(ctx, Selection{Due: next, SoonestFirst: true, Limit: 1})
		if len(rows) > 0 {
			next = rows[0].Due
		}
		return err
	})
	if err != nil {
		return next, fmt.Errorf("looking for the next expiry: %w", err)
	}
	return next, nil
}

// Tick does what is due now, as Run does by itself.
func (e *Engine) Tick(ctx context.Context) error {
	_, err := e.sweep(ctx)
	return err
}

// Run expires what nobody decided or used in time, until ctx ends. Timers are
// hints: whether something has expired is checked wherever it matters.
func (e *Engine) Run(ctx context.Context) error {
	for {
		next, err := e.sweep(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		timer := time.NewTimer(max(next.Sub(e.now()), shortNap))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-e.due:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// poke makes Run look again.
func (e *Engine) poke() {
	select {
	case e.due <- struct{}{}:
	default:
	}
}

// quarantine takes a row that was changed outside Assent off every list of
// things to do. Its body and seal stay as they were found, as evidence.
func (e *Engine) quarantine(ctx context.Context, tx Tx, row Row, found error) error {
	e.o.Logger.ErrorContext(ctx, "alarm", "approval", row.ID, "what", found.Error())
	from := row.State
	row.State, row.Due = Withdrawn, time.Time{}
	if err := tx.SwapApproval(ctx, from, row.Revision, row); err != nil {
		return err
	}
	return e.o.Log.Append(ctx, tx, &audit.Record{
		Type: audit.TypeAlarm, Approval: row.ID, Detail: map[string]string{"what": found.Error()},
	})
}
