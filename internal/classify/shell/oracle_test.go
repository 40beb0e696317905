package shell

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Commands that are called reads, or without effect, are run for real, without a
// network where the machine allows that: their tree stays as it was, and, where
// strace is, nothing is opened for writing outside of what keeps nothing.
// Clients of clouds are left out: without a network they only wait. Programs that aren't installed change nothing either and don't count.
func TestOracleReadsWriteNothing(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("commands are run with bash: install it")
	}
	dir, home := filepath.Join(t.TempDir(), "copy"), t.TempDir()
	plant(t, dir)
	// One shell runs them all, each in a shell of its own: files named after their ids tell them apart in the trace.
	var driver strings.Builder
	for _, l := range corpus(t, ownCorpus) {
		if l.Level != "allow" || l.Cat == "cloud" || l.Script == nil || weight(l.analysis()) > reads || strings.Contains(*l.Script, "curl") {
			continue
		}
		script := filepath.Join(home, l.ID+".sh")
		if err := os.WriteFile(script, []byte(*l.Script), 0o600); err != nil {
			t.Fatal(err)
		}
		driver.WriteString("timeout 5 " + bash + " " + script + " >/dev/null 2>&1 </dev/null; echo " + l.ID + " $?\n")
	}
	args := []string{bash, "-c", driver.String()}
	if exec.Command("unshare", "-rn", "true").Run() == nil {
		args = append([]string{"unshare", "-rn"}, args...)
	} else {
		t.Log("no unshare: the commands run with this machine's network, which none of them uses")
	}
	log := filepath.Join(home, "trace")
	trace := exec.Command("strace", "-f", "--seccomp-bpf", "-o", os.DevNull, "true").Run() == nil
	if trace {
		args = append([]string{"strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=open,openat,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,chmod,fchmodat,chown,fchownat,link,linkat,symlink,symlinkat,truncate", "-o", log}, args...)
	} else {
		t.Log("no strace: the tree is compared before and after, and nothing else")
	}
	before := tree(t, dir)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_OPTIONAL_LOCKS=0", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if tree(t, dir) != before {
		t.Error("the tree is another one")
	}
	ran := 0
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 2 && f[1] == "124" {
			t.Errorf("%s does not end", f[0])
		} else if len(f) == 2 && f[1] != "127" {
			ran++
		}
	}
	if trace {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range writing(b, dir) {
			t.Error(line)
		}
	}
	t.Logf("%d commands were run, traced: %v", ran, trace)
	if ran < 50 {
		t.Errorf("only %d commands were run", ran)
	}
}

var (
	changing = regexp.MustCompile(`\b(unlink|rename|mkdir|rmdir|f?chmod|f?chown|link|symlink|truncate|creat)[a-z0-9]*\(`)
	writable = regexp.MustCompile(`O_WRONLY|O_RDWR|O_CREAT|O_TRUNC`)
	named    = regexp.MustCompile(`"([^"]*)"`)
)

// writing are the lines of a trace that change something outside of temporary files.
func writing(trace []byte, dir string) (out []string) {
	id := ""
	for line := range bytes.Lines(trace) {
		s := string(line)
		m := named.FindStringSubmatch(s)
		if m == nil || strings.Contains(s, " = -1 ") {
			continue
		}
		if base := filepath.Base(m[1]); strings.HasPrefix(base, "own-") {
			id = strings.TrimSuffix(base, ".sh")
		}
		if !changing.MatchString(s) && !(strings.Contains(s, "open") && writable.MatchString(s)) {
			continue
		}
		// Here-documents and sort keep temporary files; devices keep nothing.
		if inTemp(m[1]) && !strings.HasPrefix(m[1], dir) || keepsNothing(m[1]) || strings.HasPrefix(m[1], "/proc/self") {
			continue
		}
		out = append(out, id+": "+strings.TrimSpace(s))
	}
	return out
}

// plant makes a small working copy with the files that commands of the corpus name.
func plant(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string]string{
		"main.go": "package main\n\nfunc main() {}\n", "go.mod": "module x\n", "README.md": "# x\n## Usage\na\n## b\n", "notes.txt": "foo\na@b\n", "a.txt": "b\na\n", "b.txt": "a\nc\n", "names.txt": "b\na\n", "words.txt": "b\na\n",
		"data.csv": "a,2,3\nb,1,4\n", "data.json": `{"items":[{"ok":true,"name":"n"}]}`, "package.json": `{"scripts":{}}`, "app.log": "error\n", "big.txt": "x\n", "old.txt": "1\n", "new.txt": "2\n", "paths.txt": "/usr\n", "data/users.txt": "a:b:2\n",
		"server.log": "error\n", "src/x.go": "package x\n", "internal/policy/rules.go": "package policy\n", "scripts/deploy.sh": "ls\n", "logo.png": "\x89PNG", "bin/app": "bin", ".env.example": "A=1\n",
	} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-qm", "x"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
}

// tree is a digest of names, modes and contents below dir.
func tree(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h.Write([]byte(p + info.Mode().String()))
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			h.Write(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(h.Sum(nil))
}
