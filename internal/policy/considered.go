package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// An Explanation is a decision with each rule that was looked at for it.
type Explanation struct {
	Decision
	Considered []Considered // those that matched first, then the others
	Elsewhere  int          // rules that are for other kinds, and were not looked at
	Risk       Risk
}

// A Considered rule is one for a kind of the action, and why it matched or did not.
type Considered struct {
	Hit
	Mode    string // "enforce", "shadow" or "off"
	File    string
	Line    int
	Matched bool
	Watches bool // it matches, and is only recorded
	Why     string
}

// ExplainAll decides in as Decide does, and says of every rule for its kinds why it
// matched or did not. It takes its time.
func (s *Set) ExplainAll(in *Input) Explanation {
	x := Explanation{Decision: s.Explain(in), Risk: RiskOf(in)}
	kinds := kindsOf(in.Action)
	for _, matched := range []bool{true, false} {
		from := len(x.Considered)
		for _, r := range s.rules {
			if r.kinds&kinds == 0 {
				if matched {
					x.Elsewhere++
				}
				continue
			}
			sees := x.sees(r, in)
			if is := r.mode != off && r.matches(sees); is == matched {
				h := r.hit
				h.Atoms, h.Tags = r.atoms(sees), r.tags
				x.Considered = append(x.Considered, Considered{
					Hit: h, Mode: modeNames()[r.mode], File: r.at.file, Line: r.at.line, Matched: is, Watches: is && r.watching(in), Why: r.why(in, sees, is),
				})
			}
		}
		sortConsidered(x.Considered[from:])
	}
	return x
}

func sortConsidered(c []Considered) {
	for i := 1; i < len(c); i++ {
		for j := i; j > 0 && hitBefore(&c[j].Hit, &c[j-1].Hit); j-- {
			c[j], c[j-1] = c[j-1], c[j]
		}
	}
}

// why says in words why r matched, or did not.
func (r *rule) why(in, sees *Input, matched bool) string {
	first := func(want Tri) string {
		for _, a := range r.atoms(sees) {
			if a.Holds == want {
				return a.Expr
			}
		}
		return ""
	}
	lines := holds(r.lines, sees)
	when := Yes
	if r.when != nil {
		when = r.when.test(sees, "")
	}
	switch {
	case r.mode == off:
		return "it is off"
	case matched && r.watching(in) && r.then == thenAllow:
		return "it matches and only watches: a permitting rule in shadow mode never begins to permit"
	case matched && r.mode == shadow && in.Time.IsZero() && !r.watching(in):
		return "it matches and acts: at an unknown time its shadow mode may have ended, on " + r.until.AddDate(0, 0, -1).Format(time.DateOnly)
	case matched && r.mode == shadow && !r.watching(in):
		return "it matches and acts: its shadow mode ended on " + r.until.AddDate(0, 0, -1).Format(time.DateOnly)
	case matched && r.watching(in):
		return "it matches and only watches until " + r.until.AddDate(0, 0, -1).Format(time.DateOnly)
	case matched && r.then == thenDeny && r.unless != nil && in.Action.Claims.BreakGlass:
		return "it matches; break-glass turns its deny into a review"
	case matched && (lines == DontKnow || when == DontKnow):
		return fmt.Sprintf("'%s' is unknown, and a rule that restricts matches what it can't rule out", first(DontKnow))
	case matched && len(r.lines) == 0 && r.when == nil:
		return "it matches whatever is of its kinds"
	case matched:
		return "its conditions hold"
	case lines == No:
		return fmt.Sprintf("'%s' doesn't hold", first(No))
	case lines == DontKnow:
		return fmt.Sprintf("'%s' is unknown, and a rule that permits must be sure", first(DontKnow))
	case when == No && len(r.when.atoms) == 1:
		return fmt.Sprintf("'%s' doesn't hold", r.when.atoms[0].text)
	case when == No:
		return "its condition doesn't hold"
	}
	return fmt.Sprintf("'%s' is unknown, and a rule that permits must be sure", first(DontKnow))
}

// A GivenFact is one key of given:, as the command line takes it.
type GivenFact struct {
	Key, Doc      string
	List, Mapping bool
}

// GivenFacts lists what given: may say. It is not to be written to.
func GivenFacts() []GivenFact { return givenFacts() }

var givenFacts = sync.OnceValue(func() []GivenFact {
	var out []GivenFact
	for _, f := range facts() {
		doc, _, _ := strings.Cut(f.doc, ";")
		out = append(out, GivenFact{Key: f.key, Doc: strings.ReplaceAll(doc, "`", ""), List: strings.Contains(doc, "list"), Mapping: strings.HasPrefix(doc, "mapping")})
	}
	return out
})

// Given reads the facts of one action, in the words of given: of a pack's tests. JSON will
// do. Facts without a time are of now; with the zero time theirs is unknown.
func Given(file string, data []byte, now time.Time) (*Input, error) {
	if text := bytes.TrimSpace(data); bytes.HasPrefix(text, []byte("{")) && json.Valid(text) {
		var b bytes.Buffer // without the tabs that YAML doesn't take
		if err := json.Indent(&b, text, "", "  "); err == nil {
			data = b.Bytes()
		}
	}
	d := &decoder{file: file, now: now}
	root := d.parseYAML(data)
	if root == nil || len(d.errs) > 0 {
		return nil, d.errs
	}
	in := d.given(root)
	if len(d.errs) > 0 {
		return nil, d.errs
	}
	return &in, nil
}

// plainWord reports text that YAML takes as it is, without quotes.
func plainWord(s string) bool {
	if s == "null" || s == "" || len(s) > 1 && s[0] == '0' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'; !letter && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}

// GivenWords is the text that Given takes for what a command line says: key by key
// its values, those of a mapping as name=value.
func GivenWords(key string, values []string) string {
	for _, f := range GivenFacts() {
		if f.Key != key {
			continue
		}
		word := func(s string) string {
			if s == "unknown" || plainWord(s) {
				return s
			}
			return quoted(s, false)
		}
		var parts []string
		for _, v := range values {
			if name, value, ok := strings.Cut(v, "="); ok && f.Mapping {
				parts = append(parts, word(name)+": "+word(value))
				continue
			}
			parts = append(parts, word(v))
		}
		switch {
		case f.Mapping && (len(values) != 1 || values[0] != "unknown"):
			return key + ": { " + strings.Join(parts, ", ") + " }\n"
		case f.List && (len(values) != 1 || values[0] == ""):
			if len(values) == 1 {
				parts = nil
			}
			return key + ": [" + strings.Join(parts, ", ") + "]\n"
		}
		return key + ": " + strings.Join(parts, ",") + "\n"
	}
	return ""
}

// Asks says in words whom q asks for: "2 of group:owners, by console, within 15m0s".
func (q *Requirement) Asks() string {
	seats := func(list []Seats, word string) string {
		var parts []string
		for _, s := range list {
			parts = append(parts, fmt.Sprintf("%d of %s", s.Count, s.Group))
		}
		return strings.Join(parts, word)
	}
	var parts []string
	if len(q.From) > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s", q.Count, strings.Join(q.From, " or ")))
	}
	for _, part := range []string{seats(q.AllOf, " and "), seats(q.AnyOf, " or ")} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if q.More > 0 {
		parts = append(parts, fmt.Sprintf("%d more", q.More))
	}
	out := strings.Join(parts, " and ")
	if q.Assurance != "" {
		out += ", by " + q.Assurance
	}
	if q.Issuers != "" {
		out += ", of issuers: " + q.Issuers
	}
	if q.Reciprocal {
		out += ", nobody whose own action they approved"
	}
	if q.Expires > 0 {
		out += ", within " + q.Expires.String()
	}
	return out
}
