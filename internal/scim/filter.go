package scim

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds on a filter.
const (
	maxFilter      = 2048 // bytes
	maxFilterDepth = 16
)

// A filter is a parsed expression of RFC 7644 section 3.4.2.2.
type filter interface {
	matches(o object) bool
	String() string
}

type (
	both    struct{ a, b filter }
	either  struct{ a, b filter }
	negated struct{ f filter }
	// compare is one attribute against a value; present without one.
	compare struct {
		path  attrPath
		op    string
		value any // string, bool, json.Number or nil
	}
	// within holds where one element of a multi-valued attribute matches.
	within struct {
		path attrPath
		f    filter
	}
)

// An attrPath is attribute and sub-attribute, without the schema's URN.
type attrPath struct{ attr, sub string }

func (p attrPath) String() string {
	if p.sub != "" {
		return p.attr + "." + p.sub
	}
	return p.attr
}

func (f both) matches(o object) bool    { return f.a.matches(o) && f.b.matches(o) }
func (f either) matches(o object) bool  { return f.a.matches(o) || f.b.matches(o) }
func (f negated) matches(o object) bool { return !f.f.matches(o) }
func (f both) String() string           { return "(" + f.a.String() + " and " + f.b.String() + ")" }
func (f either) String() string         { return "(" + f.a.String() + " or " + f.b.String() + ")" }
func (f negated) String() string        { return "not (" + f.f.String() + ")" }
func (f within) String() string         { return f.path.String() + "[" + f.f.String() + "]" }

func (f compare) String() string {
	if f.op == "pr" {
		return f.path.String() + " pr"
	}
	v, _ := json.Marshal(f.value) // a value of the parser's can be written
	return f.path.String() + " " + f.op + " " + string(v)
}

func (f within) matches(o object) bool {
	v, _ := member(o, f.path.attr)
	list, _ := v.([]any)
	for _, e := range list {
		if eo, ok := e.(object); ok && f.f.matches(eo) {
			return true
		}
	}
	return false
}

func (f compare) matches(o object) bool {
	values := f.path.values(o)
	switch f.op {
	case "pr":
		return len(values) > 0
	case "ne":
		return !(compare{f.path, "eq", f.value}).matches(o)
	}
	for _, v := range values {
		if f.holds(v) {
			return true
		}
	}
	return f.op == "eq" && f.value == nil && len(values) == 0
}

// values are what a path leads to; of a multi-valued complex attribute, each "value".
func (p attrPath) values(o object) []any {
	v, ok := member(o, p.attr)
	if !ok || v == nil || v == "" {
		return nil
	}
	list, many := v.([]any)
	if !many {
		list = []any{v}
	}
	var out []any
	for _, e := range list {
		if eo, ok := e.(object); ok {
			sub := p.sub
			if sub == "" && many {
				sub = "value"
			}
			if sub != "" {
				if e, ok = member(eo, sub); !ok || e == nil || e == "" {
					continue
				}
			}
		} else if p.sub != "" {
			continue
		}
		out = append(out, e)
	}
	return out
}

// exact are the attributes whose case counts (caseExact in their schemas).
var exact = map[string]bool{"id": true, "externalid": true, "value": true, "members": true, "$ref": true}

func (f compare) holds(v any) bool {
	if b, ok := v.(bool); ok {
		want, err := truth(f.value)
		return err == nil && f.op == "eq" && b == want
	}
	s, ok := v.(string)
	want, ok2 := f.value.(string)
	if !ok || !ok2 {
		return false
	}
	name := f.path.attr
	if f.path.sub != "" {
		name = f.path.sub
	}
	if !exact[strings.ToLower(name)] {
		s, want = strings.ToLower(s), strings.ToLower(want)
	}
	switch f.op {
	case "eq":
		return s == want
	case "co":
		return strings.Contains(s, want)
	case "sw":
		return strings.HasPrefix(s, want)
	case "ew":
		return strings.HasSuffix(s, want)
	case "gt":
		return s > want
	case "ge":
		return s >= want
	case "lt":
		return s < want
	case "le":
		return s <= want
	}
	return false
}

// mentions reports whether a filter asks for an attribute.
func mentions(f filter, attr string) bool {
	switch f := f.(type) {
	case both:
		return mentions(f.a, attr) || mentions(f.b, attr)
	case either:
		return mentions(f.a, attr) || mentions(f.b, attr)
	case negated:
		return mentions(f.f, attr)
	case compare:
		return strings.EqualFold(f.path.attr, attr)
	case within:
		return strings.EqualFold(f.path.attr, attr)
	}
	return false
}

// parseFilter reads a filter.
func parseFilter(s string) (filter, error) {
	if len(s) > maxFilter || !utf8.ValidString(s) {
		return nil, wrong("invalidFilter", "the filter is longer than %d bytes, or not UTF-8", maxFilter)
	}
	p := &scanner{rest: s}
	f, err := p.or(0)
	if err == nil && p.space() != "" {
		err = fmt.Errorf("something follows")
	}
	if err != nil {
		return nil, wrong("invalidFilter", "the filter can't be read: %v", err)
	}
	return f, nil
}

// A scanner walks the text of a filter or a path.
type scanner struct{ rest string }

func (p *scanner) space() string {
	p.rest = strings.TrimLeft(p.rest, " \t")
	return p.rest
}

func (p *scanner) take(c string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, c)
	if ok {
		p.rest = rest
	}
	return ok
}

// word takes a keyword that ends at a space or parenthesis.
func (p *scanner) word(w string) bool {
	p.space()
	if len(p.rest) < len(w) || !strings.EqualFold(p.rest[:len(w)], w) {
		return false
	}
	if rest := p.rest[len(w):]; rest == "" || strings.ContainsRune(" \t()[]", rune(rest[0])) {
		p.rest = rest
		return true
	}
	return false
}

func (p *scanner) or(depth int) (filter, error) {
	a, err := p.and(depth)
	for err == nil && p.word("or") {
		var b filter
		if b, err = p.and(depth); err == nil {
			a = either{a, b}
		}
	}
	return a, err
}

func (p *scanner) and(depth int) (filter, error) {
	a, err := p.term(depth)
	for err == nil && p.word("and") {
		var b filter
		if b, err = p.term(depth); err == nil {
			a = both{a, b}
		}
	}
	return a, err
}

func (p *scanner) term(depth int) (filter, error) {
	if depth >= maxFilterDepth {
		return nil, fmt.Errorf("it nests deeper than %d", maxFilterDepth)
	}
	no := p.word("not")
	if p.take("(") {
		f, err := p.or(depth + 1)
		if err == nil && !p.take(")") {
			err = fmt.Errorf("a parenthesis is not closed")
		}
		if err == nil && no {
			f = negated{f}
		}
		return f, err
	}
	if no {
		return nil, fmt.Errorf("not is followed by no parenthesis")
	}
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	if p.take("[") {
		f, err := p.or(depth + 1)
		if err == nil && !p.take("]") {
			err = fmt.Errorf("a bracket is not closed")
		}
		return within{path, f}, err
	}
	return p.comparison(path)
}

func (p *scanner) comparison(path attrPath) (filter, error) {
	if p.word("pr") {
		return compare{path: path, op: "pr"}, nil
	}
	for _, op := range []string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"} {
		if p.word(op) {
			v, err := p.literal()
			return compare{path, op, v}, err
		}
	}
	return nil, fmt.Errorf("no operator follows %.64q", path.String())
}

// literal reads a JSON string, number, boolean or null.
func (p *scanner) literal() (any, error) {
	p.space()
	d := json.NewDecoder(strings.NewReader(p.rest))
	d.UseNumber()
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("no value follows the operator")
	}
	if _, no := t.(json.Delim); no {
		return nil, fmt.Errorf("no value follows the operator")
	}
	if s, ok := t.(string); ok && strings.ContainsRune(s, utf8.RuneError) {
		return nil, fmt.Errorf("a value lost bytes on the way")
	}
	p.rest = p.rest[d.InputOffset():]
	return t, nil
}

// path reads an attribute's path, with or without its schema's URN.
func (p *scanner) path() (attrPath, error) {
	p.space()
	n := strings.IndexFunc(p.rest, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-$:.", r))
	})
	if n < 0 {
		n = len(p.rest)
	}
	full := p.rest[:n]
	p.rest = p.rest[n:]
	return splitPath(full)
}

// splitPath takes the URN off a path. What stands under an extension's URN keeps
// it, as an attribute that nobody here has.
func splitPath(full string) (attrPath, error) {
	name := full
	if strings.Contains(full, ":") {
		for _, urn := range []string{userSchema, groupSchema} {
			if rest, ok := cutFold(full, urn+":"); ok {
				name = rest
			}
		}
		if name == full {
			if len(full) < 5 || !strings.EqualFold(full[:4], "urn:") {
				return attrPath{}, fmt.Errorf("%.64q is no attribute", full)
			}
			return attrPath{attr: full}, nil
		}
	}
	attr, sub, dotted := strings.Cut(name, ".")
	if !isName(attr) || dotted && !isName(sub) {
		return attrPath{}, fmt.Errorf("%.64q is no attribute", full)
	}
	return attrPath{attr, sub}, nil
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// isName is ATTRNAME of RFC 7644, and $ref.
func isName(s string) bool {
	s = strings.TrimPrefix(s, "$")
	return s != "" && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z') && !strings.ContainsAny(s, ".:$")
}
