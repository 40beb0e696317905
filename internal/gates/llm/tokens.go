package llm

import (
	"bytes"
	"crypto/rand"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/jsontext"
)

// tokens are what stands for values in one exchange. They mean nothing in any other: their
// names end in letters drawn for this one, and nothing else is restored.
type tokens struct {
	suffix string
	byText map[string]string // class and value, to token
	values map[string]string // token, to value
	counts map[string]int
}

const (
	opening    = "⟦"
	closing    = "⟧"
	openEscape = `\u27e6`
	endEscape  = `\u27e7`
	longest    = 64 // bytes of a token's name at most
)

// newTokens makes an empty set whose names stand nowhere in body.
func newTokens(body []byte) *tokens {
	t := &tokens{byText: map[string]string{}, values: map[string]string{}, counts: map[string]int{}}
	for t.suffix == "" || bytes.Contains(body, []byte(t.suffix)) {
		t.suffix = strings.ToLower(rand.Text()[:8])
	}
	return t
}

// of is the token of a value; the same one each time.
func (t *tokens) of(class, value string) string {
	k := class + "\x00" + value
	if token := t.byText[k]; token != "" {
		return token
	}
	t.counts[class]++
	token := opening + strings.ReplaceAll(class, "-", "_") + "_" + strconv.Itoa(t.counts[class]) + "_" + t.suffix + closing
	t.byText[k], t.values[token] = token, t.restore(value, false) // it may hold another one
	return token
}

// is says that text is a token of this exchange and nothing else.
func (t *tokens) is(text string) bool { return t.values[text] != "" }

// restore puts values back into a whole text.
func (t *tokens) restore(text string, escaped bool) string {
	if len(t.values) == 0 || !strings.Contains(text, t.suffix) {
		return text
	}
	r := restorer{tokens: t, escaped: escaped}
	out := r.add(nil, []byte(text))
	return string(r.end(out))
}

// A restorer puts values back into text that comes in pieces. What may still become a token is kept
// back, and nothing else but half a letter.
type restorer struct {
	tokens  *tokens
	escaped bool // the text is what stands between the quotes of JSON, or JSON itself
	kept    []byte
}

// add appends to out what is certain of the text so far.
func (r *restorer) add(out, piece []byte) []byte {
	text := piece
	if len(r.kept) > 0 {
		text = append(r.kept, piece...)
		r.kept = nil
	}
	at := 0
	for at < len(text) {
		n, value, more := r.begins(text[at:])
		switch {
		case more:
			r.kept = bytes.Clone(text[at:])
			return out
		case value != nil:
			out = append(out, value...)
		default:
			out = append(out, text[at:at+n]...)
		}
		at += n
	}
	return out
}

// end appends what is kept back: no token comes of it any more.
func (r *restorer) end(out []byte) []byte {
	out = append(out, r.kept...)
	r.kept = nil
	return out
}

// begins looks at the beginning of text. It takes n bytes, which stand for value unless that is nil. more:
// it can't be told yet.
func (r *restorer) begins(text []byte) (n int, value []byte, more bool) {
	var head int
	switch c := text[0]; {
	case c == opening[0]:
		if len(text) < len(opening) {
			return 1, nil, opening[:len(text)] == string(text)
		}
		if string(text[:len(opening)]) != opening {
			return 1, nil, false
		}
		head = len(opening)
	case c == '\\' && r.escaped:
		if len(text) < 2 {
			return 0, nil, true
		}
		if text[1] != 'u' {
			return 2, nil, false
		}
		if len(text) < len(openEscape) {
			if strings.EqualFold(openEscape[:len(text)], string(text)) {
				return 0, nil, true
			}
			return 2, nil, false
		}
		if !strings.EqualFold(string(text[:len(openEscape)]), openEscape) {
			return 2, nil, false
		}
		head = len(openEscape)
	case c >= utf8.RuneSelf && !utf8.FullRune(text):
		return 1, nil, true
	case c >= utf8.RuneSelf:
		_, n := utf8.DecodeRune(text)
		return n, nil, false
	default:
		return 1, nil, false
	}
	name := head
	for name < len(text) && name-head <= longest && (text[name] >= 'a' && text[name] <= 'z' || text[name] >= '0' && text[name] <= '9' || text[name] == '_') {
		name++
	}
	if name-head > longest {
		return head, nil, false
	}
	rest := text[name:]
	for _, end := range []string{closing, endEscape} {
		if end == endEscape && !r.escaped {
			continue
		}
		if len(rest) < len(end) {
			if strings.EqualFold(end[:len(rest)], string(rest)) {
				return 0, nil, true
			}
			continue
		}
		if strings.EqualFold(end, string(rest[:len(end)])) {
			v, ours := r.tokens.values[opening+string(text[head:name])+closing]
			if !ours {
				return name + len(end), nil, false
			}
			value = []byte(v)
			if r.escaped {
				quoted := jsontext.Append(nil, value)
				value = quoted[1 : len(quoted)-1]
			}
			return name + len(end), value, false
		}
	}
	return head, nil, false
}
