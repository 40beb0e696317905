package approval

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// maxReason bounds a reviewer's reason, in bytes.
const maxReason = 4000

// Answer records one person's review. One denial decides; approvals decide
// once every seat is filled. Whatever doesn't fit exactly changes nothing and
// is one of the errors of this package.
func (e *Engine) Answer(ctx context.Context, in Answer) (*Approval, error) {
	if in.Decision != Approve && in.Decision != Deny {
		return nil, fmt.Errorf("reviewing %s: a decision is %q or %q", in.Approval, Approve, Deny)
	}
	if len(in.Reason) > maxReason {
		return nil, fmt.Errorf("reviewing %s: a reason has at most %d bytes", in.Approval, maxReason)
	}
	var a *Approval
	var no error // the answer to the person, where what led to it is recorded
	err := e.update(ctx, in.Approval, func(tx Tx) (events []Event, err error) {
		a, no = nil, nil
		if a, err = e.load(ctx, tx, in.Approval); err != nil {
			return nil, err
		}
		events, err = e.review(ctx, tx, a, in)
		var excluded ErrExcluded
		if errors.As(err, &excluded) {
			no = err
			return nil, e.o.Log.Append(ctx, tx, refusedRecord(a, in, excluded))
		}
		var forged ErrSignature
		if errors.As(err, &forged) && in.Signature != nil && e.o.Passkeys != nil {
			no = err
			return nil, e.o.Log.Append(ctx, tx, e.refusedSignature(a, &in, forged)...)
		}
		if errors.Is(err, ErrExpired) && a.State == Pending {
			no = err
			return e.expire(ctx, tx, a)
		}
		return events, err
	})
	if err = errors.Join(no, err); err != nil {
		return nil, fmt.Errorf("reviewing %s: %w", in.Approval, err)
	}
	e.poke()
	return a, nil
}

func refusedRecord(a *Approval, in Answer, why ErrExcluded) *audit.Record {
	r := record(audit.TypeRefused, a)
	r.Person, r.Decision = in.Person.ID, "refused"
	r.Detail = map[string]string{"review": in.Decision, "channel": in.Channel, "why": why.Why}
	return r
}

// review holds the answer against every rule and writes it down.
func (e *Engine) review(ctx context.Context, tx Tx, a *Approval, in Answer) ([]Event, error) {
	if err := e.reciprocal(ctx, tx, a); err != nil {
		return nil, err
	}
	p, err := e.reviewer(a, in.Person.Key(), in.assurance())
	if err != nil {
		return nil, err
	}
	if in.Decision == Approve && e.frozenPerson(p.ID) {
		return nil, ErrExcluded{Why: "you are frozen"}
	}
	if why, err := e.outdated(ctx, tx, a); err != nil {
		return nil, err
	} else if why != "" {
		return nil, fmt.Errorf("%s: %w", why, ErrTampered)
	}
	if in.Digest != a.Digest || in.Version != a.Version {
		return nil, ErrChanged
	}
	if err := a.tighter(&in.Obligation, in.Decision); err != nil {
		return nil, err
	}
	if err := e.mayStand(a, &in); err != nil {
		return nil, err
	}
	e.exclude(a, e.related(&a.Asker))
	v := Review{
		ID: newID("rev_"), Approval: a.ID, Person: p.ID, Name: p.Name, Groups: p.Groups, Issuers: issuersOf(p),
		Account: in.Person.Account, StandsFor: p.StandsFor,
		Decision: in.Decision, Reason: in.Reason, Obligation: in.Obligation, Standing: in.Standing, Channel: in.Channel, Assurance: in.assurance(),
		Digest: in.Digest, Version: in.Version, Time: e.now(),
	}
	in.Person.ID = p.ID // who came by another account of theirs signs as one person
	if err := e.sign(ctx, tx, a, &in, &v); err != nil {
		return nil, err
	}
	row, err := e.sealReview(&v)
	if err != nil {
		return nil, err
	}
	if err := tx.InsertReview(ctx, row); err != nil {
		return nil, err
	}
	if v.Decision == Approve && a.Canary == "" {
		if err := e.approvedFor(ctx, tx, a, p.ID, v.Time); err != nil {
			return nil, err
		}
	}
	a.Reviews = append(a.Reviews, v)
	a.Window = a.Bounds().Window
	a.Version++
	if v.Decision == Approve && a.Stamped == "" && e.o.Stamps != nil && e.o.Stamps(p.ID) {
		a.Stamped = p.ID
		for i := range a.Requirements {
			a.Requirements[i].More++
		}
	}
	records := []*audit.Record{reviewRecord(a, &v)}
	records[0].Detail["asked"] = a.Created.UTC().Format(time.RFC3339Nano)
	if a.Canary == "" {
		records[0].Detail["behind"] = strings.Join(e.persons(a), " ")
	}
	switch {
	case a.Canary != "":
		e.answered(a, &v)
	case in.Decision == Deny:
		a.State, a.Decided, a.Why = Denied, v.Time, in.Reason
		if err := e.noteDenial(ctx, tx, a); err != nil {
			return nil, err
		}
	case e.quorum(a):
		a.State, a.Decided = Approved, v.Time
	}
	if a.State != Pending {
		records = append(records, e.transition(a, p.ID, ""))
	}
	if a.Canary != "" {
		records = append(records, revealed(a, p.ID))
	}
	if err := e.save(ctx, tx, a, Pending); err != nil {
		return nil, err
	}
	events := []Event{a.event()}
	if a.State != Pending {
		of, recs, err := e.carry(ctx, tx, a, p.ID, "")
		if err != nil {
			return nil, err
		}
		events, records = append(events, of...), append(records, recs...)
	}
	if err := e.o.Log.Append(ctx, tx, records...); err != nil {
		return nil, err
	}
	if a.State == Approved {
		err = e.stand(ctx, tx, a)
	}
	return events, err
}

// Withdraw takes back what is pending, or approved and not yet used. With an item goes
// all of its plan that has not begun.
func (e *Engine) Withdraw(ctx context.Context, id, by, why string) (*Approval, error) {
	var a *Approval
	err := e.update(ctx, id, func(tx Tx) (events []Event, err error) {
		if a, err = e.load(ctx, tx, id); err != nil {
			return nil, err
		}
		if !a.Waiting() && a.State != Approved {
			return nil, ErrDecided
		}
		return e.move(ctx, tx, a, Withdrawn, by, why)
	})
	if err != nil {
		return nil, fmt.Errorf("withdrawing %s: %w", id, err)
	}
	return a, nil
}

// Gone notes whether the asker still waits. What is no longer pending is left alone.
func (e *Engine) Gone(ctx context.Context, id string, gone bool) error {
	err := e.update(ctx, id, func(tx Tx) ([]Event, error) {
		a, err := e.load(ctx, tx, id)
		if err != nil || a.State != Pending || a.AskerGone == gone {
			return nil, err
		}
		a.AskerGone = gone
		return []Event{a.event()}, e.save(ctx, tx, a, Pending)
	})
	if err != nil {
		return fmt.Errorf("noting that the asker of %s left: %w", id, err)
	}
	return nil
}

// move changes a's state, with its record.
func (e *Engine) move(ctx context.Context, tx Tx, a *Approval, to State, by, why string) ([]Event, error) {
	if a.Plan != "" {
		return e.moveItem(ctx, tx, a, to, by, why)
	}
	from := a.State
	a.State, a.Why = to, why
	a.Version++
	switch {
	case from == Executing:
		a.Ended = e.now()
	case from == Pending:
		a.Decided = e.now()
	}
	if err := e.save(ctx, tx, a, from); err != nil {
		return nil, err
	}
	events, records, err := e.carry(ctx, tx, a, by, why)
	if err != nil {
		return nil, err
	}
	records = append([]*audit.Record{e.transition(a, by, why)}, records...)
	if a.Canary != "" {
		records = append(records, revealed(a, ""))
	}
	return append([]Event{a.event()}, events...), e.o.Log.Append(ctx, tx, records...)
}

func (e *Engine) expire(ctx context.Context, tx Tx, a *Approval) ([]Event, error) {
	why := "nobody decided in time"
	if a.State == Approved {
		why = "it was not used in time"
	}
	return e.move(ctx, tx, a, Expired, "", why)
}
