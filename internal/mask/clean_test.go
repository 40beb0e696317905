package mask

import (
	"bytes"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/detect"
)

// same masks the values one after the other in a column, once with the short way for values in
// which nothing can be, and once without: nothing may come of it.
func same(t *testing.T, s *Set, c Column, values [][]byte) {
	t.Helper()
	short, long := s.Rows([]Column{c}), s.Rows([]Column{c})
	long.cols[0].clean = false
	for _, v := range values {
		a, errA := short.Value(0, v)
		b, errB := long.Value(0, v)
		if !bytes.Equal(a, b) || (a == nil) != (b == nil) || (errA == nil) != (errB == nil) {
			t.Fatalf("type %d, binary %v: %q is shown as %q (%v), the long way as %q (%v)", c.Type, c.Binary, v, a, errA, b, errB)
		}
	}
	for class, n := range long.Counts() {
		if short.Counts()[class] != n {
			t.Fatalf("type %d, binary %v: %d of class %s masked, the long way %d", c.Type, c.Binary, short.Counts()[class], class, n)
		}
	}
}

func FuzzCleanValues(f *testing.F) {
	for _, oid := range []uint32{25, 23, 1700, 3802, 114, 17, 600, 2249, 2950, 1184, 16400, 1009, 0} {
		for _, v := range []string{"4711", "item 12|bob@corp.example|blue", "4111111111111111", `{"password":"x"}`, "{a,b}", "\x01{}", "\x00\x00\x12\x67"} {
			f.Add(oid, false, []byte(v))
			f.Add(oid, true, []byte(v))
		}
	}
	engine, err := detect.New(detect.Options{})
	if err != nil {
		f.Fatal(err)
	}
	m := New([]byte("k"), engine)
	f.Fuzz(func(t *testing.T, oid uint32, isBinary bool, v []byte) {
		for _, method := range []string{Redact, Partial} {
			s := m.For("a", map[string]string{"pii": method, "secret": method, "pci": method})
			same(t, s, Column{Name: "x", Type: oid, Binary: isBinary}, append(bytes.Split(v, []byte("|")), v))
		}
	})
}

// A known column's values are masked as one value is, and counted.
func TestKnownColumn(t *testing.T) {
	engine, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := New([]byte("k"), engine)
	values := []string{"bob@corp.example", "a@b@c", "", "@x", "4111 1111 1111 1111", "4111-x", "219-09-9999", "+44 20 7946 0958", "GB29 NWBK 6016 1331 9268 19", strings.Repeat("9", 70), "bob@" + strings.Repeat("x", 3*maxShown)}
	for _, class := range detect.Classes() {
		for _, method := range []string{Redact, Hash, Token, Format, Partial} {
			s := m.For("a", map[string]string{string(class): method})
			r := s.Rows([]Column{{Name: "x", Type: 25}})
			r.learn(&r.cols[0], class)
			for _, v := range values {
				out, err := r.Value(0, []byte(v))
				rule := s.rules[class]
				if want := rule.value(class, []byte(v)); err != nil || string(out) != want {
					t.Errorf("%s, %s: %q, %v; want %q", class, method, out, err, want)
				}
			}
			if n := r.Counts()[string(class)]; n != int64(len(values)) {
				t.Errorf("%s, %s: %d counted of %d", class, method, n, len(values))
			}
			if cap(r.shown) > maxShown {
				t.Errorf("%s, %s: %d bytes are kept", class, method, cap(r.shown))
			}
		}
	}
}
