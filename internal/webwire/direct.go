package webwire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	directBody    = 16 << 10 // bytes of a body that any socket takes at once, so that an answer before its end waits for nobody
	directIdle    = 256      // connections to one address that wait for a request
	directHeaders = 256 << 10
)

// Direct sends plain requests of HTTP/1 on connections of its own, in the goroutine of whoever asks: http.Transport has two
// more for each connection, and waking them takes longer than what a gate does. What Direct isn't made for goes to Rest: TLS,
// bodies that are long or of unknown length, a change of protocol, Expect. Where the system can't tell whether
// a connection still stands, everything does.
//
// It follows nothing, asks no proxy, unpacks nothing, and hears none of httptrace's hooks. A request that finds its
// connection closed is sent again only if nothing was answered, its method is GET, HEAD or OPTIONS, and its
// body is nil or http.NoBody.
type Direct struct {
	Rest *http.Transport // its DialContext, ResponseHeaderTimeout and IdleConnTimeout hold for Direct as well

	mu    sync.Mutex
	idle  map[string][]*directConn // by address, oldest first; guarded by mu
	sweep *time.Timer              // nil: nothing idle; guarded by mu
}

// NewDirect returns a Direct in front of rest, whose fields must not change any more.
func NewDirect(rest *http.Transport) *Direct {
	return &Direct{Rest: rest, idle: map[string][]*directConn{}}
}

// A directConn is one connection. Whoever took it from the pool owns it.
type directConn struct {
	net.Conn
	at    string // its address in the pool
	r     *bufio.Reader
	w     *bufio.Writer
	left  int // bytes that a header may still take; below 0: it is none
	since time.Time
	until time.Time // when its reads end; zero: never
	used  bool
}

// bound has reads end after about so long; 0: never. It costs a system's timer each time, so what is near enough stays.
func (c *directConn) bound(long time.Duration) {
	var until time.Time
	if long > 0 {
		until = time.Now().Add(long)
		if d := until.Sub(c.until); d >= 0 && d <= long/8 {
			return
		}
	} else if c.until.IsZero() {
		return
	}
	c.until = until
	_ = c.SetReadDeadline(until)
}

// Read reads from the socket, and no more of an answer's header than it may have.
func (c *directConn) Read(b []byte) (int, error) {
	if c.left < 0 {
		return c.Conn.Read(b)
	}
	if c.left == 0 {
		return 0, errHeaders
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

var errHeaders = fmt.Errorf("an answer's header of more than %d bytes", directHeaders)

// RoundTrip implements http.RoundTripper.
func (d *Direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if !canPeek || !direct(req) {
		return d.Rest.RoundTrip(req)
	}
	ctx := req.Context()
	for {
		c, err := d.get(ctx, req.URL.Host)
		if err != nil {
			closeBody(req)
			return nil, err
		}
		resp, answered, err := d.exchange(ctx, c, req)
		if err == nil {
			return resp, nil
		}
		_ = c.Close()
		if cause := ctx.Err(); cause != nil {
			return nil, cause
		}
		if !c.used || answered || errors.Is(err, os.ErrDeadlineExceeded) || !repeatable(req) {
			return nil, err
		}
	}
}

// CloseIdleConnections closes what waits for a request.
func (d *Direct) CloseIdleConnections() {
	d.drop(time.Now().Add(time.Hour))
	d.Rest.CloseIdleConnections()
}

// direct reports requests that Direct is made for.
func direct(req *http.Request) bool {
	return req.URL != nil && req.URL.Scheme == "http" && req.URL.Host != "" && req.Method != http.MethodConnect && req.Method != "" &&
		(req.Body == nil || req.Body == http.NoBody || req.ContentLength > 0 && req.ContentLength <= directBody) &&
		len(req.TransferEncoding) == 0 && req.Trailer == nil && !req.Close &&
		req.Header["Upgrade"] == nil && req.Header["Expect"] == nil && req.Header["Connection"] == nil && req.Header["Proxy-Authorization"] == nil && req.Header["Te"] == nil && fields(req.Header)
}

// fields reports that the header can be written as it stands (RFC 9110 section 5); Rest says what is wrong with others.
func fields(h http.Header) bool {
	for name, values := range h {
		if !httpguts.ValidHeaderFieldName(name) {
			return false
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return false
			}
		}
	}
	return true
}

func repeatable(req *http.Request) bool {
	return (req.Body == nil || req.Body == http.NoBody) && (req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodOptions)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// get returns a connection that stands.
func (d *Direct) get(ctx context.Context, host string) (*directConn, error) {
	for {
		c := d.take(host)
		if c == nil {
			break
		}
		c.bound(d.Rest.ResponseHeaderTimeout) // what was bound for the last answer may be over
		if stands(c.Conn) {
			c.used = true
			return c, nil
		}
		_ = c.Close()
	}
	at := host
	if _, _, err := net.SplitHostPort(host); err != nil {
		at = net.JoinHostPort(strings.Trim(host, "[]"), "80")
	}
	conn, err := d.Rest.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	c := &directConn{Conn: conn, at: host, left: -1}
	c.r, c.w = bufio.NewReaderSize(c, 16<<10), bufio.NewWriterSize(conn, 8<<10)
	return c, nil
}

func (d *Direct) take(host string) *directConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.idle[host]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	d.idle[host] = list[:len(list)-1]
	return c
}

// put keeps a connection whose answer was read whole.
func (d *Direct) put(c *directConn) {
	if c.r.Buffered() > 0 { // an answer that nobody asked for
		_ = c.Close()
		return
	}
	c.since = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle[c.at]) >= directIdle {
		_ = c.Close()
		return
	}
	d.idle[c.at] = append(d.idle[c.at], c)
	if d.sweep == nil {
		d.sweep = time.AfterFunc(d.keep(), func() { d.drop(time.Now().Add(-d.keep())) })
	}
}

func (d *Direct) keep() time.Duration {
	if d.Rest.IdleConnTimeout > 0 {
		return d.Rest.IdleConnTimeout
	}
	return 90 * time.Second
}

// drop closes what has waited since before then.
func (d *Direct) drop(then time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep = nil
	for at, list := range d.idle {
		n := 0
		for n < len(list) && !list[n].since.After(then) {
			_ = list[n].Close()
			n++
		}
		if list = slices.Delete(list, 0, n); len(list) == 0 {
			delete(d.idle, at)
			continue
		}
		d.idle[at] = list
		d.sweep = time.AfterFunc(d.keep(), func() { d.drop(time.Now().Add(-d.keep())) })
	}
}

// exchange sends req and reads the header of its answer. answered: some byte of it came.
func (d *Direct) exchange(ctx context.Context, c *directConn, req *http.Request) (resp *http.Response, answered bool, err error) {
	cut := func() bool { return true }
	if ctx.Done() != nil {
		cut = context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	}
	defer func() {
		if err != nil {
			cut()
		}
	}()
	if err := req.Write(c.w); err != nil { // closes the body
		return nil, false, err
	}
	if err := c.w.Flush(); err != nil {
		return nil, false, err
	}
	c.bound(d.Rest.ResponseHeaderTimeout)
	if ctx.Err() != nil { // its deadline, not ours
		return nil, false, ctx.Err()
	}
	c.left = directHeaders
	if _, err := c.r.Peek(1); err != nil {
		return nil, false, err
	}
	for range 6 { // RFC 9110 section 15.2: any number of interim answers
		resp, err = http.ReadResponse(c.r, req)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, true, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			break
		}
		resp = nil
	}
	if resp == nil {
		return nil, true, errors.New("an upstream that answers for ever that it will")
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, true, errors.New("an upstream changed the protocol unasked")
	}
	c.left = -1
	if n := resp.ContentLength; n < 0 || n > int64(c.r.Buffered()) { // the rest may take its time
		c.bound(0)
		if ctx.Err() != nil {
			return nil, true, ctx.Err()
		}
	}
	b := &directBodyReader{d: d, c: c, ctx: ctx, cut: cut, body: resp.Body, last: resp.Close}
	if resp.Body == http.NoBody {
		b.end()
		return resp, true, nil
	}
	resp.Body = b
	return resp, true, nil
}

// A directBodyReader reads an answer's body and then gives its connection back. It is used by one goroutine.
type directBodyReader struct {
	d    *Direct
	c    *directConn // nil once it was given back or closed
	ctx  context.Context
	cut  func() bool // stops watching ctx; false: it ended
	body io.ReadCloser
	last bool // the connection takes no other request
}

func (b *directBodyReader) Read(p []byte) (int, error) {
	if b.c == nil {
		return 0, io.EOF
	}
	n, err := b.body.Read(p)
	switch {
	case err == io.EOF: //nolint:errorlint // as net/http returns it
		b.end()
	case err != nil:
		if cause := b.ctx.Err(); cause != nil {
			err = cause
		}
	}
	return n, err
}

// end gives the connection back.
func (b *directBodyReader) end() {
	c := b.c
	b.c = nil
	if !b.cut() || b.last {
		_ = c.Close()
		return
	}
	b.d.put(c)
}

// Close ends the reading; a connection with bytes left is closed.
func (b *directBodyReader) Close() error {
	if b.c == nil {
		return nil
	}
	b.cut()
	c := b.c
	b.c = nil
	return c.Close()
}
