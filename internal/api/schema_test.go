package api_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// schemathesis reads /openapi.json and asks whatever it can think of, as each
// kind of caller: no answer is a 5xx, and none is one that the document doesn't
// tell. ASSENT_EXAMPLES=50 asks more of each operation, and walks its boundaries.
func TestSchema(t *testing.T) {
	st, err := filepath.Abs("../../.cache/python/bin/schemathesis")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(st); err != nil {
		t.Fatalf("schemathesis is not here: run scripts/install (%v)", err)
	}
	examples, phases := "8", "examples,fuzzing"
	if more := os.Getenv("ASSENT_EXAMPLES"); more != "" {
		examples, phases = more, "examples,coverage,fuzzing"
	}
	for _, caller := range []string{"nobody", "agent", "gate", "reviewer", "admin"} {
		t.Run(caller, func(t *testing.T) {
			w := newWorld(t)
			id := w.hold(w.agent, "copy customers to stdout")
			token := map[string]string{"agent": w.agent, "gate": w.gate, "reviewer": w.mira, "admin": w.admin}[caller]
			args := []string{
				"run", w.server.URL + "/openapi.json", "--url", w.server.URL, "--checks",
				"not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance",
				"--max-examples", examples, "--phases", phases, "--seed", "1", "--no-color", "--request-timeout", "15",
				"--exclude-path", "/v1/events", "--generation-database", "none",
			}
			if token != "" {
				args = append(args, "-H", "Authorization: Bearer "+token)
			}
			cmd := exec.CommandContext(t.Context(), st, args...)
			cmd.Dir = t.TempDir()
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, strings.ReplaceAll(string(out), "Bearer "+token, "Bearer …"))
			}
			if !strings.Contains(string(out), "Operations") && !strings.Contains(string(out), "operations") {
				t.Errorf("nothing was asked:\n%s", out)
			}
			if s := w.state(id); s == "" {
				t.Error("the approval is gone")
			}
		})
	}
}
