package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/store"
)

// rowPage is how many rows of a table are read at once.
const rowPage = 500

// Rows calls fn with each row of a table, in its order: integers as int64, all else as
// bytes. It reads a page at a time, each of its own moment, and calls fn outside of any
// transaction: what changes meanwhile is given as it was or as it is.
func (s *Store) Rows(ctx context.Context, t store.Table, fn func(row []any) error) error {
	order := strings.Split(strings.Replace(t.Order, "rowid", "n", 1), ", ")
	marks := make([]string, len(order))
	for i := range marks {
		marks[i] = fmt.Sprintf("$%d", i+1)
	}
	keys := strings.Join(order, ", ")
	head := "SELECT " + keys + ", " + strings.Join(t.Columns, ", ") + " FROM " + t.Name
	tail := fmt.Sprintf(" ORDER BY %s LIMIT %d", keys, rowPage)
	var after []any // the key of the newest row
	for {
		query := head + tail
		if after != nil {
			query = head + " WHERE (" + keys + ") > (" + strings.Join(marks, ", ") + ")" + tail
		}
		var page [][]any
		err := s.Read(ctx, func(tx *Tx) error {
			return tx.query(query, after, func(r pgx.Row) error {
				row, err := values(r, len(order)+len(t.Columns))
				page = append(page, row)
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("reading table %s: %w", t.Name, err)
		}
		for _, row := range page {
			if err := fn(row[len(order):]); err != nil {
				return err
			}
		}
		if len(page) < rowPage {
			return nil
		}
		after = slices.Clone(page[len(page)-1][:len(order)])
	}
}

// values are the n values of a row.
func values(r pgx.Row, n int) ([]any, error) {
	row, dest := make([]any, n), make([]any, n)
	for i := range row {
		dest[i] = &row[i]
	}
	if err := r.Scan(dest...); err != nil {
		return nil, err
	}
	for i, v := range row {
		if small, is := v.(int32); is {
			row[i] = int64(small)
		}
	}
	return row, nil
}
