package accuracy_test

import (
	"math"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/accuracy"
	"github.com/assenthq/assent/internal/detect"
	"github.com/google/go-cmp/cmp"
)

const someMap = `
labels:
  MAIL: email
  NUMBER: [card, us-ssn]
  KEY: group:secret
left_out:
  AGE: no class
  DATE: few of them
optional:
  DATE: date-of-birth
`

func readMap(t *testing.T, text string) *accuracy.Map {
	t.Helper()
	m, err := accuracy.ReadMap(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type F = detect.Finding

func TestCounts(t *testing.T) {
	const text = "0123456789012345678901234567890123456789"
	type S = accuracy.Span
	for _, c := range []struct {
		name  string
		spans []S
		found []F
		rows  map[string]accuracy.Counts
		errs  []accuracy.Error
	}{
		{
			"the whole span",
			[]S{{2, 5, "MAIL"}},
			[]F{{Start: 2, End: 5, Class: "email"}},
			map[string]accuracy.Counts{"email": {Labelled: 1, Found: 1, Strict: 1, Met: 1, Meeting: 1}},
			nil,
		},
		{
			"a byte more",
			[]S{{2, 5, "MAIL"}},
			[]F{{Start: 2, End: 6, Class: "email"}},
			map[string]accuracy.Counts{"email": {Labelled: 1, Found: 1, Met: 1, Meeting: 1}},
			nil,
		},
		{
			"side by side",
			[]S{{2, 5, "MAIL"}},
			[]F{{Start: 5, End: 6, Class: "email"}},
			map[string]accuracy.Counts{"email": {Labelled: 1, Found: 1}},
			[]accuracy.Error{{Row: "email", Class: "email", Start: 5, End: 6}, {Missed: true, Row: "email", Class: "MAIL", Start: 2, End: 5}},
		},
		{
			"another class",
			[]S{{2, 5, "MAIL"}},
			[]F{{Start: 2, End: 5, Class: "phone"}},
			map[string]accuracy.Counts{"email": {Labelled: 1}, "phone": {Found: 1}},
			[]accuracy.Error{{Row: "phone", Class: "phone", Start: 2, End: 5, Near: "MAIL"}, {Missed: true, Row: "email", Class: "MAIL", Start: 2, End: 5, Near: "phone"}},
		},
		{
			"the second class of a label, in the row of the first",
			[]S{{2, 5, "NUMBER"}},
			[]F{{Start: 2, End: 5, Class: "us-ssn"}},
			map[string]accuracy.Counts{"card": {Labelled: 1, Found: 1, Strict: 1, Met: 1, Meeting: 1}},
			nil,
		},
		{
			"any class of a group",
			[]S{{2, 5, "KEY"}},
			[]F{{Start: 2, End: 5, Class: "jwt"}},
			map[string]accuracy.Counts{"group:secret": {Labelled: 1, Found: 1, Strict: 1, Met: 1, Meeting: 1}},
			nil,
		},
		{
			"a class that there isn't is in no group",
			[]S{{2, 5, "KEY"}},
			[]F{{Start: 2, End: 5, Class: "nothing"}},
			map[string]accuracy.Counts{"group:secret": {Labelled: 1}, "nothing": {Found: 1}},
			[]accuracy.Error{{Row: "nothing", Class: "nothing", Start: 2, End: 5, Near: "KEY"}, {Missed: true, Row: "group:secret", Class: "KEY", Start: 2, End: 5, Near: "nothing"}},
		},
		{
			"in two parts",
			[]S{{2, 9, "MAIL"}},
			[]F{{Start: 2, End: 4, Class: "email"}, {Start: 6, End: 9, Class: "email"}},
			map[string]accuracy.Counts{"email": {Labelled: 1, Found: 2, Met: 1, Meeting: 2}},
			nil,
		},
		{
			"two labels in one finding",
			[]S{{2, 4, "MAIL"}, {6, 9, "MAIL"}},
			[]F{{Start: 2, End: 9, Class: "email"}},
			map[string]accuracy.Counts{"email": {Labelled: 2, Found: 1, Met: 2, Meeting: 1}},
			nil,
		},
		{
			"the same label twice is one",
			[]S{{2, 4, "MAIL"}, {2, 4, "MAIL"}},
			[]F{{Start: 2, End: 4, Class: "email"}},
			map[string]accuracy.Counts{"email": {Labelled: 1, Found: 1, Strict: 1, Met: 1, Meeting: 1}},
			nil,
		},
		{
			"nested labels: the inner is met whole",
			[]S{{2, 9, "MAIL"}, {4, 6, "MAIL"}},
			[]F{{Start: 4, End: 6, Class: "email"}},
			map[string]accuracy.Counts{"email": {Labelled: 2, Found: 1, Strict: 1, Met: 2, Meeting: 1}},
			nil,
		},
		{"optional and found", []S{{2, 5, "DATE"}}, []F{{Start: 2, End: 5, Class: "date-of-birth"}}, map[string]accuracy.Counts{}, nil},
		{"optional and not found", []S{{2, 5, "DATE"}}, nil, map[string]accuracy.Counts{}, nil},
		{
			"optional, found as another class",
			[]S{{2, 5, "DATE"}},
			[]F{{Start: 2, End: 5, Class: "card"}},
			map[string]accuracy.Counts{"card": {Found: 1}},
			[]accuracy.Error{{Row: "card", Class: "card", Start: 2, End: 5, Near: "DATE"}},
		},
		{
			"left out",
			[]S{{2, 4, "AGE"}},
			[]F{{Start: 2, End: 4, Class: "card"}},
			map[string]accuracy.Counts{"card": {Found: 1}},
			[]accuracy.Error{{Row: "card", Class: "card", Start: 2, End: 4, Near: "AGE"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := accuracy.NewReport(readMap(t, someMap))
			errs, err := r.Add(&accuracy.Text{Text: text, Spans: c.spans}, c.found, nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.errs, errs); d != "" {
				t.Errorf("errors (-want +got):\n%s", d)
			}
			rows := map[string]accuracy.Row{}
			for _, row := range r.Summary().Rows {
				rows[row.Class] = row
			}
			want := map[string]accuracy.Row{}
			for name, n := range c.rows {
				want[name] = accuracy.Row{Class: name, Labelled: n.Labelled, Found: n.Found, Strict: n.StrictFigures(), Overlap: n.OverlapFigures()}
			}
			if d := cmp.Diff(want, rows); d != "" {
				t.Errorf("rows (-want +got):\n%s", d)
			}
		})
	}
}

func TestFigures(t *testing.T) {
	f := accuracy.Counts{Labelled: 8, Found: 5, Strict: 4, Met: 6, Meeting: 5}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	s, o := f.StrictFigures(), f.OverlapFigures()
	near("strict precision", s.Precision, 0.8)
	near("strict recall", s.Recall, 0.5)
	near("strict F1", s.F1, 2*0.8*0.5/1.3)
	near("strict F2", s.F2, 5*0.8*0.5/(4*0.8+0.5))
	near("overlapping precision", o.Precision, 1)
	near("overlapping recall", o.Recall, 0.75)
	var none accuracy.Counts
	if got := none.StrictFigures(); got != (accuracy.Figures{}) {
		t.Errorf("of nothing: %v", got)
	}
}

func TestSummary(t *testing.T) {
	r := accuracy.NewReport(readMap(t, someMap))
	text := &accuracy.Text{Text: "0123456789", Spans: []accuracy.Span{{0, 2, "MAIL"}, {3, 5, "MAIL"}, {6, 8, "AGE"}}}
	if _, err := r.Add(text, []F{{Start: 0, End: 2, Class: "email"}, {Start: 3, End: 4, Class: "card"}}, nil); err != nil {
		t.Fatal(err)
	}
	s := r.Summary()
	if s.All.Labelled != 2 || s.AllLeft.Labelled != 3 || s.All.Strict.Recall != 0.5 || s.AllLeft.Strict.Recall != 1.0/3 || s.Any != 1 {
		t.Errorf("all %+v, with what is left out %+v, any %v", s.All, s.AllLeft, s.Any)
	}
	if d := cmp.Diff([]accuracy.Left{{Label: "AGE", Count: 1, Why: "no class"}}, s.LeftOut); d != "" {
		t.Error(d)
	}
}

// An error of a label says the label; the text is never in one.
func TestUnknownLabel(t *testing.T) {
	text := &accuracy.Text{Text: "bob@example.com", Spans: []accuracy.Span{{0, 15, "WHAT"}}}
	for name, r := range map[string]*accuracy.Report{"map": accuracy.NewReport(readMap(t, someMap)), "none": accuracy.NewReport(nil)} {
		_, err := r.Add(text, nil, nil)
		if err == nil || !strings.Contains(err.Error(), "WHAT") || strings.Contains(err.Error(), "bob") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMapsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"labels: {A: email}\nleft_out: {A: why}":        "left out, too",
		"optional: {A: email}":                          "say under left_out",
		"labels: {A: email}\noptional: {A: email}":      "is optional, too",
		"left_out: {A: why}\noptional: {A: group:what}": `no group "what"`,
		"labels: {A: []}":                               "no class",
		"labels: {A: group:what}":                       `no group "what"`,
		"left_out: {A: ''}":                             "say why",
		"label: {A: email}":                             "label",
		"labels: {A: {b: c}}":                           "want a class",
		"labels: {A: email}\n---\nlabels: {}":           "more than one document",
	} {
		if _, err := accuracy.ReadMap(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	m := readMap(t, "labels: {A: email, B: [never-heard, email]}")
	if d := cmp.Diff([]string{"never-heard"}, m.Unknown()); d != "" {
		t.Error(d)
	}
}
