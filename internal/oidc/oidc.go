// Package oidc signs people in through OpenID providers: it is the relying
// party, for several issuers at once.
//
// It promises that a SignIn names a subject of exactly the issuer that was
// asked, in answer to exactly the question this browser asked: state, nonce and
// PKCE verifier travel in a sealed Flow, the signature is by one of three kinds
// of public keys, and issuer, audience, party, times and hashes are checked. It
// reads the claims it was told to and no other; e-mail is none of them. Groups
// that the issuer didn't name whole are refused, never cut. What can't be
// checked is not a sign-in.
package oidc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Bounds on what an issuer may send and how far its clock may stand.
const (
	MaxGroups  = 2_000
	maxBody    = 1 << 20 // bytes of any answer
	maxToken   = 256 << 10
	callTime   = 10 * time.Second
	skew       = time.Minute
	oldest     = 10 * time.Minute // Entra dates its tokens five minutes back
	flowLife   = 10 * time.Minute
	keysLife   = 15 * time.Minute // a withdrawn key is forgotten by then
	probeEvery = 30 * time.Second
	retryFirst = time.Second
)

// algorithms an ID token may be signed with. A public key is checked against
// none other, whatever a token's header or the issuer's metadata says.
var algorithms = []string{oidc.RS256, oidc.ES256, oidc.EdDSA}

// Kinds of errors; every error of this package is one of them.
var (
	ErrDown    = errors.New("the issuer does not answer")      // try again later
	ErrRefused = errors.New("the sign-in is not valid")        // what came back is wrong, or the issuer said no
	ErrGone    = errors.New("the issuer ended the sign-in")    // a refresh was refused for good
	ErrPending = errors.New("nobody has confirmed the code")   // a device code: ask again
	ErrSlow    = errors.New("the issuer is asked too often")   // a device code: ask again, later
	errConfig  = errors.New("the issuer is not configured so") // ours
)

// An Error says what was wrong with an issuer's answer and what to try. It
// holds nothing the issuer wrote.
type Error struct {
	Issuer       string // name
	What, Remedy string
	Kind         error
	cause        error // for the log: may name addresses, never tokens
}

func (e *Error) Error() string {
	s := "issuer " + e.Issuer + ": " + e.What
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.cause} }

// A Config is one issuer.
type Config struct {
	Name     string // short: groups are "NAME|id"
	Issuer   string // URL, exactly as its ID tokens say it
	ClientID string
	Secret   func(context.Context) ([]byte, error) // read anew each time; nil: a public client
	Scopes   []string                              // openid is always asked for
	// SubjectClaim names the claim that accounts are known by; "": sub.
	SubjectClaim string
	// GroupsClaim names the claim that lists immutable group ids; "": groups are not read.
	GroupsClaim string
	// Entra takes tid and oid of its tokens for who somebody is in Microsoft Teams.
	Entra     bool
	NameClaim string // for people to read; "" is "name"
	Params    map[string]string
	Roots     *x509.CertPool // nil: the system's
	Logger    *slog.Logger
	Clock     func() time.Time
}

// An Issuer is one configured provider. It is safe for concurrent use; Run
// keeps it discovered.
type Issuer struct {
	c    Config
	http *http.Client

	mu    sync.Mutex // owns all below
	found *found
	err   error // of the last contact; nil: it answered
}

// found is what discovery told, and the keys fetched since. It never changes.
type found struct {
	meta     metadata
	endpoint oauth2.Endpoint
	userinfo string
	verifier *oidc.IDTokenVerifier
	at       time.Time
}

type metadata struct {
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	Iss         bool     `json:"authorization_response_iss_parameter_supported"`
	JWKS        string   `json:"jwks_uri"`
	Auth        string   `json:"authorization_endpoint"`
	Token       string   `json:"token_endpoint"`
	Userinfo    string   `json:"userinfo_endpoint"`
	Device      string   `json:"device_authorization_endpoint"`
}

// New checks the configuration. It asks nobody: an issuer that is down at start is found later.
func New(c Config) (*Issuer, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.NameClaim == "" {
		c.NameClaim = "name"
	}
	if !slices.Contains(c.Scopes, oidc.ScopeOpenID) {
		c.Scopes = append([]string{oidc.ScopeOpenID}, c.Scopes...)
	}
	if err := CheckURL(c.Issuer); err != nil {
		return nil, fmt.Errorf("issuer %s: %w", c.Name, err)
	}
	if c.Name == "" || c.ClientID == "" {
		return nil, fmt.Errorf("issuer %q: name and client id are needed: %w", c.Name, errConfig)
	}
	return &Issuer{c: c, http: client(c.Roots), err: &Error{Issuer: c.Name, What: "was not reached yet", Kind: ErrDown}}, nil
}

// CheckURL says why an issuer's URL can't be used: plain http is for loopback only.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%q is not an https URL: %w", raw, errConfig)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("%q has a query, fragment or user: %w", raw, errConfig)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("%q is plain http beyond loopback: %w", raw, errConfig)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Name is the configured one.
func (i *Issuer) Name() string { return i.c.Name }

// URL is the issuer's.
func (i *Issuer) URL() string { return i.c.Issuer }

// Err tells why nobody can sign in through it now; nil while it answers.
func (i *Issuer) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// Reach asks the issuer now, and reads the client secret: what keeps people from signing in.
func (i *Issuer) Reach(ctx context.Context) error {
	if err := i.discover(ctx); err != nil {
		return err
	}
	f, err := i.ready(ctx)
	if err == nil {
		_, err = i.oauth(ctx, f, "")
	}
	return err
}

// Close gives idle connections back.
func (i *Issuer) Close() { i.http.CloseIdleConnections() }

// Run discovers the issuer, again and again: soon while it is down, and from
// time to time while it answers, so that its keys and endpoints stay its own.
func (i *Issuer) Run(ctx context.Context) {
	wait := retryFirst
	for {
		err := i.discover(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			i.c.Logger.Warn("an issuer of sign-ins does not answer", "issuer", i.c.Name, "err", err, "again_in", wait.String())
		default:
			wait = probeEvery
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		if err != nil {
			wait = min(2*wait, probeEvery)
		} else {
			wait = retryFirst // of the next failure
		}
	}
}

// discover reads the metadata. The keys are kept for a while: a fresh set is fetched when it is first needed.
func (i *Issuer) discover(ctx context.Context) error {
	ctx, cancel := i.context(ctx)
	defer cancel()
	p, err := oidc.NewProvider(ctx, i.c.Issuer)
	var wrong *oidc.IssuerMismatchError
	switch {
	case errors.As(err, &wrong):
		return i.note(&Error{Issuer: i.c.Name, What: "its metadata names another issuer", Remedy: "write issuer: exactly as the provider does, with or without the last slash", Kind: ErrDown})
	case err != nil:
		return i.note(i.down("discovery", err))
	}
	f := &found{endpoint: p.Endpoint(), userinfo: p.UserInfoEndpoint(), at: i.c.Clock()}
	if err := p.Claims(&f.meta); err != nil {
		return i.note(i.down("discovery", err))
	}
	if err := i.usable(&f.meta); err != nil {
		return i.note(err)
	}
	f.endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if i.c.Secret == nil || !slices.Contains(f.meta.AuthMethods, "client_secret_basic") && slices.Contains(f.meta.AuthMethods, "client_secret_post") {
		f.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if old := i.found; old != nil && old.meta.JWKS == f.meta.JWKS && f.at.Sub(old.at) < keysLife {
		f.verifier, f.at = old.verifier, old.at
	} else {
		keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), i.http), f.meta.JWKS)
		f.verifier = oidc.NewVerifier(i.c.Issuer, keySet{keys}, &oidc.Config{
			ClientID: i.c.ClientID, SupportedSigningAlgs: algorithms, SkipExpiryCheck: true, // times are checked by us, with their own errors
		})
	}
	i.found, i.err = f, nil
	return nil
}

// usable refuses endpoints that a browser or a secret must not be sent to.
func (i *Issuer) usable(m *metadata) error {
	for _, e := range []struct{ name, url string }{
		{"authorization_endpoint", m.Auth},
		{"token_endpoint", m.Token},
		{"jwks_uri", m.JWKS},
		{"userinfo_endpoint", m.Userinfo},
		{"device_authorization_endpoint", m.Device},
	} {
		optional := e.name == "userinfo_endpoint" || e.name == "device_authorization_endpoint"
		if optional && e.url == "" {
			continue
		}
		u, err := url.Parse(e.url)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
			return &Error{Issuer: i.c.Name, What: "its " + e.name + " is missing or not https", Remedy: "check issuer: in the configuration", Kind: ErrDown}
		}
	}
	return nil
}

// note keeps how the last contact went.
func (i *Issuer) note(err error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err = err
	return err
}

func (i *Issuer) down(what string, cause error) *Error {
	return &Error{Issuer: i.c.Name, What: what + " failed: it does not answer as an OpenID provider", Remedy: "try again in a minute", Kind: ErrDown, cause: cause}
}

// silent notes that the issuer didn't answer, unless who asked left before it
// could: that says nothing about the issuer.
func (i *Issuer) silent(ctx context.Context, what string, cause error) error {
	e := i.down(what, cause)
	if errors.Is(ctx.Err(), context.Canceled) {
		return e
	}
	return i.note(e)
}

// doubt is silent for what a stranger can bring about, with a code that makes an
// issuer stumble: the issuer itself is asked whether it is there.
func (i *Issuer) doubt(ctx context.Context, what string, cause error) error {
	if !errors.Is(ctx.Err(), context.Canceled) {
		_ = i.discover(context.WithoutCancel(ctx))
	}
	return i.down(what, cause)
}

func (i *Issuer) refused(what, remedy string) *Error {
	return &Error{Issuer: i.c.Name, What: what, Remedy: remedy, Kind: ErrRefused}
}

// ready is the discovered issuer, asked for now when it wasn't found before.
func (i *Issuer) ready(ctx context.Context) (*found, error) {
	i.mu.Lock()
	f := i.found
	i.mu.Unlock()
	if f != nil {
		return f, nil
	}
	if err := i.discover(ctx); err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.found, nil
}

// context bounds one call and carries our client.
func (i *Issuer) context(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(oidc.ClientContext(ctx, i.http), callTime)
}

// oauth is the client's configuration for one call, its secret read anew.
func (i *Issuer) oauth(ctx context.Context, f *found, redirect string) (*oauth2.Config, error) {
	o := &oauth2.Config{ClientID: i.c.ClientID, Endpoint: f.endpoint, RedirectURL: redirect, Scopes: i.c.Scopes}
	if i.c.Secret == nil {
		return o, nil
	}
	secret, err := i.c.Secret(ctx)
	if err != nil {
		return nil, &Error{Issuer: i.c.Name, What: "its client secret can't be read here", Remedy: "see client_secret: in the configuration, and this server's log", Kind: ErrDown, cause: err}
	}
	o.ClientSecret = string(secret)
	return o, nil
}
