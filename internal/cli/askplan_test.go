package cli

import (
	"strings"
	"testing"
)

func TestAPlansFile(t *testing.T) {
	const one = "- action: { name: copy, properties: { kinds: [data.export], payload: \"COPY a\" } }\n  resource: { type: postgres, id: \"postgres:shop/a\" }\n"
	steps, err := parsePlan("p.yaml", []byte(one+one))
	if err != nil || len(steps) != 2 || steps[1].Action.Properties.Payload != "COPY a" || steps[0].Resource.ID != "postgres:shop/a" {
		t.Fatalf("%+v: %v", steps, err)
	}
	if steps, err = parsePlan("p.json", []byte(`[{"action": {"name": "x", "properties": {"kinds": ["execute"], "payload": "y"}}, "resource": {"type": "t", "id": "u"}}]`)); err != nil || len(steps) != 1 {
		t.Errorf("JSON: %v", err)
	}
	for name, text := range map[string]string{
		"nothing": "", "no list": "action: {}", "an unknown member": one + "- acton: {}\n", "a flag where text belongs": "- action: { name: true }\n",
		"too many": strings.Repeat(one, 51), "not YAML": "- [", "the same member twice": "- action: {}\n  action: {}\n",
	} {
		if steps, err := parsePlan("p.yaml", []byte(text)); err == nil {
			t.Errorf("%s: %+v", name, steps)
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte("- action: { name: copy }\n  resource: { type: a, id: b }\n"))
	f.Add([]byte("[{}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if steps, err := parsePlan("p", text); err == nil && (len(steps) == 0 || len(steps) > 50) {
			t.Errorf("%d steps", len(steps))
		}
	})
}
