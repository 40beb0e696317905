package mask

import (
	"bytes"
	"testing"

	"github.com/assenthq/assent/internal/detect"
)

// However text is cut, what comes out is what would come out of the whole.
func TestWriterMasksThroughEveryCut(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set := New(nil, e).For("", map[string]string{"pii": Redact, "pci": Partial, "secret": Redact})
	text := []byte("Ann <ann@example.com> paid by 4111 1111 1111 1111.\n-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq\nabc\n-----END RSA PRIVATE KEY-----\nplain words, and bob@example.org")
	want := set.Text(text)
	if bytes.Contains(want, []byte("ann@")) || bytes.Contains(want, []byte("MIIE")) {
		t.Fatalf("the whole is not masked: %s", want)
	}
	for first := range len(text) + 1 {
		for _, step := range []int{1, 7, len(text)} {
			var out bytes.Buffer
			w := set.Writer(&out)
			rest := text[first:]
			if _, err := w.Write(text[:first]); err != nil {
				t.Fatal(err)
			}
			for len(rest) > 0 {
				n := min(step, len(rest))
				if _, err := w.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := w.Close(); err != nil || w.Kept() {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Fatalf("cut at %d, then by %d:\n%s\nwant\n%s", first, step, out.Bytes(), want)
			}
		}
	}
	if set := New(nil, e).For("", nil); set != nil {
		var out bytes.Buffer
		w := set.Writer(&out)
		_, _ = w.Write(text)
		if err := w.Close(); err != nil || !bytes.Equal(out.Bytes(), text) {
			t.Errorf("without masks: %q, %v", out.Bytes(), err)
		}
	}
}

// A filler finds what a writer finds, through every cut, and nothing moves.
func TestFillerKeepsLengths(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set := New(nil, e).For("", map[string]string{"email": Redact})
	text := []byte("to ann@example.com, card 4111 1111 1111 1111, b\\u0040 bob\\u0040example.org.")
	const want = "to ***************, card 4111 1111 1111 1111, b\\u0040 ********************."
	for cut := range len(text) + 1 {
		var out bytes.Buffer
		w := set.Filler(&out)
		for _, piece := range [][]byte{text[:cut], text[cut:]} {
			if _, err := w.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil || out.String() != want || w.Counts()["email"] != 2 {
			t.Fatalf("cut at %d: %s, %v, %v", cut, out.String(), w.Counts(), err)
		}
	}
}

func TestClear(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := New(nil, e)
	set := m.For("", map[string]string{"sensitive": Redact, "card": Redact})
	for _, c := range []struct {
		name, value string
		clear       bool
	}{
		{"note", "hello", true}, {"password", "hello", false}, {"", "hello", true}, {"note", "a@b.cc", true}, {"note", "4111111111111111", false}, {"note", "2026-11-22", true}, {"card_number", "x", false}, {"password_count", "3", true}, {"email", "x", true},
	} {
		if got := set.Clear(c.name, []byte(c.value)); got != c.clear {
			t.Errorf("%s %q: %v", c.name, c.value, got)
		}
	}
	if set.Bare() || !m.For("", nil).Bare() || !m.For("", nil).Clear("password", []byte("a@b.cc")) {
		t.Error("what masks nothing isn't told from what masks")
	}
}
