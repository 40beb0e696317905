// Package connector lets gates reach systems in networks that nobody can dial
// into: a connector there dials out to the server and carries, over one
// connection, whatever gates open through it.
//
// It promises that a connector decides nothing and chooses nothing: it opens the
// addresses it was started with, by name, and no others, whoever asks; that both
// sides prove who they are (TLS 1.3, package enrol) before a byte is carried; that
// what isn't reachable through a connector is not reached at all; and that a
// stream that was cut off is never taken for one that ended.
//
// It can't see what it carries: gates speak TLS or SSH with the system through it.
package connector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/assenthq/assent/internal/enrol"
)

// ErrRefused means that the server doesn't want this connector: trying again changes nothing.
var ErrRefused = errors.New("the server refused this connector")

const (
	defaultStreams = 1024
	headerTime     = 5 * time.Second
	targetTime     = 8 * time.Second // less than the server waits
	longestPause   = 5 * time.Second
	renewEvery     = time.Minute
)

// Options says what a connector works with. Control, Dir and Systems are needed.
type Options struct {
	Control string            // HOST:PORT of the server's connectors: listener
	Dir     string            // directory of key and certificate
	Token   string            // "": it has enrolled already
	Systems map[string]string // name to HOST:PORT
	Streams int               // open at once; 0: 1024
	Silence time.Duration     // 0: DefaultSilence
	Program string            // version, for people
	Logger  *slog.Logger
	// Up is called with the connector's name each time it is connected. nil: nobody.
	Up func(name string)
}

// A Connector carries streams to systems.
type Connector struct {
	o      Options
	holder *enrol.Holder
	slots  chan struct{}
}

// New opens the connector's directory; it connects to nothing yet.
func New(o Options) (*Connector, error) {
	if len(o.Systems) == 0 {
		return nil, errors.New("a connector needs a system: --system NAME=HOST:PORT")
	}
	for name, target := range o.Systems {
		if !enrol.ValidName(name) {
			return nil, fmt.Errorf("system %q: use lower-case letters, digits, '.', '_' and '-'", name)
		}
		if host, port, err := net.SplitHostPort(target); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("system %s: %q is not HOST:PORT", name, target)
		}
	}
	if _, _, err := net.SplitHostPort(o.Control); err != nil {
		return nil, fmt.Errorf("the server's address %q is not HOST:PORT", o.Control)
	}
	if o.Streams == 0 {
		o.Streams = defaultStreams
	}
	if o.Silence == 0 {
		o.Silence = DefaultSilence
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Up == nil {
		o.Up = func(string) {}
	}
	h, err := enrol.OpenHolder(o.Dir)
	if err != nil {
		return nil, err
	}
	return &Connector{o: o, holder: h, slots: make(chan struct{}, o.Streams)}, nil
}

// Enrol gets a certificate by the token, unless one that it got is held already.
func (c *Connector) Enrol(ctx context.Context) error {
	if c.o.Token == "" {
		return nil
	}
	t, err := enrol.ParseToken(c.o.Token)
	if err != nil {
		return err
	}
	if !c.holder.Needs(t) {
		return nil
	}
	conf, err := c.holder.ClientTLS(t, joinProtocol)
	if err != nil {
		return err
	}
	s, err := c.dial(ctx, conf)
	if err != nil {
		return fmt.Errorf("enrolling at %s: %w", c.o.Control, err)
	}
	defer func() { _ = s.Close() }()
	_ = s.SetDeadline(time.Now().Add(handshakeTime))
	request, err := c.holder.Request()
	if err != nil {
		return err
	}
	var got answer
	if err = writeNote(s, &joining{Token: c.o.Token, Request: request}); err == nil {
		err = readNote(s, &got)
	}
	switch {
	case err != nil:
		return fmt.Errorf("enrolling at %s: %w", c.o.Control, err)
	case got.Error != "":
		return fmt.Errorf("enrolling at %s: %w", c.o.Control, got.refused())
	}
	return c.holder.Keep(got.Chain, t)
}

// EnrolUntil is Enrol, tried again until it came about, was refused, or ctx ended.
func (c *Connector) EnrolUntil(ctx context.Context) error { return c.again(ctx, c.Enrol, true) }

// Reload reads the certificate that another Connector of the same directory may have got.
func (c *Connector) Reload() error {
	h, err := enrol.OpenHolder(c.o.Dir)
	if err == nil {
		c.holder = h
	}
	return err
}

// Run enrols where it must, connects, and connects again whenever the link is lost,
// until ctx ends. It errs where the server refuses it.
func (c *Connector) Run(ctx context.Context) error {
	return c.again(ctx, func(ctx context.Context) error {
		if err := c.Enrol(ctx); err != nil {
			return err
		}
		return c.once(ctx)
	}, false)
}

// again runs step until it is refused or ctx ends; where one is enough, until it came about.
func (c *Connector) again(ctx context.Context, step func(context.Context) error, one bool) error {
	for attempt := 0; ; attempt++ {
		began := time.Now()
		err := step(ctx)
		switch {
		case ctx.Err() != nil || err == nil && one:
			return nil
		case errors.Is(err, ErrRefused), errors.Is(err, enrol.ErrToken):
			return err
		}
		if time.Since(began) > longestPause {
			attempt = 0
		}
		pause := jittered(attempt)
		c.o.Logger.Warn("not connected", "control", c.o.Control, "again_in", pause.Round(time.Millisecond).String(), "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// jittered is how long to wait before the next attempt: at random, so that all
// connectors of a server that was gone don't come back at one moment.
func jittered(attempt int) time.Duration {
	most := min(250*time.Millisecond<<min(attempt, 10), longestPause)
	return most/10 + rand.N(most*9/10) //nolint:gosec // no secret
}

func (c *Connector) dial(ctx context.Context, conf *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.o.Control)
	if err != nil {
		return nil, err
	}
	unsent(raw)
	s := tls.Client(raw, tuned(conf))
	if err := s.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return s, nil
}

// once is one link, from its dial to its end.
func (c *Connector) once(ctx context.Context) error {
	conf, err := c.holder.ClientTLS(nil, linkProtocol)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if leaf := c.holder.Leaf(); time.Now().After(leaf.NotAfter) {
		return fmt.Errorf("%w: its certificate expired at %s; make another token: assent connector token %s", ErrRefused, leaf.NotAfter.UTC().Format(time.RFC3339), leaf.Subject.CommonName)
	}
	s, err := c.dial(ctx, conf)
	if err != nil {
		return err
	}
	if err := c.greet(s); err != nil {
		_ = s.Close()
		return err
	}
	h := &heard{Conn: s}
	h.last.Store(int64(time.Since(began)))
	session, err := yamux.Client(h, settings(c.o.Logger))
	if err != nil {
		_ = s.Close()
		return err
	}
	defer func() { _ = session.Close() }()
	go c.renewals(session)
	work, cancel := context.WithCancel(ctx)
	var streams sync.WaitGroup
	defer streams.Wait()
	defer cancel()
	streams.Go(func() { c.accept(work, session, &streams) })
	watch(ctx, session, h, c.o.Silence)
	return errors.New("the link ended")
}

// greet says which systems are here.
func (c *Connector) greet(s net.Conn) error {
	_ = s.SetDeadline(time.Now().Add(handshakeTime))
	hello := greeting{Version: 1, Program: c.o.Program}
	for name := range c.o.Systems {
		hello.Systems = append(hello.Systems, name)
	}
	slices.Sort(hello.Systems)
	var got answer
	err := writeNote(s, &hello)
	if err == nil {
		err = readNote(s, &got)
	}
	switch {
	case err != nil:
		return fmt.Errorf("the server said nothing: %w", err)
	case got.Error != "":
		return got.refused()
	}
	_ = s.SetDeadline(time.Time{})
	c.o.Logger.Info("connected", "control", c.o.Control, "connector", got.Name, "systems", hello.Systems)
	c.o.Up(got.Name)
	return nil
}

func (a *answer) refused() error {
	if a.Again {
		return errors.New(a.Error)
	}
	return fmt.Errorf("%w: %s", ErrRefused, a.Error)
}

// renewals asks for another certificate in the last third of this one's life.
func (c *Connector) renewals(session *yamux.Session) {
	var control *yamux.Stream
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		if enrol.Due(c.holder.Leaf(), time.Now()) {
			var err error
			if control == nil {
				control, err = session.OpenStream()
			}
			if err == nil {
				err = c.renew(control)
			}
			if err != nil {
				c.o.Logger.Warn("the certificate was not renewed", "until", c.holder.Leaf().NotAfter, "err", err)
			}
		}
		select {
		case <-session.CloseChan():
			return
		case <-tick.C:
		}
	}
}

func (c *Connector) renew(control *yamux.Stream) error {
	var got answer
	_ = control.SetDeadline(time.Now().Add(stuck))
	if err := writeNote(control, &renewal{Renew: true}); err != nil {
		return err
	}
	if err := readNote(control, &got); err != nil {
		return err
	}
	if got.Error != "" {
		return errors.New(got.Error)
	}
	if err := c.holder.Keep(got.Chain, nil); err != nil {
		return err
	}
	c.o.Logger.Info("the certificate was renewed", "until", c.holder.Leaf().NotAfter)
	return nil
}

// accept serves the streams that the server opens.
func (c *Connector) accept(ctx context.Context, session *yamux.Session, streams *sync.WaitGroup) {
	for {
		s, err := session.AcceptStream()
		if err != nil {
			return
		}
		select {
		case c.slots <- struct{}{}:
			streams.Go(func() {
				defer func() { <-c.slots }()
				c.carry(ctx, s)
			})
		default:
			_ = s.SetWriteDeadline(time.Now().Add(headerTime))
			_, _ = s.Write([]byte{busy})
			_ = s.Close()
		}
	}
}

// carry serves one stream.
func (c *Connector) carry(ctx context.Context, s *yamux.Stream) {
	stream := newConn(s, func() {})
	defer func() { _ = stream.Close() }()
	_ = s.SetDeadline(time.Now().Add(headerTime))
	system, err := readHeader(stream.r)
	if err != nil {
		c.o.Logger.Warn("a stream was refused", "err", err)
		return
	}
	target, here := c.o.Systems[system]
	if !here {
		c.o.Logger.Warn("the server asked for a system that this connector was not started with", "system", system)
		_, _ = s.Write([]byte{notHere})
		return
	}
	to, err := (&net.Dialer{Timeout: targetTime}).DialContext(ctx, "tcp", target)
	_ = s.SetDeadline(time.Now().Add(headerTime))
	if err != nil {
		c.o.Logger.Warn("a system can't be reached", "system", system, "err", err)
		_, _ = s.Write([]byte{unreachable})
		return
	}
	if _, err := s.Write([]byte{opened}); err != nil {
		_ = to.Close()
		return
	}
	_ = s.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = to.Close() })
	defer stop()
	pipe(stream, to)
}
