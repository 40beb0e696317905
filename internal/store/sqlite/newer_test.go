package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// A program that was rolled back neither writes nor reads tables that a newer one
// made: it would not know what they hold. The newer one opens them as before.
func TestAnOlderProgramRefusesNewerTables(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s, err := sqlite.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	change := func(query string) {
		t.Helper()
		db, err := sql.Open("sqlite", filepath.Join(dir, store.FileName))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(ctx, query); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	change("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9000, 1)")
	for _, open := range []func(context.Context, string) (*sqlite.Store, error){sqlite.Open, sqlite.OpenReadOnly} {
		if s, err = open(ctx, dir); err == nil {
			_ = s.Close()
			t.Fatal("tables of version 9000 were opened")
		} else if !strings.Contains(err.Error(), "version 9000") || !strings.Contains(err.Error(), "older than what wrote them") {
			t.Fatalf("the error doesn't say why: %v", err)
		}
	}
	change("DELETE FROM goose_db_version WHERE version_id = 9000")
	if s, err = sqlite.Open(ctx, dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
