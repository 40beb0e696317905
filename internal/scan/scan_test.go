package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/assenthq/assent/internal/detect"
)

const (
	card  = "4111 1111 1111 1111"
	email = "mira@example.com"
)

// taken is a sink that remembers.
type taken struct {
	found []Finding
	notes []Note
}

func (t *taken) Finding(f *Finding) error { t.found = append(t.found, *f); return nil }
func (t *taken) Note(n *Note) error       { t.notes = append(t.notes, *n); return nil }

// lines are the findings as file:line:col class.
func (t *taken) lines() (out []string) {
	for _, f := range t.found {
		out = append(out, fmt.Sprintf("%s:%d:%d %s", f.File, f.Line, f.Col, f.Class))
	}
	return out
}

func (t *taken) lost() (out []string) {
	for _, n := range t.notes {
		if n.Lost {
			out = append(out, n.File+": "+n.Why)
		}
	}
	return out
}

func newScanner(t testing.TB, o Options) *Scanner {
	t.Helper()
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.Engine = e
	if o.Min == 0 {
		o.Min = 0.5
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read scans one text under a name.
func read(t testing.TB, o Options, name string, r io.Reader) *taken {
	t.Helper()
	var out taken
	if _, err := newScanner(t, o).Reader(t.Context(), name, r, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

func packed(t testing.TB, w io.WriteCloser, b *bytes.Buffer, p []byte) []byte {
	t.Helper()
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, p []byte) []byte {
	var b bytes.Buffer
	return packed(t, gzip.NewWriter(&b), &b, p)
}

func zipped(t testing.TB, name string, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err == nil {
		_, err = w.Write(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t testing.TB, name string, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(p)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	return packed(t, w, &b, p)
}

func wide(s string) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func TestPlacesAndPacking(t *testing.T) {
	text := []byte("first\nünd " + card + "\n")
	var zs, br bytes.Buffer
	zw, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	in64 := []byte("x=" + base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte("mail to "+email+" now")))) + "\n")
	for _, tt := range []struct {
		name string
		in   []byte
		want []string
	}{
		{"a.log", text, []string{"a.log:2:5 card"}},
		{"crlf.log", []byte("a\r\n" + card + "\r\n"), []string{"crlf.log:2:1 card"}},
		{"invalid.log", []byte("\xff\xfe\xfd " + email + "\n"), []string{"invalid.log:1:5 email"}},
		{"wide.txt", wide("eins\nzwölf " + card), []string{"wide.txt:2:7 card"}},
		{"unmarked.txt", wide("eins\nzwei " + card)[2:], []string{"unmarked.txt:2:6 card"}},
		{"a.log.gz", gzipped(t, text), []string{"a.log.gz!a.log:2:5 card"}},
		{"a.log.zst", packed(t, zw, &zs, text), []string{"a.log.zst!a.log:2:5 card"}},
		{"a.log.br", packed(t, brotli.NewWriter(&br), &br, text), []string{"a.log.br!a.log:2:5 card"}},
		{"a.zip", zipped(t, "d/b.txt", text), []string{"a.zip!d/b.txt:2:5 card"}},
		{"a.tar", tarred(t, "b.txt", text), []string{"a.tar!b.txt:2:5 card"}},
		{"a.tar.gz", gzipped(t, tarred(t, "b.txt", text)), []string{"a.tar.gz!b.txt:2:5 card"}},
		{"deep.zip", zipped(t, "b.tar.gz", gzipped(t, tarred(t, "c.gz", gzipped(t, text)))), []string{"deep.zip!b.tar.gz!c.gz!c:2:5 card"}},
		{"b64.gz", gzipped(t, in64), []string{"b64.gz!b64:1:16 email"}},
		{"-", gzipped(t, text), []string{"-!-:2:5 card"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := read(t, Options{}, tt.name, bytes.NewReader(tt.in))
			if diff := cmp.Diff(tt.want, got.lines()); diff != "" || got.lost() != nil {
				t.Errorf("%s\nnotes: %v", diff, got.lost())
			}
		})
	}
}

func TestOffsetsOfUTF16AreOfTheFile(t *testing.T) {
	in := wide("😀ä\n" + email)
	got := read(t, Options{Reveal: true}, "a.txt", bytes.NewReader(in)).found
	if len(got) != 1 {
		t.Fatalf("found %d", len(got))
	}
	if part := string(in[got[0].Start:got[0].End]); part != string(wide(email)[2:]) {
		t.Errorf("[%d, %d) is something else", got[0].Start, got[0].End)
	}
}

func TestWhatIsNotSeenIsTold(t *testing.T) {
	four := gzipped(t, []byte(card))
	for range 3 {
		four = gzipped(t, zipped(t, "x", four))
	}
	again := []byte(card) // as in a file that unpacks to itself
	for range 40 {
		again = gzipped(t, again)
	}
	cut := gzipped(t, []byte(strings.Repeat("nothing here ", 5000)+card))
	encrypted := zipped(t, "x.txt", []byte(card))
	for _, sig := range []string{"PK\x03\x04", "PK\x01\x02"} {
		at := bytes.Index(encrypted, []byte(sig)) + 6
		if sig == "PK\x01\x02" {
			at += 2
		}
		encrypted[at] |= 1
	}
	for _, tt := range []struct {
		name, want string
		in         []byte
	}{
		{"four.gz", "3 deep", four},
		{"again.gz", "3 deep", again},
		{"cut.gz", "unexpected EOF", cut[:len(cut)-20]},
		{"damaged.gz", "gzip: invalid", append([]byte("\x1f\x8b\x08\xff\xff"), make([]byte, 40)...)},
		{"a.7z", "not known here", []byte("7z\xbc\xaf\x27\x1c\x00\x04rest")},
		{"a.zip", "encrypted", encrypted},
		{"bad.zip", "zip: not a valid zip file", []byte("PK\x03\x04 and nothing")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := read(t, Options{}, tt.name, bytes.NewReader(tt.in))
			if len(got.lost()) == 0 || !strings.Contains(strings.Join(got.lost(), "\n"), tt.want) {
				t.Errorf("notes %v, want one with %q", got.lost(), tt.want)
			}
		})
	}
}

// zeros is a gzip of n zeros' worth of lines.
func bomb(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	part := bytes.Repeat([]byte("lo\n"), 1<<18)
	for done := 0; done < n; done += len(part) {
		if _, err := z.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	return packed(t, z, &b, nil)
}

func TestBombs(t *testing.T) {
	in := bomb(t, 66<<20)
	for _, tt := range []struct {
		name string
		in   []byte
		o    Options
		lost bool
	}{
		{"bomb.gz", in, Options{}, true},
		{"bomb.gz", in, Options{Ratio: 5000}, false},
		{"bomb.zip", zipped(t, "inner.gz", in), Options{}, true},
	} {
		got := read(t, tt.o, tt.name, bytes.NewReader(tt.in))
		if (len(got.lost()) > 0) != tt.lost || tt.lost && !strings.Contains(got.lost()[0], "200 times its size") {
			t.Errorf("%s with %d: notes %v", tt.name, tt.o.Ratio, got.lost())
		}
	}
}

func TestNamesAreAPrior(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"a.csv", "id,ssn,note\n1,219099999,x\n2,\"219099998\",y\n3,,z\n4,n/a,z\n", []string{"a.csv:2:3 us-ssn", "a.csv:3:4 us-ssn"}},
		{"semi.csv", "id;card_number\n1;4111111111111112\n", []string{"semi.csv:2:3 card"}},
		{"a.tsv", "ssn\tx\n219099999\ty\n", []string{"a.tsv:2:1 us-ssn"}},
		{"bare.csv", "a,b\n1,219099999\n", nil},
		{"no.csv", "", nil},
		{"a.json", `{"user":{"ssn":219099999,"emails":["a@b.example"],"password_changed_at":"2024"},"api_key":["hunter2x9"]}`, []string{"a.json:1:16 us-ssn", "a.json:1:37 email", "a.json:1:93 sensitive"}},
		{"a.jsonl", "{\"ssn\":\"219099999\"}\n{\"x\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"y\":\"219099999\",\"z\":\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"}\n{\"ssn\":null}\n", []string{"a.jsonl:1:9 us-ssn"}},
		{"pg.sql", "--\n-- PostgreSQL database dump\n--\nCOPY public.customers (id, ssn, \"E-Mail\") FROM stdin;\n1\t219099999\tx\n2\t\\N\ty@z.example\n\\.\nSELECT 219099999;\n", []string{"pg.sql:5:3 us-ssn", "pg.sql:6:6 email"}},
		{"named.sql", "INSERT INTO c (id, \"ssn\", x) VALUES (1, '219099999', 'it''s'), (2, 219099998, NULL);", []string{"named.sql:1:42 us-ssn", "named.sql:1:68 us-ssn"}},
		{"made.sql", "CREATE TABLE public.c (\n  id integer NOT NULL DEFAULT nextval('s'::regclass),\n  ssn varchar(20),\n  CONSTRAINT k PRIMARY KEY (id)\n);\nINSERT INTO public.c VALUES (1, '219099999');\n", []string{"made.sql:6:34 us-ssn"}},
		{"my.sql", "CREATE TABLE `c` (`id` int, `ssn` text, KEY `k` (`id`));\nINSERT INTO `c` VALUES (1,'219099999'),(2,'a\\'b'),(3,'219099998');\n", []string{"my.sql:2:28 us-ssn", "my.sql:2:55 us-ssn"}},
		{"cast.sql", "insert into c (ssn, n) values ('219099999'::text, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 219099998);", []string{"cast.sql:1:33 us-ssn"}},
		{"dollar.sql", "CREATE FUNCTION f() AS $x$ insert into c (ssn) values ('1'); $x$;\ninsert into c (ssn) values ('219099999');", []string{"dollar.sql:2:30 us-ssn"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole := read(t, Options{}, tt.name, strings.NewReader(tt.in))
			if diff := cmp.Diff(tt.want, whole.lines()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEverySplitGivesTheSame scans texts in pieces of one byte and more, as a stream.
func TestEverySplitGivesTheSame(t *testing.T) {
	texts := map[Format]string{
		CSV:  "id,ssn,mail\n1,\"219099999\",mira@example.com\n2,219-09-9998,\"a\"\"b\"\n",
		JSON: `{"ssn":"219099999","a":[{"card_number":"4111111111111112"}],"b":"\u0041 mira@example.com"}`,
		SQL:  "INSERT INTO c (id, \"ssn\") VALUES (1, '219099999');\nCOPY c (id, ssn) FROM stdin;\n1\t219099999\n\\.\n",
		Text: "card 4111 1111 1111 1111 and mira@example.com, password=hunter2x\n",
	}
	s := newScanner(t, Options{})
	for f, in := range texts {
		want := cut(t, s, f, in, len(in))
		if len(want) == 0 {
			t.Errorf("%s: nothing found", f)
		}
		for n := range 40 {
			if diff := cmp.Diff(want, cut(t, s, f, in, n+1)); diff != "" {
				t.Errorf("%s in pieces of %d: %s", f, n+1, diff)
			}
		}
	}
}

// cut scans a text as a stream in pieces of n bytes.
func cut(t testing.TB, s *Scanner, f Format, in string, n int) []Finding {
	t.Helper()
	out := make(chan item, 1000)
	w := s.worker(&tally{})
	one := &w.one
	one.begin(t.Context(), w, "x", f, false, out)
	one.stream = s.o.Engine.Stream()
	for part := range slices.Chunk([]byte(in), max(n, 1)) {
		if err := one.write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	close(out)
	var found []Finding
	for it := range out {
		found = append(found, *it.finding)
	}
	return found
}

func TestATree(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/x.txt": email, "a/y.bin": "\x00\x01" + email, ".git/config": email, "b.log": "nothing", "vendor/z.txt": email, "c.txt": card,
	} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got taken
	sum, err := newScanner(t, Options{Ignore: []string{"vendor/"}}).Paths(t.Context(), []string{dir, filepath.Join(dir, "missing")}, &got)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, "a/x.txt") + ":1:1 email", filepath.Join(dir, "c.txt") + ":1:1 card"}
	if diff := cmp.Diff(want, got.lines()); diff != "" {
		t.Error(diff)
	}
	if sum.Binary != 1 || sum.Folders != 1 || sum.Ignored != 1 || sum.Lost != 1 || sum.Files != 3 || sum.Findings != 2 {
		t.Errorf("sum %+v", sum)
	}
	if lost := got.lost(); len(lost) != 1 || !strings.Contains(lost[0], "no such file") {
		t.Errorf("notes %v", lost)
	}
}

func TestTheBaselineHidesWhatItKnowsAndTellsNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "known.json")
	prints, err := NewPrints([]byte("0123456789abcdef"), file)
	if err != nil {
		t.Fatal(err)
	}
	first := read(t, Options{Prints: prints}, filepath.Join(dir, "a.log"), strings.NewReader(card))
	for i := range first.found {
		prints.Take(&first.found[i])
	}
	if n, err := prints.Save(file); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if b, err := os.ReadFile(file); err != nil || bytes.Contains(b, []byte("1111")) {
		t.Errorf("the baseline has the value, or %v", err)
	}
	again, err := NewPrints([]byte("0123456789abcdef"), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Load(file); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, in string
		known    bool
	}{{"a.log", "moved " + card, true}, {"b.log", card, false}, {"a.log", email, false}} {
		got := read(t, Options{Prints: again}, filepath.Join(dir, tt.name), strings.NewReader(tt.in))
		if len(got.found) != 1 || got.found[0].Known != tt.known {
			t.Errorf("%s: %+v", tt.name, got.found)
		}
	}
	other, err := NewPrints([]byte("another key, long"), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Load(file); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("another key: %v", err)
	}
}

// endless is a line of n bytes without an end, with a value now and then.
type endless struct{ n, at int64 }

func (e *endless) Read(p []byte) (int, error) {
	const unit = "some words of no meaning and then mira@example.com once more, "
	if e.at >= e.n {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && e.at < e.n {
		k := copy(p[n:], unit[e.at%int64(len(unit)):])
		n, e.at = n+k, e.at+int64(k)
	}
	return n, nil
}

func TestALongLineTakesNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 64 MiB")
	}
	for _, f := range []Format{Text, JSON, CSV, SQL} {
		s := newScanner(t, Options{Format: f})
		w := s.worker(&tally{})
		out := make(chan item, 1)
		done := make(chan int)
		go func() {
			n := 0
			for range out {
				n++
			}
			done <- n
		}()
		w.ctx, w.out = t.Context(), out
		w.file(level{name: "x", explicit: true}, io.MultiReader(strings.NewReader(`{"a":"'`), &endless{n: 6 << 20}), nil, -1)
		close(out)
		if n := <-done; n < 80000 {
			t.Errorf("%s: found %d", f, n)
		}
		if c := cap(w.one.win.buf); c > 8<<20 {
			t.Errorf("%s: kept %d bytes", f, c)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add("a.csv", []byte("id,ssn\n1,\"219099999\n"))
	f.Add("a.json", []byte(`[{"ssn":["219099999",{}]},}`))
	f.Add("a.sql", []byte("COPY c (ssn) FROM stdin;\n1\t2\n\\.\nINSERT INTO c VALUES ('1'::x, $a$ ' $a$);"))
	f.Add("a.gz", gzipped(f, []byte(card)))
	f.Add("a.zip", zipped(f, "x", []byte(card)))
	f.Add("a.tar", tarred(f, "x", []byte(card)))
	f.Add("a.txt", wide("x\n"+card))
	f.Fuzz(func(t *testing.T, name string, in []byte) {
		if strings.Contains(name, "!") {
			return
		}
		got := read(t, Options{Reveal: true}, name, bytes.NewReader(in))
		for _, f := range got.found {
			if f.Start >= f.End || f.Line < 1 || f.Col < 1 || !strings.Contains(f.File, "!") && f.End > int64(len(in)) {
				t.Fatalf("finding %+v", f)
			}
		}
		for _, form := range []Format{CSV, JSON, SQL} {
			s := newScanner(t, Options{})
			if diff := cmp.Diff(cut(t, s, form, string(in), len(in)), cut(t, s, form, string(in), 3)); diff != "" {
				t.Fatalf("%s: cut it is something else: %s", form, diff)
			}
		}
	})
}

func TestHunks(t *testing.T) {
	diff := "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1 @@ f()\n-a\n-b\n+@@ -9 +9 @@\n@@ -5,0 +5,3 @@\n+x\n+y\n+z\n@@ -7 +8,0 @@\n-q\n\\ No newline at end of file\n"
	want := []lines{{1, 1}, {5, 7}}
	if got := hunks([]byte(diff)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := hunks([]byte("Binary files a/x and b/x differ\n")); got != nil {
		t.Errorf("a diff of bytes has lines %v", got)
	}
}

func FuzzHunks(f *testing.F) {
	f.Add([]byte("@@ -1,2 +1 @@\n-a\n-b\n+c\n@@ -5,0 +5,3 @@ @@ -1 +1 @@\n+"))
	f.Fuzz(func(_ *testing.T, diff []byte) { hunks(diff) })
}
