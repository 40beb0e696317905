package sql

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/golden.jsonl anew")

// golden is one line of golden.jsonl.
type golden struct {
	Text   string
	Spans  []string
	Result *Result
}

// Both builds of the parser, and every version of this package, say the same of
// every text. Run it with CGO_ENABLED=1 and 0; -update writes the file.
func TestGolden(t *testing.T) {
	const file = "testdata/golden.jsonl"
	c := New(Options{CacheEntries: -1})
	var out bytes.Buffer
	for _, text := range texts(t) {
		r := c.Classify(text, State{ServerVersion: 150018})
		g := golden{Text: text, Result: r}
		for i := range r.Statements {
			g.Spans = append(g.Spans, r.Statements[i].Text(text))
		}
		if err := json.NewEncoder(&out).Encode(g); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, b := bufio.NewScanner(bytes.NewReader(want)), bufio.NewScanner(&out)
	a.Buffer(nil, 1<<20)
	b.Buffer(nil, 1<<20)
	for n := 1; ; n++ {
		moreA, moreB := a.Scan(), b.Scan()
		if diff := cmp.Diff(a.Text(), b.Text()); diff != "" {
			t.Errorf("line %d (-golden +got):\n%s", n, diff)
		}
		if !moreA || !moreB {
			return
		}
	}
}
