package webwire_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/webwire"
)

// An entry is one connection of testdata/smuggling.txt.
type entry struct {
	name string
	want []string
	raw  string
}

func corpus(t testing.TB) (all []entry) {
	t.Helper()
	text, err := os.ReadFile("testdata/smuggling.txt")
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "name: "):
			all = append(all, entry{name: line[6:]})
		case strings.HasPrefix(line, "want: "):
			e := &all[len(all)-1]
			e.want = append(e.want, line[6:])
		default:
			s, err := strconv.Unquote(line)
			if err != nil {
				t.Fatalf("line %d: %v", n+1, err)
			}
			all[len(all)-1].raw += s
		}
	}
	if len(all) < 150 {
		t.Fatalf("%d entries were read", len(all))
	}
	return all
}

// serve runs handler behind a checked listener, and gives its address and what was refused.
func serve(t testing.TB, h http.Handler, o webwire.Options, lim webwire.Limits) (addr string, refused <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1024)
	o.Refused = func(_ net.Addr, why error) {
		select {
		case told <- why:
		default:
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- webwire.Serve(ctx, l, h, lim, o, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), told
}

// echo says what arrived, after Target and Clean have had their say.
func echo(w http.ResponseWriter, r *http.Request) {
	err := webwire.Target(r, webwire.Rules{})
	if err == nil {
		err = webwire.Clean(r.Header)
	}
	var n int64
	if err == nil {
		n, err = io.Copy(io.Discard, r.Body)
	}
	var why *webwire.Refusal
	if errors.As(err, &why) {
		http.Error(w, why.Why, why.Status)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%s %s %d", r.Method, r.RequestURI, n)
}

func TestSmugglingCorpus(t *testing.T) {
	for _, how := range []string{"plain", "TLS"} {
		t.Run(how, func(t *testing.T) {
			var o webwire.Options
			if how == "TLS" {
				o.TLS = certificate(t, "a")
			}
			addr, refused := serve(t, http.HandlerFunc(echo), o, webwire.Limits{})
			for _, e := range corpus(t) {
				t.Run(e.name, func(t *testing.T) {
					for len(refused) > 0 {
						<-refused
					}
					got := say(t, addr, o.TLS, e.raw)
					for i, want := range e.want {
						status, why, _ := strings.Cut(want, " ")
						if i >= len(got) || !strings.HasPrefix(got[i], status+" ") || status == "200" && got[i] != want {
							t.Fatalf("answers %q, want %q", got, e.want)
						}
						if status == "200" || why == "" || strings.HasSuffix(got[i], " "+why) {
							continue
						}
						select {
						case err := <-refused:
							if err.Error() != "ambiguous request: "+why {
								t.Errorf("refused as %v, want %s", err, why)
							}
						case <-time.After(5 * time.Second):
							t.Errorf("answers %q, and nothing was refused", got)
						}
					}
					if len(got) != len(e.want) {
						t.Errorf("answers %q, want %q", got, e.want)
					}
				})
			}
		})
	}
}

// say writes raw on a new connection and gives what comes back, one line a reply.
func say(t *testing.T, addr string, encrypted *tls.Config, raw string) (got []string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	w := io.Writer(c)
	end := c.(*net.TCPConn).CloseWrite
	r := io.Reader(c)
	if encrypted != nil {
		// InsecureSkipVerify: the certificate is the test's own, made a moment ago.
		s := tls.Client(c, &tls.Config{ServerName: "a", InsecureSkipVerify: true})
		if err := s.Handshake(); err != nil {
			t.Fatal(err)
		}
		w, r, end = s, s, s.CloseWrite
	}
	if _, err := io.WriteString(w, raw); err == nil {
		_ = end()
	}
	for br := bufio.NewReader(r); ; {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			return got
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		got = append(got, fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body))))
	}
}
