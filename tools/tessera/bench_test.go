package tessera

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// BenchmarkAppend is what Tessera's POSIX driver makes durable a second, with 256 entries or
// 1 ms to a batch, as a ratio to what the same disk does in bare write and fdatasync: the
// same as BenchmarkSpool and BenchmarkAppend of Assent's packages measure.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 256} {
		b.Run(strconv.Itoa(writers), func(b *testing.B) {
			skey, _, err := note.GenerateKey(nil, "tessera.example/log")
			if err != nil {
				b.Fatal(err)
			}
			signer, err := note.NewSigner(skey)
			if err != nil {
				b.Fatal(err)
			}
			dir := b.TempDir()
			driver, err := posix.New(b.Context(), posix.Config{Path: filepath.Join(dir, "log")})
			if err != nil {
				b.Fatal(err)
			}
			appender, shutdown, _, err := tessera.NewAppender(b.Context(), driver, tessera.NewAppendOptions().
				WithCheckpointSigner(signer).WithBatching(256, time.Millisecond).WithCheckpointInterval(time.Second))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = shutdown(b.Context()) }()
			raw := rawRate(b, dir)
			next := make(chan struct{}, b.N)
			for range b.N {
				next <- struct{}{}
			}
			close(next)
			text := strings.Repeat("x", 690)
			var wg sync.WaitGroup
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					n := 0
					for range next {
						n++
						if _, err := appender.Add(b.Context(), tessera.NewEntry([]byte(strconv.Itoa(w)+" "+strconv.Itoa(n)+text)))(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/raw, "x-fdatasync")
		})
	}
}

func rawRate(b *testing.B, dir string) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "raw"))
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
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds()
}
