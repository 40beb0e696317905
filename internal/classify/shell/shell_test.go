package shell

import (
	"strings"
	"testing"
)

// Each word of the tables means something, and each row has a tool.
func TestTables(t *testing.T) {
	for name, tl := range toolbox() {
		if len(tl.rows) == 0 {
			t.Errorf("%s has no row", name)
		}
		for _, r := range tl.rows {
			for _, role := range r.eff.roles {
				checkRole(t, name, role)
			}
			if !r.eff.none && !r.eff.routine && len(r.eff.kinds) == 0 && len(r.eff.roles) == 0 {
				t.Errorf("%s %s says nothing", name, strings.Join(r.words, " "))
			}
		}
		for opt, list := range tl.options {
			for _, o := range list {
				for _, role := range o.eff.roles {
					checkRole(t, name+" -"+opt, role)
				}
			}
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(writtenPaths), "\n") {
		_, kinds, ok := strings.Cut(line, " : ")
		if !ok || len(kindsOf(strings.Fields(kinds))) != len(strings.Fields(kinds)) {
			t.Errorf("%q is not understood", line)
		}
	}
}

func checkRole(t *testing.T, where, role string) {
	t.Helper()
	switch role {
	case "R", "W", "D", "RT", "R2", "W1", "WL", "MV", "X", "S", "H", "W2", "D2", "X2":
		return
	}
	if special(role) == nil {
		t.Errorf("%s: %q is not a word of the tables", where, role)
	}
}
