package scim_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// scim2-tester, another project's reading of RFC 7643 and 7644, discovers what
// this server says it offers, and then creates, reads, queries, replaces and
// patches each attribute of each type of resource.
func TestCompliance(t *testing.T) {
	tool, err := filepath.Abs("../../.cache/python/bin/scim")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tool); err != nil {
		t.Fatalf("scim2-cli is not here: run scripts/install (%v)", err)
	}
	x := newSite(t)
	cmd := exec.CommandContext(t.Context(), tool, "-u", strings.TrimSuffix(x.url, "/"), "test", "-v")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "SCIM_CLI_HEADERS=Authorization: Bearer corp", "NO_COLOR=1", "COLUMNS=250")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	good := len(regexp.MustCompile(`(?m)^SUCCESS`).FindAll(out, -1))
	if bad := regexp.MustCompile(`(?m)^(ERROR|CRITICAL|COMPLIANT|DEVIATION)?.*(ERROR|CRITICAL)`).FindAll(out, -1); len(bad) > 0 || good < 30 {
		t.Errorf("%d checks passed, %d failed\n%s", good, len(bad), out)
	}
}
