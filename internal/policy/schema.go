package policy

import (
	"encoding/json"
	"fmt"
	"maps"
)

// The keys of each mapping in a pack: the loader refuses others, and the schema
// for editors lists them.

func packKeys() []string {
	return []string{"apiVersion", "kind", "metadata", "calendars", "scope", "locked", "rules", "tests"}
}
func metadataKeys() []string { return []string{"name", "version", "owner"} }
func calendarKeys() []string { return []string{"tz", "days", "from", "to"} }

func ruleKeys() []string {
	return []string{"id", "mode", "until", "match", "when", "then", "approval", "unless", "mask", "show", "notify", "reason", "tags"}
}
func modeNames() []string    { return []string{"enforce", "shadow", "off"} }
func unlessKeys() []string   { return []string{"break_glass", "approval"} }
func channelNames() []string { return []string{"slack", "teams", "email", "webhook"} }

func approvalKeys() []string {
	return []string{"from", "all_of", "any_of", "count", "issuers", "reciprocal", "expires", "use_within", "assurance", "remind", "escalate", "fall_back", "notify", "wait"}
}
func testKeys() []string { return []string{"name", "given", "reviews", "want"} }

func wantKeys() []string {
	return []string{"decision", "rule", "rules", "count", "expires", "mask", "limit", "granted", "missing", "refused"}
}

type schema = map[string]any

func object(keys, required []string, known schema) schema {
	props := schema{}
	for _, k := range keys {
		props[k] = schema{}
		if s, ok := known[k]; ok {
			props[k] = s
		}
	}
	out := schema{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func ref(name string) schema { return schema{"$ref": "#/$defs/" + name} }

func enum(words []string) schema { return schema{"enum": words} }

// oneOrMore is a value or a list of them.
func oneOrMore(item schema) schema {
	return schema{"oneOf": []schema{item, {"type": "array", "items": item, "minItems": 1}}}
}

// least asks for a mapping with something in it.
func least(s schema) schema {
	out := maps.Clone(s)
	out["minProperties"] = 1
	return out
}

// ownPattern is a class or group of a deployment's own: hr/badge, hr/*.
const ownPattern = `^[a-z][a-z0-9-]+/([a-z][a-z0-9-]+|\*)$`

// Schema is a JSON Schema (2020-12) of packs, for editors: completion and early
// errors. It knows the words; the loader knows what they mean, and decides.
func Schema() ([]byte, error) {
	word, number := schema{"type": "string"}, schema{"type": "integer", "minimum": 1}
	match := schema{"kind": oneOrMore(ref("kind"))}
	lines := []string{"kind"}
	for _, s := range lineSpecs() {
		lines = append(lines, s.key)
		match[s.key] = oneOrMore(word)
		if len(s.enum) > 0 {
			match[s.key] = oneOrMore(enum(s.enum))
		}
	}
	seats := schema{"type": "array", "items": object([]string{"group", "count"}, []string{"group"}, schema{"group": word, "count": number}), "minItems": 1}
	later := object([]string{"after", "to"}, []string{"after", "to"}, schema{"after": word, "to": oneOrMore(word)})
	approval := object(approvalKeys(), nil, schema{
		"from": oneOrMore(word), "count": number, "expires": word, "use_within": word, "wait": word,
		"assurance": enum(assurances()), "notify": oneOrMore(word),
		"all_of": seats, "any_of": seats, "issuers": enum(issuerRules()), "reciprocal": enum(reciprocals()),
		"remind": oneOrMore(word), "escalate": schema{"type": "array", "items": later, "minItems": 1}, "fall_back": later,
	})
	own := schema{"type": "string", "pattern": ownPattern}
	for _, key := range []string{"class", "group"} {
		match[key] = oneOrMore(schema{"anyOf": []schema{ref(key), own}})
	}
	masks := schema{}
	maskable := append(classNames(), groupNames()...)
	for _, name := range maskable {
		masks[name] = ref("method")
	}
	methods := object(maskable, nil, masks)
	methods["patternProperties"] = schema{ownPattern: ref("method")}
	rule := object(ruleKeys(), []string{"id", "then"}, schema{
		"id": word, "mode": enum(modeNames()), "until": word, "match": ref("match"), "when": word,
		"then": enum(effectNames()), "approval": ref("approval"), "mask": schema{"$ref": "#/$defs/masks", "minProperties": 1}, "reason": word,
		"unless": object(unlessKeys(), unlessKeys(), schema{"break_glass": schema{"const": true}, "approval": ref("approval")}),
		"show":   oneOrMore(enum(shown())), "notify": oneOrMore(word), "tags": oneOrMore(schema{"type": "string", "pattern": tagForm}),
	})
	given, stated := []string{}, schema{}
	for _, f := range facts() {
		given, stated[f.key] = append(given, f.key), schema{"description": f.doc}
	}
	stated["kind"] = oneOrMore(ref("kind"))
	reviewer := object([]string{"by", "groups"}, []string{"by", "groups"}, schema{"by": word, "groups": oneOrMore(word)})
	zero := schema{"type": "integer", "minimum": 0}
	test := object(testKeys(), []string{"name", "given", "want"}, schema{
		"name": word, "given": object(given, nil, stated),
		"reviews": schema{"type": "array", "items": schema{"anyOf": []schema{word, reviewer}}},
		"want": least(object(wantKeys(), nil, schema{
			"decision": enum([]string{"allow", "deny", "review"}), "rule": word, "rules": oneOrMore(word), "count": number, "expires": word, "missing": zero,
			"mask": ref("masks"), "granted": schema{"type": "boolean"}, "limit": object([]string{"rows"}, []string{"rows"}, schema{"rows": zero}),
			"refused": schema{"type": "object", "additionalProperties": word},
		})),
	})
	root := object(packKeys(), []string{"apiVersion", "kind", "metadata", "rules"}, schema{
		"apiVersion": schema{"const": "assent/v1"}, "kind": schema{"const": "PolicyPack"}, "locked": schema{"type": "boolean"}, "scope": ref("match"),
		"metadata": object(metadataKeys(), []string{"name", "version"}, nil),
		"calendars": schema{"type": "object", "additionalProperties": object(calendarKeys(), calendarKeys(), schema{
			"days": oneOrMore(enum(dayNames())), "tz": word, "from": word, "to": word,
		})},
		"rules": schema{"type": "array", "items": rule, "minItems": 1},
		"tests": schema{"type": "array", "items": test},
	})
	root["$defs"] = schema{"kind": enum(kindNames()), "method": enum(maskNames()), "masks": methods, "match": least(object(lines, nil, match)), "approval": approval, "class": enum(classNames()), "group": enum(groupNames())}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Assent policy pack"
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema of packs: %w", err)
	}
	return append(b, '\n'), nil
}
