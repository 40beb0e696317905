//go:build cgo

package sql

import pg "github.com/pganalyze/pg_query_go/v6"

// libpgQuery is libpg_query, linked in.
type libpgQuery struct{}

func newParser() parser { return libpgQuery{} }

func (libpgQuery) Parse(text string) (*pg.ParseResult, error) { return pg.Parse(text) }

func (libpgQuery) Deparse(tree *pg.ParseResult) (string, error) { return pg.Deparse(tree) }
