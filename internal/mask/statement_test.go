package mask_test

import (
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
