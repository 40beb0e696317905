package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/assenthq/assent/gate/gatetest"
	classify "github.com/assenthq/assent/internal/classify/http"
)

// What was permitted once is sent once, also where a connection that was used before ends without an answer: nobody knows
// whether it ran.
func TestNothingIsSentTwice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var mu sync.Mutex
	came := map[string]int{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				for in := bufio.NewReader(c); ; {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(r.Body)
					mu.Lock()
					came[r.Method+" "+r.URL.Path]++
					mu.Unlock()
					if len(body) > 0 || len(r.TransferEncoding) > 0 {
						t.Errorf("%s came with a body: %q, %v", r.Method, body, r.TransferEncoding)
					}
					if r.URL.Path != "/first" {
						return // it may have run
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}()
		}
	}()
	m, err := classify.Parse([]byte("rows:\n  - match: GET /jobs/{id}:run\n    kinds: [execute]\n"), "m.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	addr := serve(t, newGate(t, l.Addr().String(), &gatetest.Authority{}, func(o *Config) {
		o.Routes[0].Mapping, o.Routes[0].Transport = m, tr
	}))
	ask := func(method, path string) int {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header = http.Header{"Authorization": {"Bearer " + gatetest.Token}, "Idempotency-Key": {"1"}, "X-Idempotency-Key": {"1"}}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for _, what := range []string{"GET /jobs/7:run", "POST /pay", "DELETE /x", "PUT /y"} {
		if ask("GET", "/first") != 200 {
			t.Fatal("the first request has no answer")
		}
		method, path, _ := strings.Cut(what, " ")
		if status := ask(method, path); status != http.StatusBadGateway {
			t.Errorf("%s: %d", what, status)
		}
		mu.Lock()
		if came[what] != 1 {
			t.Errorf("%s was sent %d times", what, came[what])
		}
		mu.Unlock()
	}
}
