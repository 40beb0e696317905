package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/assenthq/assent/internal/audit"
)

// Erased implements audit.ErasedReader.
func (s *Store) Erased(ctx context.Context, from, to int64, fn func(audit.Erased) error) error {
	var all []audit.Erased // 48 bytes each; fn must not hold up a checkpoint of the database
	err := s.Read(ctx, func(tx *Tx) error {
		return tx.query(ctx, "SELECT idx, erasure, copy FROM log_erased WHERE idx >= $1 AND idx < $2 ORDER BY idx, erasure", []any{from, to}, func(rows *sql.Rows) error {
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

// InsertErased implements audit.EraseTx.
func (tx *Tx) InsertErased(ctx context.Context, e audit.Erased) error {
	_, err := tx.exec(ctx, "INSERT INTO log_erased (idx, erasure, copy) VALUES ($1, $2, $3)", e.Index, e.By, e.Copy[:])
	if err != nil {
		return fmt.Errorf("storing that record %d was erased: %w", e.Index, err)
	}
	return nil
}

// ReplaceRecord implements audit.EraseTx.
func (tx *Tx) ReplaceRecord(ctx context.Context, index int64, leaf []byte, r *audit.Record) error {
	n, err := tx.exec(ctx, "DELETE FROM log_record WHERE idx = $1", index)
	if err == nil && n != 1 {
		err = errors.New("there is none")
	}
	if err != nil {
		return fmt.Errorf("replacing record %d: %w", index, err)
	}
	return tx.InsertRecord(ctx, index, leaf, r)
}
