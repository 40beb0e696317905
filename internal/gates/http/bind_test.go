package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
)

func TestAddresses(t *testing.T) {
	up, err := url.Parse("http://127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	r := &Route{Host: "app.example.com", Path: "/api", Strip: "/api", Prepend: "/v1", Upstreams: []*url.URL{up}}
	for to, want := range map[string]string{
		"http://127.0.0.1:8080/v1/x?a=1#f":   "/api/x?a=1#f",
		"HTTP://127.0.0.1:8080/v1/x":         "/api/x",
		"http://127.0.0.1:8080/other":        "/",
		"//127.0.0.1:8080/v1/x":              "/api/x",
		"http://127.0.0.1/v1/x":              "/api/x",
		"https://app.example.com/v1/x":       "/api/x",
		"/v1/x":                              "/api/x",
		"/elsewhere":                         "/elsewhere",
		"x/y":                                "x/y",
		"../x":                               "../x",
		"https://login.example.org/a?b=c":    "https://login.example.org/a?b=c",
		"mailto:a@b.c":                       "mailto:a@b.c",
		"http://127.0.0.1:8080/v1//evil.com": "/api//evil.com",
		"http://127.0.0.1:8080/v1":           "/api/",
		"":                                   "",
	} {
		if got := r.address(to, up); got != want {
			t.Errorf("%q becomes %q, want %q", to, got, want)
		}
	}
	plain := &Route{Host: "app.example.com", Path: "/", Upstreams: []*url.URL{up}}
	if got := plain.address("http://127.0.0.1:8080//evil.com/", up); got != "/evil.com/" {
		t.Errorf("a path that would be another host: %q", got)
	}
}

func TestCookies(t *testing.T) {
	r := &Route{Host: "app.example.com"}
	h := http.Header{"Set-Cookie": {
		"a=1; Domain=example.com; Path=/; Secure", "b=2;domain = .example.com ;HttpOnly", "c=3",
		"__Host-assent-web=stolen; Path=/; Secure", "__HOST-assent-web=x", " assent-web-8080=x", "__Host-other=1; Path=/; Secure",
	}}
	r.cookies(h)
	want := []string{"a=1; Path=/; Secure", "b=2;HttpOnly", "c=3", "__Host-other=1; Path=/; Secure"}
	if !slices.Equal(h["Set-Cookie"], want) {
		t.Errorf("%q, want %q", h["Set-Cookie"], want)
	}
	in := http.Header{"Cookie": {"a=1; __Host-assent-web=secret; b=2", "__host-assent-x=1;assent-flow=2; c=3"}}
	mine := withoutOurs(in, "__Host-assent-web")
	if !slices.Equal(mine, []string{"secret"}) || in.Get("Cookie") != "a=1; b=2; c=3" {
		t.Errorf("%q; goes on: %q", mine, in.Get("Cookie"))
	}
}

func TestRoutes(t *testing.T) {
	all := []*Route{{Name: "root", Host: "a.example.com", Path: "/"}, {Name: "api", Host: "a.example.com", Path: "/api"}, {Name: "deep", Host: "a.example.com", Path: "/api/v2/"}, {Name: "other", Host: "b.example.com:9443", Path: "/only"}}
	table := newRoutes(all)
	for at, want := range map[string]string{
		"//a.example.com/": "root", "//a.example.com/apix": "root", "//a.example.com/api": "api", "//a.example.com/api/": "api", "//A.EXAMPLE.com/api/v2/x": "deep",
		"//a.example.com/api/v2": "deep", "//a.example.com:8443/api": "api", "//a.example.com:443/api": "api", "//a.example.com:1234/api": "", "//b.example.com/only": "",
		"//b.example.com:9443/only/x": "other", "//b.example.com:9443/": "", "//c.example.com/": "", "//a.example.com/%61pi/x": "", "//a.example.com/api%2fx": "",
	} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if r := route(table.host(u.Host, "8443"), u); r != nil {
			got = r.Name
		}
		if got != want {
			t.Errorf("%s leads to %q, want %q", at, got, want)
		}
	}
}

func TestNext(t *testing.T) {
	for in, want := range map[string]string{
		"/a/b?c=d": "/a/b?c=d", "": "/", "//evil.example.com": "/", "/\\evil.example.com": "/", "https://evil.example.com/": "/", "/\t/evil.example.com": "/",
		"/.assent/signout": "/", "/.assent": "/", "a/b": "/", "/a\r\nSet-Cookie: x": "/", "/%2fevil.example.com": "/%2fevil.example.com",
	} {
		if got := next(in); got != want {
			t.Errorf("%q goes on at %q, want %q", in, got, want)
		}
	}
}
