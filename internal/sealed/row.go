// Package sealed keeps what Assent knows about people and actors beside the
// approvals: accounts, sessions, passkeys, freezes and the like, as rows that a
// database can keep and can't forge.
//
// A row counts only whole: a good MAC under a key the store never sees, columns
// that say the same, and a revision that is the newest the audit log tells of.
// So a row that was edited, put back as it once was, or taken away is found.
// Rows are never deleted: they end by a revision that says so.
package sealed

import (
	"context"
	"errors"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// Errors of sealed rows.
var (
	ErrNotFound = errors.New("there is no such entry")
	ErrConflict = errors.New("the entry was changed at the same time")
	ErrTampered = errors.New("a stored entry was changed outside Assent")
)

// A Row is an entry as a store keeps it. Key and Due are for finding it.
type Row struct {
	Kind, ID string
	Revision int64 // from 1
	Key      string
	Due      time.Time // to the microsecond; zero: none
	Body     []byte
	MAC      []byte
}

// About is how records name the row.
func (r *Row) About() string { return r.Kind + "/" + r.ID }

// A Selection says which rows of a kind to list, in the order of their ids.
type Selection struct {
	Kind  string
	Key   string    // "": any
	Due   time.Time // at or before, and set; zero: any
	After string    // only ids behind it
	Limit int       // 0: all
}

// Rows are a store's verbs for sealed rows.
type Rows interface {
	// PutSealed inserts r when from is 0, and otherwise replaces the row of that
	// revision. ErrConflict: it is there already, or isn't at that revision.
	PutSealed(ctx context.Context, r Row, from int64) error
	// SealedByID errs with ErrNotFound.
	SealedByID(ctx context.Context, kind, id string) (Row, error)
	ListSealed(ctx context.Context, s Selection) ([]Row, error)
	// RevisionOf is the newest revision that the log tells of; 0: none.
	RevisionOf(ctx context.Context, kind, id string) (int64, error)
	// RevisionsOf is RevisionOf for these ids of a kind, where it isn't 0; for each id when none is named.
	RevisionsOf(ctx context.Context, kind string, ids ...string) (map[string]int64, error)
}

// A Tx is one transaction: the log's part and ours.
type Tx interface {
	audit.Tx
	Rows
}

// A Store runs transactions: all of fn happens, or nothing.
type Store interface {
	UpdateSealed(ctx context.Context, fn func(Tx) error) error
	ViewSealed(ctx context.Context, fn func(Tx) error) error
}
