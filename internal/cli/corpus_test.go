package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/cli"
)

// A label says what a statement of the corpus does.
type label struct {
	ID, SQL, Cat, Level string
	Kinds, Any, Not     []string
	Valid, Debatable    bool
	SearchPath          string `json:"search_path"` // set: the level holds under it only
}

type answer struct {
	ID      string
	Kinds   []string
	Verdict string
	Why     []string
}

const corpora = "../classify/sql/testdata"

// Every valid and not debatable statement of the corpus, through the command:
// kinds as labelled, and the built-in pack's verdict as the level says.
func TestCorpus(t *testing.T) {
	checked := 0
	for l, a := range classified(t, "corpus.jsonl") {
		if !l.Valid || l.Debatable {
			continue
		}
		checked++
		if problem := l.kinds(a); problem != "" {
			t.Errorf("%s (%s) %q\n%s, have %v", l.ID, l.Cat, l.SQL, problem, a.Kinds)
		}
		if ok := map[string]bool{"allow": a.Verdict == "allow", "review": a.Verdict == "review", "deny-or-review": a.Verdict != "allow"}[l.Level]; !ok {
			t.Errorf("%s (%s) %q\nlevel %s, verdict %s: %q", l.ID, l.Cat, l.SQL, l.Level, a.Verdict, a.Why)
		}
	}
	if checked < 100 {
		t.Errorf("only %d statements were checked", checked)
	}
}

// What was once a way around the classification is never allowed. Where a read
// is labelled allow, the pack may still hold it for what could be inferred.
func TestBypassCorpusIsNeverAllowed(t *testing.T) {
	checked := 0
	for l, a := range classified(t, "bypass.jsonl") {
		if !l.Valid || l.Debatable || l.Level == "allow" || l.SearchPath != "" {
			continue
		}
		checked++
		if a.Verdict == "allow" {
			t.Errorf("%s (%s) %q\nlevel %s, verdict allow: %q", l.ID, l.Cat, l.SQL, l.Level, a.Why)
		}
	}
	if checked < 50 {
		t.Errorf("only %d statements were checked", checked)
	}
}

func (l *label) kinds(a *answer) string {
	for _, k := range l.Kinds {
		if !slices.Contains(a.Kinds, k) {
			return "wants " + k
		}
	}
	for _, k := range l.Not {
		if slices.Contains(a.Kinds, k) {
			return "must not have " + k
		}
	}
	if len(l.Any) > 0 && !slices.ContainsFunc(l.Any, func(k string) bool { return slices.Contains(a.Kinds, k) }) {
		return "wants one of " + strings.Join(l.Any, ", ")
	}
	return ""
}

// classified runs the command over a corpus, as anyone would.
func classified(t *testing.T, file string) func(func(*label, *answer) bool) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(corpora, file))
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if status := cli.Main([]string{"classify", "sql", "--json"}, bytes.NewReader(text), &out, &errs); status != 0 {
		t.Fatalf("status %d: %s", status, errs.String())
	}
	return func(yield func(*label, *answer) bool) {
		labels, answers := lines(text), lines(out.Bytes())
		if len(labels) != len(answers) {
			t.Fatalf("%d statements, %d answers", len(labels), len(answers))
		}
		for i := range labels {
			var l label
			var a answer
			if err := json.Unmarshal(labels[i], &l); err != nil {
				t.Fatalf("%s: %v", labels[i], err)
			}
			dec := json.NewDecoder(bytes.NewReader(answers[i]))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&a); err != nil || a.ID != l.ID {
				t.Fatalf("the answer to %s is %s (%v)", l.ID, answers[i], err)
			}
			if !yield(&l, &a) {
				return
			}
		}
	}
}

func lines(text []byte) [][]byte {
	var out [][]byte
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if len(bytes.TrimSpace(s.Bytes())) > 0 {
			out = append(out, slices.Clone(s.Bytes()))
		}
	}
	return out
}
