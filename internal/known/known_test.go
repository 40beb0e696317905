package known_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/known"
	"github.com/assenthq/assent/internal/store"
)

type leaves []string

func (l leaves) Head(context.Context) (audit.Head, error) {
	return audit.Head{Size: int64(len(l))}, nil
}

func (l leaves) Leaves(_ context.Context, from, to int64, fn func(int64, []byte) error) error {
	for i := from; i < to; i++ {
		if err := fn(i, []byte(l[i])); err != nil {
			return err
		}
	}
	return nil
}

func rows(of map[string][][]string) func(context.Context, store.Table, func([]any) error) error {
	return func(_ context.Context, t store.Table, fn func([]any) error) error {
		for _, vals := range of[t.Name] {
			row := make([]any, len(t.Columns))
			for i := range row {
				row[i] = []byte{}
				for _, v := range vals {
					if text, ok := strings.CutPrefix(v, t.Columns[i]+"="); ok {
						row[i] = []byte(text)
					}
				}
			}
			if err := fn(row); err != nil {
				return err
			}
		}
		return nil
	}
}

func collect(t *testing.T, src known.Sources, names ...string) (string, *known.Summary) {
	t.Helper()
	var out strings.Builder
	sum, err := known.Collect(t.Context(), src, names, func(i *known.Item) error {
		return json.NewEncoder(&out).Encode(i)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), sum
}

func none(func(int64, []byte) error) error { return nil }

// A person is found in every field, however it is written, and not in longer words.
func TestRecords(t *testing.T) {
	src := known.Sources{
		Log: leaves{
			`{"index":0,"person":"person:mira"}`,
			`{"index":1,"detail":{"reason":"ask \u006dira, please"}}`,
			`{"index":2,"title":"a miracle"}`,
			`{"index":3,"chain":["agent:a","PERSON:MIRA"]}`,
			`{"index":4,"findings":{"mira":1}}`,
			`{"index":5,"title":"miramira mira"}`,
			`{"index":6,"person":"mira`,
			`{"index":7,"title":"Ölmira éMira"}`,
		},
		Traffic: func(fn func(int64, []byte) error) error { return fn(0, []byte(`{"index":0,"session":"mira"}`)) },
		Rows:    rows(nil),
	}
	out, sum := collect(t, src, "mira")
	for i, want := range []bool{true, true, false, true, true, true, true, false} {
		index := `index":` + string(rune('0'+i))
		if got := strings.Contains(strings.ReplaceAll(out, `\"`, `"`), index); i > 0 && got != want {
			t.Errorf("record %d is in the collection: %v", i, got)
		}
	}
	if sum.Found["log"] != 6 || sum.Found["traffic"] != 1 || sum.Unparsed != 1 {
		t.Errorf("found %v, %d not parsed", sum.Found, sum.Unparsed)
	}
}

// What accounts tell is looked for; what one could sign in with, and what policies mask, stays.
func TestRows(t *testing.T) {
	src := known.Sources{Log: leaves{`{"index":0,"actor":"corp|00u1"}`, `{"index":1,"detail":{"to":"m@corp.example"}}`, `{"index":2,"actor":"corp|00u2"}`}, Traffic: none, Rows: rows(map[string][][]string{
		"sealed": {
			{"kind=account", "id=a", `body={"account":"corp|00u1","email":"m@corp.example"}`},
			{"kind=link", "id=b", `body={"person":"person:mira","account":"corp|00u1","confirmed":"2026-01-01T00:00:00Z"}`},
			{"kind=link", "id=c", `body={"person":"person:mira","account":"corp|00u2"}`},
			{"kind=account", "id=d", `body={"account":"corp|00u3","email":"m@corp.example","name":"claims it"}`},
			{"kind=push", "id=e", `body={"person":"person:mira","auth":"SECRET1","endpoint":"https://SECRET2","sub":[{"Salt":"SECRET3"}]}`},
		},
		"token":    {{"id=t", "user_name=x", `body={"subject":"person:mira","stored_key":"SECRET4","scopes":["read"]}`}},
		"approval": {{"id=1", "person=person:mira", `body={"statement":"SECRET5"}`}},
		"vault":    {{"token=v", "actor=person:mira", "body=SECRET6"}},
	})}
	out, sum := collect(t, src, "person:mira")
	if strings.Contains(out, "SECRET") {
		t.Errorf("handed out: %s", out)
	}
	want := map[string]int64{"log": 2, "traffic": 0, "sealed": 5, "token": 1, "approval": 1, "vault": 1, "review": 0, "relation": 0, "ledger": 0}
	for name, n := range want {
		if got, read := sum.Found[name]; got != n || !read {
			t.Errorf("%s: %d, want %d", name, got, n)
		}
	}
	if got := strings.Join(sum.Names, " "); got != "person:mira corp|00u1 m@corp.example" {
		t.Errorf("looked for %s", got)
	}
}

// A store whose tables can't be read is told, and so is a name that says nothing.
func TestToldApart(t *testing.T) {
	_, sum := collect(t, known.Sources{Log: leaves{}, Traffic: none}, "person:mira")
	if _, read := sum.Found["token"]; read || !strings.Contains(strings.Join(sum.NotRead, "\n"), "tables approval, review") {
		t.Errorf("unread tables aren't told: %+v", sum)
	}
	for _, names := range [][]string{nil, {""}, {"mi"}} {
		if _, err := known.Collect(t.Context(), known.Sources{Log: leaves{}, Traffic: none}, names, nil); err == nil {
			t.Errorf("%q was looked for", names)
		}
	}
}

// Whatever a record holds, a name in one of its texts is found.
func FuzzRecord(f *testing.F) {
	f.Add("x", "y", []byte(`{"a":`))
	f.Add("\u2028\x00", "é", []byte{0xff})
	f.Fuzz(func(t *testing.T, before, after string, raw []byte) {
		leaf, err := json.Marshal(map[string]any{"detail": map[string]string{"x": before + " person:mira " + after}})
		if err != nil {
			t.Fatal(err)
		}
		_, sum := collect(t, known.Sources{Log: leaves{string(leaf), string(raw)}, Traffic: none}, "person:mira")
		if sum.Found["log"] == 0 {
			t.Errorf("not found in %s", leaf)
		}
	})
}
