package console

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"html"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/words"
)

// fixed is the sentence that an expression is, when it is always the same.
func fixed(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, e.Kind == gotoken.STRING && err == nil
	case *ast.BinaryExpr:
		a, ok := fixed(e.X)
		b, ok2 := fixed(e.Y)
		return a + b, ok && ok2
	}
	return "", false
}

// said are the fixed sentences that the code hands to pages that translate them.
func said(t *testing.T) []string {
	t.Helper()
	pkgs, err := parser.ParseDir(gotoken.NewFileSet(), ".", func(i fs.FileInfo) bool { return !strings.HasSuffix(i.Name(), "_test.go") }, 0) //nolint:staticcheck // one directory, no build tags
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	keep := func(e ast.Expr) {
		if s, ok := fixed(e); ok && strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz") && !strings.HasPrefix(s, "/") {
			out = append(out, s)
		}
	}
	for _, f := range pkgs["console"].Files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "fail" && len(n.Args) == 5 {
					keep(n.Args[3])
					keep(n.Args[4])
				}
			case *ast.CompositeLit:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "Room" && len(n.Elts) == 5 {
					keep(n.Elts[1])
				}
			}
			return true
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestSaidIsCurrent: ASSENT_UPDATE=1 writes the list anew.
func TestSaidIsCurrent(t *testing.T) {
	want := strings.Join(said(t), "\n") + "\n"
	if os.Getenv("ASSENT_UPDATE") != "" {
		if err := os.WriteFile("ui/said.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("ui/said.txt")
	if err != nil || string(got) != want {
		t.Errorf("ui/said.txt isn't current: ASSENT_UPDATE=1 go test -run TestSaidIsCurrent ./internal/console (%v)", err)
	}
}

var words0 = regexp.MustCompile(`\{\d+\}`)

// pseudo is a language in which every letter that was translated is marked.
func pseudo(t *testing.T) words.Catalog {
	t.Helper()
	all, err := Sentences()
	if err != nil || len(all) < 300 {
		t.Fatalf("%d sentences, %v", len(all), err)
	}
	mark := func(text string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return '𝖆' + (r - 'a')
			case r == '{' || r == '}':
				return '|'
			}
			return r
		}, text)
	}
	c := words.Catalog{}
	for _, en := range all {
		at := 0
		for _, m := range words0.FindAllStringIndex(en, -1) {
			c[en] += mark(en[at:m[0]]) + en[m[0]:m[1]]
			at = m[1]
		}
		c[en] += mark(en[at:])
	}
	return c
}

// TestAnotherLanguage: each page is shown in a language that there is a catalogue of, and what stands in
// its templates is in no other.
func TestAnotherLanguage(t *testing.T) {
	h := newHouse(t)
	h.change = func(o *Options) { o.Languages = map[string]words.Catalog{"de": pseudo(t)} }
	h.serve()
	a := h.ask(nil)
	c := newClient(h).signIn(mira)
	if _, page := c.send("GET", "/settings", nil, "Accept-Language", "fr, en;q=0.5"); !strings.Contains(page, `<html lang="en"`) || !strings.Contains(page, "Settings and health") {
		t.Error("who reads French gets English")
	}
	sentences, err := Sentences()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/approvals", "/approvals/" + a.ID, "/activity", "/audit", "/audit/1", "/settings", "/nothing"} {
		code, page := c.send("GET", path, nil, "Accept-Language", "de-AT, en;q=0.5")
		if code >= 500 || !strings.Contains(page, `<html lang="de"`) {
			t.Errorf("%s: %d, and not in the language asked for", path, code)
		}
		for _, text := range texts(page) {
			if slices.Contains(sentences, text) && len(strings.Fields(text)) > 2 {
				t.Errorf("%s says %q", path, text)
			}
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", h.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]string{"": "en", "de": "de", "de-CH;q=0.9, en": "en", "xx-!!": "en", "*": "en"} {
		r.Header.Set("Accept-Language", accept)
		if got := h.console.language(r).tag; got != want {
			t.Errorf("%q is answered in %s", accept, got)
		}
	}
}

var between = regexp.MustCompile(`>([^<>]+)<`)

// texts are what a page says between tags.
func texts(page string) (out []string) {
	for _, m := range between.FindAllStringSubmatch(page, -1) {
		if s := strings.Join(strings.Fields(html.UnescapeString(m[1])), " "); s != "" {
			out = append(out, s)
		}
	}
	return out
}
