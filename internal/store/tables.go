package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
)

// A Table names what is copied when a deployment moves from one store to
// another, in an order that both keep.
type Table struct {
	Name    string
	Columns []string
	Order   string // of the first store; the second keeps it, by itself or in a column of its own
}

// Tables are all tables whose rows are a deployment's state and log. The head is
// copied by itself, and last.
var Tables = []Table{
	{"log_record", []string{"idx", "time", "type", "actor", "person", "approval", "resource", "session", "kinds", "about", "revision", "leaf"}, "idx"},
	{"log_erased", []string{"idx", "erasure", "copy"}, "idx, erasure"},
	{"log_tile", []string{"level", "n", "hashes"}, "level, n"},
	{"approval", []string{"id", "revision", "state", "match", "shape", "actor", "credential", "person", "created", "decided", "due", "body", "mac"}, "rowid"},
	{"review", []string{"id", "approval", "person", "body", "mac"}, "rowid"},
	{"relation", []string{"actor", "person", "why", "seen", "mac"}, "actor, person, why"},
	{"token", []string{"id", "user_name", "body", "mac"}, "rowid"},
	{"sealed", []string{"kind", "id", "revision", "key", "due", "body", "mac"}, "kind, id"},
	{"ledger", []string{"subject", "class", "resource", "hour", "row_count", "byte_count", "mac"}, "subject, class, resource, hour"},
	{"vault", []string{"token", "class", "actor", "kept", "body"}, "token"},
	{"setting", []string{"key", "value"}, "key"},
}

// A Sum is the number of a table's rows and a digest of all they hold, in order.
type Sum struct {
	Rows int64
	h    hash.Hash
}

// Add takes one row in; a value is an int64 or []byte.
func (s *Sum) Add(row []any) error {
	if s.h == nil {
		s.h = sha256.New()
	}
	s.Rows++
	var b []byte
	for _, v := range row {
		switch v := v.(type) {
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'n'), uint64(v))
		case []byte:
			b = append(binary.BigEndian.AppendUint64(append(b, 'b'), uint64(len(v))), v...)
		default:
			return fmt.Errorf("a value of type %T", v)
		}
	}
	s.h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
	s.h.Write(b)
	return nil
}

// Digest is that of all rows so far.
func (s *Sum) Digest() (d [32]byte) {
	if s.h != nil {
		s.h.Sum(d[:0])
	}
	return d
}
