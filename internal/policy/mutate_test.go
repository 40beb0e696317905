package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMutateFindsWhatNoTestHolds(t *testing.T) {
	s := load(t, `  - id: exports
    match: { kind: [data.export], env: [prod] }
    when: |
      data.rows > 1000
      && "pii" in data.groups
    then: review
    approval: { from: [group:x], count: 2 }
  - { id: masks, match: { kind: [data.read] }, then: mask, mask: { email: redact, card: partial } }
  - { id: reads, match: { kind: [data.read] }, when: data.rows <= 10, then: allow }
  - { id: gone, match: { kind: [data.delete] }, then: deny, unless: { break_glass: true, approval: { all_of: [{ group: a, count: 2 }, { group: b }] } } }
tests:
  - { name: large, given: { kind: data.export, env: prod, rows: 5000, groups: [pii] }, want: { decision: review } }
  - { name: small, given: { kind: data.export, env: prod, rows: 5, groups: [pii] }, want: { decision: deny } }
  - { name: read, given: { kind: data.read, classes: [card] }, want: { decision: allow, limit: { rows: 10 }, mask: { email: redact, card: partial } } }
  - { name: other, given: { kind: data.write }, want: { decision: deny } }
  - { name: gone, given: { kind: data.delete }, want: { decision: deny, rule: gone } }
`)
	if got := s.Mutate(); len(got) != 0 {
		t.Errorf("rules nobody misses: %v", got)
	}
	all, err := s.MutateAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		got = append(got, m.String())
	}
	want := []string{
		"p.yaml:6: no test fails when the rule 'exports' has no match line 'env'",
		"p.yaml:8: no test fails when the rule 'exports' says 1001 instead of 1000",
		"p.yaml:8: no test fails when the rule 'exports' says 999 instead of 1000",
		"p.yaml:5: no test fails when the rule 'exports' asks 1 person instead of 2",
		"p.yaml:12: no test fails when the rule 'masks' matches every kind",
		"p.yaml:14: no test fails when the rule 'gone' asks 1 of group:a instead of 2",
		"p.yaml:14: no test fails when the rule 'gone' asks nobody of group:b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCoverCountsWhatTestsSaw(t *testing.T) {
	s := load(t, `  - id: exports
    match: { kind: [data.export], env: [prod] }
    when: data.rows > 1000 && "pii" in data.groups
    then: review
    approval: { from: [group:x] }
  - { id: off, match: { kind: [data.export] }, mode: off, then: deny }
  - { id: deletes, match: { kind: [data.delete], env: [dev] }, then: deny }
tests:
  - { name: large, given: { kind: data.export, env: prod, rows: 5000 }, want: { decision: review } }
  - { name: small, given: { kind: data.export, env: prod, rows: 5, groups: [pii] }, want: { decision: deny } }
  - { name: other, given: { kind: data.write, env: dev }, want: { decision: deny } }
`)
	want := []Covered{
		{Pack: "p", Rule: "exports", File: "p.yaml", Line: 5, Tests: 2, Matched: 1, Atoms: []CoveredAtom{
			{Expr: "env in [prod]", Line: 6, True: 2},
			{Expr: "data.rows > 1000", Line: 7, True: 1, False: 1},
			{Expr: `"pii" in data.groups`, Line: 7, True: 1, Unknown: 1},
		}},
		{Pack: "p", Rule: "deletes", File: "p.yaml", Line: 11, Atoms: []CoveredAtom{{Expr: "env in [dev]", Line: 11}}},
	}
	if diff := cmp.Diff(want, s.Cover()); diff != "" {
		t.Error(diff)
	}
	text := s.Try(Trials{Cover: true}).Human()
	for _, line := range []string{
		"cover p.yaml:5: p/exports matched 1 of 2 tests of its kinds\n",
		"line 6    true 2   false 0   unknown 0   never false  env in [prod]\n",
		"line 7    true 1   false 1   unknown 0                data.rows > 1000\n",
		"never asked  env in [dev]\n",
		"1 of 4 conditions seen true and false\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
}
