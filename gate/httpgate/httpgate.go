// Package httpgate runs gates for protocols that are shaped like HTTP. A new one is a
// Protocol: who asks, what a request does, how a refusal looks. What is the same for all of them is
// here, once: who comes in, bodies that are looked into before anything leaves, waiting for
// people, masking what comes back, completing each permit exactly once.
//
// It promises that no byte of a request goes upstream before every action in it was permitted,
// that an approved request goes on with the bytes that were judged, and that an answer reaches the client
// masked or not at all. It can't know what an upstream makes of a request that a Protocol
// describes wrongly.
package httpgate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/bodies"
	"github.com/assenthq/assent/internal/webwire"
)

// A Protocol is what is a protocol's own.
type Protocol interface {
	// Caller says by what a request proves who asks, and takes it off r: nothing of it goes
	// upstream. ErrNoCredential: nothing was shown. Any other error: nobody comes in.
	Caller(r *http.Request) (Caller, error)
	// Describe says what a request does. It may read the body. An error that is a *gate.Denied is
	// told as it is; any other means that the request can't be read, and is refused.
	Describe(ctx context.Context, x *Exchange) (*Call, error)
	// Refuse answers in the protocol's own error document with an HTTP status. Where the client should
	// come back, Retry-After is set already.
	Refuse(w http.ResponseWriter, r *http.Request, status int, d *gate.Denied)
}

// ErrNoCredential says that a request showed nothing that proves who asks.
var ErrNoCredential = errors.New("no credential was shown")

// A Caller is what proves who asks: a token, or what the Protocol has proved itself.
type Caller struct {
	Bearer string // one of our tokens, presented whole
	// Proved is the credential of whoever made a signature that was checked.
	Proved  gate.Verifier
	Session string // a name that the client gives to its session: a claim
}

// An Exchange is one request on its way.
type Exchange struct {
	// Request is as it came, without hop-by-hop headers, what proved the caller, and
	// headers that claim an identity. Describe doesn't change it.
	Request *http.Request
	// Came is the request with its headers of hop-by-hop: of a change of protocol they say to which.
	Came       *http.Request
	Body       *bodies.Body // never nil
	Session    gate.Session
	Credential string // its id
}

// A Call is what a request does, where it goes and how its answer comes back.
type Call struct {
	// Actions must all be permitted. Payload is filled in here. Where one action says it all, with several
	// kinds, it is one: people who approve one of two that wait have not approved the other, and its approval
	// is used up if the other isn't there in time.
	Actions []*action.Action
	// Harmless says instead of actions why nobody needs to decide.
	Harmless string
	Preview  func(context.Context) action.Preview
	// Live says that the body has no end that could be waited for: it is passed on as it comes, and
	// an approval doesn't bind it.
	Live bool
	// Orders says that the body says what is to be done, and is not what is carried: of that,
	// Describe has said all that is known.
	Orders bool
	// Same is what an approval binds of the body, where clients write parts of it anew each time they make
	// the same request, such as a token that keeps it from counting twice. nil: the body as it is.
	Same []byte
	// Loose are names of headers that need not be the same when an approved request is made again.
	Loose []string

	Upstream Upstream
	// Traced says that the upstream is to know where in our trace the request belongs. Otherwise it is
	// told what the client says of traces, as of anything else.
	Traced bool
	// Out is the last change of what goes on: the real credential, a signature. Its body is set.
	Out   func(ctx context.Context, out *http.Request) error
	Reply Reply
	// Take answers the request in place of what stands above, once it is permitted: for protocols that leave HTTP behind.
	Take func(ctx context.Context, w http.ResponseWriter, x *Exchange, p gate.Permit) gate.Outcome
}

// An Upstream is where a request goes.
type Upstream struct {
	URL       *url.URL // scheme, host, and a path that stands before the request's; nil: as the request has it
	Transport http.RoundTripper
	// Path is what goes on in place of the request's own, escaped; "": the request's own.
	Path string
	// Host is the Host header; "": of URL.
	Host string
}

// A Reply says how an answer is masked. The zero value: by its content type.
type Reply struct {
	Fill   bool // masks keep their length: what is masked becomes '*'
	Opaque bool // what can't be looked into passes
	Tagged bool // values of JSON stand under their type, as DynamoDB's do
	// Body masks resp.Body instead, and whatever else of resp may hold values.
	Body func(resp *http.Response, p gate.Permit) error
	// Check looks at an answer before anything of it passes. An error that is a *gate.Denied withholds it.
	Check     func(resp *http.Response) error
	Untrusted string // content that others wrote, and what: "web page"
	// Lower begins the names of headers that go to the client in lower case, for clients
	// that take the case of a name for a part of it.
	Lower string
}

// Config is a gate's.
type Config struct {
	Name      string
	Authority gate.Authority
	Protocol  Protocol
	// Own answers what needs nobody to have come in, such as a sign-in, and says whether it did.
	Own func(w http.ResponseWriter, r *http.Request) bool
	// Wait is how long a request is kept waiting for people; 0: 50 s.
	Wait time.Duration
	// Idle is how long a session stays open that nobody uses; 0: 5 min.
	Idle   time.Duration
	Bodies *bodies.Store
	TLS    *tls.Config // nil: what l gives is served as it is
	H2C    bool        // HTTP/2 without TLS may be spoken: only where the way is private
	Limits webwire.Limits
	Rules  webwire.Rules
	// Target says that Rules are the Protocol's own business.
	AnyTarget bool
	Refused   func(ctx context.Context, from gate.Peer, detail string)
	Log       *slog.Logger
}

// A Gate serves one Protocol.
type Gate struct {
	o        Config
	sessions *gate.Sessions
	busy     sync.WaitGroup // requests under way
}

// New returns a gate.
func New(o Config) (*Gate, error) {
	if o.Name == "" || o.Authority == nil || o.Protocol == nil || o.Bodies == nil || o.Log == nil {
		return nil, errors.New("httpgate: a part is missing")
	}
	if o.Wait == 0 {
		o.Wait = 50 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 5 * time.Minute
	}
	if o.Refused == nil {
		o.Refused = func(context.Context, gate.Peer, string) {}
	}
	if o.Own == nil {
		o.Own = func(http.ResponseWriter, *http.Request) bool { return false }
	}
	return &Gate{o: o, sessions: gate.NewSessions(o.Authority, o.Idle)}, nil
}

// Serve serves l until ctx ends.
func (g *Gate) Serve(ctx context.Context, l net.Listener) error {
	err := webwire.Serve(ctx, l, g, g.o.Limits, webwire.Options{TLS: g.o.TLS, H2C: g.o.H2C, Refused: func(from net.Addr, why error) {
		g.o.Refused(ctx, gate.Peer{Gate: g.o.Name, Address: from.String()}, clip(why.Error(), 300))
	}}, g.o.Log)
	g.Close()
	g.busy.Wait()
	if err != nil {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

// Close ends the sessions that nobody uses any more.
func (g *Gate) Close() { g.sessions.Close() }
