// Package console is where people decide: the web pages on which held actions
// are read, approved and denied, and where the log can be watched.
//
// It promises that a decision carries the digest and version the person saw,
// that everything an agent said is shown escaped and marked as a claim, and
// that no page can be framed, scripted or posted to from elsewhere. It decides
// nothing itself: every answer goes to the approval engine, and an answer that
// can't be given for certain is refused.
package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/passkey"
	"github.com/assenthq/assent/internal/words"

	"golang.org/x/text/language"
)

// Approvals is what the console needs of the approval engine: to look, and to answer.
type Approvals interface {
	Get(ctx context.Context, id string) (*approval.Approval, error)
	List(ctx context.Context, f approval.Filter) ([]*approval.Approval, error)
	ItemsOf(ctx context.Context, a *approval.Approval) ([]*approval.Approval, error)
	Subscribe(ctx context.Context) <-chan approval.Event
	Reviewing
}

// Reviewing is the part of the engine that says who may review and takes their answers.
type Reviewing interface {
	Answer(ctx context.Context, in approval.Answer) (*approval.Approval, error)
	MayReview(a *approval.Approval, p *identity.Person, assurance string) error
	Progress(a *approval.Approval) []approval.Seat
	Question(ctx context.Context, id string, by identity.Person, text, channel string) (*approval.Approval, error)
	Reply(ctx context.Context, in approval.Reply) (*approval.Approval, error)
	AnswersFor(a *approval.Approval, person string) bool
}

// People resolves persons and groups. It is asked again on every request, so
// that whoever leaves a group loses its rights at once.
type People interface {
	Person(id string) (identity.Person, bool)
	Members(group string) []identity.Person
}

// About is what the settings page tells of the deployment.
type About struct {
	Version  string
	Policy   string // digest of the loaded bundle
	Packs    []string
	Gates    []Gate
	Storage  string // "SQLite, /var/lib/assent"
	Shadow   string // not empty: which rules only watch, and until when
	Problems []string
}

// Gate is one enforcement point as the settings page shows it.
type Gate struct{ Name, Protocol, Listen, Upstream, Env, State string }

// Verified is the last time the log was checked against its signed checkpoint.
type Verified struct {
	Size int64 // records covered
	At   time.Time
	Err  error // not nil: the check failed or never ran
}

// Options are what a Console is made from. Approvals, Log, People, Sessions and PublicURL are required.
type Options struct {
	Approvals Approvals
	Log       audit.Reader
	People    People
	Mask      func(string) string // masks sensitive values in what people say of an approval
	// Directory links accounts and lends seats; nil: neither is done here.
	Directory Directory
	// Nudge is what a person is told who seems to approve without reading; "" for others. nil: nobody is.
	Nudge func(person string) string
	// Quality says how people reviewed lately; nil: nobody can say.
	Quality func(ctx context.Context) ([]approval.Reviewer, error)
	// Calm spares people; nil: nobody can be.
	Calm Calm
	// Languages are those that pages are shown in besides English, by BCP 47 tag.
	Languages map[string]words.Catalog
	// Push tells browsers while no page is open; nil: none is told.
	Push Push
	// Unmask shows single masked values to reviewers; nil: nobody sees any.
	Unmask Unmasker
	// PublicURL is where browsers reach the console: https, or http on loopback.
	PublicURL string
	// Hosts are further host[:port] names under which it may be reached.
	Hosts []string
	// Traffic shows the newest records of the traffic lane; nil: the
	// activity page and what led up to an approval show the log's records only.
	Traffic *Traffic
	// CheckToken tells whose a pasted reviewer token is; nil: links only.
	CheckToken func(ctx context.Context, token string) (identity.Person, error)
	// TokenHolds errs once a pasted token, known by its id, has expired or was
	// revoked: its sessions end with it. nil: no token opens a session.
	TokenHolds func(ctx context.Context, id string) error
	Sessions   Sessions // who is signed in; required
	SignIns    SignIns  // issuers of sign-ins; nil: none are configured
	// Freezes, Changes and Standings are what the control page shows; nil: there is none.
	Freezes   Freezes
	Changes   Changes
	Standings Standings
	// Channels tell people beside the console; nil: none do.
	Channels Channels
	// Glass is what people break in an emergency; nil: nobody can.
	Glass Glass
	// Actors are those who ask, and Credentials what they come with; nil: there is no page of them.
	Actors      Actors
	Credentials func(ctx context.Context) ([]identity.Token, error)
	// Tokens are credentials, which people make for themselves; nil: not here.
	Tokens Tokens
	// Rules are groups and settings that may be changed here; nil: none may.
	Rules Rules
	// Pins are tools of MCP servers; nil: there is no page of them.
	Pins Pins
	// Setup tries the parts of a configuration; nil: there is no page that leads through it.
	Setup Setup
	// Policies tells what decides now; nil: there is no page of it.
	Policies func(ctx context.Context) (PolicyInForce, error)
	// Administers tells who may see and end everybody's sessions; nil: nobody.
	Administers func(p *identity.Person) bool
	// Passkeys are people's authenticators; nil: none are kept.
	Passkeys *passkey.Keys
	About    func(ctx context.Context) About
	// Verified tells when the log was last verified; nil: the console claims nothing.
	Verified func(ctx context.Context) Verified
	// Checkpoint returns the newest signed checkpoint, a C2SP signed note.
	Checkpoint func(ctx context.Context) ([]byte, error)
	// Prove returns a record's proof under the newest checkpoint (C2SP tlog-proof),
	// and Verifiers the log's verifier keys; nil: browsers check nothing themselves.
	Prove     func(ctx context.Context, index int64) ([]byte, error)
	Verifiers func() []string
	Clock     func() time.Time
	Logger    *slog.Logger
}

// Console serves the pages. Make it with New.
type Console struct {
	o       Options
	origins map[string]bool // allowed origins: scheme, host and port
	hosts   map[string]bool // allowed values of Host
	cookie  string          // name of the session cookie
	secure  bool
	links   *links
	spoken  []*spoken // English first
	matcher language.Matcher
	assets  map[string]asset
	streams streams
	tally   *tally      // what the last day came to
	gates   memo[About] // asking each system whether it answers takes time

	testedMu sync.Mutex // owns tested
	tested   tested

	handler http.Handler
	ended   chan struct{} // closed by Close
	end     func()        // closes ended once
}

// New checks the options and returns a Console, an http.Handler to be mounted at "/".
func New(o Options) (*Console, error) {
	if o.Approvals == nil || o.Log == nil || o.People == nil || o.Sessions == nil || o.Mask == nil {
		return nil, errors.New("console: approvals, log, people, sessions and what masks text are required")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Console{
		o: o, links: &links{byHash: map[[32]byte]link{}}, ended: make(chan struct{}),
	}
	c.tally = newTally(o.Log, o.Traffic, o.Clock)
	c.end = sync.OnceFunc(func() { close(c.ended) })
	if err := c.setAddress(); err != nil {
		return nil, err
	}
	var err error
	if c.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if err = c.speak(o.Languages); err != nil {
		return nil, err
	}
	c.handler = c.guard(c.routes())
	return c, nil
}

// setAddress derives from PublicURL which hosts and origins are ours. Plain
// http is for loopback only: elsewhere the session cookie could be read.
func (c *Console) setAddress() error {
	u, err := url.Parse(c.o.PublicURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("console: public URL %q: want https://name or http://localhost:port", c.o.PublicURL)
	}
	c.secure = u.Scheme == "https"
	if !c.secure && !loopback(u.Hostname()) {
		return fmt.Errorf("console: public URL %q is plain http on a name that is not loopback: use https", c.o.PublicURL)
	}
	c.o.PublicURL = u.Scheme + "://" + u.Host
	c.hosts, c.origins = map[string]bool{}, map[string]bool{}
	for _, h := range append([]string{u.Host}, c.o.Hosts...) {
		h = strings.ToLower(h)
		c.hosts[h], c.origins[u.Scheme+"://"+h] = true, true
	}
	// Cookies ignore ports: without one in its name, another console on this
	// host would sign us out.
	c.cookie = "assent-" + u.Port()
	if c.secure {
		c.cookie = "__Host-assent"
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// Close ends the open event streams, for http.Server.RegisterOnShutdown: a
// graceful shutdown would wait for them for ever.
func (c *Console) Close() { c.end() }

func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/approvals", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /ui/{name...}", c.serveAsset)
	mux.HandleFunc("GET /signin", c.showSignIn)
	mux.HandleFunc("POST /signin", c.signIn)
	c.issuerRoutes(mux)
	mux.HandleFunc("POST /signout", c.signedIn(c.signOut))
	mux.HandleFunc("GET /approvals", c.signedIn(c.showApprovals))
	mux.HandleFunc("GET /approvals/{id}", c.signedIn(c.showApprovals))
	mux.HandleFunc("POST /approvals/{id}/review", c.signedIn(c.review))
	mux.HandleFunc("POST /approvals/{id}/questions", c.signedIn(c.ask))
	mux.HandleFunc("POST /approvals/{id}/answers", c.signedIn(c.reply))
	if c.o.Calm != nil {
		mux.HandleFunc("POST /approvals/{id}/snooze", c.signedIn(c.snooze))
		mux.HandleFunc("POST /settings/quiet", c.signedIn(c.setQuiet))
	}
	if c.o.Unmask != nil {
		mux.HandleFunc("POST /approvals/{id}/unmask", c.signedIn(c.unmask))
	}
	c.pushRoutes(mux)
	c.passkeyRoutes(mux)
	c.peopleRoutes(mux)
	c.controlRoutes(mux)
	c.glassRoutes(mux)
	c.agentRoutes(mux)
	c.setupRoutes(mux)
	c.rulesRoutes(mux)
	c.toolRoutes(mux)
	c.tokenRoutes(mux)
	if c.o.Policies != nil {
		mux.HandleFunc("GET /policies", c.signedIn(c.showPolicies))
	}
	mux.HandleFunc("GET /activity", c.signedIn(c.showActivity))
	mux.HandleFunc("GET /activity/stream", c.signedIn(c.stream))
	mux.HandleFunc("GET /sessions/{id}", c.signedIn(c.showSession))
	mux.HandleFunc("GET /audit", c.signedIn(c.showAudit))
	mux.HandleFunc("GET /audit/export", c.signedIn(c.exportAudit))
	mux.HandleFunc("GET /audit/{index}", c.signedIn(c.showRecord))
	if c.o.Prove != nil {
		mux.HandleFunc("GET /audit/{index}/leaf", c.signedIn(c.serveLeaf))
		mux.HandleFunc("GET /audit/{index}/proof", c.signedIn(c.serveProof))
	}
	mux.HandleFunc("GET /settings", c.signedIn(c.showSettings))
	if c.o.Quality != nil {
		mux.HandleFunc("GET /settings/reviewing", c.signedIn(c.showReviewing))
	}
	mux.HandleFunc("POST /settings/sessions/{id}/end", c.signedIn(c.endSession))
	mux.HandleFunc("POST /settings/deliveries/{id}/replay", c.signedIn(c.replay))
	mux.HandleFunc("GET /events", c.signedIn(c.events))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, http.StatusNotFound, "There is no such page.", "Go back to the approvals.")
	})
	return mux
}

// page renders a template completely before a byte is sent, so that an error
// never leaves half a card on the screen.
func (c *Console) page(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var b bytes.Buffer
	lang := c.language(r)
	if err := lang.pages.ExecuteTemplate(&b, name, data); err != nil {
		c.o.Logger.ErrorContext(r.Context(), "rendering a page", "page", name, "err", err)
		http.Error(w, "The page could not be drawn. Nothing was decided.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", lang.tag)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// fail tells a person what went wrong and what to try next; inner detail stays in the log.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, status int, what, next string) {
	c.page(w, r, status, "message", message{Theme: theme(r), Title: c.language(r).say(what), Next: c.language(r).say(next)})
}

// message is the page that tells one thing.
type message struct{ Theme, Title, Next string }
