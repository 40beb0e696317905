// Package http says what a request of an HTTP API would do: which kinds of effect it has, on what, with which data,
// and where they go. It believes a mapping that people wrote and reviewed; what no row of it names is judged by its
// method, and a method that writes has no known effect.
//
// It promises one answer for one request, found without backtracking, and the stricter one where it can't look: a
// row that asks for something in a body counts besides for a body that was not read, and a request that differs from
// a row in spelling alone (case, a slash behind, .json) is never taken for something weaker. It refuses headers and
// parameters that would have an upstream take the request for one of another method.
//
// What it can't see: what the upstream does behind a path. A mapping is somebody's word.
package http

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/detect"
)

// A Result is what one request would do.
type Result struct {
	Refused    string        // why nobody should decide it: it is to be refused, and nothing else is set
	Kinds      []action.Kind // sorted, each once, never empty
	Verb       string        // what the row calls it, or the method in lower case
	Target     string        // what it is done to, by the row's template; or the path
	Resource   string        // for an URN, by the row's template; "" where it has none
	Title      string        // "POST /v1/refunds: creates a refund", of one line
	Data       action.Data   // Rows, Classes, Groups, Destination and DestinationTrust as far as the row tells
	Reversible bool
	Routine    bool
	Untrusted  string // what of others the reply brings: "mail"; for gate.Outcome.Untrusted
	Row        string // where the row that matched stands, "api.yaml:12", for people; "" where none did
	Why        string // why these kinds
}

// A Mapping is a compiled mapping file. Nil is one without rows. It is safe for concurrent use.
type Mapping struct {
	rows     []*row // by specificity
	root     node
	unmapped map[string][]action.Kind // by method; "*"
}

// Len is how many rows there are.
func (m *Mapping) Len() int {
	if m == nil {
		return 0
	}
	return len(m.rows)
}

// Classify says what a request does. path and query are as they came, still encoded, after webwire.Target has seen
// them; header is the client's. A nil body is one that was not read.
func (m *Mapping) Classify(method, path, query string, header http.Header, body []byte) Result {
	r := &request{method: method, path: path, query: query, header: header, body: body}
	if why := r.overridden(); why != "" {
		return Result{Refused: why}
	}
	if why := r.split(); why != "" {
		return Result{Refused: why}
	}
	var s search
	var nears []*row
	if m != nil {
		s.r = r
		if s.walk(&m.root, 0); s.refused != "" {
			return Result{Refused: s.refused}
		}
		nears = s.nears
		if other := r.otherWay(); other != nil {
			also := search{r: other}
			if also.walk(&m.root, 0); also.refused != "" {
				return Result{Refused: also.refused}
			}
			if nears = append(nears, append(also.nears, also.may...)...); also.hit != nil {
				nears = append(nears, also.hit)
			}
		}
	}
	var out Result
	if s.hit == nil {
		out = m.byMethod(r)
	} else if out = s.hit.result(r); out.Refused != "" {
		return out
	}
	for _, may := range s.may {
		also := may.result(r)
		if also.Refused != "" {
			return also
		}
		out = out.besides(also)
		out.Why = "its body was not read, and " + may.place + " counts for some bodies"
	}
	for _, w := range nears {
		if w == s.hit || s.hit != nil && slices.Equal(w.kinds, s.hit.kinds) && w.graphql == nil {
			continue
		}
		out.Kinds = merged(out.Kinds, w.kinds, []action.Kind{action.Unknown})
		out.Reversible, out.Routine = false, false
		out.Data.Classes, out.Data.Groups = union(out.Data.Classes, w.classes), union(out.Data.Groups, w.named)
		out.Row = w.place
		out.Why = "it differs from the row at " + w.place + " in spelling alone, and nobody knows whether the upstream minds"
	}
	return out
}

// besides is what a request does that may be r or other.
func (r Result) besides(other Result) Result {
	r.Kinds = merged(r.Kinds, other.Kinds)
	r.Reversible, r.Routine = r.Reversible && other.Reversible, r.Routine && other.Routine
	r.Data.Classes = union(r.Data.Classes, other.Data.Classes)
	r.Data.Groups = union(r.Data.Groups, other.Data.Groups)
	r.Data.Rows = action.Count{}
	if r.Untrusted == "" {
		r.Untrusted = other.Untrusted
	}
	if r.Data.Destination == "" {
		r.Data.Destination, r.Data.DestinationTrust = other.Data.Destination, other.Data.DestinationTrust
	}
	return r
}

// byMethod judges what no row names.
func (m *Mapping) byMethod(r *request) Result {
	out := Result{Verb: strings.ToLower(r.method), Target: plain(r.path), Title: plain(r.method + " " + r.path)}
	if m != nil {
		kinds, ok := m.unmapped[r.method]
		if !ok {
			kinds, ok = m.unmapped["*"]
		}
		if ok {
			out.Kinds, out.Why = kinds, "no row names it, and the mapping says what "+r.method+" does then"
			return out
		}
	}
	out.Why = "no row names it, so its method tells"
	switch r.method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		out.Kinds = []action.Kind{action.DataRead}
	case http.MethodDelete:
		out.Kinds = []action.Kind{action.DataDelete}
	default:
		out.Kinds, out.Why = []action.Kind{action.Unknown}, "no row names it, and what "+plain(r.method)+" does here nobody knows"
	}
	return out
}

// Explain says in lines what Classify would, and which rows stood behind the one that matched.
func (m *Mapping) Explain(method, path, query string, header http.Header, body []byte) []string {
	res := m.Classify(method, path, query, header, body)
	if res.Refused != "" {
		return []string{"refused: " + res.Refused}
	}
	lines := []string{fmt.Sprintf("%s: %s", res.Title, joined(res.Kinds)), "why: " + res.Why}
	if res.Row != "" {
		lines = append(lines, "row: "+res.Row)
	}
	add := func(name, v string) {
		if v != "" {
			lines = append(lines, name+": "+v)
		}
	}
	add("verb", res.Verb)
	add("target", res.Target)
	add("resource", res.Resource)
	add("classes", strings.Join(res.Data.Classes, ", "))
	if res.Data.Rows.Known {
		add("rows", fmt.Sprint(res.Data.Rows.N))
	}
	add("destination", strings.TrimSpace(res.Data.Destination+" "+res.Data.DestinationTrust))
	add("untrusted reply", res.Untrusted)
	if res.Routine {
		lines = append(lines, "routine")
	}
	if res.Reversible {
		lines = append(lines, "reversible")
	}
	r := &request{method: method, path: path, query: query, header: header, body: body}
	if m == nil || r.split() != "" {
		return lines
	}
	for _, w := range m.rows {
		if w.place != res.Row && w.methods.has(method) && w.path.fits(r) != no {
			lines = append(lines, fmt.Sprintf("also fits the path: %s %s (%s)", w.place, w.match, joined(w.kinds)))
		}
	}
	return lines
}

func joined(kinds []action.Kind) string {
	s := make([]string, len(kinds))
	for i, k := range kinds {
		s[i] = string(k)
	}
	return strings.Join(s, ", ")
}

func merged(lists ...[]action.Kind) []action.Kind {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

func union(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// groups are those of classes and what was named besides.
func groups(classes, named []string) []string {
	cs := make([]detect.Class, len(classes))
	for i, c := range classes {
		cs[i] = detect.Class(c)
	}
	return union(detect.Groups(cs), named)
}
