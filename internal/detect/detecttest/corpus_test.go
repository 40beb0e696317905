package detecttest_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/assenthq/assent/internal/detect/detecttest"
)

// The same seed gives the same bytes, and what is said to be planted is there.
func TestCorpora(t *testing.T) {
	const size = 200_000
	all, again, other := detecttest.Corpora(1, size), detecttest.Corpora(1, size), detecttest.Corpora(2, size)
	classes := map[string]int{}
	for i, c := range all {
		if !bytes.Equal(c.Text, again[i].Text) || bytes.Equal(c.Text, other[i].Text) {
			t.Errorf("%s: another text for the same seed, or the same for another", c.Name)
		}
		if len(c.Text) < size || len(c.Text) > size+8192 {
			t.Errorf("%s has %d bytes", c.Name, len(c.Text))
		}
		lines := bytes.Count(c.Text, []byte("\n"))
		want := 0.0
		if i%2 == 1 {
			want = float64(lines) / 100
		}
		if n := float64(len(c.Planted)); math.Abs(n-want) > 5*math.Sqrt(want+1)+5*want/100 {
			t.Errorf("%s: %v values in %d lines", c.Name, n, lines)
		}
		end := 0
		for _, p := range c.Planted {
			if p.Start < end || p.End > len(c.Text) || p.Start >= p.End || bytes.ContainsRune(c.Text[p.Start:p.End], '\n') {
				t.Fatalf("%s: %+v after %d", c.Name, p, end)
			}
			end = p.End
			classes[p.Class]++
		}
	}
	dense := detecttest.Make("logs", 3, size, 1)
	for _, p := range dense.Planted {
		classes[p.Class]++
	}
	if len(classes) < 25 {
		t.Errorf("%d classes were planted", len(classes))
	}
}
