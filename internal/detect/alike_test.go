package detect_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/detect"
)

// alikeIsFind fails where FindAlike finds something else than Scan does.
func alikeIsFind(t interface{ Fatalf(string, ...any) }, e *detect.Engine, a *detect.Alike, text string) {
	f := e.FindAlike([]byte(text), a)
	defer f.Free()
	want := e.ScanString(text, nil)
	if len(want) == 0 && len(f.List) == 0 {
		return
	}
	if diff := cmp.Diff(want, f.List); diff != "" {
		t.Fatalf("%q (-whole +alike):\n%s", text, diff)
	}
}

// Whatever two texts have in common, wherever they part.
func TestAlikeAtEveryOffset(t *testing.T) {
	e := engine(t, detect.Options{})
	for _, c := range append(append([]sample{}, positives...), negatives...) {
		text := "SELECT note FROM things WHERE kind = " + c.Text
		if len(text) > 300 {
			text = text[:300]
		}
		for cut := range len(text) {
			for _, other := range []string{"", "\x00", "zz zz", "'x", "0000"} {
				var a detect.Alike
				alikeIsFind(t, e, &a, text[:cut]+"~")
				alikeIsFind(t, e, &a, text[:cut]+other) // learns
				alikeIsFind(t, e, &a, text)             // goes on from there
				alikeIsFind(t, e, &a, text[:cut])
			}
		}
	}
}

func TestAlikeProperty(t *testing.T) {
	e := engine(t, detect.Options{})
	rapid.Check(t, func(t *rapid.T) {
		var a detect.Alike
		head := rapid.OneOf(soup(), nearly(), rapid.Just("UPDATE accounts SET balance = 12 WHERE card = ")).Draw(t, "head")
		if rapid.Bool().Draw(t, "long") {
			head += strings.Repeat("some words of a statement ", rapid.IntRange(1, 200).Draw(t, "times"))
		}
		for range 6 {
			begin := head[:rapid.IntRange(0, len(head)).Draw(t, "cut")]
			if rapid.Bool().Draw(t, "all") {
				begin = head
			}
			alikeIsFind(t, e, &a, begin+rapid.OneOf(soup(), nearly()).Draw(t, "rest"))
		}
	})
}

func FuzzAlike(f *testing.F) {
	for _, c := range append(append([]sample{}, positives...), negatives...) {
		f.Add("SELECT note FROM things WHERE kind = ", c.Text, "5")
		f.Add(c.Text, c.Text, "")
	}
	e := engine(f, detect.Options{})
	f.Fuzz(func(t *testing.T, head, one, other string) {
		var a detect.Alike
		for _, rest := range []string{one, other, one, other + one, ""} {
			alikeIsFind(t, e, &a, head+rest)
		}
	})
}

func BenchmarkAlike(b *testing.B) {
	e := engine(b, detect.Options{})
	texts := [][]byte{
		[]byte("SELECT abalance FROM pgbench_accounts WHERE aid = $1;\n-- $1 = \"196191\""),
		[]byte("SELECT abalance FROM pgbench_accounts WHERE aid = $1;\n-- $1 = \"80413\""),
	}
	b.Run("find", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			e.Find(texts[i%2]).Free()
		}
	})
	b.Run("alike", func(b *testing.B) {
		var a detect.Alike
		for i := 0; b.Loop(); i++ {
			e.FindAlike(texts[i%2], &a).Free()
		}
	})
}
