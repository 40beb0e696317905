package postgres_test

import (
	"slices"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/jackc/pgx/v5"
)

// A statement that was prepared and judged before is judged by what it means now: the
// server plans it anew when a name means something else.
func TestPreparedMeansWhatItMeansNow(t *testing.T) {
	direct(t, bypassSetup...)
	a := &authority{}
	c := connect(t, start(t, a))
	if _, err := c.Prepare(t.Context(), "s", "select lower(email) from bypass.customers where id = $1"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		set   string
		reads bool // and no more
	}{
		{"select 1", true},
		{"set search_path = bypass, pg_catalog", false}, // bypass.lower writes
		{"reset search_path", true},
	} {
		if _, err := c.Exec(t.Context(), step.set, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			before := len(a.actions())
			if _, err := c.Exec(t.Context(), "s", 1); err != nil {
				t.Fatal(err)
			}
			asked := a.actions()[before:]
			if len(asked) != 1 || slices.Equal(asked[0].Kinds, []action.Kind{action.DataRead}) != step.reads {
				t.Errorf("after %s: %+v", step.set, asked)
			}
		}
	}
}
