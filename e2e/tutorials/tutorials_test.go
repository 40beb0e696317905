// Package tutorials_test runs the pages of docs/tutorials as a reader follows them: it types their sh
// blocks into shells with an empty home, in order, against the built binary and real parts, and holds what is
// shown against their text blocks.
//
//	```sh [TERMINAL] [stays] [status=N]
//
// is typed in the reader's own terminal, or in the one named; "stays" goes on running, and with a status the last
// command ends so. Any other command that fails is a failure of the page.
//
//	```text [TERMINAL]
//
// is what that terminal shows: all of it for a block that ended, its beginning for one that stays, further blocks
// what comes then. … stands for anything within a line, and alone on a line for any lines. A block without one
// prints nothing.
//
//	<!-- meanwhile: WORDS -->
//
// is what the page tells in prose and somebody does elsewhere: parts of this package do it. "Ctrl-C TERMINAL" is
// what it says. Of sections "With …" a reader follows one; the page is followed once for each.
//
// Under "Clean up" what stays is interrupted, and nothing is left behind then. Numbers of ports on 127.0.0.1 are exchanged
// for free ones, all else is typed as it stands.
package tutorials_test

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pagesVar names a directory of other pages than docs/tutorials, whose readers need nothing: see runner_test.go.
const pagesVar = "ASSENT_TUTORIALS_PAGES"

func pages() string { return cmp.Or(os.Getenv(pagesVar), "../../docs/tutorials") }

// binary builds assent once for all pages.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "assent-tutorials-")
	started = append(started, func() { _ = os.RemoveAll(dir) })
	if err != nil || os.Getenv(pagesVar) != "" {
		return dir, err
	}
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "assent"), "../../cmd/assent").CombinedOutput()
	if err != nil {
		return "", &exec.Error{Name: "go build: " + string(out), Err: err}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range started {
		stop()
	}
	os.Exit(code)
}

func TestTutorials(t *testing.T) {
	found, err := filepath.Glob(pages() + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, path := range found {
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		if name == "README" {
			continue
		}
		seen++
		t.Run(name, func(t *testing.T) {
			rs := readers[name]
			switch {
			case os.Getenv(pagesVar) != "":
				rs = []reader{{"", nothing}}
			case rs == nil:
				t.Fatalf("%s needs a row in the table of pages' readers", name)
			}
			for _, r := range rs {
				if r.choice == "" {
					follow(t, path, r)
				} else {
					t.Run(r.choice, func(t *testing.T) { follow(t, path, r) })
				}
			}
		})
	}
	if seen != len(readers) && os.Getenv(pagesVar) == "" {
		t.Errorf("%d pages, and readers of %d", seen, len(readers))
	}
}

// follow does what a page says.
func follow(t *testing.T, path string, r reader) {
	t.Helper()
	steps, err := readPage(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := wellFormed(path, steps); err != nil {
		t.Fatal(err)
	}
	dir, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	steps = slices.DeleteFunc(steps, func(s step) bool { return strings.HasPrefix(s.section, "With ") && s.section != "With "+r.choice })
	p := r.parts(t)
	for i := range steps {
		for _, c := range p.changes {
			steps[i].text = strings.ReplaceAll(steps[i].text, c.from, c.to)
		}
	}
	text := elsewhere(t, steps, p.ports)
	home := t.TempDir()
	env := append([]string{
		"HOME=" + home, "USER=reader", "LANG=C.UTF-8", "TERM=dumb", "TMPDIR=" + t.TempDir(),
		"PATH=" + strings.Join(append(append([]string{dir}, p.path...), os.Getenv("PATH")), ":"),
	}, p.env...)
	terminals := map[string]*terminal{}
	interrupted := false
	for i := range steps {
		s := &steps[i]
		if name, is := strings.CutPrefix(s.text, "Ctrl-C "); is && s.do == "act" {
			terminals[name].interrupt()
			delete(terminals, name)
			continue
		}
		if s.section == "Clean up" && !interrupted {
			interrupted = true
			for _, x := range terminals {
				x.interrupt()
			}
		}
		if terminals[s.terminal] == nil {
			terminals[s.terminal] = openTerminal(t, s.terminal, home, env)
		}
		x := terminals[s.terminal]
		switch s.do {
		case "run":
			t.Logf("line %d, %s", s.line, s.section)
			x.run(s)
			if last := i == len(steps)-1; !s.stays && (last || steps[i+1].do != "see") {
				x.finish()
			}
		case "see":
			x.see(s)
		case "act":
			if p.act == nil {
				t.Fatalf("line %d: nobody here does anything meanwhile", s.line)
			}
			if err := p.act(s.text, scene{text, func(name string) string { return terminals[name].all() }}); err != nil {
				t.Fatalf("line %d: %s: %v", s.line, s.text, err)
			}
		}
	}
	for _, x := range terminals {
		x.finish()
	}
	left, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if e.Name() == ".config" { // a key of assent exec's, and what else programs keep of their own
			continue
		}
		t.Errorf("%s is left in the reader's home after Clean up", e.Name())
	}
}

// wellFormed holds a page to the form that all have.
func wellFormed(path string, steps []step) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var sections []string
	for line := range strings.Lines(string(text)) {
		if rest, is := strings.CutPrefix(line, "## "); is {
			sections = append(sections, strings.TrimSpace(rest))
		}
	}
	for _, want := range []string{"What you need", "What went on", "What to do next", "Clean up"} {
		if !slices.Contains(sections, want) {
			return &os.PathError{Op: "reading", Path: path, Err: &missing{want}}
		}
	}
	if len(steps) < 5 {
		return &os.PathError{Op: "reading", Path: path, Err: &missing{"blocks to type"}}
	}
	return nil
}

type missing struct{ what string }

func (m *missing) Error() string { return "it has no " + m.what }
