package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/util"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed site.css
	siteCSS []byte
	//go:embed site.js
	siteJS []byte
)

var frame = template.Must(template.New("page").Parse(pageHTML))

// fonts of the console, with their licences.
var fonts = []string{"inter-latin.woff2", "inter-latin-ext.woff2", "jetbrains-mono-latin.woff2", "OFL-Inter.txt", "OFL-JetBrainsMono.txt"}

// files is the whole site, by name.
func (s *site) files() (map[string][]byte, error) {
	out := map[string][]byte{"site.css": siteCSS, "site.js": siteJS}
	for _, name := range fonts {
		b, err := os.ReadFile(filepath.Join(s.repo, "internal/console/ui/fonts", name))
		if err != nil {
			return nil, err
		}
		out["fonts/"+name] = b
	}
	icon, err := os.ReadFile(filepath.Join(s.repo, "internal/console/ui/icon.svg"))
	if err != nil {
		return nil, err
	}
	out["icon.svg"] = icon
	for name, from := range s.along {
		b, err := os.ReadFile(filepath.Join(s.repo, filepath.FromSlash(from)))
		if err != nil {
			return nil, err
		}
		out[name] = b
	}
	for _, p := range s.pages {
		if out[p.out], err = s.render(p); err != nil {
			return nil, fmt.Errorf("%s: %w", p.path, err)
		}
	}
	out["search-index.js"], err = s.index()
	return out, err
}

type entry struct {
	Name, To string
	Here     bool
}

func (s *site) render(p *page) ([]byte, error) {
	var body bytes.Buffer
	if err := markdown.Renderer().Render(&body, p.markup, p.doc); err != nil {
		return nil, err
	}
	type section struct {
		Name    string
		Entries []entry
	}
	view := struct {
		Title, Root    string
		Home           bool
		Body           template.HTML
		Nav            []section
		Contents       []entry
		Before, Behind *entry
	}{Title: p.title, Root: relative(p.out, ""), Home: p.out == "index.html", Body: template.HTML(body.String())} //nolint:gosec // the renderer writes no markup of a page's own: noHTML
	var all []*page
	at := -1
	for _, g := range s.nav {
		n := section{Name: g.Name}
		for _, x := range g.pages {
			if x == p {
				at = len(all)
			}
			all = append(all, x)
			n.Entries = append(n.Entries, entry{x.title, relative(p.out, x.out), x == p})
		}
		view.Nav = append(view.Nav, n)
	}
	if at > 0 {
		view.Before = &entry{Name: all[at-1].title, To: relative(p.out, all[at-1].out)}
	}
	if at >= 0 && at+1 < len(all) {
		view.Behind = &entry{Name: all[at+1].title, To: relative(p.out, all[at+1].out)}
	}
	for i := range p.parts {
		if p.parts[i].level == 2 {
			view.Contents = append(view.Contents, entry{Name: p.parts[i].heading, To: "#" + p.parts[i].anchor})
		}
	}
	var b bytes.Buffer
	err := frame.Execute(&b, view)
	return b.Bytes(), err
}

// everything are pages that name each thing once and explain none.
var everything = map[string]bool{"docs/README.md": true, "docs/roadmap.md": true, "docs/figures.md": true, "docs/dependencies.md": true}

// index is what the search looks through: a script, since pages from file:// may fetch nothing.
func (s *site) index() ([]byte, error) {
	type row struct {
		To      string `json:"to"`
		Page    string `json:"page"`
		Heading string `json:"heading"`
		Text    string `json:"text"`
		Weight  int    `json:"weight"` // 2, 1 for pages that speak of everything
	}
	var rows []row
	for _, p := range s.pages {
		weight := 2
		if everything[p.path] {
			weight = 1
		}
		for i := range p.parts {
			x := &p.parts[i]
			to := p.out
			if x.level > 1 {
				to += "#" + x.anchor
			}
			rows = append(rows, row{to, p.title, x.heading, strings.Join(strings.Fields(x.text.String()), " "), weight})
		}
	}
	b, err := json.Marshal(rows) // it escapes <, >, & and the line separators that scripts stumble over
	if err != nil {
		return nil, err
	}
	return []byte("found(" + string(b) + ");\n"), nil
}

// noHTML lets no markup of a page's own through: comments vanish, anything else is an error.
func noHTML() renderer.Option {
	return renderer.WithNodeRenderers(util.Prioritized(silent{}, 100))
}

type silent struct{}

func (silent) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindHTMLBlock, func(_ util.BufWriter, markup []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		var b strings.Builder
		for i := range n.Lines().Len() {
			line := n.Lines().At(i)
			b.Write(line.Value(markup))
		}
		return comment(b.String(), entering)
	})
	r.Register(ast.KindRawHTML, func(_ util.BufWriter, markup []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		segments := n.(*ast.RawHTML).Segments
		return comment(string(segments.Value(markup)), entering)
	})
}

func comment(text string, entering bool) (ast.WalkStatus, error) {
	if entering && !strings.HasPrefix(strings.TrimSpace(text), "<!--") {
		return ast.WalkStop, fmt.Errorf("%q is HTML: write it in Markdown, or as code", text)
	}
	return ast.WalkSkipChildren, nil
}
