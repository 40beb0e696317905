package mask_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
)

// A password is a word like any other: only the name beside it tells.
func TestStatementNamesASecret(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`INSERT INTO users (name, password) VALUES ('ada', 'hunter2hunter2')`,
		`UPDATE users SET password = 'hunter2hunter2' WHERE name = 'ada'`,
		`ALTER USER app WITH PASSWORD 'hunter2hunter2'`,
		`INSERT INTO t (api_key) VALUES ($x$hunter2hunter2$x$)`,
		`INSERT INTO t (api_key) VALUES (E'it\'s hunter2hunter2')`,
		`INSERT INTO t ("apiKey") VALUES ('a@example.com hunter2hunter2`,
		`SELECT * FROM t WHERE token = 'x''hunter2hunter2'`,
	} {
		masked, spans, counts := mask.MaskStatement(text, e)
		if strings.Contains(masked, "hunter2") || counts[string(detect.Sensitive)] == 0 {
			t.Errorf("%s\n became %s", text, masked)
		}
		for _, s := range spans {
			if s.Start < 0 || s.End > len(masked) || !strings.HasPrefix(masked[s.Start:s.End], "[masked:") {
				t.Errorf("%s: span %v is not a mask", text, s)
			}
		}
	}
	plain := `SELECT 'it is fine' FROM orders WHERE status = 'paid'`
	if masked, _, _ := mask.MaskStatement(plain, e); masked != plain {
		t.Errorf("%s became %s", plain, masked)
	}
}

func FuzzMaskStatement(f *testing.F) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("UPDATE u SET password = 'a@example.com' || $$x$$ || E'\\''")
	f.Add("'password")
	f.Fuzz(func(t *testing.T, text string) {
		masked, spans, _ := mask.MaskStatement(text, e)
		at := 0
		for _, s := range spans {
			if s.Start < at || s.End > len(masked) || s.Start >= s.End {
				t.Fatalf("span %v out of order in %q", s, masked)
			}
			at = s.End
		}
	})
}

// statementIsLike fails where what went before changes what a statement becomes.
func statementIsLike(t interface{ Fatalf(string, ...any) }, e *detect.Engine, like *mask.Alike, text string) {
	want, wantSpans, wantCounts := mask.MaskStatement(text, e)
	got, spans, counts := mask.MaskStatementLike(text, e, like)
	if got != want || !slices.Equal(spans, wantSpans) || !maps.Equal(counts, wantCounts) {
		t.Fatalf("%q became %q %v %v\nwant %q %v %v", text, got, spans, counts, want, wantSpans, wantCounts)
	}
}

var likely = []string{
	`SELECT note FROM orders WHERE pass = 12 AND password = 'hunter2hunter2'`,
	`SELECT note FROM orders WHERE id = $1 AND token = $2` + "\n-- $1 = \"4\"\n-- $2 = 'hunter2'",
	`UPDATE orders SET note = $x$token$x$, "apiKey" = 'it''s' WHERE email = 'a@example.com'`,
	`SELECT note FROM orders WHERE pass` + "\u00e9" + ` = 'x' and pin=4111111111111111`,
}

// Whatever two statements have in common, wherever they part.
func TestStatementLikeAtEveryOffset(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range likely {
		for cut := range len(text) {
			for _, other := range []string{"", "word = 'hunter2'", "'", "$", " 7", "password 'x'"} {
				var like mask.Alike
				for _, one := range []string{text[:cut] + "~", text[:cut] + other, text, text[:cut], text[:cut] + other} {
					statementIsLike(t, e, &like, one)
				}
			}
		}
	}
}

// What a '$' or a quote begins may be told only by what follows.
func TestStatementLikeOfOpenPieces(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, texts := range [][]string{
		{`$a=~`, `$a=~$ it's $a=~$, (api_key) VALUES ('hunter2hunter2')`},
		{`SELECT $a=~`, `SELECT $a=~$ it's $a=~$, (api_key) VALUES ('hunter2hunter2')`},
		{`'`, `'' || password = 'hunter2hunter2'`},
		{`SELECT 'a'`, `SELECT 'a'', (' (api_key) VALUES ('hunter2hunter2')`},
		{`SELECT pass`, `SELECT password, ('hunter2hunter2')`},
	} {
		var like mask.Alike
		for _, text := range texts {
			statementIsLike(t, e, &like, text)
		}
	}
}

func FuzzStatementLike(f *testing.F) {
	for _, text := range likely {
		f.Add(text[:len(text)/2], text[len(text)/2:], "")
		f.Add(text[:30], text[30:], "1")
	}
	e, err := detect.New(detect.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, head, one, other string) {
		var like mask.Alike
		for _, rest := range []string{one, other, one, other + one, ""} {
			statementIsLike(t, e, &like, head+rest)
		}
	})
}
