// Package oidctest is an OpenID provider for tests and the demo: discovery,
// keys that rotate, code with PKCE, refresh, userinfo, device codes, and knobs
// for every bad token a hostile or broken issuer could send.
//
// It asks for no password and signs in whoever is clicked. It listens on
// loopback only and says on each page what it is. Nothing else may use it.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A User may sign in. Sub is their immutable id.
type User struct {
	Sub, Name string
	Groups    []string // immutable ids of groups
	Disabled  bool     // may not sign in, and their refresh tokens are void
}

// A Client is a registered relying party.
type Client struct{ ID, Secret string }

// An IDToken is what is about to be signed; a tweak may spoil it.
type IDToken struct {
	Claims map[string]any
	Alg    jose.SignatureAlgorithm // "none" writes an unsigned token
	Key    any
	KeyID  string
}

// Options of a provider. The zero value is one client "assent" with secret "secret".
type Options struct {
	Client Client
	Users  []User
	// Addr to listen on; "127.0.0.1:0" unless set. Only loopback is accepted.
	Addr string
	// Path is where the issuer's URL ends, such as "/realms/corp"; "" for none.
	Path string
	// GroupsInUserinfo leaves groups and name out of ID tokens: userinfo has them.
	GroupsInUserinfo bool
	// NoRefresh hands out no refresh tokens; NoUserinfo has no userinfo endpoint.
	NoRefresh, NoUserinfo bool
	// NoIss leaves RFC 9207's parameter out of the answer and of the metadata.
	NoIss bool
	// Through stands before the provider, to stumble as a real one might.
	Through func(http.Handler) http.Handler
	Clock   func() time.Time
}

// Provider is a running one.
type Provider struct {
	o      Options
	issuer string
	listen net.Listener
	server *http.Server

	mu      sync.Mutex // owns all below
	users   map[string]User
	keys    []signingKey // the newest first
	codes   map[string]grant
	refresh map[string]grant
	access  map[string]grant
	devices map[string]*device // by device code
	tweak   func(*IDToken)
	down    bool
	calls   map[string]int // by endpoint
	auth    string         // how a client must authenticate: "", "basic" or "post"
}

type signingKey struct {
	id  string
	key *ecdsa.PrivateKey
}

// grant is what a code or a token stands for.
type grant struct {
	sub, nonce, redirect, challenge, client string
	at, expires                             time.Time
}

type device struct {
	userCode string
	sub      string // "" until somebody confirmed
	denied   bool
	polled   time.Time
	expires  time.Time
}

// New starts a provider. Close it.
func New(o Options) (*Provider, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Client.ID == "" {
		o.Client = Client{"assent", "secret"}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	host, _, err := net.SplitHostPort(o.Addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, errors.New("the test provider listens on loopback only: it asks for no password")
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("test provider: %w", err)
	}
	p := &Provider{
		o: o, listen: l, issuer: "http://" + l.Addr().String() + o.Path, users: map[string]User{},
		codes: map[string]grant{}, refresh: map[string]grant{}, access: map[string]grant{}, devices: map[string]*device{}, calls: map[string]int{},
	}
	for _, u := range o.Users {
		p.users[u.Sub] = u
	}
	p.Rotate()
	handler := p.routes()
	if o.Through != nil {
		handler = o.Through(handler)
	}
	p.server = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = p.server.Serve(l) }() // ends by Close
	return p, nil
}

// Issuer is the issuer's URL.
func (p *Provider) Issuer() string { return p.issuer }

// Close ends it and its connections.
func (p *Provider) Close() { _ = p.server.Close() }

// Rotate makes a new signing key. The key before it stays published; older ones don't.
func (p *Provider) Rotate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append([]signingKey{{rand.Text()[:8], key}}, p.keys...)
	p.keys = p.keys[:min(len(p.keys), 2)]
}

// Down makes every endpoint answer 503, as a provider in trouble does, until it is called with false.
func (p *Provider) Down(down bool) { p.mu.Lock(); defer p.mu.Unlock(); p.down = down }

// Set changes a user, or adds one.
func (p *Provider) Set(u User) { p.mu.Lock(); defer p.mu.Unlock(); p.users[u.Sub] = u }

// Tweak spoils every ID token from now on; nil stops it.
func (p *Provider) Tweak(f func(*IDToken)) { p.mu.Lock(); defer p.mu.Unlock(); p.tweak = f }

// WantAuth makes the token endpoint accept one way of client authentication only: "basic" or "post".
func (p *Provider) WantAuth(how string) { p.mu.Lock(); defer p.mu.Unlock(); p.auth = how }

// Calls tells how often an endpoint was asked: "discovery", "jwks", "authorize", "token", "userinfo", "device".
func (p *Provider) Calls(endpoint string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[endpoint]
}

// RevokeRefresh voids every refresh token of a user.
func (p *Provider) RevokeRefresh(sub string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, g := range p.refresh {
		if g.sub == sub {
			delete(p.refresh, t)
		}
	}
}
