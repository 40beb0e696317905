package approval

import (
	"context"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// A Row is an approval as a store keeps it. The named columns are for finding
// it; what counts is Body, sealed by MAC under a key the store never sees, and
// a column that differs from Body refuses the row.
type Row struct {
	ID         string
	Revision   int64
	State      State
	Match      string
	Shape      string
	Actor      string    // the acting one
	Credential string    // id of the asking credential
	Person     string    // id of who is behind it: the subject, or else the owner
	Created    time.Time // to the microsecond, as are all times here
	Decided    time.Time
	Due        time.Time // when it expires next; zero: never
	Body       []byte
	MAC        []byte
}

// A ReviewRow is a review as a store keeps it.
type ReviewRow struct {
	ID, Approval, Person string
	Body                 []byte
	MAC                  []byte
}

// A RelationRow tells that a person was seen behind an actor.
type RelationRow struct {
	Actor, Person string
	Why           string
	Seen          time.Time // last
	MAC           []byte
}

// A Store runs transactions: all of fn happens, or nothing. fn must not keep
// its Tx nor start another transaction of the same store.
type Store interface {
	Update(ctx context.Context, fn func(Tx) error) error
	View(ctx context.Context, fn func(Tx) error) error
}

// A Tx is one transaction: the log's part and ours.
type Tx interface {
	audit.Tx
	sealed.Rows
	Approvals
	Reviews
	// Soon is told, by fn, which reads follow: fn calls them, and is answered
	// nothing that counts. A store that is far away then answers them all at once.
	// fn must not write.
	Soon(ctx context.Context, fn func(Tx)) error
}

// Approvals are the verbs for approvals themselves.
type Approvals interface {
	InsertApproval(ctx context.Context, r Row) error
	// SwapApproval replaces the row with r.ID whose state and revision are
	// those given, and errs with ErrConflict when there is none.
	SwapApproval(ctx context.Context, from State, revision int64, r Row) error
	// ApprovalByID errs with ErrNotFound.
	ApprovalByID(ctx context.Context, id string) (Row, error)
	// ListApprovals returns what s selects, newest first.
	ListApprovals(ctx context.Context, s Selection) ([]Row, error)
	CountPending(ctx context.Context, actor string) (int, error) // "": of all actors
	// PendingOf counts the pending approvals of one Person, and the bytes of their bodies and of
	// those planned, which wait with one of them.
	PendingOf(ctx context.Context, person string) (n int, bytes int64, err error)
	// Reviewed lists the ids of the reviews that the log has for this approval, oldest
	// first: Detail["review"] of its records of type "review".
	Reviewed(ctx context.Context, id string) ([]string, error)
	// Reached lists the states that the log says this approval came to, oldest
	// first: those of its approval records, and Executing for its start.
	Reached(ctx context.Context, id string) ([]State, error)
}

// Reviews are the verbs for reviews and for who is related to whom.
type Reviews interface {
	InsertReview(ctx context.Context, r ReviewRow) error                     // a second one of a person is an error
	ReviewsOf(ctx context.Context, approvals ...string) ([]ReviewRow, error) // in the order they were made
	PutRelation(ctx context.Context, r RelationRow) error
	RelationsOf(ctx context.Context, actor string, since time.Time) ([]RelationRow, error)
}

// A Selection says which rows ListApprovals returns; zero fields select everything.
type Selection struct {
	States       []State
	Actor, Match string
	Shape        string
	Created      time.Time // at or after
	Decided      time.Time // at or after
	Due          time.Time // at or before, and set
	SoonestFirst bool      // by Due instead of newest first
	Behind       Place     // only what comes after it, newest first
	Limit        int
}
