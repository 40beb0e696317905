package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/erase"
	"github.com/assenthq/assent/internal/store"
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

// bytesIn are the columns that hold bytes; all others of text tables hold text.
var bytesIn = []string{"body", "mac", "value"}

// ReplaceRow stores row in the place of the one with the key of old, or nothing where it is nil.
func (tx *Tx) ReplaceRow(ctx context.Context, t store.Table, old, row []any) error {
	order := strings.Split(t.Order, ", ")
	if t.Order == "rowid" {
		order = t.Columns[:1]
	}
	arg := func(i int, from []any) any {
		if b, ok := from[i].([]byte); ok && !slices.Contains(bytesIn, t.Columns[i]) {
			return string(b)
		}
		return from[i]
	}
	var sets, keys []string
	var args []any
	for i, c := range t.Columns {
		if row != nil {
			sets, args = append(sets, c+" = ?"), append(args, arg(i, row))
		}
	}
	for i, c := range t.Columns {
		if slices.Contains(order, c) {
			keys, args = append(keys, c+" = ?"), append(args, arg(i, old))
		}
	}
	query := "DELETE FROM " + t.Name
	if row != nil {
		query = "UPDATE " + t.Name + " SET " + strings.Join(sets, ", ")
	}
	n, err := tx.exec(ctx, query+" WHERE "+strings.Join(keys, " AND "), args...)
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows have its key", n)
	}
	if err != nil {
		return fmt.Errorf("replacing a row of %s: %w", t.Name, err)
	}
	return nil
}

// EraseIn runs fn in one transaction, and leaves in the files nothing of what it replaced. It
// is for a store that nobody else uses.
func (s *Store) EraseIn(ctx context.Context, fn func(erase.Tx) error) error {
	if err := s.Write(ctx, func(tx *Tx) error { return fn(tx) }); err != nil {
		return err
	}
	return s.Scour(ctx)
}

// Scour rewrites the database's files without what was deleted or replaced, for a store that
// nobody else uses.
func (s *Store) Scour(ctx context.Context) error {
	db, err := openDB(s.path, "rw")
	if err != nil {
		return fmt.Errorf("rewriting the database: %w", err)
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, "VACUUM")
	if err == nil {
		var busy, frames, moved int64
		err = db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
		if err == nil && busy != 0 {
			err = errors.New("somebody else has it open")
		}
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("rewriting the database without what was erased: %w", err)
	}
	return nil
}
