package sqlite

import (
	"context"
	"fmt"
	"time"
)

const hourMicros = int64(time.Hour / time.Microsecond)

// AddRows notes rows and bytes that are about to flow to whoever is behind
// subject, in the hour that holds t. class "" is the total over all classes.
func (s *Store) AddRows(ctx context.Context, subject, class, resource string, t time.Time, rows, bytes int64) error {
	err := s.Write(ctx, func(tx *Tx) error {
		_, err := tx.exec(ctx, `INSERT INTO ledger (subject, class, resource, hour, row_count, byte_count) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (subject, class, resource, hour) DO UPDATE
			SET row_count = row_count + excluded.row_count, byte_count = byte_count + excluded.byte_count`,
			subject, class, resource, t.UnixMicro()/hourMicros, rows, bytes)
		return err
	})
	if err != nil {
		return fmt.Errorf("counting rows: %w", err)
	}
	return nil
}

// SumRows is the total that flowed to subject from resource since the hour that holds since.
func (s *Store) SumRows(ctx context.Context, subject, resource string, since time.Time) (rows, bytes int64, err error) {
	return s.SumClass(ctx, subject, "", resource, since)
}

// SumClass is SumRows for one class of data.
func (s *Store) SumClass(ctx context.Context, subject, class, resource string, since time.Time) (rows, bytes int64, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		_, err := tx.one(ctx, `SELECT coalesce(sum(row_count), 0), coalesce(sum(byte_count), 0) FROM ledger
			WHERE subject = $1 AND class = $2 AND resource = $3 AND hour >= $4`,
			[]any{subject, class, resource, since.UnixMicro() / hourMicros}, &rows, &bytes)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("summing rows: %w", err)
	}
	return rows, bytes, nil
}

// PutSetting stores a value under key.
func (s *Store) PutSetting(ctx context.Context, key string, value []byte) error {
	err := s.Write(ctx, func(tx *Tx) error {
		_, err := tx.exec(ctx, `INSERT INTO setting (key, value) VALUES ($1, $2)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing setting %s: %w", key, err)
	}
	return nil
}

// Setting reads the value under key; nil when there is none.
func (s *Store) Setting(ctx context.Context, key string) (value []byte, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		_, err := tx.one(ctx, "SELECT value FROM setting WHERE key = $1", []any{key}, &value)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading setting %s: %w", key, err)
	}
	return value, nil
}
