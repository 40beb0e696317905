package evidence

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// A Range rebuilds a log's tree (RFC 6962, section 2.1) over a contiguous range
// of records that begins anywhere: from the roots of the perfect subtrees left of
// the range, at most 63, and then each record, or its hash alone, in order. Its
// Root must be the older checkpoint's before the first record and the newer
// one's after the last. Equal roots show that no index between the two was left
// out or changed, and that the newer log continues the older: one proof for the
// whole range. The left hashes need no trust before the first root was compared.
type Range struct {
	size int64
	left []Hash // roots of perfect subtrees, the biggest first
}

// NewRange begins at record first (from 0) with the subtrees left of it, the biggest first.
func NewRange(first int64, left []Hash) (*Range, error) {
	if first < 0 {
		return nil, fmt.Errorf("range from record %d: records are numbered from 0", first)
	}
	if want := bits.OnesCount64(uint64(first)); len(left) != want {
		return nil, fmt.Errorf("range from record %d: %d hashes left of it, not %d", first, len(left), want)
	}
	return &Range{size: first, left: append([]Hash(nil), left...)}, nil
}

// Add takes the next record's exact bytes.
func (r *Range) Add(leaf []byte) { r.AddHash(tlog.RecordHash(leaf)) }

// AddHash takes the next record's hash, where the record itself isn't shown.
func (r *Range) AddHash(h Hash) {
	for n := r.size; n&1 == 1; n >>= 1 {
		last := len(r.left) - 1
		h, r.left = tlog.NodeHash(r.left[last], h), r.left[:last]
	}
	r.left = append(r.left, h)
	r.size++
}

// Size is how many records the tree has, those left of the range included.
func (r *Range) Size() int64 { return r.size }

// Root is the tree's root. With no record it is the hash of nothing.
func (r *Range) Root() Hash {
	last := len(r.left) - 1
	if last < 0 {
		return sha256.Sum256(nil)
	}
	h := r.left[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(r.left[i], h)
	}
	return h
}
