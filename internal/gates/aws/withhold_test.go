package aws

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

var hidden = []string{"SecretAccessKey", "SessionToken", "Url"}

func TestWithhold(t *testing.T) {
	for _, one := range []struct{ kind, doc, want string }{
		{"text/xml", `<a><SecretAccessKey>x</SecretAccessKey><b>y</b></a>`, `<a><SecretAccessKey>[withheld]</SecretAccessKey><b>y</b></a>`},
		{"text/xml", `<a><SecretAccessKey><![CDATA[x]]><c>x</c><SecretAccessKey>x</SecretAccessKey></SecretAccessKey><b>y</b></a>`, `<a><SecretAccessKey>[withheld]</SecretAccessKey><b>y</b></a>`},
		{"text/xml", `<n:a xmlns:n="u"><n:SessionToken k="v">x</n:SessionToken><Url/></n:a>`, `<n:a xmlns:n="u"><n:SessionToken k="v">[withheld]</n:SessionToken><Url/></n:a>`},
		{"application/x-amz-json-1.1", `{"SessionToken": "x", "b": [1, {"Url": ["x", 7]}]}`, `{"SessionToken": "[withheld]", "b": [1, {"Url": ["[withheld]", "[withheld]"]}]}`},
		{"application/json", ` `, ` `},
	} {
		got, err := withhold([]byte(one.doc), one.kind, hidden)
		if err != nil || string(got) != one.want {
			t.Errorf("%s: %s %v", one.doc, got, err)
		}
	}
	for kind, doc := range map[string]string{"text/html": "x", "text/xml": `<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>`, "application/json": `{"Url":"x","Url":"y"}`, "application/xml": "<a>"} {
		if got, err := withhold([]byte(doc), kind, hidden); err == nil {
			t.Errorf("%s is taken: %s", doc, got)
		}
	}
}

// FuzzWithhold: whoever reads what comes back finds nothing under a name that is withheld.
func FuzzWithhold(f *testing.F) {
	f.Add(`<a><SecretAccessKey>x</SecretAccessKey></a>`, true)
	f.Add(`<a><Url><!-- c --><b>x</b></Url><Url/></a>`, true)
	f.Add(`{"a":[{"Url":{"b":"x"}}]}`, false)
	f.Fuzz(func(t *testing.T, doc string, isXML bool) {
		kind := "application/json"
		if isXML {
			kind = "text/xml"
		}
		out, err := withhold([]byte(doc), kind, hidden)
		if err != nil || len(bytes.TrimSpace(out)) == 0 {
			return
		}
		if !isXML {
			var v any
			if err := json.Unmarshal(out, &v); err != nil {
				t.Fatalf("%q is no JSON any more: %q", doc, out)
			}
			under(t, v, false)
			return
		}
		inside := 0
		for d := xml.NewDecoder(bytes.NewReader(out)); ; {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("%q is no XML any more: %q: %v", doc, out, err)
			}
			switch tok := tok.(type) {
			case xml.StartElement:
				if inside > 0 || slices.Contains(hidden, tok.Name.Local) {
					inside++
				}
			case xml.EndElement:
				inside = max(inside-1, 0)
			case xml.CharData:
				if inside > 0 && strings.TrimSpace(string(tok)) != instead {
					t.Fatalf("%q shows %q", doc, tok)
				}
			}
		}
	})
}

func under(t *testing.T, v any, name bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			under(t, e, name || slices.Contains(hidden, k))
		}
	case []any:
		for _, e := range v {
			under(t, e, name)
		}
	case string:
		if name && v != instead {
			t.Fatalf("%q is shown", v)
		}
	case float64:
		if name {
			t.Fatalf("%v is shown", v)
		}
	}
}
