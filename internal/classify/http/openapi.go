package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/detect"
	"github.com/goccy/go-yaml"
)

// Bounds of an OpenAPI document.
const (
	maxDocument   = 32 << 20
	maxOperations = 10_000
	maxSchema     = 6   // levels that are looked into for names of properties
	maxNames      = 400 // names looked at, an operation
)

// Draft makes a mapping out of an OpenAPI document (3.0, 3.1, or Swagger 2.0, as YAML or JSON). It guesses from
// methods, words and names of properties, and says beside each row from what: a draft is to be read and corrected by
// people who know the API. Nothing is fetched: references to other files are left out.
func Draft(data []byte, name string) ([]byte, error) {
	doc, err := document(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	engine, err := detect.New(detect.Options{})
	if err != nil {
		return nil, err
	}
	version := str(doc, "openapi")
	if version == "" {
		version = str(doc, "swagger")
	}
	paths, ok := doc["paths"].(object)
	if version == "" || !ok {
		return nil, fmt.Errorf("reading %s: no OpenAPI document: it has openapi: or swagger:, and paths:", name)
	}
	d := &drafter{doc: doc, engine: engine, seen: map[string]bool{}}
	d.note("# Drafted from %s (%s), OpenAPI %s.", name, str(doc["info"], "title"), version)
	d.note("# Every row is a guess: read each, correct it, take out what nobody needs. assent map check says what a request becomes.")
	d.note("# What no row names is judged by its method: GET reads, DELETE deletes, and everything else is unknown.")
	prefix := d.prefix()
	d.line("rows:")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item, _ := d.deref(paths[path]).(object)
		if !strings.HasPrefix(path, "/") || item == nil {
			continue
		}
		d.path(prefix, path, item)
	}
	if d.rows == 0 {
		d.line("  []")
	}
	return d.b.Bytes(), nil
}

type object = map[string]any

// document reads JSON, or YAML. The YAML parser is someone else's code: a panic in it is an error here.
func document(data []byte) (doc object, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, errors.New("this is not YAML that can be read")
		}
	}()
	if len(data) > maxDocument {
		return nil, errors.New("it is over 32 MiB")
	}
	if t := bytes.TrimSpace(data); len(t) > 0 && t[0] == '{' && json.Unmarshal(data, &doc) == nil {
		return doc, nil
	}
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, errors.New(first)
	}
	doc, ok := v.(object)
	if !ok {
		return nil, errors.New("it has no keys")
	}
	return doc, nil
}

func str(v any, key string) string {
	m, _ := v.(object)
	s, _ := m[key].(string)
	return s
}

type drafter struct {
	doc    object
	engine *detect.Engine
	b      bytes.Buffer
	rows   int
	seen   map[string]bool // rows, as templates compare them
}

// line writes one of text that is ours.
func (d *drafter) line(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

// note writes a comment, with nothing of the document that could end it.
func (d *drafter) note(format string, args ...any) {
	for i, a := range args {
		if s, is := a.(string); is {
			args[i] = plain(s)
		}
	}
	d.line(format, args...)
}

// prefix is what stands before all paths: basePath, or the path of the first server.
func (d *drafter) prefix() string {
	p := str(d.doc, "basePath")
	if servers, _ := d.doc["servers"].([]any); len(servers) > 0 {
		if u, err := url.Parse(str(servers[0], "url")); err == nil {
			p = u.Path
		}
		if len(servers) > 1 {
			d.note("# It names %d servers; paths are those of the first.", len(servers))
		}
	}
	p = strings.TrimSuffix(p, "/")
	if _, bad, _ := templateOf(p + "/x"); p != "" && (bad != "" || p[0] != '/') {
		d.note("# Left out before each path: %s", p)
		return ""
	}
	return p
}

// deref follows references within the document.
func (d *drafter) deref(v any) any {
	for range 10 {
		ref := str(v, "$ref")
		if ref == "" {
			return v
		}
		parts, ok := strings.CutPrefix(ref, "#/")
		if !ok {
			return nil
		}
		v = any(d.doc)
		for p := range strings.SplitSeq(parts, "/") {
			m, _ := v.(object)
			v = m[strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")]
		}
	}
	return nil
}

func (d *drafter) path(prefix, path string, item object) {
	p, _, _ := strings.Cut(path, "?")
	p, merged := template1(prefix + p)
	t, bad, _ := templateOf(p)
	if bad == "" && plain(p) != p {
		bad = "a path that is too long, or with characters that no path has"
	}
	for _, method := range []string{"get", "head", "options", "post", "put", "patch", "delete"} {
		op, _ := item[method].(object)
		if op == nil {
			continue
		}
		upper := strings.ToUpper(method)
		if bad != "" {
			d.note("  # Left out: %s %s: %s.", upper, path, bad)
			continue
		}
		if key := upper + " " + t.shape(); d.seen[key] || d.rows >= maxOperations {
			d.note("  # Left out: %s %s: a row like it stands above.", upper, path)
			continue
		} else {
			d.seen[key] = true
		}
		d.row(upper, p, merged, op, append(list(item["parameters"]), list(op["parameters"])...))
	}
}

func list(v any) []any { l, _ := v.([]any); return slices.Clip(l) }

// template1 makes one variable of a segment that has several, and of names that are none.
func template1(path string) (string, bool) {
	parts, merged := strings.Split(path, "/"), false
	names := map[string]int{}
	for i, p := range parts {
		open, end := strings.IndexByte(p, '{'), strings.LastIndexByte(p, '}')
		if open < 0 || end < open {
			continue
		}
		inner := p[open+1 : end]
		several := strings.ContainsAny(inner, "{}")
		merged = merged || several
		name := strings.Join(strings.FieldsFunc(inner, func(r rune) bool { return r >= 0x80 || !nameByte(byte(r)) }), "_")
		if name == "" {
			name = "x"
		}
		if names[name]++; names[name] > 1 {
			name = fmt.Sprintf("%s_%d", name, names[name])
		}
		if several {
			parts[i] = "{" + name + "}"
		} else {
			parts[i] = p[:open] + "{" + name + "}" + p[end+1:]
		}
	}
	return strings.Join(parts, "/"), merged
}

func (d *drafter) row(method, path string, merged bool, op object, params []any) {
	d.rows++
	kinds, from := guess(method, said(str(op, "operationId"), path))
	if op["deprecated"] == true {
		from += "; deprecated"
	}
	d.line("")
	d.note("  # Guessed from: %s.", from)
	if merged {
		d.note("  # One of its segments has several variables; here they are one.")
	}
	if d.outside(op) {
		d.note("  # It refers to another file, which was not read.")
	}
	d.line("  - match: %s", quote(method+" "+path))
	d.line("    kinds: [%s]", joined(kinds))
	if title := clipped(str(op, "summary")); title != "" {
		d.line("    title: %s", quote(strings.NewReplacer("{", "(", "}", ")").Replace(plain(title))))
	}
	var data []string
	reads := slices.Contains(kinds, action.DataRead) || slices.Contains(kinds, action.DataExport)
	if classes, names := d.classes(op, reads); len(classes) > 0 {
		d.note("    # Classes by the names of properties: %s.", strings.Join(names, ", "))
		data = append(data, "classes: ["+strings.Join(classes, ", ")+"]")
	}
	if reads {
		if p := limit(d, params); p != "" {
			data = append(data, "rows: "+quote("{query:"+p+"}"))
		}
	}
	if len(data) > 0 {
		d.line("    data: {%s}", strings.Join(data, ", "))
	}
	if cb, _ := op["callbacks"].(object); len(cb) > 0 {
		d.note("    # It calls back to an address in the request: destination: \"{body:/…}\" says which.")
	}
}

// quote writes s as a YAML string: JSON's are.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `"?"`
	}
	return string(b)
}

func clipped(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	if r := []rune(s); len(r) > 80 {
		s = string(r[:79]) + "…"
	}
	return strings.TrimSpace(s)
}

// limit is the parameter that bounds how many rows come back.
func limit(d *drafter, params []any) string {
	for _, p := range params {
		p = d.deref(p)
		name := str(p, "name")
		switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name)) {
		case "limit", "pagesize", "perpage", "maxresults", "top", "count", "size":
			if str(p, "in") == "query" && isName(name) {
				return name
			}
		}
	}
	return ""
}

// classes are those of the properties that an operation takes, or gives.
func (d *drafter) classes(op object, reads bool) (classes, names []string) {
	n := 0
	seen := map[string]bool{}
	var look func(v any, depth int)
	look = func(v any, depth int) {
		v = d.deref(v)
		m, _ := v.(object)
		if m == nil || depth > maxSchema || n > maxNames {
			return
		}
		props, _ := m["properties"].(object)
		for _, name := range slices.Sorted(maps.Keys(props)) {
			if n++; n > maxNames {
				return
			}
			if class, _ := d.engine.Column(name, nil); class != "" && !seen[name] && class.Valid() {
				seen[name] = true
				classes, names = union(classes, []string{string(class)}), append(names, name)
			}
			look(props[name], depth+1)
		}
		look(m["items"], depth+1)
		look(m["additionalProperties"], depth+1)
		for _, k := range []string{"allOf", "oneOf", "anyOf"} {
			for _, x := range list(m[k]) {
				look(x, depth+1)
			}
		}
	}
	bodyOf := func(v any) {
		v = d.deref(v)
		m, _ := v.(object)
		look(m["schema"], 0) // 2.0
		content, _ := m["content"].(object)
		for _, kind := range slices.Sorted(maps.Keys(content)) {
			c, _ := content[kind].(object)
			look(c["schema"], 0)
		}
	}
	if reads {
		responses, _ := op["responses"].(object)
		for _, status := range slices.Sorted(maps.Keys(responses)) {
			if strings.HasPrefix(status, "2") || status == "default" {
				bodyOf(responses[status])
			}
		}
		return classes, names
	}
	bodyOf(op["requestBody"])
	for _, p := range list(op["parameters"]) {
		if p = d.deref(p); str(p, "in") == "body" {
			bodyOf(p)
		}
	}
	return classes, names
}

// outside says whether an operation refers to another file.
func (d *drafter) outside(op object) bool {
	found, n := false, 0
	var look func(v any, depth int)
	look = func(v any, depth int) {
		if n++; found || depth > 12 || n > 5000 {
			return
		}
		switch v := v.(type) {
		case object:
			if ref, is := v["$ref"].(string); is && !strings.HasPrefix(ref, "#/") {
				found = true
				return
			}
			for _, x := range v {
				look(x, depth+1)
			}
		case []any:
			for _, x := range v {
				look(x, depth+1)
			}
		}
	}
	look(op, 0)
	return found
}
