package postgres_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/jackc/pgx/v5"
)

// A bypass is one line of testdata/bypass.jsonl: an attempt that once worked
// somewhere, or looks as if it could. A line is never removed.
type bypass struct {
	Name    string   `json:"name"`
	Say     []string `json:"say"`     // statements, in one session; none of them may have an effect
	Probe   string   `json:"probe"`   // "": the marker
	Want    string   `json:"want"`    // what the probe says while nothing happened
	Secret  string   `json:"secret"`  // must not be in the reply
	Launder string   `json:"launder"` // a read: every value must come masked, or none at all
	// Catalogue lines run in the database of catalog_test.go, where each of them has its effect when no gate is between.
	Catalogue bool `json:"catalogue"`
}

func bypasses(t *testing.T) []bypass {
	t.Helper()
	f, err := os.Open("testdata/bypass.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []bypass
	for s := bufio.NewScanner(f); s.Scan(); {
		var b bypass
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&b); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		out = append(out, b)
	}
	return out
}

var bypassSetup = []string{
	"drop schema if exists bypass cascade", "create schema bypass",
	"create table bypass.marker(n int)", "insert into bypass.marker values (0)", "create sequence bypass.seq",
	"create table bypass.customers(id int, email text, ssn text)", "insert into bypass.customers values (1, 'zoe.secret@example.org', '123-45-6789'), (2, 'yan.secret@example.org', '987-65-4321')",
	"create function bypass.evil() returns int volatile language plpgsql as $$ begin update bypass.marker set n = n + 1; return 1; end $$",
	"create function bypass.evil_immutable() returns int immutable language plpgsql as $$ begin update bypass.marker set n = n + 1; return 1; end $$",
	"create function bypass.setter(a text, b text) returns text language plpgsql as $$ begin perform pg_catalog.set_config(a, b, false); return b; end $$",
	"create function bypass.lower(text) returns text volatile language plpgsql as $$ begin update bypass.marker set n = n + 1; return 'x'; end $$",
	"create function bypass.eq(int, int) returns bool volatile language plpgsql as $$ begin update bypass.marker set n = n + 1; return true; end $$",
	"create operator bypass.=== (leftarg = int, rightarg = int, function = bypass.eq)",
	"create procedure bypass.proc() language plpgsql as $$ begin update bypass.marker set n = n + 1; end $$",
	"create function bypass.check_it(text) returns bool volatile language plpgsql as $$ begin update bypass.marker set n = n + 1; return true; end $$",
	"create domain bypass.evil_domain as text check (bypass.check_it(value))",
	"create table bypass.rowtype(x int)", "insert into bypass.rowtype values (1)",
	"create function bypass.evil_row(bypass.rowtype) returns int volatile language plpgsql as $$ begin update bypass.marker set n = n + 1; return 1; end $$",
	"create table bypass.ruled(n int)", "create rule also as on update to bypass.ruled do also update bypass.marker set n = n + 1",
	"do $$ begin if not exists (select from pg_roles where rolname = 'nobody_b') then create role nobody_b; end if; end $$",
	"create view bypass.customers_view as select id, ssn, reverse(ssn) as code from bypass.customers", "create view bypass.customers_view2 as select code as deep from bypass.customers_view",
	"create view bypass.only_ssn as select ssn from bypass.customers", "create table bypass.inherits_customers() inherits (bypass.customers)", "insert into bypass.inherits_customers values (3, 'x@example.org', '111-22-3333')",
	"create materialized view bypass.customers_matview as select ssn from bypass.customers",
	"create table bypass.generated(id int, ssn text, back text generated always as (reverse(ssn)) stored)", "insert into bypass.generated values (1, '123-45-6789')",
	"create table bypass.notes(id int, words text, doc jsonb, raw bytea)", "insert into bypass.notes values (1, '123-45-6789', '{\"k\": \"123-45-6789\"}', '123-45-6789')",
	"create table bypass.docs(id int, doc jsonb, k text, words tsvector)", "insert into bypass.docs values (1, '{\"ssn\": \"123\", \"a\": {\"ssn\": \"123\"}}', 'ssn', to_tsvector('simple', '123-45-6789'))",
	"create view bypass.notes_view as select id, reverse(words) as back from bypass.notes", "create table bypass.notes_gen(words text, back text generated always as (reverse(words)) stored)", "insert into bypass.notes_gen values ('123-45-6789')",
}

// readsOnly is the policy of the corpus: plain reads are allowed, all else denied.
func readsOnly(_ context.Context, a *action.Action, _ func(gate.Held)) error {
	for _, k := range a.Kinds {
		if k != action.DataRead && k != action.DataExport {
			return &gate.Denied{Status: gate.StatusDenied, Reason: "reads only"}
		}
	}
	if a.Data.Inferred {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "no inference"}
	}
	return nil
}

// TestBypassCorpus counts the corpora whose every line is held, denied or masked.
func TestBypassCorpus(t *testing.T) {
	all, catalogued := bypasses(t), 0
	names := map[string]bool{}
	for _, b := range all {
		if names[b.Name] {
			t.Errorf("two lines are named %q", b.Name)
		}
		names[b.Name] = true
		if b.Catalogue {
			catalogued++
		}
	}
	t.Logf("bypass corpus: %d lines (%d against the catalogue), each in two or three protocols; desync corpus: %d scripts", len(all), catalogued, len(desync)+len(mixing))
}

func TestBypass(t *testing.T) {
	d := direct(t, bypassSetup...)
	dsn := start(t, &authority{decide: readsOnly, classed: []string{"ssn", "email"}}, sensitive)
	for _, b := range bypasses(t) {
		if b.Catalogue {
			continue // see TestCatalogBypass
		}
		for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "extended": pgx.QueryExecModeExec, "prepared": pgx.QueryExecModeCacheStatement} {
			t.Run(b.Name+"/"+name, func(t *testing.T) {
				if b.Launder != "" {
					launder(t, dsn, b.Launder, mode)
					return
				}
				var heard bytes.Buffer
				c := connectRecording(t, dsn, &heard)
				for _, s := range b.Say {
					_, _ = c.Exec(t.Context(), s, mode)
				}
				if b.Secret != "" && bytes.Contains(heard.Bytes(), []byte(b.Secret+"\n")) {
					t.Errorf("%q reached the client", b.Secret)
				}
				probe, want := "select n::text from bypass.marker", "0"
				if b.Probe != "" {
					probe, want = "select ("+b.Probe+")::text", map[string]string{"t": "true", "f": "false"}[b.Want]
					if want == "" {
						want = b.Want
					}
				}
				var got string
				if err := d.QueryRow(t.Context(), probe).Scan(&got); err != nil || got != want {
					t.Errorf("BYPASS: %s says %q (%v), want %q", probe, got, err, want)
					_, _ = d.Exec(t.Context(), "delete from bypass.marker; insert into bypass.marker values (0)")
				}
			})
		}
	}
}

func launder(t *testing.T, dsn, query string, mode pgx.QueryExecMode) {
	c := connect(t, dsn)
	r, err := c.Query(t.Context(), query, mode)
	if err != nil {
		return // refused: nothing came
	}
	defer r.Close()
	for r.Next() {
		for i, v := range r.RawValues() {
			if s := string(v); v != nil && s != "[masked]" && s != "1" && s != "" || strings.Contains(s, "123") {
				t.Errorf("%s: column %d came as %q", query, i, v)
			}
		}
	}
}
