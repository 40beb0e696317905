package approval

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/sealed"
)

// A Log appends audit records within a transaction and sets their Index.
type Log interface {
	Append(ctx context.Context, tx audit.Tx, recs ...*audit.Record) error
}

// A Minter signs grants.
type Minter interface {
	Mint(grant.Claims) (string, error)
}

// Options says what an Engine works with. Store, Log, Minter, Directory and
// both keys are needed; zero values of the rest mean the defaults named.
type Options struct {
	Store     Store
	Log       Log
	Minter    Minter
	Directory identity.Directory
	MatchKey  []byte // finds retries; at least 32 bytes, never leaves the server
	SealKey   []byte // seals rows and reviews; at least 32 bytes, kept outside the store
	Issuer    string // of grants
	Node      string // names this process in what it executes

	// Box keeps standing grants; nil: there are none.
	Box          *sealed.Box
	StandingUses int           // most uses of a standing grant: 100; less than 0: there are none
	StandingLife time.Duration // how long one lasts at most: 8 hours
	// Stamps says that a person seems to approve without reading: an approval of
	// theirs then asks for one person more. nil: nobody's does.
	Stamps func(person string) bool
	// Canaries lets holds be planted that nobody asked for; each request's record
	// then carries a commitment.
	Canaries bool

	Clock      func() time.Time
	Expires    time.Duration // a pending approval's life where no rule says: 15 minutes
	Window     time.Duration // how long an approval stays usable: 15 minutes
	PendingCap int           // pending approvals of one actor: 20
	PersonCap  int           // pending approvals of all actors for one person: three times PendingCap
	BytesCap   int64         // what the cards of one person's pending approvals take: 64 MiB
	// Frozen says who froze what a is about, as the transaction sees it; "": nobody.
	Frozen func(ctx context.Context, tx Tx, a *Approval) (who string, err error)
	// Stopped says whether a person is frozen: their approvals count for nothing.
	Stopped    func(person string) bool
	DenyMemory time.Duration // how long a denial is remembered: 1 hour
	Logger     *slog.Logger
	Passkeys   Passkeys // nil: nobody can sign
}

// An Engine holds actions until people decide. It is safe for concurrent use,
// and several may share one store.
type Engine struct {
	o       Options
	hub     hub
	box     *sealed.Box
	due     chan struct{} // wakes Run: something may expire sooner than it knows
	running running
	over    over
	limits  atomic.Pointer[Limits] // SetLimits may replace them

	mu   sync.Mutex
	last time.Time // the latest time told; a clock turned back revives nothing
}

// New refuses to work with anything missing.
func New(o Options) (*Engine, error) {
	if o.Store == nil || o.Log == nil || o.Minter == nil || o.Directory == nil {
		return nil, errors.New("approval engine: store, log, minter and directory are all needed")
	}
	if len(o.MatchKey) < 32 || len(o.SealKey) < 32 {
		return nil, errors.New("approval engine: match and seal key need 32 bytes each")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.Expires, 15*time.Minute)
	setDefault(&o.Window, 15*time.Minute)
	setDefault(&o.DenyMemory, time.Hour)
	setDefault(&o.StandingLife, 8*time.Hour)
	if o.StandingUses == 0 {
		o.StandingUses = 100
	}
	if o.PendingCap <= 0 {
		o.PendingCap = 20
	}
	if o.PersonCap <= 0 {
		o.PersonCap = 3 * o.PendingCap
	}
	if o.BytesCap <= 0 {
		o.BytesCap = 64 << 20
	}
	box, err := sealed.NewBox(sealing{o.Store}, o.Log, o.SealKey)
	if err != nil {
		return nil, fmt.Errorf("approval engine: %w", err)
	}
	e := &Engine{o: o, box: box, due: make(chan struct{}, 1)}
	e.SetLimits(Limits{o.Expires, o.Window, o.PendingCap, o.PersonCap, max(o.StandingUses, 0), o.StandingLife})
	return e, nil
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

// now is the time in microseconds, UTC, and never runs backwards.
func (e *Engine) now() time.Time {
	t := e.o.Clock().UTC().Truncate(time.Microsecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.Before(e.last) {
		return e.last
	}
	e.last = t
	return t
}

// A Question asks people for one action.
type Question struct {
	Action          *action.Action
	Asker           identity.Asker
	Decision        *policy.Decision // its verdict must be Review
	Title           string           // masked
	Target          string           // masked; "": the action's own
	Statement       string           // masked
	Masked          []Span
	Gate            string
	OpenTransaction bool
	Preview         *action.Preview // nil: nobody looked
	Lead            *Lead           // nil: nobody knows
	Risk            *policy.Risk    // as policy saw it; nil: not told
	// Record is the request record, appended in the same transaction; the
	// engine fills in what it leaves empty. nil: the engine writes one.
	Record *audit.Record
}

// An Answer is one person's review, as it came in over a channel that checked
// who they are.
type Answer struct {
	Approval  string
	Person    identity.Person
	Decision  string // "approve" or "deny"
	Reason    string
	Standing  *Scope // what they allow beyond the one action; nil: nothing
	Channel   string
	Assurance string
	Digest    action.Digest // as shown
	Version   int64         // as shown
	Signature *Signature    // by a passkey over Signs; it makes the assurance passkey
	// Obligation is what must hold besides, tighter than what the card showed.
	Obligation Obligation
}

// Decisions of a review.
const (
	Approve = "approve"
	Deny    = "deny"
)

// A Seat is one place in a quorum.
type Seat struct {
	Requirement int // index into the approval's requirements
	Rule        string
	Groups      []string // any of which may fill it
	Person      string   // who did; "" while it is free
	Name        string
}

// A Use asks to run an approved action now.
type Use struct {
	Action  *action.Action
	Asker   identity.Asker
	MaxRows int64 // -1: no bound but the approval's own
	// Recheck decides again (policy, identity, freeze) just before; an error withdraws the approval.
	Recheck func(ctx context.Context, a *Approval) error
	// Within, when it isn't nil, is what was approved: a change of our own rows, made in
	// the transaction that uses the approval and records the outcome. After an error of it
	// the approval is unused.
	Within  func(ctx context.Context, tx Tx) error
	Session string
}

// Used is the single use of an approval.
type Used struct {
	Grant    string // the token
	GrantID  string
	Index    int64             // of the execution.started record
	MaxRows  int64             // -1: no bound
	Masks    map[string]string // class → method, at least: what reviewers were shown and what they added
	Approval *Approval
}

// An Outcome tells how an approved action ended.
type Outcome struct {
	State    State  // Executed, Failed or Unknown
	Code     string // the protocol's own
	Rows     int64  // -1: unknown
	Bytes    int64
	Duration time.Duration
	// Record is the outcome record; the engine fills in what it leaves empty. nil: the engine writes one.
	Record *audit.Record
}

// Get returns one approval with its reviews.
func (e *Engine) Get(ctx context.Context, id string) (a *Approval, err error) {
	err = e.o.Store.View(ctx, func(tx Tx) error {
		a, err = e.load(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading approval %s: %w", id, err)
	}
	return a, nil
}

// List returns the approvals that f selects, newest first. One that can't be
// believed is left out, so that it hides no other; Get says what is wrong with it.
func (e *Engine) List(ctx context.Context, f Filter) (out []*Approval, err error) {
	err = e.o.Store.View(ctx, func(tx Tx) error {
		out = make([]*Approval, 0, max(f.Limit, 0))
		sel := Selection{States: f.States, Actor: f.Actor, Created: f.Since, Behind: f.Behind}
		for {
			if f.Limit > 0 {
				sel.Limit = f.Limit - len(out)
			}
			rows, err := tx.ListApprovals(ctx, sel)
			if err != nil {
				return err
			}
			reviews, err := reviewsOf(ctx, tx, rows)
			if err != nil {
				return err
			}
			for _, row := range rows {
				a, err := e.openWith(ctx, tx, row, reviews[row.ID])
				if errors.Is(err, ErrTampered) {
					e.o.Logger.ErrorContext(ctx, "left out of a list", "approval", row.ID, "err", err)
					continue
				}
				if err != nil {
					return err
				}
				if a.Plan == "" { // an item is shown within its plan
					out = append(out, a)
				}
			}
			if f.Limit <= 0 || len(rows) < sel.Limit || len(out) >= f.Limit {
				return nil
			}
			last := rows[len(rows)-1] // what was left out makes room for more
			sel.Behind = Place{last.Created, last.ID}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listing approvals: %w", err)
	}
	return out, nil
}
