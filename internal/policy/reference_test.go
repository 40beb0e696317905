package policy

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated pages under docs")

//go:generate go test -run TestGeneratedPagesAreCurrent . -update

func TestGeneratedPagesAreCurrent(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	for page, want := range map[string]string{
		"../../docs/policy-reference.md": Reference(),
		"../../docs/policy-schema.json":  string(schema),
	} {
		if *update {
			if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s isn't current, run go generate ./internal/policy (-want +got):\n%s", page, diff)
		}
	}
}

// The pack that the user page begins with loads, and its tests pass.
func TestThePackInTheDocsPasses(t *testing.T) {
	page, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	pack, _, _ := strings.Cut(rest, "```")
	s, err := LoadFiles(map[string][]byte{"docs/policy.md": []byte(pack)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Report(true, true); !r.OK {
		t.Error(r.Human())
	}
}
