package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assenthq/assent/action"
)

func TestScopeNarrowsEveryRule(t *testing.T) {
	scoped := `scope: { env: [prod, dev], resource: "postgres:billing/*", kind: [data.read, data.write, data.export] }
rules:
  - { id: reads, match: { kind: [data.read] }, then: allow }
  - { id: dev, match: { env: [dev, staging] }, then: allow }
  - { id: orders, match: { kind: [data.write], resource: "postgres:*/orders" }, then: allow }
  - { id: deny, match: { kind: [data.export], env: prod }, then: deny }
tests:
  - { name: reads, given: { kind: data.read, env: prod, resource: "postgres:billing/x" }, want: { decision: allow, rule: reads } }
  - { name: elsewhere, given: { kind: data.read, env: prod, resource: "postgres:shop/x" }, want: { decision: deny, rule: default } }
  - { name: staging, given: { kind: data.write, env: staging, resource: "postgres:billing/x" }, want: { decision: deny, rule: default } }
  - { name: dev, given: { kind: data.write, env: dev, resource: "postgres:billing/x" }, want: { decision: allow, rule: dev } }
  - { name: both patterns, given: { kind: data.write, env: prod, resource: "postgres:billing/orders" }, want: { decision: allow, rule: orders } }
  - { name: one pattern, given: { kind: data.write, env: prod, resource: "postgres:shop/orders" }, want: { decision: deny, rule: default } }
  - { name: another kind, given: { kind: execute, env: dev, resource: "postgres:billing/x" }, want: { decision: deny, rule: default } }
  - { name: unknown place, given: { kind: data.export, env: prod }, want: { decision: deny, rule: deny } }
`
	s, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + scoped)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Report(true, true); !r.OK {
		t.Error(r.Human())
	}
	for _, c := range []struct{ pack, want string }{
		{"scope: {}\nrules: [{ id: a, then: deny }]\n", "p.yaml:4:8: an empty scope"},
		{"scope: { envs: [x] }\nrules: [{ id: a, then: deny }]\n", "did you mean 'env'?"},
		{"scope: { kind: data.raed }\nrules: [{ id: a, then: deny }]\n", "did you mean 'data.read'?"},
		{"scope: { kind: data.read }\nrules:\n  - { id: a, match: { kind: data.write }, then: deny }\n", "p.yaml:6:5: none of the rule's kinds is in the pack's scope"},
		{"scope: { env: prod }\nrules:\n  - { id: a, match: { env: dev }, then: deny }\n", "p.yaml:6:5: the rule's 'env' is not in the pack's scope"},
	} {
		if text := onlyError(t, header+c.pack); !strings.Contains(text, c.want) {
			t.Errorf("want %s, got %s", c.want, text)
		}
	}
}

func TestALimitHoldsPacksToTheirOwn(t *testing.T) {
	limit := Limit{Packs: []string{"teams/billing", "/etc/teams/billing"}, Scope: map[string][]string{"resource": {"postgres:billing/*"}, "env": {"dev", "prod"}}}
	load := func(file, pack string) error {
		_, err := LoadFiles(map[string][]byte{file: []byte(header + pack), "org.yaml": []byte(strings.Replace(header, "name: p", "name: org", 1) + "rules: [{ id: a, match: { kind: data.read }, then: allow }]\n")}, Options{Limits: []Limit{limit}})
		return err
	}
	inside := "scope: { resource: \"postgres:billing/*\", env: [prod] }\nrules: [{ id: a, match: { kind: data.read }, then: allow }]\n"
	if err := load("teams/billing/p.yaml", inside); err != nil {
		t.Error(err)
	}
	if err := load("/etc/teams/billing/p.yaml", strings.Replace(inside, "billing/*", "billing/prod/*", 1)); err != nil {
		t.Error(err)
	}
	for name, pack := range map[string]string{
		"nothing said":     "rules: [{ id: a, match: { kind: data.read }, then: allow }]\n",
		"other resources":  strings.Replace(inside, "billing/*", "*", 1),
		"a longer name":    strings.Replace(inside, "billing/*", "billing*", 1),
		"one of two":       strings.Replace(inside, `"postgres:billing/*"`, `["postgres:billing/*", "postgres:shop/*"]`, 1),
		"another env":      strings.Replace(inside, "[prod]", "[prod, staging]", 1),
		"no env":           strings.Replace(inside, ", env: [prod]", "", 1),
		"denies elsewhere": "rules: [{ id: a, match: { resource: \"postgres:*\", env: prod }, then: deny }]\n",
		"when says where":  "rules: [{ id: a, when: 'resource.urn.startsWith(\"postgres:billing/\")', then: allow }]\n",
	} {
		err := load("teams/billing/p.yaml", pack)
		var list Errors
		if !errors.As(err, &list) || !strings.Contains(err.Error(), "speaks for more than the packs of teams/billing may") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A pack elsewhere isn't held, and a limit that holds for nothing is no limit.
	if err := load("teams/billing2/p.yaml", "rules: [{ id: a, then: deny }]\n"); err == nil || !strings.Contains(err.Error(), "no pack of teams/billing is among these") {
		t.Error(err)
	}
	for want, scope := range map[string]map[string][]string{
		"a scope of nothing": nil, "did you mean 'env'": {"evn": {"prod"}}, "with something in it": {"env": nil}, "did you mean 'data.read'": {"kind": {"data.raed"}}, "'robot' is no actor": {"actor": {"robot"}},
	} {
		if err := (&Limit{Packs: []string{"x"}, Scope: scope}).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
}

// A pattern that covers another matches what the other matches.
func TestGlobCovers(t *testing.T) {
	pattern := rapid.StringMatching(`[ab*?:]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		wide, narrow, text := pattern.Draw(t, "wide"), pattern.Draw(t, "narrow"), rapid.StringMatching(`[ab:]{0,8}`).Draw(t, "text")
		if globCovers(wide, narrow) && glob(narrow, text) && !glob(wide, text) {
			t.Fatalf("%q covers %q, and doesn't match %q", wide, narrow, text)
		}
	})
	if !globCovers("a:*", "a:b/*") || !globCovers("a:*", "a:*") || globCovers("?", "*") || globCovers("a:b/*", "a:*") {
		t.Error("it doesn't cover what it should")
	}
}

// What a locked pack denies or holds, no other pack lifts.
func TestNothingLiftsALockedPack(t *testing.T) {
	locked := strings.Replace(header, "name: p", "name: org", 1) + `locked: true
rules:
  - { id: denies, match: { kind: data.delete }, then: deny }
  - { id: holds, match: { kind: data.write }, then: review, approval: { from: [group:x], count: 2 } }
  - { id: masks, match: { kind: data.read }, then: mask, mask: { email: redact } }
`
	other := header + `rules:
  - { id: denies, match: { kind: [data.delete, data.write, data.read] }, then: allow }
  - { id: holds, match: { kind: [data.delete, data.write] }, then: review, approval: { from: [group:y], count: 1, expires: 100h } }
  - { id: masks, match: { kind: data.read }, then: mask, mask: { email: partial } }
`
	s, err := LoadFiles(map[string][]byte{"org.yaml": []byte(locked), "p.yaml": []byte(other)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var d Decision
	s.Decide(with(kinds(action.DataDelete)), &d)
	if d.Verdict != Deny {
		t.Error("a deny was lifted")
	}
	s.Decide(with(kinds(action.DataWrite)), &d)
	if d.Verdict != Review || len(d.Requirements) != 2 || d.Requirements[0].Count != 2 {
		t.Errorf("a review was lifted: %+v", d.Requirements)
	}
	s.Decide(with(kinds(action.DataRead)), &d)
	if d.Masks["email"] != MaskRedact {
		t.Error("a mask was loosened")
	}
	if _, err := LoadFiles(map[string][]byte{"org.yaml": []byte(locked), "p.yaml": []byte(strings.Replace(other, "name: p", "name: org", 1))}, Options{}); err == nil {
		t.Error("a pack of the same name stands in for it")
	}
	same, err := LoadFiles(map[string][]byte{"x.yaml": []byte("# said otherwise\n" + locked)}, Options{})
	if err != nil || same.Locked()["org"] != s.Locked()["org"] || len(s.Locked()) != 1 {
		t.Errorf("%v: %v, %v", err, s.Locked(), same.Locked())
	}
}

type brokenReads struct{}

func (brokenReads) Rows(string) int64 { panic("no") }

// A reason that can't be filled in is the rule and the kinds, and the decision stands.
func TestAReasonThatFails(t *testing.T) {
	s := load(t, "  - { id: a, match: { kind: data.export }, then: deny, reason: 'read {{data.read_1h}}' }\n  - { id: b, match: { kind: data.export }, then: deny, reason: '{{resource.labels.team}} and {{data.finding_counts[\"email\"]}}' }\n")
	var told []string
	s.options.Unfilled = func(rule string, first bool) { told = append(told, fmt.Sprint(rule, first)) }
	d := s.Explain(with(kinds(action.DataExport), func(in *Input) { in.Read = brokenReads{} }))
	defer func() {
		s.Explain(with(kinds(action.DataExport), func(in *Input) { in.Read = brokenReads{} }))
		if fmt.Sprint(told) != "[p/atrue p/afalse]" {
			t.Errorf("told of %v", told)
		}
	}()
	if d.Verdict != Deny || d.Reason != `rule p/a on data.export; "" and 2` || s.Unfilled() != 1 {
		t.Errorf("%v %q, %d", d.Verdict, d.Reason, s.Unfilled())
	}
	for template, want := range map[string]string{"{{data.finding_counts.emial}}": "did you mean 'email'?", "{{resource.label.team}}": "did you mean", "{{data.rows.x}}": "there is no variable 'data.rows.x'", "{{}}": "there is no variable", "{{context.reason}}": "free text"} {
		if text := onlyError(t, header+"rules:\n  - { id: a, then: deny, reason: '"+template+"' }\n"); !strings.Contains(text, want) {
			t.Errorf("%s: %s", template, text)
		}
	}
}

func TestTestsNameRulesThatAreThere(t *testing.T) {
	rules := "rules:\n  - { id: exports, match: { kind: data.export }, then: review, approval: { from: [group:x] } }\ntests:\n  - { name: a, given: { kind: data.export }, "
	for want, tail := range map[string]string{
		"p.yaml:7:60: this pack has no rule 'export'\n": "want: { rule: export } }\n",
		"did you mean 'exports'?":                       "want: { rule: exprots } }\n",
		"did you mean 'subject'?":                       "reviews: [sam], want: { refused: { sam: subjct } } }\n",
		"'no group' is no reason why one is refused":    "reviews: [sam], want: { refused: { sam: no group } } }\n",
	} {
		if text := onlyError(t, header+rules+tail); !strings.Contains(text, want) {
			t.Errorf("want %s, got %s", want, text)
		}
	}
}
