package detect_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/names"
)

func reader(t testing.TB, o detect.Options) *detect.Engine {
	t.Helper()
	m, err := names.Default()
	if err != nil {
		t.Fatal(err)
	}
	o.Names = m
	e, err := detect.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func classesIn(e *detect.Engine, text string) string {
	var b strings.Builder
	at := 0
	for _, f := range e.ScanString(text, nil) {
		b.WriteString(text[at:f.Start] + "«" + string(f.Class) + ":" + text[f.Start:f.End] + "»")
		at = f.End
	}
	return b.String() + text[at:]
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name, want string
		o          detect.Options
	}{
		{"a person", "Invoice approved by «person:Katarzyna Nowak» today.", detect.Options{}},
		{"what has a structure is surer", "Mail «person:Katarzyna Nowak» <«email:katarzyna@corp.example»>, please.", detect.Options{}},
		{"organisations are asked for", "The invoice of Nowak Consulting Ltd. was paid.", detect.Options{}},
		{"all", "The invoice of «organisation:Nowak Consulting Ltd.» was paid.", detect.Options{AllNames: true}},
		{"off", "Invoice approved by Katarzyna Nowak today.", detect.Options{Off: []detect.Class{detect.Person}}},
	} {
		text := strings.NewReplacer("«person:", "", "«organisation:", "", "«email:", "", "»", "").Replace(c.want)
		if got := classesIn(reader(t, c.o), text); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.name, got, c.want)
		}
	}
	if got := classesIn(engine(t, detect.Options{}), "approved by Katarzyna Nowak"); got != "approved by Katarzyna Nowak" {
		t.Errorf("without a model: %s", got)
	}
}

func TestNamesAreInTheVersion(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range []*detect.Engine{engine(t, detect.Options{}), reader(t, detect.Options{}), reader(t, detect.Options{AllNames: true})} {
		seen[e.Version()] = true
	}
	if len(seen) != 3 {
		t.Errorf("three engines have %d versions", len(seen))
	}
}

func TestForLeavesTheModelOut(t *testing.T) {
	text := "Mail Katarzyna Nowak <katarzyna@corp.example>, please."
	e := reader(t, detect.Options{})
	only := func(want detect.Class) *detect.Engine {
		return e.For(func(c detect.Class) bool { return c == want })
	}
	if got, want := classesIn(only("email"), text), "Mail Katarzyna Nowak <«email:katarzyna@corp.example»>, please."; got != want {
		t.Errorf("for addresses: got %s, want %s", got, want)
	}
	if got, want := classesIn(only("person"), text), classesIn(e, text); got != want {
		t.Errorf("for people: got %s, want %s", got, want)
	}
	if only("email").Version() != e.Version() {
		t.Error("it has another version")
	}
}

// story draws text with names, structured values and what lies between.
func story() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.SampledFrom([]string{
			"Katarzyna Nowak", "John Smith", "12 Oak Street, Springfield, IL 62704", "12 Oak Street\nSpringfield, IL", "Asthma", "ibuprofen 200 mg", "\n\n", "\r\n\r\n",
			"José", "\\u00e9", "佐藤健", "bob@corp.example", "4111 1111 1111 1111", "patient ", "Dr. ", "{\"name\":\"", strings.Repeat("and ", 120), "\xe2\x80", "eyJ", "-----BEGIN ", "A. ",
		}),
		rapid.StringMatching(`[A-Z]?[a-z]{1,12}`),
		rapid.StringMatching(`[0-9 .,]{1,20}`),
		rapid.StringN(1, 6, -1),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 30).Draw(t, "parts"), rapid.SampledFrom([]string{"", " ", "\n"}).Draw(t, "between"))
	})
}

func TestNamesInStreamsHoweverCut(t *testing.T) {
	e := reader(t, detect.Options{AllNames: true})
	rapid.Check(t, func(t *rapid.T) {
		text := story().Draw(t, "text")
		want := e.ScanString(text, nil)
		if e.Clean([]byte(text)) && len(want) > 0 {
			t.Fatalf("clean, and %v in %q", want, text)
		}
		var at []int
		for cut := rapid.IntRange(0, len(text)).Draw(t, "first"); cut < len(text); cut += rapid.IntRange(1, 600).Draw(t, "piece") {
			at = append(at, cut)
		}
		if diff := cmp.Diff(want, pieces(e, text, at...)); diff != "" {
			t.Fatalf("cut at %v (-whole +cut) %q:\n%s", at, text, diff)
		}
		end := 0
		for _, f := range want {
			if f.Start < end || f.End <= f.Start || f.End > len(text) || f.Score < 0.5 || f.Score > 1 {
				t.Fatalf("finding %+v after %d", f, end)
			}
			end = f.End
		}
	})
}

func TestNamesInStreamsOfBytes(t *testing.T) {
	e := reader(t, detect.Options{})
	text := strings.Repeat("Invoice approved by Katarzyna Nowak, bob@corp.example, and nobody else.\n", 40) + "\n" + strings.Repeat("x", 700) + " John Smith"
	var every []int
	for i := range len(text) {
		every = append(every, i)
	}
	if diff := cmp.Diff(e.ScanString(text, nil), pieces(e, text, every...)); diff != "" {
		t.Fatalf("in pieces of one byte (-whole +cut):\n%s", diff)
	}
}
