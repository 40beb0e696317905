package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/audit"
)

// Erased implements audit.ErasedReader.
func (s *Store) Erased(ctx context.Context, from, to int64, fn func(audit.Erased) error) error {
	var all []audit.Erased
	err := s.Read(ctx, func(tx *Tx) error {
		all = nil // a transaction that runs again begins anew
		return tx.query("SELECT idx, erasure, copy FROM log_erased WHERE idx >= $1 AND idx < $2 ORDER BY idx, erasure", []any{from, to}, func(rows pgx.Row) error {
			var e audit.Erased
			var copied []byte
			err := rows.Scan(&e.Index, &e.By, &copied)
			if err == nil && len(copied) != len(e.Copy) {
				err = errors.New("a row has no hash")
			}
			copy(e.Copy[:], copied)
			all = append(all, e)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("reading which records were erased: %w", err)
	}
	for _, e := range all {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}
