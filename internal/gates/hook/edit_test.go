package hook

import (
	"testing"

	"github.com/assenthq/assent/action"
)

func TestAnEditOfAPlainFileIsRoutine(t *testing.T) {
	for _, c := range []struct {
		dir, path string
		want      bool
	}{
		{"/home/u/p", "/home/u/p/main.go", true},
		{"/home/u/p", "/home/u/p/internal/a/b_test.go", true},
		{"/workspace", "/workspace/docs/a.md", true},
		{"/root/p", "/root/p/a.py", true},
		{"/home/u/p", "/home/u/p", false},
		{"/home/u/p", "/home/u/p2/main.go", false},
		{"/home/u/p", "/home/u/p/../x", false},
		{"/home/u/p", "~/p/main.go", false},
		{"/home/u/p", "main.go", false},
		{"/home/u/p", "/home/u/p/.env", false},
		{"/home/u/p", "/home/u/p/.github/workflows/x.yml", false},
		{"/home/u/p", "/home/u/p/a/.npmrc", false},
		{"/home/u/p", "/home/u/p/CLAUDE.md", false},
		{"/home/u/p", "/home/u/p/sub/agents.md", false},
		{"/home/u/p", "/home/u/p/CLAUDE.local.md", false},
		{"/home/u", "/home/u/main.go", false},
		{"/Users/u", "/Users/u/main.go", false},
		{"/root", "/root/main.go", false},
		{"/home", "/home/u/main.go", false},
		{"/", "/main.go", false},
		{"//", "//main.go", false},
		{"", "/main.go", false},
		{".", "main.go", false},
		{"/etc", "/etc/hosts.d/x", false},
		{"/usr/local", "/usr/local/x", false},
		{"/home/u/p/..", "/home/u/x", false},
	} {
		if got := isEdit(c.dir, []string{c.path}, []action.Kind{action.DataWrite}); got != c.want {
			t.Errorf("%s in %s: %v", c.path, c.dir, got)
		}
	}
	if isEdit("/home/u/p", []string{"/home/u/p/a", "/etc/passwd"}, []action.Kind{action.DataWrite}) {
		t.Error("one file outside")
	}
	if isEdit("/home/u/p", []string{"/home/u/p/a"}, []action.Kind{action.DataWrite, action.ConfigChange}) {
		t.Error("a file that means more")
	}
	if isEdit("/home/u/p", nil, []action.Kind{action.DataWrite}) {
		t.Error("no file")
	}
}
