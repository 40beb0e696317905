package http

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
)

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

// words reads a text with {name}, {query:name}, {header:name} and {body:/pointer}.
func (l *loader) words(v *yvalue, t *template) words {
	s := l.text(v)
	var out words
	for s != "" {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			return append(out, piece{text: s})
		}
		if open > 0 {
			out = append(out, piece{text: s[:open]})
		}
		end := strings.IndexByte(s, '}')
		if end < open {
			l.fail(v, "a { without }", "write {name} for a variable of the path")
			return nil
		}
		name := s[open+1 : end]
		s = s[end+1:]
		from, what, has := strings.Cut(name, ":")
		p := piece{name: name}
		switch {
		case !has:
			if p.seg = slices.IndexFunc(t.segs, func(s seg) bool { return s.name == name }); p.seg < 0 || name == "" {
				l.fail(v, fmt.Sprintf("the path has no variable %s", plain(name)), "name one of match, or {query:name}, {header:name}, {body:/pointer}")
				return nil
			}
		case from == "query":
			p.from, p.name = fromQuery, what
		case from == "header":
			p.from, p.name = fromHeader, http.CanonicalHeaderKey(what)
		case from == "body":
			p.from = fromBody
			if p.pointer = l.pointer(v, what); p.pointer == nil {
				return nil
			}
		default:
			l.fail(v, fmt.Sprintf("%s is nothing of a request", plain(from)), "{name}, {query:name}, {header:name} or {body:/pointer}")
			return nil
		}
		if p.name == "" {
			l.fail(v, "a name is missing", "write {query:name}")
			return nil
		}
		out = append(out, p)
	}
	return out
}
