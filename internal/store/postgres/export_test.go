package postgres

// Exec runs a statement as somebody with SQL would.
func Exec(tx *Tx, query string) error {
	_, err := tx.exec(query)
	return err
}

// SchemaOf is where s keeps its tables.
func SchemaOf(s *Store) string { return s.o.Schema }
