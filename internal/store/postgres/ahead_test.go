package postgres_test

import (
	"testing"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/sealed"
)

// A write that needs no answer, because the row was read before, fails the
// transaction where somebody changed that row without waiting for the log's head.
func TestAround(t *testing.T) {
	o := options(t.TempDir())
	s := open(t, o)
	t.Cleanup(func() { must(t, s.Close()) })
	rogue := intruder(t, o)
	held := row("a")
	entry := sealed.Row{Kind: "account", ID: "1", Revision: 1, Body: []byte("1"), MAC: []byte("m")}
	must(t, s.Update(ctx, func(tx approval.Tx) error {
		must(t, tx.InsertApproval(ctx, held))
		return tx.PutSealed(ctx, entry, 0)
	}))
	for query, write := range map[string]func(approval.Tx) error{
		"UPDATE approval SET revision = 7": func(tx approval.Tx) error {
			_, err := tx.ApprovalByID(ctx, "a")
			must(t, err)
			next := held
			next.Revision, next.State = 2, approval.Denied
			_, err = rogue.Exec(ctx, "UPDATE approval SET revision = 7")
			must(t, err)
			return tx.SwapApproval(ctx, approval.Pending, 1, next)
		},
		"UPDATE sealed SET revision = 7": func(tx approval.Tx) error {
			_, err := tx.SealedByID(ctx, "account", "1")
			must(t, err)
			next := entry
			next.Revision = 2
			_, err = rogue.Exec(ctx, "UPDATE sealed SET revision = 7")
			must(t, err)
			return tx.PutSealed(ctx, next, 1)
		},
	} {
		if err := s.Update(ctx, write); err == nil {
			t.Errorf("%s: the write that did not fit was taken", query)
		}
	}
	must(t, s.View(ctx, func(tx approval.Tx) error {
		r, err := tx.ApprovalByID(ctx, "a")
		must(t, err)
		e, err := tx.SealedByID(ctx, "account", "1")
		must(t, err)
		if r.Revision != 7 || r.State != approval.Pending || e.Revision != 7 {
			t.Errorf("they are at %d, %s and %d", r.Revision, r.State, e.Revision)
		}
		return nil
	}))
	must(t, insert(s, "b")) // others go on
}
