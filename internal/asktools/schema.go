package asktools

import (
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/assenthq/assent/action"
)

// schemaOf is T's schema without "or null", which some clients don't take and
// no tool here means, and with the closed lists that Go's types don't say.
func schemaOf[T any]() *jsonschema.Schema {
	s, err := jsonschema.For[T](nil)
	if err != nil {
		// T is one of this package's own types, and a test makes every schema.
		panic(fmt.Sprintf("the schema of %T: %v", *new(T), err))
	}
	tidy(s)
	return s
}

func tidy(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if len(s.Types) == 2 && s.Types[0] == "null" {
		s.Type, s.Types = s.Types[1], nil
	}
	tidy(s.Items)
	for name, p := range s.Properties {
		tidy(p)
		switch name {
		case "what":
			p.Enum = []any{"sql", "command", "tool", "other"}
		case "kinds":
			p.Items.Enum = nil
			for _, k := range action.Kinds() {
				p.Items.Enum = append(p.Items.Enum, string(k))
			}
		case "actions":
			p.MinItems, p.MaxItems = new(1), new(maxItems)
		case "seconds":
			p.Minimum, p.Maximum = new(0.0), new(maxWait.Seconds())
		}
	}
}
