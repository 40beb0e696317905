package detect_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/detect/detecttest"
)

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

// BenchmarkScan measures each kind of text, and how much of the speed of
// bytes.IndexByte that is, and how many times that of the expressions.
func BenchmarkScan(b *testing.B) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var res []*regexp.Regexp
	for _, p := range patterns {
		res = append(res, regexp.MustCompile(p))
	}
	dst := make([]detect.Finding, 0, 1<<16)
	for _, corpus := range detecttest.Corpora(1, 1<<18) {
		name, text := corpus.Name, corpus.Text
		ours := 0.0
		for _, run := range []struct {
			name string
			scan func()
		}{
			{"assent", func() { dst = e.Scan(text, dst[:0]) }},
			{"each", func() { e.ScanEach(text) }},
			{"indexbyte", func() { bytes.IndexByte(text, 0xff) }},
			{"regexp", func() {
				for _, re := range res {
					re.FindAllIndex(text, -1)
				}
			}},
		} {
			b.Run(strings.ReplaceAll(name, "/", "-")+"/"+run.name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				from, best := cpu(), time.Hour
				for b.Loop() {
					began := time.Now()
					run.scan()
					best = min(best, time.Since(began))
				}
				each := (cpu() - from).Seconds() / float64(b.N)
				b.ReportMetric(float64(len(text))/1e6/each, "MB/cpu-s")
				b.ReportMetric(float64(len(text))/1e6/best.Seconds(), "MB/s-best")
				if run.name == "assent" {
					ours = each
				}
				b.ReportMetric(each/ours, "x-assent")
			})
		}
	}
}

func BenchmarkStream(b *testing.B) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		b.Fatal(err)
	}
	text := detecttest.Make("rows", 1, 1<<20, 0.01).Text
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
