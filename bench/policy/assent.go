package main

import (
	"fmt"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/policy"
)

// assent is the policy engine as gates use it: packs from YAML, and one Decision used again.
func assent(list []rule) (side, error) {
	const perPack = 2000 // a pack is one file, and a file has its limit
	files, places := map[string][]byte{}, map[string]int32{}
	for i := 0; i < len(list); i += perPack {
		name := fmt.Sprintf("bench%02d", i/perPack)
		var b strings.Builder
		fmt.Fprintf(&b, "apiVersion: assent/v1\nkind: PolicyPack\nmetadata: { name: %s, version: 1.0.0 }\nrules:\n", name)
		for k, r := range list[i:min(i+perPack, len(list))] {
			b.WriteString(r.yaml())
			places[name+"/"+r.id] = int32(i + k)
		}
		files[name+".yaml"] = []byte(b.String())
	}
	set, err := policy.LoadFiles(files, policy.Options{})
	if err != nil {
		return side{}, err
	}
	var in policy.Input
	var d policy.Decision
	return side{name: "assent", decide: func(r *request, out *outcome) error {
		in = policy.Input{
			Action: r.action, SubjectID: r.subject, SubjectGroups: r.subjectGroups,
			ActorID: r.actor, ActorType: r.actorType, ActorTrust: r.trust,
			Time: r.at, Rate1h: action.KnownCount(r.rate),
		}
		set.Decide(&in, &d)
		out.verdict = d.Verdict.String()
		if out.asked {
			out.matched = out.matched[:0]
			for i := range d.Rules {
				if d.Rules[i].Pack != "" {
					out.matched = append(out.matched, places[d.Rules[i].Name()])
				}
			}
		}
		return nil
	}}, nil
}

// yaml is the rule in a pack.
func (r *rule) yaml() string {
	match := []string{"kind: [" + strings.Join(r.kinds, ", ") + "]"}
	if r.env != "" {
		match = append(match, "env: ["+r.env+"]")
	}
	if r.actor != "" {
		match = append(match, "actor: ["+r.actor+"]")
	}
	if len(r.verbs) > 0 {
		match = append(match, "verb: ["+strings.Join(r.verbs, ", ")+"]")
	}
	if r.place != "" {
		match = append(match, `resource: ["`+r.place+`*"]`)
	}
	parts := []string{"id: " + r.id, "match: { " + strings.Join(match, ", ") + " }"}
	if r.cel != "" {
		parts = append(parts, "when: '"+r.cel+"'")
	}
	parts = append(parts, "then: "+r.then)
	if r.rest != "" {
		parts = append(parts, r.rest)
	}
	return "  - { " + strings.Join(parts, ", ") + " }\n"
}
