package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
)

// Config is what every gate needs. Name, Authority, New and one of Upstream
// and Dial are required.
type Config struct {
	Name      string
	Authority Authority
	New       func() Codec
	Upstream  string                                      // host:port
	Dial      func(ctx context.Context) (net.Conn, error) // instead of Upstream
	TLS       *tls.Config                                 // client side, from the first byte; protocols that negotiate TLS do it in their codec

	Wait             time.Duration // longest hold of an action that sets none; 0: until its approval expires
	DialTimeout      time.Duration // 0: 10 s
	HandshakeTimeout time.Duration // 0: 30 s
	Grace            time.Duration // what a running request gets at shutdown; 0: 10 s

	// Refused records a connection that ended before it had a session: a
	// failed login, bytes of no protocol. detail never holds payload.
	Refused func(ctx context.Context, from Peer, detail string)
	Log     *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Authority == nil || c.New == nil || (c.Upstream == "" && c.Dial == nil) {
		return c, fmt.Errorf("gate %q: authority, codec and upstream are required", c.Name)
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 10 * time.Second
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 30 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", c.Upstream)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Refused == nil {
		c.Refused = func(_ context.Context, from Peer, detail string) {
			c.Log.Warn("connection refused", "gate", from.Gate, "from", from.Address, "why", detail)
		}
	}
	return c, nil
}

// Serve accepts connections on l until ctx ends. Then it closes l and idle
// connections, ends holds (their approvals stay pending), gives running
// requests the grace period, and returns nil when the last connection ended.
func Serve(ctx context.Context, l net.Listener, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case err == nil:
			wg.Go(func() { ServeConn(ctx, conn, cfg) })
		case isTemporary(err):
			cfg.Log.Warn("accepting", "gate", cfg.Name, "error", err)
			pause(ctx, 100*time.Millisecond)
		default:
			return fmt.Errorf("gate %s: accepting: %w", cfg.Name, err)
		}
	}
}

// isTemporary tells running out of file descriptors from a listener that is gone.
func isTemporary(err error) bool { return !errors.Is(err, net.ErrClosed) }

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// ServeConn serves one client connection until either side closes it or ctx ends.
func ServeConn(ctx context.Context, client net.Conn, cfg Config) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		_ = client.Close()
		return
	}
	c := newConn(client, cfg)
	codec := cfg.New()
	defer c.close()
	defer func() {
		// A codec that panics on hostile bytes takes its own connection with it, not the gate.
		if p := recover(); p != nil {
			c.refused(fmt.Sprintf("the codec panicked: %T", p))
		}
	}()
	// c.ctx outlives ctx by the grace period, so that a running request can end.
	stopDrain := context.AfterFunc(ctx, func() { c.drain(cfg.Grace) })
	defer stopDrain()

	if err := c.handshake(codec); err != nil {
		c.refused("handshake: " + err.Error())
		return
	}
	stopCut := c.watchCut()
	defer stopCut()
	for c.ctx.Err() == nil && !c.isDraining() {
		if err := c.serveOne(codec); err != nil {
			if !errors.Is(err, io.EOF) && c.ctx.Err() == nil {
				cfg.Log.Debug("connection ended", "gate", cfg.Name, "from", c.peer.Address, "why", err)
			}
			return
		}
	}
}

func (c *Conn) handshake(codec Codec) error {
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.HandshakeTimeout)
	defer cancel()
	_ = c.raw.SetDeadline(time.Now().Add(c.cfg.HandshakeTimeout))
	if c.cfg.TLS != nil {
		if err := c.StartTLS(ctx, c.cfg.TLS); err != nil {
			return err
		}
	}
	if err := codec.Handshake(ctx, c); err != nil {
		return err
	}
	if c.session == nil || c.upstream == nil {
		return errors.New("the codec ended its handshake without a session and an upstream")
	}
	if c.raw.SetDeadline(time.Time{}) != nil {
		return net.ErrClosed
	}
	return c.Out.Flush()
}

// serveOne reads, decides and answers one request. An error ends the connection.
func (c *Conn) serveOne(codec Codec) error {
	idler, _ := codec.(Idler)
	if err := c.await(idler); err != nil {
		if errors.Is(err, errUpstreamLost) {
			_ = codec.Deny(c, nil, &Denied{Status: StatusLost, Reason: "the connection to the system was lost"})
			_ = c.Out.Flush()
		}
		return err
	}
	r, err := codec.ReadRequest(c)
	switch {
	case err != nil:
		return c.notRead(codec, r, err)
	case r == nil:
		return errors.New("the codec read no request")
	case len(r.Actions) == 0 && r.Harmless == "":
		c.session.Refused(c.ctx, "a request that the codec described as nothing")
		return c.deny(codec, r, &Denied{Status: StatusDenied, Reason: "the gate does not know what this request does"})
	}
	denied, err := c.enforce(codec, r)
	if err != nil {
		return err
	}
	if denied != nil {
		if err := c.deny(codec, r, denied); err != nil || denied.Status != StatusLost {
			return err
		}
		return errUpstreamLost
	}
	return c.execute(codec, r)
}

// notRead answers a request that the codec could not read, or refused by itself.
func (c *Conn) notRead(codec Codec, r *Request, err error) error {
	var denied *Denied
	switch {
	case errors.Is(err, ErrUnreadable):
		c.session.Refused(c.ctx, err.Error())
		_ = codec.Deny(c, r, &Denied{Status: StatusUnreadable, Reason: "the gate could not read this request"})
		_ = c.Out.Flush()
	case errors.As(err, &denied):
		c.session.Refused(c.ctx, denied.Reason)
		return c.deny(codec, r, denied)
	}
	return err
}

func (c *Conn) deny(codec Codec, r *Request, d *Denied) error {
	if err := codec.Deny(c, r, d); err != nil {
		return fmt.Errorf("denying: %w", err)
	}
	return c.Out.Flush()
}

// enforce asks for every action of r. It returns the refusal, or an error when
// the client left or the connection must end.
func (c *Conn) enforce(codec Codec, r *Request) (*Denied, error) {
	waited := false
	for i, a := range r.Actions {
		c.session.Describe(a)
		if a.Wait == 0 {
			a.Wait = c.cfg.Wait
		}
		p, held, err := c.ask(codec, r, i)
		waited = waited || held
		if err == nil && p != nil {
			r.add(p)
			continue
		}
		r.finish(Outcome{State: NotRun})
		if c.ctx.Err() != nil {
			return nil, c.ctx.Err()
		}
		return refusal(err), nil
	}
	return c.ready(codec, r, waited), nil
}

// ready is the last thing before a permitted request goes upstream. It returns the refusal.
func (c *Conn) ready(codec Codec, r *Request, waited bool) *Denied {
	var err error
	if rc, ok := codec.(Rechecker); ok && waited {
		err = rc.Recheck(c, r)
	}
	if err == nil { // last: a codec may open a transaction to keep a bound
		err = c.bounds(codec, r)
	}
	if err == nil {
		return nil
	}
	r.finish(Outcome{State: NotRun})
	if lost(err) {
		return &Denied{Status: StatusLost, Reason: "the connection to the system was lost before the statement was sent, so it did not run"}
	}
	return refusal(err)
}

// lost says that what a codec did before it sent a request failed because upstream is gone.
func lost(err error) bool {
	var d *Denied
	if errors.As(err, &d) {
		return false
	}
	var op *net.OpError
	return errors.Is(err, ErrLost) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) && !op.Timeout()
}

// bounds hands the codec the bounds of its permits. A bound that nobody keeps is none, so it refuses.
func (c *Conn) bounds(codec Codec, r *Request) error {
	for i, p := range r.permits {
		bound := p.Bound()
		if bound < 0 {
			continue
		}
		b, ok := codec.(Bounder)
		if !ok {
			return &Denied{Status: StatusDenied, Reason: "it was approved with a bound that this gate cannot keep"}
		}
		if err := b.Bound(c, r, i, bound); err != nil {
			return err
		}
	}
	return nil
}

// refusal turns what Enforce said into what the client hears. Inner detail of
// an error stays inside.
func refusal(err error) *Denied {
	var d *Denied
	switch {
	case errors.As(err, &d):
		return d
	case errors.Is(err, errInterrupted):
		return &Denied{Status: StatusCanceled, Reason: "canceled while waiting for a person", Hint: "The same request asked again finds its approval."}
	case errors.Is(err, errDraining):
		return &Denied{Status: StatusPending, Reason: "the gate is shutting down", Hint: "The same request asked again finds its approval."}
	}
	return &Denied{Status: StatusNobody, Reason: "no decision could be reached", Hint: "Try again later."}
}

// asking is the action that is being decided.
type asking struct {
	codec   Codec
	request *Request
	action  int
	held    bool
	unwatch func()
}

// ask runs Enforce for action i with a context that ends when the client leaves,
// calls its request off, or the gate shuts down. One that did not end serves the
// next action too.
func (c *Conn) ask(codec Codec, r *Request, i int) (p Permit, held bool, err error) {
	if c.wait == nil || c.wait.Err() != nil {
		c.wait, c.callOff = context.WithCancelCause(c.ctx)
	}
	ctx := c.wait
	if !c.setWaiting(c.callOff) {
		return nil, false, errDraining
	}
	defer c.setWaiting(nil)
	c.asking = asking{codec: codec, request: r, action: i}
	hooks := Hooks{Held: c.onHeld}
	if _, ok := codec.(Previewer); ok {
		hooks.Preview = c.onPreview
	}
	p, err = c.session.Enforce(ctx, r.Actions[i], hooks)
	held = c.asking.held
	if c.asking.unwatch != nil {
		c.asking.unwatch()
	}
	if ctx.Err() == nil {
		return p, held, err
	}
	if p != nil && err == nil {
		// Permitted and called off in the same moment: called off wins, nothing ran.
		p.Done(Outcome{State: NotRun})
	}
	return nil, held, context.Cause(ctx)
}

func (c *Conn) preview(ctx context.Context) action.Preview {
	return c.asking.codec.(Previewer).Preview(ctx, c, c.asking.request, c.asking.action)
}

// beginHold tells the client that it waits, and begins to watch for it to leave.
func (c *Conn) beginHold(h Held) {
	a := &c.asking
	if a.held {
		return
	}
	a.held = true
	if holder, ok := a.codec.(Holder); ok {
		if holder.Held(c, a.request, h) != nil || c.Out.Flush() != nil {
			c.cancel()
			return
		}
	}
	a.unwatch = c.watchClient()
}

// execute sends r and copies the reply.
func (c *Conn) execute(codec Codec, r *Request) error {
	r.sent = time.Now()
	select {
	case <-c.session.Cut():
		r.finish(Outcome{State: NotRun})
		return errCut
	default:
	}
	defer c.narrowAgain()
	c.beginRun(!r.Reads)
	defer c.endRun()
	wait, err := c.forward(r.Raw)
	if err == nil {
		err = codec.CopyReply(c, r)
	}
	if err == nil {
		if err = wait(); err == nil {
			err = c.Out.Flush()
		}
		r.finish(Outcome{State: Executed})
		return err
	}
	r.finish(Outcome{State: Unknown})
	if errors.Is(err, ErrUnreadable) {
		c.session.Refused(c.ctx, err.Error())
	}
	_ = codec.Deny(c, r, &Denied{Status: StatusLost, Reason: "the connection to the system was lost; whether the statement ran is unknown"})
	_ = c.Out.Flush()
	_ = c.upstream.Close()
	_ = wait()
	return fmt.Errorf("copying a reply: %w", err)
}

var (
	errUpstreamLost = errors.New("upstream closed the connection")
	errInterrupted  = errors.New("called off by the client")
	errDraining     = errors.New("the gate is shutting down")
	errCut          = errors.New("the session was cut")
	errClientGone   = errors.New("the client left")
)

// Why a pool of sessions lets nobody in.
var (
	// ErrComesBack is the cause by which a gate ends the context of Enforce when it has told
	// its client to ask again: the approval is pending, and its asker has not gone.
	ErrComesBack = errors.New("the client was told to come back")
	ErrClosed    = errors.New("the gate is closed")
	ErrCut       = errors.New("the session was cut as it opened")
)

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
