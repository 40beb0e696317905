package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// A part is literal text and the variable after it, with the key when it is a map's entry.
type part struct {
	text     string
	variable *variable
	key      string
}

func (p *part) render(in *Input) string {
	switch v := p.variable; {
	case p.key == "":
		return v.render(in)
	case v.texts != nil:
		return strconv.Quote(clip(v.texts(in, p.key)))
	default:
		if n, ok := v.count(in, p.key); ok {
			return strconv.FormatInt(n, 10)
		}
	}
	return "unknown"
}

// parts finds the variables in the text of an atom, outside its quoted strings.
func (c *compiler) parts(text string) []part {
	var out []part
	quote, from := byte(0), 0
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; {
		case quote != 0 && ch == '\\':
			i++
		case quote != 0 && ch == quote:
			quote = 0
		case quote != 0:
		case ch == '"' || ch == '\'':
			quote = ch
		case wordByte(ch):
			end := i
			for end < len(text) && (wordByte(text[end]) || text[end] == '.') {
				end++
			}
			if v, length := c.longest(text[i:end]); v != nil {
				key, past := entry(v, text[i+length:])
				end = max(end, i+length+past)
				out = append(out, part{text: text[from : i+length+past], variable: v, key: key})
				from = i + length + past
			}
			i = end - 1
		}
	}
	return append(out, part{text: text[from:]})
}

// entry is the key of the map's entry that rest goes on to name, as ["key"] or
// .key, and how long that is.
func entry(v *variable, rest string) (key string, length int) {
	if v.texts == nil && v.count == nil {
		return "", 0
	}
	if strings.HasPrefix(rest, `["`) {
		if n := strings.Index(rest, `"]`); n > 2 && !strings.Contains(rest[2:n], "\\") {
			return rest[2:n], n + 2
		}
		return "", 0
	}
	n := 1
	for n < len(rest) && rest[0] == '.' && wordByte(rest[n]) {
		n++
	}
	if n == 1 {
		return "", 0
	}
	return rest[1:n], n
}

func wordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// longest is the variable that name begins with: "resource.labels" of "resource.labels.team".
func (c *compiler) longest(name string) (*variable, int) {
	for n := len(name); n > 0; n = strings.LastIndexByte(name[:n], '.') {
		if v, ok := c.vars[name[:n]]; ok {
			return v, n
		}
	}
	return nil, 0
}

// explain is the atom with the values its variables have: "data.rows (4821) > 1000 ✓".
func (a *atom) explain(in *Input) Atom {
	var b strings.Builder
	for _, p := range a.parts {
		b.WriteString(p.text)
		if p.variable != nil {
			b.WriteString(" (" + p.render(in) + ")")
		}
	}
	holds := a.test(in, "")
	b.WriteString([...]string{" ?", " ✗", " ✓"}[holds])
	if a.bound && !in.Action.Data.Rows.Known {
		b.WriteString(", enforced as a limit")
	}
	return Atom{Expr: a.text, Value: b.String(), Holds: holds}
}

// A template is a reason with {{variables}}.
type template []part

// template reads text once, at load. Each error names its place in text.
func (c *compiler) template(text string) (out template, errs []*celError) {
	rest, at := text, celError{line: 1}
	for {
		before, after, found := strings.Cut(rest, "{{")
		out = append(out, part{text: before})
		if !found {
			return out, errs
		}
		at.pass(before)
		name, next, closed := strings.Cut(after, "}}")
		if !closed {
			return nil, append(errs, at.because("'{{' without '}}'", "close it, as in {{data.rows}}"))
		}
		v, key, ok := c.named(strings.TrimSpace(name))
		switch {
		case !ok:
			known := append([]string{"data.summary"}, c.names...)
			errs = append(errs, at.because(fmt.Sprintf("there is no variable '%s'", strings.TrimSpace(name)), didYouMean(strings.TrimSpace(name), known)))
		case v.private:
			errs = append(errs, at.because(fmt.Sprintf("'%s' is the asker's free text", v.name), "the card shows it, marked as the asker's words"))
		case key != "" && v.count != nil && len(v.enum) > 0 && !contains(v.enum, key):
			errs = append(errs, at.because(fmt.Sprintf("'%s' is never an entry of %s", clip(key), v.name), didYouMean(key, v.enum)))
		}
		out = append(out, part{variable: v, key: key})
		at.pass("{{" + name + "}}")
		rest = next
	}
}

// pass moves a place behind text.
func (e *celError) pass(text string) {
	if n := strings.Count(text, "\n"); n > 0 {
		e.line += n
		e.column, text = 0, text[strings.LastIndexByte(text, '\n')+1:]
	}
	e.column += len([]rune(text))
}

// because is a mistake at the place.
func (e *celError) because(msg, remedy string) *celError {
	return &celError{line: e.line, column: e.column, msg: msg, remedy: remedy}
}

// named is the variable that a template names, and the key of a map's entry.
func (c *compiler) named(name string) (v *variable, key string, ok bool) {
	if v, ok = c.vars[name]; ok {
		return v, "", true
	}
	base, _, _ := strings.Cut(name, "[")
	v, length := c.longest(base)
	if v == nil {
		return nil, "", false
	}
	key, past := entry(v, name[length:])
	return v, key, key != "" && length+past == len(name)
}

// static is what a reason says of h when its template can't be filled in.
func (h *Hit) static(in *Input) string {
	kinds := make([]string, len(in.Action.Kinds))
	for i, k := range in.Action.Kinds {
		kinds[i] = string(k)
	}
	return "rule " + h.Name() + " on " + strings.Join(kinds, ", ")
}

// fill renders t, or the static text of h when a fact can't be read: a reason that
// can't be told must not undo the decision that it is for.
func (s *Set) fill(t template, h *Hit, in *Input) (text string) {
	defer func() {
		if recover() != nil {
			s.unfilled.Add(1)
			if _, known := s.failed.LoadOrStore(h.Name(), true); s.options.Unfilled != nil {
				s.options.Unfilled(h.Name(), !known)
			}
			text = h.static(in)
		}
	}()
	return t.render(in)
}

// Unfilled is how many reasons could not be filled in since s was loaded.
func (s *Set) Unfilled() int64 {
	if s == nil {
		return 0
	}
	return s.unfilled.Load()
}

func (t template) render(in *Input) string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.text)
		if p.variable != nil {
			b.WriteString(p.render(in))
		}
	}
	return b.String()
}

// RenderReason fills in and returns d.Reason, and the reason of each
// requirement. in is what d was decided from. The text holds figures of facts:
// it is for reviewers and the log, never for the agent.
func (d *Decision) RenderReason(in *Input) string {
	if d.set == nil || in == nil || in.Action == nil {
		return d.Reason
	}
	if d.narrow {
		in = d.narrowed
	}
	var parts []string
	for _, h := range d.Rules {
		if h.Then != d.Verdict.String() {
			continue
		}
		if text := d.set.reason(h, in); text != "" && !contains(parts, text) {
			parts = append(parts, text)
		}
	}
	for i := range d.Requirements {
		if q := &d.Requirements[i]; q.Rule != RuleDefault {
			q.Reason = d.set.reason(Hit{Rule: q.Rule, Pack: q.Pack}, in)
		}
	}
	d.Reason = strings.Join(parts, "; ")
	return d.Reason
}

func (s *Set) reason(h Hit, in *Input) string {
	if r := s.rule(h.Pack, h.Rule); r != nil {
		return s.fill(r.reason, &h, in)
	}
	if h.Rule == RuleDefault {
		return "no rule permits " + strings.Join(s.uncovered(in), ", ")
	}
	return ""
}
