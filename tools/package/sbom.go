package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

const module = "github.com/assenthq/assent"

// built is what the binaries of one target say of themselves.
type built struct {
	version   string
	toolchain string            // go1.26.1
	revision  string            // of git
	hashes    map[string]string // SHA-256 in hexadecimal, by program
	modules   []*debug.Module   // united, sorted by path; what replaces another stands in its place
}

// readBinaries reads build information from the binaries themselves, never from go.mod: what is
// linked is what is told. A binary that was built from changed files, or with cgo, is refused.
func readBinaries(dir string, programs []string) (*built, error) {
	b := &built{hashes: map[string]string{}}
	seen := map[string]*debug.Module{}
	for _, p := range programs {
		path := filepath.Join(dir, p)
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		b.hashes[p] = hex.EncodeToString(sum[:])
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		switch {
		case info.Main.Path != module || info.Main.Version == "" || info.Main.Version == "(devel)":
			return nil, fmt.Errorf("%s bears no version: build it from a clone with its git directory", p)
		case settings["vcs.modified"] != "false":
			return nil, fmt.Errorf("%s was built from changed files: commit or remove them", p)
		case settings["CGO_ENABLED"] != "0":
			return nil, fmt.Errorf("%s was built with cgo, and runs only where its C library is", p)
		case b.version != "" && (b.version != info.Main.Version || b.toolchain != info.GoVersion || b.revision != settings["vcs.revision"]):
			return nil, fmt.Errorf("%s was built from other sources or by another toolchain than %s", p, programs[0])
		}
		b.version, b.toolchain, b.revision = info.Main.Version, info.GoVersion, settings["vcs.revision"]
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			if m.Sum == "" {
				return nil, fmt.Errorf("%s holds %s %s, whose sum nobody wrote down: a directory in place of a module can't be told to others", p, m.Path, m.Version)
			}
			if was := seen[m.Path]; was != nil && was.Version != m.Version {
				return nil, fmt.Errorf("%s holds %s %s, another program %s", p, m.Path, m.Version, was.Version)
			}
			seen[m.Path] = m
		}
	}
	for _, m := range seen {
		b.modules = append(b.modules, m)
	}
	slices.SortFunc(b.modules, func(a, c *debug.Module) int { return cmp.Compare(a.Path, c.Path) })
	return b, nil
}

// purl is a package URL of type golang (github.com/package-url/purl-spec).
func purl(path, version string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "pkg:golang/" + strings.Join(parts, "/") + "@" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B")
}

// bom is the bill of materials of a target in CycloneDX 1.6, JSON: the programs with their hashes, Go's standard
// library, and each module with the sum that go.sum has (dirhash h1, as a property: CycloneDX has no
// name for it). Identifier and time come from version and commit.
func (r *release) bom(t target, b *built) ([]byte, error) {
	doc := cdx.NewBOM()
	id := sha256.Sum256([]byte(b.version + "\x00" + t.String() + "\x00" + b.hashes[r.programs[0]]))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8 of RFC 9562: of the vendor's own making
	doc.SerialNumber = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
	root := purl(module, b.version)
	var parts []cdx.Component
	for _, p := range r.programs {
		parts = append(parts, cdx.Component{
			BOMRef: p, Type: cdx.ComponentTypeApplication, Name: p, Version: b.version,
			Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: b.hashes[p]}},
		})
	}
	doc.Metadata = &cdx.Metadata{
		Timestamp: r.time.Format(time.RFC3339),
		Component: &cdx.Component{
			BOMRef: root, Type: cdx.ComponentTypeApplication, Name: "assent", Version: b.version, PackageURL: root,
			Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
			Components: &parts,
			Properties: &[]cdx.Property{{Name: "assent:target", Value: t.String()}, {Name: "assent:revision", Value: b.revision}, {Name: "assent:toolchain", Value: b.toolchain}},
		},
	}
	std := "pkg:golang/std@" + strings.TrimPrefix(b.toolchain, "go")
	components := []cdx.Component{{BOMRef: std, Type: cdx.ComponentTypeLibrary, Name: "std", Version: b.toolchain, PackageURL: std}}
	refs := []string{std}
	for _, m := range b.modules {
		ref := purl(m.Path, m.Version)
		components = append(components, cdx.Component{
			BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: ref, Scope: cdx.ScopeRequired,
			Properties: &[]cdx.Property{{Name: "assent:go.sum", Value: m.Sum}},
		})
		refs = append(refs, ref)
	}
	doc.Components, doc.Dependencies = &components, &[]cdx.Dependency{{Ref: root, Dependencies: &refs}}
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(doc, cdx.SpecVersion1_6)
	if err == nil && out.Len() == 0 {
		err = errors.New("it is empty")
	}
	return out.Bytes(), err
}
