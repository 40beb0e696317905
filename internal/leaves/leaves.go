// Package leaves reads a record's members from its exact stored bytes without
// decoding them: who verifies ten million records looks at each, and at most of
// each only once.
package leaves

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Fields are the members that records are found and checked by: texts as they
// stand between their quotes, Revision's digits, Kinds and Detail as JSON. What a
// record lacks is nil.
type Fields struct {
	Time, Type, Actor, Person, Approval, Resource, Session, Digest, Decision, About []byte

	Revision, Kinds, Detail []byte
}

// Read reads a leaf. It is ok only where encoding/json reads just the same: one JSON
// object (RFC 8259), its names of lower-case letters, digits and "_", none of these
// members there twice, of another type or with an escape in it (Kinds and Detail hold texts
// alone, which may have some). Anything else is for encoding/json to read.
func Read(leaf []byte) (f Fields, ok bool) {
	if !plain(leaf) {
		return f, false
	}
	r := reader{text: leaf, slashes: bytes.IndexByte(leaf, '\\') >= 0}
	if !r.take('{') {
		return f, false
	}
	for first := true; !r.take('}'); first = false {
		if !first && !r.take(',') || !r.take('"') {
			return f, false
		}
		name, ok := r.name()
		if !ok || !r.take(':') {
			return f, false
		}
		from, escapes, others := r.at, r.escapes, r.others
		kind := r.value(0)
		if kind == 0 {
			return f, false
		}
		into, want := f.member(name)
		if into == nil {
			continue
		}
		raw := leaf[from:r.at]
		if kind != want || *into != nil || kind == '"' && r.escapes != escapes || want != '0' && r.others > others+1 {
			return f, false
		}
		if kind == '"' {
			raw = raw[1 : len(raw)-1]
		}
		*into = raw
	}
	return f, r.at == len(leaf)
}

// member is where a member belongs, and what its value begins with ('0' for a number).
func (f *Fields) member(name []byte) (into *[]byte, kind byte) {
	switch string(name) {
	case "time":
		return &f.Time, '"'
	case "type":
		return &f.Type, '"'
	case "actor":
		return &f.Actor, '"'
	case "person":
		return &f.Person, '"'
	case "approval":
		return &f.Approval, '"'
	case "resource":
		return &f.Resource, '"'
	case "session":
		return &f.Session, '"'
	case "digest":
		return &f.Digest, '"'
	case "decision":
		return &f.Decision, '"'
	case "about":
		return &f.About, '"'
	case "revision":
		return &f.Revision, '0'
	case "kinds":
		return &f.Kinds, '['
	case "detail":
		return &f.Detail, '{'
	}
	return nil, 0
}

// plain reports whether there are no control characters in text, and no bytes that
// aren't UTF-8.
func plain(text []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	low, high := uint64(0), uint64(0)
	rest := text
	for ; len(rest) >= 8; rest = rest[8:] {
		x := binary.LittleEndian.Uint64(rest)
		low |= (x - ones*' ') &^ x // the top bit of a byte that is less, and of none where none is
		high |= x
	}
	for _, c := range rest {
		low |= uint64(c-' ') &^ uint64(c)
		high |= uint64(c)
	}
	return low&tops == 0 && (high&tops == 0 || utf8.Valid(text))
}

// maxDepth is how deep a record's values lie in each other at most.
const maxDepth = 16

// A reader stands at a byte of a text that has no blanks between its tokens.
type reader struct {
	text    []byte
	at      int
	slashes bool // there are some
	escapes int  // passed so far
	others  int  // values that are no texts, passed so far
}

func (r *reader) take(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

// name reads what is left of a name, and its closing quote.
func (r *reader) name() ([]byte, bool) {
	from := r.at
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return r.text[from : r.at-1], true
		case c < '0' || c > '9' && c < '_' || c == '`' || c > 'z':
			return nil, false
		}
	}
	return nil, false
}

// value reads one, and tells how it begins: with a quote, a bracket, a brace, '0' for
// any number, 't', 'f' or 'n' for a name; 0 where there is none.
func (r *reader) value(depth int) byte {
	if r.at >= len(r.text) || depth > maxDepth {
		return 0
	}
	c := r.text[r.at]
	var ok bool
	switch c {
	case '"':
		r.at++
		ok = r.string()
	case '{', '[':
		r.at++
		ok = r.list(c, depth)
	case 't':
		ok = r.word("true")
	case 'f':
		ok = r.word("false")
	case 'n':
		ok = r.word("null")
	default:
		c = '0'
		ok = r.number()
	}
	if c != '"' {
		r.others++
	}
	if !ok {
		return 0
	}
	return c
}

// list reads the rest of an array or object.
func (r *reader) list(open byte, depth int) bool {
	for first, end := true, open+2; !r.take(end); first = false { // ASCII: "]" and "}" are two behind "[" and "{"
		if !first && !r.take(',') {
			return false
		}
		if open == '{' && (!r.take('"') || !r.string() || !r.take(':')) {
			return false
		}
		if r.value(depth+1) == 0 {
			return false
		}
	}
	return true
}

// string reads the rest of a text, and its closing quote.
func (r *reader) string() bool {
	for {
		rest := r.text[r.at:]
		n := bytes.IndexByte(rest, '"')
		if n < 0 {
			return false
		}
		escape := -1
		if r.slashes {
			escape = bytes.IndexByte(rest[:n], '\\')
		}
		if escape < 0 {
			r.at += n + 1
			return true
		}
		r.escapes++
		r.at += escape + 1
		if !r.escaped() {
			return false
		}
	}
}

// escaped reads what stands behind a backslash. Half a surrogate pair passes, as it
// does in encoding/json.
func (r *reader) escaped() bool {
	c := r.text[r.at] // a quote is behind it at the latest
	r.at++
	if c != 'u' {
		return bytes.IndexByte([]byte(`"\/bfnrt`), c) >= 0
	}
	for range 4 {
		if r.at == len(r.text) || bytes.IndexByte([]byte("0123456789abcdefABCDEF"), r.text[r.at]) < 0 {
			return false
		}
		r.at++
	}
	return true
}

func (r *reader) word(w string) bool {
	if !bytes.HasPrefix(r.text[r.at:], []byte(w)) {
		return false
	}
	r.at += len(w)
	return true
}

// number reads a whole number. Records have no other.
func (r *reader) number() bool {
	r.take('-')
	from := r.at
	for r.at < len(r.text) && r.text[r.at]-'0' <= 9 {
		r.at++
	}
	return r.at > from && (r.text[from] != '0' || r.at == from+1)
}
