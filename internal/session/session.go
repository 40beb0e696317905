// Package session keeps who is signed in: browsers at the console and commands
// that logged in, as sealed rows, so that every replica knows them and a
// database can neither make one nor bring one back.
//
// It promises that a session says how it was opened and is worth no more, that
// somebody who left the issuer or a group there loses both within a minute, and
// that an end is an end on every replica. An issuer that is down ends nobody's
// session and lets nobody new in. Secrets are stored hashed; what the issuer
// gave is stored encrypted and outside the log.
package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/sealed"
)

// How long a session lasts.
const (
	Life      = 12 * time.Hour
	BlindLife = time.Hour     // where the issuer can't be asked again
	ReadLife  = 8 * time.Hour // of a command's
)

const (
	maxLive      = 10_000
	maxOfPerson  = 50 // past it the oldest goes
	live         = "live"
	ended        = "ended"
	maxAgentText = 200
)

// How a session was opened.
const (
	ByIssuer = "oidc"   // an issuer vouches for it
	ByLink   = "link"   // a one-time link, where no issuer is configured
	ByToken  = "token"  // a pasted reviewer's token
	ByDevice = "device" // a device code: a command that reads
	ByGate   = "gate"   // an issuer vouches for it, at a gate: it is taken there, and nowhere else
)

// CredentialPrefix begins the credential under which the person of a session at a
// gate asks; the session's id follows.
const CredentialPrefix = "session:"

// Errors of sessions.
var (
	ErrNone    = errors.New("nobody is signed in by this")
	ErrNobody  = errors.New("this account is known to the issuer, and not here")
	ErrTooMany = errors.New("too many sessions are open")
)

// A Session is one sign-in that is open, or was.
type Session struct {
	ID       string    `json:"-"` // no secret: a hash of one
	CSRF     string    `json:"-"` // must come back in each request that changes something
	Person   string    `json:"person"`
	How      string    `json:"how"`
	Issuer   string    `json:"issuer,omitempty"`  // name
	Account  string    `json:"account,omitempty"` // "issuer|subject" it came in by; "": by the person's own id
	Token    string    `json:"token,omitempty"`   // id of the credential it was opened with, or that came with it
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
	AuthTime time.Time `json:"auth_time,omitzero"`
	AMR      []string  `json:"amr,omitempty"`
	Agent    string    `json:"agent,omitempty"` // what the browser calls itself: a claim
	Gate     string    `json:"gate,omitempty"`  // gate and host that a session ByGate belongs to
	Ended    time.Time `json:"ended,omitzero"`
	EndedBy  string    `json:"ended_by,omitempty"`
	Why      string    `json:"why,omitempty"`
}

// Key is the id by which the directory finds who this session is: by the
// account it came in by, since that may count for less than its person.
func (s *Session) Key() string {
	if s.Account != "" {
		return s.Account
	}
	return s.Person
}

// Assurance is what a review in this session is worth. A token that was pasted
// into a browser is still a token; a command's session reviews nothing, nor does
// one at a gate.
func (s *Session) Assurance() string {
	switch s.How {
	case ByIssuer, ByLink:
		return "console"
	case ByToken:
		return "token"
	}
	return ""
}

// Kind of the rows.
const kind = sealed.Kind[Session]("session")

// Claims are what an issuer said of somebody, for the directory.
type Claims struct {
	Issuer, URL, Subject, Name string
	Email                      string   // verified by the issuer
	Groups                     []string // as the issuer names them, without its name
	Object                     string   // "tenant/object id", of Entra
	AuthTime                   time.Time
	Until                      time.Time // the end of the session they came with
	First                      bool      // the first administrator signs in: in no group yet
}

// Account is the id of the account.
func (c *Claims) Account() string { return c.Issuer + "|" + c.Subject }

// People is the directory, as far as it must hear of sessions.
type People interface {
	// SignedIn and Refreshed note what an issuer says and tell who it is.
	// ErrNobody: the account may not enter here.
	SignedIn(ctx context.Context, c Claims) (identity.Person, error)
	Refreshed(ctx context.Context, c Claims) (identity.Person, error)
	// Holds: a session holds an account's groups until then. Idle: none does.
	Holds(account string, until time.Time)
	Idle(account string)
	// Left: the issuer no longer lets the account in.
	Left(ctx context.Context, account, why string) error
}

// Secrets keeps values that are no one's business, by key: a store's settings.
type Secrets interface {
	PutSetting(ctx context.Context, key string, value []byte) error
	Setting(ctx context.Context, key string) ([]byte, error)
}

// Options of a Manager. Box, Secrets, People and Key are needed.
type Options struct {
	Box     *sealed.Box
	Secrets Secrets
	People  People
	Key     []byte // what tokens of issuers are encrypted under is derived from it
	Issuers []*oidc.Issuer
	// Revoke ends a credential that came with a session.
	Revoke func(ctx context.Context, token, by string) error
	// FirstAdmin hears who is the first administrator, once there is one, here or elsewhere.
	FirstAdmin func(account string)
	// Gone says whether provisioning disabled an account: a session that came in by it doesn't count. nil: none is.
	Gone   func(account string) bool
	Every  time.Duration // how often Run looks whom to ask about; 0: 5 s
	Clock  func() time.Time
	Logger *slog.Logger
}

// A Manager opens, finds and ends sessions. It is safe for concurrent use.
type Manager struct {
	o       Options
	box     *oidc.Box
	issuers map[string]*oidc.Issuer

	mu   sync.Mutex // owns live
	live map[string]*watched

	changed chan string // ids of rows that changed
	left    chan struct{}
}

// watched is a session of an issuer that is asked about again and again.
type watched struct {
	Session
	asking sync.Mutex // one question at a time
	at     time.Time  // of the last answer; owned by asking
	tried  time.Time  // when the issuer didn't answer; owned by asking
}

// New makes a Manager; Run keeps it true.
func New(o Options) (*Manager, error) {
	if o.Box == nil || o.Secrets == nil || o.People == nil {
		return nil, errors.New("sessions need sealed rows, secrets and people")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Every == 0 {
		o.Every = tick
	}
	box, err := oidc.NewBox(o.Key)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	m := &Manager{o: o, box: box, issuers: map[string]*oidc.Issuer{}, live: map[string]*watched{}, changed: make(chan string, 1024), left: make(chan struct{}, 1)}
	for _, i := range o.Issuers {
		m.issuers[i.Name()] = i
	}
	o.Box.Watch(string(adminKind), func(string) {
		select {
		case m.changed <- "":
		default:
		}
	})
	o.Box.Watch(string(kind), func(id string) {
		select {
		case m.changed <- id:
		default: // the next sweep reads them all
		}
	})
	return m, nil
}

// Issuer finds a configured issuer.
func (m *Manager) Issuer(name string) (*oidc.Issuer, bool) {
	i, ok := m.issuers[name]
	return i, ok
}

// Issuers lists them as configured.
func (m *Manager) Issuers() []*oidc.Issuer { return m.o.Issuers }

// Seal and Unseal keep a flow with the browser it belongs to.
func (m *Manager) Seal(purpose string, v any) (string, error) { return m.box.Seal(purpose, v) }

// Unseal reads what Seal wrote.
func (m *Manager) Unseal(purpose, text string, v any) error { return m.box.Open(purpose, text, v) }

// idOf is a session's id: who knows it, or the database, doesn't know the secret.
func idOf(secret string) string {
	sum := sha256.Sum256([]byte("assent-session\x00" + secret))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:15]))
}

func csrfOf(secret string) string {
	sum := sha256.Sum256([]byte("assent-csrf\x00" + secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// An Opening says how somebody came in.
type Opening struct {
	How     string
	Person  string // of a link or token, as is Account; an issuer's SignIn says it itself
	Account string
	Token   string
	Agent   string
	Gate    string // with ByGate
	SignIn  *oidc.SignIn
	First   bool // becomes the first administrator by it, or isn't signed in
	// Mint makes the credential that goes with the session, once it is known whose; nil: none.
	Mint func(ctx context.Context, person string) (token string, err error)
}

func (m *Manager) claims(s *oidc.SignIn, until time.Time) Claims {
	return Claims{Issuer: s.Issuer, URL: s.URL, Subject: s.Account(), Name: s.Name, Email: s.Email, Groups: s.Groups, Object: s.Object, AuthTime: s.AuthTime, Until: until}
}

// expires is when a session ends by itself. Where nobody can be asked again, soon.
func (m *Manager) expires(s *oidc.SignIn, life time.Duration) time.Time {
	if i := m.issuers[s.Issuer]; i == nil || !i.CanAsk(s) {
		life = min(life, BlindLife)
	}
	return m.o.Clock().UTC().Add(life)
}

// Open makes a session and returns its secret, which is stored nowhere.
func (m *Manager) Open(ctx context.Context, o Opening) (secret string, s *Session, err error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails (Go 1.24)
	secret = base64.RawURLEncoding.EncodeToString(raw[:])
	now, life := m.o.Clock().UTC(), Life
	if o.How == ByDevice {
		life = ReadLife
	}
	s = &Session{ID: idOf(secret), CSRF: csrfOf(secret), Person: o.Person, Account: o.Account, How: o.How, Token: o.Token, Created: now, Expires: now.Add(life), Agent: agent(o.Agent), Gate: o.Gate}
	if (o.How == ByGate) != (o.Gate != "") || o.How == ByGate && o.SignIn == nil {
		return "", nil, errors.New("opening a session: one at a gate has an issuer and a gate")
	}
	if o.SignIn != nil {
		account := o.SignIn.Issuer + "|" + o.SignIn.Account()
		s.Account = account
		defer func() { m.hold(account) }()
		if err := m.enter(ctx, s, &o, life); err != nil {
			return "", nil, fmt.Errorf("signing in: %w", err)
		}
	}
	if s.Person == "" {
		return "", nil, ErrNobody
	}
	if err := m.room(ctx, s.Person); err != nil {
		return "", nil, err
	}
	if o.Mint != nil {
		if s.Token, err = o.Mint(ctx, s.Person); err != nil {
			return "", nil, fmt.Errorf("signing in: %w", err)
		}
	}
	err = m.o.Box.Update(ctx, func(w *sealed.Writer) error {
		return kind.Put(ctx, w, &sealed.Entry[Session]{ID: s.ID, Key: live, Due: s.Expires, Value: *s}, opened(s))
	})
	if err != nil {
		if o.Mint != nil {
			err = errors.Join(err, m.o.Revoke(context.WithoutCancel(ctx), s.Token, "server"))
		}
		return "", nil, fmt.Errorf("opening a session: %w", err)
	}
	m.watch(*s, now)
	return secret, s, nil
}

// enter tells the directory who comes in, and keeps what the issuer gave.
func (m *Manager) enter(ctx context.Context, s *Session, o *Opening, life time.Duration) error {
	in := o.SignIn
	s.Issuer, s.AuthTime, s.AMR, s.Expires = in.Issuer, in.AuthTime, in.AMR, m.expires(in, life)
	c := m.claims(in, s.Expires)
	c.First = o.First
	p, err := m.o.People.SignedIn(ctx, c)
	if err != nil {
		return err
	}
	s.Person = p.ID
	if o.First {
		if err := m.makeFirstAdmin(ctx, p.ID, in); err != nil {
			return err
		}
	}
	return m.keep(ctx, s.ID, tokensOf(in, s.Created))
}

// opened is the record of a sign-in. No token of anybody's stands in it.
func opened(s *Session) *audit.Record {
	rec := &audit.Record{Type: audit.TypeSignIn, Decision: "opened", Person: s.Person, Detail: map[string]string{"how": s.How, "expires": s.Expires.UTC().Format(time.RFC3339)}}
	if s.Issuer != "" {
		rec.Detail["issuer"], rec.Detail["account"] = s.Issuer, s.Account
	}
	if s.Gate != "" {
		rec.Detail["gate"] = s.Gate
	}
	if !s.AuthTime.IsZero() {
		rec.Detail["auth_time"] = s.AuthTime.UTC().Format(time.RFC3339)
	}
	if len(s.AMR) > 0 {
		rec.Detail["amr"] = strings.Join(s.AMR, " ")
	}
	if s.Token != "" {
		rec.Detail["token"] = s.Token
	}
	return rec
}

// room keeps the number of live sessions bounded: of one person the oldest end.
func (m *Manager) room(ctx context.Context, person string) error {
	all, err := m.List(ctx, "")
	if err != nil {
		return err
	}
	if len(all) >= maxLive {
		return ErrTooMany
	}
	var theirs []Session
	for _, s := range all {
		if s.Person == person {
			theirs = append(theirs, s)
		}
	}
	for len(theirs) >= maxOfPerson { // newest first
		last := theirs[len(theirs)-1]
		if err := m.End(ctx, last.ID, "server", "more than "+strconv.Itoa(maxOfPerson)+" sessions of one person"); err != nil {
			return err
		}
		theirs = theirs[:len(theirs)-1]
	}
	return nil
}

// Get finds the session of a secret. ErrNone: there is none, or it has ended.
func (m *Manager) Get(ctx context.Context, secret string) (*Session, error) {
	if len(secret) != 43 {
		return nil, ErrNone
	}
	s, err := m.byID(ctx, idOf(secret))
	if err != nil {
		return nil, err
	}
	s.CSRF = csrfOf(secret)
	return s, nil
}

// Find finds an open session by its id, for whoever proved its secret before. ErrNone: there is none.
func (m *Manager) Find(ctx context.Context, id string) (*Session, error) { return m.byID(ctx, id) }

func (m *Manager) byID(ctx context.Context, id string) (*Session, error) {
	var e *sealed.Entry[Session]
	err := m.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		e, err = kind.Get(ctx, r, id)
		return err
	})
	if errors.Is(err, sealed.ErrNotFound) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("reading a session: %w", err)
	}
	s := e.Value
	s.ID = id
	if !m.counts(&s) {
		return nil, ErrNone
	}
	return &s, nil
}

// counts reports whether a session is open. One that a link opened before
// issuers were configured isn't: it would be a way around them.
func (m *Manager) counts(s *Session) bool {
	return s.Ended.IsZero() && !m.gone(s) && m.o.Clock().Before(s.Expires) && (s.How != ByLink || len(m.issuers) == 0)
}

// List is every live session of a person, or of all, newest first.
func (m *Manager) List(ctx context.Context, person string) ([]Session, error) {
	var out []Session
	err := m.o.Box.View(ctx, func(r *sealed.Reader) error {
		all, err := kind.List(ctx, r, sealed.Selection{Key: live})
		for _, e := range all {
			s := e.Value
			s.ID = e.ID
			if m.counts(&s) && (person == "" || s.Person == person) {
				out = append(out, s)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	slices.SortStableFunc(out, func(a, b Session) int { return b.Created.Compare(a.Created) })
	return out, nil
}

// End closes a session for good, on every replica. ErrNone: it is not open.
func (m *Manager) End(ctx context.Context, id, by, why string) error {
	var s Session
	err := m.o.Box.Update(ctx, func(w *sealed.Writer) error {
		e, err := kind.Get(ctx, &w.Reader, id)
		if errors.Is(err, sealed.ErrNotFound) || err == nil && !e.Value.Ended.IsZero() {
			return ErrNone
		}
		if err != nil {
			return err
		}
		e.Value.Ended, e.Value.EndedBy, e.Value.Why = m.o.Clock().UTC(), by, why
		e.Key, e.Due = ended, time.Time{}
		s = e.Value
		return kind.Put(ctx, w, e, &audit.Record{Type: audit.TypeSignIn, Decision: "ended", Person: by, Subject: s.Person, Detail: map[string]string{"why": why, "how": s.How}})
	})
	if err != nil {
		return fmt.Errorf("ending session %s: %w", id, err)
	}
	s.ID = id
	if err := m.o.Secrets.PutSetting(ctx, secretKey(id), nothing); err != nil {
		m.o.Logger.WarnContext(ctx, "forgetting what an issuer gave", "err", err) // encrypted, and nobody asks for it any more
	}
	if s.Token != "" && s.How == ByDevice && m.o.Revoke != nil {
		if err := m.o.Revoke(ctx, s.Token, by); err != nil {
			return fmt.Errorf("ending session %s: its token: %w", id, err)
		}
	}
	m.forget(id)
	return nil
}

// agent is what a browser calls itself, shortened and made safe to show.
func agent(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxAgentText)]
}
