package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
)

// event is a record of some 700 bytes.
func event() *audit.Record {
	return &audit.Record{
		Type: audit.TypeRequest, Actor: "agent:nightly-exporter", Subject: "person:bea",
		Chain: []string{"agent:nightly-exporter", "service:scheduler"}, Gate: "orders-db", Session: "ses_0123456789",
		Resource: "postgres:shop/prod/orders", Env: "production", Kinds: []string{"data.read"}, Verb: "select",
		Target: "public.orders", Title: "Read orders", Shape: "8f14e45fceea167a", Digest: "sha256:" + strings.Repeat("ab", 32),
		Decision: "allow", Rules: []string{"starter/reads"}, Policy: "sha256:" + strings.Repeat("cd", 32),
		Detail: map[string]string{"columns": "id, total, created_at, state, customer"},
	}
}

// BenchmarkSpool tells durable appends a second, and their ratio to what the
// same disk does in bare write and fdatasync of the same size, measured around it.
func BenchmarkSpool(b *testing.B) {
	for _, writers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			before := rawRate(b)
			s, err := audit.OpenSpool(audit.SpoolOptions{Dir: b.TempDir(), Node: "n1"})
			if err != nil {
				b.Fatal(err)
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := s.AppendSync(context.Background(), event()); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			rate := float64(b.N) / b.Elapsed().Seconds()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(rate, "records/s")
			b.ReportMetric(rate*2/(before+rawRate(b)), "x-raw")
		})
	}
}

// BenchmarkSpoolAppend is a harmless read's record: written, synced later.
func BenchmarkSpoolAppend(b *testing.B) {
	s, err := audit.OpenSpool(audit.SpoolOptions{Dir: b.TempDir(), Node: "n1"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Append(event()); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// rawRate is how often a second the disk takes 700 bytes and syncs them.
func rawRate(b *testing.B) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, 700)
	start, n := time.Now(), 0
	for time.Since(start) < 300*time.Millisecond {
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
		if err := audit.Fdatasync(f); err != nil {
			b.Fatal(err)
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds()
}

// BenchmarkAppend is the log's own work for one record, without a database's.
func BenchmarkAppend(b *testing.B) {
	l := newBench(b)
	l.append(b, 1000)
	b.ResetTimer()
	for b.Loop() {
		err := l.store.Update(func(tx *audittest.Tx) error { return l.Append(context.Background(), tx, event()) })
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	l := newBench(b)
	for b.Loop() {
		b.StopTimer()
		l.append(b, 1)
		b.StartTimer()
		if _, err := l.Sign(context.Background(), l.store.State.Head); err != nil {
			b.Fatal(err)
		}
	}
}

// large is a signed log of many records, made in big appends.
func large(b *testing.B, n int) *bench {
	l := newBench(b)
	for done := 0; done < n; done += 1000 {
		recs := make([]*audit.Record, 1000)
		for i := range recs {
			recs[i] = event()
		}
		err := l.store.Update(func(tx *audittest.Tx) error { return l.Append(context.Background(), tx, recs...) })
		if err != nil {
			b.Fatal(err)
		}
	}
	if _, err := l.Sign(context.Background(), l.store.State.Head); err != nil {
		b.Fatal(err)
	}
	return l
}

func BenchmarkProof(b *testing.B) {
	const n = 200_000
	l := large(b, n)
	b.Run("make", func(b *testing.B) {
		i := int64(0)
		for b.Loop() {
			i = (i + 7919) % n
			if _, err := l.Proof(context.Background(), l.store, i); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		p, err := l.Proof(context.Background(), l.store, 77_777)
		if err != nil {
			b.Fatal(err)
		}
		text := p.Text()
		b.ReportMetric(float64(len(text)), "B/proof")
		for b.Loop() {
			if _, _, err := evidence.VerifyProof(text, l.store.State.Leaves[77_777], l.key.Verifier()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify-log", func(b *testing.B) {
		for b.Loop() {
			if !l.verify(b).OK() {
				b.Fatal("not verified")
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
}
