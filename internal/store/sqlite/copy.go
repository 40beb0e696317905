package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/assenthq/assent/internal/store"
)

// Rows calls fn with each row of a table, in its order: integers as int64, all else as bytes.
func (s *Store) Rows(ctx context.Context, t store.Table, fn func(row []any) error) error {
	err := s.Read(ctx, func(tx *Tx) error {
		return tx.query(ctx, "SELECT "+strings.Join(t.Columns, ", ")+" FROM "+t.Name+" ORDER BY "+t.Order, nil, func(rows *sql.Rows) error {
			row, dest := make([]any, len(t.Columns)), make([]any, len(t.Columns))
			for i := range row {
				dest[i] = &row[i]
			}
			if err := rows.Scan(dest...); err != nil {
				return err
			}
			for i, v := range row {
				switch v := v.(type) {
				case string:
					row[i] = []byte(v)
				case nil:
					return fmt.Errorf("%s has no value: the row was changed outside Assent", t.Columns[i])
				}
			}
			return fn(row)
		})
	})
	if err != nil {
		return fmt.Errorf("reading table %s: %w", t.Name, err)
	}
	return nil
}
