// Package egress is the gate for HTTP on its way out: a proxy that agents are led
// through, which looks into TLS with certificates of an authority of its own.
//
// It promises that nothing goes to a host before the host is on a list or people
// said yes; that every request inside a tunnel is an action like any other, for the
// host that the tunnel was asked for and no other (CONNECT, SNI and Host agree);
// that no address is dialled that was not checked after resolution; that upstream's
// certificate is verified; and that the agent's credential stays here. What is
// neither TLS nor plain HTTP is refused.
//
// It can't see into hosts that the configuration says are not to be looked into, and
// it can't see what goes around it: QUIC, raw sockets, programs that ignore proxy
// variables. The network has to block those. Nor can it tell what a permitted host
// does with what it is sent.
package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/bodies"
	"github.com/assenthq/assent/internal/webwire"
)

// Config is a gate's.
type Config struct {
	Name      string
	Authority gate.Authority
	CA        *CA
	Hosts     []Host
	// Review holds what is for a host on no list; otherwise it is denied.
	Review bool
	// Others is how hosts on no list are reached, where Review lets people permit them.
	Others *Upstream
	Bodies *bodies.Store
	// Classes are the classes of sensitive data that a text shows.
	Classes func(text string) []string
	TLS     *tls.Config // of the proxy itself; nil: it is on loopback
	Wait    time.Duration
	// Tunnels is how many tunnels one credential may have open; 0: 256.
	Tunnels int
	Refused func(ctx context.Context, from gate.Peer, detail string)
	Log     *slog.Logger
}

// A Gate is one egress proxy.
type Gate struct {
	o     Config
	table *table
	other *Host // what is on no list
	http  *httpgate.Gate
	inner *queue // tunnels, for the server of what is inside
	work  sync.WaitGroup

	mu   sync.Mutex
	open map[string]int // owned by mu: tunnels by credential
}

// New returns a gate.
func New(o Config) (*Gate, error) {
	switch {
	case o.CA == nil || o.Classes == nil:
		return nil, errors.New("egress: a part is missing")
	case o.Review && o.Others == nil:
		return nil, errors.New("egress: nothing reaches the hosts that people may permit")
	}
	for i := range o.Hosts {
		if o.Hosts[i].Upstream == nil {
			return nil, errors.New("egress: nothing reaches " + o.Hosts[i].Pattern)
		}
	}
	if o.Tunnels == 0 {
		o.Tunnels = 256
	}
	if o.Refused == nil {
		o.Refused = func(context.Context, gate.Peer, string) {}
	}
	t, err := newTable(o.Hosts)
	if err != nil {
		return nil, err
	}
	g := &Gate{o: o, table: t, inner: newQueue(), open: map[string]int{}}
	if o.Review {
		g.other = &Host{Pattern: "*", Plain: true, Upstream: o.Others}
	}
	// Which paths an upstream reads in two ways is a matter of the host: see rules.
	g.http, err = httpgate.New(httpgate.Config{
		Name: o.Name, Authority: o.Authority, Protocol: protocol{g}, Wait: o.Wait, Bodies: o.Bodies, AnyTarget: true, Refused: o.Refused, Log: o.Log,
	})
	return g, err
}

// Serve serves the proxy on l until ctx ends.
func (g *Gate) Serve(ctx context.Context, l net.Listener) error {
	refused := func(client net.Addr, why error) {
		g.o.Refused(ctx, gate.Peer{Gate: g.o.Name, Address: client.String()}, why.Error())
	}
	inside := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		// A ticket of one host would be good for another, past the check of names.
		SessionTicketsDisabled: true, GetConfigForClient: g.greet,
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- webwire.Serve(ctx, g.inner, g, webwire.Limits{}, webwire.Options{TLS: inside, Refused: refused}, g.o.Log)
	}()
	outside := g.o.TLS
	if outside != nil {
		outside = outside.Clone()
		outside.NextProtos = []string{"http/1.1"}
	}
	err := webwire.Serve(ctx, l, g, webwire.Limits{}, webwire.Options{TLS: outside, Refused: refused}, g.o.Log)
	cancel() // and what is inside ends too
	if inner := <-ended; err == nil {
		err = inner
	}
	g.work.Wait() // for tunnels too, which a server forgets
	g.http.Close()
	for i := range g.o.Hosts {
		g.o.Hosts[i].Upstream.Close()
	}
	if g.o.Others != nil {
		g.o.Others.Close()
	}
	return err
}

// ServeHTTP takes one request, to the proxy or in a tunnel.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.work.Add(1)
	defer g.work.Done()
	g.http.ServeHTTP(w, r)
}

// host is what is said of a host; an error is the refusal of one that nobody listed.
func (g *Gate) host(name string) (*Host, error) {
	if h := g.table.find(name); h != nil {
		return h, nil
	}
	if g.other != nil {
		return g.other, nil
	}
	return nil, &gate.Denied{Status: gate.StatusDenied, Reason: name + " is on no list of this gate", Hint: "use a host that is; an administrator can add one under egress.hosts"}
}
