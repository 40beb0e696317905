package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestReleasedTwice builds the smaller program's release from two clones, in other directories and under other
// umasks, time zones and homes, and compares every byte of it.
func TestReleasedTwice(t *testing.T) {
	repo, epoch := here(t)
	var outs []string
	for i, place := range []string{"a", "b/a longer path"} {
		dir := filepath.Join(t.TempDir(), place)
		command(t, "", "git", "clone", "-q", "--no-tags", repo, dir)
		command(t, dir, "git", "tag", "v0.9.1-rc.1")
		t.Setenv("TZ", []string{"UTC", "Pacific/Kiritimati"}[i])
		t.Setenv("SOURCE_DATE_EPOCH", []string{"", "1"}[i])
		t.Setenv("GOFLAGS", []string{"", "-ldflags=-w"}[i])
		was := syscall.Umask([]int{0o022, 0o077}[i])
		out := filepath.Join(t.TempDir(), "out")
		r := &release{source: dir, out: out, programs: []string{"assent-verify"}, time: time.Unix(epoch, 0).UTC()}
		err := r.all("linux/amd64,darwin/arm64")
		syscall.Umask(was)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, out)
	}
	want := []string{
		"SHA256SUMS", "assent_0.9.1~rc.1_amd64.deb", "assent_v0.9.1-rc.1_darwin_arm64.cdx.json", "assent_v0.9.1-rc.1_darwin_arm64.tar.gz",
		"assent_v0.9.1-rc.1_linux_amd64.cdx.json", "assent_v0.9.1-rc.1_linux_amd64.tar.gz",
	}
	if got := names(t, outs[0]); !slices.Equal(got, want) {
		t.Fatalf("the release holds %q", got)
	}
	for _, name := range want {
		if !bytes.Equal(read(t, filepath.Join(outs[0], name)), read(t, filepath.Join(outs[1], name))) {
			t.Errorf("%s differs from one place to another", name)
		}
	}
	command(t, outs[0], "sha256sum", "--check", "--strict", "SHA256SUMS")
	t.Run("bill of materials", func(t *testing.T) { billOfMaterials(t, filepath.Join(outs[0], want[4])) })
	t.Run("archive", func(t *testing.T) { archived(t, filepath.Join(outs[0], want[5])) })
	t.Run("Debian package", func(t *testing.T) { debian(t, filepath.Join(outs[0], want[1])) })
}

// billOfMaterials is valid by CycloneDX's own schema, and names what the binary says that it holds.
func billOfMaterials(t *testing.T, path string) {
	dir := strings.TrimSpace(command(t, ".", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go"))
	c := jsonschema.NewCompiler()
	for _, name := range []string{"bom-1.6.schema.json", "spdx.schema.json", "jsf-0.82.schemax.json"} {
		b := bytes.ReplaceAll(read(t, filepath.Join(dir, "schema", name)), []byte("jsf-0.82.schema.json"), []byte("jsf-0.82.schemax.json"))
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Error(err)
	}
	text := string(read(t, path))
	for _, want := range []string{`"specVersion": "1.6"`, `"version": "v0.9.1-rc.1"`, "pkg:golang/github.com/assenthq/assent@v0.9.1-rc.1", "pkg:golang/golang.org/x/mod@v", "pkg:golang/std@1.", "h1:"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %s", want)
		}
	}
	// Linked into the other program alone.
	if strings.Contains(text, "modernc.org/sqlite") {
		t.Error("it names what assent-verify doesn't hold")
	}
	doc.(map[string]any)["components"] = "none"
	if schema.Validate(doc) == nil {
		t.Error("the schema takes anything")
	}
}

// archived: nobody's name, number or umask is in it.
func archived(t *testing.T, path string) {
	b := read(t, path)
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if z.Name != "" || !z.ModTime.IsZero() {
		t.Errorf("the gzip header has a name %q or a time %v", z.Name, z.ModTime)
	}
	_, epoch := here(t)
	seen := map[string]bool{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(h.Name, "assent_v0.9.1-rc.1_linux_amd64/")
		seen[name] = true
		want := int64(0o644)
		if h.Typeflag == tar.TypeDir || name == "assent-verify" {
			want = 0o755
		}
		if h.Mode != want || h.Uid != 0 || h.Gid != 0 || h.Uname != "root" || h.Gname != "root" || h.ModTime.Unix() != epoch {
			t.Errorf("%s: mode %o, owner %d %s, group %d %s, time %v", h.Name, h.Mode, h.Uid, h.Uname, h.Gid, h.Gname, h.ModTime)
		}
	}
	for _, name := range []string{"assent-verify", "LICENSE", "THIRD-PARTY.txt", "systemd/assent.service"} {
		if !seen[name] {
			t.Errorf("it lacks %s", name)
		}
	}
}

// debian: what dpkg reads of it.
func debian(t *testing.T, path string) {
	control := command(t, "", "dpkg-deb", "--info", path)
	for _, want := range []string{"Package: assent\n", "Version: 0.9.1~rc.1\n", "Architecture: amd64\n"} {
		if !strings.Contains(control, want) {
			t.Errorf("its control file lacks %q: %s", want, control)
		}
	}
	if got := command(t, "", "dpkg-deb", "--info", path, "conffiles"); got != "/etc/default/assent\n" {
		t.Errorf("conffiles are %q", got)
	}
	list := command(t, "", "dpkg-deb", "--contents", path)
	for _, want := range []string{
		`-rwxr-xr-x root/root .* ./usr/bin/assent-verify\n`, `drwx------ root/root .* ./etc/assent/\n`, `-rw-r----- root/root .* ./etc/default/assent\n`,
		`-rw-r--r-- root/root .* ./usr/lib/systemd/system/assent.service\n`, `-rw-r--r-- root/root .* ./usr/lib/sysusers.d/assent.conf\n`,
	} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("it lacks %s:\n%s", want, list)
		}
	}
	if regexp.MustCompile(`(?m)^.{4,9}[sStT]|^.{8}w`).MatchString(list) { // setuid, setgid, sticky, writable by all
		t.Errorf("modes:\n%s", list)
	}
	scripts := t.TempDir()
	command(t, "", "dpkg-deb", "--control", path, scripts)
	for _, name := range []string{"postinst", "prerm", "postrm"} {
		command(t, scripts, "sh", "-n", name)
	}
}

// TestChangedFilesAreRefused: what isn't committed is in no release.
func TestChangedFilesAreRefused(t *testing.T) {
	repo, epoch := here(t)
	dir := filepath.Join(t.TempDir(), "changed")
	command(t, "", "git", "clone", "-q", "--no-tags", repo, dir)
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte("changed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &release{source: dir, out: filepath.Join(t.TempDir(), "out"), programs: []string{"assent-verify"}, time: time.Unix(epoch, 0)}
	if err := r.all("linux/amd64"); err == nil || !strings.Contains(err.Error(), "built from changed files") {
		t.Fatalf("it says %v", err)
	}
	if left := names(t, r.out); len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
}

// Debian sorts ~ before everything, and has one hyphen of its own (deb-version(7)).
func TestDebianVersions(t *testing.T) {
	order := []string{"v0.0.0-20261123235959-bbfc877aaaaa", "v0.1.0-rc.1", "v0.1.0-rc.2-a", "v0.1.0", "v0.10.0", "v1.0.0"}
	for i := 1; i < len(order); i++ {
		command(t, "", "dpkg", "--compare-versions", debVersion(order[i-1]), "lt", debVersion(order[i]))
	}
}

func TestPackageURL(t *testing.T) {
	if got := purl("github.com/a/b", "v1.0.0+incompatible"); got != "pkg:golang/github.com/a/b@v1.0.0%2Bincompatible" {
		t.Error(got)
	}
}

// here is this repository, and the time of its newest commit.
func here(t *testing.T) (string, int64) {
	t.Helper()
	repo := strings.TrimSpace(command(t, "", "git", "rev-parse", "--show-toplevel"))
	epoch, err := strconv.ParseInt(strings.TrimSpace(command(t, repo, "git", "log", "-1", "--format=%ct")), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return repo, epoch
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	var problems bytes.Buffer
	c.Stderr = &problems
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s%s", name, strings.Join(args, " "), err, out, problems.Bytes())
	}
	return string(out)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}
