package http

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// What is drafted is a mapping, and says from what it was guessed.
func TestDraft(t *testing.T) {
	doc, err := os.ReadFile("testdata/petshop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Draft(doc, "petshop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/petshop.draft.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the draft (-want +got):\n%s\nwhole:\n%s", diff, got)
	}
	m, err := Parse(got, "draft.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for ask, kinds := range map[string]string{
		"GET /v2/customers":           "data.read",
		"POST /v2/customers/search":   "data.read",
		"DELETE /v2/customers/7":      "data.delete",
		"POST /v2/orders/7/refunds":   "payment",
		"GET /v2/compare/main...next": "data.read",
		"POST /v2/jobs/7:run":         "execute",
		"GET /v2/unsubscribe":         "unknown",
		"GET /evil":                   "data.read",
	} {
		method, path, _ := strings.Cut(ask, " ")
		if r := m.Classify(method, path, "", nil, []byte{}); joined(r.Kinds) != kinds {
			t.Errorf("%s: %v", ask, r.Kinds)
		}
	}
	// JSON and Swagger 2.0 are read too.
	var v any
	if err := yaml.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Draft(asJSON, "petshop.yaml"); err != nil || string(again) != string(got) {
		t.Errorf("as JSON: %v\n%s", err, again)
	}
	old := `{"swagger":"2.0","info":{"title":"x"},"basePath":"/api/","paths":{"/users/{id}/roles":{"put":{"parameters":[{"in":"body","schema":{"properties":{"email":{}}}}]}}}}`
	again, err := Draft([]byte(old), "old.json")
	if err != nil || !strings.Contains(string(again), `match: "PUT /api/users/{id}/roles"`) || !strings.Contains(string(again), "classes: [email]") || !strings.Contains(string(again), "privilege.change") {
		t.Errorf("2.0: %v\n%s", err, again)
	}
	for _, bad := range []string{"", "[]", "a: b", `{"openapi":"3.0.0"}`, "a: [", "openapi: 3.0.0\npaths: []"} {
		if _, err := Draft([]byte(bad), "x"); err == nil || !strings.HasPrefix(err.Error(), "reading x: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Whatever a document holds, a draft is a mapping.
func FuzzDraft(f *testing.F) {
	b, err := os.ReadFile("testdata/petshop.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"swagger":"2.0","paths":{"/a{b":{"get":{"summary":"\u2028\n- x"}},"/*":{"post":{}},"/{a}{b}":{"put":{}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		draft, err := Draft(data, "x.yaml")
		if err != nil {
			return
		}
		if _, err := Parse(draft, "draft.yaml"); err != nil {
			t.Errorf("%v\n%s", err, draft)
		}
	})
}
