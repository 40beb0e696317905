package scim

import (
	"strings"
)

// Schemas and messages (RFC 7643, RFC 7644).
const (
	userSchema   = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema  = "urn:ietf:params:scim:schemas:core:2.0:Group"
	listMessage  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	patchMessage = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	errorMessage = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// An attribute is what is kept of one.
type attribute struct {
	name     string
	multi    bool
	boolean  bool
	readOnly bool // what clients write of it is left aside
	subs     []string
	required bool
	about    string
}

// A kind is a type of resource, with what is kept of it. What else the core
// schema or an extension has is read and left aside: we keep what identifies.
type kind struct {
	name, endpoint, schema string
	attrs                  []attribute
	ignored                []string
}

var users = &kind{
	name: "User", endpoint: "Users", schema: userSchema,
	attrs: []attribute{
		{name: "userName", required: true, about: "Name by which the identity provider finds the user. It decides nothing."},
		{name: "externalId", about: "The identity provider's immutable id of the account: the one it signs in with."},
		{name: "name", subs: []string{"formatted", "familyName", "givenName"}, about: "Name, to show."},
		{name: "displayName", about: "Name, to show."},
		{name: "emails", multi: true, subs: []string{"value", "type", "primary"}, about: "E-mail addresses. They decide nothing."},
		{name: "active", boolean: true, required: true, about: "Whether the account may get in."},
		{name: "groups", multi: true, readOnly: true, subs: []string{"value", "display", "$ref"}, about: "Groups that the user is a member of."},
	},
	ignored: []string{
		"nickName", "profileUrl", "title", "userType", "preferredLanguage", "locale", "timezone", "password", "phoneNumbers", "ims", "photos", "addresses",
		"entitlements", "roles", "x509Certificates", "manager",
	},
}

var groups = &kind{
	name: "Group", endpoint: "Groups", schema: groupSchema,
	attrs: []attribute{
		{name: "displayName", required: true, about: "Name, to show."},
		{name: "externalId", about: "The identity provider's immutable id of the group."},
		{name: "members", multi: true, subs: []string{"value", "$ref", "type"}, about: "Users in it."},
	},
}

// common are those that only we write.
var common = []string{"id", "meta", "schemas"}

// find looks an attribute up, whatever the case of its name.
func (k *kind) find(name string) *attribute {
	for i := range k.attrs {
		if strings.EqualFold(k.attrs[i].name, name) {
			return &k.attrs[i]
		}
	}
	return nil
}

// ignores reports whether an attribute exists in the world and isn't kept here.
func (k *kind) ignores(name string) bool {
	if strings.Contains(name, ":") { // of an extension
		return true
	}
	for _, n := range k.ignored {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func isCommon(name string) bool {
	for _, n := range common {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func (a *attribute) sub(name string) (string, bool) {
	for _, s := range a.subs {
		if strings.EqualFold(s, name) {
			return s, true
		}
	}
	return "", false
}

// keep reads a whole resource that a client wrote: what is kept of it, under the
// names of the schema.
func (k *kind) keep(in object) (object, error) {
	out := object{}
	for name, v := range in {
		a := k.find(name)
		if a == nil || a.readOnly || v == nil {
			continue
		}
		v, err := a.read(v)
		if err != nil {
			return nil, err
		}
		out[a.name] = v
	}
	return out, nil
}

// read checks the form of an attribute's value.
func (a *attribute) read(v any) (any, error) {
	switch {
	case a.multi:
		list, ok := v.([]any)
		if !ok {
			list = []any{v} // one alone
		}
		out := []any{}
		for _, e := range list {
			e, err := a.element(e)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	case a.boolean:
		return truth(v)
	case a.subs != nil:
		return a.element(v)
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	return nil, wrong("invalidValue", "%s must be a string", a.name)
}

// element checks the form of a complex value.
func (a *attribute) element(v any) (object, error) {
	o, ok := v.(object)
	if !ok {
		if s, plain := v.(string); plain && a.multi { // a bare value
			return object{"value": s}, nil
		}
		return nil, wrong("invalidValue", "%s must hold objects", a.name)
	}
	out := object{}
	for name, v := range o {
		s, known := a.sub(name)
		if !known || v == nil {
			continue
		}
		v, err := leaf(a.name, s, v)
		if err != nil {
			return nil, err
		}
		out[s] = v
	}
	return out, nil
}

func leaf(attr, sub string, v any) (any, error) {
	if sub == "primary" {
		return truth(v)
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	return nil, wrong("invalidValue", "%s.%s must be a string", attr, sub)
}
