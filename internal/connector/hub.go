package connector

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/assenthq/assent/internal/enrol"
)

// Errors of Dial.
var (
	ErrNone  = errors.New("no connector is connected that reaches the system")
	ErrReach = errors.New("the system can't be reached through its connectors")
)

const (
	maxPending = 256 // connections that are not a link yet; one more ends the oldest
	maxOpening = 128 // streams of one link that are being opened
	checkEvery = 2 * time.Second
	lease      = 10 * time.Second // a link outlives a store that can't be read for so long
)

// An Authority says who may connect.
type Authority interface {
	ServerTLS(protocols ...string) *tls.Config
	Check(ctx context.Context, leaf *x509.Certificate, role enrol.Role) (enrol.Entry, error)
	Renew(ctx context.Context, leaf *x509.Certificate, role enrol.Role) ([][]byte, error)
	Enrol(ctx context.Context, role enrol.Role, token string, request []byte, from string) ([][]byte, enrol.Entry, error)
	OnChange(fn func())
}

// HubOptions says what a Hub works with. Authority is needed.
type HubOptions struct {
	Authority Authority
	Silence   time.Duration // 0: DefaultSilence
	Logger    *slog.Logger
	// Event hears of what goes on record: "connected", "left", "refused". It must be quick. nil: nobody.
	Event func(what, name, from, why string)
}

// A Hub is where connectors come to, and where gates dial through them. It is safe
// for concurrent use.
type Hub struct {
	o HubOptions

	mu      sync.Mutex
	links   map[string]*link // by name; owned by mu
	pending []net.Conn       // oldest first; owned by mu
	wake    chan struct{}

	// Counters for metrics.
	Refused, Enrolled, Dialed, Failed atomic.Int64
}

// A link is one connector that is connected.
type link struct {
	entry   enrol.Entry
	from    string
	program string
	systems []string
	since   time.Time
	session *yamux.Session
	streams atomic.Int64
	opening chan struct{}

	mu   sync.Mutex
	leaf *x509.Certificate // owned by mu; renewed
}

// A Link is a connector that is connected, for people.
type Link struct {
	Name    string
	From    string // its address
	Program string // its version, as it says
	Systems []string
	Since   time.Time
	Streams int64
}

// NewHub makes a Hub without links.
func NewHub(o HubOptions) (*Hub, error) {
	if o.Authority == nil {
		return nil, errors.New("connectors: an authority is needed")
	}
	if o.Silence == 0 {
		o.Silence = DefaultSilence
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Event == nil {
		o.Event = func(string, string, string, string) {}
	}
	h := &Hub{o: o, links: map[string]*link{}, wake: make(chan struct{}, 1)}
	o.Authority.OnChange(func() {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	})
	return h, nil
}

// Serve accepts connectors on l until ctx ends, and then ends all links.
func (h *Hub) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	work.Go(func() { h.checkLoop(ctx) })
	conf := tuned(h.o.Authority.ServerTLS(linkProtocol, joinProtocol))
	for {
		raw, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		var busyNow net.Error
		if errors.As(err, &busyNow) && !errors.Is(err, net.ErrClosed) {
			h.o.Logger.Error("accepting a connector", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond): // too many open files end by themselves
			}
			continue
		}
		if err != nil {
			return err
		}
		work.Go(func() {
			h.enter(raw)
			defer h.leave(raw)
			h.meet(ctx, raw, conf)
		})
	}
}

// enter counts a connection that is not a link yet. The oldest makes room: who
// is honest is done long before 256 others have come.
func (h *Hub) enter(raw net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending = append(h.pending, raw)
	if len(h.pending) > maxPending {
		_ = h.pending[0].Close()
		h.pending = h.pending[1:]
	}
}

func (h *Hub) leave(raw net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.pending, raw); i >= 0 {
		h.pending = slices.Delete(h.pending, i, i+1)
	}
}

// meet does with one connection what it came for.
func (h *Hub) meet(ctx context.Context, raw net.Conn, conf *tls.Config) {
	defer func() { _ = raw.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	from := raw.RemoteAddr().String()
	_ = raw.SetDeadline(time.Now().Add(handshakeTime))
	unsent(raw)
	c := tls.Server(raw, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		h.o.Logger.Debug("a handshake of a connector failed", "from", from, "err", err)
		return
	}
	state := c.ConnectionState()
	switch {
	case state.NegotiatedProtocol == joinProtocol:
		h.enrol(ctx, c, from)
	case state.NegotiatedProtocol != linkProtocol || len(state.PeerCertificates) == 0:
		h.refuse("", from, "it showed no certificate, or speaks another protocol")
	default:
		h.serve(ctx, raw, c, state.PeerCertificates[0], from)
	}
}

func (h *Hub) refuse(name, from, why string) {
	h.Refused.Add(1)
	h.o.Logger.Warn("a connector was refused", "connector", name, "from", from, "why", why)
	h.o.Event("refused", name, from, why)
}

// enrol answers one message.
func (h *Hub) enrol(ctx context.Context, c net.Conn, from string) {
	var in joining
	if err := readNote(c, &in); err != nil {
		h.refuse("", from, "its enrolment could not be read")
		return
	}
	var out answer
	chain, e, err := h.o.Authority.Enrol(ctx, enrol.Connector, in.Token, in.Request, from)
	switch {
	case errors.Is(err, enrol.ErrToken):
		out.Error = err.Error()
		h.refuse("", from, err.Error())
	case err != nil:
		out.Error, out.Again = "it could not be enrolled now; the server's log says why", true
		h.o.Logger.Error("enrolling a connector", "err", err)
	default:
		h.Enrolled.Add(1)
		h.o.Logger.Info("a connector was enrolled", "connector", e.Name, "from", from)
		out.Name, out.Chain = e.Name, chain
	}
	_ = writeNote(c, &out)
}

// serve is a link from its handshake to its end.
func (h *Hub) serve(ctx context.Context, raw net.Conn, c *tls.Conn, leaf *x509.Certificate, from string) {
	e, refused := h.o.Authority.Check(ctx, leaf, enrol.Connector)
	var hello greeting
	if err := readNote(c, &hello); err != nil {
		h.refuse(e.Name, from, "its first message could not be read")
		return
	}
	if why := judge(&e, refused, &hello); why != "" {
		h.refuse(e.Name, from, why)
		_ = writeNote(c, &answer{Error: why, Again: refused != nil && !errors.Is(refused, enrol.ErrRefused)})
		return
	}
	if err := writeNote(c, &answer{Name: e.Name}); err != nil {
		return
	}
	hc := &heard{Conn: c}
	hc.last.Store(int64(time.Since(began)))
	session, err := yamux.Server(hc, settings(h.o.Logger))
	if err != nil {
		return
	}
	_ = raw.SetDeadline(time.Time{})
	h.leave(raw)
	l := &link{entry: e, from: from, program: clean(hello.Program), systems: hello.Systems, since: time.Now(), session: session, opening: make(chan struct{}, maxOpening), leaf: leaf}
	h.join(l)
	defer h.part(l)
	go h.control(ctx, l)
	watch(ctx, session, hc, h.o.Silence)
}

// judge says why a connector may not come in; "": it may.
func judge(e *enrol.Entry, refused error, hello *greeting) string {
	switch {
	case errors.Is(refused, enrol.ErrRefused):
		return refused.Error()
	case refused != nil:
		return "who is enrolled could not be read just now"
	case hello.Version != 1:
		return fmt.Sprintf("it speaks version %d of the protocol, and this server 1: use versions of Assent that are at most one apart", hello.Version)
	case len(hello.Systems) == 0:
		return "it names no system: start it with --system NAME=HOST:PORT"
	}
	for _, system := range hello.Systems {
		if !slices.Contains(e.Systems, system) {
			return fmt.Sprintf("it is not enrolled for system %s, but for %s: make a token for what it serves", clean(system), cmp.Or(strings.Join(e.Systems, ", "), "none"))
		}
	}
	return ""
}

// clean bounds text from elsewhere; whoever shows it escapes it.
func clean(s string) string { return s[:min(len(s), 64)] }

// join makes l the link of its name: who comes anew has lost the former one.
func (h *Hub) join(l *link) {
	h.mu.Lock()
	former := h.links[l.entry.Name]
	h.links[l.entry.Name] = l
	h.mu.Unlock()
	if former != nil {
		go func() { _ = former.session.Close() }()
	}
	h.o.Logger.Info("a connector is connected", "connector", l.entry.Name, "from", l.from, "systems", l.systems)
	h.o.Event("connected", l.entry.Name, l.from, "")
}

func (h *Hub) part(l *link) {
	_ = l.session.Close()
	h.mu.Lock()
	if h.links[l.entry.Name] == l {
		delete(h.links, l.entry.Name)
	}
	h.mu.Unlock()
	h.o.Logger.Info("a connector left", "connector", l.entry.Name, "from", l.from)
	h.o.Event("left", l.entry.Name, l.from, "")
}

// control serves the one stream that a connector opens, for renewals. A second one
// ends the link: connectors carry what gates dial, and nothing else.
func (h *Hub) control(ctx context.Context, l *link) {
	s, err := l.session.AcceptStream()
	if err != nil {
		return
	}
	go func() {
		if _, err := l.session.AcceptStream(); err == nil {
			h.refuse(l.entry.Name, l.from, "it opened streams, which only the server does")
			_ = l.session.Close()
		}
	}()
	h.renewals(ctx, l, s)
}

// renewals answers the control stream; what can't be read there ends the link.
func (h *Hub) renewals(ctx context.Context, l *link, s *yamux.Stream) {
	defer func() { _ = l.session.Close() }()
	for {
		var in renewal
		if err := readNote(s, &in); err != nil || !in.Renew {
			return
		}
		var out answer
		chain, err := h.o.Authority.Renew(ctx, l.certificate(), enrol.Connector)
		if err == nil {
			var leaf *x509.Certificate
			if leaf, err = x509.ParseCertificate(chain[0]); err == nil {
				l.mu.Lock()
				l.leaf = leaf
				l.mu.Unlock()
				out.Chain = chain
			}
		}
		if err != nil {
			out.Error = "the certificate could not be renewed now"
			h.o.Logger.Warn("renewing the certificate of a connector", "connector", l.entry.Name, "err", err)
		}
		if writeNote(s, &out) != nil {
			return
		}
	}
}

func (l *link) certificate() *x509.Certificate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaf
}

// checkLoop ends links whose certificates count no more.
func (h *Hub) checkLoop(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	good := map[*link]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.wake:
		}
		now, next := time.Now(), map[*link]time.Time{}
		for _, l := range h.all() {
			_, err := h.o.Authority.Check(ctx, l.certificate(), enrol.Connector)
			if err == nil {
				next[l] = now
				continue
			}
			last, known := good[l]
			if !known {
				last = l.since
			}
			if errors.Is(err, enrol.ErrRefused) || now.Sub(last) > lease {
				h.refuse(l.entry.Name, l.from, err.Error())
				_ = l.session.Close()
				continue
			}
			next[l] = last
		}
		good = next
	}
}

func (h *Hub) all() []*link {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*link, 0, len(h.links))
	for _, l := range h.links {
		out = append(out, l)
	}
	return out
}

// Links are the connectors that are connected, by name.
func (h *Hub) Links() []Link {
	var out []Link
	for _, l := range h.all() {
		out = append(out, Link{Name: l.entry.Name, From: l.from, Program: l.program, Systems: l.systems, Since: l.since, Streams: l.streams.Load()})
	}
	slices.SortFunc(out, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Dial opens a connection to a system through the connector with the fewest open
// streams, and through another where that one can't. It never goes there directly.
func (h *Hub) Dial(ctx context.Context, system string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	links := h.all()
	links = slices.DeleteFunc(links, func(l *link) bool { return !slices.Contains(l.systems, system) })
	if len(links) == 0 {
		h.Failed.Add(1)
		return nil, fmt.Errorf("%w %s: start assent connector --system %s=HOST:PORT where it can be reached (assent connector list shows who is connected)", ErrNone, system, system)
	}
	slices.SortStableFunc(links, func(a, b *link) int { return cmp.Compare(a.streams.Load(), b.streams.Load()) })
	var whys []string
	for _, l := range links {
		c, err := l.open(ctx, system)
		if err == nil {
			h.Dialed.Add(1)
			return c, nil
		}
		whys = append(whys, l.entry.Name+": "+err.Error())
		if ctx.Err() != nil {
			break
		}
	}
	h.Failed.Add(1)
	return nil, fmt.Errorf("%w: %s: %s", ErrReach, system, strings.Join(whys, "; "))
}

// open opens one stream and waits for the connector's answer.
func (l *link) open(ctx context.Context, system string) (net.Conn, error) {
	select {
	case l.opening <- struct{}{}:
	case <-l.session.CloseChan():
		return nil, errors.New("its link ended")
	case <-ctx.Done():
		return nil, errors.New("it opens too many streams already")
	}
	l.streams.Add(1)
	free := func() { l.streams.Add(-1) }
	type result struct {
		c   *conn
		err error
	}
	got := make(chan result, 1)
	go func() { // OpenStream knows no context, and waits for a connector that acknowledges nothing
		defer func() { <-l.opening }()
		s, err := l.session.OpenStream()
		if err != nil {
			got <- result{nil, errors.New("its link ended")}
			return
		}
		end, _ := ctx.Deadline()
		_ = s.SetDeadline(end)
		_, err = s.Write(header(system))
		c := newConn(s, free)
		if err == nil {
			err = said(c.r)
		}
		_ = s.SetDeadline(time.Time{})
		got <- result{c, err}
	}()
	select {
	case r := <-got:
		switch {
		case r.c == nil:
			free()
			return nil, r.err
		case r.err != nil:
			_ = r.c.Close()
			return nil, r.err
		}
		return r.c, nil
	case <-ctx.Done():
		go func() {
			if r := <-got; r.c != nil {
				_ = r.c.Close()
			} else {
				free()
			}
		}()
		return nil, errors.New("it did not answer in time")
	}
}

// said reads the connector's answer to a header.
func said(r io.ByteReader) error {
	b, err := r.ReadByte()
	switch {
	case err != nil:
		return errors.New("it ended the stream without an answer, or gave none in time")
	case b == opened:
		return nil
	case b == notHere:
		return errors.New("it was not started with that system")
	case b == unreachable:
		return errors.New("nothing answers at the address it was started with")
	case b == busy:
		return errors.New("it has as many streams as it takes")
	}
	return errors.New("it answered with something unknown")
}
