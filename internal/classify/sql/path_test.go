package sql

import (
	"slices"
	"testing"
)

func TestSearchPath(t *testing.T) {
	for path, want := range map[string][]string{
		"":                           {"pg_catalog", "agent", "public"},
		`"$user", public`:            {"pg_catalog", "agent", "public"},
		`a,B , "C d"`:                {"pg_catalog", "a", "b", "C d"},
		`"say ""x""", pg_temp`:       {"pg_catalog", `say "x"`, "pg_temp"},
		`bypass, pg_catalog, "a,b"`:  {"bypass", "pg_catalog", "a,b"},
		`"PG_CATALOG"`:               {"pg_catalog", "PG_CATALOG"},
		`""`:                         {"pg_catalog"},
		`"never closed, pg_catalog`:  {"pg_catalog", "never closed, pg_catalog"},
		"pg_temp,\t\"$user\"\n, x_y": {"pg_catalog", "pg_temp", "agent", "x_y"},
	} {
		if got := searchPath(path, "agent"); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		r := New(Options{}).Classify("SELECT 1 FROM t", State{Role: "agent", SearchPath: path})
		if got := r.Statements[0].SearchPath(); !slices.Equal(got, want) {
			t.Errorf("a statement under %s is said to search %q, want %q", path, got, want)
		}
	}
}
