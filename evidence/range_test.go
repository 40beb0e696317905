package evidence_test

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/evidence"
)

// leftOf are the perfect subtrees left of a record, read from x/mod's tree.
func leftOf(t *testing.T, h tlog.HashReader, first int64) []evidence.Hash {
	t.Helper()
	var at []int64
	done := int64(0)
	for level := 62; level >= 0; level-- {
		if first>>level&1 == 1 {
			at = append(at, tlog.StoredHashIndex(level, done>>level))
			done += 1 << level
		}
	}
	left, err := h.ReadHashes(at)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestRangeHasTheRootsOfXMod(t *testing.T) {
	const n = 67
	h, roots := newTree(t, n), make([]tlog.Hash, n+1)
	for size := int64(1); size <= n; size++ {
		var err error
		if roots[size], err = tlog.TreeHash(size, h); err != nil {
			t.Fatal(err)
		}
	}
	for first := int64(1); first <= n; first++ {
		left := leftOf(t, h, first)
		r, err := evidence.NewRange(first, left)
		if err != nil {
			t.Fatal(err)
		}
		for i := first; ; i++ {
			if r.Size() != i || r.Root() != roots[i] {
				t.Fatalf("from %d: root at %d isn't x/mod's", first, i)
			}
			if i == n {
				break
			}
			if i%3 == 0 {
				r.AddHash(evidence.LeafHash(h.leaves[i]))
			} else {
				r.Add(h.leaves[i])
			}
		}
		left[0][0] ^= 1
		if r, _ = evidence.NewRange(first, left); r.Root() == roots[first] {
			t.Errorf("from %d: a changed hash on the left has the same root", first)
		}
		if _, err := evidence.NewRange(first, left[1:]); err == nil {
			t.Errorf("from %d: a hash too few passed", first)
		}
	}
	if _, err := evidence.NewRange(-1, nil); err == nil {
		t.Error("a range from before the log passed")
	}
}

func TestRangeOmission(t *testing.T) {
	whole, _ := evidence.NewRange(0, nil)
	for i := range 9 {
		whole.Add([]byte{byte(i)})
	}
	for drop := range 9 {
		r, _ := evidence.NewRange(0, nil)
		for i := range 9 {
			if i != drop {
				r.Add([]byte{byte(i)})
			}
		}
		if r.Root() == whole.Root() {
			t.Errorf("record %d left out, the root is the same", drop)
		}
	}
}
