package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
)

// A tag is of one of the two lists; it reaches explanations and the list of rules, and decides nothing.
func TestTags(t *testing.T) {
	load := func(tags string) (*Set, error) {
		return LoadFiles(map[string][]byte{"a.yaml": []byte("apiVersion: assent/v1\nkind: PolicyPack\nmetadata: { name: a, version: 1.0.0 }\nrules:\n" +
			"  - { id: no, match: { kind: data.delete }, when: data.rows > 3, then: deny, tags: " + tags + " }\n")}, Options{})
	}
	for _, tags := range []string{"ASI01", "[ASI10, T1485]", "T1567.002", `["ASI02"]`} {
		if _, err := load(tags); err != nil {
			t.Errorf("%s: %v", tags, err)
		}
	}
	for _, tags := range []string{"ASI00", "ASI11", "asi02", "T148", "T14850", "T1567.2", "[T1485, T1485]", "[]", "CVE-2026-1", "' T1485'", `"T1485\nT1486"`, "{ a: b }"} {
		if _, err := load(tags); err == nil || !strings.Contains(err.Error(), "a.yaml:5:") {
			t.Errorf("%s loads, or its error has no place: %v", tags, err)
		}
	}
	s, err := load("[ASI02, T1485]")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ASI02", "T1485"}
	if got := s.Listed()[0].Rules[0].Tags; !slices.Equal(got, want) {
		t.Errorf("listed: %v", got)
	}
	in := &Input{Action: &action.Action{Kinds: []action.Kind{action.DataDelete}, Data: action.Data{Rows: action.KnownCount(4)}}}
	if d := s.Explain(in); len(d.Rules) != 1 || !slices.Equal(d.Rules[0].Tags, want) {
		t.Errorf("explained: %+v", d.Rules)
	}
	in.Action.Data.Rows = action.KnownCount(3)
	if d := s.Explain(in); len(d.Considered) != 1 || !slices.Equal(d.Considered[0].Tags, want) {
		t.Errorf("considered: %+v", d.Considered)
	}
}
