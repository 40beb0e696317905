package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Whatever an upstream writes as an address leads to a path of this host, or is left as it was and names another site.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"http://127.0.0.1:8080/v1/x", "//127.0.0.1:8080//evil.example.com", "/v1/../x", "http://127.0.0.1:8080\\@evil.example.com/", "http://127.0.0.1:8080/%2f%2fevil", "?a", "#b", "http:/x", "/\t/evil"} {
		f.Add(seed)
	}
	up := &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}
	r := &Route{Host: "app.example.com", Path: "/api", Strip: "/api", Prepend: "/v1", Upstreams: []*url.URL{up}}
	f.Fuzz(func(t *testing.T, to string) {
		got := r.address(to, up)
		if got == to {
			if u, err := url.Parse(to); err == nil && strings.EqualFold(u.Host, up.Host) {
				t.Errorf("%q still leads to the upstream", to)
			}
			return
		}
		u, err := url.Parse(got)
		if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") {
			t.Errorf("%q becomes %q, which leads elsewhere", to, got)
		}
	})
}

// Where a browser goes on after a sign-in is a path of the same host.
func FuzzNext(f *testing.F) {
	for _, seed := range []string{"/a?b", "//evil", "/\\evil", "/.assent/callback", "https:/evil", "/%0d%0aSet-Cookie:x", "/\x00", "/a//b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := next(text)
		u, err := (&url.URL{Scheme: "https", Host: "app.example.com", Path: "/"}).Parse(got)
		if err != nil || u.Host != "app.example.com" || u.Scheme != "https" || strings.ContainsAny(got, "\r\n\t\\\x00") || strings.HasPrefix(got, "//") {
			t.Errorf("%q goes on at %q", text, got)
		}
	})
}

// No cookie of ours goes either way, and no other one changes.
func FuzzCookies(f *testing.F) {
	for _, seed := range []string{"a=1; __Host-assent-web=x", "__host-ASSENT-web=x;b=2", "assent-web-80=x", ";;=;", "a=\"; assent-x=1\"", " assent-y"} {
		f.Add(seed)
	}
	r := &Route{Host: "app.example.com"}
	f.Fuzz(func(t *testing.T, line string) {
		in := http.Header{"Cookie": {line}}
		withoutOurs(in, "__Host-assent-web")
		for pair := range strings.SplitSeq(in.Get("Cookie"), ";") {
			if key, _, _ := strings.Cut(strings.TrimSpace(pair), "="); ours(strings.TrimSpace(key)) {
				t.Errorf("%q goes on as %q", line, in.Get("Cookie"))
			}
		}
		out := http.Header{"Set-Cookie": {line}}
		r.cookies(out)
		for _, kept := range out["Set-Cookie"] {
			name, rest, _ := strings.Cut(kept, "=")
			if ours(strings.TrimSpace(name)) {
				t.Errorf("%q comes back as %q", line, kept)
			}
			for part := range strings.SplitSeq(rest, ";") {
				if key, _, is := strings.Cut(strings.TrimSpace(part), "="); is && strings.EqualFold(strings.TrimSpace(key), "domain") && strings.Contains(rest, ";"+part) {
					t.Errorf("%q keeps a domain: %q", line, kept)
				}
			}
		}
	})
}
