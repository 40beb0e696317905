package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// running are the approvals that this process has in execution.
type running struct {
	mu  sync.Mutex
	ids map[string]struct{} // owned by mu
}

func (r *running) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids = map[string]struct{}{}
	}
	r.ids[id] = struct{}{}
}

func (r *running) remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ids, id)
}

func (r *running) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, is := r.ids[id]
	return is
}

// startGrace is how long an execution of this process may be on record before
// it must be known here: the commit of a start may be waiting for its answer.
const startGrace = time.Minute

// Settle makes unknown what no process will ever finish: what nodes execute
// that gone says are no more, and what this one has on record and does not run,
// because the answer to its start, or its outcome, was lost. Nobody runs it again.
func (e *Engine) Settle(ctx context.Context, gone func(node string) bool) error {
	for more := true; more; {
		more = false
		err := e.update(ctx, "", func(tx Tx) ([]Event, error) {
			head, err := tx.Head(ctx)
			if err != nil {
				return nil, err
			}
			e.notBefore(head.Last)
			rows, err := tx.ListApprovals(ctx, Selection{States: []State{Executing}})
			if err != nil {
				return nil, err
			}
			done := 0
			return e.eachRow(ctx, tx, rows, func(a *Approval) ([]Event, error) {
				why := ""
				switch {
				case gone(a.Node):
					why = "process ended"
				case a.Node == e.o.Node && !e.running.has(a.ID) && e.now().Sub(a.Started) > startGrace:
					why = "outcome lost"
				}
				if why == "" {
					return nil, nil
				}
				if done++; done > sweepBatch {
					more = true
					return nil, nil
				}
				return e.finish(ctx, tx, a, Outcome{State: Unknown, Code: why, Rows: -1})
			})
		})
		if err != nil {
			return fmt.Errorf("settling executions: %w", err)
		}
	}
	return nil
}

// Changed tells waiters and subscribers that approvals were changed by another
// process. What they came to is read from the store.
func (e *Engine) Changed(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	events, plans := make([]Event, 0, len(ids)), map[string]struct{}{}
	err := e.o.Store.View(ctx, func(tx Tx) error {
		for _, id := range ids {
			row, err := tx.ApprovalByID(ctx, id)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			a, err := e.unseal(row)
			if err != nil { // whoever waits for it reads it too, and is told
				events = append(events, Event{ID: id, State: row.State})
				continue
			}
			if a.State != Executing {
				e.running.remove(id)
			}
			events = append(events, a.event())
			if a.Plan != "" && !slices.Contains(ids, a.Plan) {
				plans[a.Plan] = struct{}{}
			}
		}
		for id := range plans {
			row, err := tx.ApprovalByID(ctx, id)
			if err != nil {
				continue // who looks at it is told
			}
			if a, err := e.unseal(row); err == nil {
				events = append(events, a.event())
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading approvals changed elsewhere: %w", err)
	}
	e.publish(events)
	e.poke()
	return nil
}
