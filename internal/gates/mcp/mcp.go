// Package mcp is the gate for the Model Context Protocol: it stands between clients
// and any number of servers, over streamable HTTP and stdio, in the revisions
// 2024-11-05 to 2026-07-28.
//
// It promises that no call of a tool and no read reaches a server before it was
// permitted, that the server gets the very bytes that were judged, that whatever
// comes back is masked and counted before the client sees it, and that a method,
// a notification or a member of the envelope that is on no list goes nowhere.
// A client's own credential never goes to a server.
//
// It can't see what a server does behind its tools, what is written in images,
// sound and other base64 that holds no text, or what two sides agree on in names
// that must stay as they are: URIs, cursors and tokens.
package mcp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/gate"
	classify "github.com/assenthq/assent/internal/classify/mcp"
)

// A Config is what a gate is made of. Name, Authority, Judge and Servers are needed.
type Config struct {
	Name      string
	Authority gate.Authority
	Judge     Judge
	Pins      Pins   // nil: every definition may be used
	Pauser    Pauser // nil: LongPoll
	Servers   []Server
	// Resource is the address that clients use, as tokens for this gate name it:
	// https://assent.example.com/mcp. Empty: whatever the request says, on loopback.
	Resource string
	// Authorization are the servers that issue tokens for it (RFC 9728).
	Authorization []string
	Hosts         []string // further host names that it answers to
	Origins       []string // of web pages that may use it
	// Exchange takes a foreign token for one of ours; nil: none is taken.
	Exchange func(ctx context.Context, foreign, resource string) (token string, expires time.Time, err error)
	Refused  func(ctx context.Context, from gate.Peer, detail string) // somebody who did not come in
	Idle     time.Duration                                            // after which a conversation ends; 0: an hour
	Log      *slog.Logger
}

// A Server is one MCP server behind the gate: at an address, started by the gate, or
// started by the client itself.
type Server struct {
	Name string
	URL  string // of streamable HTTP
	// Headers are sent with every request: the gate's own credential for who asks.
	Headers func(ctx context.Context, who Who) (http.Header, error)
	Client  *http.Client // nil: one that verifies certificates; redirects are never followed
	// Command starts the server, once for each conversation.
	Command func(ctx context.Context, who Who) (Command, error)
	// Tunnel lets clients start the server where they are (assent mcp -- command).
	Tunnel bool
	// Untrusted says that what comes back was written by others, and what it is.
	Untrusted string
	Tools     classify.Server // what the administrator said of its tools
}

// Who is the one that a conversation is for.
type Who struct {
	Person string // "dana"; "" for nobody
	Actor  string // "nightly-exporter"
}

// maxConversations bounds those that one credential may have open, maxProcesses
// the servers that run for it.
const (
	maxConversations = 200
	maxProcesses     = 20
)

// maxInHand bounds what the requests take together that are being taken.
const maxInHand = 512 << 20

// A Gate is a running gate.
type Gate struct {
	name     string
	judge    Judge
	pins     Pins
	pauser   Pauser
	servers  []*Server
	joined   *Server // stands for all of them together
	sessions *gate.Sessions
	o        Config
	idle     time.Duration
	log      *slog.Logger

	inHand atomic.Int64 // bytes of requests that are being taken

	mu       sync.Mutex
	open     map[string]*conversation  // owned by mu, by id
	catalogs map[catalogKey]*catalog   // owned by mu: of requests without a conversation
	foreign  map[[32]byte]foreignToken // owned by mu
	children map[catalogKey]*local     // owned by mu: servers for requests without a conversation
	shut     bool                      // owned by mu
}

type catalogKey struct{ credential, server string }

// New makes a gate.
func New(o Config) (*Gate, error) {
	if o.Name == "" || o.Authority == nil || o.Judge == nil || len(o.Servers) == 0 {
		return nil, errors.New("an MCP gate needs a name, an authority, a judge and servers")
	}
	if o.Pauser == nil {
		o.Pauser = LongPoll{}
	}
	if o.Idle == 0 {
		o.Idle = time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Refused == nil {
		o.Refused = func(context.Context, gate.Peer, string) {}
	}
	g := &Gate{
		name: o.Name, judge: o.Judge, pins: o.Pins, pauser: o.Pauser, o: o, idle: o.Idle, log: o.Log,
		sessions: gate.NewSessions(o.Authority, o.Idle), open: map[string]*conversation{}, catalogs: map[catalogKey]*catalog{}, children: map[catalogKey]*local{}, foreign: map[[32]byte]foreignToken{},
	}
	g.joined = &Server{}
	for i := range o.Servers {
		s := o.Servers[i]
		if err := s.complete(); err != nil {
			return nil, fmt.Errorf("server %s: %w", s.Name, err)
		}
		g.servers = append(g.servers, &s)
	}
	return g, nil
}

// complete fills in what was left out.
func (s *Server) complete() error {
	s.Tools.Name = s.Name
	ways := 0
	for _, is := range []bool{s.URL != "", s.Command != nil, s.Tunnel} {
		if is {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("it is at an address, started by the gate or by the client: one of them")
	}
	if s.URL == "" {
		return nil
	}
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" || u.User != nil {
		return errors.New("its url is no address")
	}
	if s.Client == nil {
		s.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second}}
	}
	s.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if s.Headers == nil {
		s.Headers = func(context.Context, Who) (http.Header, error) { return nil, nil }
	}
	return nil
}

// Serve answers until ctx ends.
func (g *Gate) Serve(ctx context.Context, l net.Listener) error {
	requests, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	srv := &http.Server{
		Handler: g, BaseContext: func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	hangUp()
	g.Close()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		_ = srv.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends every conversation.
func (g *Gate) Close() {
	g.mu.Lock()
	g.shut = true
	open := make([]*conversation, 0, len(g.open))
	for _, v := range g.open {
		open = append(open, v)
	}
	children := slices.Collect(maps.Values(g.children))
	g.mu.Unlock()
	for _, c := range children {
		c.end(context.Background())
	}
	var all sync.WaitGroup
	for _, v := range open {
		all.Go(v.close)
	}
	all.Wait()
	if p, is := g.pauser.(interface{ Close() }); is {
		p.Close()
	}
	g.sessions.Close()
}

func (g *Gate) server(name string) *Server {
	for _, s := range g.servers {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// begin makes a conversation. kept says that it outlasts the request.
func (g *Gate) begin(ctx context.Context, in *caller, s *Server, kept bool) (*conversation, error) {
	return g.beginAt(ctx, in, s, kept, nil, "")
}

// beginAt is begin with a server at the other end of a pipe of its own, which its
// client started by command.
func (g *Gate) beginAt(ctx context.Context, in *caller, s *Server, kept bool, start func() (pipe, error), command string) (*conversation, error) {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	v := &conversation{gate: g, server: s, credential: in.credential, ctx: run, stop: stop, release: in.release, session: in.session}
	if kept {
		v.id = sessionID + rand.Text()
	}
	if s == g.joined {
		g.join(v, kept)
	} else {
		g.equip(v, kept, start, command)
	}
	if !kept {
		return v, nil
	}
	if err := g.keep(v); err != nil {
		stop()
		return nil, err
	}
	go func() {
		select {
		case <-v.session.Cut():
			v.close()
		case <-run.Done():
		}
	}()
	return v, nil
}

// equip gives a conversation its way to the server and its guard.
func (g *Gate) equip(v *conversation, kept bool, start func() (pipe, error), command string) {
	s := v.server
	if start != nil {
		v.up = &local{start: start, ended: func() { go v.close() }}
	} else {
		v.up = g.reach(v, kept)
	}
	v.guard = &Guard{session: v.session, server: s.Name, place: "mcp:" + g.name + "/" + s.Name, classed: s.Tools, others: s.Untrusted, judge: g.judge, ask: v.askServer, command: command}
	if kept {
		v.guard.tools = newCatalog(pinnedAs(s.Name, command), g.pins)
	} else {
		v.guard.tools, v.guard.fresh = g.catalog(v.credential, s), time.Minute
	}
}

// sessionID begins the ids of conversations.
const sessionID = "mcp_"

// reach is the way to the server of a conversation.
func (g *Gate) reach(v *conversation, kept bool) conn {
	s, who := v.server, whoOf(v.session)
	if s.URL != "" {
		return &remote{client: s.Client, url: s.URL, headers: func(ctx context.Context) (http.Header, error) { return s.Headers(ctx, who) }}
	}
	start := func() (pipe, error) {
		if s.Command == nil {
			return nil, errors.New("this server is started by its client: assent mcp --server " + s.Name + " -- COMMAND")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c, err := s.Command(ctx, who)
		if err != nil {
			return nil, err
		}
		return startChild(c, g.log)
	}
	if kept {
		return &local{start: start, ended: func() { go v.close() }}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	k := catalogKey{v.credential, s.Name}
	if g.children[k] == nil {
		g.children[k] = &local{start: start, shared: true, rest: 10 * time.Minute}
	}
	return g.children[k]
}

func (g *Gate) keep(v *conversation) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return gate.ErrClosed
	}
	n, processes := 0, 0
	for _, other := range g.open {
		if other.credential == v.credential {
			n++
			if other.server.Command != nil {
				processes++
			}
		}
	}
	if v.server.Command != nil && processes >= maxProcesses {
		return fmt.Errorf("%d servers run for this credential, the most there may be", processes)
	}
	if n >= maxConversations {
		return fmt.Errorf("this credential has %d conversations open, the most there may be", n)
	}
	g.open[v.id] = v
	return nil
}

func (g *Gate) forget(v *conversation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, v.id)
}

// find returns the conversation of an id, if it is that credential's.
func (g *Gate) find(id, credential string, s *Server) *conversation {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.open[id]
	if v == nil || v.credential != credential || v.server != s {
		return nil
	}
	return v
}

// maxCatalogs bounds what is kept of listings for requests without a conversation.
const maxCatalogs = 1000

func (g *Gate) catalog(credential string, s *Server) *catalog {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := catalogKey{credential, s.Name}
	c := g.catalogs[k]
	if c == nil {
		if len(g.catalogs) >= maxCatalogs {
			clear(g.catalogs)
		}
		c = newCatalog(s.Name, g.pins)
		g.catalogs[k] = c
	}
	return c
}
