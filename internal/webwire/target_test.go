package webwire_test

import (
	"bufio"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/webwire"
)

func request(target string) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")))
}

// Each rule lets through what it names and nothing else.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		target string
		rules  webwire.Rules
	}{
		{"/a%2fb", webwire.Rules{EncodedSlash: true}},
		{"/a%5cb", webwire.Rules{Backslash: true}},
		{"/a\\b", webwire.Rules{Backslash: true}},
		{"/a//b", webwire.Rules{EmptySegments: true}},
		{"/a/../b", webwire.Rules{DotSegments: true}},
		{"/a/%2e%2e/b", webwire.Rules{DotSegments: true}},
		{"/a%252fb", webwire.Rules{DoubleEncoding: true}},
		{"/a;v=1/b", webwire.Rules{Params: true}},
		{"/a%0ab", webwire.Rules{Controls: true}},
		{"/\xc3\xbc", webwire.Rules{RawText: true}},
		{"/%ff", webwire.Rules{AnyBytes: true}},
		{"/a?b;c", webwire.Rules{QuerySemicolons: true}},
		{"/a%2f..%2fb", webwire.Rules{EncodedSlash: true, DotSegments: true}},
		{"/a/..;/b", webwire.Rules{Params: true, DotSegments: true}},
	} {
		r, err := request(c.target)
		if err != nil {
			t.Fatal(c.target, err)
		}
		if webwire.Target(r, webwire.Rules{}) == nil {
			t.Errorf("%s passes without a rule", c.target)
		}
		if err := webwire.Target(r, c.rules); err != nil {
			t.Errorf("%s with %+v: %v", c.target, c.rules, err)
		}
	}
	all := webwire.Rules{EncodedSlash: true, Backslash: true, EmptySegments: true, DotSegments: true, DoubleEncoding: true, Params: true, Controls: true, RawText: true, AnyBytes: true, QuerySemicolons: true}
	for _, target := range []string{"/a%00b", "/a?b=%00", "/a?b=%g0"} {
		if r, err := request(target); err != nil || webwire.Target(r, all) == nil {
			t.Errorf("%s passes with all rules", target)
		}
	}
	for target, rules := range map[string]webwire.Rules{
		"/a%2f..%2fb": {EncodedSlash: true}, "/..%5cb": {Backslash: true}, "/a/..;x/b": {Params: true}, "/;/admin": {Params: true}, "/a%2f%2e%2e": {EncodedSlash: true},
	} {
		if r, err := request(target); err != nil || webwire.Target(r, rules) == nil {
			t.Errorf("%s passes with %+v", target, rules)
		}
	}
}

// A path that Target takes is one that cleaning, decoding and decoding again leave alone.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/a%20b?c=d", "/%c3%bc", "/a/..;/b", "/%252e", "/a%2fb", "//a", "/.%2e/", "http://a/x", "*", "/a?b=%ff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r, err := request(target)
		if err != nil || r.RequestURI != target || webwire.Target(r, webwire.Rules{}) != nil || target == "*" {
			return
		}
		raw, _, _ := strings.Cut(r.RequestURI, "?")
		if i := strings.Index(raw, "://"); i >= 0 {
			raw = raw[i+3+strings.IndexByte(raw[i+3:], '/'):]
		}
		once, err := url.PathUnescape(raw)
		if err != nil {
			t.Fatalf("%q does not decode", raw)
		}
		clean := path.Clean(once)
		if strings.HasSuffix(once, "/") && clean != "/" {
			clean += "/"
		}
		if clean != once || strings.Count(raw, "/") != strings.Count(once, "/") {
			t.Errorf("%q is %q, and %q when it is cleaned", raw, once, clean)
		}
		if twice, err := url.PathUnescape(once); err == nil && (strings.Count(twice, "/") != strings.Count(once, "/") || path.Clean(twice) != path.Clean(once) && !strings.Contains(once, "%")) {
			t.Errorf("%q is %q, decoded twice", raw, twice)
		}
	})
}

func BenchmarkTarget(b *testing.B) {
	r, err := request("/api/v1/things/7/parts.json?fields=name%20x,state")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := webwire.Target(r, webwire.Rules{}); err != nil {
			b.Fatal(err)
		}
	}
}
