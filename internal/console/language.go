package console

import (
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/assenthq/assent/internal/words"
)

// spoken is the pages in one language.
type spoken struct {
	tag     string
	pages   *template.Template
	catalog words.Catalog
}

// say is a fixed sentence in this language, in English where nobody translated it.
func (s *spoken) say(en string) string {
	if to := s.catalog[en]; to != "" {
		return to
	}
	return en
}

// speak parses the pages in English, and in each language there is a catalogue of.
func (c *Console) speak(catalogs map[string]words.Catalog) error {
	tags := []language.Tag{language.English}
	pages, err := c.parsePages("en", nil)
	if err != nil {
		return err
	}
	c.spoken = []*spoken{{tag: "en", pages: pages}}
	for _, name := range slices.Sorted(maps.Keys(catalogs)) {
		tag, err := language.Parse(name)
		if err != nil {
			return fmt.Errorf("console: %q is no language: write a tag such as de or pt-BR", name)
		}
		if pages, err = c.parsePages(tag.String(), catalogs[name]); err != nil {
			return err
		}
		tags = append(tags, tag)
		c.spoken = append(c.spoken, &spoken{tag: tag.String(), pages: pages, catalog: catalogs[name]})
	}
	c.matcher = language.NewMatcher(tags)
	return nil
}

// language is the one a browser asks for, as far as there is one.
func (c *Console) language(r *http.Request) *spoken {
	if len(c.spoken) == 1 {
		return c.spoken[0]
	}
	want, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil || len(want) == 0 {
		return c.spoken[0]
	}
	_, i, _ := c.matcher.Match(want...)
	return c.spoken[i]
}

// Sentences are what the pages say, for those who translate them: docs/languages.md.
func Sentences() ([]string, error) {
	sources, err := pageSources()
	if err != nil {
		return nil, err
	}
	said, err := files.ReadFile("ui/said.txt")
	if err != nil {
		return nil, fmt.Errorf("console: reading its sentences: %w", err)
	}
	out := strings.Split(strings.TrimSpace(string(said)), "\n")
	for _, source := range sources {
		out = append(out, words.Sentences(source)...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
