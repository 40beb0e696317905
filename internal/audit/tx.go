package audit

import (
	"context"
	"strings"
	"time"
)

// A Head is the log's newest state. The zero Head is an empty log.
type Head struct {
	Size int64
	Root [32]byte
	Last time.Time // time of the newest record
}

// Tx is the part of a store's transaction that the log needs, so that records
// and the state they tell about commit together or not at all.
type Tx interface {
	Head(ctx context.Context) (Head, error)
	// SwapHead replaces old by next; it errs when the stored size is not old.Size.
	SwapHead(ctx context.Context, old, next Head) error
	// InsertRecord stores a leaf; r is for the columns one searches by. An index that exists is an error.
	InsertRecord(ctx context.Context, index int64, leaf []byte, r *Record) error
	// Tile returns the hashes (32 bytes each) of tile n at a level (height 8), nil when there is none.
	Tile(ctx context.Context, level int, n int64) ([]byte, error)
	PutTile(ctx context.Context, level int, n int64, hashes []byte) error
}

// A Reader reads what is stored, for proofs, verification and search.
type Reader interface {
	Head(ctx context.Context) (Head, error)
	// Leaves calls fn with each leaf from index from up to but not including to, in order.
	Leaves(ctx context.Context, from, to int64, fn func(index int64, leaf []byte) error) error
	Tile(ctx context.Context, level int, n int64) ([]byte, error)
	// Search returns the newest records first that match q.
	Search(ctx context.Context, q Query) ([]Record, error)
}

// IsWord reports whether s is spelt as a class of data is: nothing else is in a record's findings.
func IsWord(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return s != ""
}

// A Query selects records; empty fields match everything.
type Query struct {
	Types                             []string
	Actor, Person, Approval, Resource string
	Session, Kind, About              string
	Class                             string // of sensitive data that was found or masked
	Since, Until                      time.Time
	Before                            int64 // only records with a smaller index; 0: no bound
	Limit                             int
}

// Said is the query besides its period, for people.
func (q *Query) Said() map[string]string {
	out := map[string]string{}
	for name, text := range map[string]string{
		"actor": q.Actor, "person": q.Person, "resource": q.Resource, "kind": q.Kind, "class": q.Class,
		"session": q.Session, "approval": q.Approval, "type": strings.Join(q.Types, ","),
	} {
		if text != "" {
			out[name] = text
		}
	}
	return out
}
