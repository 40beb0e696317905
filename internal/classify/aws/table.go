package aws

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// A service is one section of the table:
//
//	@ name protocol sign=NAME host=PREFIX iam=PREFIX [target=PREFIX json=VERSION] [global=HOST]
//	< names of parameters that its model calls sensitive
//	> names of members of answers that it calls sensitive
//	~ names of parameters by which a request that is sent twice counts once
//	Operation LEVEL [METHOD PATH] [q=QUERY,*REQUIRED,…] [h=HEADER,…] [old] [t=TARGET,…]
type service struct {
	name, protocol, sign, host, iam string
	target, json, global            string
	secretIn                        map[string]bool // in lower case
	secretOut                       []string
	once                            []string
	ops                             map[string]*operation
	routes                          map[string][]*operation // by method
}

// An operation is one line of the table, with what the rules make of it.
type operation struct {
	name    string
	level   byte // L, R, W, P, T, or ?
	method  string
	path    []string // segments; {Name} is a label, {Name+} takes the rest
	consts  map[string]string
	query   map[string]bool // names; true: required
	any     bool            // any further query parameter is one of a map
	headers []string        // required
	targets []string
	old     bool

	kinds     []action.Kind
	why       string
	harmless  string
	untrusted string
	sql       string // "sql" or "partiql": a statement says what it does
	mints     bool
	undo      bool
}

// reads says that level and verb call o a read.
func (o *operation) reads() bool {
	switch o.level {
	case 'L', 'R':
		return true
	case '?':
		return readVerb(o.name)
	}
	return false
}

func readVerb(name string) bool {
	for _, v := range []string{"Get", "List", "Describe", "Search", "Head", "BatchGet", "BatchDescribe", "Lookup", "Query", "Validate"} {
		if rest, is := strings.CutPrefix(name, v); is && (rest == "" || rest[0] >= 'A' && rest[0] <= 'Z') {
			return true
		}
	}
	return false
}

func parseTable(text string, rules map[string][]rule) (map[string]*service, error) {
	out := map[string]*service{}
	var s *service
	for n, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		var err error
		switch {
		case len(f) == 0 || f[0] == "#":
		case f[0] == "@":
			if s, err = parseService(f[1:]); err == nil {
				out[s.name] = s
			}
		case s == nil || len(f) < 2:
			err = fmt.Errorf("no section, or too few words")
		case f[0] == "<":
			for name := range strings.SplitSeq(f[1], ",") {
				s.secretIn[strings.ToLower(name)] = true
			}
		case f[0] == "~":
			if f[1] != "-" {
				s.once = strings.Split(f[1], ",")
			}
		case f[0] == ">":
			if f[1] != "-" {
				s.secretOut = strings.Split(f[1], ",")
			}
		default:
			err = s.parse(f, rules[s.name])
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	for name, rows := range rules {
		if out[name] == nil {
			return nil, fmt.Errorf("there are rules for %s, which is no service of it", name)
		}
		for _, r := range rows {
			for _, pattern := range r.names {
				if !slices.ContainsFunc(slices.Collect(maps.Keys(out[name].ops)), func(op string) bool { return like(pattern, op) }) {
					return nil, fmt.Errorf("a rule for %s fits no operation: %s", name, pattern)
				}
			}
		}
	}
	return out, nil
}

func parseService(f []string) (*service, error) {
	if len(f) < 2 {
		return nil, fmt.Errorf("a service needs a name and a protocol")
	}
	s := &service{name: f[0], protocol: f[1], secretIn: map[string]bool{}, ops: map[string]*operation{}, routes: map[string][]*operation{}}
	for _, w := range f[2:] {
		key, val, _ := strings.Cut(w, "=")
		switch key {
		case "sign":
			s.sign = val
		case "host":
			s.host = val
		case "iam":
			s.iam = val
		case "target":
			s.target = val
		case "json":
			s.json = val
		case "global":
			s.global = val
		default:
			return nil, fmt.Errorf("%q is no word of a service", w)
		}
	}
	return s, nil
}

func (s *service) parse(f []string, rules []rule) error {
	o := &operation{name: f[0], level: f[1][0], consts: map[string]string{}, query: map[string]bool{}}
	rest := f[2:]
	if strings.HasPrefix(s.protocol, "rest-") {
		if len(rest) < 2 {
			return fmt.Errorf("%s has no path", o.name)
		}
		o.method = rest[0]
		path, query, _ := strings.Cut(rest[1], "?")
		o.path = segments(path)
		if query != "" {
			for part := range strings.SplitSeq(query, "&") {
				name, val, _ := strings.Cut(part, "=")
				o.consts[name] = val
			}
		}
		rest = rest[2:]
	}
	for _, w := range rest {
		key, val, _ := strings.Cut(w, "=")
		switch key {
		case "q":
			for name := range strings.SplitSeq(val, ",") {
				must, is := strings.CutPrefix(name, "*")
				o.any = o.any || name == "%"
				o.query[must] = is
			}
		case "h":
			o.headers = strings.Split(val, ",")
		case "t":
			o.targets = strings.Split(val, ",")
		case "old":
			o.old = true
		default:
			return fmt.Errorf("%q is no word of an operation", w)
		}
	}
	if s.ops[o.name] != nil {
		return fmt.Errorf("%s stands twice", o.name)
	}
	o.judge(rules)
	s.ops[o.name] = o
	if o.method != "" {
		s.routes[o.method] = append(s.routes[o.method], o)
	}
	return nil
}

// segments divides a path; a slash at its end counts for nothing.
func segments(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}
