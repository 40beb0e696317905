package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/assenthq/assent/internal/words"
)

//go:embed ui
var files embed.FS

// asset is one static file under a name that changes with its content, so that
// browsers may keep it for ever.
type asset struct {
	body        []byte
	contentType string
	hash        string
}

// loadAssets reads ui/ except the templates. Types are ours: the system's
// table of types differs from machine to machine.
func loadAssets() (map[string]asset, error) {
	types := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
		".svg": "image/svg+xml", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8",
	}
	out := map[string]asset{}
	err := fs.WalkDir(files, "ui", func(name string, d fs.DirEntry, err error) error {
		kind, ok := types[path.Ext(name)]
		if err != nil || d.IsDir() || !ok {
			return err
		}
		b, err := files.ReadFile(name)
		sum := sha256.Sum256(b)
		out[strings.TrimPrefix(name, "ui/")] = asset{b, kind, hex.EncodeToString(sum[:6])}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("console: reading its files: %w", err)
	}
	return out, nil
}

func (c *Console) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := c.assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	if r.URL.Query().Get("v") == a.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(a.body)
}

// parsePages parses every page in one language.
func (c *Console) parsePages(tag string, catalog words.Catalog) (*template.Template, error) {
	say := func(en string) string {
		if to := catalog[en]; to != "" {
			return to
		}
		return en
	}
	t := template.New("").Funcs(template.FuncMap{
		"asset": func(name string) string { return "/ui/" + name + "?v=" + c.assets[name].hash },
		"say":   say,
	}).Funcs(viewFuncs())
	sources, err := pageSources()
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		text := strings.Replace(words.Translate(source, func(en string) string { return catalog[en] }), `<html lang="en"`, `<html lang="`+tag+`"`, 1)
		if t, err = t.Parse(text); err != nil {
			return nil, fmt.Errorf("console: parsing its pages in %s: %w", tag, err)
		}
	}
	return t, nil
}

func pageSources() ([]string, error) {
	names, err := fs.Glob(files, "ui/*.html")
	if err != nil {
		return nil, fmt.Errorf("console: reading its pages: %w", err)
	}
	var out []string
	for _, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("console: reading its pages: %w", err)
		}
		out = append(out, string(b))
	}
	return out, nil
}
