package http

import (
	"slices"
	"strings"
)

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
			want := "([{"[strings.Index(")]}", p.tok)]
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
