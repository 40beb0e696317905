//go:build !race

package mask

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// A column that is masked by any method costs no memory a value.
func TestMaskedColumnsAllocateNothing(t *testing.T) {
	m := everyMasker(t)
	v := []byte("4111-1111-1111-1111")
	for _, method := range []string{Redact, Hash, Token, Format, Partial} {
		rows := m.For("agent:a", map[string]string{"card": method}).Rows([]Column{{Name: "x", Type: pgtype.TextOID, Sources: []string{"t.card"}}})
		if n := testing.AllocsPerRun(200, func() {
			if _, err := rows.Value(0, v); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 {
			t.Errorf("%s: %.0f allocations a value", method, n)
		}
	}
}
