package httpgate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/webwire"
)

// What goes on, and what comes back, is what belongs to more than one hop.
func TestPassed(t *testing.T) {
	asked := make(chan http.Header, 10)
	addr := open(t, &gatetest.Authority{}, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header
		h := w.Header()
		switch r.URL.Path {
		case "/hops":
			h["Connection"] = []string{"X-Of-This-Hop"}
			h["Keep-Alive"], h["Proxy-Authenticate"], h["Upgrade"] = []string{"timeout=5"}, []string{"Basic"}, []string{"h2c"}
			h["X-Of-This-Hop"], h["X-Twice"] = []string{"a"}, []string{"a", "b"}
		case "/announced":
			h.Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "a body")
			h.Set("X-Sum", "7")
		case "/unannounced":
			_, _ = io.WriteString(w, "a body")
			h.Set(http.TrailerPrefix+"X-Sum", "7")
			_ = http.NewResponseController(w).Flush()
		case "/late":
			h.Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done() // when whoever asked has gone
		case "/half":
			h.Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		case "/halfchunked":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}, nil)
	get := func(path string) (*http.Response, string, error) {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		t.Cleanup(func() { _ = c.Close() })
		_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nTE: trailers\r\nX-Forwarded-For: 1.2.3.4\r\nX-Own: a\r\n\r\n", path, addr, gatetest.Token)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return &http.Response{}, "", err
		}
		if path == "/late" {
			_ = c.Close()
			return resp, "", nil
		}
		b, err := io.ReadAll(resp.Body)
		return resp, string(b), err
	}

	resp, _, err := get("/hops")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Upgrade", "X-Of-This-Hop"} {
		if v := resp.Header[name]; v != nil {
			t.Errorf("%s: %s came back", name, v)
		}
	}
	if got := strings.Join(resp.Header["X-Twice"], " "); got != "a b" {
		t.Errorf("X-Twice %q", got)
	}
	h := <-asked
	if h.Get("X-Own") != "a" || h.Get("Te") != "trailers" || h["X-Forwarded-For"] != nil || h["User-Agent"] != nil || h["Connection"] != nil {
		t.Errorf("what went on: %v", h)
	}
	for _, path := range []string{"/announced", "/unannounced"} {
		resp, b, err := get(path)
		if err != nil || b != "a body" || resp.Trailer.Get("X-Sum") != "7" {
			t.Errorf("%s: %q, %v, %v", path, b, resp.Trailer, err)
		}
	}
	if resp, _, _ := get("/late"); resp.StatusCode != http.StatusOK {
		t.Errorf("%d before anything came", resp.StatusCode)
	}
	for _, path := range []string{"/half", "/halfchunked"} {
		if _, b, err := get(path); err == nil {
			t.Errorf("%s: %q looks whole", path, b)
		}
	}
}

// Of requests, nothing that is between two hops is left to be taken off where they go on.
func TestHopsOfRequests(t *testing.T) {
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		h := http.Header{name: {"a"}}
		if name == "Connection" {
			h[name] = []string{"close"}
		}
		if err := webwire.Clean(h); err != nil || len(h) > 0 {
			t.Errorf("%s stays: %v", name, err)
		}
	}
}
