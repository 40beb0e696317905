package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// onlyError loads one pack that must not load, and returns what is said of it.
func onlyError(t *testing.T, pack string) string {
	t.Helper()
	s, err := LoadFiles(map[string][]byte{"p.yaml": []byte(pack)}, Options{})
	var list Errors
	if s != nil || !errors.As(err, &list) {
		t.Fatalf("it loaded, or the error has no place: %v", err)
	}
	return err.Error()
}

// What is no text of a pack is refused with its place, and what is said holds nothing that a terminal acts on.
func TestBytesThatAreNoPack(t *testing.T) {
	good := header + "rules:\n  - { id: a, then: deny }\n"
	utf16 := "\xff\xfe"
	for _, r := range good {
		utf16 += string([]byte{byte(r), 0})
	}
	var deep, wide, lists strings.Builder
	for i := range 900 {
		deep.WriteString(strings.Repeat(" ", i) + "a:\n")
		lists.WriteString(strings.Repeat(" ", i) + "-\n")
	}
	for i := range 60_000 {
		fmt.Fprintf(&wide, "k%d: 1\n", i)
	}
	for _, c := range []struct{ name, pack, want string }{
		{"64 MiB of line breaks", strings.Repeat("\n", 64<<20), "a pack over"},
		{"64 MiB in one line", strings.Repeat("a", 64<<20), "a pack over"},
		{"a long line", "# " + strings.Repeat("x", 9000) + "\n" + good, "p.yaml:1: a line over"},
		{"NUL", strings.Replace(good, "deny", "de\x00ny", 1), "p.yaml:5: a control character (U+0000)"},
		{"escape", strings.Replace(good, "deny", "de\x1b[2Jny", 1), "a control character (U+001B)"},
		{"C1", strings.Replace(good, "deny", "de\u009bny", 1), "a control character (U+009B)"},
		{"carriage return", strings.Replace(good, "deny", "de\rny", 1), "a control character (U+000D)"},
		{"mark in the middle", strings.Replace(good, "deny", "\ufeffdeny", 1), "a control character (U+FEFF)"},
		{"turned text", strings.Replace(good, "rules:", "# \u202e allow\nrules:", 1), "p.yaml:4: a character that turns the direction of text (U+202E)"},
		{"UTF-16", utf16, "a file in UTF-16"},
		{"UTF-16 without a mark", utf16[2:], "a control character (U+0000)"},
		{"Latin-1", strings.Replace(good, "deny", "d\xe9ny", 1), "not UTF-8"},
		{"deep", deep.String(), "nested too deeply"},
		{"deep lists", lists.String(), "nested too deeply"},
		{"brackets", strings.Repeat("[", 5000), "nested too deeply"},
		{"braces", strings.Repeat("{a: ", 1000), "nested too deeply"},
		{"many keys", wide.String(), "more than 2000 keys"},
		{"laughs", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "anchors, aliases"},
		{"itself", "a: &a [*a]\n", "anchors, aliases"},
		{"merge", "a: { <<: { b: c } }\n", "anchors, aliases, tags and merge keys"},
		{"half a key", good[:len(good)-8], ""},
		{"half a string", good + "tests:\n  - name: \"half", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := onlyError(t, c.pack)
			if !strings.Contains(text, c.want) || strings.ContainsAny(text, "\x00\x1b\r\u009b\u202e") || len(text) > 40_000 {
				t.Errorf("want …%s…, got %.400s", c.want, text)
			}
		})
	}
}

// A pack that went through another system's editor is the same pack.
func TestLineBreaksAndMarksMeanNothing(t *testing.T) {
	good := header + "rules:\n  - id: a\n    then: deny\n    when: |\n      data.rows > 1\n      || data.bytes > 1\n    reason: >\n      two\n      lines\n"
	load := func(pack string) string {
		s, err := LoadFiles(map[string][]byte{"p.yaml": []byte(pack)}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s.Bundle()
	}
	want := load(good)
	for _, other := range []string{strings.ReplaceAll(good, "\n", "\r\n"), "\ufeff" + good, "\ufeff" + strings.ReplaceAll(good, "\n", "\r\n")} {
		if load(other) != want {
			t.Errorf("another bundle for %q", other[:12])
		}
	}
}

func TestMistakesAreToldOnceOver(t *testing.T) {
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, "  - { id: r%d, then: dney }\n", i)
	}
	_, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + "rules:\n" + b.String())}, Options{})
	var list Errors
	if !errors.As(err, &list) || len(list) != maxErrors+1 || !strings.Contains(err.Error(), "more mistakes than are told") {
		t.Errorf("%d errors", len(list))
	}
}

func TestARuleThatCostsTooMuch(t *testing.T) {
	loop := `data.classes.exists(c, c in data.groups || c in subject.groups || c in delegation || c in action.kinds)`
	text := onlyError(t, header+"rules:\n  - { id: dear, then: deny, when: '"+loop+"' }\n")
	if !strings.HasPrefix(text, "p.yaml:5:35: the rule 'dear' may cost 41702 steps") || !strings.Contains(text, "more than 20000") {
		t.Error(text)
	}
	pattern := `action.target.matches("(a{1,100}){1,9}(b{1,100}){1,9}(c{1,100}){1,9}") && data.classes.all(c, c.matches("[a-z]{200}"))`
	if text = onlyError(t, header+"rules:\n  - { id: pattern, then: deny, when: '"+pattern+"' }\n"); !strings.Contains(text, "the rule 'pattern' may cost") {
		t.Error(text)
	}
	nested := `data.classes.exists(c, data.groups.exists(g, g == c))`
	if text = onlyError(t, header+"rules:\n  - { id: nested, then: deny, when: '"+nested+"' }\n"); !strings.Contains(text, "not inside one another") {
		t.Error(text)
	}
	load(t, `  - { id: fair, then: deny, when: 'data.classes.exists(c, c.startsWith("us-") || c in data.groups)' }
`)
}

// Rules that say the same share what is compiled of it, so that many of them fit.
func TestManyRulesAreSmall(t *testing.T) {
	const n = 10_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, _ := benchSet(t, n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)) / n; each > 4096 {
		t.Errorf("%d bytes a rule", each)
	}
	compiled := map[*expression]bool{}
	for _, r := range s.rules {
		if r.when != nil {
			compiled[r.when] = true
		}
	}
	if len(compiled) > 20 {
		t.Errorf("%d conditions were compiled for 20 texts", len(compiled))
	}
}

func TestWhatIsNoFileIsNotRead(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "pipe.yaml"), "/dev/zero"} {
		if _, err := ReadPaths([]string{path}); err == nil || !strings.Contains(err.Error(), "is no file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 64<<30); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPaths([]string{large}, Options{}); err == nil || !strings.Contains(err.Error(), "a pack over") {
		t.Errorf("64 GiB: %v", err)
	}
}

// Packs that somebody is writing are not read as they happen to be.
func TestFilesThatChangeWhileTheyAreRead(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "p.yaml")
	write := func(n int64) {
		if err := os.WriteFile(name, []byte(header+"rules:\n  - { id: a, then: deny }\n"), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Chtimes(name, time.Time{}, time.Unix(n, 0)); err != nil {
			t.Error(err)
		}
	}
	for changes, ok := range map[int64]bool{0: true, 1: true, 4: true, 5: false} {
		write(100)
		n := int64(0)
		files, err := readSettled([]string{dir}, func() {}, func() {
			if n++; n <= changes {
				write(100 + n)
			}
		})
		if ok != (err == nil) || ok && len(files) != 1 || !ok && !strings.Contains(err.Error(), "rename it") {
			t.Errorf("%d changes: %v", changes, err)
		}
	}
}
