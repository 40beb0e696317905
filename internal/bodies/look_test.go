package bodies

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const planted = "Ann <ann@example.com> wrote.\n"

// pad is text around a planted value that makes it longer than a first look.
var pad = strings.Repeat("nothing of note here.\n", 1000)

func through(t testing.TB, w func(io.Writer) io.WriteCloser, p []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	c := w(&out)
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gz(t testing.TB, p []byte) []byte {
	return through(t, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, p)
}

func zipped(t testing.TB, names []string, method uint16, p []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, n := range names {
		f, err := w.CreateHeader(&zip.FileHeader{Name: n, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write(p)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func tarred(t testing.TB, name string, p []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(p)), Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(p)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func utf16of(s string, big, mark bool) (out []byte) {
	if mark {
		s = "\ufeff" + s
	}
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return out
}

func form(t testing.TB, h textproto.MIMEHeader, p []byte) ([]byte, http.Header) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	f, err := w.CreatePart(h)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write(p)
	_ = w.Close()
	return out.Bytes(), http.Header{"Content-Type": {w.FormDataContentType()}}
}

func looked(t testing.TB, p []byte, h http.Header, step int) (map[string]int64, bool) {
	t.Helper()
	b := store(t, 1<<30, 1<<28).Body(readerFunc(func(to []byte) (int, error) {
		if len(p) == 0 {
			return 0, io.EOF
		}
		n := copy(to[:min(len(to), step)], p)
		p = p[n:]
		return n, nil
	}), -1)
	b.Headed(h)
	if err := b.Keep(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	return b.Found()
}

func TestFoundInWhateverItIsIn(t *testing.T) {
	long := []byte(pad + planted + pad)
	coding := func(c string) http.Header { return http.Header{"Content-Encoding": {c}} }
	file := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="f"; filename="x"`}}
	base := textproto.MIMEHeader{"Content-Transfer-Encoding": {"base64"}}
	plainForm, plainType := form(t, file, long)
	gzForm, gzType := form(t, file, gz(t, long))
	baseForm, baseType := form(t, base, []byte(base64.StdEncoding.EncodeToString(gz(t, long))))
	brotlied := through(t, func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) }, long)
	deflated := through(t, func(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 6); return f }, long)
	zlibbed := through(t, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, long)
	zstded := through(t, func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }, long)
	for name, c := range map[string]struct {
		body   []byte
		header http.Header
	}{
		"text":                {body: []byte(planted)},
		"long text":           {body: long},
		"gzip":                {body: gz(t, long)},
		"gzip, short":         {body: gz(t, []byte(planted))},
		"gzip twice":          {body: gz(t, gz(t, long))},
		"gzip by name":        {gz(t, long), coding("gzip")},
		"two codings":         {gz(t, brotlied), coding("br, gzip")},
		"gzip in two members": {body: append(gz(t, []byte(pad)), gz(t, []byte(planted))...)},
		"deflate":             {deflated, coding("deflate")},
		"zlib":                {zlibbed, coding("deflate")},
		"zlib without a word": {body: zlibbed},
		"br":                  {brotlied, coding("br")},
		"zstd":                {zstded, coding("zstd")},
		"zstd without a word": {body: zstded},
		"zip":                 {body: zipped(t, []string{"a.txt", "b/c.txt"}, zip.Deflate, long)},
		"zip's names":         {body: zipped(t, []string{"ann@example.com.txt"}, zip.Deflate, []byte(pad))},
		"tar":                 {body: tarred(t, "a.txt", long)},
		"tar.gz":              {body: gz(t, tarred(t, "a.txt", long))},
		"zip in zip":          {body: zipped(t, []string{"a.zip"}, zip.Deflate, zipped(t, []string{"b.txt"}, zip.Deflate, long))},
		"UTF-16LE":            {body: utf16of(string(long), false, true)},
		"UTF-16BE":            {body: utf16of(string(long), true, true)},
		"UTF-16 without mark": {body: utf16of(string(long), false, false)},
		"form":                {plainForm, plainType},
		"gzip in a form":      {gzForm, gzType},
		"base64 in a form":    {baseForm, baseType},
	} {
		for _, step := range []int{1, 7, 4096, 1 << 20} {
			found, unscanned := looked(t, c.body, c.header, step)
			if found["email"] == 0 || unscanned {
				t.Errorf("%s in pieces of %d: found %v, unscanned %v", name, step, found, unscanned)
			}
		}
	}
}

func TestWhatIsUnscanned(t *testing.T) {
	bomb := gz(t, bytes.Repeat([]byte("a"), 24<<20))
	encrypted := zipped(t, []string{"a"}, zip.Deflate, []byte(planted))
	encrypted[6] |= 1
	deep := []byte(planted)
	for range deepest + 1 {
		deep = gz(t, deep)
	}
	hidden := append(zipped(t, []string{"a"}, zip.Deflate, []byte(pad)), "and more"...)
	gap := zipped(t, []string{"a"}, zip.Deflate, []byte(pad))
	at := bytes.Index(gap, []byte("PK\x01\x02"))
	gap = append(append(bytes.Clone(gap[:at]), gz(t, []byte(planted))...), gap[at:]...)
	prefaced, typ := form(t, textproto.MIMEHeader{}, []byte("x"))
	prefaced = append(gz(t, []byte(planted)), prefaced...)
	for name, c := range map[string]struct {
		body   []byte
		header http.Header
	}{
		"a bomb":                    {body: bomb},
		"cut off":                   {body: gz(t, []byte(pad))[:50]},
		"something behind its end":  {body: append(gz(t, []byte(pad)), "more"...)},
		"encrypted":                 {body: encrypted},
		"too deep":                  {body: deep},
		"behind a zip":              {body: hidden},
		"between files of a zip":    {body: gap},
		"a coding nobody knows":     {[]byte(pad), http.Header{"Content-Encoding": {"compress"}}},
		"a coding that it isn't in": {[]byte(pad), http.Header{"Content-Encoding": {"gzip"}}},
		"binary":                    {body: bytes.Repeat([]byte{0, 1, 2, 200, 'a'}, 100)},
		"PDF":                       {body: []byte("%PDF-1.7\nx")},
		"before a form":             {prefaced, typ},
		"a form without a boundary": {[]byte(pad), http.Header{"Content-Type": {"multipart/form-data"}}},
	} {
		if _, unscanned := looked(t, c.body, c.header, 4096); !unscanned {
			t.Errorf("%s was scanned", name)
		}
	}
	for name, body := range map[string]string{"empty": "", "JSON": `{"a":"é"}`, "BZh": "BZhang wrote this", "x^2": "x^2 + 1", "latin-1": "caf\xe9 cr\xe8me"} {
		if found, unscanned := looked(t, []byte(body), nil, 4096); unscanned || found != nil {
			t.Errorf("%s: %v, unscanned %v", name, found, unscanned)
		}
	}
	s, err := NewStore(t.TempDir(), 1<<20, 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := s.Body(strings.NewReader("x"), 1)
	if err := b.Keep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, unscanned := b.Found(); !unscanned {
		t.Error("without an engine it was scanned")
	}
}

// A body that nobody reads to its end leaves no decoder behind, and says that it wasn't seen.
func TestGivenUpOn(t *testing.T) {
	for range 20 {
		b := store(t, 1<<30, 1<<28).Body(bytes.NewReader(zipped(t, []string{"a"}, zip.Deflate, gz(t, random(200<<10)))), -1)
		r, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 20<<10)); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil { // waits for the decoder
			t.Fatal(err)
		}
		if _, unscanned := b.Found(); !unscanned {
			t.Fatal("half a body was scanned in full")
		}
	}
}

func FuzzLook(f *testing.F) {
	long := []byte(strings.Repeat("x ", 300) + planted)
	gzForm, typ := form(f, textproto.MIMEHeader{"Content-Encoding": {"gzip"}}, gz(f, long))
	f.Add(gzForm, typ.Get("Content-Type"), "")
	for _, body := range [][]byte{long, gz(f, long), zipped(f, []string{"a", "b"}, zip.Deflate, long), zipped(f, []string{"a"}, zip.Store, long), tarred(f, "a", long), utf16of(string(long), true, true)} {
		f.Add(body, "", "")
		f.Add(body, "text/plain", "gzip, br")
		f.Add(body, "multipart/mixed; boundary=b", "zstd")
	}
	f.Add([]byte("BZh91AY&SY"), "", "deflate")
	f.Fuzz(func(t *testing.T, body []byte, typ, coding string) {
		h := http.Header{"Content-Type": {typ}, "Content-Encoding": {coding}}
		_, whole := looked(t, body, h, 1<<20)
		if _, cut := looked(t, body, h, 3); cut != whole {
			t.Fatalf("unscanned %v in pieces, and %v as a whole", cut, whole)
		}
	})
}
