package approval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/sealed"
)

// assurancePasskey is the highest level: the person's own authenticator signed.
const assurancePasskey = "passkey"

// Passkeys check what people sign with their authenticators.
type Passkeys interface {
	// Accept verifies a fresh assertion in the transaction that records it.
	Accept(ctx context.Context, tx sealed.Tx, person string, challenge [32]byte, a *evidence.Assertion) error
	// Holds verifies a recorded one again, and that its key isn't revoked since.
	Holds(ctx context.Context, tx sealed.Tx, person string, at time.Time, challenge [32]byte, a *evidence.Assertion) error
	// Refused tells an answer that doesn't verify from what went wrong with us,
	// and one that must raise an alarm.
	Refused(err error) (refused, alarm bool)
}

// A Signature is a passkey's, over one person's answer.
type Signature struct {
	Assertion evidence.Assertion
	Nonce     string // of the challenge that was signed
	Scope     string // as it was signed; the engine says what
	Card      string // the same
}

// ErrSignature refuses an answer whose signature doesn't verify.
type ErrSignature struct{ Err error }

func (e ErrSignature) Error() string { return e.Err.Error() }

// Unwrap is what didn't verify.
func (e ErrSignature) Unwrap() error { return e.Err }

// Signs is what a passkey signs when in answers a: everything that the answer
// and the card say, but for the nonce.
func (in *Answer) Signs(a *Approval) evidence.Review {
	scope := a.scope(&in.Obligation)
	scope.Standing = in.Standing
	return evidence.Review{
		Approval: a.ID, Digest: a.Digest.String(), Person: in.Person.ID, Decision: in.Decision, Reason: in.Reason,
		Version: a.Version, Scope: scope.String(), Card: a.Card(),
	}
}

// A scope is what an approval would allow at most.
type scope struct {
	Masks  map[string]string `json:"masks,omitempty"`
	Rows   *int64            `json:"rows,omitempty"`
	Within int64             `json:"within"` // how many seconds it may be used
	// Standing is what a reviewer allows beyond the one action.
	Standing *Scope `json:"standing,omitempty"`
}

// scope of a, with what an answer asks for besides.
func (a *Approval) scope(besides *Obligation) scope {
	bounds := a.Bounds()
	bounds.take(besides)
	s := scope{Masks: bounds.Masks, Within: int64(bounds.Window.Seconds())}
	for _, n := range []action.Count{bounds.Rows, a.Preview.Bound()} {
		if n.Known && (s.Rows == nil || n.N < *s.Rows) {
			s.Rows = &n.N
		}
	}
	return s
}

// String is the scope as it is signed, always the same for the same.
func (s *scope) String() string {
	b, _ := json.Marshal(s) // strings and numbers: it can't fail
	return string(b)
}

// within reports whether s allows no more than what was signed. The time alone
// may be shorter: later reviews shorten it for all.
func (s *scope) within(signed string) bool {
	var o scope
	if json.Unmarshal([]byte(signed), &o) != nil || s.Within > o.Within {
		return false
	}
	o.Within = s.Within
	return s.String() == o.String()
}

// Card is the hash of what a reviewer is shown of a.
func (a *Approval) Card() string {
	type review struct{ Person, Decision, Reason, Obligation string }
	type remark struct{ By, Of, Text string }
	c := struct {
		ID, Title, Verb, Target, Statement, Policy, Reason, Gate, Subject string

		Version          int64
		Created, Expires time.Time
		Window           time.Duration
		Kinds            []action.Kind
		Resource         action.Resource
		Data             action.Data
		Masked           []Span
		Claims           action.Claims
		Chain            []string
		Requirements     []policy.Requirement
		Rules            []policy.Hit
		Masks            map[string]string
		RowLimit         action.Count
		Preview          *action.Preview
		Show             []string
		Repeats          int
		OpenTransaction  bool
		Reviews          []review
		Remarks          []remark
		Items            []Item       `json:",omitempty"`
		Risk             *policy.Risk `json:",omitempty"`
	}{
		a.ID, a.Title, a.Verb, a.Target, a.Statement, a.Policy, a.Reason, a.Gate, a.Asker.Subject.ID,
		a.Version, a.Created, a.Expires, a.Window, a.Kinds, a.Resource, a.Data, a.Masked, a.Claims, nil,
		a.Requirements, a.Rules, a.Masks, a.RowLimit, a.Preview, a.Show, a.Repeats, a.OpenTransaction, nil, nil, a.Items, a.Risk,
	}
	for _, l := range a.Asker.Chain {
		c.Chain = append(c.Chain, l.ID)
	}
	for _, r := range a.Reviews {
		c.Reviews = append(c.Reviews, review{r.Person, r.Decision, r.Reason, r.Obligation.String()})
	}
	for _, r := range a.Remarks {
		c.Remarks = append(c.Remarks, remark{r.By, r.Of, r.Text})
	}
	b, _ := json.Marshal(c) // values without cycles or floats: it can't fail
	return evidence.CardHash(b)
}

// assurance is the level that in is given at. Nobody is believed to have signed.
func (in *Answer) assurance() string {
	if in.Signature != nil {
		return assurancePasskey
	}
	if in.Assurance == assurancePasskey {
		return ""
	}
	return in.Assurance
}

// sign verifies the signature of an answer and notes it in the review.
func (e *Engine) sign(ctx context.Context, tx Tx, a *Approval, in *Answer, v *Review) error {
	if in.Signature == nil {
		return nil
	}
	if e.o.Passkeys == nil {
		return ErrSignature{errors.New("no passkeys are kept here")}
	}
	s := in.Signs(a)
	s.Nonce = in.Signature.Nonce
	if err := e.o.Passkeys.Accept(ctx, tx, in.Person.ID, s.Challenge(), &in.Signature.Assertion); err != nil {
		if refused, _ := e.o.Passkeys.Refused(err); refused {
			return ErrSignature{err}
		}
		if errors.Is(err, sealed.ErrTampered) {
			return fmt.Errorf("%w: %w", ErrTampered, err)
		}
		return err
	}
	v.Signature = &Signature{Assertion: in.Signature.Assertion, Nonce: s.Nonce, Scope: s.Scope, Card: s.Card}
	v.proven = true
	return nil
}

// prove checks the signature of a stored review again, a having those before it. One that doesn't hold
// leaves the review without a level, so that it fills no seat.
func (e *Engine) prove(ctx context.Context, tx Tx, a *Approval, r *Review) error {
	if r.Signature == nil || e.o.Passkeys == nil {
		return nil
	}
	s := evidence.Review{
		Approval: r.Approval, Digest: r.Digest.String(), Person: r.Person, Decision: r.Decision, Reason: r.Reason,
		Version: r.Version, Scope: r.Signature.Scope, Card: r.Signature.Card, Nonce: r.Signature.Nonce,
	}
	now := a.scope(&r.Obligation)
	now.Standing = r.Standing
	if !now.within(s.Scope) { // what it allows is no longer what was signed
		return nil
	}
	err := e.o.Passkeys.Holds(ctx, tx, r.Person, r.Time, s.Challenge(), &r.Signature.Assertion)
	if refused, _ := e.o.Passkeys.Refused(err); refused || errors.Is(err, sealed.ErrTampered) {
		e.o.Logger.WarnContext(ctx, "a review's passkey signature doesn't hold", "approval", r.Approval, "review", r.ID, "err", err)
		return nil
	}
	r.proven = err == nil
	return err
}

// level is what a review is worth. What says that it was signed must be.
func (r *Review) level() int {
	if (r.Assurance == assurancePasskey || r.Signature != nil) && !r.proven {
		return -1
	}
	return level(r.Assurance)
}

// detail writes the signature into the review's record, so that anybody can verify it.
func (s *Signature) detail(d map[string]string) {
	if s == nil {
		return
	}
	d["scope"], d["card"], d["nonce"] = s.Scope, s.Card, s.Nonce
	s.Assertion.AssertionDetail(d)
}

// refusedSignature records that somebody tried; a copied authenticator is an alarm too.
func (e *Engine) refusedSignature(a *Approval, in *Answer, why ErrSignature) []*audit.Record {
	r := refusedRecord(a, *in, ErrExcluded{Why: why.Err.Error()})
	r.Detail["credential"] = evidence.PasskeyID(in.Signature.Assertion.Credential)
	out := []*audit.Record{r}
	if _, alarm := e.o.Passkeys.Refused(why.Err); alarm {
		w := record(audit.TypeAlarm, a)
		w.Person = in.Person.ID
		w.Detail = map[string]string{"what": fmt.Sprintf("the passkey of %s: %v", in.Person.ID, why.Err)}
		out = append(out, w)
	}
	return out
}

// counted adds to the record of an approval reached how many people it took and at which level.
func (e *Engine) counted(a *Approval, r *audit.Record) {
	if a.State != Approved || a.Plan != "" { // an item's plan says it
		return
	}
	if len(a.Items) > 0 {
		maps.Copy(r.Detail, a.bound())
	}
	var people []string
	for _, s := range e.Progress(a) {
		if s.Person != "" && !slices.Contains(people, s.Person) {
			people = append(people, s.Person)
		}
	}
	r.Detail["assurance"], r.Detail["seats"] = a.Assurance(), strconv.Itoa(len(people))
}
