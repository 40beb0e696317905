package http

import (
	"fmt"
	"strings"
)

// fit says whether something fits.
type fit uint8

const (
	no    fit = iota
	near      // but for its spelling
	maybe     // nobody can see it
	yes
)

// segKind is how much a segment of a template says.
type segKind uint8

const (
	literal segKind = iota
	partial         // {id}.json
	single          // {id}
	rest            // {path...} or **
)

type seg struct {
	kind           segKind
	text           string // of a literal
	folded         string
	prefix, suffix string // of a partial
	name           string
}

// template is the path of a row.
type template struct {
	segs  []seg
	slash bool
}

// fits compares a whole path.
func (t *template) fits(r *request) fit {
	out := yes
	for i, s := range t.segs {
		if s.kind == rest {
			return out
		}
		if i >= r.n {
			return no
		}
		switch s.one(r.segs[i], i == r.n-1) {
		case no:
			return no
		case near:
			out = near
		}
	}
	if r.n > len(t.segs) {
		return no
	}
	if t.slash != r.slash {
		return near
	}
	return out
}

// one compares a segment. An ending such as .json may be cut off the last.
func (s *seg) one(v string, last bool) fit {
	switch s.kind {
	case literal:
		switch {
		case v == s.text:
			return yes
		case strings.ToLower(v) == s.folded, last && strings.ToLower(stem(v)) == s.folded:
			return near
		}
		return no
	case partial:
		if len(v) > len(s.prefix)+len(s.suffix) {
			if strings.HasPrefix(v, s.prefix) && strings.HasSuffix(v, s.suffix) {
				return yes
			}
			low := strings.ToLower(v)
			if strings.HasPrefix(low, strings.ToLower(s.prefix)) && strings.HasSuffix(low, strings.ToLower(s.suffix)) {
				return near
			}
		}
		return no
	}
	if v == "" {
		return no
	}
	return yes
}

// stem is v without an ending by which frameworks choose a format.
func stem(v string) string {
	i := strings.LastIndexByte(v, '.')
	if i < 1 || len(v)-i > 6 {
		return v
	}
	return v[:i]
}

// templateOf reads a path's template.
func templateOf(path string) (t template, bad, remedy string) {
	if strings.ContainsAny(path, "?#") {
		return t, "a path with a query", "say what the query must have under when: {query: {…}}"
	}
	parts := strings.Split(path[1:], "/")
	if parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
		t.slash = len(parts) > 0
	}
	if len(parts) > maxSegments {
		return t, "a path of more than 64 segments", ""
	}
	seen := map[string]bool{}
	for i, p := range parts {
		if p == "" {
			return t, "a path with an empty segment", "such requests are refused before they come here"
		}
		s := seg{kind: literal, text: p, folded: strings.ToLower(p)}
		open := strings.IndexByte(p, '{')
		switch {
		case p == "**":
			s = seg{kind: rest}
		case p == "*":
			s = seg{kind: single}
		case open >= 0:
			end := strings.IndexByte(p, '}')
			if end < open || strings.ContainsAny(p[end+1:], "{}") || strings.ContainsAny(p[open+1:end], "{*") {
				return t, "a segment with more than one variable, or half of one", "write {name}, once a segment; * stands for the whole of a segment"
			}
			name := p[open+1 : end]
			s = seg{kind: partial, prefix: p[:open], suffix: p[end+1:]}
			if s.prefix == "" && s.suffix == "" {
				s.kind = single
				if cut, is := strings.CutSuffix(name, "..."); is {
					name, s.kind = cut, rest
				}
			}
			if !isName(name) || seen[name] {
				return t, "a variable without a name, or with one that stands twice", "name it in letters, digits and _: {id}, or {path...} for all that follows"
			}
			seen[name] = true
			s.name = name
		case strings.ContainsAny(p, "*}\\ "):
			return t, "a segment with a character that has no place in it", "* stands for a whole segment, ** for all that follow"
		case strings.Contains(p, "%"):
			return t, "a segment that is encoded", "write it as it reads decoded"
		}
		if s.kind == rest && i != len(parts)-1 {
			return t, "something behind ** or {name...}", "it stands for all that follows"
		}
		t.segs = append(t.segs, s)
	}
	return t, "", ""
}

func isName(s string) bool {
	for i := range len(s) {
		if !nameByte(s[i]) && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

func (t *template) shape() string {
	var b strings.Builder
	for _, s := range t.segs {
		fmt.Fprintf(&b, "/%d%q%q%q", s.kind, s.folded, s.prefix, s.suffix)
	}
	fmt.Fprint(&b, t.slash)
	return b.String()
}
