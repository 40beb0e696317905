package egress

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/netguard"
)

// What is read as a target is one host and one port, and reads as the same again.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"example.com:443", "[::1]:443", "1.2.3.4:80", "example.com", "127.1:443", "a:0443", "a@b:443", "[::ffff:127.0.0.1]:443", "::1", "a:b:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, literal, port, err := target(s, 443)
		if err != nil {
			return
		}
		if port < 1 || port > 65535 || strings.ContainsAny(name, "@/\\ \r\n\x00%[]") {
			t.Fatalf("target(%q) = %q, %d", s, name, port)
		}
		host := hostport("https", name, port)
		again, literally, at, err := target(host, 443)
		if err != nil || again != name || at != port || literal != literally {
			t.Fatalf("target(%q) = %q, %d, and of %q %q, %d, %v", s, name, port, host, again, at, err)
		}
	})
}

// A credential is the header's own, whole.
func FuzzBearer(f *testing.F) {
	for _, s := range []string{"Basic YWdlbnQ6dG9rZW4=", "Bearer x", "basic !!", "Basic", "Bearer  a b", "Digest x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := &http.Request{Header: http.Header{"Proxy-Authorization": {s}}}
		_ = bearer(r)
	})
}

// Whatever comes first in a blind tunnel, it passes only as TLS for the tunnel's host.
func FuzzGreeting(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n"))
	f.Add([]byte{0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, c := net.Pipe()
		go func() {
			_, _ = a.Write(b)
			_ = a.Close()
		}()
		got, err := greeted(c, &tunnel{name: "example.com", port: 443})
		_ = c.Close()
		_ = a.Close()
		if err == nil && !strings.Contains(string(got), "example.com") && !strings.Contains(strings.ToLower(string(got)), "example.com") {
			t.Fatalf("%q passed", got)
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"*.example.com", "*", "example.com", "*.com", "10.0.0.1", "*.1.2.3.4", "**.a.b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := CheckPattern(s)
		if err != nil || p == "*" {
			return
		}
		tab, err := newTable([]Host{{Pattern: p}})
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Replace(p, "*", "a", 1)
		if _, _, err := netguard.Host(name); err == nil && tab.find(name) == nil {
			t.Fatalf("%q does not find %q", p, name)
		}
		if tab.find("evil"+strings.TrimPrefix(p, "*.")) != nil && !strings.HasPrefix(p, "*") {
			t.Fatalf("%q finds more than itself", p)
		}
	})
}
