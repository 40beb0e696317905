package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store/sqlite"
)

const suggestPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: orders, version: 1.0.0, owner: orders-team }
rules:
  - id: hold-writes
    match: { kind: [data.write], env: [prod] }
    then: review
    approval: { from: [group:owners], count: 1 }
tests:
  - name: a write waits
    given: { kind: data.write, env: prod, rows: 1 }
    want: { decision: review, rule: hold-writes }
  - name: a write elsewhere is nobody's
    given: { kind: data.write, env: dev, rows: 1 }
    want: { decision: deny }
  - name: what changes the schema is nobody's
    given: { kind: schema.change, env: prod, rows: 1 }
    want: { decision: deny }
`

// approvedDaily is a data directory whose log says that two people approved one update on five days.
func approvedDaily(t *testing.T) string {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	st, err := sqlite.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), "assent/log")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().AddDate(0, 0, -6)
	log, err := audit.New(audit.Options{Origin: "assent/log", Keys: []*audit.Key{key}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Open(ctx, st); err != nil {
		t.Fatal(err)
	}
	write := func(r audit.Record) {
		if err := st.Update(ctx, func(tx approval.Tx) error { return log.Append(ctx, tx, &r) }); err != nil {
			t.Fatal(err)
		}
	}
	for day := range 5 {
		rows := int64(40 + day)
		r := audit.Record{
			Type: audit.TypeRequest, Actor: "agent:exporter", Chain: []string{"agent:exporter"}, Resource: "postgres:orders/prod/orders", Env: "prod", Verb: "update",
			Target: "public.orders", Title: "UPDATE public.orders", Shape: "a1b2c3d4", Kinds: []string{"data.write"}, Rules: []string{"orders/hold-writes"}, Decision: "review", Approval: fmt.Sprintf("apr_%d", day),
		}
		asked := now.UTC().Format(time.RFC3339Nano)
		write(r)
		now = now.Add(time.Minute)
		r.Type, r.Decision, r.Person, r.Detail = audit.TypeReview, "approve", []string{"mira", "dana"}[day%2], map[string]string{"asked": asked}
		write(r)
		r.Type, r.Decision, r.Detail = audit.TypeApproval, "approved", nil
		write(r)
		r.Type, r.Decision, r.Outcome, r.Rows = audit.TypeOutcome, "", "executed", &rows
		write(r)
		now = now.Add(24 * time.Hour)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What policy suggest prints is what git applies, and the packs pass their tests and mutants then.
func TestPolicySuggest(t *testing.T) {
	data := approvedDaily(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("orders.yaml", []byte(suggestPack), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) string {
		t.Helper()
		var out, errs strings.Builder
		if got := Main(args, strings.NewReader(""), &out, &errs); got != want {
			t.Fatalf("assent %v: exit status %d, want %d\n%s%s", args, got, want, &out, &errs)
		}
		return out.String()
	}
	printed := run(exitOK, "policy", "suggest", "--data", data, "orders.yaml")
	for _, want := range []string{"orders/exporter-update-a1b2c3d4", "yes 5 of 5 times: dana, mira, on 5 days", "held by orders/hold-writes; permits up to 44 rows", "of 5 requests in the log 5 would not"} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is missing in\n%s", want, printed)
		}
	}
	if text, _ := os.ReadFile("orders.yaml"); string(text) != suggestPack {
		t.Fatal("a suggestion was applied by itself")
	}
	var said proposalJSON
	if err := json.Unmarshal([]byte(run(exitOK, "--json", "policy", "suggest", "--data", data, "--out", "it.diff", "orders.yaml")), &said); err != nil || len(said.Suggestions) != 1 || said.Suggestions[0].Unasked != 5 {
		t.Fatalf("%v: %+v", err, said)
	}
	if text, err := os.ReadFile("it.diff"); err != nil || string(text) != said.Diff {
		t.Errorf("%v: %s", err, text)
	}
	git := exec.Command("git", "apply", "-")
	git.Stdin = strings.NewReader(printed)
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v: %s\n%s", err, out, printed)
	}
	run(exitOK, "policy", "test", "--strict", "--mutate", "orders.yaml")
	// What holds it no more is nothing that people are asked about.
	if again := run(exitOK, "policy", "suggest", "--data", data, "orders.yaml"); !strings.Contains(again, "nothing to suggest") {
		t.Error(again)
	}
	run(exitOK, "policy", "suggest", "--data", data, "--people", "3", "orders.yaml")
	run(exitUsage, "policy", "suggest", "--data", data, "--people", "1", "orders.yaml")
	run(exitUsage, "policy", "suggest", "--data", data)
	run(exitUsage, "policy", "suggest", "--data", "nowhere", "orders.yaml")
}
