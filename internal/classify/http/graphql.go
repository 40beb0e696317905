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

// operation is one of a document, with the fields at its top.
type operation struct {
	kind      string
	fields    []string
	fragments []string // spread at its top
}

// Bounds of a document.
const (
	maxTokens = 100_000
	maxInline = 32 // inline fragments within each other, at the top
)

// parseDocument reads an executable document (GraphQL, October 2021, §2) as far as the fields at the top of each
// operation. It never returns text of the document in bad.
func parseDocument(doc string) (ops []operation, bad string) {
	p := &gql{s: strings.TrimPrefix(doc, "\ufeff")}
	p.next()
	fragments := map[string]operation{}
	for p.tok != "" && p.bad == "" {
		op := operation{kind: "query"}
		switch {
		case p.tok == "{":
		case p.name && (p.tok == "query" || p.tok == "mutation" || p.tok == "subscription"):
			op.kind = p.tok
			if p.next(); p.name {
				p.next()
			}
			if p.tok == "(" {
				p.skip()
			}
			p.directives()
		case p.name && p.tok == "fragment":
			p.next()
			name := p.tok
			if !p.name || name == "on" {
				return nil, "a fragment without a name"
			}
			if _, twice := fragments[name]; twice {
				return nil, "a fragment that stands twice"
			}
			p.next()
			p.condition()
			p.directives()
			op.kind = ""
			p.selection(&op, 0)
			fragments[name] = op
			continue
		default:
			return nil, "neither an operation nor a fragment"
		}
		p.selection(&op, 0)
		ops = append(ops, op)
	}
	if p.bad != "" {
		return nil, p.bad
	}
	for i := range ops {
		if bad := ops[i].spread(fragments); bad != "" {
			return nil, bad
		}
	}
	return ops, ""
}

// spread adds the fields of fragments, each once.
func (o *operation) spread(fragments map[string]operation) string {
	seen := map[string]bool{}
	for todo := o.fragments; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		f, ok := fragments[name]
		if !ok {
			return "a fragment that is not there"
		}
		o.fields = append(o.fields, f.fields...)
		todo = append(slices.Clip(todo), f.fragments...)
	}
	return ""
}

// gql reads tokens.
type gql struct {
	s     string
	tok   string // "" at the end; strings and numbers are `"`
	name  bool
	count int
	bad   string
}

func (p *gql) fail(why string) {
	if p.bad == "" {
		p.bad = why
	}
	p.tok, p.name, p.s = "", false, ""
}

func (p *gql) next() {
	if p.count++; p.count > maxTokens {
		p.fail("it is too long")
		return
	}
	for p.s != "" {
		switch c := p.s[0]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',':
			p.s = p.s[1:]
		case c == '#':
			end := strings.IndexAny(p.s, "\r\n")
			if end < 0 {
				end = len(p.s)
			}
			p.s = p.s[end:]
		case strings.HasPrefix(p.s, "\ufeff"):
			p.s = p.s[3:]
		default:
			p.token(c)
			return
		}
	}
	p.tok, p.name = "", false
}

func (p *gql) token(c byte) {
	n := 1
	p.name = false
	switch {
	case nameByte(c) && (c < '0' || c > '9'):
		for n < len(p.s) && nameByte(p.s[n]) {
			n++
		}
		p.name = true
	case strings.HasPrefix(p.s, "..."):
		n = 3
	case strings.IndexByte("!$&()=@[]{}|:?", c) >= 0:
	case c == '"':
		p.tok = `"`
		p.quoted()
		return
	case c >= '0' && c <= '9' || c == '-':
		for n < len(p.s) && (nameByte(p.s[n]) || strings.IndexByte(".+-", p.s[n]) >= 0) {
			n++
		}
		p.s, p.tok = p.s[n:], `"`
		return
	default:
		p.fail("a character that has no place in it")
		return
	}
	p.tok, p.s = p.s[:n], p.s[n:]
}

// quoted passes a string or a block string.
func (p *gql) quoted() {
	if strings.HasPrefix(p.s, `"""`) {
		for s := p.s[3:]; ; {
			end := strings.Index(s, `"""`)
			if end < 0 {
				p.fail("a string without an end")
				return
			}
			escaped := end > 0 && s[end-1] == '\\'
			if s = s[end+3:]; !escaped {
				p.s = s
				return
			}
		}
	}
	for i := 1; i < len(p.s); i++ {
		switch p.s[i] {
		case '\\':
			i++
		case '\n', '\r':
			p.fail("a string over several lines")
			return
		case '"':
			p.s = p.s[i+1:]
			return
		}
	}
	p.fail("a string without an end")
}

func nameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// skip passes what stands between brackets, with what is nested in it.
func (p *gql) skip() {
	var open []byte
	for {
		switch p.tok {
		case "(", "[", "{":
			open = append(open, p.tok[0])
		case ")", "]", "}":
			want := byte('(')
			if p.tok == "]" {
				want = '['
			} else if p.tok == "}" {
				want = '{'
			}
			if len(open) == 0 || open[len(open)-1] != want {
				p.fail("brackets that don't go together")
				return
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				p.next()
				return
			}
		case "":
			p.fail("brackets without an end")
			return
		}
		p.next()
	}
}

func (p *gql) directives() {
	for p.tok == "@" {
		if p.next(); !p.name {
			p.fail("a directive without a name")
			return
		}
		if p.next(); p.tok == "(" {
			p.skip()
		}
	}
}

// condition passes "on Type".
func (p *gql) condition() {
	if !p.name || p.tok != "on" {
		p.fail("a fragment without a type")
		return
	}
	if p.next(); !p.name {
		p.fail("a fragment without a type")
		return
	}
	p.next()
}

// selection reads what stands at the top of an operation.
func (p *gql) selection(op *operation, depth int) {
	if p.tok != "{" || depth > maxInline {
		p.fail("an operation without fields")
		return
	}
	p.next()
	for some := false; ; some = true {
		switch {
		case p.tok == "}":
			if !some {
				p.fail("an operation without fields")
				return
			}
			p.next()
			return
		case p.tok == "...":
			p.next()
			if p.name && p.tok != "on" {
				op.fragments = append(op.fragments, p.tok)
				p.next()
				p.directives()
				continue
			}
			if p.name {
				p.condition()
			}
			p.directives()
			p.selection(op, depth+1)
		case p.name:
			field := p.tok
			if p.next(); p.tok == ":" { // what stood before is an alias
				p.next()
				if field = p.tok; !p.name {
					p.fail("an alias without a field")
					return
				}
				p.next()
			}
			op.fields = append(op.fields, field)
			if p.tok == "(" {
				p.skip()
			}
			p.directives()
			if p.tok == "{" {
				p.skip()
			}
		default:
			p.fail("an operation that breaks off")
			return
		}
	}
}
