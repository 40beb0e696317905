// Package store says what a deployment asks of the place where it keeps
// everything: approvals, reviews and credentials, the audit log, the ledger and
// settings. internal/store/sqlite and internal/store/postgres keep it.
//
// An Update that returned nil survives a crash; state and the record of it
// commit together or not at all. Nothing that is read is believed: rows are
// sealed and records hashed by those who use them.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/sealed"
)

// Errors of a store that can't be used.
var (
	ErrDead   = errors.New("the store has stopped after a failed write")
	ErrClosed = errors.New("the store is closed")
	ErrInUse  = errors.New("another process has this data directory open: stop it first")
	ErrRead   = errors.New("the store is open for reading only")
	ErrMoved  = errors.New("what was kept in this data directory has moved")
	// ErrLedgerEdited says that a row of the ledger is not what was written here.
	ErrLedgerEdited = errors.New("a row of the ledger was edited: what was read is not known any more")
)

// A Store is where one deployment keeps everything. It is safe for concurrent use.
type Store interface {
	approval.Store
	identity.TokenStore
	sealed.Store
	audit.Reader
	Ledger
	Settings
	Vault

	// Filed is Leaves, and tells of each record whether searches find it: filed is
	// false where a column beside the leaf says another than the leaf. The leaf is
	// fn's until it returns.
	Filed(ctx context.Context, from, to int64, fn func(index int64, leaf []byte, filed bool) error) error
	// OnCommit calls fn with the log's head after each commit that moved it, in
	// order: fn must be quick and must not use Update. Of other nodes' commits it
	// may hear late, and of several at once.
	OnCommit(fn func(audit.Head))
	// Err tells why the store has stopped; nil while it writes.
	Err() error
	Close() error
}

// A Tx is what every transaction of a Store can do.
type Tx interface {
	approval.Tx
	identity.TokenTx
	// TokenRevoked reports whether the log says that a credential was revoked.
	TokenRevoked(ctx context.Context, id string) (bool, error)
}

// A Ledger counts what flowed, by hour.
type Ledger interface {
	// SealLedger gives the key that rows are sealed with, once, before the ledger is used.
	SealLedger(key []byte)
	// AddRows notes rows and bytes about to flow to subject from resource in the
	// hour that holds t; less than nothing takes back what did not flow. class ""
	// is the total over all classes.
	AddRows(ctx context.Context, subject, class, resource string, t time.Time, rows, bytes int64) error
	// SumRows is what flowed since the hour that holds since, by class.
	SumRows(ctx context.Context, subject, resource string, since time.Time) (rows, bytes map[string]int64, err error)
}

// A Vault keeps the values behind tokens. They are sealed by who keeps them.
type Vault interface {
	mask.Keeper
	// KeptValue is what was kept under a token; nil: nothing, or it was erased.
	KeptValue(ctx context.Context, token string) (*mask.Kept, error)
	// EraseValues erases what fits, and tells how many values did. An erasure that
	// says nothing is an error.
	EraseValues(ctx context.Context, what mask.Erasure) (int64, error)
}

// ErrEraseAll says that an erasure would fit every value.
var ErrEraseAll = errors.New("say which values are erased: of a token, a class, an actor, or before a time")

// Settings are values by key. They are not sealed: nothing may be opened on their word.
type Settings interface {
	PutSetting(ctx context.Context, key string, value []byte) error
	Setting(ctx context.Context, key string) ([]byte, error) // nil: there is none
}
