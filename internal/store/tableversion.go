package store

import (
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// Known errs where tables are of a version that none of the migrations in files
// makes: a newer program made them, and this one would read or write them wrongly.
func Known(files fs.FS, has int64) error {
	names, err := fs.Glob(files, "migrations/*.sql") // in their order
	if err != nil {
		return err
	}
	knows, err := goose.NumericComponent(names[len(names)-1])
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	if has > knows {
		return fmt.Errorf("the tables are of version %d and this program knows %d: it is older than what wrote them; run that version again, or restore a backup from before the upgrade", has, knows)
	}
	return nil
}
