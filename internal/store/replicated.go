package store

import (
	"context"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// A Replicated store is shared by several processes, its nodes. Each has a
// lease; what it executes bears its name.
type Replicated interface {
	Store
	// Node names this process; no other has had or will have the same name.
	Node() string
	// First reports whether no process has served under this node's name before.
	First() bool
	// OnForeign calls fn with records that other nodes appended, in order, of
	// those about approvals, sealed rows and credentials. fn may read the store.
	OnForeign(fn func([]audit.Record))
	// Fence takes the lease from nodes that have been silent for too long, and
	// tells from how many. They write nothing any more.
	Fence(ctx context.Context) (int, error)
	// Gone says of nodes whether they have ended or lost their lease.
	Gone(ctx context.Context) (func(node string) bool, error)
	// Clock is the time that all nodes share.
	Clock(ctx context.Context) (time.Time, error)
	// FirstSetting stores a value under key unless there is one, and returns the
	// one that is there then.
	FirstSetting(ctx context.Context, key string, value []byte) ([]byte, error)
}
