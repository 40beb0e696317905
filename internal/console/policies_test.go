package console

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

// watchedPack is a pack with a rule that only watches and text that means harm.
const watchedPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: night, version: 2.0.0, owner: "<b>dba" }
rules:
  - id: read
    match: { kind: [data.read] }
    then: allow
  - id: no-drops
    match: { kind: [infra.destroy] }
    then: deny
    mode: shadow
    until: 2999-01-01
tests:
  - name: reads <flow>
    given: { kind: [data.read], actor: agent }
    want: { decision: allow }
`

// ruled gives a house a page of the built-in policy and of a pack of its own.
func ruled(t *testing.T, h *house) {
	t.Helper()
	set, err := policy.LoadFiles(map[string][]byte{"assent:default.yaml": policy.DefaultPack(), "night.yaml": []byte(watchedPack)}, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	was := h.change
	h.change = func(o *Options) {
		if was != nil {
			was(o)
		}
		o.Policies = func(context.Context) (PolicyInForce, error) {
			return PolicyInForce{Set: set, Number: 3, At: time.Now().Add(-time.Hour), Change: "chg_1"}, nil
		}
	}
	h.serve()
}

func TestPoliciesShowRulesWithWhatTheyDid(t *testing.T) {
	h := newHouse(t)
	ruled(t, h)
	for range 3 {
		h.records(&audit.Record{Type: audit.TypeRequest, Decision: "review", Rules: []string{"default/hold-changes"}, Detail: map[string]string{"shadow.no-drops": "deny"}})
	}
	c := newClient(h).signIn(sam)
	code, body := c.send("GET", "/policies", nil)
	if code != http.StatusOK {
		t.Fatalf("policies: %d %s", code, body)
	}
	row := func(name string) string {
		_, rest, _ := strings.Cut(body, `data-key="`+name+`"`)
		rest, _, _ = strings.Cut(rest, "</tr>")
		return rest
	}
	if r := row("default/hold-changes"); !strings.Contains(r, "<b>3</b>") || !strings.Contains(r, "1 of reviewers") || !strings.Contains(r, "schema.change") {
		t.Errorf("a rule that held three: %s", r)
	}
	if r := row("default/reads-flow"); !strings.Contains(r, "none") || !strings.Contains(r, "!data.inferred") {
		t.Errorf("a rule nothing met: %s", r)
	}
	if r := row("night/no-drops"); !strings.Contains(r, "only watching") || !strings.Contains(r, "<b>3</b>") || !strings.Contains(r, "none reach it") {
		t.Errorf("a rule that watches: %s", r)
	}
	for _, want := range []string{"number 3, from an approved change", "kept by &lt;b&gt;dba", "reads &lt;flow&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	if strings.Contains(body, "<b>dba") || strings.Contains(body, "<flow>") {
		t.Error("a pack's own text is markup")
	}
	if code, _ := newClient(h).send("GET", "/policies", nil); code != http.StatusSeeOther {
		t.Errorf("without a session: %d", code)
	}
}
