package controls

import (
	"bytes"
	"compress/zlib"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/audit"
)

// drawn is what the pages of a PDF draw: its streams, unpacked.
func drawn(t *testing.T, pdf []byte) (out string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?s)stream\r?\n(.*?)\r?\nendstream`).FindAllSubmatch(pdf, -1) {
		z, err := zlib.NewReader(bytes.NewReader(m[1]))
		if err != nil {
			continue // not packed
		}
		b, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		out += string(b)
	}
	return out
}

// Hostile text is drawn as text: it ends no string, adds no action and no page; letters that the fonts lack are numbers.
func TestThePDFIsHarmless(t *testing.T) {
	hostile := []string{
		`) Tj ET /OpenAction << /S /JavaScript /JS (app.alert(1)) >> (`, `\) \\) x`, "endstream endobj 1 0 obj << /Type /Catalog >>", "line\nbreak\r\x00\x1b[2J",
		"日本語 Привет", "Grüße, façade – “so” €", "turned\u202eround", "\xff\xfe", strings.Repeat("wide ", 3000), strings.Repeat("w", 3000),
	}
	k := newLog(t)
	for _, s := range hostile {
		k.add("", audit.Record{Type: audit.TypeAlarm, Actor: s, Person: s, Resource: s, Approval: s, Detail: map[string]string{"what": s}})
		r := request("review", s)
		k.add("", r)
		k.add("", review("person:ana", s))
	}
	r := k.check()
	r.Source, r.Verified = hostile[0], hostile
	pdf, err := r.PDF(later, hostile[4])
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.PDF(later, hostile[4])
	if err != nil || !bytes.Equal(pdf, again) {
		t.Errorf("the same result gives other bytes (%v)", err)
	}
	text := drawn(t, pdf)
	for _, want := range []string{`\) Tj ET /OpenAction`, `\\u{65e5}\\u{672c}`, `\\u{41f}`, "Gr\xfc\xdfe, fa\xe7ade \x96 \x93so\x94 \x80", "CC6.1", "own-review"} {
		if !strings.Contains(text, want) {
			t.Errorf("it doesn't draw %q", want)
		}
	}
	// Outside of the strings nothing is anybody else's.
	bare := regexp.MustCompile(`\((?:[^()\\]|\\.)*\)`).ReplaceAllString(text, "")
	for _, never := range []string{"OpenAction", "JavaScript", "endobj", "wide"} {
		if strings.Contains(bare, never) {
			t.Errorf("%s stands outside of a string", never)
		}
	}
	for _, never := range []string{"/JavaScript", "/OpenAction", "/URI", "/Launch", "/Type /EmbeddedFile", "/JS"} {
		if bytes.Contains(pdf, []byte(never)) {
			t.Errorf("the file has %s", never)
		}
	}
	if n := bytes.Count(pdf, []byte("/Type /Catalog")); n != 1 {
		t.Errorf("%d catalogues", n)
	}
	if _, err := newLog(t).check().PDF(later, ""); err != nil {
		t.Error("of no record:", err)
	}
	if pdf, err := good(t).check().PDF(later, "v1"); err != nil || !strings.Contains(drawn(t, pdf), "no exception") {
		t.Error("of a good log:", err)
	}
}
