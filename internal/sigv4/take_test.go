package sigv4

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestTake: nothing of the signature is left, and what it held of meaning is.
func TestTake(t *testing.T) {
	r := signed(t, http.MethodPut, "/b/k?acl&x-amz-acl=public-read&a=1", SignedChunks, "Content-Encoding", "gzip,aws-chunked",
		"X-Amz-Decoded-Content-Length", "0", "X-Amz-Meta-A", "1")
	p, err := check(r, noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Take(r); err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Content-Encoding": {"gzip"}, "X-Amz-Acl": {"public-read"}, "X-Amz-Meta-A": {"1"}}
	if len(r.Header) != len(want) {
		t.Errorf("headers %v", r.Header)
	}
	for k, v := range want {
		if r.Header.Get(k) != v[0] {
			t.Errorf("%s: %q", k, r.Header.Get(k))
		}
	}
	if r.URL.RawQuery != "a=1&acl=" || r.ContentLength != 0 {
		t.Errorf("query %q, %d bytes", r.URL.RawQuery, r.ContentLength)
	}
	if _, err := io.ReadAll(r.Body); err == nil {
		t.Error("a body without its last chunk was read to its end")
	}
	for _, query := range []string{"x-amz-acl=a&x-amz-acl=b", "x-amz-acl=a&X-Amz-Acl=b", "x-amz-meta-a=2", "x-amz-acl=a%0d%0ab"} {
		r := signed(t, http.MethodPut, "/b/k?"+query, Unsigned, "X-Amz-Meta-A", "1")
		p, err := check(r, noon)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Take(r); err == nil || !strings.Contains(code(err), "Malformed") {
			t.Errorf("%s: %v", query, err)
		}
	}
}
