package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// notice names files that a licence may oblige us to hand on.
var notice = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|copyright|notice|patents|unlicense|ofl)([-._].*)?$`)

// notices are the licences of all that is linked into the programs of a target: the files of that
// kind beside each linked package and above it up to its module, those beside our own fonts, and
// Go's. A module without one is an error: nobody may hand it on unread.
func (r *release) notices(t target) ([]byte, error) {
	list := []string{"list", "-deps", "-json=Dir,Module,Standard"}
	for _, p := range r.programs {
		list = append(list, "./cmd/"+p)
	}
	c := exec.Command("go", list...)
	c.Dir, c.Env, c.Stderr = r.source, environment(t), os.Stderr
	text, err := c.Output()
	if err != nil {
		return nil, err
	}
	type pkg struct {
		Dir      string
		Standard bool
		Module   *struct {
			Path, Version, Dir string
			Main               bool
			Replace            *struct{ Path, Version string }
		}
	}
	found := map[string]map[string]string{} // "module version" to path to file
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		name := p.Module.Path + " " + p.Module.Version
		if m := p.Module.Replace; m != nil {
			name = m.Path + " " + m.Version
		}
		if found[name] == nil {
			found[name] = map[string]string{}
		}
		for dir := p.Dir; ; dir = filepath.Dir(dir) {
			if err := licences(dir, p.Module.Dir, found[name]); err != nil {
				return nil, err
			}
			if dir == p.Module.Dir || len(dir) < len(p.Module.Dir) {
				break
			}
		}
	}
	if err := r.ownNotices(t, found); err != nil {
		return nil, err
	}
	return printNotices(found)
}

// licences adds the files of that kind in dir.
func licences(dir, root string, into map[string]string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Type().IsRegular() && notice.MatchString(e.Name()) && !strings.HasSuffix(e.Name(), ".go") {
			rel, err := filepath.Rel(root, filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			into[filepath.ToSlash(rel)] = filepath.Join(dir, e.Name())
		}
	}
	return nil
}

// ownNotices adds what lies in our own tree (fonts) and in Go's.
func (r *release) ownNotices(t target, found map[string]map[string]string) error {
	own := map[string]string{}
	err := filepath.WalkDir(filepath.Join(r.source, "internal"), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir():
			return licences(path, r.source, own)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(own) > 0 {
		found["Assent's own tree"] = own
	}
	c := exec.Command("go", "env", "GOROOT")
	c.Dir, c.Env = r.source, environment(t)
	root, err := c.Output()
	if err != nil {
		return err
	}
	goroot := strings.TrimSpace(string(root))
	found["Go"] = map[string]string{}
	return licences(goroot, goroot, found["Go"])
}

func printNotices(found map[string]map[string]string) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("Assent is under the Apache License 2.0 (LICENSE). Its programs hold code of others, under these terms.\n")
	var names []string
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		files := found[name]
		if len(files) == 0 {
			return nil, fmt.Errorf("%s has no licence beside what is linked: read its terms before it is handed on", name)
		}
		var paths []string
		for p := range files {
			paths = append(paths, p)
		}
		slices.Sort(paths)
		for _, p := range paths {
			text, err := os.ReadFile(files[p])
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&out, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("=", 80), name, p, bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))))
		}
	}
	return out.Bytes(), nil
}
