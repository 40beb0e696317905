package assent_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// proof is how the threat model names a test: `go test ./pkg -run Name`, or `./pkg Name` in a table.
var proof = regexp.MustCompile("`(\\./[a-z0-9/_]*|\\.) ((?:Test|Fuzz|Example)[A-Za-z0-9_]+)`")

// TestThreatModelNamesRealTests holds docs/threat-model.md to its word: every
// row of the tables of what is stopped names a test, and every test it names exists.
func TestThreatModelNamesRealTests(t *testing.T) {
	text, err := os.ReadFile("docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, named, stopped := 0, 0, false
	for n, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "| attack | what stops it | test"):
			stopped = true
			continue
		case !strings.HasPrefix(line, "|"):
			stopped = false
		case stopped && !strings.HasPrefix(line, "|---"):
			rows++
			cells := strings.Split(line, " | ")
			if len(cells) != 3 || !proof.MatchString(cells[2]) {
				t.Errorf("line %d: a row of three cells, the last naming a test, is wanted: %s", n+1, line)
			}
		}
		for _, m := range proof.FindAllStringSubmatch(line, -1) {
			named++
			if !hasTest(t, m[1], m[2]) {
				t.Errorf("line %d: package %s has no %s", n+1, m[1], m[2])
			}
		}
	}
	if rows < 40 || named < rows {
		t.Errorf("%d rows with %d tests were read; the page's form changed", rows, named)
	}
}

// The table of faults in docs/audit-log.md names real tests too.
func TestFaultsNameRealTests(t *testing.T) {
	text, err := os.ReadFile("docs/audit-log.md")
	if err != nil {
		t.Fatal(err)
	}
	named := proof.FindAllStringSubmatch(string(text), -1)
	for _, m := range named {
		if !hasTest(t, m[1], m[2]) {
			t.Errorf("package %s has no %s", m[1], m[2])
		}
	}
	if len(named) < 30 {
		t.Errorf("%d tests were read; the page's form changed", len(named))
	}
}

// hasTest parses the test files of dir and looks for a top-level function name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		file, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == name {
				return true
			}
		}
	}
	return false
}
