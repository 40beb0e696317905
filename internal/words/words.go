// Package words keeps what pages say apart from how they are built: it takes the
// sentences out of html/template sources and puts others in their place, so that a
// page is translated once, when it is parsed, and not with each showing.
//
// A sentence is the text between tags, or an attribute that people read, with the
// values in it as {0}, {1} …: a translation may order them as its language does. It
// is inserted as text: no translation brings markup or code into a page. Words that
// a program puts together while it runs are not seen here.
package words

import (
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A Catalog is sentences in English and what they are in another language.
type Catalog map[string]string

// Parse reads a catalogue, a JSON object of strings, and refuses one whose
// translations lack or add values. An empty translation stands for none yet.
func Parse(data []byte) (Catalog, error) {
	var c Catalog
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("a catalogue is a JSON object of English sentences and their translations: %w", err)
	}
	for en, to := range c {
		if to == "" {
			continue
		}
		if strings.ContainsAny(placeholder.ReplaceAllString(to, ""), "{}") {
			return nil, fmt.Errorf("the translation of %q has braces that are no value's: write the text without them", en)
		}
		if a, b := values(en), values(to); !slices.Equal(a, b) {
			return nil, fmt.Errorf("the translation of %q has the values %v, and the sentence %v: each stands there once", en, b, a)
		}
	}
	return c, nil
}

var placeholder = regexp.MustCompile(`\{(\d+)\}`)

// values are the placeholders of a sentence, sorted.
func values(s string) []string {
	var out []string
	for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return out
}

// Sentences are those of a template's source, in their order, each once.
func Sentences(source string) []string {
	var out []string
	Translate(source, func(en string) string {
		if !slices.Contains(out, en) {
			out = append(out, en)
		}
		return ""
	})
	return out
}

// Translate returns source with each sentence replaced by what say returns for
// it; "" leaves it.
func Translate(source string, say func(en string) string) string {
	t := &translator{in: source, say: say}
	for t.at < len(t.in) {
		t.next()
	}
	t.flush()
	return t.out.String()
}

// What people read of a tag, beside what stands between tags.
var (
	readable = regexp.MustCompile(`(\s(?:title|aria-label|placeholder|alt))="((?:[^"{]|\{\{[^}]*\}\}|\{)*)"`)
	// silent elements hold nothing that is a sentence.
	silent  = map[string]bool{"script": true, "style": true, "svg": true, "code": true, "pre": true, "kbd": true, "tspan": true}
	control = regexp.MustCompile(`^\{\{-?\s*(if|else|end|range|with|define|block|break|continue|/\*|\$\w+\s*:?=)`)
)

// A part of a run: text, or a value that is put in while the page is drawn.
type part struct {
	text  string
	value bool
}

type translator struct {
	in   string
	at   int
	say  func(string) string
	out  strings.Builder
	run  []part
	mute string // the silent element that is open
}

// next takes one tag, action or stretch of text.
func (t *translator) next() {
	rest := t.in[t.at:]
	switch {
	case strings.HasPrefix(rest, "{{"):
		end := actionEnd(rest)
		action := rest[:end]
		t.at += end
		if t.mute == "" && !control.MatchString(action) {
			t.run = append(t.run, part{action, true})
			return
		}
		t.flush()
		t.out.WriteString(action)
	case rest[0] == '<':
		t.flush()
		end := tagEnd(rest)
		tag := rest[:end]
		t.at += end
		t.out.WriteString(t.tag(tag))
	default:
		n := strings.IndexAny(rest[1:], "<{")
		if n < 0 {
			n = len(rest)
		} else {
			n++
		}
		if t.mute != "" {
			t.out.WriteString(rest[:n])
		} else {
			t.run = append(t.run, part{rest[:n], false})
		}
		t.at += n
	}
}

// tag translates the attributes that people read, and notes silent elements.
func (t *translator) tag(tag string) string {
	name := strings.ToLower(strings.TrimLeft(tag, "</"))
	if i := strings.IndexFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }); i >= 0 {
		name = name[:i]
	}
	switch {
	case strings.HasPrefix(tag, "</"):
		if t.mute == name {
			t.mute = ""
		}
		return tag
	case t.mute == "" && silent[name] && !strings.HasSuffix(tag, "/>"):
		t.mute = name
	}
	return readable.ReplaceAllStringFunc(tag, func(attr string) string {
		m := readable.FindStringSubmatch(attr)
		inner := &translator{in: m[2], say: t.say}
		for inner.at < len(inner.in) {
			inner.next()
		}
		inner.flush()
		return m[1] + `="` + inner.out.String() + `"`
	})
}

// flush ends a run of text and values, and says it in the other language.
func (t *translator) flush() {
	run := t.run
	t.run = nil
	whole := func() {
		for _, p := range run {
			t.out.WriteString(p.text)
		}
	}
	var en strings.Builder
	words := false
	n := 0
	for _, p := range run {
		if p.value {
			en.WriteString("{" + strconv.Itoa(n) + "}")
			n++
			continue
		}
		text := html.UnescapeString(p.text)
		words = words || strings.IndexFunc(text, unicode.IsLetter) >= 0
		en.WriteString(text)
	}
	key := strings.TrimSpace(en.String())
	if !words {
		whole()
		return
	}
	to := t.say(strings.Join(strings.Fields(key), " "))
	if to == "" {
		whole()
		return
	}
	lead := en.String()[:strings.Index(en.String(), key)]
	tail := en.String()[len(lead)+len(key):]
	t.out.WriteString(lead)
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(to, -1) {
		t.out.WriteString(html.EscapeString(to[at:m[0]]))
		i, _ := strconv.Atoi(to[m[2]:m[3]])
		k := 0
		for _, p := range run {
			if p.value {
				if k == i {
					t.out.WriteString(p.text)
				}
				k++
			}
		}
		at = m[1]
	}
	t.out.WriteString(html.EscapeString(to[at:]))
	t.out.WriteString(tail)
}

// actionEnd is the length of the action at the start of s; strings in it may hold braces.
func actionEnd(s string) int {
	for i := 2; i < len(s); i++ {
		switch s[i] {
		case '"', '`':
			quote := s[i]
			for i++; i < len(s) && s[i] != quote; i++ {
				if quote == '"' && s[i] == '\\' {
					i++
				}
			}
		case '}':
			if i+1 < len(s) && s[i+1] == '}' {
				return i + 2
			}
		}
	}
	return len(s)
}

// tagEnd is the length of the tag at the start of s; actions and quoted values may hold anything.
func tagEnd(s string) int {
	quote := byte(0)
	for i := 1; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "{{"):
			i += actionEnd(s[i:]) - 1
		case quote != 0:
			if s[i] == quote {
				quote = 0
			}
		case s[i] == '"' || s[i] == '\'':
			quote = s[i]
		case s[i] == '>':
			return i + 1
		}
	}
	return len(s)
}
