package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnit: systemd finds no fault with the unit, and its own measure of exposure (0 to 10) stays below 2.
func TestUnit(t *testing.T) {
	repo, _ := here(t)
	text := string(read(t, filepath.Join(repo, "packaging/systemd/assent.service")))
	if !strings.Contains(text, "ExecStart=/usr/bin/assent serve ") {
		t.Fatal("the unit starts something else")
	}
	path := filepath.Join(t.TempDir(), "assent.service")
	analyze := func(text string) string {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// The program need not be installed here.
	analyze(strings.ReplaceAll(text, "/usr/bin/assent ", "/bin/true "))
	if out := command(t, "", "systemd-analyze", "verify", "--man=no", path); out != "" {
		t.Error(out)
	}
	out := command(t, "", "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", path)
	t.Log(out[strings.LastIndex(out, "→"):])
	for _, want := range []string{"User=assent", "StateDirectoryMode=0700", "UMask=0077", "ProtectSystem=strict", "CapabilityBoundingSet=\n", "ConditionPathExists=/etc/assent/assent.yaml"} {
		if !strings.Contains(text, want) {
			t.Errorf("the unit lacks %s", want)
		}
	}
	if strings.Contains(text, "ReadWritePaths") {
		t.Error("the unit may write beside its state directory")
	}
}
