package scim

import (
	"maps"
	"slices"
	"strings"
)

const maxOperations = 200

// A target is what a PATCH operation's path leads to (RFC 7644 section 3.5.2).
type target struct {
	attr   *attribute
	f      filter // of a multi-valued attribute's elements; nil: all of them
	sub    string
	absent bool // an attribute that isn't kept here
}

// target reads a path: attribute, attribute.sub, attribute[filter] or attribute[filter].sub.
func (k *kind) target(path string) (*target, error) {
	if len(path) > maxFilter {
		return nil, wrong("invalidPath", "the path is longer than %d bytes", maxFilter)
	}
	p := &scanner{rest: path}
	at, err := p.path()
	if err != nil {
		return nil, wrong("invalidPath", "the path can't be read: %v", err)
	}
	t := &target{attr: k.find(at.attr)}
	if t.attr == nil {
		switch {
		case isCommon(at.attr):
			return nil, wrong("mutability", "%s is the server's to write", at.attr)
		case k.ignores(at.attr):
			return &target{absent: true}, nil
		}
		return nil, wrong("invalidPath", "%s has no attribute %.64q", k.name, at.attr)
	}
	if t.attr.readOnly {
		return nil, wrong("mutability", "%s is the server's to write", t.attr.name)
	}
	sub := at.sub
	if p.take("[") {
		if t.f, err = p.or(0); err != nil || !p.take("]") || sub != "" || !t.attr.multi {
			return nil, wrong("invalidPath", "the path's filter can't be read")
		}
		if p.take(".") {
			if at, err = p.path(); err != nil || at.sub != "" {
				return nil, wrong("invalidPath", "the path can't be read")
			}
			sub = at.attr
		}
	}
	if p.space() != "" {
		return nil, wrong("invalidPath", "something follows the path")
	}
	if sub != "" {
		known, ok := t.attr.sub(sub)
		t.sub, t.absent = known, !ok // name.middleName and the like aren't kept
	}
	return t, nil
}

// patch applies a PATCH request to a resource's kept attributes.
func (k *kind) patch(o, body object) error {
	list, _ := member(body, "Operations")
	ops, ok := list.([]any)
	if !ok || len(ops) == 0 || len(ops) > maxOperations {
		return wrong("invalidSyntax", "Operations must be an array of 1 to %d", maxOperations)
	}
	for _, op := range ops {
		one, ok := op.(object)
		if !ok {
			return wrong("invalidSyntax", "an operation must be an object")
		}
		if err := k.operation(o, one); err != nil {
			return err
		}
	}
	return nil
}

func (k *kind) operation(o, op object) error {
	name, err := text(op, "op")
	if err != nil {
		return err
	}
	path, err := text(op, "path")
	if err != nil {
		return err
	}
	v, given := member(op, "value")
	switch name = strings.ToLower(name); name { // Entra writes Add, Replace and Remove
	case "add", "replace":
		if path != "" {
			return k.set(o, name, path, v)
		}
		all, ok := v.(object)
		if !ok {
			return wrong("invalidValue", "without a path, the value must be an object")
		}
		for _, at := range slices.Sorted(maps.Keys(all)) { // its names may be paths: "name.givenName"
			v := all[at]
			if isCommon(at) {
				continue // Okta repeats the id
			}
			if a := k.find(at); a != nil && a.readOnly {
				continue
			}
			if err := k.set(o, name, at, v); err != nil {
				return err
			}
		}
		return nil
	case "remove":
		if path == "" {
			return wrong("noTarget", "remove needs a path")
		}
		return k.remove(o, path, v, given && v != nil)
	}
	return wrong("invalidSyntax", "op must be add, replace or remove")
}

// set adds or replaces.
func (k *kind) set(o object, op, path string, v any) error {
	t, err := k.target(path)
	if err != nil || t.absent {
		return err
	}
	if v == nil { // null is no value (RFC 7643 section 2.5)
		return k.remove(o, path, nil, false)
	}
	switch {
	case t.attr.multi:
		return t.setMulti(o, op, v)
	case t.sub != "":
		v, err := leaf(t.attr.name, t.sub, v)
		if err != nil {
			return err
		}
		into, _ := o[t.attr.name].(object)
		if into == nil {
			into = object{}
		}
		into[t.sub] = v
		o[t.attr.name] = into
		return nil
	}
	read, err := t.attr.read(v)
	if err != nil {
		return err
	}
	if parts, ok := read.(object); ok { // the parts that are named
		into, _ := o[t.attr.name].(object)
		if into == nil {
			into = object{}
		}
		for s, v := range parts {
			into[s] = v
		}
		read = into
	}
	o[t.attr.name] = read
	return nil
}

func (t *target) setMulti(o object, op string, v any) error {
	have, _ := o[t.attr.name].([]any)
	if t.f == nil && t.sub == "" {
		read, err := t.attr.read(v)
		if err != nil {
			return err
		}
		more, _ := read.([]any)
		if op == "replace" {
			have = nil
		}
		o[t.attr.name] = union(have, more)
		return nil
	}
	var parts object
	if t.sub != "" {
		v, err := leaf(t.attr.name, t.sub, v)
		if err != nil {
			return err
		}
		parts = object{t.sub: v}
	} else {
		var err error
		if parts, err = t.attr.element(v); err != nil {
			return err
		}
	}
	found := false
	for _, e := range have {
		if eo, ok := e.(object); ok && (t.f == nil || t.f.matches(eo)) {
			found = true
			for s, v := range parts {
				eo[s] = v
			}
		}
	}
	if found {
		return nil
	}
	// What Entra replaces need not be there: emails[type eq "work"].value makes it.
	fresh, ok := born(t.f)
	if !ok {
		return wrong("noTarget", "nothing matches the path's filter")
	}
	made, err := t.attr.element(fresh)
	if err != nil {
		return err
	}
	for s, v := range parts {
		made[s] = v
	}
	o[t.attr.name] = append(have, made)
	return nil
}

// born is the element that a filter of equalities alone describes.
func born(f filter) (object, bool) {
	switch f := f.(type) {
	case nil:
		return object{}, true
	case compare:
		if f.op == "eq" && f.path.sub == "" && f.value != nil {
			return object{f.path.attr: f.value}, true
		}
	case both:
		a, ok := born(f.a)
		b, ok2 := born(f.b)
		for k, v := range b {
			if a != nil {
				a[k] = v
			}
		}
		return a, ok && ok2
	}
	return nil, false
}

// union appends those of more whose value isn't there.
func union(have, more []any) []any {
	seen := map[any]bool{}
	key := func(e any) any {
		eo, _ := e.(object)
		v, _ := eo["value"].(string)
		kind, _ := eo["type"].(string)
		return [2]string{v, kind}
	}
	out := make([]any, 0, len(have)+len(more))
	for _, e := range append(have, more...) {
		if k := key(e); !seen[k] {
			seen[k] = true
			out = append(out, e)
		}
	}
	return out
}

// remove takes away. Entra names the members to remove in the value, others in
// the path's filter; with neither it is all of them.
func (k *kind) remove(o object, path string, v any, given bool) error {
	t, err := k.target(path)
	if err != nil || t.absent {
		return err
	}
	have, _ := o[t.attr.name].([]any)
	switch {
	case !t.attr.multi && t.sub != "":
		if into, ok := o[t.attr.name].(object); ok {
			delete(into, t.sub)
		}
		return nil
	case !t.attr.multi, t.f == nil && t.sub == "" && !given:
		delete(o, t.attr.name)
		return nil
	}
	gone := func(e object) bool { return t.f == nil || t.f.matches(e) }
	if given && t.f == nil && t.sub == "" {
		read, err := t.attr.read(v)
		if err != nil {
			return err
		}
		which := map[any]bool{}
		for _, e := range read.([]any) {
			if eo, ok := e.(object); ok && eo["value"] != nil {
				which[eo["value"]] = true
			}
		}
		if len(which) == 0 {
			return wrong("invalidValue", "the value names nothing to remove")
		}
		gone = func(e object) bool { return which[e["value"]] }
	}
	kept := []any{}
	for _, e := range have {
		eo, _ := e.(object)
		switch {
		case !gone(eo):
			kept = append(kept, e)
		case t.sub != "":
			delete(eo, t.sub)
			kept = append(kept, e)
		}
	}
	o[t.attr.name] = kept
	return nil
}
