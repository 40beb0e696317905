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

// expectation is one line of oracle.jsonl. README.md there says what the fields mean.
type expectation struct {
	ID       string        `json:"id"`
	SQL      string        `json:"sql"`
	Before   []string      `json:"before,omitempty"`
	Alone    bool          `json:"alone,omitempty"`
	Kinds    []action.Kind `json:"kinds"`
	Objects  []string      `json:"objects"`
	ReadOnly bool          `json:"read_only"`
	Code     string        `json:"code"`
	Refused  bool          `json:"refused,omitempty"`
	Moves    bool          `json:"moves"`
	Why      string        `json:"why,omitempty"`
}

func expectations(t testing.TB) []expectation {
	t.Helper()
	f, err := os.Open("testdata/oracle.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []expectation
	seen := map[string]bool{}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var l expectation
		d := json.NewDecoder(strings.NewReader(sc.Text()))
		d.DisallowUnknownFields()
		if err := d.Decode(&l); err != nil {
			t.Fatalf("oracle.jsonl: %v: %s", err, sc.Text())
		}
		if seen[l.ID] {
			t.Errorf("oracle.jsonl has two lines called %s", l.ID)
		}
		seen[l.ID] = true
		out = append(out, l)
	}
	if err := sc.Err(); err != nil || len(out) < 400 {
		t.Fatalf("oracle.jsonl: %d lines, %v", len(out), err)
	}
	return out
}

// Each line of oracle.jsonl is classified as it says, by both builds alike, and
// does on a real PostgreSQL 15 what it says: nothing that was seen to write is
// called read only, and what the server's grammar refuses is said to be refused.
func TestOracle(t *testing.T) {
	o := startOracle(t)
	prepareOracle(t, o)
	s := newSubject(t, o.connect(t, o.User, "regression"), newWitness(t, o, "regression"), New(Options{CacheEntries: -1}), newTwin())
	for _, l := range expectations(t) {
		got := observe(t, s, l)
		want := l
		want.Why = ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s (-want +got)\n%s", l.ID, l.SQL, diff)
		}
	}
}

// prepareOracle makes the database that the lines are about.
func prepareOracle(t testing.TB, o *oracle) {
	t.Helper()
	setup, err := os.ReadFile("testdata/oracle.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.connect(t, o.User, "postgres").Exec(t.Context(), "CREATE DATABASE regression TEMPLATE template0").ReadAll(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.connect(t, o.User, "regression").Exec(t.Context(), string(setup)).ReadAll(); err != nil {
		t.Fatalf("testdata/oracle.sql: %v", err)
	}
}

// observe runs a line in a transaction that is rolled back, or alone, and says
// what came of it in the line's own terms.
func observe(t testing.TB, s *subject, l expectation) expectation {
	t.Helper()
	if !l.Alone {
		s.do("BEGIN")
	}
	for _, text := range l.Before {
		b := s.run(text)
		if len(b.moved) > 0 && b.readOnly() && !b.control() {
			t.Errorf("%s: %s is called read only, but %s", l.ID, text, b.moved)
		}
	}
	b := s.run(l.SQL)
	if len(b.moved) > 0 && b.readOnly() && !b.control() {
		t.Errorf("%s is called read only, but %s: %s", l.ID, strings.Join(b.moved, ", "), l.SQL)
	}
	if s.status != 'I' {
		s.do("ROLLBACK")
	}
	s.do("SET SESSION AUTHORIZATION DEFAULT")
	s.do("DISCARD ALL")
	s.ask()
	s.look()
	got := expectation{
		ID: l.ID, SQL: l.SQL, Before: l.Before, Alone: l.Alone, Kinds: all(b.result), Objects: []string{},
		ReadOnly: b.readOnly(), Code: b.code, Refused: b.refused, Moves: len(b.moved) > 0,
	}
	for i := range b.result.Statements {
		got.Objects = append(got.Objects, b.result.Statements[i].Objects...)
	}
	slices.Sort(got.Objects)
	got.Objects = slices.Compact(got.Objects)
	return got
}
