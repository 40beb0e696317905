package mysql

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
)

// corpus returns the lines of the labelled corpus.
func corpus(t testing.TB) (labels, texts []string) {
	t.Helper()
	f, err := os.Open("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if label, text, is := strings.Cut(s.Text(), " | "); is && !strings.HasPrefix(label, "#") {
			labels, texts = append(labels, label), append(texts, text)
		}
	}
	return labels, texts
}

func kindsOf(s *Statement) string {
	if s.Harmless != "" {
		return "-"
	}
	var names []string
	for _, k := range s.Kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, " ")
}

func TestCorpus(t *testing.T) {
	labels, texts := corpus(t)
	if len(texts) < 120 {
		t.Fatalf("the corpus has %d lines", len(texts))
	}
	c := New(Options{})
	for i, text := range texts {
		for _, mariadb := range []bool{false, true} {
			s := c.Classify(text, State{Database: "shop", MariaDB: mariadb})
			got := kindsOf(s)
			if labels[i] == "!" && (s.Has(action.Unknown) || s.Has(action.Execute)) {
				continue
			}
			if got != labels[i] {
				t.Errorf("%s: %s (%v), labelled %s", text, got, s.Why, labels[i])
			}
			if s.Title == "" || s.Shape == "" || s.Verb == "" || len(s.Kinds) == 0 && s.Harmless == "" {
				t.Errorf("%s: not told in full: %+v", text, s)
			}
		}
	}
}

// Where columns come from, and what of them steers.
func TestColumns(t *testing.T) {
	c := New(Options{})
	state := State{Database: "shop", Vars: []string{"shop.customers.ssn"}, Catalog: fixed{}}
	for text, want := range map[string]string{
		"SELECT email FROM customers":                                    "email<shop.customers.email>",
		"SELECT e FROM (SELECT email AS e FROM customers) t":             "e<shop.customers.email>",
		"WITH a (x) AS (SELECT ssn FROM customers) SELECT x AS y FROM a": "y<shop.customers.ssn>",
		"SELECT name FROM t1 UNION SELECT ssn FROM customers":            "name<shop.customers.ssn shop.t1.name>",
		"SELECT a.id, b.* FROM customers b, orders a":                    "id<shop.orders.id> id<shop.customers.id> ssn<shop.customers.ssn> email<shop.customers.email> doc!<shop.customers.doc shop.customers.ssn>",
		"SELECT * FROM v":            "contact<shop.customers.email shop.v.contact>",
		"SELECT contact AS c FROM v": "c<shop.customers.email shop.v.contact>",
		"SELECT reverse(ssn) r, lower(ssn) l, count(ssn) n FROM customers": "r!<shop.customers.ssn> l<shop.customers.ssn> n+<shop.customers.ssn>",
		"SELECT @x": "@x!<shop.customers.ssn>",
		"SELECT ssn + 1 AS s, concat(ssn, 'x') t, concat(ssn, ' ', email) u FROM customers":                             "s!<shop.customers.ssn> t!<shop.customers.ssn> u<shop.customers.email shop.customers.ssn>",
		"SELECT (SELECT max(ssn) FROM customers c WHERE c.id = o.id) m FROM orders o":                                   "m+<shop.customers.ssn>",
		"SELECT CASE WHEN ssn LIKE '1%' THEN 1 END c FROM customers":                                                    "c<>",
		"WITH RECURSIVE r AS (SELECT id, ssn FROM customers UNION ALL SELECT ssn, id FROM r) SELECT id FROM r":          "id<shop.customers.id shop.customers.ssn>",
		"INSERT INTO customers (id) VALUES (1) RETURNING ssn":                                                           "ssn<shop.customers.ssn>",
		"SELECT JSON_EXTRACT(email, '$.a') j, email->>'$.b' k, json_extract(email, concat('$', '.a')) m FROM customers": "j<shop.customers.email> k<shop.customers.email> m!<shop.customers.email>",
	} {
		s := c.Classify(text, state)
		var got []string
		for _, col := range s.Columns {
			one := col.Name
			if col.Turned {
				one += "!"
			}
			if col.Aggregate {
				one += "+"
			}
			got = append(got, one+"<"+strings.Join(col.Sources, " ")+">")
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s:\n  %s\n  %s is expected (%v)", text, g, want, s.Kinds)
		}
	}
	for text, want := range map[string]string{
		"SELECT 1 FROM customers WHERE ssn = '1'":                       "shop.customers.ssn",
		"SELECT 1 FROM customers ORDER BY ssn":                          "shop.customers.ssn",
		"SELECT 1 FROM customers GROUP BY ssn":                          "shop.customers.ssn",
		"SELECT DISTINCT ssn FROM customers":                            "shop.customers.ssn",
		"SELECT 1 FROM orders o JOIN customers c ON c.ssn = o.x":        "shop.customers.ssn",
		"SELECT if(ssn = '1', 1, 0) FROM customers":                     "shop.customers.ssn",
		"SELECT 1 FROM orders WHERE EXISTS (SELECT ssn FROM customers)": "shop.customers.ssn",
		"SELECT 1 FROM v": "shop.customers.active",
		"SELECT rank() OVER (ORDER BY ssn) FROM customers":            "shop.customers.ssn",
		"UPDATE orders SET x = (SELECT ssn FROM customers LIMIT 1)":   "shop.customers.ssn",
		"SELECT ssn FROM customers ORDER BY 1":                        "shop.customers.ssn",
		"DELETE FROM customers WHERE ssn LIKE '1%'":                   "shop.customers.ssn",
		"SELECT group_concat(id ORDER BY ssn) FROM customers":         "shop.customers.ssn",
		"SELECT ssn FROM customers UNION SELECT email FROM customers": "shop.customers.ssn",
		"SELECT x FROM orders JOIN customers USING (ssn)":             "shop.customers.ssn",
	} {
		if s := c.Classify(text, state); !slices.Contains(s.Inferred, want) {
			t.Errorf("%s: %v steers, and %s is not among them", text, s.Inferred, want)
		}
	}
}

// fixed is a catalogue of one view and one table.
type fixed struct{}

func (fixed) Columns(table string) []string {
	if table == "shop.customers" {
		return []string{"id", "ssn", "email", "doc"}
	}
	return nil
}

func (fixed) View(table string) *View {
	if table != "shop.v" {
		return nil
	}
	return &View{Columns: []action.Column{{Name: "contact", Sources: []string{"shop.customers.email"}}}, Kinds: []action.Kind{action.DataRead}, Steers: []string{"shop.customers.active"}, Objects: []string{"shop.customers"}}
}

func (fixed) Generated(table, column string) *action.Column {
	if table == "shop.customers" && column == "doc" {
		return &action.Column{Sources: []string{"shop.customers.ssn"}, Derived: true, Turned: true}
	}
	return nil
}

func (fixed) Foreign(table string) bool { return table == "shop.far" }

func (fixed) Triggers(table string) bool { return table == "shop.watched" }
func (fixed) Version() uint64            { return 1 }

func TestSession(t *testing.T) {
	c := New(Options{})
	state := State{Database: "shop", Catalog: fixed{}}
	if s := c.Classify("USE other", state); s.Database != "other" {
		t.Errorf("USE: %+v", s)
	}
	if s := c.Classify("SET sql_mode = 'ANSI', @x = (SELECT ssn FROM customers LIMIT 1)", state); len(s.Settings) != 1 || s.Settings[0] != (Setting{"sql_mode", "ANSI", true}) || !s.SetsVars || !slices.Equal(s.Assigns, []string{"shop.customers.ssn"}) {
		t.Errorf("SET: %+v", s)
	}
	if s := c.Classify("set sql_mode=CONCAT(@@sql_mode,',STRICT_TRANS_TABLES'),NAMES utf8mb4", state); s.Harmless == "" || len(s.Settings) != 2 || s.Settings[0] != (Setting{"sql_mode", ",STRICT_TRANS_TABLES", true}) || s.Settings[1] != (Setting{"names", "utf8mb4", true}) {
		t.Errorf("SET by what was: %+v", s)
	}
	for _, text := range []string{"SET sql_mode = concat(@@global.sql_mode, ',X')", "SET sql_mode = concat(@x, ',X')", "SET sql_mode = concat(@@sql_mode, @x)", "SET sql_mode = concat(@@sql_mode, 'X')", "SET sql_mode = replace(@@sql_mode, ',', '')"} {
		if s := c.Classify(text, state); len(s.Settings) != 1 || s.Settings[0].Known {
			t.Errorf("%s: %+v", text, s.Settings)
		}
	}
	if s := c.Classify("SELECT ssn INTO @x FROM customers", state); !s.SetsVars || !slices.Equal(s.Assigns, []string{"shop.customers.ssn"}) || s.Columns != nil {
		t.Errorf("INTO: %+v", s)
	}
	if s := c.Classify("KILL QUERY 17", state); s.Kill != 17 || !s.KillQuery {
		t.Errorf("KILL: %+v", s)
	}
	if s := c.Classify("CREATE TEMPORARY TABLE t AS SELECT ssn FROM customers", state); s.Temp == nil || s.Temp.Name != "shop.t" || !slices.Equal(s.Temp.Sources, []string{"shop.customers.ssn"}) {
		t.Errorf("a temporary table: %+v", s.Temp)
	}
	if s := c.Classify("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", state); !s.LocalFile {
		t.Error("LOCAL is not seen")
	}
	if s := c.Classify("SELECT 1 FROM far", state); !s.Has(action.NetFetch) {
		t.Errorf("a table elsewhere: %v", s.Kinds)
	}
	if s := c.Classify("EXPLAIN FORMAT=JSON SELECT id FROM customers", state); len(s.Columns) != 1 || !s.Columns[0].Turned {
		t.Errorf("a plan in full: %+v", s.Columns)
	}
	if s := c.Classify("INSERT INTO watched VALUES (1)", state); !s.Has(action.Execute) {
		t.Errorf("a trigger: %v", s.Kinds)
	}
	if a, b := c.Classify("SELECT 1 FROM t WHERE x = 'a'", state), c.Classify("select 1  from t where x = 'b' -- c", state); a.Shape != b.Shape {
		t.Error("literals, comments and blanks are in the shape")
	}
}

// Texts made to take long are unknown soon: queries that name themselves in queries that do, calls in calls.
func TestHostileTexts(t *testing.T) {
	c := New(Options{CacheEntries: -1})
	recursive, calls, why := "SELECT 1", "1", strings.Repeat("why ", 10)
	for range 40 {
		recursive = "WITH RECURSIVE r AS (" + recursive + ") SELECT * FROM r, r s"
		calls = "if(" + calls + ", " + calls[:min(len(calls), 4000)] + ", 1)"
		if len(calls) > 100_000 {
			calls = "if(1, 1, 1)"
		}
	}
	for _, text := range []string{
		recursive, "SELECT " + calls, "SELECT " + strings.Repeat("(", 100) + "1" + strings.Repeat(")", 100), "SELECT " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000),
		"SELECT 1" + strings.Repeat(" UNION SELECT 1", 20_000), "SELECT " + strings.Repeat("NOT ", 50_000) + "1", "SELECT " + strings.Repeat("1,", 60_000) + "1", "SELECT " + strings.Repeat("-", 40_000) + "1", why,
	} {
		done := make(chan *Statement, 1)
		go func() { done <- c.Classify(text, State{Database: "shop"}) }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatalf("%.60s… takes longer than a minute", text)
		}
	}
}

// FuzzClassify: no text makes it panic or leaves it without an answer, and what it calls a read has no
// statement behind it.
func FuzzClassify(f *testing.F) {
	_, texts := corpus(f)
	for _, text := range texts {
		f.Add(text)
	}
	c := New(Options{CacheEntries: -1})
	f.Fuzz(func(t *testing.T, text string) {
		s := c.Classify(text, State{Database: "shop", Catalog: fixed{}})
		if len(s.Kinds) == 0 && s.Harmless == "" || s.Title == "" || s.Verb == "" {
			t.Errorf("%q: %+v", text, s)
		}
		if !slices.IsSorted(s.Kinds) {
			t.Errorf("%q: kinds %v", text, s.Kinds)
		}
		// The rendering is stable: what the grammar was given reads as the same tokens.
		tokens, why := lex(text)
		if why != "" {
			return
		}
		clean, shape, why := render(tokens)
		if why != "" {
			return
		}
		again, why := lex(clean)
		if why != "" {
			t.Errorf("%q was rendered as %q: %s", text, clean, why)
		}
		if clean2, shape2, why := render(again); why == "" && (clean2 != clean || shape2 != shape) {
			t.Errorf("%q: %q and then %q", text, clean, clean2)
		}
	})
}
