package http

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/jsontext"
)

// graphql is what the fields of a GraphQL schema do, as the mapping says. All operations of a document count,
// whichever of them the request names: servers differ in which they run.
type graphql struct {
	query, mutation, subscription []named
}

// named gives kinds to fields of some names; exact ones go before patterns, longer patterns before shorter ones.
type named struct {
	glob  string
	kinds []action.Kind
}

func (g *graphql) of(operation, field string) []action.Kind {
	list, otherwise := g.query, []action.Kind{action.DataRead}
	switch operation {
	case "mutation":
		list, otherwise = g.mutation, []action.Kind{action.Unknown}
	case "subscription":
		list = g.subscription
	}
	for _, n := range list {
		if glob(n.glob, field) {
			return n.kinds
		}
	}
	return otherwise
}

// judge adds to out what the request's documents do.
func (g *graphql) judge(r *request, out *Result) {
	docs, why, refused := documents(r)
	if refused != "" {
		*out = Result{Refused: refused}
		return
	}
	unknown := func(why string) {
		out.Kinds = merged(out.Kinds, []action.Kind{action.Unknown})
		out.Reversible, out.Routine, out.Why = false, false, why
	}
	if why != "" {
		unknown(why)
		return
	}
	var kinds []action.Kind
	var fields []string
	verb := ""
	for _, doc := range docs {
		ops, err := parseDocument(doc)
		if err != "" {
			*out = Result{Refused: "a GraphQL document that can't be read: " + err}
			return
		}
		for _, op := range ops {
			if verb == "" || op.kind == "mutation" {
				verb = op.kind
			}
			for _, f := range op.fields {
				kinds = append(kinds, g.of(op.kind, f)...)
				if !slices.Contains(fields, f) {
					fields = append(fields, f)
				}
			}
		}
	}
	if len(kinds) == 0 {
		unknown("a GraphQL document without an operation")
		return
	}
	out.Kinds = merged(out.Kinds, kinds)
	out.Verb, out.Why = verb, "its fields, by the row at "+out.Row
	if verb == "mutation" {
		out.Reversible, out.Routine = false, false
	}
	shown := fields[:min(len(fields), 5)]
	out.Target = strings.Join(shown, ", ")
	if len(fields) > len(shown) {
		out.Target += ", …"
	}
	out.Title += ": " + verb + " " + out.Target
}

// documents gives the documents of a request: of its query, or its body. why says that they can't be seen.
func documents(r *request) (docs []string, why, refused string) {
	inURL, there, bad := r.param("query")
	if bad != "" {
		return nil, "", bad
	}
	if r.method == http.MethodGet || r.method == http.MethodHead {
		if !there {
			return nil, "a GraphQL request without its document", ""
		}
		return []string{inURL}, "", ""
	}
	if there {
		return nil, "", "a GraphQL document in the address of a request with a body"
	}
	if r.body == nil {
		return nil, "its body was not read, so nobody knows what it asks for", ""
	}
	kind, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	switch kind {
	case "application/graphql":
		return []string{string(r.body)}, "", ""
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(r.body))
		if err != nil || len(form["query"]) != 1 || jsontext.Check(r.body) == nil {
			return nil, "", "a form without one GraphQL document"
		}
		return form["query"], "", ""
	}
	if strings.HasPrefix(kind, "multipart/") {
		return nil, "a GraphQL request in parts, which nobody looked into", ""
	}
	each := [][]byte{r.body}
	if list, err := jsontext.Elements(r.body); err == nil {
		each = list
	}
	for _, one := range each {
		members, err := jsontext.Members(one)
		if err != nil {
			return nil, "", "a GraphQL request that can't be read as JSON"
		}
		doc := ""
		for _, m := range members {
			if m.Name == "query" {
				if json.Unmarshal(m.Value, &doc) != nil {
					return nil, "", "a GraphQL document that is no text"
				}
			}
		}
		if doc == "" {
			return nil, "a GraphQL request that names a stored document, which nobody has seen", ""
		}
		docs = append(docs, doc)
	}
	if len(docs) == 0 {
		return nil, "a GraphQL request without its document", ""
	}
	return docs, "", ""
}
