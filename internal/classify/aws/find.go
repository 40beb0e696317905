package aws

import (
	"net/url"
	"slices"
	"strings"
)

// find tells which operation r is. No operation and no error: it is unknown.
func (s *service) find(r *Request, a *Analysis) (*operation, *params, error) {
	if strings.HasPrefix(s.protocol, "rest-") {
		if r.Header.Get("X-Amz-Target") != "" {
			return nil, nil, refuse("x-amz-target is not for %s, whose operations are told by their paths", s.name)
		}
		return s.rest(r)
	}
	target, hasTarget := r.Header["X-Amz-Target"]
	kind := media(r.Header)
	isForm := kind == "application/x-www-form-urlencoded" || kind == "" && len(r.Body) == 0
	switch {
	case hasTarget && (isForm && kind != "" || r.Query != ""):
		return nil, nil, refuse("x-amz-target stands beside a form or a query string")
	case hasTarget && s.target == "":
		a.Protocol = JSON
		return nil, nil, nil
	case hasTarget:
		return s.byTarget(r, target[0], kind, a)
	case s.protocol == JSON && s.name != "sqs": // no other of the table speaks both
		return nil, nil, nil
	}
	a.Protocol = s.protocol
	if s.protocol == JSON {
		a.Protocol = Query
	}
	return s.byAction(r, kind, isForm, a)
}

// byTarget is an operation of a JSON protocol.
func (s *service) byTarget(r *Request, target, kind string, a *Analysis) (*operation, *params, error) {
	if r.Method != "POST" || r.Path != "/" && r.Path != "" {
		return nil, nil, refuse("x-amz-target wants POST /")
	}
	if kind != "application/x-amz-json-1.0" && kind != "application/x-amz-json-1.1" && kind != "application/json" {
		return nil, nil, refuse("x-amz-target wants a body of JSON, and the content type says otherwise")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, nil, refuse("the body is encoded, and can't be read (content-encoding)")
	}
	p := &params{}
	if err := p.object(r.Body); err != nil {
		return nil, nil, err
	}
	prefix, name, ok := strings.Cut(target, ".")
	if i := strings.LastIndexByte(target, '.'); ok {
		prefix, name = target[:i], target[i+1:]
	}
	a.Name = name
	if prefix != s.target {
		return nil, p, nil
	}
	return s.ops[name], p, nil
}

// byAction is an operation of the query protocols, as a form or a query string.
func (s *service) byAction(r *Request, kind string, isForm bool, a *Analysis) (*operation, *params, error) {
	p, seen := &params{}, map[string]bool{}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, nil, refuse("the body is encoded, and can't be read (content-encoding)")
	}
	if err := p.form(r.Query, seen); err != nil {
		return nil, nil, err
	}
	switch {
	case r.Method == "POST" && isForm:
		if err := p.form(string(r.Body), seen); err != nil {
			return nil, nil, err
		}
	case r.Method == "POST", len(r.Body) > 0:
		return nil, nil, refuse("a body that is no form (content type %q)", clip(clean(strings.ReplaceAll(kind, "/", "-")), 60))
	case r.Method != "GET":
		return nil, p, nil
	}
	if r.Path != "/" && r.Path != "" && s.name != "sqs" { // whose queues are addressed by their paths
		return nil, p, nil
	}
	name, _ := p.get("Action")
	for _, q := range p.list {
		if strings.EqualFold(q.name, "Action") && q.name != "Action" {
			return nil, nil, refuse("Action is spelled in another way")
		}
	}
	p.list = slices.DeleteFunc(p.list, func(q param) bool { return q.name == "Action" || q.name == "Version" })
	if s.name == "sqs" && len(r.Path) > 1 {
		p.list = append(p.list, param{"QueueUrl", r.Path})
	}
	a.Name = name
	return s.ops[name], p, nil
}

// A match is an operation whose path, query and headers fit.
type match struct {
	op       *operation
	labels   []param
	literals int
	wants    int // constants, required parameters and headers
}

func (s *service) rest(r *Request) (*operation, *params, error) {
	p, seen := &params{}, map[string]bool{}
	if err := p.form(r.Query, seen); err != nil {
		return nil, nil, err
	}
	query := map[string]string{}
	for _, q := range p.list {
		query[q.name] = q.value
	}
	found, loose, err := s.matches(r, r.Path, query)
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 0 {
		for name := range query {
			if len(loose) > 0 && s.discriminates(name) {
				return nil, nil, refuse("the query string names parts of two operations")
			}
		}
		return nil, p, nil
	}
	best, err := pick(found)
	if err != nil {
		return nil, nil, err
	}
	if strings.Contains(strings.ToLower(r.Path), "%2f") && s.name != "s3" {
		plain, err := url.PathUnescape(r.Path)
		if err != nil {
			return nil, nil, refuse("the path holds a broken escape")
		}
		if others, _, err := s.matches(r, plain, query); err != nil || slices.ContainsFunc(others, func(m match) bool { return m.op != best.op }) {
			return nil, nil, refuse("an escaped slash makes the path that of two operations")
		}
	}
	if id, is := query["x-id"]; is && id != best.op.name {
		return nil, nil, refuse("x-id names another operation than method, path and query do")
	}
	if r.Header.Get("X-Amz-Copy-Source") != "" && !slices.Contains(best.op.headers, "x-amz-copy-source") && s.name == "s3" {
		return nil, nil, refuse("x-amz-copy-source is not of this operation")
	}
	p.list = append(best.labels, slices.DeleteFunc(p.list, func(q param) bool { return q.name == "x-id" })...)
	return best.op, p, s.restBody(r, best.op, p)
}

// restBody reads the body of a REST operation, where it is one that holds parameters.
func (s *service) restBody(r *Request, op *operation, p *params) error {
	if len(r.Body) == 0 || s.name == "s3" {
		return nil
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return refuse("the body is encoded, and can't be read (content-encoding)")
	}
	if s.protocol == RestXML {
		return p.xml(r.Body)
	}
	if s.name == "lambda" && strings.HasPrefix(op.name, "Invoke") || strings.HasPrefix(op.name, "SendDurable") {
		p.body, p.raw = r.Body, true
		return nil
	}
	return p.object(r.Body)
}

// discriminates says that a query parameter tells operations of s apart.
func (s *service) discriminates(name string) bool {
	for _, o := range s.ops {
		if _, is := o.consts[name]; is || o.query[name] {
			return true
		}
	}
	return false
}

// matches are the operations that r may be, and those that it would be if their
// further query parameters were not looked at.
func (s *service) matches(r *Request, path string, query map[string]string) (found, loose []match, err error) {
	segs, err := s.divide(path)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range s.routes[r.Method] {
		m, fits, err := o.path1(segs)
		if err != nil {
			return nil, nil, err
		}
		if !fits || !o.wanted(r, query) {
			continue
		}
		m.op, m.wants = o, len(o.consts)+len(o.headers)
		for _, must := range o.query {
			if must {
				m.wants++
			}
		}
		loose = append(loose, m)
		if o.declares(query) {
			found = append(found, m)
		}
	}
	return found, loose, nil
}

// divide is a path in segments. S3's keys may hold any; elsewhere none is empty or dots.
func (s *service) divide(path string) ([]string, error) {
	if s.name == "s3" {
		bucket, key, has := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		switch {
		case bucket == "" && has:
			return nil, refuse("a path without a bucket")
		case bucket == "":
			return nil, nil
		case key == "":
			return []string{bucket}, nil
		}
		return []string{bucket, key}, nil
	}
	segs := segments(path)
	for _, seg := range segs {
		plain, err := url.PathUnescape(seg)
		if err != nil || seg == "" || plain == "." || plain == ".." || strings.ContainsAny(plain, "\\\x00") || strings.Contains(plain, "/../") || strings.HasSuffix(plain, "/..") || strings.HasPrefix(plain, "../") {
			return nil, refuse("a path that two servers may read in two ways")
		}
	}
	return segs, nil
}

func (o *operation) path1(segs []string) (m match, fits bool, err error) {
	for i, want := range o.path {
		if i >= len(segs) {
			return m, false, nil
		}
		label, is := strings.CutPrefix(want, "{")
		if !is {
			plain, err := url.PathUnescape(segs[i])
			if err == nil && plain == want && segs[i] != want {
				return m, false, refuse("a path that is spelled with needless escapes")
			}
			if segs[i] != want {
				return m, false, nil
			}
			m.literals++
			continue
		}
		label = strings.TrimSuffix(label, "}")
		value := segs[i]
		name, greedy := strings.CutSuffix(label, "+")
		if greedy {
			end := len(segs) - (len(o.path) - i - 1) // what follows it is not its own
			if end <= i {
				return m, false, nil
			}
			value = strings.Join(segs[i:end], "/")
			segs = slices.Concat(segs[:i], []string{value}, segs[end:])
		}
		plain, err := url.PathUnescape(value)
		if err != nil {
			return m, false, refuse("the path holds a broken escape")
		}
		m.labels = append(m.labels, param{name, plain})
	}
	return m, len(segs) == len(o.path), nil
}

func (o *operation) wanted(r *Request, query map[string]string) bool {
	for name, value := range o.consts {
		if have, is := query[name]; !is || value != "" && have != value {
			return false
		}
	}
	for name, must := range o.query {
		if _, is := query[name]; must && !is {
			return false
		}
	}
	for _, name := range o.headers {
		if r.Header.Get(name) == "" && name != "content-type" {
			return false
		}
	}
	return true
}

func (o *operation) declares(query map[string]string) bool {
	for name := range query {
		_, isConst := o.consts[name]
		_, isParam := o.query[name]
		if !isConst && !isParam && !o.any && name != "x-id" {
			return false
		}
	}
	return true
}

// pick is the one that fits best. Two that fit alike are no operation, unless they are the same by two names.
func pick(found []match) (match, error) {
	best := slices.MaxFunc(found, func(a, b match) int {
		if d := a.literals - b.literals; d != 0 {
			return d
		}
		return a.wants - b.wants
	})
	alike := slices.DeleteFunc(slices.Clone(found), func(m match) bool { return m.literals != best.literals || m.wants != best.wants })
	if len(alike) > 1 {
		alike = slices.DeleteFunc(alike, func(m match) bool { return m.op.old })
	}
	if len(alike) == 2 && slices.Equal(alike[0].op.kinds, alike[1].op.kinds) { // of one effect, under two names
		alike = alike[:1]
	}
	if len(alike) != 1 {
		return match{}, refuse("method, path and query string are those of two operations")
	}
	return alike[0], nil
}
