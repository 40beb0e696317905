package gate

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
)

// Sizes of the buffers of one connection, in bytes. A held connection keeps
// the two read buffers; together with two goroutines it stays below 64 KiB.
const (
	clientBuffer   = 4 << 10
	upstreamBuffer = 8 << 10
	outBuffer      = 4 << 10
	inlineWrite    = 32 << 10 // more than this is written beside reading the reply
)

// A Conn is one client connection and its way upstream. Its fields belong to
// the goroutine that serves the connection.
type Conn struct {
	In  *bufio.Reader // from the client; also holds what was read ahead while waiting
	Out *bufio.Writer // to the client
	Up  *bufio.Reader // from upstream

	cfg      Config
	raw      net.Conn // the client's socket, for deadlines
	client   net.Conn // raw, or TLS over it
	upstream net.Conn
	asked    func() error // upstream's askNow; nil: it has none
	session  Session
	peer     Peer
	narrow   *bufio.Reader // Up, while a wide reader stands for it
	upErr    error         // how upstream ended while nobody asked it anything
	kept     []*onePermit
	ctx      context.Context
	cancel   context.CancelFunc

	asking    asking
	wait      context.Context // what actions are decided under; ended by callOff
	callOff   context.CancelCauseFunc
	onHeld    func(Held)
	onPreview func(context.Context) action.Preview

	mu       sync.Mutex // guards what follows
	waiting  context.CancelCauseFunc
	draining bool
	idle     bool        // no request is being decided or executed
	turn     uint64      // how often it became idle
	seen     uint64      // turn when the timer last fired
	timer    *time.Timer // looks for a connection that stays idle
	armed    bool
	watch    chan struct{} // while upstream is watched: closed when that ended
	runs     bool          // a request runs that reads nothing from the client
	unwatch  func()        // while the client is watched meanwhile: ends that
}

// idleAfter is how long a connection is idle before upstream is watched too. A
// busy one pays for no second goroutine.
const idleAfter = 20 * time.Millisecond

// runsAfter is how long a request runs before the client is watched: one that
// leaves must not leave a long statement behind.
const runsAfter = time.Second

func newConn(client net.Conn, cfg Config) *Conn {
	client = quick(client)
	c := &Conn{cfg: cfg, raw: client, client: client, peer: Peer{Gate: cfg.Name, Address: client.RemoteAddr().String()}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.In, c.Out = bufio.NewReaderSize(client, clientBuffer), bufio.NewWriterSize(client, outBuffer)
	c.onHeld, c.onPreview = c.beginHold, c.preview
	context.AfterFunc(c.ctx, func() { _ = c.raw.Close() })
	return c
}

// Config of the gate that serves c.
func (c *Conn) Config() Config { return c.cfg }

// Context ends when the connection does.
func (c *Conn) Context() context.Context { return c.ctx }

// Session is nil until Login.
func (c *Conn) Session() Session { return c.session }

// Client is the client's connection: a *tls.Conn after StartTLS.
func (c *Conn) Client() net.Conn { return c.client }

// Upstream is nil until Dial.
func (c *Conn) Upstream() net.Conn { return c.upstream }

// StartTLS makes the client's side TLS. Bytes that arrived before the switch
// would be read as if they had come inside it (CVE-2021-23214), so any is an error.
func (c *Conn) StartTLS(ctx context.Context, cfg *tls.Config) error {
	if c.In.Buffered() > 0 {
		return fmt.Errorf("starting TLS: the client sent bytes before the switch: %w", ErrUnreadable)
	}
	return c.startTLS(ctx, cfg, c.client)
}

// StartTLSAhead is StartTLS for a protocol whose clients begin TLS without waiting for an answer: bytes that
// were read ahead are the first of TLS, and never read as if they had come inside it.
func (c *Conn) StartTLSAhead(ctx context.Context, cfg *tls.Config) error {
	rest, _ := c.In.Peek(c.In.Buffered())
	return c.startTLS(ctx, cfg, &ahead{Conn: c.client, after: after{rest: append([]byte(nil), rest...), conn: c.client}})
}

func (c *Conn) startTLS(ctx context.Context, cfg *tls.Config, over net.Conn) error {
	t := tls.Server(over, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("starting TLS: %w", err)
	}
	c.client = t
	c.In.Reset(t)
	c.Out.Reset(t)
	return nil
}

// ahead is a connection of which some bytes were read already.
type ahead struct {
	net.Conn
	after after
}

func (a *ahead) Read(b []byte) (int, error) { return a.after.Read(b) }

// Login opens the session of a client whose credential v was proved.
// name is what the client calls itself: a claim.
func (c *Conn) Login(ctx context.Context, v Verifier, name string) error {
	c.peer.Client = name
	s, err := c.cfg.Authority.Login(ctx, v, c.peer)
	if err != nil {
		return fmt.Errorf("opening a session: %w", err)
	}
	c.session = s
	return nil
}

// Dial opens the way upstream. wrap, if not nil, negotiates on the new
// connection (TLS) and returns what to speak through.
func (c *Conn) Dial(ctx context.Context, wrap func(context.Context, net.Conn) (net.Conn, error)) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	conn, err := c.cfg.Dial(ctx)
	if err != nil {
		return fmt.Errorf("dialling upstream: %w", err)
	}
	conn = quick(conn)
	stop := context.AfterFunc(c.ctx, func() { _ = conn.Close() })
	if wrap != nil {
		wrapped, err := wrap(ctx, conn)
		if err != nil {
			stop()
			_ = conn.Close()
			return fmt.Errorf("dialling upstream: %w", err)
		}
		conn = wrapped
	}
	c.upstream, c.Up = conn, bufio.NewReaderSize(conn, upstreamBuffer)
	if a, ok := conn.(asker); ok {
		c.asked = a.askNow
	}
	return nil
}

// asker is a connection that can send a request as part of waiting for its answer.
type asker interface {
	Ask(b []byte)
	askNow() error
}

// wide are readers for long replies, shared by the connections that have one.
var wide = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// Widen makes Up read in larger pieces until the request under way ends: for a
// codec that sees that a reply is long.
func (c *Conn) Widen() {
	if c.narrow != nil {
		return
	}
	rest, _ := c.Up.Peek(c.Up.Buffered())
	w := wide.Get().(*bufio.Reader)
	w.Reset(&after{rest: append([]byte(nil), rest...), conn: c.upstream})
	_, _ = c.Up.Discard(len(rest))
	if len(rest) > 0 {
		_, _ = w.Peek(len(rest)) // into its buffer, where narrowAgain sees it
	}
	c.narrow, c.Up = c.Up, w
}

// narrowAgain takes back what Widen did, once nothing waits in the large buffer.
func (c *Conn) narrowAgain() {
	if c.narrow == nil || c.Up.Buffered() > 0 {
		return
	}
	w := c.Up
	c.Up, c.narrow = c.narrow, nil
	w.Reset(nil)
	wide.Put(w)
}

// after reads rest, and then conn.
type after struct {
	rest []byte
	conn net.Conn
}

func (a *after) Read(b []byte) (int, error) {
	if len(a.rest) > 0 {
		n := copy(b, a.rest)
		a.rest = a.rest[n:]
		return n, nil
	}
	return a.conn.Read(b)
}

// Send writes to upstream.
func (c *Conn) Send(b []byte) error {
	if _, err := c.upstream.Write(b); err != nil {
		return fmt.Errorf("writing upstream: %w", err)
	}
	return nil
}

// Interrupt calls off the request that waits for a person, and reports whether
// there was one. It may be called from any goroutine.
func (c *Conn) Interrupt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		return false
	}
	c.waiting(errInterrupted)
	return true
}

// setWaiting notes what ends the current wait. It reports false when the gate
// is shutting down, and nothing new may begin to wait.
func (c *Conn) setWaiting(cancel context.CancelCauseFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = cancel
	return cancel == nil || !c.draining
}

func (c *Conn) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// drain ends an idle connection at once, a hold by refusing it, and a running
// request after the grace period.
func (c *Conn) drain(grace time.Duration) {
	c.mu.Lock()
	c.draining = true
	if c.waiting != nil {
		c.waiting(errDraining)
	}
	idle := c.idle
	c.mu.Unlock()
	if idle {
		c.cancel()
		return
	}
	pause(c.ctx, grace)
	c.cancel()
}

// watchCut ends the connection when its session is cut.
func (c *Conn) watchCut() (stop func()) {
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-c.session.Cut():
			c.cancel()
		case <-done:
		}
	}()
	return func() { close(done); <-ended }
}

// await returns when the client has sent something. Meanwhile it lets the
// codec copy what upstream says unasked.
func (c *Conn) await(idler Idler) error {
	for c.In.Buffered() == 0 {
		if !c.beginIdle() {
			return errDraining
		}
		_, err := c.In.Peek(1)
		if c.endIdle() != nil {
			return net.ErrClosed
		}
		if err != nil && !isTimeout(err) {
			return err
		}
		if c.Up.Buffered() > 0 {
			if idler == nil {
				return fmt.Errorf("upstream spoke unasked: %w", errUpstreamLost)
			}
			if err := idler.Idle(c); err != nil {
				return err
			}
			if err := c.Out.Flush(); err != nil {
				return err
			}
			continue
		}
		if c.upErr != nil {
			return errUpstreamLost
		}
	}
	return nil
}

// beginIdle reports false when the gate is shutting down.
func (c *Conn) beginIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return false
	}
	c.idle = true
	c.turn++
	switch {
	case c.armed:
	case c.timer == nil:
		c.timer = time.AfterFunc(idleAfter, c.lookIdle)
	default:
		c.timer.Reset(idleAfter)
	}
	c.armed = true
	return true
}

// endIdle ends the watch over upstream, if there is one.
func (c *Conn) endIdle() error {
	c.mu.Lock()
	c.idle = false
	watch := c.watch
	c.watch = nil
	c.mu.Unlock()
	if watch == nil {
		return nil
	}
	_ = c.upstream.SetReadDeadline(time.Unix(1, 0))
	<-watch
	return errors.Join(c.upstream.SetReadDeadline(time.Time{}), c.raw.SetReadDeadline(time.Time{}))
}

// lookIdle watches upstream once a whole period was idle, until it says something
// or the client does.
func (c *Conn) lookIdle() {
	c.mu.Lock()
	if !c.idle {
		c.lookRunning()
		c.mu.Unlock()
		return
	}
	if c.turn != c.seen {
		c.seen = c.turn
		c.timer.Reset(idleAfter)
		c.mu.Unlock()
		return
	}
	watch := make(chan struct{})
	c.watch, c.armed = watch, false
	c.mu.Unlock()
	defer close(watch)
	if _, err := c.Up.Peek(1); !isTimeout(err) {
		c.upErr = err
		_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // wakes the read in await
	}
}

// lookRunning watches the client once a request runs for long. c.mu is held.
func (c *Conn) lookRunning() {
	switch {
	case !c.runs || c.unwatch != nil:
		c.armed = false
	case c.turn != c.seen:
		c.seen = c.turn
		c.timer.Reset(runsAfter)
	default:
		c.armed = false
		c.unwatch = c.watchClient()
	}
}

func (c *Conn) beginRun(watchable bool) {
	c.mu.Lock()
	c.runs = watchable
	c.mu.Unlock()
}

func (c *Conn) endRun() {
	c.mu.Lock()
	unwatch := c.unwatch
	c.runs, c.unwatch = false, nil
	c.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
}

// watchClient notices a client that leaves while its request waits or runs. It reads
// ahead as much as the read buffer holds; a client that sends more than that while it
// waits is not watched further.
func (c *Conn) watchClient() (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			n := c.In.Buffered()
			_, err := c.In.Peek(n + 1)
			switch {
			case err == nil:
				continue
			case isTimeout(err), errors.Is(err, bufio.ErrBufferFull):
			default:
				c.mu.Lock()
				if c.waiting != nil {
					c.waiting(errClientGone)
				}
				c.mu.Unlock()
				c.cancel()
			}
			return
		}
	}()
	return func() {
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
		<-done
		_ = c.raw.SetReadDeadline(time.Time{})
	}
}

// forward sends b. A long b is written beside reading the reply, because
// upstream may stop reading until its own replies are read.
func (c *Conn) forward(b []byte) (wait func() error, err error) {
	none := func() error { return nil }
	switch {
	case len(b) == 0:
		return none, nil
	case len(b) > inlineWrite:
	case c.asked != nil:
		c.upstream.(asker).Ask(b)
		return c.asked, nil
	default:
		return none, c.Send(b)
	}
	done := make(chan error, 1)
	go func() { done <- c.Send(b) }()
	return func() error { return <-done }, nil
}

func (c *Conn) refused(detail string) {
	if c.session != nil {
		c.session.Refused(context.WithoutCancel(c.ctx), detail)
		return
	}
	c.cfg.Refused(context.WithoutCancel(c.ctx), c.peer, detail)
}

func (c *Conn) close() {
	_ = c.raw.SetWriteDeadline(time.Now().Add(5 * time.Second)) // a client that does not read must not keep us
	_ = c.Out.Flush()
	_ = c.client.Close() // TLS says goodbye
	c.cancel()
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.upstream != nil {
		_ = c.upstream.Close()
	}
	for _, p := range c.kept {
		p.Done(Outcome{State: Executed})
	}
	if c.session != nil {
		c.session.Close()
	}
	_ = c.raw.Close()
}
