package detect_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/detect/detecttest"
)

// pieces scans text cut at the given offsets.
func pieces(e *detect.Engine, text string, cuts ...int) []detect.Finding {
	st := e.Stream()
	var out []detect.Finding
	at := 0
	for _, cut := range cuts {
		out = st.Write([]byte(text[at:cut]), out)
		at = cut
	}
	out = st.Write([]byte(text[at:]), out)
	return st.Close(out)
}

// corpus is every sample between filler, so that a cut meets every kind of candidate.
func corpus() string {
	var b strings.Builder
	for i, c := range append(append([]sample{}, positives...), negatives...) {
		b.WriteString([]string{" ", "\n", ", ", " and then some words "}[i%4])
		b.WriteString(c.Text)
	}
	b.WriteString(" bob%40corp.example ４111 1111 1111 1111 Ym9iQGNvcnAuZXhhbXBsZQ== 626f6240636f72702e6578616d706c65 eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHgg\nNDExMSAxMTEx\r\nIDExMTEgMTEx\\nMSBhbmQgbW9yZQ==")
	return b.String()
}

func TestStreamAtEveryOffset(t *testing.T) {
	e := engine(t, detect.Options{})
	long := strings.Repeat("x", 5000)
	for text, from := range map[string]int{corpus(): 0, long + corpus()[:200]: len(long) - 10} {
		want := e.ScanString(text, nil)
		for cut := from; cut <= len(text); cut++ {
			if diff := cmp.Diff(want, pieces(e, text, cut)); diff != "" {
				t.Fatalf("cut at %d (-whole +cut):\n%s", cut, diff)
			}
		}
		var every []int
		for i := range text {
			every = append(every, i)
		}
		if diff := cmp.Diff(want, pieces(e, text, every...)); diff != "" {
			t.Fatalf("in pieces of one byte (-whole +cut):\n%s", diff)
		}
	}
}

// soup draws text of parts that candidates are made of.
func soup() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.SampledFrom([]string{
			"bob@corp.example", "4111 1111 1111 1111", "219-09-9999", "DE89370400440532013000", "+44 20 7946 0958",
			"203.0.113.9", "2001:db8::1", "AKIAIOSFODNN7EXAMPLE", token, jwt, pemKey, "postgres://u:pw@h/x", "password=hunter2",
			"bob%40corp.example", `bob\u0040corp.example`, "４１１１", "1111", "\u200b", "%34", "%2540", "\x1b[1m", "\x1b[", "&commat;", "&amp;", "\\u{40}", "\\100", "=40", "4\u0336", "YgBvAGIAQABjAG8AcgBwAC4AZQB4AA", "é", "\xff", "\xe2\x80",
			"Ym9iQGNvcnAuZXhhbXBsZQ==", "card", "ssn ", "phone ", "@", ":", "=", "://", "-----", "-----BEGIN ", "eyJ", "&#64;", "\\", "'", "\"",
		}),
		rapid.StringMatching(`[a-z ]{1,12}`),
		rapid.StringMatching(`[0-9 .()+-]{1,20}`),
		rapid.StringMatching(`[A-Za-z0-9+/=_-]{1,80}`),
		rapid.StringN(1, 6, -1),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 12).Draw(t, "parts"), rapid.SampledFrom([]string{"", " ", "\n"}).Draw(t, "between"))
	})
}

func wellFormed(t interface{ Fatalf(string, ...any) }, text string, fs []detect.Finding) {
	end := 0
	for _, f := range fs {
		if f.Start < end || f.End <= f.Start || f.End > len(text) || !f.Class.Valid() || f.Score < 0.5 || f.Score > 1 {
			t.Fatalf("finding %v is empty, out of order or out of %d bytes", f, len(text))
		}
		end = f.End
	}
}

func TestStreamProperty(t *testing.T) {
	e := engine(t, detect.Options{})
	rapid.Check(t, func(t *rapid.T) {
		text := soup().Draw(t, "text")
		want := e.ScanString(text, nil)
		wellFormed(t, text, want)
		st := e.Stream()
		var got []detect.Finding
		for at := 0; at < len(text); {
			n := min(rapid.IntRange(1, 40).Draw(t, "n"), len(text)-at)
			known := len(got)
			before := st.Settled()
			got = st.Write([]byte(text[at:at+n]), got)
			at += n
			for _, f := range got[known:] {
				if int64(f.Start) < before {
					t.Fatalf("%v begins before %d, which was settled", f, before)
				}
			}
			if held := int64(at) - st.Settled(); held > 4096+512 {
				t.Fatalf("holds %d bytes back", held)
			}
		}
		got = st.Close(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-whole +stream):\n%s", diff)
		}
	})
}

// A stream of endless candidates stays bounded, in what it holds and in memory.
func TestStreamBounded(t *testing.T) {
	e := engine(t, detect.Options{})
	for _, unit := range []string{"A", "1", "1 ", "4111", "eyJa.", "a@", "%41", "%25", "\\u0041", "-----BEGIN PRIVATE KEY-----", "é", "１", "x=", "://a:", "password='", "aB3/", "\u200b", "+1", "a:", "&#"} {
		text := strings.Repeat(unit, 1+40000/len(unit))
		st := e.Stream()
		var got []detect.Finding
		for at := 0; at < len(text); at += 1000 {
			end := min(at+1000, len(text))
			got = st.Write([]byte(text[at:end]), got)
			if held := int64(end) - st.Settled(); held > 4096+512 {
				t.Fatalf("%q…: holds %d bytes back", unit, held)
			}
		}
		got = st.Close(got)
		if diff := cmp.Diff(e.ScanString(text, nil), got); diff != "" {
			t.Errorf("%q… (-whole +stream):\n%s", unit, diff)
		}
	}
}

// A line of 64 MB, in pieces of any size, takes no more memory than a short one,
// and what is planted in it is found.
func TestStreamOfOneLine(t *testing.T) {
	e := engine(t, detect.Options{})
	size := 64 << 20
	if testing.Short() {
		size = 4 << 20
	}
	line := bytes.ReplaceAll(detecttest.Make("logs", 5, 1<<20, 0.01).Text, []byte("\n"), []byte("; "))
	each := len(e.Scan(line, nil))
	for _, piece := range []int{1 << 10, 1 << 20} {
		st := e.Stream()
		var found []detect.Finding
		n := 0
		write := func(p []byte) {
			found = st.Write(p, found[:0])
			n += len(found)
		}
		write(line) // its buffers have their size now
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for done := len(line); done < size; done += len(line) {
			for at := 0; at < len(line); at += piece {
				write(line[at:min(at+piece, len(line))])
			}
			if held := int64(done+len(line)) - st.Settled(); held > 4096+512 {
				t.Fatalf("holds %d bytes back", held)
			}
		}
		runtime.ReadMemStats(&after)
		n += len(st.Close(nil))
		if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 8<<20 {
			t.Errorf("in pieces of %d: %d more bytes of memory", piece, grown)
		}
		if want := each * (size / len(line)); n < want*99/100 {
			t.Errorf("in pieces of %d: %d found, of about %d", piece, n, want)
		}
	}
}

// Prose passes a stream at once: only the last word is held.
func TestStreamHoldsLittle(t *testing.T) {
	st := engine(t, detect.Options{}).Stream()
	text := "the quick brown fox jumps over the lazy dog"
	st.Write([]byte(text), nil)
	if held := int64(len(text)) - st.Settled(); held > int64(len("dog")) {
		t.Errorf("holds %d bytes of prose", held)
	}
}

func FuzzScan(f *testing.F) {
	for _, c := range append(append([]sample{}, positives...), negatives...) {
		f.Add([]byte(c.Text))
	}
	f.Add([]byte(corpus()))
	e := engine(f, detect.Options{})
	f.Fuzz(func(t *testing.T, text []byte) {
		wellFormed(t, string(text), e.Scan(text, nil))
	})
}

func FuzzStream(f *testing.F) {
	for i, c := range positives {
		f.Add([]byte(c.Text), uint64(i))
	}
	f.Add([]byte(corpus()), uint64(7))
	e := engine(f, detect.Options{})
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		var cuts []int
		for at := 0; at < len(text); at += 1 + random.IntN(64) {
			cuts = append(cuts, at)
		}
		if diff := cmp.Diff(e.Scan(text, nil), pieces(e, string(text), cuts...)); diff != "" {
			t.Fatalf("(-whole +stream):\n%s", diff)
		}
	})
}
