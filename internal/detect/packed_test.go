package detect

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func packings(t testing.TB, text string) map[string]string {
	t.Helper()
	var g, z, s bytes.Buffer
	named := gzip.NewWriter(&g)
	named.Name, named.Extra = "customers.csv", []byte("some")
	zs, err := zstd.NewWriter(&s)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, w := range map[string]struct {
		io.WriteCloser
		b *bytes.Buffer
	}{"gzip": {named, &g}, "zlib": {zlib.NewWriter(&z), &z}, "zstd": {zs, &s}} {
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		out[name] = base64.StdEncoding.EncodeToString(w.b.Bytes())
	}
	return out
}

func TestPackedInText(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := "id,mail\n"
	for n := range 20 {
		text += fmt.Sprintf("%d,user%d@example.com\n", n, n*7919)
	}
	for name, packed := range packings(t, text) {
		for _, in := range []string{packed, `{"data":"` + packed + `"}`, "x " + packed + "\n", base64.StdEncoding.EncodeToString([]byte(packed))} {
			found := e.Scan([]byte(in), nil)
			run := strings.TrimRight(packed, "=")
			if strings.Contains(in, packed) && (len(found) != 1 || !strings.HasPrefix(in[found[0].Start:found[0].End], run)) || len(found) == 0 || found[0].Class != Email {
				t.Errorf("%s in %.12q…: found %v", name, in, found)
			}
			for cut := 1; cut < 40; cut += 13 {
				st := e.Stream()
				var got []Finding
				for p := []byte(in); len(p) > 0; p = p[min(cut, len(p)):] {
					got = st.Write(p[:min(cut, len(p))], got)
				}
				if got = st.Close(got); fmt.Sprint(got) != fmt.Sprint(found) {
					t.Errorf("%s in pieces of %d: found %v, and as a whole %v", name, cut, got, found)
				}
			}
		}
	}
	for name, packed := range packings(t, strings.Repeat("nothing of note. ", 50)) {
		if found := e.Scan([]byte(packed), nil); len(found) != 0 {
			t.Errorf("%s of clean text: found %v", name, found)
		}
	}
}

// TestABombInTextIsNotUnpacked holds the work of a few bytes to a multiple of them.
func TestABombInTextIsNotUnpacked(t *testing.T) {
	for name, packed := range packings(t, strings.Repeat("\x00", 1<<20)+"mira@example.com") {
		b, err := base64.StdEncoding.DecodeString(packed)
		if err != nil {
			t.Fatal(err)
		}
		u := unpackers.Get().(*unpacker)
		if n := len(u.unpack(b[:min(len(b), maxPacked)])); n > unpacks*len(b) {
			t.Errorf("%s: %d bytes became %d", name, len(b), n)
		}
	}
}

func FuzzPacked(f *testing.F) {
	for _, packed := range packings(f, "mira@example.com and 4111 1111 1111 1111") {
		f.Add([]byte(packed))
	}
	f.Add([]byte("H4sIAAAAAAAA/wAAAAAAAAAAAAAA"))
	e, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole := e.Scan(in, nil)
		st := e.Stream()
		var got []Finding
		for _, c := range in {
			got = st.Write([]byte{c}, got)
		}
		if got = st.Close(got); fmt.Sprint(got) != fmt.Sprint(whole) {
			t.Fatalf("in single bytes %v, as a whole %v", got, whole)
		}
	})
}
