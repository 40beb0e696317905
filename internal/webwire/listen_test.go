package webwire_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/webwire"
)

// gone serves handlers that tell when their request's context ends.
func gone(t *testing.T, o webwire.Options) (addr string, began, ended chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	began, ended = make(chan string, 100), make(chan string, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- webwire.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			long, err := time.ParseDuration(r.URL.Query().Get("for"))
			if err != nil {
				t.Error(err)
			}
			began <- r.URL.Path
			select {
			case <-r.Context().Done():
				ended <- r.URL.Path
			case <-time.After(long):
			}
			_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
		}), webwire.Limits{Grace: time.Second}, o, nil)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), began, ended
}

func heard(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil || string(got) != want {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

// What runs is told that its client went away: with a body and without, on a new connection and on one that was used, after a request that was slow too.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		o := webwire.Options{}
		if secure {
			o.TLS = certificate(t, "a")
		}
		addr, began, ended := gone(t, o)
		for i, before := range []string{
			"",
			"GET /quick?for=0s HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /slow?for=150ms HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST /slow?for=150ms HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
		} {
			for _, last := range []string{
				"GET /last?for=1m HTTP/1.1\r\nHost: a\r\n\r\n",
				"POST /last?for=1m HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
				"POST /last?for=1m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
			} {
				c := dial(t, addr, o.TLS)
				r := bufio.NewReader(c)
				if before != "" {
					_, _ = io.WriteString(c, before)
					<-began
					resp, err := http.ReadResponse(r, nil)
					if err != nil {
						t.Fatal(i, err)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
				}
				_, _ = io.WriteString(c, last)
				<-began
				_ = c.Close()
				select {
				case got := <-ended:
					if got != "/last" {
						t.Errorf("%d: %s ended", i, got)
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("%v %d %q: nobody told the handler", secure, i, last)
				}
			}
		}
	}
}

// What a client sends while an earlier request is answered is read as if it had waited.
func TestAskedBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		o := webwire.Options{}
		if secure {
			o.TLS = certificate(t, "a")
		}
		addr, began, ended := gone(t, o)
		c := dial(t, addr, o.TLS)
		r := bufio.NewReader(c)
		for range 3 {
			_, _ = io.WriteString(c, "GET /one?for=300ms HTTP/1.1\r\nHost: a\r\n\r\n")
			<-began
			time.Sleep(120 * time.Millisecond) // somebody listens by now
			_, _ = io.WriteString(c, "POST /two?for=1ms HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /three?for=120ms HTTP/1.1\r\nHost: a\r\n\r\n")
			heard(t, r, "GET /one ")
			<-began
			heard(t, r, "POST /two abc")
			<-began
			heard(t, r, "GET /three ")
			_, _ = io.WriteString(c, "GET /four?for=0s HTTP/1.1\r\nHost: a\r\n\r\n")
			<-began
			heard(t, r, "GET /four ")
		}
		// What is no request ends the connection, once the answer is there.
		_, _ = io.WriteString(c, "GET /five?for=200ms HTTP/1.1\r\nHost: a\r\n\r\n")
		<-began
		time.Sleep(120 * time.Millisecond)
		_, _ = io.WriteString(c, "g")
		heard(t, r, "GET /five ")
		if _, err := r.ReadByte(); err == nil {
			t.Error("an answer to what is no request")
		}
		if len(ended) > 0 {
			t.Errorf("%s was ended", <-ended)
		}
	}
}

// A connection that waits between requests is closed in time, also after one that was slow.
func TestIdle(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- webwire.Serve(ctx, l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				time.Sleep(1200 * time.Millisecond) // longer than a connection may idle
			}
		}), webwire.Limits{Idle: time.Second, Header: time.Second}, webwire.Options{}, nil)
	}()
	c := dial(t, l.Addr().String(), nil)
	r := bufio.NewReader(c)
	for _, path := range []string{"/", "/", "/slow", "/"} {
		time.Sleep(150 * time.Millisecond) // less than it may
		_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		heard(t, r, "")
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("%v, want the end", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
