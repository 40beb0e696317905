package assent_test

import (
	"os/exec"
	"testing"
)

// Every link of the documentation leads to a file, every anchor to a heading: the site is made of nothing else.
func TestLinksOfTheDocumentation(t *testing.T) {
	cmd := exec.Command("go", "run", ".", "-repo", "../..", t.TempDir())
	cmd.Dir = "tools/site"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
