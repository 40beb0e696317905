package tutorials_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A page that says what does not happen is a failure, in its own way each.
func TestBadPages(t *testing.T) {
	const form = "# Page\n\n## What you need\n\nPAGE\n\n## What went on\n\n## What to do next\n\n## Clean up\n\n```sh\nrm -f left\n```\n" +
		"```sh\ntrue\n```\n```sh\ntrue\n```\n```sh\ntrue\n```\n```sh\ntrue\n```\n"
	sh := func(info, text string) string { return "```sh" + info + "\n" + text + "\n```\n" }
	seen := func(info, text string) string { return "```text" + info + "\n" + text + "\n```\n" }
	dir := t.TempDir()
	bad := map[string]string{}
	for _, c := range []struct{ name, page, want string }{
		{"good", sh("", "echo a; echo b >&2; touch left; V=1") + seen("", "a\n…") + sh("", "echo $V") + seen("", "1") +
			sh(" other stays", "echo \"${V}begun\"; sleep 600") + seen(" other", "begun") + sh(" status=3", "(exit 3)") + sh(" other2", "cd; test -z \"$V\""), ""},
		{"fails", sh("", "false\necho on") + seen("", "…"), "a command failed"},
		{"fails-in-a-pipe", sh("", "false | cat"), "a command failed"},
		{"other-status", sh(" status=3", "(exit 4)"), "status 4, the page says 3"},
		{"succeeds", sh(" status=3", "true"), "status 0, the page says 3"},
		{"says-more", sh("", "echo a; echo b") + seen("", "a"), "all fits but (the end) of"},
		{"says-less", sh("", "echo a") + seen("", "a\nb"), "all fits but b of"},
		{"says-other", sh("", "echo apr_1 denied") + seen("", "apr_… approved"), "all fits but"},
		{"says-something", sh("", "echo a"), "the page doesn't show the end"},
		{"says-more-later", sh(" x stays", "echo a; echo b") + seen(" x", "a") + sh(" x", "true"), "the page doesn't show the end"},
		{"ends-early", sh(" x stays", "echo a; exit 1") + seen(" x", "a\nb"), "a command failed"},
		{"leaves", sh("", "touch kept"), "kept is left in the reader's home"},
		{"nobody-acts", "<!-- meanwhile: mira waves -->\n", "nobody here does anything meanwhile"},
		{"sees-nothing", seen(" x", "a"), "nothing was typed"},
	} {
		if err := os.WriteFile(filepath.Join(dir, c.name+".md"), []byte(strings.Replace(form, "PAGE", c.page, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		bad[c.name] = c.want
	}
	for name, page := range map[string]string{"form": "# Page\n", "open": "# Page\n\n```sh\ntrue\n", "terminals": "# Page\n\n```sh a b\ntrue\n```\n"} {
		if err := os.WriteFile(filepath.Join(dir, name+".md"), []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bad["form"], bad["open"], bad["terminals"] = `it has no What you need`, "a block isn't closed", "is a second"
	cmd := exec.Command(os.Args[0], "-test.run", "^TestTutorials$", "-test.v")
	cmd.Env = append(os.Environ(), pagesVar+"="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("the pages passed:\n%s", out)
	}
	for name, want := range bad {
		_, said, _ := strings.Cut(string(out), "=== RUN   TestTutorials/"+name+"\n")
		said, _, _ = strings.Cut(said, "=== RUN")
		passed := strings.Contains(string(out), "--- PASS: TestTutorials/"+name+" ")
		if passed != (want == "") || !strings.Contains(strings.Join(strings.Fields(said), " "), want) {
			t.Errorf("%s: passed %v, want %q:\n%s", name, passed, want, said)
		}
	}
}
