package replay

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/policy"
)

// BenchmarkJSONLines is what reading the same facts as JSON lines and deciding them
// would take, on one core; BenchmarkFacts is the same from blocks, on one core.
func BenchmarkJSONLines(b *testing.B) {
	set, err := policy.Default(policy.Options{})
	if err != nil {
		b.Fatal(err)
	}
	h := newHistory(1)
	var lines bytes.Buffer
	const n = 20_000
	for i := range n {
		in := *h.next(time.UnixMilli(1.79e12 + int64(i)*100))
		in.Read = nil
		if err := json.NewEncoder(&lines).Encode(&in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(lines.Len())/n, "bytes/action")
	done := 0
	var d policy.Decision
	for b.Loop() {
		for dec := json.NewDecoder(bytes.NewReader(lines.Bytes())); dec.More(); done++ {
			var in policy.Input
			if err := dec.Decode(&in); err != nil {
				b.Fatal(err)
			}
			set.Decide(&in, &d)
		}
	}
	b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "actions/s")
}

func BenchmarkFacts(b *testing.B) {
	set, err := policy.Default(policy.Options{})
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := Generate(dir, 200_000, 1, time.UnixMilli(1.79e12), set, nil); err != nil {
		b.Fatal(err)
	}
	d, err := facts.OpenDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	done := int64(0)
	for b.Loop() {
		r, err := Run(b.Context(), Options{Facts: d, Policy: set, Workers: 1})
		if err != nil {
			b.Fatal(err)
		}
		done += r.Actions
	}
	b.ReportMetric(float64(d.Bytes)/200_000, "bytes/action")
	b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "actions/s")
}
