package detect_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/detect/detecttest"
	"github.com/assenthq/assent/internal/names"
)

// soak is what ASSENT_DETECT_MIB says, the MiB of each generated text, or few.
func soak(t testing.TB, few int) int {
	t.Helper()
	text := os.Getenv("ASSENT_DETECT_MIB")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ASSENT_DETECT_MIB=%q: want a number of MiB", text)
	}
	return n << 20
}

// In generated text what was planted is found, whole and as its class, and little else.
func TestGenerated(t *testing.T) {
	t.Parallel()
	e := engine(t, detect.Options{})
	type counts struct{ planted, found, right int }
	classes := map[string]*counts{}
	of := func(class string) *counts {
		if classes[class] == nil {
			classes[class] = &counts{}
		}
		return classes[class]
	}
	size := soak(t, 1<<20)
	clean, bytes := 0, 0
	for _, kind := range detecttest.Kinds {
		c := detecttest.Make(kind, 1, size, 0)
		bytes += len(c.Text)
		for _, f := range e.Scan(c.Text, nil) {
			clean++
			t.Logf("%s: %s in clean text: %q", c.Name, f.Class, c.Text[max(0, f.Start-20):min(len(c.Text), f.End+20)])
		}
		c = detecttest.Make(kind, 2, size, 0.5)
		planted := map[[2]int]string{}
		for _, p := range c.Planted {
			planted[[2]int{p.Start, p.End}] = p.Class
			of(p.Class).planted++
		}
		for _, f := range e.Scan(c.Text, nil) {
			of(string(f.Class)).found++
			if planted[[2]int{f.Start, f.End}] == string(f.Class) {
				of(string(f.Class)).right++
			}
		}
	}
	if most := max(2, bytes/10_000_000); clean > most {
		t.Errorf("%d findings in %d bytes of clean text, want at most %d", clean, bytes, most)
	}
	var all counts
	for class, n := range classes {
		all.planted, all.found, all.right = all.planted+n.planted, all.found+n.found, all.right+n.right
		if float64(n.right) < 0.99*float64(n.planted) {
			t.Errorf("%s: %d of %d planted were found", class, n.right, n.planted)
		}
	}
	if float64(all.right) < 0.98*float64(all.found) {
		t.Errorf("%d of %d findings are right", all.right, all.found)
	}
	t.Logf("%d bytes of clean text: %d findings. Planted %d, found %d, right %d", bytes, clean, all.planted, all.found, all.right)
}

// However generated text is cut into pieces, the same is found, with the model of names too.
func TestGeneratedInPieces(t *testing.T) {
	t.Parallel()
	model, err := names.Default()
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]struct {
		detect.Options
		size int
	}{"structured": {detect.Options{}, soak(t, 64<<10)}, "names": {detect.Options{Names: model}, soak(t, 16<<10)}} {
		e := engine(t, o.Options)
		for _, c := range detecttest.Corpora(3, o.size) {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				want := e.Scan(c.Text, nil)
				for _, piece := range []int{1, 7, 61, 1 << 10, 4093, 4096, 4097, 64 << 10, 1 << 20} {
					if got := inPieces(e, c.Text, piece); !slices.Equal(got, want) {
						t.Errorf("in pieces of %d: %s", piece, difference(want, got))
					}
				}
			})
		}
	}
}

func inPieces(e *detect.Engine, text []byte, size int) []detect.Finding {
	st := e.Stream()
	var out []detect.Finding
	for at := 0; at < len(text); at += size {
		out = st.Write(text[at:min(at+size, len(text))], out)
	}
	return st.Close(out)
}

// difference says where two lists begin to differ.
func difference(want, got []detect.Finding) string {
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			return fmt.Sprintf("%d and %d findings, from the %dth on: %v and %v", len(want), len(got), i, want[min(i, len(want)):min(i+1, len(want))], got[min(i, len(got)):min(i+1, len(got))])
		}
	}
	return "none"
}
