package approval

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/assenthq/assent/internal/audit"
)

// A canary is a hold that nobody asked for: an action that people should deny,
// shown to them as any other is. It is never approved, so it can't run: the first
// answer ends it, and says what it was. Until then nothing that reviewers see tells
// it from others: each record of a request carries a commitment, and that of a
// canary is opened by the record of its end.

// canaryOver is what an approved canary's state says.
const canaryOver = "it was a canary: nobody had asked for it, and nothing could have run"

// Plant holds a canary that looks like the question. id names it: planted twice
// under one id, by two nodes or after a restart, it is there once (ErrConflict).
func (e *Engine) Plant(ctx context.Context, q *Question, id string) (*Approval, error) {
	if !e.o.Canaries {
		return nil, fmt.Errorf("planting a canary: %w", ErrNotApproved)
	}
	a, err := e.hold(q)
	if err != nil {
		return nil, fmt.Errorf("planting a canary: %w", err)
	}
	nonce, match := make([]byte, 32), make([]byte, 32)
	_, _ = rand.Read(nonce) // never fails (Go 1.24)
	_, _ = rand.Read(match)
	// No action has this match, no other one its shape: nothing finds it, and its
	// denial is none of anything else's.
	a.ID, a.Canary, a.Match, a.Shape, a.Frame = id, hex.EncodeToString(nonce), hex.EncodeToString(match)[:len(a.Match)], "", ""
	err = e.update(ctx, a.ID, func(tx Tx) ([]Event, error) {
		if rows, err := tx.Reached(ctx, a.ID); err != nil || len(rows) > 0 {
			return nil, orConflict(err)
		}
		if _, err := tx.ApprovalByID(ctx, a.ID); err == nil {
			return nil, ErrConflict
		}
		return []Event{a.event()}, e.create(ctx, tx, a, q)
	})
	if err != nil {
		return nil, fmt.Errorf("planting a canary: %w", err)
	}
	e.poke()
	return a, nil
}

func orConflict(err error) error {
	if err == nil {
		return ErrConflict
	}
	return err
}

// CanaryID is the id of the canary of a slot: the same on every node, and known to none without the key.
func (e *Engine) CanaryID(slot string) string {
	sum := e.mac("assent-canary-id/1", []byte(slot))
	b := make([]byte, 16)
	for i := range b {
		b[i] = crockford[sum[i]&31]
	}
	return "apr_" + string(b)
}

// blind puts the commitment into the record of a new request: of a canary to what
// it is, of another to nothing. Without the nonce they are alike.
func (e *Engine) blind(a *Approval, r *audit.Record) {
	if !e.o.Canaries {
		return
	}
	if r.Detail == nil {
		r.Detail = map[string]string{}
	}
	if a.Canary != "" {
		r.Detail["blind"] = commitment(a.ID, a.Canary)
		return
	}
	b := make([]byte, sha256.Size)
	_, _ = rand.Read(b)
	r.Detail["blind"] = hex.EncodeToString(b)
}

// commitment is SHA-256 of what a canary is, and a nonce.
func commitment(id, nonce string) string {
	sum := sha256.Sum256([]byte("assent-canary/1\x00" + id + "\x00" + nonce))
	return hex.EncodeToString(sum[:])
}

// answered ends a canary by its first answer.
func (e *Engine) answered(a *Approval, v *Review) {
	a.State, a.Decided, a.Why = Denied, v.Time, v.Reason
	if v.Decision == Approve {
		a.State, a.Why = Withdrawn, canaryOver
	}
}

// revealed is the record that opens the commitment: what it was, and who answered how.
func revealed(a *Approval, person string) *audit.Record {
	r := record(audit.TypeCanary, a)
	r.Decision, r.Person = string(a.State), person
	for _, v := range a.Reviews {
		r.Decision, r.Person = v.Decision, v.Person
	}
	r.Detail = map[string]string{"nonce": a.Canary, "blind": commitment(a.ID, a.Canary)}
	return r
}

// Reveals says, once it is over, that a was a canary; "" before, and of others.
func (a *Approval) Reveals() string {
	if a.Canary == "" || a.State == Pending {
		return ""
	}
	switch { // its first answer ends it
	case len(a.Reviews) == 0:
		return "This was a canary: nobody had asked for it, and nothing could have run"
	case a.Reviews[0].Decision == Approve:
		return "This was a canary, and it was approved: nobody had asked for it, nothing could have run, and it should have been denied"
	}
	return "This was a canary, and it was seen: nobody had asked for it, and nothing could have run"
}
