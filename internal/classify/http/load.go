package http

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/detect"
)

// Load reads and compiles a mapping file. Its error is Errors where the file could be read.
func Load(path string) (*Mapping, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the mapping: %w", err)
	}
	return Parse(data, filepath.Base(path))
}

// Parse compiles a mapping. name stands for the file in errors and results.
func Parse(data []byte, name string) (*Mapping, error) {
	l := &loader{file: name}
	m := &Mapping{unmapped: map[string][]action.Kind{}}
	if root := l.parse(data); root != nil && len(l.errs) == 0 {
		l.mapping(m, root)
	}
	if len(l.errs) > 0 {
		slices.SortStableFunc(l.errs, func(a, b *Error) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
		return nil, l.errs
	}
	slices.SortFunc(m.rows, func(a, b *row) int { return strings.Compare(a.rank, b.rank) })
	for _, w := range m.rows {
		m.root.add(w)
	}
	return m, nil
}

func (l *loader) mapping(m *Mapping, root *yvalue) {
	if root.kind != yMap {
		l.fail(root, "a mapping file begins with keys", "it has rows:, each with match: and kinds:")
		return
	}
	for _, f := range root.fields {
		switch f.key.text {
		case "rows":
			if f.value.kind != yList {
				l.fail(f.value, "rows is a list", "write each row as - match: METHOD /path")
				continue
			}
			for _, item := range f.value.items {
				l.row(m, item)
			}
		case "unmapped":
			l.unmapped(m, f.value)
		default:
			l.unknown(f.key, "rows", "unmapped")
		}
	}
	l.twice(m)
}

func (l *loader) unknown(key *yvalue, known ...string) {
	l.fail(key, fmt.Sprintf("%s is no key here", key.text), "known: "+strings.Join(known, ", "))
}

func (l *loader) unmapped(m *Mapping, v *yvalue) {
	if v.kind != yMap {
		l.fail(v, "unmapped says by method what other requests do", "write unmapped: {POST: [data.write]}")
		return
	}
	for _, f := range v.fields {
		if !isMethod(f.key.text) && f.key.text != "*" {
			l.fail(f.key, fmt.Sprintf("%s is no method", f.key.text), "write it in capitals, or * for all others")
			continue
		}
		m.unmapped[f.key.text] = l.kinds(f.value)
	}
}

func isMethod(s string) bool {
	for i := range len(s) {
		if (s[i] < 'A' || s[i] > 'Z') && s[i] != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

func (l *loader) row(m *Mapping, v *yvalue) {
	if v.kind != yMap {
		l.fail(v, "a row has keys", "write it as - match: METHOD /path")
		return
	}
	base := &row{place: fmt.Sprintf("%s:%d", l.file, v.line)}
	var match *yvalue
	var texts []func(t *template) // need the names of the path
	kinds := false
	late := func(v *yvalue, into *words) {
		texts = append(texts, func(t *template) { *into = l.words(v, t) })
	}
	for _, f := range v.fields {
		switch f.key.text {
		case "match":
			match = f.value
		case "kinds":
			base.kinds, kinds = l.kinds(f.value), true
		case "when":
			base.conds = l.when(f.value)
		case "verb":
			base.verb = l.text(f.value)
		case "target":
			late(f.value, &base.target)
		case "resource":
			late(f.value, &base.resource)
		case "title":
			late(f.value, &base.title)
		case "destination":
			late(f.value, &base.dest)
		case "trust":
			if base.trust = l.text(f.value); base.trust != "internal" && base.trust != "external" {
				l.fail(f.value, "trust is internal or external", "say whom the destination belongs to")
			}
		case "untrusted":
			base.untrusted = l.text(f.value)
		case "data":
			l.data(f.value, base, late)
		case "reversible":
			base.reversible = l.flag(f.value)
		case "routine":
			base.routine = l.flag(f.value)
		case "graphql":
			base.graphql = l.graphql(f.value)
		case "note": // for people
			_ = l.text(f.value)
		default:
			l.unknown(f.key, "match", "kinds", "when", "verb", "target", "resource", "title", "data", "destination", "trust", "untrusted", "reversible", "routine", "graphql", "note")
		}
	}
	switch {
	case match == nil:
		l.fail(v, "a row without match", "write match: METHOD /path")
		return
	case !kinds && base.graphql == nil:
		l.fail(v, "a row without kinds", "say what it does: kinds: [data.read]")
	}
	each := []*yvalue{match}
	if match.kind == yList {
		each = match.items
	}
	for _, one := range each {
		w := *base
		if !l.match(&w, one) {
			continue
		}
		base.path = w.path
		for _, fill := range texts { // into base
			fill(&w.path)
		}
		w.target, w.resource, w.title, w.dest, w.rows = base.target, base.resource, base.title, base.dest, base.rows
		w.rank = w.rankOf(one.line)
		m.rows = append(m.rows, &w)
	}
}

// match reads "GET,PUT /v1/things/{id}".
func (l *loader) match(w *row, v *yvalue) bool {
	if v.kind != yText {
		l.fail(v, "match is a method and a path", "write match: POST /v1/refunds")
		return false
	}
	w.match = v.text
	methods, path, ok := strings.Cut(v.text, " ")
	if !ok || !strings.HasPrefix(path, "/") {
		l.fail(v, "match is a method, a space, and a path that begins with a slash", "write match: POST /v1/refunds, or * /path for any method")
		return false
	}
	if methods != "*" {
		for one := range strings.SplitSeq(methods, ",") {
			if !isMethod(one) {
				l.fail(v, fmt.Sprintf("%s is no method", plain(one)), "write methods in capitals, with a comma between them")
				return false
			}
			w.methods = append(w.methods, one)
		}
	}
	var bad, remedy string
	if w.path, bad, remedy = templateOf(path); bad != "" {
		l.fail(v, bad, remedy)
		return false
	}
	return true
}

func (l *loader) text(v *yvalue) string {
	if v.kind != yText || v.text == "" || len(v.text) > 500 || strings.ContainsAny(v.text, "\n\r") {
		l.fail(v, "a word or a line is wanted", "quote it")
		return ""
	}
	return v.text
}

func (l *loader) flag(v *yvalue) bool {
	if v.kind != yText || v.text != "true" && v.text != "false" {
		l.fail(v, "true or false is wanted", "")
	}
	return v.text == "true"
}

// list takes a list of words, or one.
func (l *loader) list(v *yvalue) []*yvalue {
	switch v.kind {
	case yText:
		return []*yvalue{v}
	case yList:
		for _, i := range v.items {
			if i.kind != yText {
				l.fail(i, "a word is wanted", "quote it")
				return nil
			}
		}
		if len(v.items) > 0 {
			return v.items
		}
	}
	l.fail(v, "a list of words is wanted", "write [one, other]")
	return nil
}

func (l *loader) kinds(v *yvalue) []action.Kind {
	var out []action.Kind
	for _, i := range l.list(v) {
		k := action.Kind(i.text)
		if !k.Valid() {
			all := make([]string, 0, len(action.Kinds()))
			for _, k := range action.Kinds() {
				all = append(all, string(k))
			}
			l.fail(i, fmt.Sprintf("%s is no kind", plain(i.text)), "one of "+strings.Join(all, ", "))
			continue
		}
		out = append(out, k)
	}
	return merged(out)
}

func (l *loader) data(v *yvalue, w *row, late func(*yvalue, *words)) {
	if v.kind != yMap {
		l.fail(v, "data has keys", "write data: {classes: [email], rows: 1}")
		return
	}
	var named []string
	for _, f := range v.fields {
		switch f.key.text {
		case "classes":
			for _, i := range l.list(f.value) {
				if !detect.Class(i.text).Valid() {
					l.fail(i, fmt.Sprintf("%s is no class", plain(i.text)), "classes are those of docs/policy.md: email, card, us-ssn, …")
					continue
				}
				w.classes = union(w.classes, []string{i.text})
			}
		case "groups":
			for _, i := range l.list(f.value) {
				if !slices.Contains([]string{detect.PII, detect.PHI, detect.PCI, detect.Secret}, i.text) {
					l.fail(i, fmt.Sprintf("%s is no group", plain(i.text)), "pii, phi, pci or secret")
					continue
				}
				named = append(named, i.text)
			}
		case "rows":
			late(f.value, &w.rows)
		case "unscanned":
			w.unscanned = l.flag(f.value)
		default:
			l.unknown(f.key, "classes", "groups", "rows", "unscanned")
		}
	}
	w.named = groups(w.classes, named)
}

// when reads what a row asks for besides method and path.
func (l *loader) when(v *yvalue) (out []cond) {
	if v.kind != yMap {
		l.fail(v, "when has keys", `write when: {query: {dry_run: "true"}}`)
		return nil
	}
	for _, f := range v.fields {
		from, ok := map[string]source{"query": fromQuery, "header": fromHeader, "body": fromBody}[f.key.text]
		if !ok {
			l.unknown(f.key, "query", "header", "body")
			continue
		}
		if f.value.kind != yMap {
			l.fail(f.value, f.key.text+" says what stands under which name", f.key.text+`: {name: value}; [a, b] for one of several, "*" for any, ~ for none`)
			continue
		}
		for _, c := range f.value.fields {
			one := cond{from: from, name: c.key.text, absent: c.value.kind == yNull}
			switch {
			case from == fromBody:
				if one.pointer = l.pointer(c.key, c.key.text); one.pointer == nil {
					continue
				}
			case from == fromHeader:
				one.name = http.CanonicalHeaderKey(one.name)
				if isOverride(one.name) {
					l.fail(c.key, "headers that change the method are refused before they come here", "take it out")
				}
			case isOverride(one.name):
				l.fail(c.key, "parameters that change the method are refused before they come here", "take it out")
			}
			if !one.absent {
				for _, i := range l.list(c.value) {
					one.globs = append(one.globs, i.text)
				}
			}
			out = append(out, one)
		}
	}
	return out
}

// pointer reads a JSON pointer (RFC 6901) to something in a body.
func (l *loader) pointer(at *yvalue, s string) []string {
	if !strings.HasPrefix(s, "/") || len(s) == 1 {
		l.fail(at, "a place in a body is a JSON pointer", "write /amount/currency")
		return nil
	}
	parts := strings.Split(s[1:], "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts
}

func (l *loader) graphql(v *yvalue) *graphql {
	g := &graphql{}
	switch {
	case v.kind == yText && v.text == "true":
		return g
	case v.kind != yMap:
		l.fail(v, "graphql is true, or says what fields do", "write graphql: {mutation: {createRefund: [payment]}}")
		return g
	}
	for _, f := range v.fields {
		into := map[string]*[]named{"query": &g.query, "mutation": &g.mutation, "subscription": &g.subscription}[f.key.text]
		if into == nil {
			l.unknown(f.key, "query", "mutation", "subscription")
			continue
		}
		if f.value.kind != yMap {
			l.fail(f.value, f.key.text+" names fields", f.key.text+": {name: [kind]}")
			continue
		}
		for _, n := range f.value.fields {
			*into = append(*into, named{glob: n.key.text, kinds: l.kinds(n.value)})
		}
		slices.SortStableFunc(*into, func(a, b named) int {
			starA, starB := strings.Contains(a.glob, "*"), strings.Contains(b.glob, "*")
			if starA != starB {
				if starA {
					return 1
				}
				return -1
			}
			return len(b.glob) - len(a.glob)
		})
	}
	return g
}

// twice finds rows that another one keeps from ever being asked.
func (l *loader) twice(m *Mapping) {
	seen := map[string]*row{}
	for _, w := range m.rows {
		methods := w.methods
		if methods == nil {
			methods = []string{"*"}
		}
		for _, method := range methods {
			key := method + " " + w.path.shape() + " " + conditions(w.conds)
			if other := seen[key]; other != nil {
				_, at, _ := strings.Cut(w.place, ":")
				line, _ := strconv.Atoi(at)
				l.fail(&yvalue{line: line, column: 1}, fmt.Sprintf("%s is what the row at %s is about already", w.match, other.place), "make one row of them, or say under when: what tells them apart")
				break
			}
			seen[key] = w
		}
	}
}

func conditions(conds []cond) string {
	all := make([]string, len(conds))
	for i, c := range conds {
		all[i] = fmt.Sprintf("%d%q%q%v%q", c.from, c.name, c.pointer, c.absent, c.globs)
	}
	slices.Sort(all)
	return strings.Join(all, ";")
}
