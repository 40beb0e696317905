package sealed

import (
	"context"
	"crypto/hmac"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Check calls found for each row of a kind that does not count under key: edited,
// put back as it once was, or taken away. An error means that it couldn't look.
func Check(ctx context.Context, tx Rows, key []byte, kind string, found func(about string, err error)) (rows int, err error) {
	list, err := tx.ListSealed(ctx, Selection{Kind: kind})
	if err != nil {
		return 0, err
	}
	known, err := tx.RevisionsOf(ctx, kind)
	if err != nil {
		return 0, err
	}
	for _, r := range list {
		switch newest := known[r.ID]; {
		case !hmac.Equal(r.MAC, rowMAC(key, &r)):
			found(r.About(), ErrTampered)
		case r.Revision != newest:
			found(r.About(), fmt.Errorf("stored at revision %d, and the log tells of %d: %w", r.Revision, newest, ErrTampered))
		}
		delete(known, r.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		found(kind+"/"+id, fmt.Errorf("gone: %w", ErrTampered))
	}
	return len(list), nil
}

// Reseal is the MAC of a row whose columns were changed with the key that seals them; due is in
// microseconds since 1970, 0 for none.
func Reseal(key []byte, kind, id string, revision int64, by string, due int64, body []byte) []byte {
	r := &Row{Kind: kind, ID: id, Revision: revision, Key: by, Body: body}
	if due != 0 {
		r.Due = time.UnixMicro(due)
	}
	return rowMAC(key, r)
}
