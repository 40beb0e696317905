package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/bucket/buckettest"
)

// Traffic moves into a bucket under object lock, waits while the bucket is away, and is read from there.
func TestTrafficMovesToABucket(t *testing.T) {
	s3 := buckettest.Start(t)
	s3.Make(t, "records", true)
	to, err := url.Parse(s3.URL)
	if err != nil {
		t.Fatal(err)
	}
	var down atomic.Bool
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusForbidden) // no code that is tried again for seconds
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(door.Close)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": buckettest.KeyID, "AWS_SECRET_ACCESS_KEY": buckettest.Secret, "AWS_REGION": "us-east-1"} {
		t.Setenv(name, value)
	}
	b := newBench(t, "audit: { archive: 's3://records/assent', s3: { endpoint: '"+door.URL+"', lock: governance, keep: 48h } }\n")
	traffic(t, b.spool, 3)
	b.sealed(3)
	if err := b.ship(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(b.spool.Seals()); n != 1 {
		t.Errorf("%d segments are left in the spool, want 1", n)
	}

	down.Store(true)
	traffic(t, b.spool, 2)
	b.sealed(5)
	b.shipped.note(b.ship(t.Context()), time.Now())
	if err := b.shipped.Err(); err == nil || !strings.Contains(err.Error(), "no traffic is archived since") {
		t.Errorf("while the bucket is away /readyz says %v", err)
	}
	if ok, looked := b.verifyNow(t.Context(), time.Now()); !ok || !looked {
		t.Error("a bucket that is away makes the log look wrong")
	}
	if n := len(b.spool.Seals()); n != 3 {
		t.Errorf("%d segments wait in the spool, want 3", n)
	}

	down.Store(false)
	b.shipped.note(b.ship(t.Context()), time.Now())
	if err := b.shipped.Err(); err != nil {
		t.Error(err)
	}
	seen := int64(0)
	if _, err := b.cfg.ReadTraffic(t.Context(), b.store, func(seq int64, _ []byte) error { seen = seq + 1; return nil }); err != nil || seen != b.spool.Next() || seen < 10 {
		t.Errorf("%d records of traffic of %d, %v", seen, b.spool.Next(), err)
	}
	verify := func() *audit.Report {
		t.Helper()
		r, err := audit.Verify(context.Background(), b.store, b.cfg.VerifyOptions(b.logVerifiers()...))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := verify(); !r.OK() || r.SpoolRecords < 10 {
		t.Errorf("%d records of traffic verified, problems %v", r.SpoolRecords, r.Problems)
	}

	// Whoever has the bucket writes another object over one: its first version is locked, and the newest shows as another.
	c := s3.Client(t)
	if err := buckettest.Overwrite(t, c, "records", "assent/node-local/00000002.spool", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if verify().OK() {
		t.Error("nobody noticed that a segment was written over")
	}
}
