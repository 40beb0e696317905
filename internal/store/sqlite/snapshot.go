package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// Snapshot writes the database in dir, as it is at one moment, to a new file. A server may
// go on using it. What was deleted is not in the copy.
func Snapshot(ctx context.Context, dir, to string) (err error) {
	s, err := OpenReadOnly(ctx, dir) // finds out how it can be read
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := s.readDB.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copying %s: %w", filepath.Join(dir, fileName), err)
	}
	return nil
}
