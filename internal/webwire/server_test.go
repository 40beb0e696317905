package webwire_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/webwire"
)

// client is an http.Client for addr that speaks one protocol.
func client(t testing.TB, addr string, set func(*http.Protocols)) *http.Client {
	t.Helper()
	p := new(http.Protocols)
	set(p)
	// InsecureSkipVerify: the certificate is the test's own, made a moment ago.
	tr := &http.Transport{Protocols: p, TLSClientConfig: &tls.Config{ServerName: "a", InsecureSkipVerify: true}}
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// Ordinary clients are served, by each protocol, and handlers see what TLS said.
func TestProtocols(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprint(w, r.ProtoMajor, r.TLS != nil && r.TLS.ServerName == "a", len(b), err)
	})
	for name, c := range map[string]struct {
		o      webwire.Options
		scheme string
		set    func(*http.Protocols)
		want   string
	}{
		"HTTP/1":                         {webwire.Options{}, "http", func(p *http.Protocols) { p.SetHTTP1(true) }, "1 false 100000 <nil>"},
		"HTTP/1 over TLS":                {webwire.Options{TLS: certificate(t, "a")}, "https", func(p *http.Protocols) { p.SetHTTP1(true) }, "1 true 100000 <nil>"},
		"HTTP/2 over TLS":                {webwire.Options{TLS: certificate(t, "a")}, "https", func(p *http.Protocols) { p.SetHTTP2(true) }, "2 true 100000 <nil>"},
		"h2c":                            {webwire.Options{H2C: true}, "http", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, "2 false 100000 <nil>"},
		"HTTP/1 where h2c may be spoken": {webwire.Options{H2C: true}, "http", func(p *http.Protocols) { p.SetHTTP1(true) }, "1 false 100000 <nil>"},
		"h2c where it may not":           {webwire.Options{}, "http", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := serve(t, handler, c.o, webwire.Limits{})
			cl := client(t, addr, c.set)
			for range 3 {
				// Hidden from http.Client: it sends the body in chunks.
				resp, err := cl.Post(c.scheme+"://a/x", "text/plain", struct{ io.Reader }{bytes.NewReader(make([]byte, 100000))})
				if err != nil {
					if c.want != "" {
						t.Fatal(err)
					}
					return
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if string(got) != c.want || err != nil {
					t.Errorf("%q, %v; want %q", got, err, c.want)
				}
			}
		})
	}
}

// A listener that has begun TLS already is served as well.
func TestTLSListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- webwire.Serve(ctx, tls.NewListener(l, certificate(t, "a")), http.HandlerFunc(echo), webwire.Limits{}, webwire.Options{}, nil)
	}()
	for _, set := range []func(*http.Protocols){func(p *http.Protocols) { p.SetHTTP1(true) }, func(p *http.Protocols) { p.SetHTTP2(true) }} {
		resp, err := client(t, l.Addr().String(), set).Get("https://a/x")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The name that TLS was asked for and Host are one, over HTTP/1 and HTTP/2.
func TestMisdirected(t *testing.T) {
	addr, _ := serve(t, http.HandlerFunc(echo), webwire.Options{TLS: certificate(t, "a")}, webwire.Limits{})
	for _, set := range []func(*http.Protocols){func(p *http.Protocols) { p.SetHTTP1(true) }, func(p *http.Protocols) { p.SetHTTP2(true) }} {
		for host, want := range map[string]int{"a": 200, "A:443": 200, "a.": 200, "b": 421, "a.evil": 421, "127.0.0.1": 200, "[::1]:443": 200, "127.0.0.1.evil": 421} {
			r, _ := http.NewRequest(http.MethodGet, "https://a/", nil)
			r.Host = host
			resp, err := client(t, addr, set).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("Host %s: %d, want %d", host, resp.StatusCode, want)
			}
		}
	}
}

// A handler that takes the connection over gets all bytes as they are, also those that came with the request.
func TestHijack(t *testing.T) {
	for _, how := range []string{"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"} {
		for _, after := range []string{"", "\x16\x03\x01\x00rest", "\x16", "GET / HTTP/1.1\r\n"} {
			addr, refused := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				c, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				_, _ = io.WriteString(c, "go\n")
				_, _ = io.Copy(c, rw)
			}), webwire.Options{}, webwire.Limits{})
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(c, how+after)
			r := bufio.NewReader(c)
			if s, err := r.ReadString('\n'); s != "go\n" {
				t.Fatal(s, err)
			}
			_, _ = io.WriteString(c, "\x00\xff\r\n\n")
			_ = c.(*net.TCPConn).CloseWrite()
			got, err := io.ReadAll(r)
			if string(got) != after+"\x00\xff\r\n\n" || err != nil {
				t.Errorf("after %q: %q came back, %v", after, got, err)
			}
			if len(refused) > 0 {
				t.Errorf("after %q: %v", after, <-refused)
			}
		}
	}
}

// What follows a CONNECT that is not taken up is read as a request again.
func TestTunnelRefused(t *testing.T) {
	addr, _ := serve(t, http.HandlerFunc(echo), webwire.Options{}, webwire.Limits{})
	const connect = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
	for after, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":                       "[200 CONNECT a:443 0 200 GET / 0]",
		"\x16\x03\x01\x00":                                        "[200 CONNECT a:443 0]", // net/http answers nothing to less than four bytes
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n": "[200 CONNECT a:443 0 400 400 Bad Request]",
	} {
		if got := fmt.Sprint(say(t, addr, nil, connect+after)); got != want {
			t.Errorf("%q: %s", after, got)
		}
	}
}

// Clients that are slow cost what one connection costs, for as long as the limits say.
func TestSlowClients(t *testing.T) {
	lim := webwire.Limits{Header: 200 * time.Millisecond, Idle: 200 * time.Millisecond, Stall: 200 * time.Millisecond}
	bodies := make(chan error, 100)
	addr, _ := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unread" {
			return
		}
		_, err := io.Copy(io.Discard, r.Body)
		bodies <- err
	}), webwire.Options{Conns: 60}, lim)
	_ = dial(t, addr, nil).Close()
	<-bodies
	before := runtime.NumGoroutine() + 1 // the one that was dialled may still be ending
	for name, raw := range map[string]string{
		"nothing":            "",
		"a line":             "GET / HT",
		"a head":             "GET / HTTP/1.1\r\nHost: a\r\nX: ",
		"a body":             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc",
		"a body nobody read": "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc",
		"a chunk":            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5",
		"idle":               "GET /unread HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var conns []net.Conn
			for range 8 {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_, _ = io.WriteString(c, raw)
				conns = append(conns, c)
			}
			for _, c := range conns {
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
					t.Errorf("the connection did not end: %v", err)
				}
			}
		})
	}
	for n := len(bodies); n > 0; n-- {
		if err := <-bodies; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a body that never came: %v", err)
		}
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// A body over HTTP/2 that does not come ends too, and time in which nobody reads it does not count.
func TestSlowStreams(t *testing.T) {
	bodies := make(chan error, 2)
	addr, _ := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			time.Sleep(300 * time.Millisecond) // longer than Stall
		}
		_, err := io.Copy(io.Discard, r.Body)
		bodies <- err
	}), webwire.Options{H2C: true}, webwire.Limits{Stall: 200 * time.Millisecond})
	cl := client(t, addr, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
	for path, want := range map[string]error{"/held": nil, "/slow": os.ErrDeadlineExceeded} {
		r, w := io.Pipe()
		go func() {
			_, _ = io.WriteString(w, "some")
			if want == nil {
				_ = w.Close()
			}
		}()
		go func() {
			if resp, err := cl.Post("http://a"+path, "text/plain", r); err == nil {
				_ = resp.Body.Close()
			}
			_ = w.Close()
		}()
		if err := <-bodies; !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

// A client that takes nothing of its reply is let go.
func TestSlowReaders(t *testing.T) {
	for _, how := range []string{"plain", "TLS"} {
		o := webwire.Options{Stall: 200 * time.Millisecond}
		if how == "TLS" {
			o.TLS = certificate(t, "a")
		}
		gone := make(chan error, 1)
		addr, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				return
			}
			rc := http.NewResponseController(w)
			for some := make([]byte, 1000); ; {
				if _, err := w.Write(some); err != nil {
					gone <- err
					return
				}
				if err := rc.Flush(); err != nil {
					gone <- err
					return
				}
			}
		}), o, webwire.Limits{})
		c := dial(t, addr, o.TLS)
		defer c.Close()
		_, _ = io.WriteString(c, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
		if err := <-gone; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// One connection more than Conns is closed at once, and a place that is free again is given.
func TestConns(t *testing.T) {
	for _, how := range []string{"plain", "TLS"} {
		var o webwire.Options
		if o.Conns = 2; how == "TLS" {
			o.TLS = certificate(t, "a")
		}
		addr, refused := serve(t, http.HandlerFunc(echo), o, webwire.Limits{})
		for range 3 {
			var open []net.Conn
			for range 2 {
				open = append(open, dial(t, addr, o.TLS))
			}
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the third was not closed: %v", how, err)
			}
			<-refused
			for _, c := range open {
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				_, _ = io.Copy(io.Discard, c) // until the server closed it
				_ = c.Close()
			}
		}
	}
}

// dial opens a connection and waits until it is served.
func dial(t testing.TB, addr string, encrypted *tls.Config) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if encrypted != nil {
		// InsecureSkipVerify: the certificate is the test's own, made a moment ago.
		c = tls.Client(c, &tls.Config{ServerName: "a", InsecureSkipVerify: true})
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if n, err := c.Read(make([]byte, 4096)); n == 0 {
		t.Fatal(err)
	}
	return c
}

// A slow or broken beginning of TLS ends, and is told.
func TestHandshakes(t *testing.T) {
	addr, refused := serve(t, http.HandlerFunc(echo), webwire.Options{TLS: certificate(t, "a"), Handshake: 200 * time.Millisecond}, webwire.Limits{})
	for _, raw := range []string{"", "\x16\x03\x01", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, raw)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: the connection did not end", raw)
		}
		_ = c.Close()
		if err := <-refused; err == nil {
			t.Errorf("%q: nothing was told", raw)
		}
	}
}

// Streams that are opened and reset at once cost no more handlers than streams may be open: they count until they end.
func TestRapidReset(t *testing.T) {
	var running, most atomic.Int64
	hold := make(chan struct{})
	addr, _ := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-hold
		running.Add(-1)
	}), webwire.Options{H2C: true}, webwire.Limits{Streams: 20})
	defer close(hold)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(4, 0, 0, ""))
	away := make(chan byte, 1)
	go func() { // reads frames until the server ends the connection
		defer close(away)
		for head := make([]byte, 9); ; {
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
			if _, err := io.ReadFull(c, body); err != nil {
				return
			}
			if head[3] == 7 { // GOAWAY
				away <- body[7]
				return
			}
		}
	}()
	for id := uint32(1); id < 20000; id += 2 {
		// By HPACK: GET, http, /, and :authority a. Then RST_STREAM, CANCEL.
		if _, err := io.WriteString(c, frame(1, 5, id, "\x82\x86\x84\x01\x01a")+frame(3, 0, id, "\x00\x00\x00\x08")); err != nil {
			break // the server has closed it
		}
	}
	if code, told := <-away; told && code != 11 {
		t.Errorf("the connection ended with %d, not ENHANCE_YOUR_CALM", code)
	}
	if n := most.Load(); n == 0 || n > 20 {
		t.Errorf("%d handlers ran at once, of 20 streams", n)
	}
}

// Requests under way end before Serve does, or are told to.
func TestGraceful(t *testing.T) {
	for _, patient := range []bool{true, false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		in, out := make(chan struct{}), make(chan struct{})
		lim := webwire.Limits{Grace: 10 * time.Second}
		if !patient {
			lim.Grace = 50 * time.Millisecond
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- webwire.Serve(ctx, l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(in)
				if patient {
					<-out
				} else {
					<-r.Context().Done()
				}
			}), lim, webwire.Options{}, nil)
		}()
		answer := make(chan error, 1)
		go func() {
			resp, err := http.Get("http://" + l.Addr().String())
			if err == nil {
				_ = resp.Body.Close()
			}
			answer <- err
		}()
		<-in
		cancel()
		close(out)
		if err := <-answer; patient && err != nil {
			t.Errorf("the request under way: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// frame is one of HTTP/2.
func frame(kind, flags byte, stream uint32, body string) string {
	head := []byte{0, 0, byte(len(body)), kind, flags}
	return string(binary.BigEndian.AppendUint32(head, stream)) + body
}

// Over HTTP/2 a Host beside :authority must agree with it, and headers of HTTP/1 framing are refused.
func TestHTTP2Heads(t *testing.T) {
	addr, _ := serve(t, http.HandlerFunc(echo), webwire.Options{H2C: true}, webwire.Limits{})
	literal := func(name, value string) string {
		return "\x00" + string(rune(len(name))) + name + string(rune(len(value))) + value
	}
	const head = "\x82\x86\x84\x01\x01a" // GET, http, /, :authority a
	for name, c := range map[string]struct {
		block  string
		status byte // as HPACK has it; 0: the stream is reset, or the connection ended
	}{
		"plain":                {head, 0x88},
		"a Host that agrees":   {head + literal("host", "a"), 0x88},
		"a Host that does not": {head + literal("host", "b"), 0x8c},
		"a transfer coding":    {head + literal("transfer-encoding", "chunked"), 0},
		"a connection option":  {head + literal("connection", "close"), 0},
		"a capital":            {head + literal("X-A", "b"), 0},
		"a LF in a value":      {head + literal("x", "a\nb"), 0},
		"a second path":        {head + "\x84", 0},
		"a dot segment":        {"\x82\x86\x01\x01a\x04\x05/../a", 0x8c},
		"a path without slash": {"\x82\x86\x01\x01a\x04\x01a", 0},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(4, 0, 0, "")+frame(1, 5, 1, c.block))
			for head := make([]byte, 9); ; {
				if _, err := io.ReadFull(conn, head); err != nil {
					if c.status != 0 {
						t.Fatal(err)
					}
					return
				}
				body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
				if _, err := io.ReadFull(conn, body); err != nil {
					t.Fatal(err)
				}
				switch head[3] {
				case 1: // HEADERS
					if body[0] != c.status && (c.status != 0 || body[0] == 0x88) {
						t.Errorf("status %x, want %x", body[0], c.status)
					}
					return
				case 3, 7: // RST_STREAM, GOAWAY
					if c.status != 0 {
						t.Errorf("it was reset")
					}
					return
				}
			}
		})
	}
}
