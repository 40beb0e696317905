// Package decisionpoint asks policy decision points that others run (OPA, Cerbos,
// Topaz and the like) about actions that Assent itself would let pass or hold, over
// the evaluation API of OpenID AuthZEN 1.0.
//
// It promises that an answer only tightens: a point can deny, or have people asked, and
// never permits what policy does not. Whatever is no clear answer in time is a denial:
// an error, a redirect, another status than 200, a text that two parsers could read in
// two ways, an obligation that nobody here knows. It sends what an action is and what
// is known of it, no value of the data and no credential, and connects only to addresses
// that were checked (internal/netguard).
//
// It can't see how a point comes to its answer, nor what it does with what it is told.
package decisionpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/policy"
)

// Bounds of a point.
const (
	MaxTimeout  = 10 * time.Second
	maxAnswer   = 64 << 10
	maxHeader   = 16 << 10
	connections = 64 // to one point at a time; who finds none waits, as long as an answer may take
	failing     = time.Minute
)

// Options say where a point is and what it is asked about. Name, URL, Timeout and Dial are needed.
type Options struct {
	Name    string
	URL     string
	Timeout time.Duration // of the whole answer
	Token   string        // sent as a bearer token; "": none
	TLS     *tls.Config   // nil: the system's authorities
	// Dial connects to an address that may be dialled.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	Kinds []action.Kind // asked about an action that has one of them; none: of all
	Envs  []string      // in these environments, and where nobody knows in which; none: in all
	Send  []string      // what is sent besides: see Sendable

	From  []string // groups that a review takes where the point names none
	Count int
}

// Sendable are what is told to a point that asks for it: text that agents wrote.
func Sendable() []string { return []string{"statement", "claims"} }

// A Point is asked. It is safe for concurrent use.
type Point struct {
	o      Options
	url    *url.URL
	client *http.Client
	failed atomic.Pointer[failure] // nil: the newest answer was one
}

type failure struct {
	at  time.Time
	err error
}

var pointName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// Check says what is wrong with o besides what it connects with; nil when nothing is.
func (o *Options) Check() error {
	u, err := url.Parse(o.URL)
	switch {
	case !pointName.MatchString(o.Name):
		return fmt.Errorf("decision point: %q is no name: write a-z, 0-9 and - only, 40 at most", o.Name)
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("decision point %s: its url is not of the form https://host/path", o.Name)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("decision point %s: its url is http, and not of a loopback address: use https", o.Name)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("decision point %s: its url is neither https nor http", o.Name)
	case o.Timeout <= 0 || o.Timeout > MaxTimeout:
		return fmt.Errorf("decision point %s: its timeout is not between 0 and %s", o.Name, MaxTimeout)
	case len(o.From) > 0 && o.Count < 1:
		return fmt.Errorf("decision point %s: its review is by nobody: write a count from 1 up", o.Name)
	}
	for _, k := range o.Kinds {
		if !k.Valid() {
			return fmt.Errorf("decision point %s: %q is no kind: docs/policy-reference.md lists them", o.Name, k)
		}
	}
	for _, s := range o.Send {
		if !slices.Contains(Sendable(), s) {
			return fmt.Errorf("decision point %s: %q can't be sent: write some of %s", o.Name, s, strings.Join(Sendable(), ", "))
		}
	}
	for _, g := range o.From {
		if !policy.ValidGroup(g) {
			return fmt.Errorf("decision point %s: %q is no group: write group:NAME", o.Name, g)
		}
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// New returns a point.
func New(o Options) (*Point, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Dial == nil {
		return nil, fmt.Errorf("decision point %s: nothing to dial with", o.Name)
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &Point{o: o, url: u, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: o.Dial, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true, DisableCompression: true,
			MaxResponseHeaderBytes: maxHeader, MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: 90 * time.Second,
		},
	}}, nil
}

// Name is how configuration, records and cards name the point.
func (p *Point) Name() string { return p.o.Name }

// For says whether the point is asked about a.
func (p *Point) For(a *action.Action) bool {
	if len(p.o.Envs) > 0 && a.Resource.Env != "" && !slices.Contains(p.o.Envs, a.Resource.Env) {
		return false
	}
	return len(p.o.Kinds) == 0 || slices.ContainsFunc(a.Kinds, func(k action.Kind) bool {
		return slices.Contains(p.o.Kinds, k) || !k.Valid()
	})
}

// An Answer is what a point made of an action. The zero Verdict denies.
type Answer struct {
	Point   string
	Verdict policy.Verdict // Allow: it adds nothing
	From    []string       // for a review: who answers
	Count   int
	Reason  string // in the point's words, fit to be shown; for reviewers and the log
	Err     error  // why there is no answer; it denies then
	Took    time.Duration
}

// Kind is the answer in one word: allow, review, deny or none.
func (a *Answer) Kind() string {
	if a.Err != nil {
		return "none"
	}
	return a.Verdict.String()
}

// Ask asks the point. It always answers: what goes wrong is a denial with its Err.
func (p *Point) Ask(ctx context.Context, q *Question) Answer {
	began := time.Now()
	a, err := p.ask(ctx, q)
	if err != nil {
		a = Answer{Err: err}
		if ctx.Err() == nil { // nobody waits for it any more: that is not the point's fault
			p.failed.Store(&failure{time.Now(), err})
		}
	} else {
		p.failed.Store(nil)
	}
	a.Point, a.Took = p.o.Name, time.Since(began)
	return a
}

func (p *Point) ask(ctx context.Context, q *Question) (Answer, error) {
	body, err := q.body(p.o.Send)
	if err != nil {
		return Answer{}, fmt.Errorf("writing the question: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.o.Timeout, fmt.Errorf("no answer within %s", p.o.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, errors.New("the question can't be sent")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header["X-Idempotency-Key"] = nil // not sent: a connection that was closed meanwhile may be replaced
	if q.ID != "" {
		req.Header.Set("X-Request-ID", q.ID)
	}
	if p.o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+p.o.Token)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return Answer{}, cause(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return Answer{}, fmt.Errorf("status %d, not 200", resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return Answer{}, errors.New("the answer is not application/json")
	}
	if resp.Header.Get("Content-Encoding") != "" {
		return Answer{}, errors.New("the answer is encoded, which was not asked for")
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return Answer{}, cause(ctx, err)
	case len(b) > maxAnswer:
		return Answer{}, fmt.Errorf("the answer is longer than %d KiB", maxAnswer>>10)
	}
	return p.parse(b)
}

// cause is why a request failed, without its URL, which may hold a key.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// Err says that the point lately gave no answer.
func (p *Point) Err() error {
	if f := p.failed.Load(); f != nil && time.Since(f.at) < failing {
		return fmt.Errorf("decision point %s gives no answer: %w", p.o.Name, f.err)
	}
	return nil
}

// Reach connects to the point, and asks nothing.
func (p *Point) Reach(ctx context.Context) error {
	if err := p.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	port := p.url.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[p.url.Scheme]
	}
	conn, err := p.o.Dial(ctx, "tcp", net.JoinHostPort(p.url.Hostname(), port))
	if err != nil {
		return fmt.Errorf("decision point %s: %w", p.o.Name, err)
	}
	defer func() { _ = conn.Close() }()
	if p.url.Scheme == "http" {
		return nil
	}
	conf := p.o.TLS.Clone()
	if conf.ServerName == "" {
		conf.ServerName = p.url.Hostname()
	}
	if err := tls.Client(conn, conf).HandshakeContext(ctx); err != nil {
		return fmt.Errorf("decision point %s: %w", p.o.Name, err)
	}
	return nil
}
