package llm

import (
	"bytes"

	"github.com/assenthq/assent/internal/jsontext"
)

// A Node is one value of a JSON text that can be changed. What isn't changed is
// written as it stood.
type Node struct {
	Kind    byte // '{', '[', '"', or '0' for a number, true, false and null
	Members []Member
	Items   []*Node
	Text    string // of a string, decoded; of another scalar as it stands

	raw      []byte // of a scalar, as it stood; nil: it was changed
	touched  bool   // it, or what is in it
	from, to int    // where it stood
	formed   bool   // a member was put in or taken out
}

// A Member is one member of an object.
type Member struct {
	Name  string
	Value *Node

	raw  []byte // the name as it stood; nil: it was changed
	from int    // where it stood
	size int
}

// Parse reads data, which must be one JSON value that everybody reads alike.
func Parse(data []byte) (*Node, error) {
	if err := jsontext.Check(data); err != nil {
		return nil, err
	}
	p := parser{data: data}
	return p.value(), nil
}

// Envelope is Parse of an object in which no two names differ by case only.
func Envelope(data []byte) (*Node, error) {
	if _, err := jsontext.Members(data); err != nil {
		return nil, err
	}
	p := parser{data: data}
	return p.value(), nil
}

// A parser reads what jsontext has checked.
type parser struct {
	data []byte
	at   int
}

func (p *parser) space() {
	for p.at < len(p.data) && (p.data[p.at] == ' ' || p.data[p.at] == '\t' || p.data[p.at] == '\n' || p.data[p.at] == '\r') {
		p.at++
	}
}

func (p *parser) value() *Node {
	p.space()
	switch p.data[p.at] {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		begin := p.at
		raw := p.quoted()
		return &Node{Kind: '"', Text: decoded(raw), raw: raw, from: begin, to: p.at}
	}
	begin := p.at
	for p.at < len(p.data) && bytes.IndexByte([]byte(",]} \t\r\n"), p.data[p.at]) < 0 {
		p.at++
	}
	raw := p.data[begin:p.at]
	return &Node{Kind: '0', Text: string(raw), raw: raw, from: begin, to: p.at}
}

func (p *parser) object() *Node {
	n := &Node{Kind: '{'}
	for p.at++; ; p.at++ {
		p.space()
		if p.data[p.at] == '}' {
			p.at++
			return n
		}
		begin := p.at
		raw := p.quoted()
		p.space()
		p.at++ // the colon
		n.Members = append(n.Members, Member{decoded(raw), p.value(), raw, begin, len(raw)})
		p.space()
		if p.data[p.at] == '}' {
			p.at++
			return n
		}
	}
}

func (p *parser) array() *Node {
	n := &Node{Kind: '['}
	for p.at++; ; p.at++ {
		p.space()
		if p.data[p.at] == ']' {
			p.at++
			return n
		}
		n.Items = append(n.Items, p.value())
		p.space()
		if p.data[p.at] == ']' {
			p.at++
			return n
		}
	}
}

func (p *parser) quoted() []byte {
	begin := p.at
	for p.at++; p.data[p.at] != '"'; p.at++ {
		if p.data[p.at] == '\\' {
			p.at++
		}
	}
	p.at++
	return p.data[begin:p.at]
}

func decoded(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	text, _ := jsontext.Text(raw) // it was checked
	return text
}

// Append writes n without space between its parts.
func (n *Node) Append(out []byte) []byte {
	switch n.Kind {
	case '{':
		out = append(out, '{')
		for i, m := range n.Members {
			if i > 0 {
				out = append(out, ',')
			}
			if m.raw != nil {
				out = append(out, m.raw...)
			} else {
				out = jsontext.Append(out, []byte(m.Name))
			}
			out = m.Value.Append(append(out, ':'))
		}
		return append(out, '}')
	case '[':
		out = append(out, '[')
		for i, item := range n.Items {
			if i > 0 {
				out = append(out, ',')
			}
			out = item.Append(out)
		}
		return append(out, ']')
	}
	switch {
	case n.raw != nil:
		return append(out, n.raw...)
	case n.Kind == '"':
		return jsontext.Append(out, []byte(n.Text))
	}
	return append(out, n.Text...)
}

// Patched is src, of which n was parsed, with what was changed in its place: the space
// between its parts stays.
func (n *Node) Patched(src []byte) []byte {
	if n.reformed() {
		return n.Append(make([]byte, 0, len(src)+256))
	}
	out, at := n.patch(make([]byte, 0, len(src)+256), src, 0)
	return append(out, src[at:]...)
}

// reformed says that a member was put in or taken out somewhere.
func (n *Node) reformed() bool {
	if n.formed {
		return true
	}
	for i := range n.Members {
		if n.Members[i].Value.reformed() {
			return true
		}
	}
	for _, item := range n.Items {
		if item.reformed() {
			return true
		}
	}
	return false
}

// patch appends src from at on, up to the last change in n.
func (n *Node) patch(out, src []byte, at int) ([]byte, int) {
	for i := range n.Members {
		m := &n.Members[i]
		if m.raw == nil {
			out = jsontext.Append(append(out, src[at:m.from]...), []byte(m.Name))
			at = m.from + m.size
		}
		out, at = m.Value.patch(out, src, at)
	}
	for _, item := range n.Items {
		out, at = item.patch(out, src, at)
	}
	if (n.Kind == '"' || n.Kind == '0') && n.raw == nil {
		out = n.Append(append(out, src[at:n.from]...))
		at = n.to
	}
	return out, at
}

// Set makes n the string text.
func (n *Node) Set(text string) {
	*n = Node{Kind: '"', Text: text, touched: true, from: n.from, to: n.to, formed: n.formed || n.Kind != '"' && n.Kind != '0'}
}

// Changed says that n, or something in it, is no longer as it stood.
func (n *Node) Changed() bool {
	if n.touched {
		return true
	}
	for _, m := range n.Members {
		if m.raw == nil || m.Value.Changed() {
			return true
		}
	}
	for _, item := range n.Items {
		if item.Changed() {
			return true
		}
	}
	return false
}

// Rename gives member i another name.
func (n *Node) Rename(i int, name string) { n.Members[i].Name, n.Members[i].raw = name, nil }

// Put sets a member to a value that is JSON already.
func (n *Node) Put(name, value string) {
	v := &Node{Kind: '0', Text: value, touched: true, formed: true}
	for i := range n.Members {
		if n.Members[i].Name == name {
			n.Members[i].Value = v
			return
		}
	}
	n.Members = append(n.Members, Member{Name: name, Value: v})
}

// At follows names through objects; nil where one is missing.
func (n *Node) At(names ...string) *Node {
	for _, name := range names {
		var next *Node
		if n != nil {
			for i := range n.Members {
				if n.Members[i].Name == name {
					next = n.Members[i].Value
				}
			}
		}
		n = next
	}
	return n
}

// Str is the string that a member is, "" for anything else.
func (n *Node) Str(names ...string) string {
	if v := n.At(names...); v != nil && v.Kind == '"' {
		return v.Text
	}
	return ""
}

// List is what an array holds.
func (n *Node) List(names ...string) []*Node {
	if v := n.At(names...); v != nil && v.Kind == '[' {
		return v.Items
	}
	return nil
}

// Int is the whole number that a member is; false for anything else.
func (n *Node) Int(names ...string) (int64, bool) {
	v := n.At(names...)
	if v == nil || v.Kind != '0' || len(v.Text) == 0 || len(v.Text) > 18 {
		return 0, false
	}
	var out int64
	for _, c := range []byte(v.Text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		out = out*10 + int64(c-'0')
	}
	return out, true
}
