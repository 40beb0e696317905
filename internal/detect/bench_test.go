package detect_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/detect"
)

// texts are what the engine is measured on: rows of a database, logs and prose,
// with nothing to find (clean) or a value in about one line of eight (dense).
func texts(size int) map[string][]byte {
	all := map[string][]byte{}
	for name, line := range map[string]func(*strings.Builder, *rand.Rand, int){"rows": rowLine, "logs": logLine, "prose": proseLine} {
		for _, dense := range []bool{false, true} {
			random := rand.New(rand.NewPCG(1, 2))
			var b strings.Builder
			for i := 0; b.Len() < size; i++ {
				line(&b, random, i)
				if dense && random.IntN(8) == 0 {
					b.WriteString(planted[random.IntN(len(planted))])
				}
				b.WriteByte('\n')
			}
			kind := name + "/clean"
			if dense {
				kind = name + "/dense"
			}
			all[kind] = []byte(b.String())
		}
	}
	return all
}

var planted = []string{
	" bob@corp.example", " 4111 1111 1111 1111", " ssn 219-09-9999", " DE89370400440532013000", " +44 20 7946 0958", " 203.0.113.9",
	" AKIAIOSFODNN7EXAMPLE", " password=tr0ub4dor", " postgres://app:s3cr3t@db.example/x", " " + jwt,
}

const common = "the customer asked for a later delivery of his second order because our warehouse in the north had closed early that week and nobody could tell when it would open again so they agreed to send everything together with an invoice at no cost which pleased him very much indeed although some items were still missing from company records"

var commonWords = strings.Fields(common)

func rowLine(b *strings.Builder, r *rand.Rand, i int) {
	fmt.Fprintf(b, "%d|2026-%02d-%02dT%02d:%02d:%02dZ|order %d shipped|%s|%d.%02d|EUR|%t|item-%d of shelf %d|%s %s", 1000+i, 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60),
		r.IntN(999999), []string{"open", "closed", "in_transit"}[r.IntN(3)], r.IntN(900), r.IntN(100), r.IntN(2) == 0, r.IntN(5000), r.IntN(60),
		commonWords[r.IntN(len(commonWords))], commonWords[r.IntN(len(commonWords))])
}

func logLine(b *strings.Builder, r *rand.Rand, i int) {
	switch i % 3 {
	case 0:
		fmt.Fprintf(b, `{"time":"2026-11-%02dT%02d:%02d:%02d.%03dZ","level":"info","msg":"request done","method":"GET","path":"/api/v1/orders/%d","status":%d,"duration_ms":%d,"request_id":"%08x-%04x-%04x"}`,
			1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000), r.IntN(99999), 200+r.IntN(5), r.IntN(2000), r.Uint32(), r.IntN(65536), r.IntN(65536))
	case 1:
		fmt.Fprintf(b, `2026-11-%02d %02d:%02d:%02d,%03d INFO  [worker-%d] com.example.orders.Handler - processed %d items in %dms (queue=%s, retries=%d)`,
			1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000), r.IntN(16), r.IntN(500), r.IntN(900), commonWords[r.IntN(len(commonWords))], r.IntN(3))
	default:
		fmt.Fprintf(b, `level=debug ts=%d caller=cache/store.go:%d msg="evicted %d entries" key=%s/%s hit=%t`,
			1700000000+i, r.IntN(900), r.IntN(100), commonWords[r.IntN(len(commonWords))], commonWords[r.IntN(len(commonWords))], r.IntN(2) == 0)
	}
}

func proseLine(b *strings.Builder, r *rand.Rand, i int) {
	for range 12 + r.IntN(8) {
		b.WriteString(commonWords[r.IntN(len(commonWords))])
		switch r.IntN(14) {
		case 0:
			b.WriteString(", ")
		case 1:
			b.WriteString(". ")
		default:
			b.WriteByte(' ')
		}
	}
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

// BenchmarkScan measures each kind of text, and how much of the speed of
// bytes.IndexByte that is, and how many times that of the expressions.
func BenchmarkScan(b *testing.B) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		b.Fatal(err)
	}
	all := texts(1 << 20)
	var res []*regexp.Regexp
	for _, p := range patterns {
		res = append(res, regexp.MustCompile(p))
	}
	dst := make([]detect.Finding, 0, 1<<16)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text := all[name]
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
				from := cpu()
				for b.Loop() {
					run.scan()
				}
				each := (cpu() - from).Seconds() / float64(b.N)
				b.ReportMetric(float64(len(text))/1e6/each, "MB/cpu-s")
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
	text := texts(1 << 20)["rows/dense"]
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
