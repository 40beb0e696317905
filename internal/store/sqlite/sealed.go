package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/assenthq/assent/internal/sealed"
)

const sealedColumns = "kind, id, revision, key, due, body, mac"

// PutSealed implements sealed.Rows.
func (tx *Tx) PutSealed(ctx context.Context, r sealed.Row, from int64) error {
	args := []any{r.Kind, r.ID, r.Revision, r.Key, micros(r.Due), r.Body, r.MAC}
	query := "INSERT INTO sealed (" + sealedColumns + ") VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (kind, id) DO NOTHING"
	if from > 0 {
		query = "UPDATE sealed SET revision = $3, key = $4, due = $5, body = $6, mac = $7 WHERE kind = $1 AND id = $2 AND revision = $8"
		args = append(args, from)
	}
	n, err := tx.exec(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("storing %s: %w", r.About(), err)
	}
	if n != 1 {
		return fmt.Errorf("storing %s: %w", r.About(), sealed.ErrConflict)
	}
	return nil
}

// SealedByID implements sealed.Rows.
func (tx *Tx) SealedByID(ctx context.Context, kind, id string) (sealed.Row, error) {
	var w where
	w.equal("kind", kind)
	w.add("id = ?", id)
	rows, err := tx.sealed(ctx, &w, "")
	if err == nil && len(rows) == 0 {
		err = sealed.ErrNotFound
	}
	if err != nil {
		return sealed.Row{}, fmt.Errorf("reading %s/%s: %w", kind, id, err)
	}
	return rows[0], nil
}

// ListSealed implements sealed.Rows.
func (tx *Tx) ListSealed(ctx context.Context, s sealed.Selection) ([]sealed.Row, error) {
	var w where
	w.add("kind = ?", s.Kind)
	w.equalIndexed("key", s.Key)
	if !s.Due.IsZero() {
		w.add("due > 0 AND due <= ?", micros(s.Due))
	}
	if s.After != "" {
		w.add("id > ?", s.After)
	}
	rows, err := tx.sealed(ctx, &w, " ORDER BY id"+w.limit(s.Limit))
	if err != nil {
		return nil, fmt.Errorf("listing sealed rows of kind %s: %w", s.Kind, err)
	}
	return rows, nil
}

func (tx *Tx) sealed(ctx context.Context, w *where, tail string) (out []sealed.Row, err error) {
	err = tx.query(ctx, "SELECT "+sealedColumns+" FROM sealed"+w.String()+tail, w.args, func(rows *sql.Rows) error {
		var r sealed.Row
		var due int64
		err := rows.Scan(&r.Kind, &r.ID, &r.Revision, &r.Key, &due, &r.Body, &r.MAC)
		r.Due = fromMicros(due)
		out = append(out, r)
		return err
	})
	return out, err
}

// RevisionOf implements sealed.Rows.
func (tx *Tx) RevisionOf(ctx context.Context, kind, id string) (n int64, err error) {
	about := kind + "/" + id
	if _, err = tx.one(ctx, "SELECT coalesce(max(revision), 0) FROM log_record WHERE about = $1 AND about <> ''", []any{about}, &n); err != nil {
		return 0, fmt.Errorf("asking the log about %s: %w", about, err)
	}
	return n, nil
}

// RevisionsOf implements sealed.Rows.
func (tx *Tx) RevisionsOf(ctx context.Context, kind string, ids ...string) (map[string]int64, error) {
	out := map[string]int64{}
	cond, args := "about > $1 AND about < $2", []any{kind + "/", kind + "0"} // '0' follows '/'
	if len(ids) > 0 {
		abouts := make([]string, len(ids))
		for i, id := range ids {
			abouts[i] = kind + "/" + id
		}
		cond, args = "about IN (SELECT value FROM json_each($1))", []any{list(abouts)}
	}
	err := tx.query(ctx, "SELECT about, max(revision) FROM log_record WHERE "+cond+" AND about <> '' GROUP BY about", args, func(rows *sql.Rows) error {
		var about string
		var n int64
		err := rows.Scan(&about, &n)
		out[strings.TrimPrefix(about, kind+"/")] = n
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("asking the log about rows of kind %s: %w", kind, err)
	}
	return out, nil
}

// UpdateSealed implements sealed.Store.
func (s *Store) UpdateSealed(ctx context.Context, fn func(sealed.Tx) error) error {
	return s.Write(ctx, func(tx *Tx) error { return fn(tx) })
}

// ViewSealed implements sealed.Store.
func (s *Store) ViewSealed(ctx context.Context, fn func(sealed.Tx) error) error {
	return s.Read(ctx, func(tx *Tx) error { return fn(tx) })
}
