// Command package builds what Assent is released as: archives of static binaries, Debian packages,
// a bill of materials for each, and their SHA-256. What it writes depends on the source, the
// version, the commit's time and the Go toolchain, and on nothing else of the machine.
// scripts/package calls it with a clean clone.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

// A release is one run: what is built, from where, into where.
type release struct {
	source   string // a clean checkout
	out      string
	programs []string // commands, by the directory of each below cmd/
	version  string   // as the binaries say it: v1.2.3, or Go's pseudo-version
	time     time.Time
}

// A target is one pair of operating system and architecture, in Go's words.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "/" + t.arch }

var aTarget = regexp.MustCompile(`^(linux|darwin)/(amd64|arm64)$`)

func run(args []string) error {
	f := flag.NewFlagSet("package", flag.ContinueOnError)
	source := f.String("source", "", "clean checkout to build")
	out := f.String("out", "", "directory to write to; it must not hold anything")
	targets := f.String("targets", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64", "what to build for")
	epoch := f.Int64("epoch", 0, "time of the commit, in seconds since 1970: every file's time")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *source == "" || *out == "" || *epoch <= 0 || f.NArg() > 0 {
		return errors.New("-source, -out and -epoch are needed: scripts/package gives them")
	}
	r := &release{source: *source, out: *out, programs: []string{"assent", "assent-verify"}, time: time.Unix(*epoch, 0).UTC()}
	return r.all(*targets)
}

// all builds for each target.
func (r *release) all(targets string) error {
	if held, err := os.ReadDir(r.out); err == nil && len(held) > 0 {
		return fmt.Errorf("%s holds something: name an empty directory", r.out)
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil { //nolint:gosec // what is released is for everybody
		return err
	}
	for _, name := range strings.Split(targets, ",") {
		if !aTarget.MatchString(name) {
			return fmt.Errorf("target %q: linux or darwin, amd64 or arm64", name)
		}
		goos, arch, _ := strings.Cut(name, "/")
		if err := r.one(target{goos, arch}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return r.sums()
}

// environment is what the build of a target sees: nothing of the machine's settings of Go's
// may change what comes out.
func environment(t target) []string {
	set := []string{
		"GOOS=" + t.os, "GOARCH=" + t.arch, "CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off",
		"GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOENV=off", "GODEBUG=",
	}
	if os.Getenv("GOPROXY") == "" { // GOENV=off would forget one that is set there
		if b, err := exec.Command("go", "env", "GOPROXY").Output(); err == nil {
			set = append(set, "GOPROXY="+strings.TrimSpace(string(b)))
		}
	}
	return append(os.Environ(), set...)
}

// one builds, archives and packages for one target.
func (r *release) one(t target) error {
	work, err := os.MkdirTemp("", "assent-package-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	build := []string{"build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", work + "/"}
	for _, p := range r.programs {
		build = append(build, "./cmd/"+p)
	}
	c := exec.Command("go", build...)
	c.Dir, c.Env, c.Stderr = r.source, environment(t), os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("building: %w", err)
	}
	made, err := readBinaries(work, r.programs)
	if err != nil {
		return err
	}
	if r.version == "" {
		r.version = made.version
	} else if r.version != made.version {
		return fmt.Errorf("the binaries say version %s, those before said %s", made.version, r.version)
	}
	notices, err := r.notices(t)
	if err != nil {
		return fmt.Errorf("collecting licences: %w", err)
	}
	bom, err := r.bom(t, made)
	if err != nil {
		return fmt.Errorf("writing the bill of materials: %w", err)
	}
	files, err := r.files(t, work, notices)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("assent_%s_%s_%s", r.version, t.os, t.arch)
	if err := r.write(name+".cdx.json", func(w io.Writer) error { _, err := w.Write(bom); return err }); err != nil {
		return err
	}
	if err := r.write(name+".tar.gz", func(w io.Writer) error { return archive(w, name, files, r.time) }); err != nil {
		return err
	}
	if t.os != "linux" {
		return nil
	}
	return r.write(debName(r.version, t.arch), func(w io.Writer) error { return r.deb(w, t, work, notices, bom) })
}

// A file of an archive.
type file struct {
	name string
	mode int64
	data []byte
}

// files are what an archive holds.
func (r *release) files(t target, work string, notices []byte) ([]file, error) {
	var out []file
	add := func(name, from string, mode int64) error {
		b, err := os.ReadFile(from)
		out = append(out, file{name, mode, b})
		return err
	}
	for _, p := range r.programs {
		if err := add(p, filepath.Join(work, p), 0o755); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"LICENSE", "README.md"} {
		if err := add(name, filepath.Join(r.source, name), 0o644); err != nil {
			return nil, err
		}
	}
	out = append(out, file{"THIRD-PARTY.txt", 0o644, notices})
	if t.os == "linux" {
		for _, name := range []string{"assent.service", "assent.sysusers", "assent.yaml"} {
			if err := add("systemd/"+name, filepath.Join(r.source, "packaging/systemd", name), 0o644); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// write makes one file of the release, whole or not at all.
func (r *release) write(name string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(filepath.Join(r.out, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // for everybody
	if err != nil {
		return err
	}
	err = errors.Join(fill(f), f.Close())
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// sums writes SHA256SUMS, as sha256sum --check reads it.
func (r *release) sums() error {
	list, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		lines = append(lines, hex.EncodeToString(sum[:])+"  "+e.Name()+"\n")
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	return r.write("SHA256SUMS", func(w io.Writer) error { _, err := io.WriteString(w, strings.Join(lines, "")); return err })
}
