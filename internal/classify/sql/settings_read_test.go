package sql

import (
	"slices"
	"testing"

	"github.com/assenthq/assent/action"
)

// A setting that may hold a secret is read, and its name tells the class; any other is no read.
func TestSettingsAreRead(t *testing.T) {
	c := New(Options{})
	for text, source := range map[string]string{
		"show app.secret": ".secret", "show primary_conninfo": settingsColumn, "select current_setting('app.secret', true)": ".secret", "select pg_catalog.current_setting('primary_conninfo')": settingsColumn,
		"select current_setting(name) from t": settingsColumn, "select * from current_setting('app.secret')": settingsColumn,
	} {
		s := c.Classify(text, State{}).Statements[0]
		if !s.Has(action.DataRead) || len(s.Columns) != 1 || !slices.Contains(s.Columns[0].Sources, source) {
			t.Errorf("%s: %v, %+v", text, s.Kinds, s.Columns)
		}
	}
	for _, text := range []string{"show server_version", "show search_path", "select current_setting('server_version_num')::int / 10000", "select current_setting('TimeZone')"} {
		if s := c.Classify(text, State{}).Statements[0]; len(s.Kinds) > 0 || s.Harmless == "" {
			t.Errorf("%s: %v", text, s.Kinds)
		}
	}
}

// A member that is asked for by a key nobody can read has no class to be known by.
func TestKeysThatHideAMember(t *testing.T) {
	c := New(Options{})
	for text, want := range map[string]bool{
		"select doc ->> 'a' from t": false, "select doc -> 0 from t": false, "select doc #>> array['a', 'b'] from t": false, "select doc #>> '{a,b}'::text[] from t": false,
		"select doc['a']['b'] from t": false, "select list[1], list[1:2] from t": false, "select jsonb_extract_path_text(doc, 'a', 'b') from t": false,
		"select doc ->> ('pass' || 'word') from t": true, "select doc ->> k from t": true, "select doc ->> $1 from t": true, "select doc -> (select 'password') from t": true,
		"select doc #>> array['a', k] from t": true, "select doc #> k from t": true, "select doc[k] from t": true, "select doc['a'][k] from t": true, "select (doc -> 'a')['pass' || 'word'] from t": true,
		"select jsonb_extract_path_text(doc, 'pass' || 'word') from t": true, "select json_extract_path(doc, variadic array[k]) from t": true,
	} {
		s := c.Classify(text, State{ServerVersion: 150000}).Statements[0]
		if got := s.Columns[0].Turned; got != want {
			t.Errorf("%s: turned is %v", text, got)
		}
	}
	s := c.Classify("select doc #>> array['a', 'password'] from t", State{}).Statements[0]
	if !slices.Contains(s.Columns[0].Sources, ".password") {
		t.Errorf("the key is not among the sources: %v", s.Columns[0].Sources)
	}
}
