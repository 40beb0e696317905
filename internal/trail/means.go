package trail

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
)

// Bounds of what is remembered of the answers that a session read.
const (
	maxRecords = 4096
	maxAnswer  = 256 << 10
	maxField   = 256 // bytes of a member's value that is remembered
	maxFields  = 32  // of one record
)

// A record is an object of a structured answer: what it calls itself, and the values that stand in it by themselves.
type record struct {
	names, values []string
	says          []string // its description
}

// titles are members by which an object says what it is called. What stands in any other can name nothing:
// others write bodies, and states and owners are shared by many.
var titles = map[string]bool{
	"name": true, "title": true, "subject": true, "filename": true, "file_name": true, "full_name": true, "fullname": true,
	"display_name": true, "displayname": true, "label": true, "slug": true, "summary": true, "email": true,
}

// Returned takes in what an action of the session brought back, so that an id in it stands for the thing that it is
// the id of. It is kept in memory alone, in this process, and only for a session that has a prompt.
func (b *Book) Returned(session string, texts [][]byte) {
	var found []record
	for _, t := range texts {
		var v any
		if len(t) <= maxAnswer && json.Unmarshal(t, &v) == nil {
			found = records(found, v, 0)
		}
	}
	if len(found) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := b.prompts[session]; k != nil && k.prompt != nil && k.prompt.Whole != "" {
		k.records = append(k.records, found...)
		if more := len(k.records) - maxRecords; more > 0 {
			k.records = slices.Delete(k.records, 0, more)
		}
	}
}

// records finds the objects in v.
func records(out []record, v any, depth int) []record {
	if depth > 16 || len(out) >= maxRecords {
		return out
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			out = records(out, e, depth+1)
		}
	case map[string]any:
		var r record
		for k, e := range v {
			if s, is := e.(string); is && titles[strings.ToLower(k)] && s != "" && len(s) <= maxField {
				r.names = append(r.names, s)
			}
			if s, is := e.(string); is && strings.EqualFold(k, "description") && len(s) <= maxField {
				r.says = append(r.says, s)
			}
			if of, is := e.(map[string]any); is {
				r.values = addresses(r.values, of)
			}
			r.values = fields(r.values, e)
			out = records(out, e, depth+1)
		}
		if len(r.names) > 0 && len(r.values) > 1 {
			out = append(out, r)
		}
	}
	return out
}

// addresses are those that a member tells something about each of, as with whom a file is shared.
func addresses(out []string, of map[string]any) []string {
	for k := range of {
		if strings.Contains(k, "@") && len(k) <= maxField && len(out) < maxFields {
			out = append(out, k)
		}
	}
	return out
}

// fields are texts and numbers that stand by themselves in a member, or in a list of it.
func fields(out []string, v any) []string {
	if list, is := v.([]any); is {
		for _, e := range list {
			if _, inner := e.([]any); !inner {
				out = fields(out, e)
			}
		}
		return out
	}
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case float64:
		b, _ := json.Marshal(v)
		s = string(b)
	}
	if s == "" || len(s) > maxField || len(out) >= maxFields || strings.ContainsAny(s, "\n\r") {
		return out
	}
	return append(out, s)
}

// Means says whether the prompt of a session names everything that an action is about: "yes", "no", or
// "" where nobody can tell. A value is named where the prompt has it, as it stands; or where it
// stands by itself in an object that the session read, and the prompt has that object's name. An id counts the second
// way only, and there one word of the name may be missing at either end. A text that the prompt gives with blanks may be filled in.
func (b *Book) Means(session string, p *approval.Prompt, a *action.Action) string {
	if len(a.Named) == 0 {
		return Names(p, a.Target)
	}
	if p == nil || p.Whole == "" {
		return "" // what is kept of a prompt is masked, and so can't be told apart
	}
	b.mu.Lock()
	var read []record
	if k := b.prompts[session]; k != nil && k.prompt == p {
		read = slices.Clone(k.records)
	}
	b.mu.Unlock()
	words := wordsOf(p.Whole)
	for _, n := range a.Named {
		switch {
		case !n.ID && (has(p.Whole, n.Value) || filled(p.Whole, n.Value)):
		case reached(read, words, n.Value):
		case n.ID && nearly(read, words, n.Value):
		default:
			return "no"
		}
	}
	return "yes"
}

// reached says that value stands in an object whose name the prompt has.
func reached(read []record, prompt []string, value string) bool {
	for _, r := range read {
		if !slices.ContainsFunc(r.values, func(v string) bool { return strings.EqualFold(v, value) }) {
			continue
		}
		for _, name := range r.names {
			if !strings.EqualFold(name, value) && follows(prompt, name) {
				return true
			}
		}
	}
	return false
}

// follows says that the words of a name stand in a prompt, one after the other. The
// end of a file's name may be missing.
func follows(prompt []string, name string) bool {
	n := wordsOf(name)
	if inside(prompt, n) {
		return true
	}
	dot := strings.LastIndexByte(name, '.')
	return dot > 0 && len(name)-dot <= 6 && !strings.Contains(name, "@") && inside(prompt, wordsOf(name[:dot]))
}

// inside says that words stand in a text. One short word tells nothing.
func inside(text, words []string) bool {
	if len(words) == 0 || len(words) == 1 && len(words[0]) < 4 {
		return false
	}
	for i := 0; i+len(words) <= len(text); i++ {
		if slices.Equal(text[i:i+len(words)], words) {
			return true
		}
	}
	return false
}

// wordsOf are the words of a text in lower case; digits and bytes beyond ASCII belong to words.
func wordsOf(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(c rune) bool {
		return c < 0x80 && (c < '0' || c > '9') && (c < 'a' || c > 'z')
	})
}

// has says that a text has a value as it stands, whatever the case, and that it does not go on there: doe@example.com
// is not in john.doe@example.com, nor 50 in 1.50.
func has(text, value string) bool {
	value = strings.TrimSpace(value)
	if value == "" {
		return false
	}
	for at := 0; at+len(value) <= len(text); at++ {
		if strings.EqualFold(text[at:at+len(value)], value) && begins(text, at) && ends(text, at+len(value)) {
			return true
		}
	}
	return false
}

func begins(s string, at int) bool {
	return edge(s, at-1) && (at == 0 || !strings.ContainsRune(".%+-@/\\:#", rune(s[at-1])))
}

func ends(s string, at int) bool {
	if !edge(s, at) {
		return false
	}
	if at >= len(s) {
		return true
	}
	switch s[at] {
	case '@', '-', '/', '\\', '%', '+':
		return false
	case '.', ':', ',':
		return edge(s, at+1) // the end of a sentence, and not of a host
	}
	return true
}
