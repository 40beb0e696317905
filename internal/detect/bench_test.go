package detect_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/detect"
)

// rows is text as a database returns it: log lines, prose and rows, with a value
// to find in about one line of thirty.
func rows(size int) []byte {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%d|2026-11-%02dT08:%02d:%02dZ|order %d shipped from warehouse %d, total %d.%02d EUR, note: the customer asked for a later delivery\n",
			1000+i, 1+i%28, i%60, i%59, i*7919%1000003, i%17, i%900, i%100)
		switch i % 90 {
		case 10:
			fmt.Fprintf(&b, "contact user%d@mail.example about it\n", i)
		case 40:
			b.WriteString("paid with 4111 1111 1111 1111\n")
		case 70:
			b.WriteString("from 203.0.113.9 with AKIAIOSFODNN7EXAMPLE\n")
		}
	}
	return []byte(b.String())
}

// patterns are the same classes as regular expressions of the standard library,
// without validators, so they do less.
var patterns = []string{
	`[\w.%+-]+@[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}`,
	`\b(?:\d[ -]?){13,19}\b`,
	`\b\d{3}-\d{2}-\d{4}\b`,
	`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b`,
	`(?:\+\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b`,
	`\b(?:\d{1,3}\.){3}\d{1,3}\b`,
	`\b(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}\b`,
	`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`,
	`\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{82}\b`,
	`\beyJ[\w-]+\.[\w-]+\.[\w-]*`,
	`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END`,
	`://[^\s:/@]+:([^\s@]+)@`,
	`(?i)(?:password|passwd|pwd)\s*[=:]\s*\S+`,
}

func BenchmarkScan(b *testing.B) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		b.Fatal(err)
	}
	text := rows(1 << 20)
	var res []*regexp.Regexp
	for _, p := range patterns {
		res = append(res, regexp.MustCompile(p))
	}
	perByte := map[string]float64{}
	run := func(name string, scan func()) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				scan()
			}
			perByte[name] = b.Elapsed().Seconds() / float64(b.N) / float64(len(text))
			if ours, ok := perByte["assent"]; ok && name != "assent" {
				b.ReportMetric(perByte[name]/ours, "x-slower-than-assent")
			}
		})
	}
	dst := make([]detect.Finding, 0, 4096)
	run("assent", func() { dst = e.Scan(text, dst[:0]) })
	run("regexp", func() {
		for _, re := range res {
			re.FindAllIndex(text, -1)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		b.Fatal(err)
	}
	text := rows(1 << 20)
	for _, chunk := range []int{256, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("chunk=%d", chunk), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			dst := make([]detect.Finding, 0, 4096)
			for b.Loop() {
				st := e.Stream()
				out := dst
				for at := 0; at < len(text); at += chunk {
					out = st.Write(text[at:min(at+chunk, len(text))], out)
				}
				st.Close(out)
			}
		})
	}
}

// BenchmarkWorst scans what a hostile client would send: endless candidates.
func BenchmarkWorst(b *testing.B) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, unit := range []string{"a@", "1 ", "%41", "%25", "\\u0041", "eyJa.", "://a:", "password='", "aB3/", "１", "a:", "=", "fe80:", "aGVsbG8g", "+1", "GB29 NWBK 6016 ", "-----BEGIN PRIVATE KEY-----", "415-555-2671 "} {
		text := []byte(strings.Repeat(unit, 1+(1<<18)/len(unit)))
		b.Run(fmt.Sprintf("%q", unit), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			var dst []detect.Finding
			for b.Loop() {
				dst = e.Scan(text, dst[:0])
			}
		})
	}
}
