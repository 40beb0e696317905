package detect_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/detect"
)

// marked takes « and » out of an example and returns what stood between.
func marked(example string) (text string, values []string) {
	for {
		before, rest, ok := strings.Cut(example, "«")
		text += before
		if !ok {
			return text, values
		}
		value, after, _ := strings.Cut(rest, "»")
		text += value
		values = append(values, value)
		example = after
	}
}

// What the table shows is found, with its class; what it shows as no value is not of it.
func TestExamplesOfTheTable(t *testing.T) {
	e := engine(t, detect.Options{})
	for _, row := range detect.Table() {
		for _, example := range row.Is {
			text, values := marked(example)
			found := e.ScanString(text, nil)
			for _, v := range values {
				ok := false
				for _, f := range found {
					ok = ok || text[f.Start:f.End] == v && f.Class == row.Class
				}
				if !ok {
					t.Errorf("%s: %q: found %v", row.Class, example, said(text, found))
				}
			}
			if len(found) != len(values) {
				t.Errorf("%s: %q: more than what is marked: %v", row.Class, example, said(text, found))
			}
		}
		for _, text := range row.Not {
			for _, f := range e.ScanString(text, nil) {
				if f.Class == row.Class {
					t.Errorf("%s: %q: found %v", row.Class, text, text[f.Start:f.End])
				}
			}
		}
	}
}

func said(text string, found []detect.Finding) (out []string) {
	for _, f := range found {
		out = append(out, string(f.Class)+" "+text[f.Start:f.End])
	}
	return out
}

// Each example cut anywhere is the whole; and what Clean says of its pieces is true.
func TestExamplesInPieces(t *testing.T) {
	e := engine(t, detect.Options{})
	for _, row := range detect.Table() {
		for _, example := range append(row.Is, row.Not...) {
			text, _ := marked("some words, " + example + ", and more of them behind it\n")
			want := said(text, e.ScanString(text, nil))
			for cut := range len(text) {
				if got := said(text, pieces(e, text, cut)); !slices.Equal(got, want) {
					t.Errorf("%s: %q cut at %d: %q, want %q", row.Class, text, cut, got, want)
				}
				cleanIsTrue(t, e, text[:cut])
				cleanIsTrue(t, e, text[cut:])
			}
		}
	}
}

func FuzzNumbers(f *testing.F) {
	for _, row := range detect.Table() {
		for i, example := range append(row.Is, row.Not...) {
			text, _ := marked(example)
			f.Add([]byte(text), i)
		}
	}
	e := engine(f, detect.Options{})
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		want := e.Scan(text, nil)
		wellFormed(t, string(text), want)
		if cut = max(cut, 0); cut < len(text) {
			if got := pieces(e, string(text), cut); !slices.Equal(got, want) {
				t.Fatalf("cut at %d: %v, want %v", cut, got, want)
			}
		}
		cleanIsTrue(t, e, string(text))
	})
}

var update = flag.Bool("update", false, "write docs/classes.md")

func TestClassesPageIsCurrent(t *testing.T) {
	const page = "../../docs/classes.md"
	want := detect.Reference()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != want {
		t.Errorf("docs/classes.md is not current: go run ./cmd/assent detect classes > docs/classes.md (%v)", err)
	}
}
