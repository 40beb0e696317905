package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/assenthq/assent/internal/audit"
)

// leafPage is how many leaves are read at a time, so that a reader of the
// whole log holds up no checkpoint of the database.
const leafPage = 1000

// Head implements audit.Reader.
func (s *Store) Head(ctx context.Context) (h audit.Head, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		h, err = tx.Head(ctx)
		return err
	})
	return h, err
}

// Tile implements audit.Reader.
func (s *Store) Tile(ctx context.Context, level int, n int64) (hashes []byte, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		hashes, err = tx.Tile(ctx, level, n)
		return err
	})
	return hashes, err
}

type indexed struct {
	index int64
	leaf  []byte
}

// Leaves implements audit.Reader.
func (s *Store) Leaves(ctx context.Context, from, to int64, fn func(index int64, leaf []byte) error) error {
	for from < to {
		var page []indexed
		err := s.Read(ctx, func(tx *Tx) error {
			return tx.query(ctx, "SELECT idx, leaf FROM log_record WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3",
				[]any{from, to, leafPage}, func(rows *sql.Rows) error {
					var l indexed
					err := rows.Scan(&l.index, &l.leaf)
					page = append(page, l)
					return err
				})
		})
		if err != nil {
			return fmt.Errorf("reading records from %d: %w", from, err)
		}
		for _, l := range page {
			if err := fn(l.index, l.leaf); err != nil {
				return err
			}
			from = l.index + 1
		}
		if len(page) < leafPage {
			return nil
		}
	}
	return nil
}

// Search implements audit.Reader. Columns only find a record: what is returned is what its leaf says.
func (s *Store) Search(ctx context.Context, q audit.Query) (out []audit.Record, err error) {
	var w where
	if len(q.Types) > 0 {
		types := make([]any, len(q.Types))
		for i, t := range q.Types {
			types[i] = t
		}
		w.in("type", types)
	}
	w.equalIndexed("actor", q.Actor)
	w.equal("person", q.Person)
	w.equalIndexed("approval", q.Approval)
	w.equal("resource", q.Resource)
	w.equalIndexed("session", q.Session)
	w.equalIndexed("about", q.About)
	if q.Kind != "" {
		w.add("instr(kinds, ?) > 0", ","+q.Kind+",")
	}
	switch {
	case q.Class == "":
	case !audit.IsWord(q.Class):
		w.add("FALSE")
	default: // first what is quick, then what is exact
		w.add("instr(leaf, CAST(? AS BLOB)) > 0", `"`+q.Class+`":`)
		w.add("(json_type(CAST(leaf AS TEXT), ?) IS NOT NULL OR json_type(CAST(leaf AS TEXT), ?) IS NOT NULL)", `$.findings."`+q.Class+`"`, `$.masked."`+q.Class+`"`)
	}
	w.since("time", q.Since)
	if !q.Until.IsZero() {
		w.add("time < ?", micros(q.Until))
	}
	if q.Before > 0 {
		w.add("idx < ?", q.Before)
	}
	query := "SELECT leaf FROM log_record" + w.String() + " ORDER BY idx DESC" + w.limit(q.Limit)
	err = s.Read(ctx, func(tx *Tx) error {
		return tx.query(ctx, query, w.args, func(rows *sql.Rows) error {
			var leaf []byte
			if err := rows.Scan(&leaf); err != nil {
				return err
			}
			r, err := decodeRecord(leaf)
			out = append(out, r)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("searching records: %w", err)
	}
	return out, nil
}

// Misfiled lists records, 100 at most, that searches can't be trusted to find:
// a column beside the leaf says another than the leaf. What an approval or a
// credential came to is looked up by columns.
func (s *Store) Misfiled(ctx context.Context, to int64) (found []int64, err error) {
	const query = `SELECT idx FROM (SELECT *, CAST(leaf AS TEXT) AS t FROM log_record WHERE idx < $1)
		WHERE NOT json_valid(t) OR type IS NOT json_extract(t, '$.type')
		OR approval <> coalesce(json_extract(t, '$.approval'), '') OR actor <> coalesce(json_extract(t, '$.actor'), '')
		OR person <> coalesce(json_extract(t, '$.person'), '') OR resource <> coalesce(json_extract(t, '$.resource'), '')
		OR session <> coalesce(json_extract(t, '$.session'), '')
		OR about <> coalesce(json_extract(t, '$.about'), '') OR revision <> coalesce(json_extract(t, '$.revision'), 0) LIMIT 100`
	err = s.Read(ctx, func(tx *Tx) error {
		return tx.query(ctx, query, []any{to}, func(rows *sql.Rows) error {
			var index int64
			err := rows.Scan(&index)
			found = append(found, index)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("comparing columns with records: %w", err)
	}
	return found, nil
}
