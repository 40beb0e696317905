package names_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/names"
)

func model(t testing.TB) *names.Model {
	t.Helper()
	m, err := names.Default()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// marked writes what was found as «person:John Smith».
func marked(text string, spans []names.Span) string {
	kinds := [names.Kinds]string{"", "person", "place", "address", "organisation", "diagnosis", "drug"}
	var b strings.Builder
	at := 0
	for _, s := range spans {
		b.WriteString(text[at:s.Start] + "«" + kinds[s.Kind] + ":" + text[s.Start:s.End] + "»")
		at = s.End
	}
	return b.String() + text[at:]
}

func TestFind(t *testing.T) {
	m := model(t)
	for _, want := range []string{
		"The keys were left with «person:Margaret O'Connor» at noon.",
		"«person:Tomasz Wiśniewski» asked for the report.",
		"Please ship it to «address:14 Rosewood Avenue, Portland, OR 97205».",
		"Sie wohnt jetzt in «place:Hamburg».",
		"He has «diagnosis:type 2 diabetes» and takes «drug:metformin 500 mg» daily.",
		`{"name":"«person:Jos\u00e9 Garc\u00eda»","state":"active"}`,
		"Patient: «person:Hana Suzuki»\nDiagnosis: «diagnosis:Asthma»",
		// Nothing to find.
		"",
		"The server was restarted after the update.",
		"func (c *Client) Get(name string) (*Response, error) {",
		"2026-01-02T03:04:05Z INFO scheduler.main: queue drained, 17 jobs, 0 errors",
		"Reached target Graphical Interface.",
		"Content-Type: application/json; charset=utf-8",
	} {
		text := strings.NewReplacer("«person:", "", "«place:", "", "«address:", "", "«diagnosis:", "", "«drug:", "", "»", "").Replace(want)
		var mem names.Text
		if got := marked(text, m.All([]byte(text), &mem, nil)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	m := model(t)
	file, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := names.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if again.Version() != m.Version() {
		t.Errorf("written and read again it is version %s, was %s", again.Version(), m.Version())
	}
	if len(file) >= 2<<20 {
		t.Errorf("the model has %d bytes, more than 2 MiB", len(file))
	}
	for _, at := range []int{0, 5, 20, 60, len(file) / 2, len(file) - 1} {
		bad := bytes.Clone(file)
		bad[at] ^= 4
		if _, err := names.Load(bad); err == nil {
			t.Errorf("a model with byte %d changed was loaded", at)
		}
	}
	for _, n := range []int{0, 10, 40, len(file) - 1} {
		if _, err := names.Load(file[:n]); err == nil {
			t.Errorf("the first %d bytes of a model were loaded", n)
		}
	}
	if _, err := names.Load(append(bytes.Clone(file), 0)); err == nil {
		t.Error("a model with a byte more was loaded")
	}
}

// cuts are the segments of text as it arrives in pieces of n bytes.
func cuts(text []byte, n int) []string {
	var out []string
	var kept []byte
	for len(text) > 0 {
		some := text[:min(n, len(text))]
		text = text[len(some):]
		kept = append(kept, some...)
		for len(kept) > 0 {
			k := names.Segment(kept, len(text) == 0)
			if k == 0 {
				break
			}
			out = append(out, string(kept[:k]))
			kept = kept[k:]
		}
	}
	return out
}

func TestSegmentsAreTheSameHoweverTextIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "word ", "\n", "\r\n", "\n\n", "\r\n\r\n", strings.Repeat("x", 300), strings.Repeat("y z", 150), "é", "\xff", strings.Repeat("€", 200)}), 0, 40).Draw(t, "parts")
		text := []byte(strings.Join(parts, ""))
		want := cuts(text, max(1, len(text)))
		if joined := strings.Join(want, ""); joined != string(text) {
			t.Fatalf("the segments make %q of %q", joined, text)
		}
		n := rapid.IntRange(1, 700).Draw(t, "piece")
		if got := cuts(text, n); !slices.Equal(got, want) {
			t.Fatalf("in pieces of %d (-whole +pieces):\n%s", n, cmp.Diff(want, got))
		}
	})
}

func TestFindAllocatesNothing(t *testing.T) {
	m := model(t)
	var mem names.Text
	text := []byte("Patient John Smith of 12 Oak Street, Springfield was given ibuprofen 200 mg.\nBranka Šimić agreed.")
	dst := m.All(text, &mem, nil)
	if n := testing.AllocsPerRun(100, func() { dst = m.All(text, &mem, dst[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzFind(f *testing.F) {
	for _, s := range []string{"John Smith", "Dr. \\u00c9va\\n", "12 rue de la Paix\r\n\r\n75002 Paris", "佐藤健さん", "\xff\xfeA b", "Ａ İ ẞ ǅ \u0301", "it's O'", "{\"a\":\"B\"}", strings.Repeat("Ada ", 300)} {
		f.Add([]byte(s))
	}
	m := model(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		var mem names.Text
		spans := m.All(text, &mem, nil)
		end := 0
		for _, s := range spans {
			if s.Start < end || s.End <= s.Start || s.End > len(text) || s.Kind == names.None || s.Kind >= names.Kinds || s.Score < 0.5 || s.Score > 1 {
				t.Fatalf("span %+v after %d in %q", s, end, text)
			}
			end = s.End
		}
		if again := m.All(text, &mem, nil); !slices.Equal(again, spans) {
			t.Fatalf("the second time %v, the first %v", again, spans)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	m := model(b)
	for name, text := range map[string]string{
		"prose": strings.Repeat("The committee met on Tuesday to discuss the budget; nothing was decided, and everybody went home early. ", 40),
		"names": strings.Repeat("Yesterday Margaret Hill of 4 Park Lane, Leeds met John Okafor and took ibuprofen. ", 40),
		"code":  strings.Repeat("\tif err := s.Run(ctx, opts...); err != nil {\n\t\treturn fmt.Errorf(\"running: %w\", err)\n\t}\n", 40),
		"rows":  strings.Repeat("184467,2026-11-02,active,13.50,usd,pending,blue,north\n", 80),
	} {
		b.Run(name, func(b *testing.B) {
			var mem names.Text
			var dst []names.Span
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				dst = m.All([]byte(text), &mem, dst[:0])
			}
		})
	}
}

// An escaped digit once was read for ever.
func TestEscapedDigits(t *testing.T) {
	m, err := names.Default()
	if err != nil {
		t.Fatal(err)
	}
	var text names.Text
	m.Find([]byte(`{"name":"s\u0031\u0039 Anna \uff11"}`), &text, nil)
	if text.Len() > 40 {
		t.Errorf("%d tokens", text.Len())
	}
}
