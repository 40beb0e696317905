package approval

import (
	"errors"
	"fmt"
)

// Why the engine says no. Everything not on this list is an error of ours, and
// it too means no.
var (
	ErrNotFound    = errors.New("there is no such approval")
	ErrNotEligible = errors.New("you are not among those who were asked")
	ErrChanged     = errors.New("the approval changed since you saw it: look again")
	ErrDecided     = errors.New("the approval is already decided")
	ErrExpired     = errors.New("the approval has expired")
	ErrReviewed    = fmt.Errorf("you have reviewed this already: %w", ErrDecided)
	ErrNotApproved = errors.New("the action is not approved")
	ErrMismatch    = errors.New("the approval belongs to another action")
	ErrNotAsker    = errors.New("the approval belongs to another credential")
	ErrNoHuman     = errors.New("no known person is behind the actor")
	ErrTampered    = errors.New("a stored record was changed outside Assent")
	ErrConflict    = errors.New("the approval was changed at the same time")
)

// ErrExcluded says why a person may not review: they are part of what is asked.
type ErrExcluded struct{ Why string }

func (e ErrExcluded) Error() string { return "you may not review this: " + e.Why }

// ErrAssurance says how a review has to be given.
type ErrAssurance struct{ Need string }

func (e ErrAssurance) Error() string { return "this review asks for assurance " + e.Need }

// A FrozenError refuses what somebody froze.
type FrozenError struct{ Who string }

func (e *FrozenError) Error() string { return "frozen by " + e.Who }

// A CapError refuses one more pending approval: of an actor, or of all actors
// that work for one person. It counts what that one caused and nobody else.
type CapError struct {
	Actor  string
	Person string // "": the actor's own cap
	Cap    int
	Bytes  int64 // the cap on what cards take, where that is what was reached
}

func (e *CapError) Error() string {
	switch {
	case e.Bytes > 0:
		return fmt.Sprintf("what waits for people on behalf of %s would take more than %d MiB", e.Person, e.Bytes>>20)
	case e.Person != "":
		return fmt.Sprintf("%d actions already wait for people on behalf of %s", e.Cap, e.Person)
	}
	return fmt.Sprintf("%s already has %d actions waiting for people", e.Actor, e.Cap)
}

// An UnsatisfiableError refuses an action that nobody could approve.
type UnsatisfiableError struct {
	Rule, Pack string
	Asks       string // "2 of data-owners"
	Groups     []string
	Need       int         // seats
	Have       int         // people who may fill one, once the excluded are left out
	Denial     *PastDenial // without the seat that this costs, they could
}

// ForAsker is what an agent may hear: the rule, whom it asks for, and why they
// can't be found, without a name or how many people there are.
func (e *UnsatisfiableError) ForAsker() (reason, hint string) {
	reason = fmt.Sprintf("nobody may approve this: rule %s asks for %s, ", e.Rule, e.Asks)
	if d := e.Denial; d != nil {
		return reason + fmt.Sprintf("one of them because a reviewer denied the same at %s UTC, and there aren't as many who may review it", d.Time.UTC().Format("15:04")),
			fmt.Sprintf("ask again after %s UTC, or for something else", d.Until.UTC().Format("15:04"))
	}
	return reason + "and there aren't as many who may review it", "reviewers of an issuer's group have to sign in once; otherwise the policy's owner must name more people: assent doctor --config says where"
}

// Error is for operators and the log: it names people.
func (e *UnsatisfiableError) Error() string {
	s := fmt.Sprintf("rule %s asks for %s, and only %d may review this", e.Rule, e.Asks, e.Have)
	if d := e.Denial; d != nil {
		who := d.Name
		if who == "" {
			who = d.Person
		}
		s += fmt.Sprintf("; one seat of it is asked because %s denied the same at %s UTC (%s), until %s UTC",
			who, d.Time.UTC().Format("15:04:05"), d.Approval, d.Until.UTC().Format("15:04:05"))
	}
	return s
}
