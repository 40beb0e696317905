package sqlite

import "context"

// Exec runs a statement as somebody with SQL would.
func Exec(ctx context.Context, tx *Tx, query string) error {
	_, err := tx.exec(ctx, query)
	return err
}
