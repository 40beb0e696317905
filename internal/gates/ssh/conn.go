package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
	gossh "golang.org/x/crypto/ssh"
)

// A conn is one client connection that has logged in.
type conn struct {
	g       *Gate
	host    *Host
	session gate.Session
	client  *gossh.ServerConn

	// hold ends when nothing more may wait: the client left, the session was
	// cut, the gate shuts down. run ends when nothing more may run.
	hold, run context.Context
	stop      context.CancelCauseFunc // ends both
	channels  sync.WaitGroup

	dialing sync.Mutex
	up      *remote // owned by dialing

	mu     sync.Mutex
	open   int             // channels; owned by mu
	sealed bool            // no more are opened; owned by mu
	last   bool            // the client opens no more sessions; owned by mu
	told   map[string]bool // refusals on record; owned by mu
}

var (
	errGone     = errors.New("the client left")
	errCut      = errors.New("the session was cut")
	errDraining = errors.New("the gate is shutting down")
	errCalled   = errors.New("called off by the client")
	errPanicked = errors.New("the gate failed")
)

// serve serves one connection until either side ends it or ctx ends.
func (g *Gate) serve(ctx context.Context, raw net.Conn) {
	defer func() { _ = raw.Close() }()
	select {
	case g.waits <- struct{}{}:
	default:
		g.cfg.Refused(ctx, gate.Peer{Gate: g.cfg.Name, Address: raw.RemoteAddr().String()}, "too many connections are logging in")
		return
	}
	early := context.AfterFunc(ctx, func() { _ = raw.Close() })
	l, client, channels, requests, err := g.handshake(ctx, raw)
	early()
	<-g.waits
	if err != nil {
		g.cfg.Refused(context.WithoutCancel(ctx), l.peer, err.Error())
		return
	}
	c := &conn{g: g, host: l.host, session: l.session, client: client, told: map[string]bool{}}
	c.run, c.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	var drain context.CancelCauseFunc
	c.hold, drain = context.WithCancelCause(c.run)
	defer c.end()
	// At shutdown what waits ends at once, and what runs has the grace period.
	shutdown := context.AfterFunc(ctx, func() {
		drain(errDraining)
		c.seal()
		t := time.NewTimer(g.cfg.Grace)
		defer t.Stop()
		idle := make(chan struct{})
		go func() { c.channels.Wait(); close(idle) }()
		select {
		case <-idle:
		case <-t.C:
		case <-c.run.Done():
		}
		c.stop(errDraining)
	})
	defer shutdown()
	cut := make(chan struct{})
	defer close(cut)
	go func() {
		select {
		case <-c.session.Cut():
			c.stop(errCut)
		case <-c.run.Done():
		case <-cut:
		}
		c.disconnect() // whatever is under way ends now
	}()
	go answerNo(requests, c.global)
	for nc := range channels {
		c.channel(nc)
	}
	var network net.Error
	if err := c.client.Wait(); c.run.Err() == nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &network) {
		c.refused("bytes that are not SSH as it was agreed on")
	}
	c.stop(errGone)
}

// disconnect closes both connections.
func (c *conn) disconnect() {
	_ = c.client.Close()
	c.seal()
	c.dialing.Lock()
	defer c.dialing.Unlock()
	if c.up != nil {
		_ = c.up.Close()
	}
}

func (c *conn) end() {
	c.stop(errGone)
	c.disconnect()
	c.channels.Wait()
	c.dialing.Lock()
	defer c.dialing.Unlock()
	if c.up != nil {
		<-c.up.ended
	}
	c.session.Close()
}

func (c *conn) seal() {
	c.mu.Lock()
	c.sealed = true
	c.mu.Unlock()
}

// refused records a refusal, each kind of it once a connection.
func (c *conn) refused(detail string) {
	c.mu.Lock()
	told := c.told[detail] || len(c.told) > 50
	c.told[detail] = true
	c.mu.Unlock()
	if !told {
		c.session.Refused(context.WithoutCancel(c.run), detail)
	}
}

// global looks at a request about the connection as a whole. All are answered no.
func (c *conn) global(r *gossh.Request) {
	switch r.Type {
	case "no-more-sessions@openssh.com":
		c.mu.Lock()
		c.last = true
		c.mu.Unlock()
	case "keepalive@openssh.com", "hostkeys-prove-00@openssh.com": // no is an answer to these
	case "tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com":
		c.refused("a forward from the host to the client")
	default:
		c.refused("a global request that is on no list")
	}
}

// channel begins what the client opens, if it is a session.
func (c *conn) channel(nc gossh.NewChannel) {
	switch nc.ChannelType() {
	case "session", "direct-tcpip":
	case "direct-streamlocal@openssh.com":
		c.refused("a forward from the client to the host's network")
		_ = nc.Reject(gossh.Prohibited, "assent: sockets are not forwarded here")
		return
	default:
		c.refused("a channel of a type that is on no list")
		_ = nc.Reject(gossh.UnknownChannelType, "assent: only sessions are served here")
		return
	}
	c.mu.Lock()
	full, sealed := c.open >= maxChannels, c.sealed || c.last && nc.ChannelType() == "session"
	if !full && !sealed {
		c.open++
		c.channels.Add(1)
	}
	c.mu.Unlock()
	switch {
	case sealed:
		_ = nc.Reject(gossh.Prohibited, "assent: this connection opens no more sessions")
	case full:
		_ = nc.Reject(gossh.ResourceShortage, "assent: too many sessions on one connection")
	case nc.ChannelType() == "direct-tcpip":
		go c.forward(nc)
	default:
		go c.serveSession(nc)
	}
}

func (c *conn) channelEnds() {
	c.mu.Lock()
	c.open--
	c.mu.Unlock()
	c.channels.Done()
}

// upstream is the connection to the host, dialled anew when it is gone.
func (c *conn) upstream() (*remote, error) {
	c.dialing.Lock()
	defer c.dialing.Unlock()
	if c.up != nil && c.up.alive() {
		return c.up, nil
	}
	if c.run.Err() != nil {
		return nil, context.Cause(c.run)
	}
	up, err := c.host.dial(c.run, c.g.cfg.DialTimeout)
	if err != nil {
		var own *credentialError
		if errors.As(err, &own) {
			c.g.cfg.Log.Error("the credential for a host", "gate", c.g.cfg.Name, "host", c.host.Name, "err", own.err)
		}
		return nil, err
	}
	if c.run.Err() != nil { // disconnect may have looked already
		_ = up.Close()
		return nil, context.Cause(c.run)
	}
	c.up = up
	return up, nil
}
