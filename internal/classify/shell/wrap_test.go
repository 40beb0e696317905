package shell

import (
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
)

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// wrappings are ways to run a script from another one.
func wrappings(script string) map[string]string {
	q := quote(script)
	return map[string]string{
		"bash -c":        "bash -c " + q,
		"sudo sh -c":     "sudo sh -c " + q,
		"env -S":         "env -S " + quote("bash -c "+q),
		"eval":           "eval " + q,
		"subshell":       "(\n" + script + "\n)",
		"group":          "{\n" + script + "\n}",
		"function":       "f_() {\n" + script + "\n}\nf_",
		"if":             "if true; then\n" + script + "\nfi",
		"substitution":   ": \"$(\n" + script + "\n)\"",
		"here-document":  "bash <<'END_OF_IT'\n" + script + "\nEND_OF_IT",
		"pipe to sh":     "printf %s " + q + " | sh",
		"find -exec":     "find . -exec bash -c " + q + " ';'",
		"xargs":          "echo a | xargs -n1 bash -c " + q,
		"timeout, nohup": "nohup timeout 5 nice bash -c " + q,
		"trap":           "trap " + q + " EXIT",
		"variable":       "x_=" + q + "; eval \"$x_\"",
		"array":          "c_=(bash -c " + q + "); \"${c_[@]}\"",
	}
}

// milder says in what b, which runs a, looks milder than it; "" where it doesn't.
func milder(a, b Analysis) string {
	if slices.Contains(b.Kinds, action.Unknown) {
		return ""
	}
	if weight(b) < weight(a) {
		return "flows more easily"
	}
	for _, k := range a.Kinds {
		if !slices.Contains(b.Kinds, k) {
			return "lacks " + string(k)
		}
	}
	return ""
}

// Whatever a script is wrapped in, it never becomes milder.
func TestWrappingIsNeverMilder(t *testing.T) {
	for _, l := range corpus(t, ownCorpus) {
		if l.Script == nil {
			continue
		}
		checkWrapping(t, *l.Script)
	}
}

func checkWrapping(t *testing.T, script string) {
	t.Helper()
	a := Script(script, Context{})
	for name, text := range wrappings(script) {
		if why := milder(a, Script(text, Context{})); why != "" {
			t.Errorf("%s of %q %s: %v and %v", name, script, why, a.Kinds, Script(text, Context{}).Kinds)
		}
	}
}

// sane says what every analysis keeps to.
func sane(t *testing.T, text string, a Analysis) {
	t.Helper()
	if (len(a.Kinds) == 0) == (a.Harmless == "") {
		t.Fatalf("%q: kinds %v, harmless %q", text, a.Kinds, a.Harmless)
	}
	if !slices.IsSorted(a.Kinds) || len(slices.Compact(slices.Clone(a.Kinds))) != len(a.Kinds) || len(a.Why) != len(a.Kinds) {
		t.Fatalf("%q: kinds %v, why %v", text, a.Kinds, a.Why)
	}
	for _, k := range a.Kinds {
		if !k.Valid() {
			t.Fatalf("%q: kind %q", text, k)
		}
		if a.Routine && k != action.Execute && k != action.DataRead {
			t.Fatalf("%q is routine and %v", text, a.Kinds)
		}
	}
	for _, c := range a.Commands {
		for _, k := range c.Kinds {
			if !slices.Contains(a.Kinds, k) {
				t.Fatalf("%q: %s of %v is lost in %v", text, k, c.Argv, a.Kinds)
			}
			if a.Routine && k == action.Execute && !c.Routine {
				t.Fatalf("%q is routine and %v isn't", text, c.Argv)
			}
		}
		if len(c.Kinds) == 0 && c.Harmless == "" {
			t.Fatalf("%q: nothing is said of %v", text, c.Argv)
		}
	}
}

// Script never panics, always says something, says the same twice, and what is
// wrapped never becomes milder.
func FuzzScript(f *testing.F) {
	for _, l := range corpus(f, ownCorpus) {
		if l.Script != nil {
			f.Add(*l.Script)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := Script(text, Context{})
		sane(t, text, a)
		if b := Script(text, Context{}); a.Shape != b.Shape || a.Title != b.Title || !slices.Equal(a.Kinds, b.Kinds) || !slices.Equal(a.Why, b.Why) {
			t.Fatalf("%q: not the same twice: %+v and %+v", text, a, b)
		}
		if len(text) > 2000 {
			return
		}
		for _, w := range []string{"bash -c " + quote(text), "env -S " + quote("sh -c "+quote(text)), "sudo sh -c " + quote(text)} {
			b := Script(w, Context{})
			sane(t, w, b)
			if why := milder(a, b); why != "" {
				t.Fatalf("%q %s: %v and %v", w, why, a.Kinds, b.Kinds)
			}
		}
		argv := Argv([]string{"bash", "-c", text}, Context{})
		sane(t, text, argv)
		if why := milder(a, argv); why != "" {
			t.Fatalf("bash -c %q %s: %v and %v", text, why, a.Kinds, argv.Kinds)
		}
	})
}

// FuzzArgv is the same for commands without a shell.
func FuzzArgv(f *testing.F) {
	for _, l := range corpus(f, ownCorpus) {
		if l.Script == nil {
			f.Add(strings.Join(l.Argv, "\n"))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		argv := strings.Split(text, "\n")
		a := Argv(argv, Context{})
		sane(t, text, a)
		if strings.HasPrefix(argv[0], "-") || strings.Contains(argv[0], "=") || argv[0] == "" {
			return // the wrapper takes it for its own
		}
		for _, w := range [][]string{{"env"}, {"sudo"}, {"nohup"}, {"timeout", "5"}} {
			b := Argv(append(w, argv...), Context{})
			if why := milder(a, b); why != "" {
				t.Fatalf("%q after %v %s: %v and %v", argv, w, why, a.Kinds, b.Kinds)
			}
		}
	})
}

// Texts that a bomb was made of are refused, or followed in bounded time.
func TestBounds(t *testing.T) {
	r := strings.Repeat
	for _, text := range []string{
		r("a", 70<<10), r("(", 20_000), r("{ ", 20_000) + r("}", 20_000), r("$(", 5000) + r(")", 5000), r("bash -c ", 5000), r("env ", 8000) + "rm x",
		r("if true; then ", 3000), ":(){ :|:& };:", "f() { f; f; }; f", r("{a,b}", 40), "{1..100000000}", r("eval ", 9000) + "ls", r("`", 9999), r("x=$x$x; ", 5000) + "$x",
		"a" + r("{b,", 5000), r("echo $((", 2000) + r("))", 2000), "x=" + r("y", 30000) + r("; x=$x$x", 40) + "; $x", "ls\x00", "ls \xff",
	} {
		a := Script(text, Context{})
		sane(t, text[:min(len(text), 60)], a)
		if weight(a) < held {
			t.Errorf("%.40q… is %v %q", text, a.Kinds, a.Harmless)
		}
	}
}
