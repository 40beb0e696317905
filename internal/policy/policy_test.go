package policy

import (
	"path/filepath"
	"testing"
)

func TestShippedPacksPass(t *testing.T) {
	for _, dir := range []string{"packs", "testdata/packs"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no packs in %s: %v", dir, err)
		}
		for _, name := range names {
			t.Run(filepath.Base(name), func(t *testing.T) {
				r := CheckMutants([]string{name}, true)
				if !r.OK {
					t.Error(r.Human())
				}
			})
		}
	}
}
