package webwire_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/webwire"
)

func TestClean(t *testing.T) {
	h := http.Header{}
	gone := []string{
		"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authorization", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Proxy",
		"X-Forwarded-User", "X_Forwarded_User", "x-forwarded_user", "X.Forwarded.User", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Uri", "Forwarded",
		"Remote-User", "Remote_User", "X-Remote-User", "X-Remote-Extra-Scopes", "X-Assent-Identity", "X_Assent_Identity", "X-Auth-Request-Email", "X_AUTH_REQUEST_USER",
		"X-Real-Ip", "X-Original-URL", "X-Original-Uri", "X-Rewrite-URL", "X-Http-Method-Override", "X_HTTP_Method_Override", "X-Method-Override", "X-HTTP-Method",
		"X-Webauth-User", "X-Amzn-Oidc-Identity", "Cf-Access-Authenticated-User-Email", "X-Goog-Iap-Jwt-Assertion", "Ssl-Client-Cert", "X-Ms-Client-Principal", "X-Envoy-Original-Path", "X-Host",
		"Client-Cert", "X-User-Id", "X-Email",
	}
	stay := []string{"Authorization", "Content-Type", "Accept", "Cookie", "Impersonate-User", "Impersonate-Extra-X", "X-Request-Id", "X-Amz-Date", "Traceparent", "User-Agent", "X-Amz-Security-Token", "Sec-WebSocket-Key", "Remoteness", "X-Forward", "Grpc-Timeout", "X-Requested-With"}
	for _, n := range append(slices.Clone(gone), stay...) {
		h[n] = []string{"x"}
	}
	h["Connection"] = []string{"keep-alive, Upgrade", "HTTP2-Settings, TE"}
	h["Te"] = []string{"gzip, trailers"}
	if err := webwire.Clean(h); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(h)); !slices.Equal(got, slices.Sorted(slices.Values(stay))) {
		t.Errorf("left: %v", got)
	}
	h["Te"] = []string{" Trailers "}
	if err := webwire.Clean(h); err != nil || h.Get("Te") != "trailers" {
		t.Errorf("TE: trailers: %q, %v", h["Te"], err)
	}
}

// CVE-2025-48865: a client's Connection header took away what a proxy wrote.
func TestConnectionNames(t *testing.T) {
	for v, ok := range map[string]bool{
		"close": true, "Keep-Alive": true, "upgrade, http2-settings": true, " , close": true,
		"Authorization": false, "close, X-Forwarded-Host": false, "X-Assent-Identity": false, "cookie": false, "content-length": false, "close\x00": false,
	} {
		h := http.Header{"Connection": {v}, "Authorization": {"Bearer x"}}
		if err := webwire.Clean(h); (err == nil) != ok {
			t.Errorf("Connection: %q: %v", v, err)
		}
		if h.Get("Authorization") == "" {
			t.Errorf("Connection: %q took Authorization away", v)
		}
	}
}

func TestTwice(t *testing.T) {
	for name, ok := range map[string]bool{"Authorization": false, "Content-Type": false, "Range": false, "Cookie": true, "Accept": true} {
		if err := webwire.Clean(http.Header{name: {"a", "b"}}); (err == nil) != ok {
			t.Errorf("two %s: %v", name, err)
		}
	}
}

// No spelling of a name that goes is left.
func FuzzTheirs(f *testing.F) {
	for _, n := range []string{"X_Forwarded-User", "X-Real_Ip", "accept", strings.Repeat("x-forwarded-", 20)} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, name string) {
		low := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
		for _, p := range []string{"x-forwarded-", "x-assent-", "x-auth-request-"} {
			if strings.HasPrefix(low, p) && low == strings.ToLower(low) && len(low) == len(name) && !webwire.Theirs(name) {
				t.Errorf("%q stays", name)
			}
		}
	})
}

func BenchmarkClean(b *testing.B) {
	h := http.Header{"Accept": {"*/*"}, "User-Agent": {"x"}, "Authorization": {"Bearer x"}, "Accept-Encoding": {"gzip"}, "X-Request-Id": {"1"}, "Content-Type": {"application/json"}}
	b.ReportAllocs()
	for b.Loop() {
		if err := webwire.Clean(h); err != nil {
			b.Fatal(err)
		}
	}
}
