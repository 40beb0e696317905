package scim

import (
	"encoding/json"
	"strings"
	"testing"
)

// A filter that was read can be written and read again, and means the same.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`userName eq "a"`, `emails[type eq "work" and value co "@"] or not (active eq true)`, `urn:ietf:params:scim:schemas:core:2.0:User:name.familyName sw "x"`,
		`members eq "1"`, `a pr and (b gt 1 or c ne null)`, `not(x pr)`, `urn:x:y eq "z"`, `a eq "\ud800"`, "(((", `$ref eq ""`,
	} {
		f.Add(s)
	}
	o := object{"userName": "a", "active": true, "emails": []any{object{"value": "A@x", "type": "work"}}, "members": []any{object{"value": "1"}}}
	f.Fuzz(func(t *testing.T, s string) {
		one, err := parseFilter(s)
		if err != nil {
			return
		}
		text := one.String()
		if len(text) > maxFilter || strings.Count(text, "(") >= maxFilterDepth {
			return // written out in full it may be past a bound
		}
		two, err := parseFilter(text)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", s, text, err)
		}
		if two.String() != text || one.matches(o) != two.matches(o) {
			t.Errorf("%q, %q: %q", s, text, two.String())
		}
	})
}

// A PATCH of anything leaves a resource of the schema's form, or none.
func FuzzPatch(f *testing.F) {
	for _, s := range []string{
		`{"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"x"}]}`,
		`{"Operations":[{"op":"remove","path":"members[value eq \"1\"]"}]}`,
		`{"Operations":[{"op":"Remove","path":"members","value":[{"value":"1"}]},{"op":"add","value":{"name.givenName":"a","active":"False"}}]}`,
		`{"Operations":[{"op":"add","path":"emails.value","value":"y"},{"op":"remove","path":"emails[not (primary eq true)].type"}]}`,
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, user bool) {
		in, err := parse([]byte(s))
		if err != nil {
			return
		}
		k, o := groups, object{"displayName": "g", "members": []any{object{"value": "1"}, object{"value": "2"}}}
		if user {
			k, o = users, object{"userName": "u", "active": true, "emails": []any{object{"value": "a", "type": "work", "primary": true}}}
		}
		if k.patch(o, in) != nil {
			return
		}
		for name, v := range o {
			a := k.find(name)
			if a == nil || a.readOnly || a.name != name {
				t.Fatalf("it has %q", name)
			}
			switch v.(type) {
			case string:
				if a.multi || a.boolean || a.subs != nil {
					t.Errorf("%s is a string", name)
				}
			case bool:
				if !a.boolean {
					t.Errorf("%s is a boolean", name)
				}
			case object:
				if a.multi || a.subs == nil {
					t.Errorf("%s is an object", name)
				}
			case []any:
				if !a.multi {
					t.Errorf("%s is an array", name)
				}
			default:
				t.Errorf("%s is %T", name, v)
			}
		}
		if user {
			_ = userFrom(o)
		} else if _, err := groupFrom(o); err == nil {
			_, _ = json.Marshal(o)
		}
	})
}
