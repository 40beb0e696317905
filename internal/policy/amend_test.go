package policy

import (
	"strings"
	"testing"
)

func TestAmend(t *testing.T) {
	const pack = `# about the pack
apiVersion: assent/v1
kind: PolicyPack
metadata: { name: p, version: 1.0.0 }
rules:
  # about the rule
  - id: hold # why
    match: { kind: [data.read] }
    when: |
      data.rows > 1 ||
      data.bytes > 2
    then: review # people
    approval: { from: [group:x] }

  - id: watch
    mode: shadow
    until: 2026-12-31
    then: deny

  - { id: flow, then: deny }

# about the tests
tests:
  - name: one
    given: { kind: data.read, rows: 5, bytes: 1 }
    want: { decision: deny }
`
	for _, c := range []struct {
		name, pack string
		a          Amendment
		want       []string // in this order
		not        []string
	}{
		{"an exception", pack, Amendment{Except: []Exception{{"hold", "actor.id == \"a\" &&\nresource.env == \"dev\""}}}, []string{
			"  # about the rule\n  - id: hold # why\n", "    when: |-\n      (data.rows > 1 ||\n      data.bytes > 2) &&\n      !(actor.id == \"a\" &&\n      resource.env == \"dev\")\n    then: review # people\n",
		}, nil},
		{"an exception of a rule without a condition", pack, Amendment{Except: []Exception{{"watch", "action.reversible"}}}, []string{"  - id: watch\n    when: |-\n      !(action.reversible)\n    mode: shadow\n"}, nil},
		{"a shadow ends", pack, Amendment{Enforce: "watch"}, []string{"  - id: watch\n    then: deny\n"}, []string{"shadow", "until"}},
		{"a rule and a test", pack, Amendment{Rule: "- id: new\n  match: { kind: [data.read] }\n  then: allow", Tests: "- name: two\n  given: { kind: data.read }\n  want: { decision: deny }"}, []string{
			"  - { id: flow, then: deny }\n  - id: new\n    match: { kind: [data.read] }\n    then: allow\n\n# about the tests\ntests:\n", "    want: { decision: deny }\n  - name: two\n    given: { kind: data.read }\n",
		}, nil},
		{"the first test", strings.Split(pack, "# about the tests")[0], Amendment{Tests: "- name: two\n  given: { kind: data.read }\n  want: { decision: deny }"}, []string{"  - { id: flow, then: deny }\ntests:\n  - name: two\n"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := Amend("p.yaml", []byte(c.pack), c.a)
			if err != nil {
				t.Fatal(err)
			}
			rest := string(out)
			for _, w := range c.want {
				_, after, ok := strings.Cut(rest, w)
				if !ok {
					t.Fatalf("%q isn't in\n%s", w, out)
				}
				rest = after
			}
			for _, n := range c.not {
				if strings.Contains(string(out), n) {
					t.Errorf("%q is in\n%s", n, out)
				}
			}
			if _, err := LoadFiles(map[string][]byte{"p.yaml": out}, Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	for name, c := range map[string]struct {
		pack string
		a    Amendment
		want string
	}{
		"no such rule":       {pack, Amendment{Enforce: "nobody"}, "no rule 'nobody'"},
		"a rule in braces":   {pack, Amendment{Except: []Exception{{"flow", "true"}}}, "write it as a block"},
		"a list in brackets": {"rules: [{ id: a, then: deny }]\n", Amendment{Rule: "- id: b"}, "stand in […]"},
		"no YAML":            {"rules: [", Amendment{}, "p.yaml"},
		"more than was said": {pack, Amendment{Rule: "- id: new\n  then: deny\nlocked: true"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Amend("p.yaml", []byte(c.pack), c.a)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q; %s", err, c.want, out)
			}
		})
	}
}
