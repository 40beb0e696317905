package api_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// schemathesis reads /openapi.json and asks whatever it can think of, as each
// kind of caller: no answer is a 5xx, and none is one that the document doesn't
// tell. ASSENT_EXAMPLES asks more of each operation.
func TestSchema(t *testing.T) {
	st, err := filepath.Abs("../../.cache/python/bin/schemathesis")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(st); err != nil {
		t.Fatalf("schemathesis is not here: run scripts/install (%v)", err)
	}
	examples := os.Getenv("ASSENT_EXAMPLES")
	if examples == "" {
		examples = "15"
	}
	for _, caller := range []string{"nobody", "agent", "gate", "reviewer", "admin"} {
		t.Run(caller, func(t *testing.T) {
			w := newWorld(t)
			id := w.hold(w.agent, "copy customers to stdout")
			token := map[string]string{"agent": w.agent, "gate": w.gate, "reviewer": w.mira, "admin": w.admin}[caller]
			args := []string{"run", w.server.URL + "/openapi.json", "--url", w.server.URL, "--checks",
				"not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance",
				"--max-examples", examples, "--phases", "examples,coverage,fuzzing", "--seed", "1", "--no-color", "--request-timeout", "15",
				"--exclude-path", "/v1/events", "--generation-database", "none"}
			if token != "" {
				args = append(args, "-H", "Authorization: Bearer "+token)
			}
			cmd := exec.CommandContext(t.Context(), st, args...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), "SCHEMATHESIS_HOOKS=")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, strings.ReplaceAll(string(out), token, "ast_…"))
			}
			if !strings.Contains(string(out), "Operations") && !strings.Contains(string(out), "operations") {
				t.Errorf("nothing was asked:\n%s", out)
			}
			if s := w.state(id); s == "" {
				t.Error("the approval is gone")
			}
			if caller == "reviewer" && testing.Verbose() {
				fmt.Println(string(out))
			}
		})
	}
}
