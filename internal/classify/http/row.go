package http

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
)

// A row is one line of the mapping, compiled.
type row struct {
	place   string // "api.yaml:12"
	match   string // as it was written
	methods methods
	path    template
	conds   []cond
	rank    string // smaller is more specific

	kinds                          []action.Kind
	verb                           string
	target, resource, title        words
	trust, untrusted               string
	dest                           words
	classes, named                 []string
	rows                           words
	reversible, routine, unscanned bool
	graphql                        *graphql
}

// methods are those that a row is for; nil: any.
type methods []string

func (m methods) has(method string) bool {
	return m == nil || slices.Contains(m, method) || method == http.MethodHead && slices.Contains(m, http.MethodGet)
}

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

// rankOf makes the key by which rows are ordered: segment by segment, then method, then how much is asked besides.
func (w *row) rankOf(line int) string {
	var b strings.Builder
	for _, s := range w.path.segs {
		b.WriteByte('a' + byte(s.kind))
		if s.kind == partial {
			b.WriteByte(255 - byte(min(len(s.prefix)+len(s.suffix), 200)))
		}
	}
	b.WriteByte('!') // shorter than any segment
	if w.methods == nil {
		b.WriteByte('b')
	} else {
		b.WriteByte('a')
	}
	b.WriteByte(255 - byte(min(len(w.conds), 200)))
	n := strconv.Itoa(line)
	return b.String() + strings.Repeat("0", 9-len(n)) + n
}

// node is a place in the index of paths. Literals are found folded.
type node struct {
	literals map[string]*node
	partials []*branch
	single   *node
	rest     []*row // whatever follows
	rows     []*row // whose path ends here
}

type branch struct {
	seg  seg
	next *node
}

func (n *node) add(w *row) {
	for i := range w.path.segs {
		s := &w.path.segs[i]
		switch s.kind {
		case rest:
			n.rest = append(n.rest, w)
			return
		case literal:
			if n.literals == nil {
				n.literals = map[string]*node{}
			}
			if n.literals[s.folded] == nil {
				n.literals[s.folded] = &node{}
			}
			n = n.literals[s.folded]
		case single:
			if n.single == nil {
				n.single = &node{}
			}
			n = n.single
		case partial:
			at := slices.IndexFunc(n.partials, func(b *branch) bool { return b.seg.prefix == s.prefix && b.seg.suffix == s.suffix })
			if at < 0 {
				at = len(n.partials)
				n.partials = append(n.partials, &branch{seg: *s, next: &node{}})
				slices.SortStableFunc(n.partials, func(a, b *branch) int {
					return len(b.seg.prefix) + len(b.seg.suffix) - len(a.seg.prefix) - len(a.seg.suffix)
				})
				at = slices.IndexFunc(n.partials, func(b *branch) bool { return b.seg.prefix == s.prefix && b.seg.suffix == s.suffix })
			}
			n = n.partials[at].next
		}
	}
	n.rows = append(n.rows, w)
}

// search goes through the index, the more specific first, until a row fits for certain. Each node is a place in a
// tree, so none is seen twice.
type search struct {
	r       *request
	hit     *row
	near    *row   // the first that fits but for its spelling
	may     []*row // those that may fit
	refused string
}

func (s *search) walk(n *node, i int) (done bool) {
	r := s.r
	if i == r.n {
		return s.try(n.rows) || s.try(n.rest)
	}
	v, last := r.segs[i], i == r.n-1
	if n.literals != nil {
		low := strings.ToLower(v)
		if next := n.literals[low]; next != nil && s.walk(next, i+1) {
			return true
		}
		if st := stem(low); last && st != low {
			if next := n.literals[st]; next != nil && s.walk(next, i+1) {
				return true
			}
		}
	}
	for _, b := range n.partials {
		if b.seg.one(v, last) != no && s.walk(b.next, i+1) {
			return true
		}
	}
	if n.single != nil && v != "" && s.walk(n.single, i+1) {
		return true
	}
	return s.try(n.rest)
}

// try takes the first of rows that fits.
func (s *search) try(rows []*row) (done bool) {
	for _, w := range rows {
		if !w.methods.has(s.r.method) {
			continue
		}
		spelled := w.path.fits(s.r)
		if spelled == no || spelled == near && s.near != nil {
			continue
		}
		asked := yes
		for i := range w.conds {
			got, bad := w.conds[i].ask(s.r)
			if bad != "" {
				s.refused = bad
				return true
			}
			if asked = min(asked, got); asked == no {
				break
			}
		}
		switch {
		case asked == no:
		case spelled == near:
			s.near = w
		case asked == maybe:
			s.may = append(s.may, w)
		default:
			s.hit = w
			return true
		}
	}
	return false
}

// cond is something that a row asks for besides.
type cond struct {
	from    source
	name    string
	pointer []string
	absent  bool
	globs   []string // one of them
}

// source is where a value comes from.
type source uint8

const (
	fromPath source = iota
	fromQuery
	fromHeader
	fromBody
)

func (c *cond) ask(r *request) (fit, string) {
	v, there, known, bad := value(r, c.from, c.name, c.pointer)
	switch {
	case bad != "":
		return no, bad
	case !known:
		return maybe, ""
	case !there || c.absent:
		if there == c.absent {
			return no, ""
		}
		return yes, ""
	}
	s, scalar := text(v)
	for _, g := range c.globs {
		if g == "*" || scalar && glob(g, s) {
			return yes, ""
		}
	}
	return no, ""
}

func value(r *request, from source, name string, pointer []string) (v any, there, known bool, bad string) {
	switch from {
	case fromQuery:
		s, there, bad := r.param(name)
		return s, there, true, bad
	case fromHeader:
		s, there, bad := r.head(name)
		return s, there, true, bad
	}
	return r.look(pointer)
}

// glob matches * against any run of characters: in one pass, going back to the last * only.
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// words is a text with places to be filled from the request.
type words []piece

type piece struct {
	text    string // as it stands, where name is ""
	from    source
	name    string
	pointer []string
	seg     int // of fromPath
}

// fill writes the text. What is not there, or can't be seen, is "?".
func (t words) fill(w *row, r *request) string {
	var b strings.Builder
	for _, p := range t {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(plain(p.value(w, r)))
	}
	return b.String()
}

func (p *piece) value(w *row, r *request) string {
	if p.from == fromPath {
		s := w.path.segs[p.seg]
		switch s.kind {
		case partial:
			return r.segs[p.seg][len(s.prefix) : len(r.segs[p.seg])-len(s.suffix)]
		case rest:
			return strings.Join(r.segs[min(p.seg, r.n):r.n], "/")
		}
		return r.segs[p.seg]
	}
	if v, there, known, bad := value(r, p.from, p.name, p.pointer); bad == "" && known && there {
		if s, ok := text(v); ok {
			return s
		}
	}
	return "?"
}

// count is how many rows a text names: a number, or the length of a list.
func (t words) count(w *row, r *request) action.Count {
	if len(t) != 1 {
		return action.Count{}
	}
	s := t[0].text
	if t[0].name != "" {
		if t[0].from == fromBody {
			if v, there, known, bad := r.look(t[0].pointer); bad == "" && known && there {
				if list, is := v.([]any); is {
					return action.KnownCount(int64(len(list)))
				}
				n, is := v.(json.Number)
				if !is {
					return action.Count{}
				}
				s = n.String()
			}
		} else {
			s = t[0].value(w, r)
		}
	}
	n, err := strconv.ParseInt(s, 10, 53)
	if err != nil || n < 0 {
		return action.Count{}
	}
	return action.KnownCount(n)
}

// result is what a request does that the row fits.
func (w *row) result(r *request) Result {
	out := Result{
		Kinds: w.kinds, Verb: w.verb, Target: plain(r.path), Reversible: w.reversible, Routine: w.routine,
		Untrusted: w.untrusted, Row: w.place, Why: "the row at " + w.place + " says so",
		Data: action.Data{Classes: w.classes, Groups: w.named, Unscanned: w.unscanned, DestinationTrust: w.trust},
	}
	if out.Verb == "" {
		out.Verb = strings.ToLower(r.method)
	}
	if w.target != nil {
		out.Target = plain(w.target.fill(w, r))
	}
	out.Resource = w.resource.fill(w, r)
	out.Data.Destination = w.dest.fill(w, r)
	out.Data.Rows = w.rows.count(w, r)
	out.Title = r.method + " " + r.path
	if w.title != nil {
		out.Title += ": " + w.title.fill(w, r)
	}
	if w.graphql != nil {
		w.graphql.judge(r, &out)
	}
	out.Title = plain(out.Title)
	return out
}
