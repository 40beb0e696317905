package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// Integrity calls found with what SQLite's own check of every page, row and index
// says (PRAGMA integrity_check, 100 findings at most).
func (s *Store) Integrity(ctx context.Context, found func(what string)) error {
	err := s.Read(ctx, func(tx *Tx) error {
		return tx.query(ctx, "PRAGMA integrity_check", nil, func(rows *sql.Rows) error {
			var what string
			err := rows.Scan(&what)
			if err == nil && what != "ok" {
				found(what)
			}
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("checking the database's integrity: %w", err)
	}
	return nil
}
