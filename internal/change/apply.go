package change

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/sealed"
)

// Run applies what was allowed and ends what was not, until ctx ends. What the
// approvals tell is a hint: what waits is also looked at by the clock, so that a
// change allowed while nobody listened is applied too.
func (e *Engine) Run(ctx context.Context) {
	events := e.o.Approvals.Subscribe(ctx)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := e.Settle(ctx); err != nil && ctx.Err() == nil {
			e.o.Logger.ErrorContext(ctx, "settling changes", "err", err)
		}
		if !e.nap(ctx, events, tick.C) {
			return
		}
	}
}

// nap returns when an approval was decided or it is time to look; false: ctx ended.
func (e *Engine) nap(ctx context.Context, events <-chan approval.Event, tick <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case ev, open := <-events:
			if !open {
				return false
			}
			switch ev.State {
			case approval.Approved, approval.Denied, approval.Expired, approval.Withdrawn:
				return true
			}
		}
	}
}

// Settle looks once at everything that waits.
func (e *Engine) Settle(ctx context.Context) error {
	var waiting []*sealed.Entry[Change]
	err := e.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		waiting, err = rows.List(ctx, r, sealed.Selection{Key: Proposed})
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for changes: %w", err)
	}
	var errs []error
	for _, entry := range waiting {
		if err := e.settle(ctx, entry); err != nil && !errors.Is(err, approval.ErrConflict) && !errors.Is(err, sealed.ErrConflict) {
			errs = append(errs, fmt.Errorf("change %s: %w", entry.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) settle(ctx context.Context, entry *sealed.Entry[Change]) error {
	c := &entry.Value
	if c.Approval == "" {
		if e.now().Sub(c.At) > time.Minute { // the process ended between the row and the question
			return e.end(ctx, entry, "nobody was asked")
		}
		return nil
	}
	a, err := e.o.Approvals.Get(ctx, c.Approval)
	if err != nil {
		return err
	}
	switch a.State {
	case approval.Pending:
		return nil
	case approval.Approved:
		return e.apply(ctx, entry, a)
	}
	return e.end(ctx, entry, fmt.Sprintf("its approval is %s", a.State))
}

// apply uses the approval, once, and applies the change in the same transaction.
func (e *Engine) apply(ctx context.Context, entry *sealed.Entry[Change], a *approval.Approval) error {
	kind, known := e.kinds[entry.Value.What]
	if !known {
		return ErrWhat
	}
	var put []string
	c := entry.Value
	_, err := e.o.Approvals.Use(ctx, a.ID, approval.Use{
		Action: asAction(entry.ID, &c), Asker: asAsker(entry.ID, &c, a.Asker.Credential), MaxRows: -1,
		Recheck: func(context.Context, *approval.Approval) error { return e.still(&c) },
		Within: func(ctx context.Context, tx approval.Tx) error {
			w := e.o.Box.Join(tx)
			done := *entry
			done.Value.State, done.Value.Ended, done.Key = Applied, e.now(), Applied
			if err := kind.Apply(ctx, w, entry.ID, &done.Value); err != nil {
				return err
			}
			if err := rows.Put(ctx, w, &done, record(&done.Value, "applied", "")); err != nil {
				return err
			}
			put = w.Put()
			return nil
		},
	})
	if errors.Is(err, ErrStale) || errors.Is(err, ErrFrozen) {
		_, werr := e.o.Approvals.Withdraw(ctx, a.ID, "", "it can't be applied any more")
		if errors.Is(werr, approval.ErrDecided) {
			werr = nil
		}
		return errors.Join(e.end(ctx, entry, err.Error()), werr)
	}
	if err != nil {
		return err
	}
	e.o.Box.Told(put...)
	e.o.Logger.InfoContext(ctx, "a change was applied", "change", entry.ID, "what", c.What)
	if kind.Done != nil {
		kind.Done(ctx)
	}
	return nil
}

// still errs when what was allowed would not be asked like this any more.
func (e *Engine) still(c *Change) error {
	if e.o.Stopped(c.Author) {
		return ErrFrozen
	}
	if _, ok := e.o.Directory.Person(c.Author); !ok {
		return fmt.Errorf("its author is gone: %w", ErrStale)
	}
	return nil
}
