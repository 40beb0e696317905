package shell

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
)

// A label says what a command of the corpus does; the README of testdata has the fields.
type label struct {
	ID, Cat, Level   string
	Script           *string
	Argv             []string
	Kinds, Any, Not  []action.Kind
	Valid, Debatable bool
}

func (l *label) analysis() Analysis {
	if l.Script != nil {
		return Script(*l.Script, Context{})
	}
	return Argv(l.Argv, Context{})
}

func (l *label) text() string {
	if l.Script != nil {
		return *l.Script
	}
	return strings.Join(l.Argv, " ")
}

func corpus(t testing.TB, file string) []label {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []label
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		var l label
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", s.Bytes(), err)
		}
		out = append(out, l)
	}
	return out
}

const ownCorpus = "testdata/corpus.jsonl"

// TestCorpus holds every labelled command against what is found in it. Another
// corpus of the same form is read where ASSENT_SHELL_CORPUS names one.
func TestCorpus(t *testing.T) {
	files := []string{ownCorpus}
	if f := os.Getenv("ASSENT_SHELL_CORPUS"); f != "" {
		files = append(files, f)
	}
	for _, file := range files {
		right, total := 0, 0
		for _, l := range corpus(t, file) {
			if !l.Valid || l.Debatable {
				continue
			}
			total++
			if problem := l.problem(l.analysis()); problem != "" {
				t.Errorf("%s (%s) %q\n%s", l.ID, l.Cat, l.text(), problem)
				continue
			}
			right++
		}
		t.Logf("%s: %d of %d", file, right, total)
		if total < 150 {
			t.Errorf("%s: only %d commands were checked", file, total)
		}
	}
}

func (l *label) problem(a Analysis) string {
	for _, k := range l.Kinds {
		if !slices.Contains(a.Kinds, k) {
			return "wants " + string(k) + ", has " + list(a.Kinds)
		}
	}
	for _, k := range l.Not {
		if slices.Contains(a.Kinds, k) {
			return "must not have " + string(k) + ": " + strings.Join(a.Why, "; ")
		}
	}
	if len(l.Any) > 0 && !slices.ContainsFunc(l.Any, func(k action.Kind) bool { return slices.Contains(a.Kinds, k) }) {
		return "wants one of " + list(l.Any) + ", has " + list(a.Kinds)
	}
	if free := weight(a) <= routine; free != (l.Level == "allow") {
		return "level " + l.Level + ", has " + list(a.Kinds)
	}
	return ""
}

func list(kinds []action.Kind) string {
	var out []string
	for _, k := range kinds {
		out = append(out, string(k))
	}
	return strings.Join(out, ", ")
}

// How much an analysis may do: what flows under the built-in pack, and what doesn't.
const (
	harmless = iota
	reads
	routine
	held
)

func weight(a Analysis) int {
	switch {
	case a.Harmless != "":
		return harmless
	case slices.Equal(a.Kinds, []action.Kind{action.DataRead}):
		return reads
	case a.Routine:
		return routine
	}
	return held
}

// The labels are about real bash: what it refuses is not in the corpus.
func TestCorpusIsBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("the corpus is checked with bash -n: install bash")
	}
	// One shell reads all of them, each as the body of a function, and runs nothing.
	var all bytes.Buffer
	n := 0
	for _, l := range corpus(t, ownCorpus) {
		if l.Script != nil {
			n++
			all.WriteString("f() {\n" + *l.Script + "\n}\n")
		}
	}
	cmd := exec.Command(bash, "-n")
	cmd.Stdin = &all
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("bash refuses a script (%v): %s", err, out)
	}
	if n < 400 {
		t.Errorf("only %d scripts were checked", n)
	}
}
