package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

// record is an audit record about a.
func record(kind string, a *Approval) *audit.Record {
	r := &audit.Record{Type: kind}
	fill(r, a)
	return r
}

// fill writes what r leaves empty. Which approval and which action a record is
// about is never left to the caller.
func fill(r *audit.Record, a *Approval) {
	r.Approval, r.Digest = a.ID, a.Digest.String()
	set := func(field *string, to string) {
		if *field == "" {
			*field = to
		}
	}
	set(&r.Actor, a.actor())
	set(&r.Subject, a.Asker.Subject.ID)
	set(&r.Gate, a.Gate)
	set(&r.Resource, a.Resource.URN)
	set(&r.Env, a.Resource.Env)
	set(&r.Verb, a.Verb)
	set(&r.Target, a.Target)
	set(&r.Title, a.Title)
	set(&r.Shape, a.Shape)
	set(&r.Policy, a.Policy)
	if r.Chain == nil {
		for _, c := range a.Asker.Chain {
			r.Chain = append(r.Chain, c.ID)
		}
	}
	if r.Kinds == nil {
		for _, k := range a.Kinds {
			r.Kinds = append(r.Kinds, string(k))
		}
	}
	if r.Rules == nil {
		for _, h := range a.Rules {
			r.Rules = append(r.Rules, h.Rule)
		}
	}
}

// transition is the record of a's new state, brought about by whom (a person,
// an actor, or "" for the engine) and why.
func (e *Engine) transition(a *Approval, by, why string) *audit.Record {
	r := record(audit.TypeApproval, a)
	r.Decision = string(a.State)
	r.Detail = map[string]string{}
	if why != "" {
		r.Detail["why"] = why
	}
	if p, ok := e.o.Directory.Person(by); ok {
		r.Person = p.ID
	} else if by != "" {
		r.Detail["by"] = by
	}
	e.counted(a, r)
	return ofPlan(r, a)
}

func reviewRecord(a *Approval, v *Review) *audit.Record {
	r := record(audit.TypeReview, a)
	r.Person, r.Decision = v.Person, v.Decision
	r.Detail = map[string]string{
		"review": v.ID, "channel": v.Channel, "assurance": v.Assurance,
		"version": strconv.FormatInt(v.Version, 10),
	}
	if v.Reason != "" {
		r.Detail["reason"] = v.Reason
	}
	if s := v.Standing; s != nil {
		r.Detail["standing"] = fmt.Sprintf("%d uses, %s values, for %s", s.Uses, s.Values, s.For)
	}
	v.Signature.detail(r.Detail)
	if !v.Obligation.Empty() {
		r.Detail["obligation"] = v.Obligation.String()
	}
	return r
}

// update runs fn in a transaction and tells the changes it returns once they
// are durable. A seal that doesn't fit is an alarm in the log.
func (e *Engine) update(ctx context.Context, id string, fn func(Tx) ([]Event, error)) error {
	var events []Event
	err := e.o.Store.Update(ctx, func(tx Tx) (err error) {
		events, err = fn(tx)
		return err
	})
	if err == nil {
		e.publish(events)
		return nil
	}
	if errors.Is(err, ErrTampered) {
		err = errors.Join(err, e.alarm(ctx, id, err.Error()))
	}
	return err
}

// alarm records that something was found which must not be.
func (e *Engine) alarm(ctx context.Context, id, what string) error {
	e.o.Logger.ErrorContext(ctx, "alarm", "approval", id, "what", what)
	err := e.o.Store.Update(ctx, func(tx Tx) error {
		return e.o.Log.Append(ctx, tx, &audit.Record{
			Type: audit.TypeAlarm, Approval: id, Detail: map[string]string{"what": what},
		})
	})
	if err != nil {
		return fmt.Errorf("recording an alarm: %w", err)
	}
	return nil
}

func (a *Approval) event() Event {
	return Event{ID: a.ID, Version: a.Version, State: a.State, Plan: a.Plan}
}

// sameAsker reports whether two askers present one credential for one chain.
func sameAsker(a, b *identity.Asker) bool {
	return a.Credential == b.Credential && a.Subject.ID == b.Subject.ID && slices.Equal(a.Links(), b.Links())
}
