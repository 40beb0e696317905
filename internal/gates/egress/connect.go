package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/netguard"
)

// greeting is how long a client may take to begin TLS in a tunnel.
const greeting = 10 * time.Second

// A tunnel is what a client asked for by CONNECT, while it lasts. It is also the
// local address of its connection, which is how a request inside finds it.
type tunnel struct {
	net.Addr
	name   string // host, in lower case
	port   int
	host   *Host
	bearer string
	from   string
}

// within is the tunnel that a request came through; nil: it came to the proxy itself.
func within(r *http.Request) *tunnel {
	t, _ := r.Context().Value(http.LocalAddrContextKey).(*tunnel)
	return t
}

// A tunnelled is the connection of a tunnel.
type tunnelled struct {
	net.Conn
	first io.Reader // what came before the tunnel was there
	at    *tunnel
	once  sync.Once
	done  func()
}

func (c *tunnelled) LocalAddr() net.Addr { return c.at }

func (c *tunnelled) Read(b []byte) (int, error) {
	if c.first != nil {
		n, err := c.first.Read(b)
		if n > 0 {
			return n, nil
		}
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		c.first = nil
	}
	return c.Conn.Read(b)
}

func (c *tunnelled) Close() error {
	c.once.Do(c.done)
	return c.Conn.Close()
}

// target reads a host and a port. port is what counts where none is named.
func target(hostport string, port int) (name string, literal bool, at int, err error) {
	host, service := hostport, ""
	if h, p, serr := net.SplitHostPort(hostport); serr == nil {
		host, service = h, p
		if service == "" {
			return "", false, 0, errors.New("the port is missing")
		}
	}
	if service != "" {
		n, perr := strconv.ParseUint(service, 10, 16)
		if perr != nil || n == 0 || service != strconv.FormatUint(n, 10) {
			return "", false, 0, errors.New("the port is not a number between 1 and 65535")
		}
		port = int(n)
	}
	name, a, err := netguard.Host(host)
	return name, a.IsValid(), port, err
}

// connect describes a CONNECT: into a host that is looked into it is a way, whose
// requests are judged one by one; into another it is the action itself.
func (g *Gate) connect(x *httpgate.Exchange) (*httpgate.Call, error) {
	r := x.Request
	if r.ProtoMajor != 1 {
		return nil, errors.New("a CONNECT that is not of HTTP/1.1")
	}
	if r.ContentLength != 0 {
		return nil, errors.New("a CONNECT with a body")
	}
	if r.RequestURI != r.Host {
		return nil, errors.New("a CONNECT whose Host is another")
	}
	if _, _, err := net.SplitHostPort(r.RequestURI); err != nil {
		return nil, errors.New("a CONNECT without a host and a port")
	}
	name, literal, port, err := target(r.RequestURI, 0)
	if err != nil {
		return nil, err
	}
	h, err := g.judged(x, name, literal, port, false)
	if err != nil {
		return nil, err
	}
	t := &tunnel{name: name, port: port, host: h, bearer: bearer(x.Came), from: r.RemoteAddr}
	if h.Blind {
		return g.blind(x, t), nil
	}
	return &httpgate.Call{
		Harmless: "a tunnel, whose requests are judged one by one",
		Take: func(_ context.Context, w http.ResponseWriter, x *httpgate.Exchange, _ gate.Permit) gate.Outcome {
			g.enter(w, x, t)
			return gate.Outcome{}
		},
	}, nil
}

// judged finds the entry of a host, and refuses what it doesn't take.
func (g *Gate) judged(x *httpgate.Exchange, name string, literal bool, port int, plain bool) (*Host, error) {
	h, err := g.host(name)
	if err != nil {
		what := "a host on no list"
		if len(g.o.Classes(name)) == 0 { // else it is the name that would carry something out
			what += ": " + name
		}
		x.Session.Refused(x.Request.Context(), what)
		return nil, err
	}
	switch {
	case !h.takes(port, plain):
		err = &gate.Denied{Status: gate.StatusDenied, Reason: "port " + strconv.Itoa(port) + " of " + name + " is on no list of this gate", Hint: "an administrator can add it to ports of the host"}
	case plain && !h.Plain:
		err = &gate.Denied{Status: gate.StatusDenied, Reason: name + " is reached by https only", Hint: "ask for https://" + name}
	case literal && len(h.Addresses) == 0:
		err = g.literal(h, name, port)
	}
	if err != nil {
		x.Session.Refused(x.Request.Context(), err.(*gate.Denied).Reason) //nolint:errorlint // made above
		return nil, err
	}
	return h, nil
}

// literal looks at a host that is an address before anybody is asked about it.
func (g *Gate) literal(h *Host, name string, port int) error {
	if err := h.Upstream.check(name, port); err != nil {
		return &gate.Denied{Status: gate.StatusDenied, Reason: err.Error()}
	}
	return nil
}

// claim counts a tunnel of a credential. done gives it back.
func (g *Gate) claim(credential string) (done func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[credential] >= g.o.Tunnels {
		return nil, false
	}
	g.open[credential]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.open[credential]--; g.open[credential] == 0 {
			delete(g.open, credential)
		}
	}, true
}

// leave answers a CONNECT with yes and returns the connection.
func (g *Gate) leave(w http.ResponseWriter, x *httpgate.Exchange, t *tunnel) *tunnelled {
	refuse := func(status int, d *gate.Denied) *tunnelled {
		protocol{g}.Refuse(w, x.Request, status, d)
		return nil
	}
	done, ok := g.claim(x.Credential)
	if !ok {
		return refuse(http.StatusServiceUnavailable, &gate.Denied{Status: gate.StatusLimit, Reason: "too many tunnels are open", Hint: "close some"})
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		done()
		return refuse(http.StatusBadRequest, &gate.Denied{Status: gate.StatusUnreadable, Reason: "this connection can't become a tunnel"})
	}
	c := &tunnelled{Conn: conn, at: t, done: done}
	t.Addr = conn.LocalAddr()
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Reader.Peek(n) // it is there
		c.first = bytes.NewReader(slices.Clone(early))
	}
	_ = conn.SetDeadline(time.Now().Add(greeting))
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = c.Close()
		return nil
	}
	_ = conn.SetDeadline(time.Time{})
	return c
}

// enter hands a tunnel to the server of what is inside.
func (g *Gate) enter(w http.ResponseWriter, x *httpgate.Exchange, t *tunnel) {
	c := g.leave(w, x, t)
	if c == nil {
		return
	}
	if !g.inner.put(c) {
		_ = c.Close()
	}
}

// greet looks at the first words of TLS in a tunnel.
func (g *Gate) greet(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	t, is := hello.Conn.LocalAddr().(*tunnel)
	if !is {
		return nil, errors.New("TLS outside of a tunnel")
	}
	if err := t.agrees(hello); err != nil {
		return nil, err
	}
	leaf, err := g.o.CA.Leaf(t.name)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, SessionTicketsDisabled: true, Certificates: []tls.Certificate{*leaf}}, nil
}

// agrees says whether TLS is for the host that the tunnel was asked for. An address has no SNI.
func (t *tunnel) agrees(hello *tls.ClientHelloInfo) error {
	name, literal, _, err := target(t.name, 0)
	if err != nil {
		return err
	}
	if hello.ServerName == "" && literal {
		return nil
	}
	sni, _, err := netguard.Host(hello.ServerName)
	if err != nil || sni != name {
		return errors.New("TLS in a tunnel was for another host than the tunnel")
	}
	return nil
}

// A queue is a listener whose connections are tunnels.
type queue struct {
	conns chan net.Conn
	once  sync.Once
	ended chan struct{}
}

func newQueue() *queue { return &queue{conns: make(chan net.Conn), ended: make(chan struct{})} }

func (q *queue) put(c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.ended:
		return false
	}
}

// Accept returns the next tunnel.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.ended:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.ended) })
	return nil
}

// Addr is no place that could be dialled.
func (q *queue) Addr() net.Addr { return &net.UnixAddr{Name: "tunnels", Net: "unix"} }
