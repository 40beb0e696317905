package http

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/jsontext"
	"github.com/assenthq/assent/internal/show"
)

// Bounds of what is looked at.
const (
	maxSegments = 64
	maxShown    = 200 // characters of a request in a title or a target
)

// request is what is asked, read as far as rows want to know it.
type request struct {
	method, path, query string
	header              http.Header
	body                []byte

	segs  [maxSegments]string // decoded
	n     int
	slash bool // the path ends in a slash

	pairs   []pair // of the query
	pairsOK bool
	tree    any // of the body
	treeOK  bool
	form    url.Values
	bodyBad string // why nobody can look into the body
}

type pair struct{ name, value string }

// split cuts the path into segments and decodes each.
func (r *request) split() string {
	path := r.path
	if path == "" || path == "*" {
		return ""
	}
	if path[0] != '/' {
		return "a path that does not begin with a slash"
	}
	for path != "" {
		path = path[1:]
		seg := path
		if i := strings.IndexByte(path, '/'); i >= 0 {
			seg, path = path[:i], path[i:]
		} else {
			path = ""
		}
		if seg == "" && path == "" {
			r.slash = r.n > 0
			break
		}
		if r.n == maxSegments {
			return "a path of more than 64 segments"
		}
		if strings.IndexByte(seg, '%') >= 0 {
			var err error
			if seg, err = url.PathUnescape(seg); err != nil {
				return "a path that does not decode"
			}
		}
		r.segs[r.n] = seg
		r.n++
	}
	return ""
}

// twoWays says whether the path has what some servers resolve after they decoded it. webwire.Target refuses that
// unless a route's rules take it.
func (r *request) twoWays() bool {
	for i, seg := range r.segs[:r.n] {
		if seg == "." || seg == ".." || seg == "" && i < r.n-1 || strings.ContainsAny(seg, `/\;%`) {
			return true
		}
	}
	return false
}

// otherWay is the request as a server sees it that decodes again, cuts parameters off, and resolves what it finds;
// nil where it sees the same.
func (r *request) otherWay() *request {
	if !r.twoWays() {
		return nil
	}
	o := &request{method: r.method, path: r.path, query: r.query, header: r.header, body: r.body, slash: r.slash}
	for _, seg := range r.segs[:r.n] {
		for range 3 {
			again, err := url.PathUnescape(seg)
			if err != nil {
				break
			}
			seg = again
		}
		for part := range strings.SplitSeq(strings.ReplaceAll(seg, `\`, "/"), "/") {
			part, _, _ = strings.Cut(part, ";")
			switch {
			case part == "" || part == ".":
			case part == "..":
				o.n = max(o.n-1, 0)
			case o.n < maxSegments:
				o.segs[o.n] = part
				o.n++
			}
		}
	}
	if slices.Equal(o.segs[:o.n], r.segs[:r.n]) {
		return nil
	}
	return o
}

// overrides are names by which frameworks let a request be of another method.
func isOverride(name string) bool {
	switch strings.ReplaceAll(strings.ToLower(name), "_", "-") {
	case "x-http-method-override", "x-http-method", "x-method-override", "http-method-override", "x-method":
		return true
	case "-method":
		return true
	}
	return false
}

// overridden says where the request names another method than its own.
func (r *request) overridden() string {
	for name := range r.header {
		if isOverride(name) {
			return "a header that would change the method"
		}
	}
	for rest := r.query; rest != ""; {
		var p string
		p, rest, _ = strings.Cut(rest, "&")
		name, _, _ := strings.Cut(p, "=")
		if n, err := url.QueryUnescape(name); err == nil && isOverride(n) {
			return "a parameter that would change the method"
		}
	}
	if r.method != http.MethodPost || len(r.body) == 0 {
		return ""
	}
	switch kind, _, _ := mime.ParseMediaType(r.header.Get("Content-Type")); {
	case kind == "application/x-www-form-urlencoded":
		for rest := string(r.body); rest != ""; {
			var p string
			p, rest, _ = strings.Cut(rest, "&")
			name, _, _ := strings.Cut(p, "=")
			if n, err := url.QueryUnescape(name); err == nil && isOverride(n) {
				return "a field that would change the method"
			}
		}
	case strings.HasPrefix(kind, "multipart/") && bytes.Contains(bytes.ToLower(r.body), []byte(`_method`)):
		return "a field that would change the method"
	}
	return ""
}

// param gives the value of a query's parameter.
func (r *request) param(name string) (value string, there bool, bad string) {
	if !r.pairsOK {
		r.pairsOK = true
		for rest := r.query; rest != ""; {
			var p string
			p, rest, _ = strings.Cut(rest, "&")
			k, v, _ := strings.Cut(p, "=")
			k, err := url.QueryUnescape(k)
			v, err2 := url.QueryUnescape(v)
			if err == nil && err2 == nil && p != "" {
				r.pairs = append(r.pairs, pair{k, v})
			}
		}
	}
	for _, p := range r.pairs {
		if !strings.EqualFold(p.name, name) && !strings.EqualFold(strings.TrimSuffix(p.name, "[]"), name) {
			continue
		}
		if there || p.name != name {
			return "", false, "a parameter that the mapping asks for stands twice, or is spelled otherwise"
		}
		value, there = p.value, true
	}
	return value, there, ""
}

// head gives the value of a header.
func (r *request) head(name string) (value string, there bool, bad string) {
	for k, vs := range r.header {
		if !strings.EqualFold(strings.ReplaceAll(k, "_", "-"), name) {
			continue
		}
		if there || len(vs) != 1 || strings.Contains(k, "_") {
			return "", false, "a header that the mapping asks for stands twice, or is spelled otherwise"
		}
		value, there = vs[0], true
	}
	return value, there, ""
}

// look gives what a JSON pointer leads to. known is false for a body that can't be looked into.
func (r *request) look(pointer []string) (v any, there, known bool, bad string) {
	if r.body == nil {
		return nil, false, false, ""
	}
	if !r.treeOK {
		r.treeOK = true
		r.parse()
	}
	if r.bodyBad != "" {
		return nil, false, false, r.bodyBad
	}
	if r.form != nil {
		if len(pointer) != 1 {
			return nil, false, true, ""
		}
		for name, vs := range r.form {
			if name == pointer[0] && len(vs) == 1 {
				v, there = vs[0], true
			} else if name == pointer[0] || strings.EqualFold(strings.TrimSuffix(name, "[]"), pointer[0]) {
				return nil, false, false, "a field that the mapping asks for stands twice, or is spelled otherwise"
			}
		}
		return v, there, true, ""
	}
	if r.tree == errUnseen {
		return nil, false, false, ""
	}
	v, there, bad = follow(r.tree, pointer)
	return v, there, bad == "", bad
}

// unseen marks a body that is neither JSON nor a form.
type unseen struct{}

var errUnseen any = unseen{}

func (r *request) parse() {
	kind, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	if strings.HasPrefix(kind, "multipart/") {
		r.tree = errUnseen
		return
	}
	isJSON := jsontext.Check(r.body) == nil
	switch {
	case len(bytes.TrimSpace(r.body)) == 0:
	case kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(r.body))
		if err != nil || isJSON {
			r.bodyBad = "a form that can't be read as one, and the mapping asks what is in it"
			return
		}
		r.form = form
	case !isJSON:
		r.bodyBad = "a body that can't be read as JSON, and the mapping asks what is in it"
	default:
		d := json.NewDecoder(bytes.NewReader(r.body))
		d.UseNumber()
		if d.Decode(&r.tree) != nil {
			r.bodyBad = "a body that can't be read as JSON, and the mapping asks what is in it"
		}
	}
}

// follow goes from v along a pointer.
func follow(v any, pointer []string) (any, bool, string) {
	for _, p := range pointer {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[p]
			if !ok {
				for name := range x {
					if strings.EqualFold(name, p) {
						return nil, false, "a member that the mapping asks for is spelled otherwise"
					}
				}
				return nil, false, ""
			}
			v = next
		case []any:
			i := 0
			for _, c := range p {
				if c < '0' || c > '9' || i > 1<<20 {
					return nil, false, ""
				}
				i = i*10 + int(c-'0')
			}
			if p == "" || i >= len(x) || len(p) > 1 && p[0] == '0' {
				return nil, false, ""
			}
			v = x[i]
		default:
			return nil, false, ""
		}
	}
	return v, true, ""
}

// text is a scalar as a condition compares it; false for an object or a list.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	case nil:
		return "null", true
	}
	return "", false
}

// plain is s on one line, fit to be shown.
func plain(s string) string {
	if len(s) <= maxShown {
		i := 0
		for i < len(s) && s[i] >= ' ' && s[i] < 0x7f {
			i++
		}
		if i == len(s) {
			return s
		}
	}
	return show.Plain(s, maxShown)
}
