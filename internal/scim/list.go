package scim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

const (
	pageSize = 100
	mostPage = 500
)

// A page is a query of many (RFC 7644 section 3.4.2).
type page struct {
	filter filter // nil: all
	start  int    // from 1
	count  int
	pick   func(object) object
	all    []object
	more   []func(shown []object) // complete what is shown
}

// query answers a query of what add adds.
func (h *handler) query(read func(*request) (parameters, error), add ...func(*request, *page)) func(*request) (*answer, error) {
	return func(r *request) (*answer, error) {
		q, err := read(r)
		if err != nil {
			return nil, err
		}
		l, err := listing(q)
		if err != nil {
			return nil, err
		}
		for _, fn := range add {
			fn(r, l)
		}
		return l.answer()
	}
}

// parameters of a query, from an address or from the body of a search.
type parameters struct {
	filter, attributes, excluded string
	start, count                 int
}

func fromAddress(r *request) (parameters, error) {
	q := r.URL.Query()
	p := parameters{filter: q.Get("filter"), attributes: q.Get("attributes"), excluded: q.Get("excludedAttributes"), start: 1, count: pageSize}
	var err error
	for name, into := range map[string]*int{"startIndex": &p.start, "count": &p.count} {
		if s := q.Get(name); s != "" {
			if *into, err = strconv.Atoi(s); err != nil {
				return p, wrong("invalidValue", "%s must be a number", name)
			}
		}
	}
	return p, nil
}

// fromBody reads a search request (RFC 7644 section 3.4.3).
func fromBody(r *request) (p parameters, err error) {
	o, err := r.body()
	if err != nil {
		return p, err
	}
	p.start, p.count = 1, pageSize
	if p.filter, err = text(o, "filter"); err != nil {
		return p, err
	}
	for name, into := range map[string]*string{"attributes": &p.attributes, "excludedAttributes": &p.excluded} {
		v, _ := member(o, name)
		list, _ := v.([]any)
		var names []string
		for _, e := range list {
			s, ok := e.(string)
			if !ok {
				return p, wrong("invalidValue", "%s must hold strings", name)
			}
			names = append(names, s)
		}
		*into = strings.Join(names, ",")
	}
	for name, into := range map[string]*int{"startIndex": &p.start, "count": &p.count} {
		if v, ok := member(o, name); ok && v != nil {
			n, ok := v.(json.Number)
			if ok {
				*into, err = strconv.Atoi(n.String())
			}
			if !ok || err != nil {
				return p, wrong("invalidValue", "%s must be a number", name)
			}
		}
	}
	return p, nil
}

// listing checks them.
func listing(q parameters) (*page, error) {
	p := &page{start: max(q.start, 1), count: min(max(q.count, 0), mostPage)}
	var err error
	if q.filter != "" {
		if p.filter, err = parseFilter(q.filter); err != nil {
			return nil, err
		}
	}
	p.pick, err = picking(q.attributes, q.excluded)
	return p, err
}

// answer filters and cuts.
func (p *page) answer() (*answer, error) {
	found := p.all
	if p.filter != nil {
		found = nil
		for _, o := range p.all {
			if p.filter.matches(o) {
				found = append(found, o)
			}
		}
	}
	total := len(found)
	from := min(p.start-1, total)
	shown := found[from : from+min(p.count, total-from)]
	for _, fn := range p.more {
		fn(shown)
	}
	list := make([]any, 0, len(shown))
	for _, o := range shown {
		list = append(list, p.pick(o))
	}
	return &answer{status: http.StatusOK, body: object{
		"schemas": []any{listMessage}, "totalResults": total, "startIndex": p.start, "itemsPerPage": len(list), "Resources": list,
	}}, nil
}

// picking reads attributes and excludedAttributes: what of a resource is shown.
func picking(attributes, excluded string) (func(object) object, error) {
	only, not, err := named(attributes, excluded)
	if err != nil || only == nil && not == nil {
		return func(o object) object { return o }, err
	}
	return func(o object) object {
		out := object{}
		for name, v := range o {
			low := strings.ToLower(name)
			sub, part := only[low]
			switch {
			case low == "id" || low == "schemas": // always returned
				out[name] = v
			case only != nil && part:
				out[name] = narrowed(v, sub)
			case only == nil && !(not[low] != nil && not[low][""]):
				out[name] = without(v, not[low])
			}
		}
		return out
	}, nil
}

// named reads lists of paths: attribute to its parts, "" for the whole.
func named(attributes, excluded string) (only, not map[string]map[string]bool, err error) {
	if attributes != "" && excluded != "" {
		return nil, nil, wrong("invalidValue", "attributes and excludedAttributes exclude each other")
	}
	read := func(s string) (map[string]map[string]bool, error) {
		if s == "" {
			return nil, nil
		}
		out := map[string]map[string]bool{}
		for name := range strings.SplitSeq(s, ",") {
			at, err := splitPath(strings.TrimSpace(name))
			if err != nil {
				return nil, wrong("invalidValue", "%v", err)
			}
			attr := strings.ToLower(at.attr)
			if out[attr] == nil {
				out[attr] = map[string]bool{}
			}
			out[attr][strings.ToLower(at.sub)] = true
		}
		return out, nil
	}
	if only, err = read(attributes); err == nil {
		not, err = read(excluded)
	}
	return only, not, err
}

// narrowed keeps the named parts of a complex value.
func narrowed(v any, parts map[string]bool) any {
	if parts[""] {
		return v
	}
	return shaped(v, func(sub string) bool { return parts[sub] })
}

func without(v any, parts map[string]bool) any {
	if len(parts) == 0 {
		return v
	}
	return shaped(v, func(sub string) bool { return !parts[sub] })
}

func shaped(v any, keep func(sub string) bool) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for name, w := range v {
			if keep(strings.ToLower(name)) {
				out[name] = w
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = shaped(e, keep)
		}
		return out
	}
	return v
}
