package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ErrForeign says that the database holds code, which no migration makes.
var ErrForeign = errors.New("the database was changed by something that isn't Assent")

// quiet errs where triggers or views would run beside what Assent writes. It comes
// before the first write.
func quiet(ctx context.Context, db *sql.DB) error {
	var kind, name string
	err := db.QueryRowContext(ctx, "SELECT type, name FROM sqlite_schema WHERE type NOT IN ('table', 'index') LIMIT 1").Scan(&kind, &name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: it has a %s %q, and Assent makes none; keep the file as evidence, and restore a backup", ErrForeign, kind, name)
}

// objects are the statements that made what a database has, by type and name.
type objects map[string]string

func (o objects) scan(rows *sql.Rows) error {
	var kind, name, table, text string
	if err := rows.Scan(&kind, &name, &table, &text); err != nil {
		return err
	}
	o[fmt.Sprintf("%s %q of %q", kind, name, table)] = text
	return nil
}

// The table of goose is not asked for: its text is for its version to say. What SQLite
// names itself can't be made by a statement.
const schemaQuery = `SELECT type, name, tbl_name, COALESCE(sql, '') FROM sqlite_schema
	WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name <> 'goose_db_version'`

// Schema calls found with each table, index, view and trigger that is not as the
// migrations make it, is missing, or is there besides.
func (s *Store) Schema(ctx context.Context, found func(what string)) error {
	is, version := objects{}, int64(0)
	err := s.Read(ctx, func(tx *Tx) error {
		if err := tx.query(ctx, "SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied", nil, func(rows *sql.Rows) error { return rows.Scan(&version) }); err != nil {
			return err
		}
		return tx.query(ctx, schemaQuery, nil, is.scan)
	})
	if err != nil {
		return fmt.Errorf("reading the database's schema: %w", err)
	}
	want, err := schemaAt(ctx, version)
	if err != nil {
		return fmt.Errorf("making a schema to compare with: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		text, made := want[name]
		switch {
		case !made:
			found(name + " is not made by Assent")
		case text != is[name]:
			found(name + " is not as Assent makes it")
		}
		delete(want, name)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		found(name + " is missing")
	}
	return nil
}

// schemaAt is what an empty database has at a version.
func schemaAt(ctx context.Context, version int64) (_ objects, err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1) // each connection would have a database of its own
	if err := migrateTo(ctx, db, version); err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, schemaQuery)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out := objects{}
	for rows.Next() {
		if err := out.scan(rows); err != nil {
			return nil, err
		}
	}
	return out, rows.Err()
}
