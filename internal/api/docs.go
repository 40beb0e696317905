package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"sort"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsPage string

//go:embed docs.css
var docsStyle []byte

// docsPolicy lets the page load its own style sheet and nothing else.
const docsPolicy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// docs serves the specification and a page made from it. Both are made once:
// they hold nothing of this deployment but its name.
func (s *server) docs() error {
	spec, err := json.MarshalIndent(s.api.OpenAPI(), "", "  ")
	if err != nil {
		return fmt.Errorf("writing openapi.json: %w", err)
	}
	t, err := template.New("docs").Parse(docsPage)
	if err != nil {
		return fmt.Errorf("reading the docs page: %w", err)
	}
	var page bytes.Buffer
	if err := t.Execute(&page, s.docsView()); err != nil {
		return fmt.Errorf("writing the docs page: %w", err)
	}
	for path, file := range map[string]struct {
		kind string
		body []byte
	}{
		"/openapi.json":   {"application/openapi+json", spec},
		"/docs":           {"text/html; charset=utf-8", page.Bytes()},
		"/docs/style.css": {"text/css; charset=utf-8", docsStyle},
	} {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", file.kind)
			w.Header().Set("Content-Security-Policy", docsPolicy)
			_, _ = w.Write(file.body) // the client left: nobody to tell
		})
	}
	return nil
}

type docsView struct {
	Title, Version, Base string
	Groups               []docsGroup
}

type docsGroup struct {
	Name       string
	Operations []docsOperation
}

type docsOperation struct {
	Method, Path, Summary, Who, ID string
	Parameters, Body               []docsField
}

type docsField struct {
	Name, Type, Doc string
	Required        bool
}

// docsView lists the operations as the specification has them.
func (s *server) docsView() docsView {
	spec := s.api.OpenAPI()
	groups := map[string]*docsGroup{}
	for path, item := range spec.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Delete} {
			if op == nil {
				continue
			}
			name := op.Tags[0]
			if groups[name] == nil {
				groups[name] = &docsGroup{Name: name}
			}
			groups[name].Operations = append(groups[name].Operations, s.docsOperation(path, op))
		}
	}
	v := docsView{Title: spec.Info.Title, Version: spec.Info.Version, Base: s.base}
	for _, name := range []string{forAskers, forPeople, forAdmins, forAll} {
		g := groups[name]
		sort.Slice(g.Operations, func(i, j int) bool {
			return g.Operations[i].Path+" "+g.Operations[i].Method < g.Operations[j].Path+" "+g.Operations[j].Method
		})
		v.Groups = append(v.Groups, *g)
	}
	return v
}

func (s *server) docsOperation(path string, op *huma.Operation) docsOperation {
	d := docsOperation{Method: op.Method, Path: path, Summary: op.Summary, Who: op.Description, ID: op.OperationID}
	for _, p := range op.Parameters {
		d.Parameters = append(d.Parameters, docsField{Name: p.Name, Type: p.In, Doc: p.Description, Required: p.Required})
	}
	if op.RequestBody != nil {
		for _, media := range op.RequestBody.Content {
			d.Body = s.docsFields(media.Schema, "", 0)
		}
	}
	return d
}

// docsFields lists the members of a body, those of its objects beneath them.
func (s *server) docsFields(schema *huma.Schema, prefix string, depth int) []docsField {
	schema = s.resolve(schema)
	var fields []docsField
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		p := schema.Properties[name]
		inner, suffix := p, ""
		if p.Type == huma.TypeArray && p.Items != nil {
			inner, suffix = p.Items, "[]"
		}
		inner = s.resolve(inner)
		kind := inner.Type
		if suffix != "" {
			kind = "array"
		}
		fields = append(fields, docsField{Name: prefix + name + suffix, Type: kind, Doc: p.Description, Required: slices.Contains(schema.Required, name)})
		if depth < 3 {
			fields = append(fields, s.docsFields(inner, prefix+name+suffix+".", depth+1)...)
		}
	}
	return fields
}

func (s *server) resolve(schema *huma.Schema) *huma.Schema {
	if schema.Ref != "" {
		return s.api.OpenAPI().Components.Schemas.SchemaFromRef(schema.Ref)
	}
	return schema
}
