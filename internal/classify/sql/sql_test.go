package sql

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/action"
)

// line is one labelled text of testdata. README.md there says what the fields mean.
type line struct {
	ID        string        `json:"id"`
	SQL       string        `json:"sql"`
	Kinds     []action.Kind `json:"kinds"`
	Any       []action.Kind `json:"any"`
	Not       []action.Kind `json:"not"`
	Level     string        `json:"level"`
	Valid     bool          `json:"valid"`
	Debatable bool          `json:"debatable"`

	// Of bypass.jsonl only.
	SearchPath string   `json:"search_path"`
	Inferred   []string `json:"inferred"` // of the last statement: at least these
	Columns    [][]any  `json:"columns"`  // of the last statement: name, sources, derived
}

func lines(t testing.TB, file string) []line {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []line
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, l)
	}
	if err := sc.Err(); err != nil || len(out) == 0 {
		t.Fatalf("%s: %d lines, %v", file, len(out), err)
	}
	return out
}

// all unites the kinds of all statements.
func all(r *Result) []action.Kind {
	var k kindSet
	for i := range r.Statements {
		k.add(r.Statements[i].Kinds...)
	}
	return k.sorted()
}

func why(r *Result) string {
	var w []string
	for i := range r.Statements {
		w = append(w, r.Statements[i].Why...)
	}
	return strings.Join(w, "; ")
}

// level is what a policy makes of a text that lets reads through, holds
// ordinary changes and never lets the rest pass.
func level(r *Result) string {
	for i := range r.Statements {
		if !r.Statements[i].ReadOnly() {
			return "review"
		}
	}
	return "allow"
}

func check(t *testing.T, l line, r *Result) {
	t.Helper()
	got := all(r)
	for _, k := range l.Kinds {
		if !slices.Contains(got, k) {
			t.Errorf("%s: kinds %v lack %s\n%s\n%s", l.ID, got, k, l.SQL, why(r))
		}
	}
	for _, k := range l.Not {
		if slices.Contains(got, k) {
			t.Errorf("%s: kinds %v must not have %s\n%s\n%s", l.ID, got, k, l.SQL, why(r))
		}
	}
	if len(l.Any) > 0 && !slices.ContainsFunc(l.Any, func(k action.Kind) bool { return slices.Contains(got, k) }) {
		t.Errorf("%s: kinds %v have none of %v\n%s", l.ID, got, l.Any, l.SQL)
	}
	if (l.Level == "allow") != (level(r) == "allow") {
		t.Errorf("%s: level %s, want %s: kinds %v\n%s\n%s", l.ID, level(r), l.Level, got, l.SQL, why(r))
	}
}

func TestCorpus(t *testing.T) {
	c := New(Options{CacheEntries: -1})
	strict := 0
	for _, l := range lines(t, "corpus.jsonl") {
		if !l.Valid || l.Debatable {
			continue
		}
		strict++
		check(t, l, c.Classify(l.SQL, State{ServerVersion: 150018}))
	}
	if strict < 140 {
		t.Errorf("only %d strict lines", strict)
	}
}

// What is invalid on PostgreSQL 15 is never let through either, and debatable
// lines are reported, not judged.
func TestCorpusRest(t *testing.T) {
	c := New(Options{CacheEntries: -1})
	for _, l := range lines(t, "corpus.jsonl") {
		r := c.Classify(l.SQL, State{ServerVersion: 150018})
		switch {
		case !l.Valid && level(r) == "allow":
			t.Errorf("%s: an invalid text passes\n%s", l.ID, l.SQL)
		case l.Debatable:
			t.Logf("%s: want %s %v any %v, got %v\n\t%s", l.ID, l.Level, l.Kinds, l.Any, all(r), l.SQL)
		}
	}
}

// Every bypass that was thought of or found stays here for ever.
func TestBypass(t *testing.T) {
	c := New(Options{CacheEntries: -1})
	for _, l := range lines(t, "bypass.jsonl") {
		r := c.Classify(l.SQL, State{ServerVersion: 150018, SearchPath: l.SearchPath})
		check(t, l, r)
		last := r.Statements[len(r.Statements)-1]
		for _, want := range l.Inferred {
			if !slices.Contains(last.Inferred, want) {
				t.Errorf("%s: inferred %v lacks %s\n%s", l.ID, last.Inferred, want, l.SQL)
			}
		}
		if l.Columns == nil {
			continue
		}
		var got [][]any
		for _, col := range last.Columns {
			got = append(got, []any{col.Name, strings.Join(col.Sources, " "), col.Derived})
		}
		for i := range l.Columns {
			l.Columns[i][1] = joinAny(l.Columns[i][1].([]any))
		}
		if diff := cmp.Diff(l.Columns, got); diff != "" {
			t.Errorf("%s: columns (-want +got)\n%s\n%s", l.ID, diff, l.SQL)
		}
	}
}

func joinAny(list []any) string {
	var s []string
	for _, v := range list {
		s = append(s, v.(string))
	}
	return strings.Join(s, " ")
}
