package enrol

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Protocols (ALPN, RFC 7301) of a desk: enrolling and renewing, and one for each role.
const enrolling = "assent-enrol/1"

func protocolOf(role Role) string { return "assent-" + string(role) + "/1" }

const (
	handshakes   = 256              // connections that have not proved anything yet; the next ones wait
	handshakeFor = 10 * time.Second // and what one has for it
	lookEvery    = 15 * time.Second // at whether the certificate of a live connection still counts
	maxMessage   = 64 << 10         // bytes
)

// A Desk is where parts of a deployment come in: it enrols them, renews their
// certificates, and hands the connections of those whose certificates count to who serves
// their role. It ends connections whose entry ended.
type Desk struct {
	Authority *Authority
	// Serve serves a connection until it is over, which ctx may say before the part does.
	Serve map[Role]func(ctx context.Context, part Entry, conn net.Conn)
	Log   *slog.Logger
}

// request asks for a certificate: by a token, or by the certificate that the connection showed.
type request struct {
	Role  Role   `json:"role"`
	Token string `json:"token,omitempty"`
	CSR   []byte `json:"csr,omitempty"` // PKCS #10 (RFC 2986), with a token
}

type response struct {
	Error string   `json:"error,omitempty"`
	Chain [][]byte `json:"chain,omitempty"`
}

// Listen serves l until ctx ends, and returns once all connections are over.
func (d *Desk) Listen(ctx context.Context, l net.Listener) error {
	protocols := []string{enrolling}
	for role := range d.Serve {
		protocols = append(protocols, protocolOf(role))
	}
	config := d.Authority.ServerTLS(protocols...)
	ctx, cancel := context.WithCancel(ctx)
	open := newOpen()
	d.Authority.OnChange(open.look)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	room := make(chan struct{}, handshakes)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			d.Log.Warn("taking a connection in", "err", err) // too many open files
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			_ = conn.Close()
			continue
		}
		work.Go(func() {
			c := tls.Server(conn, config)
			defer func() { _ = c.Close() }()
			defer context.AfterFunc(ctx, func() { _ = c.Close() })()
			part, serve, err := d.admit(ctx, c)
			<-room
			if err != nil {
				d.Log.Warn("a connection of a part was refused", "from", conn.RemoteAddr().String(), "err", err)
			}
			if serve != nil {
				d.serve(ctx, c, part, open, serve)
			}
		})
	}
}

// serve hands c over, and ends it once its certificate no longer counts.
func (d *Desk) serve(ctx context.Context, c *tls.Conn, part Entry, open *open, serve func(context.Context, Entry, net.Conn)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wake, done := open.enter()
	defer done()
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-wake:
			case <-tick.C:
			}
			// A certificate that ended meanwhile was good when the connection was made: its holder renews it for the next.
			_, err := d.Authority.entry(ctx, part.ID)
			if errors.Is(err, ErrRefused) {
				d.Log.Warn("the connection of a part was ended", "role", part.Role, "name", part.Name, "err", err)
				cancel()
				_ = c.Close()
				return
			}
		}
	}()
	serve(ctx, part, c)
}

// open wakes those that watch a connection.
type open struct {
	mu sync.Mutex
	by map[chan struct{}]struct{} // guarded by mu
}

func newOpen() *open { return &open{by: map[chan struct{}]struct{}{}} }

func (o *open) enter() (wake chan struct{}, done func()) {
	wake = make(chan struct{}, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.by[wake] = struct{}{}
	return wake, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.by, wake)
	}
}

func (o *open) look() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for wake := range o.by {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// admit finds out who it is; serve is nil where nothing more is to be done.
func (d *Desk) admit(ctx context.Context, c *tls.Conn) (part Entry, serve func(context.Context, Entry, net.Conn), err error) {
	_ = c.SetDeadline(time.Now().Add(handshakeFor))
	if err := c.HandshakeContext(ctx); err != nil {
		return Entry{}, nil, err
	}
	state := c.ConnectionState()
	if state.NegotiatedProtocol == enrolling {
		return Entry{}, nil, d.enrol(ctx, c)
	}
	for role, f := range d.Serve {
		if state.NegotiatedProtocol != protocolOf(role) {
			continue
		}
		if len(state.PeerCertificates) == 0 {
			return Entry{}, nil, ErrRefused
		}
		if part, err = d.Authority.Check(ctx, state.PeerCertificates[0], role); err != nil {
			return Entry{}, nil, err
		}
		_ = c.SetDeadline(time.Time{})
		return part, f, nil
	}
	return Entry{}, nil, errors.New("it speaks no protocol of ours")
}

func (d *Desk) enrol(ctx context.Context, c *tls.Conn) error {
	var in request
	if err := read(c, &in); err != nil {
		return err
	}
	var out response
	var err error
	if peers := c.ConnectionState().PeerCertificates; in.Token == "" && len(peers) > 0 {
		out.Chain, err = d.Authority.Renew(ctx, peers[0], in.Role)
	} else {
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		out.Chain, _, err = d.Authority.Enrol(ctx, in.Role, in.Token, in.CSR, host)
	}
	if err != nil {
		out = response{Error: "nobody can be enrolled now: the server's own log says why"}
		for _, known := range []error{ErrToken, ErrRefused, ErrName, ErrUnknown} {
			if errors.Is(err, known) {
				out.Error = err.Error()
			}
		}
	}
	return errors.Join(err, write(c, out))
}

// Enrol uses t at the desk at addr, and keeps the certificate.
func (h *Holder) Enrol(ctx context.Context, addr string, role Role, t *Token) error {
	csr, err := h.Request()
	if err != nil {
		return err
	}
	return h.obtain(ctx, addr, t, request{Role: role, Token: t.String(), CSR: csr})
}

// Renew has the certificate made anew if it is in the last third of its life.
func (h *Holder) Renew(ctx context.Context, addr string, role Role) error {
	if leaf := h.Leaf(); leaf == nil || !Due(leaf, time.Now()) {
		return nil
	}
	return h.obtain(ctx, addr, nil, request{Role: role})
}

func (h *Holder) obtain(ctx context.Context, addr string, t *Token, in request) error {
	c, err := h.dial(ctx, addr, t, enrolling)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(handshakeFor))
	if err := write(c, in); err != nil {
		return fmt.Errorf("enrolling at %s: %w", addr, err)
	}
	var out response
	if err := read(c, &out); err != nil {
		return fmt.Errorf("enrolling at %s: %w", addr, err)
	}
	if out.Error != "" {
		return fmt.Errorf("enrolling at %s: %s", addr, out.Error)
	}
	return h.Keep(out.Chain, t)
}

// Dial connects to the desk at addr as a part of that role.
func (h *Holder) Dial(ctx context.Context, addr string, role Role) (net.Conn, error) {
	if leaf := h.Leaf(); leaf != nil && time.Now().After(leaf.NotAfter) {
		return nil, fmt.Errorf("the certificate ended at %s: enrol again with a new token", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return h.dial(ctx, addr, nil, protocolOf(role))
}

func (h *Holder) dial(ctx context.Context, addr string, t *Token, protocol string) (net.Conn, error) {
	config, err := h.ClientTLS(t, protocol)
	if err != nil {
		return nil, err
	}
	d := tls.Dialer{Config: config, NetDialer: &net.Dialer{Timeout: handshakeFor, KeepAlive: 5 * time.Second}}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("reaching the server at %s: %w", addr, err)
	}
	return c, nil
}

// Run renews the certificate in time, until ctx ends.
func (h *Holder) Run(ctx context.Context, addr string, role Role, log *slog.Logger) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for told := ""; ; {
		before := h.Leaf()
		err := h.Renew(ctx, addr, role)
		switch after := h.Leaf(); {
		case err != nil && ctx.Err() == nil && err.Error() != told:
			log.Warn("the certificate was not renewed: it is tried again", "ends", before.NotAfter, "err", err)
			told = err.Error()
		case err == nil && after != before:
			log.Info("the certificate was renewed", "ends", after.NotAfter)
			told = ""
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// write writes a message: its length as four bytes, the most significant first, and JSON.
func write(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...))
	return err
}

func read(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMessage {
		return fmt.Errorf("a message of %d bytes, and %d is the most", n, maxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return errors.New("a message that can't be read")
	}
	return nil
}
