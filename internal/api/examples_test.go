package api_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
)

// The examples run as a newcomer runs them, each against a real server: people
// are asked, and what they say is what the program ends with.
func TestExamples(t *testing.T) {
	dir, err := filepath.Abs("../../examples/authzen")
	if err != nil {
		t.Fatal(err)
	}
	pipeline := []string{
		"python3", filepath.Join(dir, "..", "pipeline", "ask.py"), "--actor", "agent:nightly-exporter", "--kind", "data.export", "--verb", "copy",
		"--type", "postgres", "--resource", "postgres:shop/customers", "--target", "customers", filepath.Join(dir, "README.md"),
	}
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tsc := exec.CommandContext(t.Context(), filepath.Join(dir, "node_modules", ".bin", "tsc"), "--project", dir, "--outDir", out)
	if said, err := tsc.CombinedOutput(); err != nil {
		t.Fatalf("TypeScript: %v (scripts/install puts it there)\n%s", err, said)
	}
	for name, argv := range map[string][]string{
		"curl": {"bash", filepath.Join(dir, "ask.sh")}, "Python": {"python3", filepath.Join(dir, "ask.py")}, "TypeScript": {"node", filepath.Join(out, "ask.js")}, "pipeline": pipeline,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, decision := range []string{"approve", "deny"} {
				said, status := w.example(t, argv, decision)
				lines := strings.Split(strings.TrimSpace(said), "\n")
				want, wantStatus := "denied: denied", 1
				if decision == "approve" {
					want, wantStatus = "allowed", 0
				}
				if status != wantStatus || len(lines) != 2 || !strings.HasPrefix(lines[0], "asking ") || lines[1] != want {
					t.Errorf("%s: status %d, said %q", decision, status, said)
				}
			}
		})
	}
}

// example runs a program and answers what it asks people.
func (w *world) example(t *testing.T, argv []string, decision string) (said string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "ASSENT="+w.server.URL, "AGENT="+w.agent)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for t.Context().Err() == nil {
			waiting, err := w.engine.List(t.Context(), approval.Filter{States: []approval.State{approval.Pending}})
			if err == nil && len(waiting) > 0 {
				w.review(w.mira, waiting[0].ID, decision, "an example")
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	_ = cmd.Wait()
	return out.String(), cmd.ProcessState.ExitCode()
}
