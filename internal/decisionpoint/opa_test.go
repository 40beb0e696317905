package decisionpoint

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/freeport"
	"github.com/assenthq/assent/internal/policy"
)

// opa runs Open Policy Agent with a policy and returns its address.
func opa(t *testing.T, rego string) string {
	t.Helper()
	program, err := filepath.Abs("../../.cache/opa/opa")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "run", "--server", "--addr", addr, "--skip-version-check", "--log-level", "error", rego)
	var out strings.Builder
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatalf("opa is not here: run scripts/install (%v)", err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	for range 1000 {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return addr
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	_ = cmd.Wait()
	t.Fatalf("opa does not listen: %s", &out)
	return ""
}

func TestDocumentedPolicyIsTheTestedOne(t *testing.T) {
	page, err := os.ReadFile("../../docs/decision-points.md")
	if err != nil {
		t.Fatal(err)
	}
	rego, err := os.ReadFile("testdata/assent.rego")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(rego), "package assent")
	if !strings.Contains(string(page), "package assent"+rules) {
		t.Error("docs/decision-points.md shows another policy than testdata/assent.rego")
	}
}

// Open Policy Agent itself answers questions as they are sent, with the policy of the documentation.
func TestOPA(t *testing.T) {
	addr := opa(t, "testdata/assent.rego")
	ask := func(path string, change func(*action.Action)) Answer {
		q := question()
		change(q.Input.Action)
		return point(t, "http://"+addr+path).Ask(t.Context(), q)
	}
	const rule = "/v0/data/assent/evaluation"
	inside := func(a *action.Action) { a.Data.DestinationTrust = "internal" }
	if a := ask(rule, inside); a.Err != nil || a.Verdict != policy.Allow {
		t.Errorf("what stays: %+v", a)
	}
	if a := ask(rule, func(*action.Action) {}); a.Err != nil || a.Verdict != policy.Review || a.Reason != "10 rows leave" || len(a.From) != 1 || a.From[0] != "group:reviewers" || a.Count != 1 {
		t.Errorf("what leaves: %+v", a)
	}
	for name, change := range map[string]func(*action.Action){
		"a drop":             func(a *action.Action) { inside(a); a.Verb = "drop" },
		"many rows":          func(a *action.Action) { a.Data.Rows = action.KnownCount(1000) },
		"rows nobody counts": func(a *action.Action) { a.Data.Rows = action.Count{} }, // undefined in Rego: the default answers
	} {
		if a := ask(rule, change); a.Err != nil || a.Verdict != policy.Deny || a.Reason != "nothing of the policy permits it" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for path, says := range map[string]string{
		"/v0/data/assent/no-such-rule": "status 404",
		"/v1/data/assent/evaluation":   "no decision", // wants {"input": …} and wraps its answer
		"/v0/data/assent/leaves":       "can't be read",
		"/no/such/path":                "status 404",
	} {
		if a := ask(path, func(*action.Action) {}); a.Err == nil || !strings.Contains(a.Err.Error(), says) {
			t.Errorf("%s: %+v, want %s", path, a, says)
		}
	}
}
