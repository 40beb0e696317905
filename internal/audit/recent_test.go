package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// What was written last is read back from where it lies, over the edges of segments.
func TestRecent(t *testing.T) {
	dir := t.TempDir()
	old := openSpool(t, SpoolOptions{Dir: dir})
	fill(t, old, 3)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	s := openSpool(t, SpoolOptions{Dir: dir, SegmentBytes: 64 << 10})
	look := s.Recent()
	defer look.Close()
	if oldest, next := look.Bounds(); oldest != 3 || next != 3 {
		t.Errorf("before the first record of this run: %d to %d", oldest, next)
	}
	for _, n := range []int64{-1, 2, 3} {
		if leaf, ok := look.Leaf(n); ok {
			t.Errorf("record %d reads %s", n, leaf)
		}
	}
	const n = RecentKept + 100
	fill(t, s, n)
	oldest, next := look.Bounds()
	if oldest != 3+100 || next != 3+n || s.Status().Segment < 4 {
		t.Errorf("records %d to %d in %d segments", oldest, next, s.Status().Segment)
	}
	check := func(seq int64) {
		leaf, ok := look.Leaf(seq)
		var r Record
		if !ok || json.Unmarshal(leaf, &r) != nil || r.Index != seq || r.Detail["text"] != fmt.Sprint(seq-3) {
			t.Errorf("record %d reads %q, %v", seq, leaf, ok)
		}
	}
	for seq := next - 1; seq >= oldest; seq-- {
		check(seq)
	}
	for seq := oldest; seq < next; seq++ {
		check(seq)
	}
	check(oldest)
	if _, ok := look.Leaf(oldest - 1); ok {
		t.Error("a record that is no more among the newest was read")
	}

	// A segment that is gone or damaged is no answer.
	last := filepath.Join(dir, fmt.Sprintf(segmentName, s.Status().Segment))
	look.Close()
	if err := os.Truncate(last, 10); err != nil {
		t.Fatal(err)
	}
	if leaf, ok := look.Leaf(next - 1); ok {
		t.Errorf("a record that was cut off reads %s", leaf)
	}
	look.Close()
	if err := os.Remove(last); err != nil {
		t.Fatal(err)
	}
	if leaf, ok := look.Leaf(next - 1); ok {
		t.Errorf("a record whose segment is gone reads %s", leaf)
	}
}

// Reading beside writers gives the record that was asked for, or none.
func TestRecentBesideWriters(t *testing.T) {
	s := openSpool(t, SpoolOptions{Dir: t.TempDir(), SegmentBytes: 64 << 10})
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() { fill(t, s, 3*RecentKept) })
	}
	look := s.Recent()
	defer look.Close()
	read := 0
	for {
		oldest, next := look.Bounds()
		for _, seq := range []int64{oldest, next - 1} {
			leaf, ok := look.Leaf(seq)
			if !ok {
				continue
			}
			read++
			if own, is := LeafIndex(leaf); !is || own != seq {
				t.Fatalf("record %d reads %s", seq, leaf)
			}
		}
		if next == 6*RecentKept {
			break
		}
	}
	writers.Wait()
	if read == 0 {
		t.Error("nothing was read")
	}
}
