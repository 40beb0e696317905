// Package change makes changing the rules an action of its own: a policy
// bundle, a setting, letting something frozen go. Each waits for an approval by
// somebody other than its author, from the second administrator on.
//
// It promises that exactly the bytes that were approved are applied, once, in
// the transaction that uses the approval; and that what one administrator alone
// changes, because there is no other, is recorded as an alarm.
package change

import (
	"context"
	"errors"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// States of a change.
const (
	Proposed = "proposed" // waits for people
	Applied  = "applied"
	Refused  = "refused" // denied, expired, withdrawn, or no longer possible
)

// Where the approvals of changes are asked: no gate of the configuration has this name.
const (
	Gate = "assent"
	urn  = "assent:config/"
)

// Operator is the credential of whoever may read the data directory. Nobody
// knows which person uses it, so what it asks takes two of them.
const Operator = "person:operator"

// Errors of changes.
var (
	// ErrStale says that a change can't be applied any more, whoever approves it.
	ErrStale = errors.New("this can't be applied any more")
	ErrWhat  = errors.New("nothing of this kind can be changed while running")
	// ErrFrozen refuses an author who is frozen.
	ErrFrozen = errors.New("you are frozen, so you change nothing")
	// ErrNobody refuses somebody who isn't an administrator where there is none to ask.
	ErrNobody = errors.New("there is no administrator to ask: the configuration names none (admins:)")
	// ErrTogether refuses what takes two administrators where there aren't two.
	ErrTogether = errors.New("this takes two administrators, and there is none beside you to ask")
	// ErrUnbelieved refuses everybody while rows about people can't be believed.
	ErrUnbelieved = errors.New("the directory can't be believed, so nobody can tell who else administers: nothing is changed until this server was started on rows that can be (its log names them)")
)

// A BodyError says to its author what is wrong with what should be applied.
type BodyError struct{ Problem string }

func (e *BodyError) Error() string { return e.Problem }

// A Change is what somebody wants changed, with what became of it.
type Change struct {
	What     string            `json:"what"` // an Applier's
	Title    string            `json:"title"`
	Text     string            `json:"text"` // for people to read
	Body     []byte            `json:"body"` // exactly what is applied
	Author   string            `json:"author"`
	Name     string            `json:"author_name,omitempty"`
	Related  map[string]string `json:"related,omitempty"` // further people who may not approve it, with why
	At       time.Time         `json:"at"`
	State    string            `json:"state"`
	Approval string            `json:"approval,omitempty"`
	Alone    bool              `json:"alone,omitempty"`   // applied at once: there was nobody else
	Tighter  bool              `json:"tighter,omitempty"` // applied at once: it permits nothing more
	Ended    time.Time         `json:"ended,omitzero"`
	Why      string            `json:"why,omitempty"` // it was refused
}

// An Entry is a Change with its id.
type Entry struct {
	ID string
	Change
}

// An Applier knows one kind of change.
type Applier struct {
	// Check errs when body could not be applied now, before anybody is asked.
	Check func(ctx context.Context, body []byte) error
	// Apply applies it within the transaction that uses its approval. An error
	// that wraps ErrStale ends the change; after any other it is tried again.
	Apply func(ctx context.Context, w *sealed.Writer, id string, c *Change) error
	// Tightens reports whether body, applied in this transaction, permits nothing
	// that isn't permitted now: then an administrator needs nobody else for it. nil: never.
	Tightens func(ctx context.Context, r *sealed.Reader, body []byte) (bool, error)
	// Together says that it takes two administrators, whoever asks and however few there are.
	Together bool
	// Done is told once that is durable; nil: nobody needs to know.
	Done func(ctx context.Context)
}

// A Proposal asks for a change.
type Proposal struct {
	Author     identity.Person
	Credential string // id, never the secret
	Admin      bool   // the credential carries the scope of an administrator
	What       string
	Title      string
	Text       string
	Body       []byte
	Related    map[string]string
}
