package postgres_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/store"
)

// Every row of every table is read, once and in order, over several pages.
func TestRowsOfTables(t *testing.T) {
	s := open(t, options(t.TempDir()))
	defer func() { must(t, s.Close()) }()
	const many = 1003 // two full pages and a part of one
	must(t, s.Update(ctx, func(tx approval.Tx) error {
		for i := range many {
			// Ids descend: the order is that of insertion.
			if err := tx.InsertApproval(ctx, row(fmt.Sprintf("%04d", many-i))); err != nil {
				return err
			}
			if err := tx.PutRelation(ctx, approval.RelationRow{Actor: fmt.Sprintf("a%d", i/10), Person: fmt.Sprintf("p%d", i%10), Why: "w", MAC: []byte("m")}); err != nil {
				return err
			}
		}
		return nil
	}))
	seen := map[string]int{}
	for _, table := range store.Tables {
		before := ""
		must(t, s.Rows(ctx, table, func(r []any) error {
			if len(r) != len(table.Columns) {
				return fmt.Errorf("%s: %d values for %d columns", table.Name, len(r), len(table.Columns))
			}
			seen[table.Name]++
			switch id := fmt.Sprintf("%s", r[0]); table.Name {
			case "approval":
				if want := fmt.Sprintf("%04d", many+1-seen[table.Name]); id != want || r[1] != int64(1) {
					return fmt.Errorf("approval %s, revision %v, instead of %s", id, r[1], want)
				}
			case "relation":
				key := fmt.Sprintf("%s %s", r[0], r[1])
				if key <= before {
					return fmt.Errorf("relation %s comes behind %s", key, before)
				}
				before = key
			}
			return nil
		}))
	}
	if seen["approval"] != many || seen["relation"] != many {
		t.Errorf("rows read: %v", seen)
	}
	stop := fmt.Errorf("enough")
	if err := s.Rows(ctx, store.Table{Name: "approval", Columns: []string{"id"}, Order: "rowid"}, func([]any) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the caller's came back as %v", err)
	}
}
