package veil

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/gate"
)

// proxied is a proxy of the standard library before upstream, whose answers are masked, and a client of it.
func proxied(t *testing.T, p gate.Permit, two bool, upstream http.HandlerFunc) (get func(path string, h ...string) *http.Response) {
	t.Helper()
	serve := func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.EnableHTTP2 = two
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		if two {
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		return s
	}
	up := serve(upstream)
	to, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := serve(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to); Request(r.Out, p, Options{}) },
		Transport:      up.Client().Transport,
		ModifyResponse: func(r *http.Response) error { return Reply(r, p, Options{}) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusForbidden)
		},
		ErrorLog: log.New(io.Discard, "", 0),
	})
	return func(path string, h ...string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(h); i += 2 {
			r.Header.Set(h[i], h[i+1])
		}
		res, err := front.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
}

func TestThroughAProxy(t *testing.T) {
	for _, two := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2 ", two), func(t *testing.T) {
			next := make(chan struct{})
			upstream := func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/trailers":
					w.Header().Set("Trailer", "X-Told")
					w.Header().Set("Content-Type", "text/plain")
					_, _ = io.WriteString(w, "to "+planted)
					w.Header().Set("X-Told", planted)
					w.Header().Set(http.TrailerPrefix+"X-Untold", planted)
				case "/events":
					w.Header().Set("Content-Type", "text/event-stream")
					for range 3 {
						_, _ = io.WriteString(w, "data: {\"password\":\"hunter2x\"}\n\n")
						_ = http.NewResponseController(w).Flush()
						<-next
					}
				case "/file":
					http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("to "+planted))
				case "/zip":
					w.Header().Set("Content-Type", "application/zip")
					_, _ = io.WriteString(w, "PK\x03\x04")
				case "/long":
					w.Header().Set("Content-Type", "text/plain")
					_, _ = io.WriteString(w, strings.Repeat("nothing of note\n", 100000))
				}
			}
			p := masking(t)
			get := proxied(t, p, two, upstream)
			res := get("/trailers")
			if b, err := io.ReadAll(res.Body); err != nil || string(b) != "to [masked:email]" || res.Trailer.Get("X-Told") != "[masked:email]" || res.Trailer.Get("X-Untold") != "[masked:email]" {
				t.Errorf("trailers: %q, %v, %v", b, err, res.Trailer)
			}
			res = get("/events")
			events := bufio.NewReader(res.Body)
			for range 3 { // each comes before the next one is sent
				line, err := events.ReadString('\n')
				if err != nil || line != "data: {\"password\":\"[masked:sensitive]\"}\n" {
					t.Fatalf("events: %q, %v", line, err)
				}
				_, _ = events.ReadString('\n')
				next <- struct{}{}
			}
			res = get("/file", "Range", "bytes=5-10")
			if b, err := io.ReadAll(res.Body); err != nil || string(b) != "to [masked:email]" || res.StatusCode != http.StatusOK || res.Header.Get("Accept-Ranges") != "" {
				t.Errorf("a range: %d, %q, %v", res.StatusCode, b, err)
			}
			res = get("/zip")
			if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusForbidden || !strings.Contains(string(b), "withheld") {
				t.Errorf("an archive: %d, %q", res.StatusCode, b)
			}
			limited := masking(t)
			limited.limit = 200 << 10
			res = proxied(t, limited, two, upstream)("/long")
			if b, err := io.ReadAll(res.Body); err == nil || len(b) > 200<<10 {
				t.Errorf("a limit: %d bytes, %v", len(b), err)
			}
		})
	}
}

// A reply of any length is masked with bounded memory.
func TestMemory(t *testing.T) {
	row := []byte(`{"id":8412,"password":"hunter2x","note":"nothing of note here, to be reviewed by all of us"},` + "\n")
	for typ, head := range map[string]string{"application/json": "[", "text/csv": "a,b\n", "text/event-stream": "", "text/plain": "x "} {
		one := row
		if typ == "text/event-stream" {
			one = []byte("data: " + strings.TrimSuffix(string(row), ",\n") + "\n\n")
		}
		const n = 8 << 20
		left := n / len(one)
		var pending []byte
		src := readerFunc(func(b []byte) (int, error) {
			for len(pending) == 0 {
				if left == 0 {
					return 0, io.EOF
				}
				left--
				pending = one
			}
			k := copy(b, pending)
			pending = pending[k:]
			return k, nil
		})
		p := masking(t)
		res := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {typ}}, ContentLength: -1, Body: io.NopCloser(io.MultiReader(strings.NewReader(head), src))}
		if err := Reply(res, p, Options{}); err != nil {
			t.Fatal(err)
		}
		var most, before uint64
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		before = m.HeapAlloc
		buf := make([]byte, 32<<10)
		for i := 0; ; i++ {
			k, err := res.Body.Read(buf)
			if bytes.Contains(buf[:k], []byte(named)) && typ != "text/plain" && typ != "text/csv" {
				t.Fatal("planted")
			}
			if i%20000 == 19999 {
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
			if err != nil {
				break
			}
		}
		if most > before+4<<20 {
			t.Errorf("%s: %d MiB at once", typ, most>>20)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
