package webwire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Listener. The zero value is plain HTTP/1.
type Options struct {
	TLS       *tls.Config   // nil: what l gives is served as it is, plain or TLS
	H2C       bool          // HTTP/2 without TLS may be spoken: only where the way is private
	Conns     int           // at once; one more is closed at once. 0: 4096. A TLS listener's own HTTP/2 connections are not counted
	Handshake time.Duration // how long TLS may take to begin; 0: 10 s
	Stall     time.Duration // how long a client may take none of what it is sent; 0: 2 min
	// Refused is told of every connection that ended because of what it sent. why is a *Refusal, or what TLS said.
	Refused func(client net.Addr, why error)
}

const (
	defaultConns     = 4096
	defaultHandshake = 10 * time.Second
	defaultStall     = 2 * time.Minute
	// leastRate is how many bytes a second a client must send or take, beyond the time it is given anyway.
	leastRate = 1 << 10
)

var errTooMany = errors.New("too many connections")

// Listener checks the framing of all HTTP/1 requests on the connections of l, in place: Read reads into the caller's
// buffer and a small machine goes over these very bytes. A connection that agreed on HTTP/2 by ALPN is given as the
// *tls.Conn that http.Server wants, and any other TLS connection as one whose bytes are checked after TLS.
// Close ends handshakes under way.
func Listener(l net.Listener, o Options) net.Listener {
	if o.Conns <= 0 {
		o.Conns = defaultConns
	}
	if o.Handshake <= 0 {
		o.Handshake = defaultHandshake
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.Refused == nil {
		o.Refused = func(net.Addr, error) {}
	}
	ctx, end := context.WithCancel(context.Background())
	return &listener{Listener: l, o: o, ctx: ctx, end: end, ready: make(chan net.Conn), slots: make(chan struct{}, o.Conns)}
}

type listener struct {
	net.Listener
	o      Options
	ctx    context.Context // until Close
	end    context.CancelFunc
	begin  sync.Once
	ready  chan net.Conn
	slots  chan struct{}
	failed error         // why l gave no more; set before broken is closed
	broken chan struct{} // made by begin
}

func (l *listener) Accept() (net.Conn, error) {
	l.begin.Do(func() {
		l.broken = make(chan struct{})
		go l.accept()
	})
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.broken:
		return nil, l.failed
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.end()
	return l.Listener.Close()
}

// accept takes connections until l gives no more.
func (l *listener) accept() {
	defer close(l.broken)
	wait := 5 * time.Millisecond
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Temporary() && l.ctx.Err() == nil { //nolint:staticcheck // out of files: net/http asks the same
				select {
				case <-time.After(wait):
				case <-l.ctx.Done():
				}
				wait = min(2*wait, time.Second)
				continue
			}
			l.failed = err
			return
		}
		wait = 5 * time.Millisecond
		select {
		case l.slots <- struct{}{}:
		default:
			l.o.Refused(c.RemoteAddr(), errTooMany)
			_ = c.Close()
			continue
		}
		_, encrypted := c.(*tls.Conn)
		if l.o.TLS == nil && !encrypted {
			l.give(l.checked(c, l.counted(c), l.o.H2C))
			continue
		}
		go l.handshake(c)
	}
}

// handshake begins TLS and finds out what is spoken inside.
func (l *listener) handshake(c net.Conn) {
	below := l.counted(c)
	t, ours := c.(*tls.Conn)
	if !ours {
		t = tls.Server(below, l.o.TLS)
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.o.Handshake)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		_ = below.Close()
		if !errors.Is(err, io.EOF) && l.ctx.Err() == nil {
			l.o.Refused(c.RemoteAddr(), err)
		}
		return
	}
	if t.ConnectionState().NegotiatedProtocol == "h2" {
		if ours { // http.Server wants the *tls.Conn itself, so its end can't be seen
			below.free()
		}
		l.give(t)
		return
	}
	if ours {
		l.give(&tlsConn{Conn: l.checked(t, below, false), t: t})
		return
	}
	l.give(&tlsConn{Conn: l.checked(t, &counted{t, below.free}, false), t: t})
}

// checked wraps c. below is closed in its place.
func (l *listener) checked(c, below net.Conn, h2c bool) *Conn {
	w := &Conn{Conn: c, below: below, stall: l.o.Stall, refused: l.o.Refused}
	_, w.tls = c.(*tls.Conn)
	w.m.state = stMethod
	if h2c {
		w.m.state = stPreface
	}
	return w
}

func (l *listener) give(c net.Conn) {
	select {
	case l.ready <- c:
	case <-l.ctx.Done():
		_ = c.Close()
	}
}

// counted gives its slot back when it is closed.
type counted struct {
	net.Conn
	free func() // once
}

func (l *listener) counted(c net.Conn) *counted {
	return &counted{c, sync.OnceFunc(func() { <-l.slots })}
}

func (c *counted) Close() error {
	c.free() // first: who sees the end, which TLS tells before the connection is closed, may come again at once
	return c.Conn.Close()
}

// A Conn is an HTTP/1 connection whose requests are checked as they are read. As any connection under http.Server,
// it is read by one goroutine at a time.
type Conn struct {
	net.Conn
	below   net.Conn // closed instead of Conn
	m       machine
	bad     *Refusal // what ended it
	told    bool     // and somebody was told
	ended   bool     // and a handler got it as the end of a body
	held    []byte   // what came in one piece with a request that asks to leave HTTP/1: at most what one Read gave
	aside   bool
	in      reading
	tls     bool         // Conn encrypts
	own     atomic.Bool  // somebody set a deadline for writes
	until   atomic.Int64 // what Write set it to, in nanoseconds since 1970; 0: nothing
	stall   time.Duration
	refused func(net.Addr, error)
}

// Read hands on what is beyond doubt. Its error is a *Refusal otherwise, which net/http answers with 400; once in
// the middle of a body, where a handler reads, and io.EOF from then on.
func (c *Conn) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0 || c.aside && len(c.held) == 0:
		return c.Conn.Read(p)
	case c.aside:
		return c.pull(p)
	case c.bad == nil && c.ahead(p):
		c.attend()
		return 0, nil
	}
	c.rest()
	switch {
	case c.ended:
		return 0, io.EOF
	case c.bad != nil:
		return 0, c.tell()
	case c.m.switched:
		// While a handler decides whether to take the connection over, net/http looks whether one more byte comes.
		// That one is handed on, and judged where nobody took the connection over.
		n, err := c.pull(p[:1])
		if n > 0 {
			c.m.switched = false
			_, c.bad = c.m.feed(p[:n])
		}
		return n, err
	}
	n, err := c.pull(p)
	k, bad := c.m.feed(p[:n])
	if k == n {
		return n, err
	}
	if bad == nil { // the rest may be another protocol's
		c.held = append(bytes.Clone(p[k:n]), c.held...)
		clear(p[k:n])
		return k, nil
	}
	clear(p[k:n])
	c.bad = bad
	return k, c.tell()
}

// pull reads what is held, or else the connection.
func (c *Conn) pull(p []byte) (int, error) {
	if len(c.held) == 0 {
		return c.receive(p)
	}
	n := copy(p, c.held)
	if c.held = c.held[n:]; len(c.held) == 0 {
		c.held = nil
	}
	return n, nil
}

func (c *Conn) tell() error {
	c.ended = c.m.inBody()
	if !c.told {
		c.told = true
		c.refused(c.RemoteAddr(), c.bad)
	}
	return c.bad
}

// Write bounds how long the client may leave it waiting.
func (c *Conn) Write(p []byte) (int, error) {
	if c.aside || c.own.Load() {
		return c.Conn.Write(p)
	}
	until := time.Now().Add(c.stall + time.Duration(len(p)/leastRate)*time.Second)
	if time.Duration(until.UnixNano()-c.until.Load()).Abs() > c.stall/8 { // it costs a system's timer each time
		c.until.Store(until.UnixNano())
		_ = c.Conn.SetWriteDeadline(until)
	}
	if c.tls { // which may have to answer a key update while it reads, long after this
		defer func() {
			c.until.Store(0)
			_ = c.Conn.SetWriteDeadline(time.Time{})
		}()
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline sets another bound than Write would.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if own := !t.IsZero(); !c.own.Swap(own) && !own && !c.tls && !c.aside {
		return nil // what stands is Write's own, which it looks at each time
	}
	c.until.Store(0)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close ends it.
func (c *Conn) Close() error {
	c.leave()
	return c.below.Close()
}

// CloseWrite says that nothing more comes, so that a last reply arrives.
func (c *Conn) CloseWrite() error {
	if w, is := c.Conn.(interface{ CloseWrite() error }); is {
		return w.CloseWrite()
	}
	return nil
}

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Aside ends the checks: what comes from here on is another protocol. Serve calls it for a handler that takes the
// connection over; whoever runs a server of their own calls it after Hijack and before the next Read.
func (c *Conn) Aside() {
	c.rest()
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if !c.aside {
		c.aside, c.bad = true, nil
		c.bound(c.in.want)
		_ = c.Conn.SetWriteDeadline(time.Time{})
	}
}

// Aside tells c, if it is ours, that another protocol is spoken from here on.
func Aside(c net.Conn) {
	if ours, is := c.(interface{ Aside() }); is {
		ours.Aside()
	}
}

// tlsConn has what net/http looks for to fill in Request.TLS.
type tlsConn struct {
	*Conn
	t *tls.Conn
}

func (c *tlsConn) ConnectionState() tls.ConnectionState { return c.t.ConnectionState() }
