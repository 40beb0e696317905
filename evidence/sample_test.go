package evidence_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/assenthq/assent/evidence"
)

// Python draws what we draw, from the file alone, as docs/evidence.md shows it.
func TestSampleIsWhatAnybodyDraws(t *testing.T) {
	m := newMaker(t, 300)
	b := m.write(plan{first: 9, end: 290, size: 300, since: 10, until: 289, earlier: []int{0}, hide: func(i int) bool { return i%7 == 3 && i != 9 && i != 289 }})
	doc, err := os.ReadFile("../docs/evidence.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, ok := strings.Cut(string(doc), "```python\n")
	program, _, closed := strings.Cut(program, "```")
	if !ok || !closed {
		t.Fatal("docs/evidence.md shows no program that draws")
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/q3.zip", b, 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("python3", "-c", program)
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	x, err := evidence.OpenBundle(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := x.Sample("2026-Q3 Mueller", 25, func(leaf []byte) bool { return bytes.Contains(leaf, []byte(`"type":"request"`)) })
	if err != nil {
		t.Fatal(err)
	}
	var ours strings.Builder
	fmt.Fprintln(&ours, s.Population)
	for _, d := range s.Drawn {
		var r struct{ Index int64 }
		if err := json.Unmarshal(d.Leaf, &r); err != nil || r.Index != d.Index {
			t.Errorf("record %d is drawn as %d", r.Index, d.Index)
		}
		fmt.Fprintln(&ours, d.Index)
	}
	if len(s.Drawn) != 25 || s.Population != 241 || ours.String() != string(out) {
		t.Errorf("of %d: we drew\n%s\nPython drew\n%s", s.Population, ours.String(), out)
	}
	for _, size := range []int{0, 1, 241, 1000} {
		if s, err := x.Sample("x", size, func([]byte) bool { return true }); err != nil || len(s.Drawn) != min(size, 241) {
			t.Errorf("%d of %d: %d, %v", size, s.Population, len(s.Drawn), err)
		}
	}
}
