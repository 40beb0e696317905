package storetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// glimpse is what a closure reads of one approval and of one sealed row.
type glimpse struct {
	Row       approval.Row
	List      []approval.Row
	Pending   int
	Reviews   []approval.ReviewRow
	Reviewed  []string
	Reached   []approval.State
	Relations []approval.RelationRow
	Sealed    sealed.Row
	Newest    int64
}

func look(tx approval.Tx) (g glimpse, err error) {
	var errs [9]error
	g.Row, errs[0] = tx.ApprovalByID(ctx, "a")
	g.List, errs[1] = tx.ListApprovals(ctx, approval.Selection{Match: "ma"})
	g.Pending, errs[2] = tx.CountPending(ctx, "agent:x")
	g.Reviews, errs[3] = tx.ReviewsOf(ctx, "a")
	g.Reviewed, errs[4] = tx.Reviewed(ctx, "a")
	g.Reached, errs[5] = tx.Reached(ctx, "a")
	g.Relations, errs[6] = tx.RelationsOf(ctx, "agent:x", noon)
	g.Sealed, errs[7] = tx.SealedByID(ctx, "account", "1")
	g.Newest, errs[8] = tx.RevisionOf(ctx, "account", "1")
	return g, errors.Join(errs[:]...)
}

// foreseen: what was told to come soon answers the same, and nothing that was
// written since is missed.
func (s *suite) foreseen(t *testing.T) {
	st := s.fresh(t)
	log := newLog(t, st, t.TempDir())
	insert(t, st, row("a", approval.Pending))
	account := sealed.Row{Kind: "account", ID: "1", Revision: 1, Body: []byte("1"), MAC: []byte("m")}
	must(t, st.Update(ctx, func(tx approval.Tx) error {
		return errors.Join(tx.PutSealed(ctx, account, 0), log.Append(ctx, tx, &audit.Record{Type: audit.TypePerson, About: "account/1", Revision: 1}))
	}))
	var before glimpse
	must(t, st.View(ctx, func(tx approval.Tx) (err error) {
		before, err = look(tx)
		return err
	}))
	after := before
	after.Row.State, after.Row.Revision, after.Pending = approval.Denied, 2, 0
	after.List = []approval.Row{after.Row}
	after.Reviews = []approval.ReviewRow{{ID: "r", Approval: "a", Person: "ana", Body: []byte("r"), MAC: []byte("m")}}
	after.Reviewed, after.Reached = []string{"r"}, []approval.State{approval.Denied}
	after.Relations = []approval.RelationRow{{Actor: "agent:x", Person: "ana", Why: "owner", Seen: noon, MAC: []byte("m")}}
	after.Sealed.Revision, after.Newest = 2, 2
	same := func(tx approval.Tx, when string, want glimpse) {
		t.Helper()
		got, err := look(tx)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", when, err, d)
		}
	}
	must(t, st.Update(ctx, func(tx approval.Tx) error {
		soon := func() error {
			return tx.Soon(ctx, func(tx approval.Tx) {
				_, _ = look(tx)
				_, _ = look(tx)
				_ = tx.InsertApproval(ctx, row("z", approval.Pending)) // it must not
			})
		}
		must(t, soon())
		same(tx, "foreseen", before)
		same(tx, "asked twice", before)
		must(t, soon())
		must(t, errors.Join(
			tx.InsertReview(ctx, after.Reviews[0]), tx.SwapApproval(ctx, approval.Pending, 1, after.Row),
			tx.PutRelation(ctx, after.Relations[0]), tx.PutSealed(ctx, after.Sealed, 1),
			log.Append(
				ctx, tx, &audit.Record{Type: audit.TypeReview, Approval: "a", Detail: map[string]string{"review": "r"}},
				&audit.Record{Type: audit.TypeApproval, Approval: "a", Decision: string(approval.Denied)},
				&audit.Record{Type: audit.TypePerson, About: "account/1", Revision: 2},
			),
		))
		same(tx, "written since", after)
		must(t, soon())
		same(tx, "foreseen and written", after)
		return nil
	}))
	for name, late := range map[string]func(approval.Tx) error{
		"a swap":    func(tx approval.Tx) error { return tx.SwapApproval(ctx, approval.Pending, 1, after.Row) },
		"an entry":  func(tx approval.Tx) error { return tx.PutSealed(ctx, after.Sealed, 1) },
		"a new one": func(tx approval.Tx) error { return tx.PutSealed(ctx, after.Sealed, 0) },
		"a review":  func(tx approval.Tx) error { return tx.InsertReview(ctx, after.Reviews[0]) },
	} {
		must(t, st.Update(ctx, func(tx approval.Tx) error {
			same(tx, name, after)
			if late(tx) == nil {
				t.Errorf("%s of what was read, too late, was stored", name)
			}
			return nil
		}))
	}
	must(t, st.View(ctx, func(tx approval.Tx) error {
		must(t, tx.Soon(ctx, func(tx approval.Tx) { _, _ = look(tx) }))
		same(tx, "afterwards", after)
		if _, err := tx.ApprovalByID(ctx, "z"); !errors.Is(err, approval.ErrNotFound) {
			t.Errorf("what was only foreseen: %v", err)
		}
		return nil
	}))
}
