//go:build cgo

package sql

import (
	"slices"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// The hand-written lexer finds the plain strings and numbers that PostgreSQL's
// own scanner finds, at the same places.
func TestLexerAgreesWithScanner(t *testing.T) {
	compared := 0
	for _, text := range texts(t) {
		scan, err := pg.Scan(text)
		if err != nil {
			continue
		}
		var want, got [][2]int
		for _, tok := range scan.Tokens {
			start, end := int(tok.Start), int(tok.End)
			plain := tok.Token == pg.Token_FCONST || tok.Token == pg.Token_SCONST && text[start] == '\'' ||
				tok.Token == pg.Token_ICONST
			if plain {
				want = append(want, [2]int{start, end})
			}
		}
		for i := 0; ; {
			kind, end := next(text, i)
			if kind == tokEOF || kind == tokBad {
				break
			}
			if kind == tokString || kind == tokNumber {
				got = append(got, [2]int{i, end})
			}
			i = end
		}
		compared += len(want)
		// The scanner joins literals continued on another line, and cuts a number
		// from letters that follow; of both the lexer blanks out no more than it.
		for _, g := range got {
			if !slices.ContainsFunc(want, func(w [2]int) bool { return w[0] <= g[0] && g[1] <= w[1] }) {
				t.Errorf("%q: %q at %d is a literal for the lexer only", text, text[g[0]:g[1]], g[0])
			}
		}
	}
	if compared < 200 {
		t.Errorf("only %d literals compared", compared)
	}
}
