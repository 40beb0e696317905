package sqlite

import (
	"context"
	"os"
	"testing"
)

// A store that was closed keeps no file of it open.
func TestClosedStoreHoldsNoFiles(t *testing.T) {
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	ctx, first := context.Background(), 0
	for i := range 4 {
		s, err := Open(ctx, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		head := func(tx *Tx) error { _, err := tx.Head(ctx); return err }
		if err := s.Write(ctx, head); err != nil {
			t.Fatal(err)
		}
		if err := s.Read(ctx, head); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := open(); i == 0 {
			first = n
		} else if n > first {
			t.Errorf("%d files are open after closing store %d, %d after the first", n, i, first)
		}
	}
}
