package bucket_test

import (
	"bytes"
	"io"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/assenthq/assent/internal/audit/audittest"
	"github.com/assenthq/assent/internal/audit/bucket"
	"github.com/assenthq/assent/internal/audit/bucket/buckettest"
)

func open(t *testing.T, o bucket.Options) *bucket.Shelf {
	t.Helper()
	o.Region, o.Credentials = "us-east-1", credentials.NewStaticV4(buckettest.KeyID, buckettest.Secret, "")
	s := bucket.New(o)
	t.Cleanup(s.Close)
	return s
}

// One server for all: it takes seconds to start.
func TestBuckets(t *testing.T) {
	at := buckettest.Start(t)
	at.Make(t, "plain", false)
	at.Make(t, "locking", true)
	t.Run("conformance", func(t *testing.T) {
		audittest.Shelf(t, open(t, bucket.Options{URL: "s3://plain/a/b", Endpoint: at.URL}))
	})
	t.Run("conformance of a bucket with versions", func(t *testing.T) {
		audittest.Shelf(t, open(t, bucket.Options{URL: "s3://locking/unlocked", Endpoint: at.URL}))
	})
	t.Run("conformance under lock", func(t *testing.T) {
		audittest.Shelf(t, open(t, bucket.Options{URL: "s3://locking/locked", Endpoint: at.URL, Lock: "compliance", Keep: 24 * time.Hour}))
	})
	t.Run("removed with all versions", func(t *testing.T) { removed(t, at) })
	t.Run("lock", func(t *testing.T) { locked(t, at) })
	t.Run("lock where there is none", func(t *testing.T) {
		s := open(t, bucket.Options{URL: "s3://plain", Endpoint: at.URL, Lock: "governance", Keep: time.Hour})
		if err := put(t, s, "node-a/1"); err == nil || !strings.Contains(err.Error(), "object lock") {
			t.Errorf("it was written without the lock: %v", err)
		}
		if names, err := s.Names(t.Context(), "node-a"); err != nil || len(names) != 0 {
			t.Errorf("%v, %v", names, err)
		}
	})
	t.Run("lock that is not kept", func(t *testing.T) { dropped(t, at) })
	t.Run("no such bucket", func(t *testing.T) {
		s := open(t, bucket.Options{URL: "s3://nowhere", Endpoint: at.URL})
		if _, err := s.Names(t.Context(), "node-a"); err == nil {
			t.Error("a bucket that isn't there is empty")
		}
	})
	t.Run("away", func(t *testing.T) {
		s := open(t, bucket.Options{URL: "s3://plain", Endpoint: "http://127.0.0.1:1"})
		if _, err := s.Names(t.Context(), "node-a"); err == nil {
			t.Error("a storage that is away has an empty bucket")
		}
		if err := put(t, s, "node-a/1"); err == nil {
			t.Error("a storage that is away took a file")
		}
	})
}

func put(t *testing.T, s *bucket.Shelf, name string) error {
	t.Helper()
	b := []byte("0123456789")
	return s.Put(t.Context(), name, io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))))
}

func removed(t *testing.T, at *buckettest.Server) {
	s := open(t, bucket.Options{URL: "s3://locking/removed", Endpoint: at.URL})
	if err := put(t, s, "node-a/1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "node-a/1"); err != nil {
		t.Fatal(err)
	}
	for o := range at.Client(t).ListObjects(t.Context(), "locking", minio.ListObjectsOptions{Prefix: "removed/", WithVersions: true, Recursive: true}) {
		t.Errorf("version %s of %s is left, deleted: %v, %v", o.VersionID, o.Key, o.IsDeleteMarker, o.Err)
	}
}

func locked(t *testing.T, at *buckettest.Server) {
	for name, o := range map[string]bucket.Options{
		"governance": {Lock: "governance", Keep: time.Hour},
		"compliance": {Lock: "compliance", Keep: time.Hour},
		"hold":       {Hold: true},
	} {
		o.URL, o.Endpoint = "s3://locking/"+name, at.URL
		s := open(t, o)
		if err := put(t, s, "node-a/1"); err != nil {
			t.Fatal(err)
		}
		until, err := s.Locked(t.Context(), "node-a/1")
		if left := time.Until(until); err != nil || o.Keep > 0 && (left < 50*time.Minute || left > time.Hour) || o.Keep == 0 && left < 1e6*time.Hour {
			t.Errorf("%s: locked until %v, %v", name, until, err)
		}
		if err := s.Remove(t.Context(), "node-a/1"); err == nil {
			t.Errorf("%s: it was deleted all the same", name)
		}
		f, err := s.Open(t.Context(), "node-a/1")
		if err != nil || f.Size() != 10 {
			t.Errorf("%s: after that it is %v, %v", name, f, err)
		}
	}
}

// dropped is a storage that knows nothing of locks and takes the words for them.
func dropped(t *testing.T, at *buckettest.Server) {
	to, err := url.Parse(at.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
		for name := range r.Out.Header {
			if strings.HasPrefix(strings.ToLower(name), "x-amz-object-lock") {
				r.Out.Header.Del(name)
			}
		}
	}}
	server := httptest.NewServer(proxy)
	defer server.Close()
	s := open(t, bucket.Options{URL: "s3://locking/dropped", Endpoint: server.URL, Lock: "governance", Keep: time.Hour})
	if err := put(t, s, "node-a/1"); err == nil {
		t.Error("nobody noticed that the lock was not kept")
	}
}

func TestNoCredentials(t *testing.T) {
	s := bucket.New(bucket.Options{URL: "s3://plain", Endpoint: "http://127.0.0.1:1", Region: "us-east-1", Credentials: credentials.NewStaticV4("", "", "")})
	if _, err := s.Names(t.Context(), "node-a"); err == nil || !strings.Contains(err.Error(), "no credentials") {
		t.Error(err)
	}
}

func TestEndpoints(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "https://minio.example.com": true, "https://minio.example.com:9000/": true, "http://127.0.0.1:9000": true, "http://localhost": true,
		"http://minio.example.com": false, "minio.example.com": false, "https://key:secret@minio.example.com": false, "https://x/path": false, "https://x?a": false, "ftp://x": false, "http://[::1]:9": true,
	} {
		if err := bucket.CheckEndpoint(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"s3://bucket", "s3://bucket/", "s3://bucket/a/b/", "s3://b", "s3://bucket/../x", "s3://bucket/a//b", "s3:///x", "/srv/archive", "s3://BUCKET", "s3://bucket/a?b", "s3://bucket/ä"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, prefix, err := bucket.Parse(text)
		if err != nil {
			return
		}
		again, same, err := bucket.Parse(bucket.Scheme + b + "/" + prefix)
		if err != nil || again != b || same != prefix || strings.Contains("/"+prefix+"/", "/../") || strings.Contains(prefix, "//") {
			t.Errorf("%q is %q and %q, and again %q and %q: %v", text, b, prefix, again, same, err)
		}
	})
}
