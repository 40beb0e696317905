package policy

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const referencePage = "../../docs/policy-reference.md"

var update = flag.Bool("update", false, "write docs/policy-reference.md")

//go:generate go test -run TestReferenceIsCurrent . -update

func TestReferenceIsCurrent(t *testing.T) {
	want := Reference()
	if *update {
		if err := os.WriteFile(referencePage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("the page isn't current, run go generate ./internal/policy (-want +got):\n%s", diff)
	}
}
