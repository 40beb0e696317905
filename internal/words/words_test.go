package words

import (
	"html/template"
	"slices"
	"strings"
	"testing"
)

const page = `{{define "p"}}<h1 title="Open {{plain .Name}} now">Settings &amp; health</h1>
<p class="x" data-title="kept">expires in {{template "ring" .R}} at {{.Gate}}.</p>{{if eq .A "x > y"}}<code>SELECT {{.S}} words</code>{{else}}<b>No</b>{{end}}
<svg><title>silent</title><text>silent too</text></svg><input placeholder="Why; kept" value="not this"> · {{.N}} <i>{{plural .N "value"}}</i>
<span aria-label="{{if .Many}}many{{else}}few{{end}} of them">{{"a}}b"}}</span><br/>last
{{end}}`

func TestSentences(t *testing.T) {
	got := Sentences(page)
	want := []string{"Open {0} now", "Settings & health", "expires in {0} at {1}.", "No", "Why; kept", "many", "few", "of them", "last"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestTranslate(t *testing.T) {
	if got := Translate(page, func(string) string { return "" }); got != page {
		t.Errorf("what nobody translated changed:\n%s", got)
	}
	say := map[string]string{"expires in {0} at {1}.": "{1}: endet in {0}", "Settings & health": `<b>"Zustand" & {x}`, "few": "wenige", "Open {0} now": `"{0}" öffnen`}
	got := Translate(page, func(en string) string { return say[en] })
	for _, part := range []string{
		`<p class="x" data-title="kept">{{.Gate}}: endet in {{template "ring" .R}}</p>`,
		`&lt;b&gt;&#34;Zustand&#34; &amp; {x}</h1>`, `{{else}}wenige{{end}}`, `title="&#34;{{plain .Name}}&#34; öffnen"`, `<code>SELECT {{.S}} words</code>`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("%s is missing in\n%s", part, got)
		}
	}
}

func TestParse(t *testing.T) {
	if c, err := Parse([]byte(`{"a {0} b {1}":"{1} und {0}","c":""}`)); err != nil || len(c) != 2 {
		t.Errorf("%v, %v", c, err)
	}
	for _, bad := range []string{`[]`, `{"a":1}`, `{"a {0}":"b"}`, `{"a":"{0}"}`, `{"a {0}":"{0} {0}"}`, `{"a":"{{.Secret}}"}`} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// FuzzTranslate: whatever stands in a template, leaving its sentences alone leaves it the same, and
// no translation brings markup or actions into it.
func FuzzTranslate(f *testing.F) {
	f.Add(page, `x{0}y`)
	f.Add(`<p title="a`, `<script>`)
	f.Add(`{{"`, `b`)
	f.Add(`a {{.B}} <`, `"'><`)
	f.Fuzz(func(t *testing.T, source, to string) {
		if got := Translate(source, func(string) string { return "" }); got != source {
			t.Fatalf("%q became %q", source, got)
		}
		c, err := Parse([]byte(`{"k":` + quoteJSON(to) + `}`))
		if err != nil || c["k"] == "" {
			return
		}
		got := Translate(source, func(string) string { return c["k"] })
		for _, part := range []string{"<", "{{", "}}", `"`} {
			if strings.Count(got, part) > strings.Count(source, part) {
				t.Fatalf("%q with %q became %q", source, to, got)
			}
		}
		if _, err := template.New("").Parse(source); err == nil {
			if _, err := template.New("").Parse(got); err != nil {
				t.Fatalf("%q with %q is no template any more: %v", source, to, err)
			}
		}
	})
}

func quoteJSON(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r < ' ':
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
