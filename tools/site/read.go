package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// source is where files of the repository that are no pages can be read.
const source = "https://github.com/assenthq/assent/blob/main/"

// A page is one file of Markdown.
type page struct {
	path    string // in the repository, with slashes
	out     string // in the site
	title   string
	markup  []byte
	doc     ast.Node
	anchors map[string]bool
	parts   []part
}

// A part is a heading and what stands under it, up to the next.
type part struct {
	anchor, heading string
	level           int
	text            strings.Builder
}

type site struct {
	repo  string
	pages []*page
	by    map[string]*page // by path in the repository
	along map[string]string
	nav   []group
}

// A group of pages, as docs/README.md orders them.
type group struct {
	Name  string
	pages []*page
}

// read reads every page, and holds that each link leads somewhere.
func read(repo string) (*site, error) {
	s := &site{repo: repo, by: map[string]*page{}, along: map[string]string{}}
	names := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"}
	err := filepath.WalkDir(filepath.Join(repo, "docs"), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, ".md") {
			rel, err := filepath.Rel(repo, p)
			if err != nil {
				return err
			}
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		p, err := readPage(repo, name)
		if err != nil {
			return nil, err
		}
		s.pages, s.by[name] = append(s.pages, p), p
	}
	var problems []error
	for _, p := range s.pages {
		problems = append(problems, s.links(p)...)
	}
	s.order()
	return s, errors.Join(problems...)
}

// outOf is where a page goes: docs/ is the site's root.
func outOf(name string) string {
	switch {
	case name == "README.md":
		return "index.html"
	case name == "docs/README.md":
		return "contents.html"
	case path.Base(name) == "README.md":
		return strings.TrimPrefix(path.Dir(name), "docs/") + "/index.html"
	case path.Dir(name) == ".":
		name = strings.ToLower(name)
	}
	return strings.TrimPrefix(strings.TrimSuffix(name, ".md")+".html", "docs/")
}

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(noHTML()))

func readPage(repo, name string) (*page, error) {
	b, err := os.ReadFile(filepath.Join(repo, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	p := &page{path: name, out: outOf(name), markup: b, anchors: map[string]bool{}}
	p.doc = markdown.Parser().Parse(text.NewReader(b))
	for n := p.doc.FirstChild(); n != nil; n = n.NextSibling() {
		if h, is := n.(*ast.Heading); is {
			p.heading(h)
			continue
		}
		if len(p.parts) == 0 {
			p.parts = append(p.parts, part{})
		}
		words(&p.parts[len(p.parts)-1].text, n, b)
	}
	if p.title == "" {
		return nil, fmt.Errorf("%s: it has no title: begin it with # and its name", name)
	}
	return p, nil
}

func (p *page) heading(h *ast.Heading) {
	var b strings.Builder
	words(&b, h, p.markup)
	said := strings.TrimSpace(b.String())
	if h.Level == 1 && p.title == "" {
		p.title = said
	}
	id := slug(said)
	for n, first := 1, id; p.anchors[id]; n++ {
		id = fmt.Sprintf("%s-%d", first, n)
	}
	p.anchors[id] = true
	h.SetAttributeString("id", []byte(id))
	p.parts = append(p.parts, part{anchor: id, heading: said, level: h.Level})
}

// slug is the anchor that GitHub gives a heading, so that links work in both places.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}

// words writes what a reader reads of a node.
func words(b *strings.Builder, n ast.Node, markup []byte) {
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // it returns no error
		if !entering {
			if n.Type() == ast.TypeBlock || n.Kind().String() == "TableCell" {
				b.WriteByte(' ')
			}
			return ast.WalkContinue, nil
		}
		switch x := n.(type) {
		case *ast.Text:
			b.Write(x.Segment.Value(markup))
			if x.SoftLineBreak() || x.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(x.Value)
		case *ast.AutoLink:
			b.Write(x.Label(markup))
		case *ast.CodeBlock, *ast.FencedCodeBlock:
			for i := range n.Lines().Len() {
				line := n.Lines().At(i)
				b.Write(bytes.TrimRight(line.Value(markup), "\n"))
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
}

// links makes the links of a page those of the site, and tells which lead nowhere.
func (s *site) links(p *page) (problems []error) {
	_ = ast.Walk(p.doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // it returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		var to *[]byte
		switch x := n.(type) {
		case *ast.Link:
			to = &x.Destination
		case *ast.Image:
			to = &x.Destination
		default:
			return ast.WalkContinue, nil
		}
		there, err := s.resolve(p, string(*to))
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %s: %w", p.path, p.line(n), *to, err))
		}
		*to = []byte(there)
		return ast.WalkContinue, nil
	})
	return problems
}

// line is the line that a node of a page begins on, as far as the parser tells.
func (p *page) line(n ast.Node) int {
	for ; n != nil; n = n.Parent() {
		if n.Type() == ast.TypeBlock && n.Lines() != nil && n.Lines().Len() > 0 {
			return 1 + bytes.Count(p.markup[:n.Lines().At(0).Start], []byte("\n"))
		}
	}
	return 1
}

// resolve is where a link of a page leads in the site.
func (s *site) resolve(p *page, link string) (string, error) {
	u, err := url.Parse(link)
	if err != nil {
		return link, err
	}
	switch u.Scheme {
	case "https", "http", "mailto":
		return link, nil
	case "":
	default:
		return link, errors.New("no link that a site has")
	}
	name := p.path
	if u.Path != "" {
		name = path.Join(path.Dir(p.path), u.Path)
	}
	if to := s.by[name]; to != nil {
		if u.Fragment != "" && !to.anchors[u.Fragment] {
			return link, fmt.Errorf("%s has no heading with this anchor", name)
		}
		there := relative(p.out, to.out)
		if u.Path == "" {
			there = ""
		}
		if u.Fragment != "" {
			there += "#" + u.Fragment
		}
		return there, nil
	}
	info, err := os.Stat(filepath.Join(s.repo, filepath.FromSlash(name)))
	if err != nil || strings.HasPrefix(name, "../") {
		return link, errors.New("no such file in the repository")
	}
	if rest, is := strings.CutPrefix(name, "docs/"); is && !info.IsDir() {
		s.along[rest] = name // a picture, a schema: it goes along
		return relative(p.out, rest), nil
	}
	return source + name, nil
}

// relative is the address of to on the page from.
func relative(from, to string) string {
	return strings.Repeat("../", strings.Count(from, "/")) + to
}

// order reads the groups of docs/README.md. What it doesn't name stands in a last one.
func (s *site) order() {
	seen := map[*page]bool{}
	if contents := s.by["docs/README.md"]; contents != nil {
		for n := contents.doc.FirstChild(); n != nil; n = n.NextSibling() {
			if h, is := n.(*ast.Heading); is && h.Level == 2 {
				var b strings.Builder
				words(&b, h, contents.markup)
				s.nav = append(s.nav, group{Name: strings.TrimSpace(b.String())})
			}
			if len(s.nav) == 0 {
				continue
			}
			g := &s.nav[len(s.nav)-1]
			for _, p := range s.named(n) {
				if !seen[p] {
					seen[p] = true
					g.pages = append(g.pages, p)
				}
			}
		}
	}
	var rest []*page
	for _, p := range s.pages {
		if !seen[p] && p.path != "README.md" && p.path != "docs/README.md" {
			rest = append(rest, p)
		}
	}
	slices.SortFunc(rest, func(a, b *page) int { return strings.Compare(a.title, b.title) })
	if len(rest) > 0 {
		s.nav = append(s.nav, group{"More", rest})
	}
}

// named are the pages that the first link of each item of a list leads to.
func (s *site) named(n ast.Node) (out []*page) {
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // it returns no error
		link, is := n.(*ast.Link)
		if !entering || !is {
			return ast.WalkContinue, nil
		}
		for _, p := range s.pages {
			if p.out == string(link.Destination) {
				out = append(out, p)
			}
		}
		return ast.WalkContinue, nil
	})
	return out
}
