package aws

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/sigv4"
)

// lines is a text of n bytes, made as it is read.
type lines struct{ left int64 }

func (l *lines) Read(p []byte) (int, error) {
	const line = "lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do\n"
	if l.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), l.left)]
	for i := range p {
		p[i] = line[(l.left-int64(i))&63]
	}
	l.left -= int64(len(p))
	return len(p), nil
}

// TestS3Large: an upload takes no memory that grows with it, passed on as it comes or held
// whole. ASSENT_S3_MIB sets its size (scripts/soak s3: 1024).
func TestS3Large(t *testing.T) {
	mib := int64(64)
	if text := os.Getenv("ASSENT_S3_MIB"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		mib = n
	}
	size := mib << 20
	want := sha256.New()
	if _, err := io.Copy(want, &lines{size}); err != nil {
		t.Fatal(err)
	}
	for name, flows := range map[string]bool{"streamed": true, "kept": false} {
		for _, form := range []string{sigv4.Unsigned, sigv4.SignedChunks} {
			t.Run(name+" "+form, func(t *testing.T) {
				authority := &gatetest.Authority{Flows: func(*action.Action) bool { return flows }}
				g := newS3Gate(t, setup{each: size, authority: authority, upstream: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
				g.up.stream = true
				runtime.GC()
				stop, most := make(chan struct{}), make(chan uint64)
				go watchHeap(stop, most)
				r, err := http.NewRequest(http.MethodPut, g.URL+"/house/big", &lines{size})
				if err != nil {
					t.Fatal(err)
				}
				if form != sigv4.Unsigned {
					r.Header.Set("X-Amz-Decoded-Content-Length", strconv.FormatInt(size, 10))
				}
				sig, err := agentKey.Sign(r, "eu-west-1", "s3", form, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if r.ContentLength = size; form != sigv4.Unsigned {
					r.Body, r.ContentLength = io.NopCloser(sig.Chunks(&lines{size}, nil)), sigv4.ChunkedLength(form, size, nil)
				}
				resp, err := g.Client().Transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				close(stop)
				if all := g.up.seen(); resp.StatusCode != 200 || len(all) != 1 || !bytes.Equal(all[0].Body, want.Sum(nil)) {
					t.Errorf("%s, %d arrived", resp.Status, len(all))
				}
				heap := <-most
				t.Logf("%d MiB, at most %d KiB of heap in use", mib, heap>>10)
				if heap > 40<<20 {
					t.Errorf("%d MiB of heap were in use", heap>>20)
				}
			})
		}
	}
}

// watchHeap tells the most that the heap grew by.
func watchHeap(stop <-chan struct{}, most chan<- uint64) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, top := m.HeapInuse, uint64(0)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			most <- top
			return
		case <-tick.C:
			runtime.ReadMemStats(&m)
			if m.HeapInuse > before {
				top = max(top, m.HeapInuse-before)
			}
		}
	}
}

// TestS3BrokenOff: a body that doesn't verify to its end is no object upstream, passed on
// as it comes or not.
func TestS3BrokenOff(t *testing.T) {
	const size = 1 << 20
	for _, flows := range []bool{true, false} {
		stored := 0
		authority := &gatetest.Authority{Flows: func(*action.Action) bool { return flows }}
		g := newS3Gate(t, setup{authority: authority, upstream: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stored++ })})
		g.up.quiet = true
		r, err := http.NewRequest(http.MethodPut, g.URL+"/house/big", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(size))
		sig, err := agentKey.Sign(r, "eu-west-1", "s3", sigv4.SignedChunks, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		wire, err := io.ReadAll(sig.Chunks(&lines{size}, nil))
		if err != nil {
			t.Fatal(err)
		}
		wire[len(wire)-9]++ // in the last chunk's signature
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(wire)), int64(len(wire))
		resp, err := g.Client().Transport.RoundTrip(r)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < 400 {
				err = errors.New(resp.Status)
			}
		}
		if resp != nil && resp.StatusCode < 400 || stored != 0 {
			t.Errorf("flows %v: %v, stored %d", flows, err, stored)
		}
	}
}
