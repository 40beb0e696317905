// Command site makes a static site of the documentation: the pages of docs/, README, CONTRIBUTING and
// SECURITY as HTML, with a search that needs no server. It works from file:// and loads nothing from elsewhere.
//
//	site [-repo DIR] OUT
//
// Every link into the repository must lead to a file, and every anchor to a heading: else nothing is written, and each
// is named with its place.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	repo := flag.String("repo", ".", "root of the repository")
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "usage: site [-repo DIR] OUT"); flag.PrintDefaults() }
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(64)
	}
	n, err := write(*repo, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%d pages: %s\n", n, filepath.Join(flag.Arg(0), "index.html"))
}

// write makes the site of a repository in out, which must be new, empty, or a site from before.
func write(repo, out string) (pages int, err error) {
	s, err := read(repo)
	if err != nil {
		return 0, err
	}
	if err := ours(out); err != nil {
		return 0, err
	}
	files, err := s.files()
	if err != nil {
		return 0, err
	}
	for name, text := range files {
		path := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a site is for everybody to read
			return 0, err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // as above
			return 0, err
		}
	}
	return len(s.pages), nil
}

// ours keeps a slip of the command line from writing among other files.
func ours(out string) error {
	entries, err := os.ReadDir(out)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(out, "search-index.js")); err != nil {
		return fmt.Errorf("%s holds other things than a site: name a new directory", out)
	}
	return nil
}
