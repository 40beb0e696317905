package approval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// Ask holds an action until people decide. The same action asked again with
// the same credential finds the approval that is pending, or approved and not
// yet used (existing). Any error means that the action may not run; of the
// refusals, CapError, UnsatisfiableError and ErrNoHuman are about the asker
// and leave no approval behind, so that the caller records them.
func (e *Engine) Ask(ctx context.Context, q *Question) (a *Approval, existing bool, err error) {
	fresh, err := e.hold(q)
	if err != nil {
		return nil, false, fmt.Errorf("asking for approval: %w", err)
	}
	err = e.update(ctx, fresh.ID, func(tx Tx) ([]Event, error) {
		if err := tx.Soon(ctx, func(tx Tx) { e.foresee(ctx, tx, fresh) }); err != nil {
			return nil, err
		}
		found, err := e.find(ctx, tx, fresh)
		if err != nil {
			return nil, err
		}
		if found != nil {
			a, existing = found, true
			return e.again(ctx, tx, found, q)
		}
		a, existing = fresh, false
		return []Event{fresh.event()}, e.create(ctx, tx, fresh, q)
	})
	if err != nil {
		return nil, false, fmt.Errorf("asking for approval: %w", err)
	}
	e.poke()
	return a, existing, nil
}

// hold makes the approval of a question, not yet stored.
func (e *Engine) hold(q *Question) (*Approval, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	if err := e.knownHuman(&q.Asker); err != nil {
		return nil, err
	}
	match, err := q.Action.Match(e.o.MatchKey)
	if err != nil {
		return nil, err
	}
	salt := action.NewSalt()
	digest, err := q.Action.Digest(salt)
	if err != nil {
		return nil, err
	}
	frame, err := e.frame(q.Action)
	if err != nil {
		return nil, err
	}
	now, act, d := e.now(), q.Action, q.Decision
	expires, window := e.spans(d.Requirements)
	return &Approval{
		ID: newID("apr_"), Version: 1, Revision: 1, State: Pending,
		Digest: digest, Salt: salt, Match: match, Frame: frame,
		Created: now, Expires: now.Add(expires), Window: window,
		Asker: q.Asker,
		Kinds: act.Kinds, Verb: act.Verb, Target: cmp.Or(q.Target, act.Target), Title: q.Title, Shape: act.Shape,
		Resource: act.Resource, Data: act.Data, Statement: q.Statement, Masked: q.Masked, Claims: act.Claims,
		Requirements: slices.Clone(d.Requirements), Rules: d.Rules, Masks: d.Masks, RowLimit: d.RowLimit,
		Policy: d.Bundle, Reason: d.Reason, Show: d.Show,
		Gate: q.Gate, OpenTransaction: q.OpenTransaction, Preview: q.Preview, Lead: q.Lead, Risk: q.Risk,
	}, nil
}

func (q *Question) check() error {
	switch {
	case q == nil || q.Action == nil || q.Decision == nil:
		return errors.New("a question needs an action and a decision")
	case q.Decision.Verdict != policy.Review:
		return fmt.Errorf("the decision is %s, not review", q.Decision.Verdict)
	case len(q.Decision.Requirements) == 0:
		return errors.New("the decision names nobody to ask")
	case len(q.Asker.Chain) == 0 || q.Asker.Credential == "":
		return ErrNoHuman
	case q.Action.Subject != q.Asker.Subject.ID || !slices.Equal(q.Action.Actors, q.Asker.Links()):
		return errors.New("the action names another subject or chain than its credential")
	}
	return nil
}

// spans is the earliest expiry and use window that the requirements ask for.
func (e *Engine) spans(rs []policy.Requirement) (expires, window time.Duration) {
	limits := e.limits.Load()
	for _, r := range rs {
		if r.Unsaid.Expires {
			r.Expires = limits.Expires
		}
		if r.Unsaid.UseWithin {
			r.UseWithin = limits.Window
		}
		if r.Expires > 0 && (expires == 0 || r.Expires < expires) {
			expires = r.Expires
		}
		if r.UseWithin > 0 && (window == 0 || r.UseWithin < window) {
			window = r.UseWithin
		}
	}
	setDefault(&expires, limits.Expires)
	setDefault(&window, limits.Window)
	return expires.Truncate(time.Microsecond), window.Truncate(time.Microsecond)
}

// foresee makes the reads that asking for a takes when it is new.
func (e *Engine) foresee(ctx context.Context, tx Tx, a *Approval) {
	_, _ = e.alive(ctx, tx, a)
	_, _ = tx.CountPending(ctx, a.actor())
	_, _, _ = tx.PendingOf(ctx, a.behind())
	for _, link := range a.Asker.Chain {
		_, _ = e.noted(ctx, tx, link.ID, a.Created)
	}
	for _, by := range alikes(a) {
		_, _ = tx.ListApprovals(ctx, e.denied(a, by))
	}
	for _, name := range denialsOf(a) {
		_, _ = e.noted(ctx, tx, name, a.Created)
	}
	_, _ = e.stopped(ctx, tx, a)
}

// alive are the rows that a retry of a may belong to.
func (e *Engine) alive(ctx context.Context, tx Tx, a *Approval) ([]Row, error) {
	return tx.ListApprovals(ctx, Selection{States: []State{Pending, Planned, Approved}, Match: a.Match})
}

// find returns the approval that a retry belongs to, nil when there is none.
func (e *Engine) find(ctx context.Context, tx Tx, fresh *Approval) (*Approval, error) {
	rows, err := e.alive(ctx, tx, fresh)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if row.Credential != fresh.Asker.Credential {
			continue
		}
		a, err := e.open(ctx, tx, row)
		if err != nil {
			return nil, err
		}
		if sameAsker(&a.Asker, &fresh.Asker) && fresh.Created.Before(a.ends()) {
			return a, nil
		}
	}
	return nil, nil
}

// again notes that the asker of a is back.
func (e *Engine) again(ctx context.Context, tx Tx, a *Approval, q *Question) ([]Event, error) {
	var events []Event
	if a.AskerGone {
		a.AskerGone = false
		if err := e.save(ctx, tx, a, a.State); err != nil {
			return nil, err
		}
		events = append(events, a.event())
	}
	return events, e.o.Log.Append(ctx, tx, requestRecord(a, q))
}

func requestRecord(a *Approval, q *Question) *audit.Record {
	r := q.Record
	if r == nil {
		r = &audit.Record{Type: audit.TypeRequest, Decision: policy.Review.String()}
	}
	fill(r, a)
	return r
}

func (e *Engine) create(ctx context.Context, tx Tx, a *Approval, q *Question, items ...*Approval) error {
	if err := e.room(ctx, tx, a, items...); err != nil {
		return err
	}
	related, err := e.remember(ctx, tx, &a.Asker, a.Created)
	if err != nil {
		return err
	}
	e.exclude(a, related)
	if err := e.reciprocal(ctx, tx, a); err != nil {
		return err
	}
	if len(items) == 0 { // else they are those of the items
		if err := e.denials(ctx, tx, a); err != nil {
			return err
		}
	}
	if a.Repeats > 0 {
		for i := range a.Requirements {
			a.Requirements[i].More++
		}
	}
	a.plan()
	if err := e.satisfiable(a); err != nil {
		return err
	}
	if stop, err := e.stopped(ctx, tx, a); err != nil {
		return err
	} else if stop != nil {
		return stop
	}
	row, err := e.seal(a)
	if err != nil {
		return err
	}
	if err := tx.InsertApproval(ctx, row); err != nil {
		return err
	}
	rec := requestRecord(a, q)
	e.blind(a, rec)
	return e.o.Log.Append(ctx, tx, rec)
}

// room refuses one more approval than its actor, or the person behind it, may have pending.
// A plan is one, as large as all of its items.
func (e *Engine) room(ctx context.Context, tx Tx, a *Approval, items ...*Approval) error {
	pending, err := tx.CountPending(ctx, a.actor())
	if err != nil {
		return err
	}
	limits := e.limits.Load()
	if pending >= limits.PendingCap {
		return &CapError{Actor: a.actor(), Cap: limits.PendingCap}
	}
	pending, bytes, err := tx.PendingOf(ctx, a.behind())
	if err != nil {
		return err
	}
	if pending >= limits.PersonCap {
		return &CapError{Actor: a.actor(), Person: a.behind(), Cap: limits.PersonCap}
	}
	for _, part := range append([]*Approval{a}, items...) {
		row, err := e.seal(part)
		if err != nil {
			return err
		}
		bytes += int64(len(row.Body))
	}
	if bytes > e.o.BytesCap {
		return &CapError{Actor: a.actor(), Person: a.behind(), Cap: limits.PersonCap, Bytes: e.o.BytesCap}
	}
	return nil
}

// denials notes how many recent ones there are of the same action, or of the same shape from the
// same actor or on behalf of the same person: a reworded literal is no new question.
func (e *Engine) denials(ctx context.Context, tx Tx, a *Approval) error {
	seen, there := map[string]bool{}, map[string]bool{}
	for _, by := range alikes(a) {
		rows, err := tx.ListApprovals(ctx, e.denied(a, by))
		if err != nil {
			return err
		}
		reviews, err := reviewsOf(ctx, tx, rows)
		if err != nil {
			return err
		}
		for _, row := range rows {
			there[row.ID] = true
			old, err := e.openWith(ctx, tx, row, reviews[row.ID])
			if err != nil {
				return err
			}
			if old.Canary != "" || !a.alike(&old.Asker) {
				continue
			}
			if old.Plan != "" { // people denied the plan, once
				if old, err = e.load(ctx, tx, old.Plan); err != nil {
					return err
				}
			}
			seen[old.ID] = true
			if a.Denial == nil || old.Decided.After(a.Denial.Time) {
				a.Denial = old.denial(e.o.DenyMemory)
			}
		}
	}
	a.Repeats = len(seen)
	return e.allDenials(ctx, tx, a, there, e.denied(a, Selection{}).Decided)
}

// alikes select what is alike a: the same action, and one of the same shape.
func alikes(a *Approval) []Selection {
	return slices.DeleteFunc([]Selection{{Match: a.Match}, {Shape: a.Shape}}, func(s Selection) bool { return s.Match == "" && s.Shape == "" })
}

// denied narrows a selection to what was denied lately, as a sees it.
func (e *Engine) denied(a *Approval, by Selection) Selection {
	by.States, by.Decided = []State{Denied}, a.Created.Add(-e.o.DenyMemory)
	return by
}

// denial is who denied a, and until when that is remembered.
func (a *Approval) denial(memory time.Duration) *PastDenial {
	d := &PastDenial{Approval: a.ID, Time: a.Decided, Until: a.Decided.Add(memory)}
	for _, r := range a.Reviews {
		if r.Decision == Deny {
			d.Person, d.Name = r.Person, r.Name
		}
	}
	return d
}

func (a *Approval) alike(o *identity.Asker) bool {
	return o.Chain[0].ID == a.actor() || o.Subject.ID != "" && o.Subject.ID == a.Asker.Subject.ID
}
