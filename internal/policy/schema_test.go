package policy

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// typed is n as JSON has it: what an editor's YAML server hands to the schema.
func typed(n *node) any {
	switch n.kind {
	case mappingNode:
		m := map[string]any{}
		for _, f := range n.fields {
			m[f.key.text] = typed(f.value)
		}
		return m
	case sequenceNode:
		l := []any{}
		for _, x := range n.items {
			l = append(l, typed(x))
		}
		return l
	case nullNode:
		return nil
	}
	if !n.quoted && !n.block {
		if n.text == "true" || n.text == "false" {
			return n.text == "true"
		}
		if f, err := strconv.ParseFloat(n.text, 64); err == nil {
			return f
		}
	}
	return n.text
}

func packSchema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	b, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func valid(t *testing.T, r *jsonschema.Resolved, pack string) error {
	t.Helper()
	d := &decoder{file: "p.yaml"}
	root := d.parseYAML([]byte(pack))
	if root == nil {
		t.Fatal(d.errs)
	}
	return r.Validate(typed(root))
}

// Every pack that loads is one that the schema takes.
func TestSchemaTakesPacks(t *testing.T) {
	r := packSchema(t)
	packs := packsAtHand(t)
	packs["all"] = []byte(header + `locked: true
calendars:
  night: { tz: Europe/Berlin, days: [mon, tue], from: "20:00", to: "06:00" }
rules:
  - id: a
    mode: shadow
    until: 2026-12-31
    match: { kind: data.read, env: prod, verb: drop, actor: [agent], resource: "x:*", type: postgres, subject: group:x, destination: "https://*", class: [email, hr/badge], group: [pii, hr/*] }
    when: data.rows > 1
    then: review
    approval: { all_of: [{ group: x, count: 2 }, { group: y }], issuers: any, reciprocal: deny, expires: 5m, use_within: 5m, wait: 1m, assurance: chat, remind: [1m], escalate: [{ after: 2m, to: [group:z] }], fall_back: { after: 3m, to: group:w }, notify: ["slack:#x"] }
    show: [rows, target]
    notify: "slack:#x"
    reason: "{{data.rows}}"
  - { id: b, then: mask, mask: { email: redact, hr/badge: token, hr/*: hash linkable } }
  - { id: c, then: deny, unless: { break_glass: true, approval: { any_of: [{ group: x }] } } }
tests:
  - { name: a, given: { kind: [data.read], rows: 5, env: prod, labels: { a: b }, findings: { email: 2 }, reversible: true }, reviews: [sam, { by: mira, groups: [group:x] }], want: { decision: review, granted: false, missing: 0, refused: { sam: subject }, mask: { email: redact }, limit: { rows: 5 }, count: 2, expires: 5m, rule: a } }
`)
	packs["all"] = []byte(strings.Replace(string(packs["all"]), "hr/badge: token,", "hr/badge: tokenize,", 1))
	for name, pack := range packs {
		if err := valid(t, r, string(pack)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the schema refuses, the loader refuses too; these both do.
func TestSchemaRefusesPacks(t *testing.T) {
	r := packSchema(t)
	for _, pack := range []string{
		"apiVersion: assent/v2\nkind: PolicyPack\nmetadata: { name: p, version: 1.0.0 }\nrules: [{ id: a, then: deny }]\n",
		strings.Replace(header, "PolicyPack", "Pack", 1) + "rules: [{ id: a, then: deny }]\n",
		header,
		header + "rules: []\n",
		header + "rule: []\nrules: [{ id: a, then: deny }]\n",
		header + "rules: [{ id: a, then: dney }]\n",
		header + "rules: [{ id: a }]\n",
		header + "rules: [{ id: a, then: deny, colour: red }]\n",
		header + "rules: [{ id: a, then: deny, match: {} }]\n",
		header + "rules: [{ id: a, then: deny, match: { kind: data.exprt } }]\n",
		header + "rules: [{ id: a, then: deny, match: { env: [] } }]\n",
		header + "rules: [{ id: a, then: deny, match: { actor: robot } }]\n",
		header + "rules: [{ id: a, then: deny, match: { class: [emial] } }]\n",
		header + "rules: [{ id: a, then: mask, mask: { email: hide } }]\n",
		header + "rules: [{ id: a, then: mask, mask: { e-mail: redact } }]\n",
		header + "rules: [{ id: a, then: mask, mask: {} }]\n",
		header + "rules: [{ id: a, mode: shadowed, then: deny }]\n",
		header + "rules: [{ id: a, then: review, approval: { from: [group:x], count: 0 } }]\n",
		header + "rules: [{ id: a, then: review, approval: { from: [group:x], count: two } }]\n",
		header + "rules: [{ id: a, then: review, approval: { from: [group:x], assurance: chatt } }]\n",
		header + "rules: [{ id: a, then: review, approval: { all_of: [{ count: 2 }] } }]\n",
		header + "rules: [{ id: a, then: review, approval: { from: [group:x] }, show: [statement] }]\n",
		header + "rules: [{ id: a, then: deny, unless: { break_glass: true } }]\n",
		header + "rules: [{ id: a, then: deny }]\ncalendars: { x: { tz: UTC, days: [monday], from: \"20:00\", to: \"21:00\" } }\n",
		header + "rules: [{ id: a, then: deny }]\ntests: [{ name: x, given: { kinds: data.read }, want: { decision: deny } }]\n",
		header + "rules: [{ id: a, then: deny }]\ntests: [{ name: x, given: { kind: data.read }, want: {} }]\n",
		header + "rules: [{ id: a, then: deny }]\ntests: [{ name: x, given: { kind: data.read }, want: { decision: no } }]\n",
		header + "rules: [{ id: a, then: deny }]\ntests: [{ name: x, given: { kind: data.read }, want: { decsion: deny } }]\n",
	} {
		if err := valid(t, r, pack); err == nil {
			t.Errorf("the schema takes:\n%s", pack)
		}
		if _, err := LoadFiles(map[string][]byte{"p.yaml": []byte(pack)}, Options{}); err == nil {
			t.Errorf("the loader takes:\n%s", pack)
		}
	}
}
