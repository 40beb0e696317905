package storetest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

func (s *suite) sealedRows(t *testing.T) {
	st := s.fresh(t)
	put := func(from int64, rows ...sealed.Row) error {
		return st.UpdateSealed(ctx, func(tx sealed.Tx) error {
			for _, r := range rows {
				if err := tx.PutSealed(ctx, r, from); err != nil {
					return err
				}
			}
			return nil
		})
	}
	one := sealed.Row{Kind: "account", ID: "1/ü", Revision: 1, Key: "ana", Due: noon, Body: []byte{'{', 0, '}'}, MAC: []byte{255, 0}}
	two := sealed.Row{Kind: "account", ID: "2", Revision: 7, Body: []byte("b"), MAC: []byte("m")}
	other := sealed.Row{Kind: "session", ID: "2", Revision: 1, Key: "ana", Due: noon.Add(time.Hour), Body: []byte("s"), MAC: []byte("m")}
	must(t, put(0, two, one, other))
	if err := put(0, one); !errors.Is(err, sealed.ErrConflict) {
		t.Errorf("inserted twice: %v", err)
	}
	next := one
	next.Revision, next.Key, next.Due, next.Body = 2, "ben", time.Time{}, []byte("n")
	if err := put(2, next); !errors.Is(err, sealed.ErrConflict) {
		t.Errorf("replaced at a revision that it isn't at: %v", err)
	}
	if err := put(1, sealed.Row{Kind: "account", ID: "3", Revision: 2, Body: []byte("b"), MAC: []byte("m")}); !errors.Is(err, sealed.ErrConflict) {
		t.Errorf("replaced what isn't there: %v", err)
	}
	view := func(fn func(tx sealed.Tx)) {
		must(t, st.ViewSealed(ctx, func(tx sealed.Tx) error { fn(tx); return nil }))
	}
	view(func(tx sealed.Tx) {
		got, err := tx.SealedByID(ctx, "account", "1/ü")
		must(t, err)
		if d := cmp.Diff(one, got); d != "" {
			t.Error(d)
		}
		for _, id := range []string{"", "3", "1"} {
			if _, err := tx.SealedByID(ctx, "account", id); !errors.Is(err, sealed.ErrNotFound) {
				t.Errorf("id %q: %v", id, err)
			}
		}
	})
	lists := map[string]struct {
		sel  sealed.Selection
		want []string
	}{
		"a kind":   {sealed.Selection{Kind: "account"}, []string{"1/ü", "2"}},
		"no kind":  {sealed.Selection{}, nil},
		"a key":    {sealed.Selection{Kind: "account", Key: "ana"}, []string{"1/ü"}},
		"due":      {sealed.Selection{Kind: "account", Due: noon}, []string{"1/ü"}},
		"not due":  {sealed.Selection{Kind: "session", Due: noon}, nil},
		"behind":   {sealed.Selection{Kind: "account", After: "1/ü"}, []string{"2"}},
		"at most":  {sealed.Selection{Kind: "account", Limit: 1}, []string{"1/ü"}},
		"sessions": {sealed.Selection{Kind: "session", Key: "ana"}, []string{"2"}},
	}
	view(func(tx sealed.Tx) {
		for name, l := range lists {
			rows, err := tx.ListSealed(ctx, l.sel)
			must(t, err)
			var ids []string
			for _, r := range rows {
				ids = append(ids, r.ID)
			}
			if !slices.Equal(ids, l.want) {
				t.Errorf("%s: %v, want %v", name, ids, l.want)
			}
		}
	})
	must(t, put(1, next))
	view(func(tx sealed.Tx) {
		got, err := tx.SealedByID(ctx, "account", "1/ü")
		must(t, err)
		if d := cmp.Diff(next, got); d != "" {
			t.Error(d)
		}
	})
	s.revisions(t, st)
}

// revisions: what the log tells of a row is found by its name alone.
func (s *suite) revisions(t *testing.T, st Store) {
	log := newLog(t, st, t.TempDir())
	must(t, st.UpdateSealed(ctx, func(tx sealed.Tx) error {
		var recs []*audit.Record
		for i, about := range []string{"account/1/ü", "account/2", "account/1/ü", "accounts/9", "", "account"} {
			recs = append(recs, &audit.Record{Type: audit.TypePerson, About: about, Revision: int64(i + 1)})
		}
		return log.Append(ctx, tx, recs...)
	}))
	must(t, st.ViewSealed(ctx, func(tx sealed.Tx) error {
		for id, want := range map[string]int64{"1/ü": 3, "2": 2, "3": 0, "": 0} {
			if n, err := tx.RevisionOf(ctx, "account", id); n != want || err != nil {
				t.Errorf("revision of %q: %d, want %d (%v)", id, n, want, err)
			}
		}
		all, err := tx.RevisionsOf(ctx, "account")
		if d := cmp.Diff(map[string]int64{"1/ü": 3, "2": 2}, all); d != "" {
			t.Error(d)
		}
		some, err2 := tx.RevisionsOf(ctx, "account", "1/ü", "3", "account/2")
		if d := cmp.Diff(map[string]int64{"1/ü": 3}, some); d != "" {
			t.Error(d)
		}
		return errors.Join(err, err2)
	}))
	recs, err := st.Search(ctx, audit.Query{About: "account/1/ü"})
	must(t, err)
	if len(recs) != 2 || recs[0].Revision != 3 || recs[1].Revision != 1 {
		t.Errorf("searched: %+v", recs)
	}
	head, err := st.Head(ctx)
	must(t, err)
	var leaves, filed [][]byte
	must(t, st.Leaves(ctx, 1, head.Size, func(_ int64, leaf []byte) error { leaves = append(leaves, bytes.Clone(leaf)); return nil }))
	must(t, st.Filed(ctx, 1, head.Size, func(index int64, leaf []byte, ok bool) error {
		if !ok || index != int64(len(filed)+1) {
			t.Errorf("record %d comes as %d, filed: %v", len(filed)+1, index, ok)
		}
		filed = append(filed, bytes.Clone(leaf))
		return nil
	}))
	if d := cmp.Diff(leaves, filed); d != "" {
		t.Error(d)
	}
}
