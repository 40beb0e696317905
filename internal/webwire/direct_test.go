package webwire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func newDirect(t *testing.T, rest *http.Transport) *Direct {
	t.Helper()
	rest.DialContext = (&net.Dialer{}).DialContext
	rest.DisableCompression = true
	d := NewDirect(rest)
	t.Cleanup(d.CloseIdleConnections)
	return d
}

func ask(t *testing.T, d http.RoundTripper, method, url, body string) (*http.Response, string, error) {
	t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, from)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	return resp, string(all), err
}

// What http.Transport makes of a server's answers, Direct makes of them.
func TestDirectReadsAsTransportDoes(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Came", r.Method+" "+r.RequestURI+" "+r.Host+" "+r.Header.Get("X-One")+" "+fmt.Sprint(r.ContentLength))
		switch r.URL.Path {
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/same":
			w.WriteHeader(http.StatusNotModified)
		case "/chunks":
			for i := range 50 {
				_, _ = fmt.Fprintf(w, "piece %d\n", i)
				w.(http.Flusher).Flush()
			}
			w.Header().Set(http.TrailerPrefix+"X-Sum", "7")
		case "/hints":
			w.Header().Set("Link", "</a>")
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "after hints")
		case "/last":
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, "no more")
		case "/echo":
			_, _ = io.Copy(w, r.Body)
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("0123456789", 100_000))
		default:
			_, _ = io.WriteString(w, "plain")
		}
	}))
	defer up.Close()
	plain := &http.Transport{DisableCompression: true}
	defer plain.CloseIdleConnections()
	d := newDirect(t, &http.Transport{})
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/", ""},
		{"GET", "/a%2Fb?q=%zz&x=1", ""},
		{"HEAD", "/", ""},
		{"GET", "/empty", ""},
		{"GET", "/same", ""},
		{"GET", "/chunks", ""},
		{"GET", "/hints", ""},
		{"GET", "/last", ""},
		{"GET", "/", ""},
		{"POST", "/echo", "a body"},
		{"POST", "/echo", strings.Repeat("b", directBody)},
		{"POST", "/echo", strings.Repeat("c", directBody+1)},
		{"DELETE", "/", ""},
		{"GET", "/long", ""},
	} {
		want, wantBody, err := ask(t, plain, c.method, up.URL+c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		got, gotBody, err := ask(t, d, c.method, up.URL+c.path, c.body)
		if err != nil {
			t.Fatalf("%s %s: %v", c.method, c.path, err)
		}
		if gotBody != wantBody || got.StatusCode != want.StatusCode || got.ContentLength != want.ContentLength || got.Header.Get("X-Came") != want.Header.Get("X-Came") || got.Trailer.Get("X-Sum") != want.Trailer.Get("X-Sum") {
			t.Errorf("%s %s: %d %d %q %v, want %d %d %q %v", c.method, c.path, got.StatusCode, got.ContentLength, got.Header.Get("X-Came"), got.Trailer, want.StatusCode, want.ContentLength, want.Header.Get("X-Came"), want.Trailer)
		}
	}
}

// raw is a server that says what its script says to each connection, in order.
func raw(t *testing.T, script ...func(net.Conn, *bufio.Reader)) (url string, served *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	served = new(atomic.Int32)
	go func() {
		for _, say := range script {
			c, err := l.Accept()
			if err != nil {
				return
			}
			say(c, bufio.NewReader(c))
			served.Add(1)
			_ = c.Close()
		}
	}()
	return "http://" + l.Addr().String() + "/", served
}

// heard reads one request and says s.
func heard(s string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(c, s)
	}
}

func TestDirectAfterTheConnectionEnded(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	both := func(c net.Conn, r *bufio.Reader) { heard(ok)(c, r) } // answers, then closes though it said nothing of it
	t.Run("closed while it waited", func(t *testing.T) {
		url, served := raw(t, both, both, both)
		d := newDirect(t, &http.Transport{})
		for i := range 3 {
			for served.Load() < int32(i) {
				time.Sleep(time.Millisecond)
			}
			method, body := "GET", ""
			if i == 1 {
				method, body = "POST", "x" // a connection that is seen to have ended is no reason to fail
			}
			if _, got, err := ask(t, d, method, url, body); err != nil || got != "ok" {
				t.Fatalf("request %d: %q, %v", i, got, err)
			}
		}
	})
	two := func(second string) func(net.Conn, *bufio.Reader) {
		return func(c net.Conn, r *bufio.Reader) {
			heard(ok)(c, r)
			heard(second)(c, r) // and closes
		}
	}
	t.Run("closed as it was asked", func(t *testing.T) {
		url, served := raw(t, two(""), both)
		d := newDirect(t, &http.Transport{})
		for i := range 2 {
			if _, got, err := ask(t, d, "GET", url, ""); err != nil || got != "ok" {
				t.Fatalf("request %d: %q, %v", i, got, err)
			}
		}
		if served.Load() == 0 {
			t.Error("the second request was not sent again")
		}
	})
	for name, c := range map[string]struct{ method, body, second string }{
		"a write isn't sent again":          {"POST", "x", ""},
		"nor one without a body":            {"DELETE", "", ""},
		"nor what was half answered":        {"GET", "", "HTTP/1.1 200 OK\r\nContent-"},
		"nor what was answered and cut off": {"GET", "", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"},
	} {
		t.Run(name, func(t *testing.T) {
			var again atomic.Bool
			url, _ := raw(t, two(c.second), func(net.Conn, *bufio.Reader) { again.Store(true) })
			d := newDirect(t, &http.Transport{})
			if _, _, err := ask(t, d, "GET", url, ""); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ask(t, d, c.method, url, c.body); err == nil {
				t.Error("answered")
			}
			if again.Load() {
				t.Error("sent again")
			}
		})
	}
}

func TestDirectRefuses(t *testing.T) {
	for name, answer := range map[string]string{
		"an endless header":        "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", directHeaders),
		"endless interim answers":  strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20),
		"another protocol unasked": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"no HTTP":                  "SSH-2.0-OpenSSH_9.2p1\r\n",
		"two lengths":              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
		"nothing":                  "",
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := raw(t, heard(answer))
			if _, _, err := ask(t, newDirect(t, &http.Transport{}), "GET", url, ""); err == nil {
				t.Error("taken for an answer")
			}
		})
	}
}

// What comes behind an answer belongs to no later request.
func TestDirectTakesNoAnswerTwice(t *testing.T) {
	url, _ := raw(t,
		heard("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"),
		heard("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"))
	d := newDirect(t, &http.Transport{})
	for _, want := range []string{"one", "two"} {
		if _, got, err := ask(t, d, "GET", url, ""); err != nil || got != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
}

func TestDirectEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "some")
			w.(http.Flusher).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer up.Close()
	defer close(release)
	d := newDirect(t, &http.Transport{})
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", up.URL+"/header", nil)
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := d.RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a header: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	req, _ = http.NewRequestWithContext(ctx, "GET", up.URL+"/body", nil)
	resp, err := d.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("reading a body: %v", err)
	}
	_ = resp.Body.Close()
	slow := newDirect(t, &http.Transport{ResponseHeaderTimeout: 20 * time.Millisecond})
	if _, _, err := ask(t, slow, "GET", up.URL+"/header", ""); err == nil {
		t.Error("waited for ever")
	}
	if len(d.idle) != 0 || len(slow.idle) != 0 {
		t.Error("a connection that was cut off is used again")
	}
}

func BenchmarkDirect(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1000)) }))
	defer up.Close()
	rest := &http.Transport{DisableCompression: true, DialContext: (&net.Dialer{}).DialContext}
	for name, t := range map[string]http.RoundTripper{"direct": NewDirect(rest), "transport": rest} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			for b.Loop() {
				req, _ := http.NewRequestWithContext(ctx, "GET", up.URL, nil)
				resp, err := t.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}
