// Package api is the HTTP API: OpenID AuthZEN for those who ask (evaluation,
// access requests), and beside it the API of reviewers, auditors and
// administrators. Remote gates, the command line and the console's outside
// world use this one; there is no second.
//
// It promises that each operation is open only to the scopes that one table
// gives it (see operations), that an agent's credential reaches nothing that
// answers a review, and that every error is a problem document (RFC 9457)
// without inner detail. It refuses requests for a host name that isn't its own,
// state changes from another origin, and JSON that two parsers could read in
// two ways.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// Options are what the API is made of. Every field is needed unless it says otherwise.
type Options struct {
	PublicURL string   // base of every link: "https://assent.example.com"
	Hosts     []string // further host names that are ours, without port; loopback and the public URL's always are
	Version   string   // of the build, for people

	Credentials Credentials
	Tokens      Tokens
	Exchange    Exchanger
	Actors      Registry
	Machine     string // id of the person that stands for commands on the server's machine
	Mutual      bool   // clients may show certificates
	Directory   identity.Directory
	People      People // nil: nobody but the configuration's people
	Enforcer    Enforcer
	Commands    Commands // nil: no gate takes commands
	// Environment is which gates an actor works through; nil: none is told.
	Environment func(actor string) Environment
	AWSKeys     AWSKeys // nil: no gate speaks for AWS
	Approvals   Approvals
	Reviews     Reviews
	Passkeys    Passkeys // nil: none are kept
	Freezes     Freezes
	Changes     Changes
	Standings   Standings
	Glass       Glass
	Rules       Rules      // nil: groups and settings are the configuration's alone
	Vault       Vault      // nil: no values of tokens are kept
	Recordings  Recordings // nil: no terminals are recorded
	Pins        Pins       // of tools of MCP servers; nil: none are kept
	Connectors  Connectors // nil: none come
	Channels    Channels   // nil: nobody is told but in the console
	Hooks       Hooks      // nil: coding agents' hooks are not answered
	Looker      *Looker    // nil: nothing is looked into for callers
	Privacy     Privacy    // nil: this server erases nobody
	Members     Members    // nil: nothing of it runs elsewhere
	// ApplyPolicy asks to put packs in force; nil: this server takes none.
	ApplyPolicy func(ctx context.Context, files map[string]string, unlock []string, p change.Proposal) (change.Entry, error)
	Evidence    Exporter // nil: this server makes no bundles
	Audit       audit.Reader
	Log         Log
	PublicLog   bool // checkpoint and hash tiles take no credential; records always do
	// Tools makes the handler of agents' tools, which calls the whole API again; nil: there are none.
	Tools    func(api http.Handler) http.Handler
	Sessions Sessions // nil: nobody is signed in
	Logins   Logins   // nil: no issuer is configured

	// Quality says how people reviewed lately.
	Quality func(ctx context.Context) ([]approval.Reviewer, error)
	// Nudge is what a person hears who seems to approve without reading; "" for others. nil: nobody does.
	Nudge func(person string) string
	// Calm spares people; nil: nobody can be.
	Calm Calm

	Mask func(string) string // masks sensitive values in what people and agents say of an approval
	// EgressCA returns the certificates of the egress gates' authority (PEM), nil for none. It may be nil.
	EgressCA func() ([]byte, error)
	JWKS     func() []byte // public keys of grants, a JSON Web Key Set (RFC 7517); may be nil
	Seed     []byte        // at least 32 secret bytes, the same after a restart: keys of binding tokens are derived from it

	Ready    []Check              // what must hold for /readyz to say yes
	Registry *prometheus.Registry // own metrics are added to it; nil: a fresh one
	Logger   *slog.Logger         // nil: slog.Default
	Clock    func() time.Time     // nil: time.Now
}

// A Check tells whether one part works. Its name is public, its error is only logged.
type Check struct {
	Name string
	Soft bool // told, and no reason to send everybody elsewhere: they would find the same there
	Run  func(ctx context.Context) error
}

// Credentials checks what comes in an Authorization header.
type Credentials interface {
	// Check returns who a bearer token stands for. Every error means nobody.
	Check(ctx context.Context, bearer string) (*identity.Caller, error)
	// Proved returns the same for a credential that was checked before; it
	// errs once that was revoked or has expired.
	Proved(ctx context.Context, id string) (*identity.Caller, error)
}

// Tokens mints, lists and revokes credentials.
type Tokens interface {
	Mint(ctx context.Context, m identity.MintRequest) (string, *identity.Token, error)
	List(ctx context.Context) ([]identity.Token, error)
	Revoke(ctx context.Context, id, by string) error
}

// An Enforcer decides what callers of the evaluation API ask. It composes
// classification, policy, approvals and the log, and records before it answers.
//
// When asker.Scopes lacks identity.ScopeGate, everything in the action but its
// payload is the asker's claim: it may make a verdict stricter, never milder.
type Enforcer interface {
	// Evaluate decides without holding anything.
	Evaluate(ctx context.Context, asker identity.Asker, a *action.Action) (Evaluation, error)
	// Request holds the action until people decide, or finds the approval that
	// already waits for it.
	Request(ctx context.Context, asker identity.Asker, a *action.Action) (*approval.Approval, error)
	// RequestPlan is Request for several actions, answered as one.
	RequestPlan(ctx context.Context, asker identity.Asker, actions []*action.Action) (*approval.Approval, error)
	// Redeem decides again and uses the approval, once.
	Redeem(ctx context.Context, asker identity.Asker, a *action.Action, approvalID string) (Evaluation, error)
}

// An Evaluation is what the enforcer says. All of it but the grant may be shown to the asker.
type Evaluation struct {
	Verdict  policy.Verdict    // the zero value denies
	Rule     string            // name of the rule that decided; "" when none matched
	Who      string            // for a review: "2 of data-owners"
	Expires  time.Duration     // for a review: how long it would wait for people
	Masks    map[string]string // class to method; whoever lets it run must apply them
	RowLimit action.Count
	Grant    string // compact JWS, after Redeem; shown to gates only
}

// Approvals are held actions: to look at, wait for, and close once they ran.
type Approvals interface {
	Get(ctx context.Context, id string) (*approval.Approval, error)
	List(ctx context.Context, f approval.Filter) ([]*approval.Approval, error)
	// ItemsOf reads the items of a plan, in their order.
	ItemsOf(ctx context.Context, a *approval.Approval) ([]*approval.Approval, error)
	Wait(ctx context.Context, id string) (*approval.Approval, error)
	Subscribe(ctx context.Context) <-chan approval.Event
	Finish(ctx context.Context, id string, o approval.Outcome) error
}

// Reviews answers and ends approvals.
type Reviews interface {
	Answer(ctx context.Context, in approval.Answer) (*approval.Approval, error)
	Withdraw(ctx context.Context, id, by, why string) (*approval.Approval, error)
	MayReview(a *approval.Approval, p *identity.Person, assurance string) error
	Progress(a *approval.Approval) []approval.Seat
	Question(ctx context.Context, id string, by identity.Person, text, channel string) (*approval.Approval, error)
	Reply(ctx context.Context, in approval.Reply) (*approval.Approval, error)
}

// Log signs and proves.
type Log interface {
	// Checkpoint is the newest signed tree head (C2SP tlog-checkpoint), nil before the first.
	Checkpoint() []byte
	// Proof proves record index to be in that tree (C2SP tlog-proof).
	Proof(ctx context.Context, index int64) ([]byte, error)
	// Published is the tree head for everybody, with cosignatures where there are witnesses; nil before the first.
	Published() []byte
	// Tile and Bundle return what a C2SP tlog-tiles path names; audit.ErrNoTile when the tree has no such tile.
	Tile(ctx context.Context, path string) ([]byte, error)
	Bundle(ctx context.Context, path string) ([]byte, error)
}

// server holds what handlers need. Nothing in it changes after New, but what
// its parts guard themselves.
type server struct {
	Options
	base    string // public URL without a trailing slash
	hosts   map[string]bool
	sealer  *sealer
	metrics *metrics
	streams openStreams
	probes  []*probe
	retries retries
	paces   paces
	looking chan struct{}
	api     huma.API
	mux     *http.ServeMux
}

// Prefixes are the path patterns that belong to this API, for whoever mounts it.
func Prefixes() []string {
	return []string{"/access/", "/v1/", "/oauth/", "/.well-known/", "/docs", "/docs/", "/openapi.json", "/log/", "/healthz", "/readyz", "/metrics", toolsPath}
}

// New makes the handler, or says what is missing.
func New(o Options) (http.Handler, error) {
	if err := complete(&o); err != nil {
		return nil, fmt.Errorf("making the API: %w", err)
	}
	public, err := url.Parse(o.PublicURL)
	if err != nil || public.Hostname() == "" || public.Path != "" && public.Path != "/" {
		return nil, fmt.Errorf("making the API: public URL %q is not scheme://host", o.PublicURL)
	}
	s := &server{
		Options: o, base: strings.TrimSuffix(o.PublicURL, "/"), hosts: hostSet(append(o.Hosts, public.Hostname())),
		mux: http.NewServeMux(), looking: lookers(),
	}
	if s.sealer, err = newSealer(o.Seed, s.base, o.Clock); err != nil {
		return nil, fmt.Errorf("making the API: %w", err)
	}
	if s.metrics, err = newMetrics(o.Registry); err != nil {
		return nil, fmt.Errorf("making the API: %w", err)
	}
	for _, c := range o.Ready {
		s.probes = append(s.probes, &probe{check: c})
	}
	s.api = humago.New(s.mux, humaConfig(o.Version, s.base))
	s.api.UseMiddleware(s.authorize)
	s.register()
	if err := s.docs(); err != nil {
		return nil, fmt.Errorf("making the API: %w", err)
	}
	whole := s.guard(s.dispatch())
	s.tools(whole)
	return whole, nil
}

func complete(o *Options) error {
	switch {
	case o.Credentials == nil, o.Tokens == nil, o.Directory == nil, o.Enforcer == nil, o.Approvals == nil, o.Reviews == nil, o.Freezes == nil, o.Changes == nil, o.Standings == nil, o.Glass == nil, o.Audit == nil, o.Log == nil:
		return errors.New("a part is missing: all of Credentials, Tokens, Directory, Enforcer, Approvals, Reviews, Freezes, Changes, Standings, Audit and Log are needed")
	case o.Quality == nil:
		return errors.New("nothing tells how people review")
	case o.Mask == nil:
		return errors.New("nothing masks what is said about approvals")
	case len(o.Seed) < 32:
		return errors.New("the seed for binding tokens needs 32 bytes")
	}
	if o.Exchange == nil || o.Actors == nil {
		return errors.New("a part is missing: Exchange and Actors are needed")
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return nil
}

func hostSet(names []string) map[string]bool {
	set := map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}
	for _, n := range names {
		set[strings.ToLower(n)] = true
	}
	return set
}
