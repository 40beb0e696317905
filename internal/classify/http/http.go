// Package http says what a request of an HTTP API would do: which kinds of effect it has, on what, with which data,
// and where they go. It believes a mapping that people wrote and reviewed; what no row of it names is judged by its
// method, and a method that writes has no known effect.
//
// It promises one answer for one request, found without backtracking, and the stricter one where it can't look: a
// row that asks for something in a body counts for a body that was not read. It refuses headers and parameters that
// would have an upstream take the request for one of another method.
//
// What it can't see: what the upstream does behind a path. A mapping is somebody's word.
package http

import (
	"net/http"
	"strings"

	"github.com/assenthq/assent/action"
)

// A Result is what one request would do.
type Result struct {
	Refused    string        // why nobody should decide it: it is to be refused; nothing else is set
	Kinds      []action.Kind // sorted, each once, never empty
	Verb       string        // what the row calls it, or the method in lower case
	Target     string        // what it is done to, made by the row's template of path and body
	Title      string        // "POST /v1/refunds: creates a refund", without values that the row doesn't name
	Data       action.Data   // Classes, Groups, Rows, Destination and DestinationTrust as far as the row tells
	Reversible bool
	Routine    bool
	Untrusted  string // what the reply brings that others wrote: "mail"; for gate.Outcome.Untrusted
	Row        string // the row that matched, "line 12", for people; "" where none did
	Why        string // why these kinds
}

// A Mapping is a compiled mapping file. The zero value, and nil, have no rows. It is safe for concurrent use.
type Mapping struct{}

// Classify says what a request does. path and query are as they came, still encoded, after webwire.Target has seen
// them; header is the client's. A nil body is one that was not read.
func (m *Mapping) Classify(method, path, query string, header http.Header, body []byte) Result {
	return unmapped(method, path)
}

// unmapped judges by the method alone.
func unmapped(method, path string) Result {
	r := Result{Verb: strings.ToLower(method), Target: path, Title: method + " " + path, Why: "no row names it, so its method tells"}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		r.Kinds = []action.Kind{action.DataRead}
	case http.MethodDelete:
		r.Kinds = []action.Kind{action.DataDelete}
	default:
		r.Kinds, r.Why = []action.Kind{action.Unknown}, "no row names it, and what "+method+" does here nobody knows"
	}
	return r
}
