package mcp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/assenthq/assent/internal/jsontext"
)

// MaxDefinition is the longest definition of one tool that is read.
const MaxDefinition = 1 << 20

// Annotations are a server's own words about a tool. nil: not said.
type Annotations struct {
	ReadOnly, Destructive, Idempotent, OpenWorld *bool
}

// A Definition is a tool as its server lists it. Make one with Parse.
type Definition struct {
	Name, Title, Description string
	Annotations              Annotations
	// Canonical is all of it that is pinned: one form for every order of its
	// members and of a schema's required names. _meta is left out, for servers
	// may put there what is another at each listing.
	Canonical []byte
}

// Parse reads one member of the tools of a tools/list result. It refuses what two
// readers could read in two ways.
func Parse(raw []byte) (Definition, error) {
	if len(raw) > MaxDefinition {
		return Definition{}, fmt.Errorf("the definition of a tool has more than %d KiB", MaxDefinition>>10)
	}
	members, err := jsontext.Members(raw)
	if err != nil {
		return Definition{}, fmt.Errorf("the definition of a tool: %w", err)
	}
	var d Definition
	kept := map[string]any{}
	for _, m := range members {
		if m.Name == "_meta" {
			continue
		}
		v, err := value(m.Value)
		if err != nil {
			return Definition{}, fmt.Errorf("the definition of a tool: %s: %w", m.Name, err)
		}
		kept[m.Name] = v
		switch m.Name {
		case "name":
			d.Name, _ = v.(string)
		case "title":
			d.Title, _ = v.(string)
		case "description":
			d.Description, _ = v.(string)
		case "annotations":
			if d.Annotations, err = annotations(v); err != nil {
				return Definition{}, err
			}
		}
	}
	if d.Name == "" {
		return Definition{}, fmt.Errorf("the definition of a tool has no name")
	}
	d.Canonical = canonical(nil, kept)
	return d, nil
}

// Digest names the definition.
func (d *Definition) Digest() string {
	sum := sha256.Sum256(append([]byte("assent-tool/1\x00"), d.Canonical...))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Arguments are the names of the arguments that the definition tells of, sorted.
func (d *Definition) Arguments() []string {
	var def struct {
		InputSchema struct {
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"inputSchema"`
	}
	if json.Unmarshal(d.Canonical, &def) != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(def.InputSchema.Properties))
}

func annotations(v any) (Annotations, error) {
	var a Annotations
	m, ok := v.(map[string]any)
	if !ok {
		return a, fmt.Errorf("the definition of a tool: annotations is no object")
	}
	for name, to := range map[string]**bool{
		"readOnlyHint": &a.ReadOnly, "destructiveHint": &a.Destructive, "idempotentHint": &a.Idempotent, "openWorldHint": &a.OpenWorld,
	} {
		switch hint := m[name].(type) {
		case nil:
		case bool:
			*to = &hint
		default:
			return a, fmt.Errorf("the definition of a tool: annotations: %s is neither true nor false", name)
		}
	}
	return a, nil
}

// value decodes JSON that was checked, with numbers as their digits.
func value(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// canonical writes v in one form. Numbers keep their digits: 1 and 1.0 are two.
func canonical(out []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(out, "null"...)
	case bool:
		return fmt.Appendf(out, "%t", v)
	case json.Number:
		return append(out, v...)
	case string:
		return jsontext.Append(out, []byte(v))
	case []any:
		out = append(out, '[')
		for i, e := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = canonical(out, e)
		}
		return append(out, ']')
	case map[string]any:
		out = append(out, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				out = append(out, ',')
			}
			out = jsontext.Append(out, []byte(name))
			out = append(out, ':')
			out = canonical(out, asSet(name, v[name]))
		}
		return append(out, '}')
	}
	return out
}

// asSet sorts what is a set of names by JSON Schema's own definition.
func asSet(name string, v any) any {
	list, ok := v.([]any)
	if name != "required" || !ok {
		return v
	}
	names := make([]string, len(list))
	for i, e := range list {
		if names[i], ok = e.(string); !ok {
			return v
		}
	}
	slices.Sort(names)
	sorted := make([]any, len(names))
	for i, n := range names {
		sorted[i] = n
	}
	return sorted
}
