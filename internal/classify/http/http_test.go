package http

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
)

func billing(t testing.TB) *Mapping {
	t.Helper()
	m, err := Load("testdata/billing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestClassify(t *testing.T) {
	m := billing(t)
	for _, c := range []struct {
		ask, body string // body "-": not read
		want      string // kinds, or "refused"
	}{
		{"GET /v1/customers/7", "", "data.read"},
		{"HEAD /v1/customers/7", "", "data.read"},
		{"GET /v1/customers", "", "data.read"},
		{"GET /v1/customers?format=csv", "", "data.export"},
		{"GET /v1/customers?format=%63sv", "", "data.export"},
		{"GET /v1/customers?format=json", "", "data.read"},
		{"GET /v1/customers?format=json&format=csv", "", "refused"},
		{"GET /v1/customers?Format=csv", "", "refused"},
		{"GET /v1/customers?format[]=csv", "", "refused"},
		{"POST /v1/customers/search", "{}", "data.read"},
		{"POST /v1/customers", "{}", "data.write"},
		{"PUT /v1/customers/7", "{}", "unknown"},
		{"DELETE /v1/customers/7", "", "data.delete"},
		{"POST /v1/refunds", `{"amount":5}`, "payment"},
		{"POST /v1/refunds", `{"preview":true}`, "data.read"},
		{"POST /v1/refunds", `{"preview":"true"}`, "data.read"},
		{"POST /v1/refunds", `{"preview":false}`, "payment"},
		{"POST /v1/refunds", `{"preview":true,"preview":false}`, "refused"},
		{"POST /v1/refunds", `{"Preview":true}`, "refused"},
		{"POST /v1/refunds", "", "payment"},
		{"POST /v1/refunds", "-", "data.read, payment"},
		{"POST /v1/refunds", "amount=5", "refused"},
		{"POST /v1/users/7/roles", "{}", "privilege.change"},
		{"PATCH /v1/users/7/roles/admin", "{}", "privilege.change"},
		{"GET /v1/jobs/7:run", "", "execute"},
		{"GET /v1/jobs/:run", "", "data.read"}, // an empty id
		{"GET /v1/jobs/7:RUN", "", "data.read, execute, unknown"},
		{"POST /v1/hooks", `{"url":"https://evil.example"}`, "config.change, data.export"},
		{"GET /v1/inbox", "", "data.read"},
		{"GET /v1/inbox/a/b", "", "data.read"},
		{"GET /v1/Secrets/a/b", "", "secret.access"},
		// What an upstream may take for a stricter row is not taken for a weaker one.
		{"GET /v1/secrets/a/b", "", "data.read, secret.access, unknown"},
		{"GET /V1/SECRETS/a", "", "data.read, secret.access, unknown"},
		{"GET /v1/%53ecrets/a", "", "secret.access"},
		{"GET /v1/secrets-list", "", "data.read, secret.access, unknown"},
		{"GET /v1/secrets-list.json", "", "data.read, secret.access, unknown"},
		{"POST /v1/refunds/", "{}", "data.write, payment, unknown"},
		{"POST /v1/refunds.json", "{}", "data.write, payment, unknown"},
		// What a route's own rules let through, as a server would see it that resolves it.
		{"GET /v1%2fSecrets/a", "", "data.read, secret.access, unknown"},
		{"GET /v1/x/..%2f..%2fv1%5csecrets/a", "", "data.read, secret.access, unknown"},
		{"GET /v1/x/../Secrets/a", "", "data.read, secret.access, unknown"},
		{"GET /v1//Secrets/a", "", "data.read, secret.access, unknown"},
		{"GET /v1/Secrets;v=1/a", "", "data.read, secret.access, unknown"},
		{"GET /v1/%2553ecrets/a", "", "data.read, secret.access, unknown"},
		{"GET /v1/inbox/a%2fb", "", "data.read"},
		{"POST /internal/x", "", "unknown"},
		{"TRACE /x", "", "unknown"},
		{"GET /", "", "data.read"},
		{"OPTIONS *", "", "data.read"},
		{"GET /" + strings.Repeat("a/", 100), "", "refused"},
		{"GET /v1/customers?_method=DELETE", "", "refused"},
		{"GET /v1/customers?%5fmethod=DELETE", "", "refused"},
		{"GET /v1/customers?X-HTTP-Method-Override=DELETE", "", "refused"},
		{"POST /graphql", `{"query":"{ me { id } }"}`, "data.read"},
		{"POST /graphql", `{"query":"query Q { a: secrets { id } }"}`, "secret.access"},
		{"POST /graphql", `{"query":"mutation { createRefund(amount: 5) { id } }"}`, "payment"},
		{"POST /graphql", `{"query":"mutation { deleteUser(id: \"}\") { id } me: other }"}`, "data.delete, unknown"},
		{"POST /graphql", `{"query":"query A { me } mutation B { createRefund }","operationName":"A"}`, "data.read, payment"},
		{"POST /graphql", `{"query":"{ ...F } fragment F on Query { ... on Query { secrets } ...G } fragment G on Query { ...F me }"}`, "data.read, secret.access"},
		{"POST /graphql", `[{"query":"{ me }"},{"query":"mutation { createRefund }"}]`, "data.read, payment"},
		{"POST /graphql", `{"query":"{ ...Missing }"}`, "refused"},
		{"POST /graphql", `{"query":"{ me "}`, "refused"},
		{"POST /graphql", `{"query":"type A { b: C }"}`, "refused"},
		{"POST /graphql", `{"query":"# only\n"}`, "unknown"},
		{"POST /graphql", `{"query":"{ me }","query":"mutation { createRefund }"}`, "refused"},
		{"POST /graphql", `{"query":"{ me }","Query":"mutation { createRefund }"}`, "refused"},
		{"POST /graphql", `{"extensions":{"persistedQuery":{"sha256Hash":"x"}}}`, "unknown"},
		{"POST /graphql", "-", "unknown"},
		{"POST /graphql?query={me}", `{"query":"mutation { createRefund }"}`, "refused"},
		{"GET /graphql?query=%7Bsecrets%7D", "", "secret.access"},
		{"GET /graphql?query=mutation%7BcreateRefund%7D", "", "payment"},
		{"GET /graphql", "", "unknown"},
	} {
		method, target, _ := strings.Cut(c.ask, " ")
		path, query, _ := strings.Cut(target, "?")
		body := []byte(c.body)
		if c.body == "-" {
			body = nil
		}
		got := m.Classify(method, path, query, http.Header{}, body)
		what := joined(got.Kinds)
		if got.Refused != "" {
			what = "refused"
		}
		if what != c.want {
			t.Errorf("%s %s: %s (%s%s), want %s", c.ask, c.body, what, got.Why, got.Refused, c.want)
		}
	}
}

func TestResult(t *testing.T) {
	m := billing(t)
	r := m.Classify("GET", "/v1/customers", "limit=500", nil, nil)
	if r.Data.Rows != action.KnownCount(500) || !slices.Equal(r.Data.Classes, []string{"email", "phone"}) || !slices.Equal(r.Data.Groups, []string{"pii"}) {
		t.Errorf("%+v", r.Data)
	}
	r = m.Classify("GET", "/v1/customers", "limit=all", nil, nil)
	if r.Data.Rows.Known {
		t.Errorf("%+v", r.Data.Rows)
	}
	r = m.Classify("POST", "/v1/refunds", "", nil, []byte(`{"payment":"p_7","amount":12.5,"currency":"EUR\u202e\n"}`))
	if r.Target != "refund of p_7" || r.Verb != "refund" || !strings.HasPrefix(r.Title, "POST /v1/refunds: pays 12.5 EUR") || strings.ContainsAny(r.Title, "\u202e\n") {
		t.Errorf("%+v", r)
	}
	r = m.Classify("POST", "/v1/refunds", "", nil, nil)
	if r.Routine || r.Reversible {
		t.Errorf("a body that was not read: %+v", r)
	}
	r = m.Classify("POST", "/v1/hooks", "", nil, []byte(`{"url":"https://evil.example/x"}`))
	if r.Data.Destination != "https://evil.example/x" || r.Data.DestinationTrust != "external" {
		t.Errorf("%+v", r.Data)
	}
	if r = m.Classify("GET", "/v1/inbox/7", "", nil, nil); r.Untrusted != "mail" {
		t.Errorf("%+v", r)
	}
	if r = m.Classify("POST", "/v1/users/7/roles", "", nil, nil); r.Resource != "users/7" {
		t.Errorf("%+v", r)
	}
	r = m.Classify("POST", "/graphql", "", nil, []byte(`{"query":"mutation($a: Int = 5) @x(y: [1]) { r: createRefund(i: {a: \"\"\"}\"\"\"}) { id } }"}`))
	if r.Verb != "mutation" || r.Target != "createRefund" || r.Routine {
		t.Errorf("%+v", r)
	}
	if r = m.Classify("POST", "/graphql", "", nil, []byte(`{"query":"{me}"}`)); !r.Routine {
		t.Errorf("%+v", r)
	}
	var none *Mapping
	if r = none.Classify("POST", "/x", "", nil, nil); joined(r.Kinds) != "unknown" {
		t.Errorf("%+v", r)
	}
}

// Headers and fields that would change the method.
func TestOverrides(t *testing.T) {
	for _, name := range []string{"X-Http-Method-Override", "X_HTTP_METHOD_OVERRIDE", "x-method-override", "X-HTTP-Method"} {
		if r := (*Mapping)(nil).Classify("POST", "/x", "", http.Header{name: {"DELETE"}}, nil); r.Refused == "" {
			t.Errorf("%s passes", name)
		}
	}
	for kind, body := range map[string]string{
		"application/x-www-form-urlencoded":          "a=b&%5Fmethod=DELETE",
		"multipart/form-data; boundary=x":            "--x\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--x--",
		"Application/X-WWW-Form-Urlencoded; charset": "_METHOD=PUT",
	} {
		r := (*Mapping)(nil).Classify("POST", "/x", "", http.Header{"Content-Type": {kind}}, []byte(body))
		if r.Refused == "" {
			t.Errorf("%s passes", kind)
		}
	}
}

// A form is looked into as a flat object, and never taken for JSON.
func TestForms(t *testing.T) {
	m := billing(t)
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for body, want := range map[string]string{
		"preview=true&a=b": "data.read", "preview=false": "payment", "Preview[]=true": "", "preview=true&preview=false": "", "preview[]=true": "", `{"preview":true}`: "",
	} {
		r := m.Classify("POST", "/v1/refunds", "", form, []byte(body))
		if joined(r.Kinds) != want {
			t.Errorf("%s: %v (%s), want %q", body, r.Kinds, r.Refused, want)
		}
	}
	r := m.Classify("POST", "/v1/refunds", "", http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, []byte("--x--"))
	if joined(r.Kinds) != "data.read, payment" {
		t.Errorf("parts: %v", r.Kinds)
	}
}

// The most specific row wins, wherever it stands.
func TestSpecificity(t *testing.T) {
	rows := []string{"GET /a/b/c", "GET /a/b/{x}", "GET /a/{x}.json", "GET /a/{x}", "GET /a/b/**", "* /a/b/c", "GET /a/{x...}", "GET /**", "GET /{x}/b/c", "POST /a/*/c"}
	for ask, want := range map[string]string{
		"GET /a/b/c": "GET /a/b/c", "PUT /a/b/c": "* /a/b/c", "GET /a/b/d": "GET /a/b/{x}", "GET /a/b/d/e": "GET /a/b/**", "GET /a/b": "GET /a/b/**",
		"GET /a/z.json": "GET /a/{x}.json", "GET /a/z": "GET /a/{x}", "GET /a/z/z": "GET /a/{x...}", "GET /a": "GET /a/{x...}", "GET /z": "GET /**", "GET /": "GET /**", "GET /z/b/c": "GET /{x}/b/c",
		"POST /a/b/c": "* /a/b/c", "POST /a/z/c": "POST /a/*/c",
	} {
		for turn := range rows {
			var b strings.Builder
			b.WriteString("rows:\n")
			for i := range rows {
				fmt.Fprintf(&b, "- match: %q\n  kinds: [data.read]\n  verb: %q\n", rows[(i+turn)%len(rows)], rows[(i+turn)%len(rows)])
			}
			m, err := Parse([]byte(b.String()), "x.yaml")
			if err != nil {
				t.Fatal(err)
			}
			method, path, _ := strings.Cut(ask, " ")
			if r := m.Classify(method, path, "", nil, nil); r.Verb != want {
				t.Fatalf("%s: %s, want %s", ask, r.Verb, want)
			}
		}
	}
}

// Every mistake is told with its place and what to do.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "x.yaml: an empty mapping",
		"[]":                          "x.yaml:1:1: a mapping file begins with keys",
		"rows: 1":                     "x.yaml:1:7: rows is a list",
		"row: []":                     "x.yaml:1:1: row is no key here",
		"rows:\n- kinds: [data.read]": "x.yaml:2:3: a row without match",
		"rows:\n- match: GET /a":      "x.yaml:2:3: a row without kinds",
		"rows:\n- match: /a\n  kinds: [data.read]":                                                     "x.yaml:2:10: match is a method, a space, and a path",
		"rows:\n- match: get /a\n  kinds: [data.read]":                                                 "x.yaml:2:10: get is no method",
		"rows:\n- match: GET /a?b\n  kinds: [data.read]":                                               "x.yaml:2:10: a path with a query",
		"rows:\n- match: GET /a//b\n  kinds: [data.read]":                                              "x.yaml:2:10: a path with an empty segment",
		"rows:\n- match: GET /{a}{b}\n  kinds: [data.read]":                                            "x.yaml:2:10: a segment with more than one variable",
		"rows:\n- match: GET /{a}/{a}\n  kinds: [data.read]":                                           "x.yaml:2:10: a variable without a name, or with one that stands twice",
		"rows:\n- match: GET /**/b\n  kinds: [data.read]":                                              "x.yaml:2:10: something behind **",
		"rows:\n- match: GET /a*b\n  kinds: [data.read]":                                               "x.yaml:2:10: a segment with a character",
		"rows:\n- match: GET /a%20b\n  kinds: [data.read]":                                             "x.yaml:2:10: a segment that is encoded",
		"rows:\n- match: GET /a\n  kinds: [data.reed]":                                                 "x.yaml:3:11: data.reed is no kind",
		"rows:\n- match: GET /a\n  kinds: []":                                                          "x.yaml:3:10: a list of words",
		"rows:\n- match: GET /a\n  kinds: [data.read]\n  data: {classes: [mail]}":                      "x.yaml:4:20: mail is no class",
		"rows:\n- match: GET /a\n  kinds: [data.read]\n  target: \"{id}\"":                             "x.yaml:4:11: the path has no variable id",
		"rows:\n- match: GET /a\n  kinds: [data.read]\n  target: \"{id\"":                              "x.yaml:4:11: a { without }",
		"rows:\n- match: GET /a\n  kinds: [data.read]\n  when: {body: {a: b}}":                         "x.yaml:4:17: a place in a body is a JSON pointer",
		"rows:\n- match: GET /a\n  kinds: [data.read]\n  when: {cookie: {a: b}}":                       "x.yaml:4:10: cookie is no key here",
		"rows:\n- match: GET /a\n  kinds: [data.read]\n  when: {query: {_method: b}}":                  "x.yaml:4:18: parameters that change the method",
		"rows:\n- match: GET /a\n  kinds: [data.read]\n  routine: yes":                                 "x.yaml:4:12: true or false",
		"rows:\n- match: GET /a\n  kinds: [data.read]\n  trust: me":                                    "x.yaml:4:10: trust is internal or external",
		"rows:\n- match: GET /a\n  kinds: [data.read]\n- match: GET,PUT /a\n  kinds: [data.write]":     "x.yaml:4:1: GET,PUT /a is what the row at x.yaml:2 is about already",
		"rows:\n- match: GET /a/{b}\n  kinds: [data.read]\n- match: GET /A/{c}\n  kinds: [data.write]": "x.yaml:4:1: GET /A/{c} is what the row",
		"rows:\n- match: GET /a\n  kinds: [data.read]\n  kinds: [data.write]":                          "x.yaml:4:",
		"rows: &a []":                    "x.yaml:1:7: anchors",
		"rows: []\n---\nrows: []":        "x.yaml: a second YAML document",
		"rows: []\nunmapped: {get: [a]}": "x.yaml:2:12: get is no method",
		"rows: [\n":                      "x.yaml:1:",
	} {
		_, err := Parse([]byte(text), "x.yaml")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/billing.yaml"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("rows:\n- match: GET /{a}.x/**\n  kinds: data.read\n  when: {query: {a: ~}}\n  target: '{a}'"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data, "x.yaml")
		if err != nil {
			return
		}
		for _, ask := range []string{"/", "/a.x/b/c", "/v1/customers"} {
			if r := m.Classify("GET", ask, "", nil, []byte("{}")); (r.Refused == "") == (len(r.Kinds) == 0) {
				t.Errorf("%s: %+v", ask, r)
			}
		}
	})
}

// Whatever is asked is refused or has kinds, and no spelling of a path is judged weaker than another.
func FuzzClassify(f *testing.F) {
	m := billing(f)
	for _, s := range []string{"GET /v1/Secrets/a?x=1", "POST /graphql", "PUT /v1/users/7/roles/x", "GET /v1/jobs/7:run"} {
		method, target, _ := strings.Cut(s, " ")
		f.Add(method, target, "", []byte(`{"query":"{ me }","preview":true}`))
	}
	f.Fuzz(func(t *testing.T, method, target, kind string, body []byte) {
		path, query, _ := strings.Cut(target, "?")
		h := http.Header{"Content-Type": {kind}}
		r := m.Classify(method, path, query, h, body)
		if (r.Refused == "") == (len(r.Kinds) == 0) {
			t.Fatalf("%+v", r)
		}
		if strings.ContainsAny(r.Title+r.Target, "\n\r\x00\u202e") {
			t.Fatalf("%q", r.Title)
		}
		if r.Refused == "" && slices.Contains(r.Kinds, action.SecretAccess) && !slices.Contains(r.Kinds, action.Unknown) && !strings.HasPrefix(path, "/graphql") {
			for _, other := range []string{strings.ToLower(path), strings.ToUpper(path)} {
				o := m.Classify(method, other, query, h, body)
				if o.Refused == "" && !slices.Contains(o.Kinds, action.SecretAccess) && !strings.Contains(path, "%") {
					t.Fatalf("%s is %v, %s is %v", path, r.Kinds, other, o.Kinds)
				}
			}
		}
	})
}

func FuzzGraphQL(f *testing.F) {
	for _, s := range []string{"{ me }", "mutation M($a: [Int!] = [1, 2]) @d(a: \"x\") { a: b(c: {d: $e}) { f } ...G ... on T { h } }\nfragment G on T { i }", `{ a(b: """\""" }""") }`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		ops, bad := parseDocument(doc)
		if bad != "" {
			return
		}
		for _, op := range ops {
			if len(op.fields) == 0 && len(op.fragments) == 0 {
				t.Errorf("%q: %+v", doc, op)
			}
			for _, name := range op.fields {
				if !isName(name) || !strings.Contains(doc, name) {
					t.Errorf("%q: %+v", doc, op)
				}
			}
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	var text strings.Builder
	text.WriteString("rows:\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "- {match: 'GET /v1/things%d/{id}/parts/{part}', kinds: [data.read], target: 'part {part}'}\n", i)
	}
	m, err := Parse([]byte(text.String()), "x.yaml")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := m.Classify("GET", "/v1/things500/7/parts/9", "limit=5", nil, nil); r.Target != "part 9" {
			b.Fatal(r)
		}
	}
}

// The example of docs/http-mapping.md is a mapping.
func TestDocumentedExample(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/http-mapping.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(doc), "## An internal API\n")
	text, _, ok2 := strings.Cut(text, "\n| key |")
	if !ok || !ok2 {
		t.Fatal("the example is not where it was")
	}
	m, err := Parse([]byte(text), "example")
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Classify("GET", "/v1/customers", "format=csv", nil, nil); joined(r.Kinds) != "data.export" || m.Len() < 9 {
		t.Errorf("%d rows, %+v", m.Len(), r)
	}
}
