package http

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
)

// A row is one line of the mapping, compiled.
type row struct {
	place   string // "api.yaml:12"
	match   string // as it was written
	methods methods
	path    template
	conds   []cond
	rank    string // smaller is more specific

	kinds                          []action.Kind
	verb                           string
	target, resource, title        words
	trust, untrusted               string
	dest                           words
	classes, named                 []string
	rows                           words
	reversible, routine, unscanned bool
	graphql                        *graphql
}

// methods are those that a row is for; nil: any.
type methods []string

func (m methods) has(method string) bool {
	return m == nil || slices.Contains(m, method) || method == http.MethodHead && slices.Contains(m, http.MethodGet)
}

// rankOf makes the key by which rows are ordered: segment by segment, then method, then how much is asked besides.
func (w *row) rankOf(line int) string {
	var b strings.Builder
	for _, s := range w.path.segs {
		b.WriteByte('a' + byte(s.kind))
		if s.kind == partial {
			b.WriteByte(255 - byte(min(len(s.prefix)+len(s.suffix), 200)))
		}
	}
	b.WriteByte('!') // shorter than any segment
	if w.methods == nil {
		b.WriteByte('b')
	} else {
		b.WriteByte('a')
	}
	b.WriteByte(255 - byte(min(len(w.conds), 200)))
	n := strconv.Itoa(line)
	return b.String() + strings.Repeat("0", 9-len(n)) + n
}

// cond is something that a row asks for besides.
type cond struct {
	from    source
	name    string
	pointer []string
	absent  bool
	globs   []string // one of them
}

// source is where a value comes from.
type source uint8

const (
	fromPath source = iota
	fromQuery
	fromHeader
	fromBody
)

func (c *cond) ask(r *request) (fit, string) {
	v, there, known, bad := value(r, c.from, c.name, c.pointer)
	switch {
	case bad != "":
		return no, bad
	case !known:
		return maybe, ""
	case !there || c.absent:
		if there == c.absent {
			return no, ""
		}
		return yes, ""
	}
	s, scalar := text(v)
	for _, g := range c.globs {
		if g == "*" || scalar && glob(g, s) {
			return yes, ""
		}
	}
	return no, ""
}

func value(r *request, from source, name string, pointer []string) (v any, there, known bool, bad string) {
	switch from {
	case fromQuery:
		s, there, bad := r.param(name)
		return s, there, true, bad
	case fromHeader:
		s, there, bad := r.head(name)
		return s, there, true, bad
	}
	return r.look(pointer)
}

// glob matches * against any run of characters: in one pass, going back to the last * only.
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// result is what a request does that the row fits.
func (w *row) result(r *request) Result {
	out := Result{
		Kinds: w.kinds, Verb: w.verb, Target: plain(r.path), Reversible: w.reversible, Routine: w.routine,
		Untrusted: w.untrusted, Row: w.place, Why: "the row at " + w.place + " says so",
		Data: action.Data{Classes: w.classes, Groups: w.named, Unscanned: w.unscanned, DestinationTrust: w.trust},
	}
	if out.Verb == "" {
		out.Verb = strings.ToLower(r.method)
	}
	if w.target != nil {
		out.Target = plain(w.target.fill(w, r))
	}
	out.Resource = w.resource.fill(w, r)
	out.Data.Destination = w.dest.fill(w, r)
	out.Data.Rows = w.rows.count(w, r)
	out.Title = r.method + " " + r.path
	if w.title != nil {
		out.Title += ": " + w.title.fill(w, r)
	}
	if w.graphql != nil {
		w.graphql.judge(r, &out)
	}
	out.Title = plain(out.Title)
	return out
}
