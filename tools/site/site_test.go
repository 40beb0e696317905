package main

import (
	"context"
	"html"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var (
	reference = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	anchor    = regexp.MustCompile(`id="([^"]*)"`)
)

// The documentation as it is: every page is made, and every link and picture of what was made leads
// to a file of it, every anchor to an element.
func TestSite(t *testing.T) {
	out := t.TempDir()
	pages, err := write("../..", out)
	if err != nil {
		t.Fatal(err)
	}
	made, anchors := map[string]string{}, map[string]map[string]bool{}
	err = filepath.WalkDir(out, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(out, p)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		made[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range made {
		anchors[name] = map[string]bool{}
		for _, m := range anchor.FindAllStringSubmatch(text, -1) {
			anchors[name][m[1]] = true
		}
	}
	links := 0
	for name, text := range made {
		if !strings.HasSuffix(name, ".html") {
			continue
		}
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			to := html.UnescapeString(m[1])
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			links++
			file, fragment, _ := strings.Cut(to, "#")
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if _, there := made[target]; !there {
				t.Errorf("%s: %s leads nowhere", name, to)
			} else if fragment != "" && !anchors[target][fragment] {
				t.Errorf("%s: %s has no such anchor", name, to)
			}
		}
	}
	if pages < 60 || links < 5*pages {
		t.Errorf("%d pages and %d links", pages, links)
	}
	if _, err := write("../..", out); err != nil {
		t.Errorf("making it again: %v", err)
	}
}

// What is wrong with a link is told with its place, and nothing is written.
func TestBrokenLinks(t *testing.T) {
	for _, c := range []struct{ page, want string }{
		{"[x](nothere.md)", "docs/a.md:3: nothere.md: no such file"},
		{"[x](b.md#nothing)", "docs/a.md:3: b.md#nothing: docs/b.md has no heading"},
		{"text\nof two lines, [x](#nothing)", "docs/a.md:3: #nothing: docs/a.md has no heading"},
		{"![x](nothere.svg)", "docs/a.md:3: nothere.svg: no such file"},
		{"| a |\n|---|\n| [x](nothere.md) |", "docs/a.md:"},
		{"[x](../../etc/passwd)", "no such file in the repository"},
		{"[x](javascript:alert(1))", "no link that a site has"},
		{"<script>alert(1)</script>", "is HTML"},
		{"a <b>word</b>", "is HTML"},
		{"[x](b.md#two-words) [y](b.md#two-words-1) [z](b.md#code-and-a_b) [r](../README.md) <!-- a comment -->", ""},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"README.md": "# R\n", "CONTRIBUTING.md": "# C\n", "SECURITY.md": "# S\n",
			"docs/a.md": "# A\n\n" + c.page + "\n", "docs/b.md": "# B\n\n## Two words\n\n## Two words\n\n## `code`, and *a_b*?\n",
		} {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.CopyFS(filepath.Join(dir, "internal/console/ui"), os.DirFS("../../internal/console/ui")); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "out")
		_, err := write(dir, out)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.page, err, c.want)
		}
		if _, there := os.Stat(out); c.want != "" && there == nil {
			t.Errorf("%q: something was written", c.page)
		}
	}
}

// A directory with other things is left alone.
func TestOtherDirectory(t *testing.T) {
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := write("../..", out); err == nil || !strings.Contains(err.Error(), "holds other things") {
		t.Errorf("%v", err)
	}
}

func chromium(t *testing.T) context.Context {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		p, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(p), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(2*time.Minute))...)
		ctx, cancel := chromedp.NewContext(alloc)
		ctx, late := context.WithTimeout(ctx, 4*time.Minute)
		t.Cleanup(func() { _ = chromedp.Cancel(ctx); late(); cancel(); stop() })
		return ctx
	}
	t.Fatal("browser tests need Chromium: scripts/install")
	return nil
}

// The search, from a file and without a server: what is first, and that keys lead there.
func TestSearch(t *testing.T) {
	out := t.TempDir()
	if _, err := write("../..", out); err != nil {
		t.Fatal(err)
	}
	ctx := chromium(t)
	var mu sync.Mutex
	var problems, asked []string
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			problems = append(problems, e.ExceptionDetails.Text)
		case *cdplog.EventEntryAdded:
			problems = append(problems, e.Entry.Text+" "+e.Entry.URL)
		case *network.EventRequestWillBeSent:
			asked = append(asked, e.Request.URL)
		}
	}); err != nil {
		t.Fatal(err)
	}
	until := func(js string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+js+")")); err == nil && ok {
				return
			}
		}
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + ' ' + document.getElementById('hits').innerText.slice(0, 1000)"))
		t.Fatalf("it never came to %s: %s", js, text)
	}
	for _, c := range []struct{ page, words, first string }{
		{"index.html", "approve", `/approv/i.test(a.querySelector("b").textContent)`},
		{"index.html", "guard postgresql", `a.getAttribute("href").includes("tutorials/postgresql.html")`},
		{"tutorials/index.html", "scram channel binding", `a.getAttribute("href").includes("postgres.html")`},
		{"threat-model.html", "entra groups claim", `/sign-in|scim/.test(a.getAttribute("href"))`},
	} {
		if err := chromedp.Do(ctx, chromedp.Navigate("file://"+filepath.Join(out, c.page))); err != nil {
			t.Fatal(err)
		}
		if err := chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS("#q"), c.words)); err != nil {
			t.Fatal(err)
		}
		until(`document.querySelectorAll("#hits [role=option]").length`)
		until(`(a => ` + c.first + `)(document.querySelector("#hits [role=option] a"))`)
	}
	if err := chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS("#q"), "\r")); err != nil {
		t.Fatal(err)
	}
	until(`/(sign-in|scim)\.html/.test(location.href)`)
	if err := chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS("#q"), "zzzqqq")); err != nil {
		t.Fatal(err)
	}
	until(`document.querySelector("#hits .none")`)
	mu.Lock()
	defer mu.Unlock()
	for _, p := range problems {
		t.Errorf("the browser says: %s", p)
	}
	for _, a := range asked {
		if !strings.HasPrefix(a, "file://") {
			t.Errorf("it asked for %s", a)
		}
	}
	if len(asked) == 0 {
		t.Error("no request was seen")
	}
}
