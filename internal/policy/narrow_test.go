package policy

import (
	"testing"

	"github.com/assenthq/assent/action"
)

const narrowPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: narrow, version: 1.0.0, owner: t }
rules:
  - { id: reads, match: { kind: data.read }, when: '!data.inferred && !data.computed && !data.aggregated', then: allow }
  - { id: emails, match: { kind: data.read, actor: agent }, then: mask, mask: { email: redact } }
  - { id: cards, match: { kind: data.read, actor: agent }, when: data.inferred, then: mask, mask: { card: redact } }
  - { id: off, match: { kind: data.read, actor: agent }, mode: off, then: mask, mask: { iban: redact } }
`

// Inference is about what this decision masks, and no one else's.
func TestInferenceIsOfWhatIsMasked(t *testing.T) {
	s, err := LoadFiles(map[string][]byte{"p.yaml": []byte(narrowPack)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name  string
		actor string
		data  action.Data
		want  Verdict
	}{
		{"of a masked class", "agent", action.Data{Inferred: true, InferredOf: []string{"email"}}, Deny},
		{"of another class", "agent", action.Data{Computed: true, ComputedOf: []string{"us-ssn"}}, Allow},
		{"of several", "agent", action.Data{Computed: true, ComputedOf: []string{"email", "us-ssn"}}, Deny},
		{"by who sees everything", "human", action.Data{Inferred: true, InferredOf: []string{"email"}, Computed: true, ComputedOf: []string{"email"}, Aggregated: true, AggregatedOf: []string{"email"}}, Allow},
		{"of a class that nobody told", "human", action.Data{Inferred: true}, Deny},
		{"beside one that is told", "human", action.Data{Inferred: true, Computed: true, ComputedOf: []string{"email"}}, Deny},
		{"an aggregate", "agent", action.Data{Aggregated: true, AggregatedOf: []string{"email"}}, Deny},
		{"text that is turned", "agent", action.Data{Computed: true, ComputedOf: []string{"*"}}, Deny},
		{"text that is turned, unmasked", "human", action.Data{Computed: true, ComputedOf: []string{"*"}}, Allow},
		{"masked only because something is inferred", "agent", action.Data{Inferred: true, InferredOf: []string{"card"}}, Deny},
		{"masked by a rule that is off", "agent", action.Data{Inferred: true, InferredOf: []string{"iban"}}, Allow},
	} {
		in := &Input{Action: &action.Action{Kinds: []action.Kind{action.DataRead}, Data: x.data}, ActorType: x.actor}
		d := s.Explain(in)
		if d.Verdict != x.want {
			t.Errorf("%s: %v", x.name, d.Verdict)
		}
		if x.actor == "agent" && len(d.Masks) != map[bool]int{true: 2, false: 1}[x.data.Inferred] {
			t.Errorf("%s: masks %v", x.name, d.Masks)
		}
	}
	in := &Input{Action: &action.Action{Kinds: []action.Kind{action.DataRead}, Data: action.Data{Inferred: true, InferredOf: []string{"email"}}}, ActorType: "agent"}
	var d Decision
	if n := testing.AllocsPerRun(100, func() { s.Decide(in, &d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
