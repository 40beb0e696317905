package mask

import (
	"strings"
	"unsafe"

	"github.com/assenthq/assent/internal/detect"
)

// A Span is a place in a statement where a value was replaced.
type Span struct {
	Start, End int
	Class      string
}

// MaskStatement redacts every finding of any class, whatever policy says: for
// cards, logs and records. Where the text names a column or option that holds
// secrets (password, token, …), each literal in it is redacted: which of them is
// the secret only a parser could tell, and a password looks like any word.
// spans are places in masked.
func MaskStatement(text string, e *detect.Engine) (masked string, spans []Span, counts map[string]int64) {
	return MaskStatementLike(text, e, nil)
}

// MaskedValue is what stood at span n of a statement that MaskStatement masked, and its
// class; false when there is no such span.
func MaskedValue(text string, e *detect.Engine, n int) (value, class string, ok bool) {
	pooled := e.FindAlike([]byte(text), nil)
	defer pooled.Free()
	found := withLiterals(text, e, pooled.List)
	if n < 0 || n >= len(found) {
		return "", "", false
	}
	return text[found[n].Start:found[n].End], string(found[n].Class), true
}

// Alike is what is remembered of statements that begin alike, as detect.Alike is: it
// changes no answer. It belongs to one goroutine at a time.
type Alike struct {
	values detect.Alike
	names  []byte // what statements began with that speaks of no secrets
}

// MaskStatementLike is MaskStatement for a statement that may begin as others did. like may be nil.
func MaskStatementLike(text string, e *detect.Engine, like *Alike) (masked string, spans []Span, counts map[string]int64) {
	var values *detect.Alike
	if like != nil {
		values = &like.values
	}
	pooled := e.FindAlike(unsafe.Slice(unsafe.StringData(text), len(text)), values) // which only reads it
	defer pooled.Free()
	found := pooled.List
	if len(found) == 0 && !like.speaksOfSecrets(text, e) {
		return text, nil, nil
	}
	var out strings.Builder
	at := 0
	for _, f := range withLiterals(text, e, found) {
		if counts == nil {
			counts = map[string]int64{}
		}
		counts[string(f.Class)]++
		out.WriteString(text[at:f.Start])
		start := out.Len()
		out.WriteString(tag(f.Class))
		spans = append(spans, Span{Start: start, End: out.Len(), Class: string(f.Class)})
		at = f.End
	}
	if counts == nil {
		return text, nil, nil
	}
	out.WriteString(text[at:])
	return out.String(), spans, counts
}

// speaksOfSecrets reports whether a word outside of literals names secrets. What
// split finds is found without keeping it.
func (like *Alike) speaksOfSecrets(text string, e *detect.Engine) bool {
	from := 0
	if like != nil && len(text) > len(like.names) && text[:len(like.names)] == string(like.names) {
		from = len(like.names)
	}
	secret := false
	settled := walk(text, from, func(int, int) {}, func(name string) {
		if c, _ := e.Column(name, nil); c == detect.Sensitive {
			secret = true
		}
	})
	if like != nil && from == 0 && !secret && settled <= maxAlike {
		like.names = append(like.names[:0], text[:settled]...)
	}
	return secret
}

// maxAlike is how much of a statement is remembered, in bytes.
const maxAlike = 4 << 10

// withLiterals adds the text's literals to found where a name in it speaks of secrets.
// What was found inside a literal gives way to the whole of it.
func withLiterals(text string, e *detect.Engine, found []detect.Finding) []detect.Finding {
	literals, names := split(text)
	secret := false
	for _, n := range names {
		if c, _ := e.Column(n, nil); c == detect.Sensitive {
			secret = true
		}
	}
	if !secret || len(literals) == 0 {
		return found
	}
	var out []detect.Finding
	for len(literals) > 0 || len(found) > 0 {
		switch {
		case len(literals) == 0 || len(found) > 0 && found[0].End <= literals[0].Start:
			out, found = append(out, found[0]), found[1:]
		case len(found) > 0 && found[0].Start < literals[0].End && found[0].Start < literals[0].Start:
			// It begins before the literal: one span over both.
			literals[0].Start, found = found[0].Start, found[1:]
		case len(found) > 0 && found[0].Start < literals[0].End:
			literals[0].End, found = max(literals[0].End, found[0].End), found[1:]
		default:
			out, literals = append(out, literals[0]), literals[1:]
		}
	}
	return out
}

// split finds the insides of quoted literals, and the words outside of them. It
// needs not be exact: a quote that doesn't end takes the rest of the text.
func split(text string) (literals []detect.Finding, names []string) {
	walk(text, 0, func(start, end int) {
		literals = append(literals, detect.Finding{Start: start, End: end, Class: detect.Sensitive})
	}, func(name string) { names = append(names, name) })
	return literals, names
}

// walk tells of the pieces of text from from on. Texts that begin with text[:settled]
// have the same pieces up to there, and a piece begins there: what is told apart
// by what follows it, and numbers, in which texts differ, come later.
func walk(text string, from int, literal func(start, end int), word func(string)) (settled int) {
	settled, plain := from, true
	for i := from; i < len(text); {
		switch c := text[i]; {
		case c == '\'':
			plain = false
			end := literalEnd(text, i+1)
			if end > i+1 {
				literal(i+1, end)
			}
			i = end + 1
		case c == '$':
			plain = false
			tagEnd := strings.IndexByte(text[i+1:], '$')
			if tagEnd < 0 || strings.ContainsAny(text[i+1:i+1+tagEnd], " \t\n'\"(),;") {
				i++
				continue
			}
			quote := text[i : i+tagEnd+2]
			start := i + len(quote)
			end := len(text)
			if k := strings.Index(text[start:], quote); k >= 0 {
				end = start + k
			}
			if end > start {
				literal(start, end)
			}
			i = min(end+len(quote), len(text))
		case c >= '0' && c <= '9': // a number names nothing
			plain = false
			for i < len(text) && isWord(text[i]) {
				i++
			}
		case isWord(c):
			start := i
			for i < len(text) && isWord(text[i]) {
				i++
			}
			word(text[start:i])
		default:
			if i++; plain {
				settled = i
			}
		}
	}
	return settled
}

// literalEnd is where a literal that began before i ends: at a quote that is
// neither doubled nor behind a backslash. Reading a backslash as an escape where
// it is none only makes the literal longer.
func literalEnd(text string, i int) int {
	for i < len(text) {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '\'' && i+1 < len(text) && text[i+1] == '\'':
			i++
		case text[i] == '\'':
			return i
		}
		i++
	}
	return len(text)
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}
