package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// A record that is filed under other words than its own is found, however its row was
// written; records are handed out as Leaves hands them out, in whatever state the table is.
func TestFiled(t *testing.T) {
	const n, at = 600, 300
	for name, c := range map[string]struct {
		edit string
		odd  []int64
	}{
		"untouched":             {"", nil},
		"time":                  {"UPDATE log_record SET time = time + 1 WHERE idx = 300", []int64{at}},
		"type":                  {"UPDATE log_record SET type = 'other' WHERE idx = 300", []int64{at}},
		"actor":                 {"UPDATE log_record SET actor = 'agent:y' WHERE idx = 300", []int64{at}},
		"actor longer":          {"UPDATE log_record SET actor = actor || 'x' WHERE idx = 300", []int64{at}},
		"person":                {"UPDATE log_record SET person = '' WHERE idx = 300", []int64{at}},
		"approval":              {"UPDATE log_record SET approval = '' WHERE idx = 300", []int64{at}},
		"resource":              {"UPDATE log_record SET resource = 's' WHERE idx = 300", []int64{at}},
		"session":               {"UPDATE log_record SET session = 't' WHERE idx = 300", []int64{at}},
		"about":                 {"UPDATE log_record SET about = 'a/c' WHERE idx = 300", []int64{at}},
		"kinds":                 {"UPDATE log_record SET kinds = ',data.read,' WHERE idx = 300", []int64{at}},
		"kinds all but":         {"UPDATE log_record SET kinds = ',data.read,data.export' WHERE idx = 300", []int64{at}},
		"kinds gone":            {"UPDATE log_record SET kinds = '' WHERE idx = 300", []int64{at}},
		"revision":              {"UPDATE log_record SET revision = 2 WHERE idx = 300", []int64{at}},
		"two exchanged":         {"UPDATE log_record SET approval = CASE idx WHEN 300 THEN 'ap_301' ELSE 'ap_300' END WHERE idx IN (300, 301)", []int64{at, at + 1}},
		"a separator in a text": {"UPDATE log_record SET actor = actor || x'1f' WHERE idx = 300", []int64{at}},
		"a text that is two":    {"UPDATE log_record SET approval = approval || x'1f' || resource, resource = session, session = '' WHERE idx = 300", []int64{at}},
		"a line in a text":      {"UPDATE log_record SET kinds = kinds || x'0a' WHERE idx = 300", []int64{at}},
		"a line in a leaf":      {"UPDATE log_record SET leaf = CAST(CAST(leaf AS TEXT) || x'0a' AS BLOB) WHERE idx = 300", nil},
		"no leaf":               {"UPDATE log_record SET leaf = x'' WHERE idx = 300", []int64{at}},
		"two leaves in one": {"UPDATE log_record SET leaf = CAST(CAST(leaf AS TEXT) || x'0a' || (SELECT CAST(leaf AS TEXT) FROM log_record WHERE idx = 301) AS BLOB) WHERE idx = 300; " +
			"DELETE FROM log_record WHERE idx = 301", []int64{at}},
		"one gone":         {"DELETE FROM log_record WHERE idx = 300", nil},
		"a block gone":     {"DELETE FROM log_record WHERE idx BETWEEN 200 AND 540", nil},
		"the first gone":   {"DELETE FROM log_record WHERE idx < 2", nil},
		"the last gone":    {"DELETE FROM log_record WHERE idx > 597", nil},
		"leaves exchanged": {"UPDATE log_record SET leaf = (SELECT leaf FROM log_record WHERE idx = 301) WHERE idx = 300", []int64{at}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			st, err := sqlite.Open(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = st.Close() })
			if err := st.Update(t.Context(), func(tx approval.Tx) error {
				for i := range int64(n) {
					title := fmt.Sprintf("row %d", i)
					if i%7 == 0 {
						title = "a < b \"quoted\" \\ ü \n"
					}
					r := &audit.Record{
						Index: i, Time: time.Now(), Type: audit.TypeOutcome, Actor: "agent:x", Person: "person:ana", Approval: fmt.Sprintf("ap_%d", i), Resource: "r",
						Session: "s", Kinds: []string{"data.read", "data.export"}, About: "a/ü", Revision: 3, Title: title,
					}
					leaf, err := json.Marshal(r)
					if err := errors.Join(err, tx.InsertRecord(t.Context(), i, leaf, r)); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if c.edit != "" {
				db, err := sql.Open("sqlite", filepath.Join(dir, store.FileName))
				if err == nil {
					_, err = db.ExecContext(t.Context(), c.edit)
				}
				if err := errors.Join(err, db.Close()); err != nil {
					t.Fatal(err)
				}
			}
			var want, got []string
			if err := st.Leaves(t.Context(), 0, n, func(i int64, leaf []byte) error { want = append(want, fmt.Sprintf("%d %s", i, leaf)); return nil }); err != nil {
				t.Fatal(err)
			}
			var odd []int64
			if err := st.Filed(t.Context(), 0, n, func(i int64, leaf []byte, filed bool) error {
				got = append(got, fmt.Sprintf("%d %s", i, leaf))
				if !filed {
					odd = append(odd, i)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d records, %d by Leaves, or others", len(got), len(want))
			}
			if !slices.Equal(odd, c.odd) {
				t.Errorf("misfiled: %v", odd)
			}
		})
	}
}

// Who reads stops when fn says so, wherever that is.
func TestFiledStops(t *testing.T) {
	st, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	enough := errors.New("enough")
	if err := st.Filed(context.Background(), 0, 1<<62, func(int64, []byte, bool) error { return enough }); err != nil {
		t.Errorf("an empty log: %v", err)
	}
}
