package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/sealed"
)

// Which values a standing grant covers.
const (
	SameValues = "same" // the same action again, byte for byte
	AnyValues  = "any"  // the same shape: other literals in the same places
)

// A Scope is what a reviewer allows beyond the one action: the same again, so
// often and so long. The narrowest of a whole quorum holds.
type Scope struct {
	Uses   int           `json:"uses"`
	For    time.Duration `json:"for"` // from the moment the quorum is full
	Values string        `json:"values"`
}

// A Standing is a bounded permission minted from an approval: exactly this
// shape, from this actor for this person, to this destination.
type Standing struct {
	Approval string `json:"approval"` // whose reviews it stands on
	Scope
	Match string `json:"match"` // of the action, or of its shape in its state

	Subject     string          `json:"subject"`
	Actors      []action.Link   `json:"actors"`
	Title       string          `json:"title"`
	Statement   string          `json:"statement"` // masked
	Kinds       []action.Kind   `json:"kinds"`
	Resource    action.Resource `json:"resource"`
	Gate        string          `json:"gate"`
	Destination string          `json:"destination"`
	Shape       string          `json:"shape"`
	Classes     []string        `json:"classes"`
	AllClasses  bool            `json:"all_classes"` // Classes is a lower bound, as it was when people looked
	Rows        action.Count    `json:"rows"`        // most rows a use may touch; unknown: nobody counted
	Reviewers   []string        `json:"reviewers"`   // names, for people to read

	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	Used      int       `json:"used"`
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
	Why       string    `json:"why,omitempty"`
}

// Live reports whether s covers anything at that time.
func (s *Standing) Live(now time.Time) bool {
	return s.Revoked.IsZero() && s.Used < s.Uses && now.Before(s.Until)
}

// A StandingEntry is a Standing with its id.
type StandingEntry struct {
	ID string
	Standing
}

const standing = sealed.Kind[Standing]("standing")

// A StandingError says why there can't be a standing grant.
type StandingError struct{ Why string }

func (e *StandingError) Error() string { return "no standing grant: " + e.Why }

// never are the kinds that each single action of is for people to decide.
var never = []action.Kind{
	action.PrivilegeChange, action.IdentityChange, action.SecretAccess, action.InfraDestroy, action.DataDelete,
	action.Payment, action.ConfigChange, action.AuditChange, action.Unknown,
}

// DecidedEach reports a kind whose every single action is for people to decide.
func DecidedEach(k action.Kind) bool { return slices.Contains(never, k) || !k.Valid() }

// opened are the kinds whose values a reviewer may leave open.
var opened = []action.Kind{action.DataRead, action.DataExport, action.DataWrite}

// Ceiling is the widest scope that this deployment lets anybody ask for.
func (e *Engine) Ceiling() (uses int, life time.Duration) {
	l := e.limits.Load()
	return l.StandingUses, l.StandingLife
}

// Coverable errs when no scope, or not this one, may be asked for a.
func (e *Engine) Coverable(a *Approval, s Scope) error {
	no := func(format string, args ...any) error { return &StandingError{fmt.Sprintf(format, args...)} }
	for _, k := range a.Kinds {
		if slices.Contains(never, k) {
			return no("each %s is decided by itself", k)
		}
		if s.Values == AnyValues && !slices.Contains(opened, k) {
			return no("the values of %s stay as they are", k)
		}
	}
	limits := e.limits.Load()
	switch {
	case len(a.Kinds) == 0 || len(a.Items) > 0 || a.Plan != "":
		return no("this is not one action of a known kind")
	case s.Values != SameValues && s.Values != AnyValues:
		return no("values are %q or %q", SameValues, AnyValues)
	case limits.StandingUses < 1:
		return no("this deployment has none")
	case s.Uses < 1 || s.Uses > limits.StandingUses:
		return no("between 1 and %d uses", limits.StandingUses)
	case s.For < time.Minute || s.For > limits.StandingLife:
		return no("between a minute and %s", limits.StandingLife)
	case s.Values == AnyValues && (a.Shape == "" || !a.MostRows().Known):
		return no("with other values nothing would bound how many rows it touches")
	}
	return nil
}

// mayStand errs when an answer asks for a scope that can't be had.
func (e *Engine) mayStand(a *Approval, in *Answer) error {
	switch {
	case in.Standing == nil:
		return nil
	case in.Decision != Approve:
		return &StandingError{"a denial allows nothing"}
	}
	return e.Coverable(a, *in.Standing)
}

// MostRows is what a single use of a may touch at most.
func (a *Approval) MostRows() action.Count {
	n := a.Bounds().Rows
	for _, o := range []action.Count{a.Preview.Bound(), a.Data.Rows} {
		if o.Known && (!n.Known || o.N < n.N) {
			n = o
		}
	}
	return n
}

// narrowest is what every review that fills the quorum of a allows at least; nil
// unless all of them asked for a scope.
func (e *Engine) narrowest(a *Approval) *Scope {
	if !e.quorum(a) {
		return nil
	}
	var out *Scope
	reviews, _ := e.voters(a)
	for _, r := range reviews {
		s := r.Standing
		if s == nil {
			return nil
		}
		if out == nil {
			c := *s
			out = &c
		}
		out.Uses, out.For = min(out.Uses, s.Uses), min(out.For, s.For)
		if s.Values != AnyValues {
			out.Values = SameValues
		}
	}
	if out == nil || e.Coverable(a, *out) != nil {
		return nil
	}
	return out
}

// stand mints the standing grant that the full quorum of a asked for, if it did.
func (e *Engine) stand(ctx context.Context, tx Tx, a *Approval) error {
	scope := e.narrowest(a)
	if scope == nil || e.o.Box == nil {
		return nil
	}
	match := a.Match
	if scope.Values == AnyValues {
		match = a.Frame
	}
	s := Standing{
		Approval: a.ID, Scope: *scope, Match: match,
		Subject: a.Asker.Subject.ID, Actors: a.Asker.Links(), Title: a.Title, Statement: a.Statement, Kinds: a.Kinds,
		Resource: a.Resource, Gate: a.Gate, Destination: a.Data.Destination, Shape: a.Shape,
		Classes: a.Data.Classes, AllClasses: !a.Data.ClassesKnown, Rows: a.MostRows(), Since: a.Decided, Until: a.Decided.Add(scope.For),
	}
	reviews, _ := e.voters(a)
	for _, r := range reviews {
		s.Reviewers = append(s.Reviewers, r.Name)
	}
	entry := &sealed.Entry[Standing]{ID: newID("stg_"), Key: a.actor(), Value: s}
	w := e.o.Box.Join(tx)
	if err := standing.Put(ctx, w, entry, e.standingRecord(entry.ID, &s, "minted", "")); err != nil {
		return fmt.Errorf("minting a standing grant: %w", err)
	}
	return nil
}

func (e *Engine) standingRecord(id string, s *Standing, what, by string) *audit.Record {
	r := &audit.Record{
		Type: audit.TypeStanding, Actor: s.Actors[0].ID, Subject: s.Subject, Person: by, Gate: s.Gate, Resource: s.Resource.URN,
		Env: s.Resource.Env, Title: s.Title, Shape: s.Shape, Decision: what,
		Detail: map[string]string{
			"standing": id, "from": s.Approval, "values": s.Values, "uses": strconv.Itoa(s.Uses), "used": strconv.Itoa(s.Used),
			"until": s.Until.UTC().Format(time.RFC3339),
		},
	}
	for _, l := range s.Actors {
		r.Chain = append(r.Chain, l.ID)
	}
	for _, k := range s.Kinds {
		r.Kinds = append(r.Kinds, string(k))
	}
	return r
}

// frame tells actions apart that differ in more than their literals: the envelope
// with the shape in place of the payload.
func (e *Engine) frame(act *action.Action) (string, error) {
	if act.Shape == "" {
		return "", nil
	}
	bare := *act
	bare.Payload = []byte("shape\x00" + act.Shape)
	return bare.Match(e.o.MatchKey)
}

// covers errs unless s is for exactly what a asks.
func (s *Standing) covers(a *Approval, now time.Time) error {
	match := a.Match
	if s.Values == AnyValues {
		match = a.Frame
	}
	switch {
	case !s.Live(now):
		return errors.New("it is used up, over or revoked")
	case match == "" || match != s.Match || a.Shape != s.Shape:
		return errors.New("it is for another action")
	case a.Asker.Subject.ID != s.Subject || !slices.Equal(a.Asker.Links(), s.Actors):
		return errors.New("it is for another actor")
	case a.Gate != s.Gate || a.Resource.URN != s.Resource.URN || a.Resource.Env != s.Resource.Env || a.Data.Destination != s.Destination:
		return errors.New("it is for another place")
	case !sameKinds(a.Kinds, s.Kinds):
		return errors.New("it is for another kind of action")
	case !a.Data.ClassesKnown && !s.AllClasses || a.Data.Unscanned:
		return errors.New("what it carries is not known")
	}
	for _, c := range a.Data.Classes {
		if !slices.Contains(s.Classes, c) {
			return fmt.Errorf("people were not shown class %s", c)
		}
	}
	if n := a.Data.Rows; s.Rows.Known && n.Known && n.N > s.Rows.N {
		return errors.New("it is for fewer rows")
	}
	return nil
}

func sameKinds(a, b []action.Kind) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// UseStanding takes one use of a standing grant that covers q, if there is one:
// nil and nil when there is none. u.Recheck decides again and is told the
// approval that the grant stands on. What people approved is looked at again
// each time: their reviews, their seats, and who is excluded by now. The use is
// counted, the grant for this one action is signed, and its start is on record,
// in one transaction.
func (e *Engine) UseStanding(ctx context.Context, q *Question, u Use) (*Used, error) {
	fresh, err := e.hold(q)
	if err != nil {
		return nil, fmt.Errorf("looking for a standing grant: %w", err)
	}
	if e.o.Box == nil {
		return nil, nil
	}
	id, origin, err := e.coveredBy(ctx, fresh)
	if err != nil || id == "" {
		return nil, err
	}
	if err := u.Recheck(ctx, origin); err != nil {
		return nil, fmt.Errorf("deciding again: %w", err)
	}
	var used *Used
	var put []string
	err = e.update(ctx, fresh.ID, func(tx Tx) ([]Event, error) {
		a := *fresh
		w := e.o.Box.Join(tx)
		entry, err := standing.Get(ctx, &w.Reader, id)
		if err != nil {
			return nil, err
		}
		if err := entry.Value.covers(&a, e.now()); err != nil {
			return nil, &StandingError{err.Error()}
		}
		origin, err := e.stillStands(ctx, tx, &entry.Value, &a)
		if err != nil {
			return nil, err
		}
		entry.Value.Used++
		if err := standing.Put(ctx, w, entry, e.standingRecord(entry.ID, &entry.Value, "used", "")); err != nil {
			return nil, err
		}
		a.Standing, a.RowLimit = id, narrower(a.RowLimit, entry.Value.Rows)
		a.Masks = policy.StricterMasks(a.Masks, origin.Bounds().Masks)
		used, err = e.begin(ctx, tx, &a, q, &u, origin.Reviews)
		put = w.Put()
		return []Event{a.event()}, err
	})
	if errors.Is(err, sealed.ErrTampered) {
		err = errors.Join(err, e.alarm(ctx, "", err.Error()))
	}
	if err != nil {
		return nil, fmt.Errorf("using standing grant %s: %w", id, err)
	}
	e.o.Box.Told(put...)
	e.running.add(used.Approval.ID)
	return used, nil
}

func narrower(a, b action.Count) action.Count {
	if b.Known && (!a.Known || b.N < a.N) {
		return b
	}
	return a
}

// coveredBy finds a standing grant for a, and the approval it stands on.
func (e *Engine) coveredBy(ctx context.Context, a *Approval) (id string, origin *Approval, err error) {
	err = e.o.Store.View(ctx, func(tx Tx) error {
		list, err := standing.List(ctx, &e.o.Box.Join(tx).Reader, sealed.Selection{Key: a.actor()})
		if err != nil {
			return err
		}
		for _, s := range list {
			if s.Value.covers(a, e.now()) == nil {
				id = s.ID
				origin, err = e.load(ctx, tx, s.Value.Approval)
				return err
			}
		}
		return nil
	})
	if errors.Is(err, sealed.ErrTampered) {
		err = errors.Join(err, e.alarm(ctx, "", err.Error()))
	}
	if err != nil {
		return "", nil, fmt.Errorf("looking for a standing grant: %w", err)
	}
	return id, origin, nil
}

// stillStands looks at the reviews behind s as if they were given for a: nobody
// who is behind a by now counts, and the whole quorum must have asked for s at least.
func (e *Engine) stillStands(ctx context.Context, tx Tx, s *Standing, a *Approval) (*Approval, error) {
	origin, err := e.load(ctx, tx, s.Approval)
	if err != nil {
		return nil, err
	}
	related, err := e.remember(ctx, tx, &a.Asker, a.Created)
	if err != nil {
		return nil, err
	}
	e.exclude(origin, related)
	a.Excluded = origin.Excluded
	if err := e.reciprocal(ctx, tx, origin); err != nil {
		return nil, err
	}
	switch scope := e.narrowest(origin); {
	case scope == nil:
		return nil, &StandingError{"the reviews on record do not fill the quorum"}
	case s.Uses > scope.Uses || s.Until.After(origin.Decided.Add(scope.For)) || s.Values == AnyValues && scope.Values != AnyValues:
		return nil, fmt.Errorf("standing grant of %s: wider than its reviews: %w", s.Approval, ErrTampered)
	}
	reviews, _ := e.voters(origin)
	for _, r := range reviews {
		if _, ok := e.o.Directory.Person(r.Person); !ok {
			return nil, &StandingError{"a reviewer is gone"}
		}
	}
	if err := e.denials(ctx, tx, a); err != nil {
		return nil, err
	}
	if a.Repeats > 0 {
		return nil, &StandingError{"people denied the same lately"}
	}
	return origin, nil
}

// begin stores an approval that needs no answer of its own as executing, with its
// request, start and grant.
func (e *Engine) begin(ctx context.Context, tx Tx, a *Approval, q *Question, u *Use, reviews []Review) (*Used, error) {
	if stop, err := e.stopped(ctx, tx, a); err != nil {
		return nil, err
	} else if stop != nil {
		return nil, stop
	}
	a.State, a.Decided, a.Started, a.GrantID, a.Node = Executing, a.Created, a.Created, newID("gnt_"), e.o.Node
	row, err := e.seal(a)
	if err != nil {
		return nil, err
	}
	if err := tx.InsertApproval(ctx, row); err != nil {
		return nil, err
	}
	shown := *a
	shown.Reviews = reviews // the grant names who approved, and holds what they asked for besides
	bound, bounds := u.MaxRows, shown.Bounds()
	for _, n := range []action.Count{bounds.Rows, a.Preview.Bound()} {
		if n.Known && (bound < 0 || n.N < bound) {
			bound = n.N
		}
	}
	r := record(audit.TypeStarted, a)
	r.Grant, r.Session, r.Decision = a.GrantID, u.Session, string(Executing)
	r.Detail = map[string]string{}
	if a.Standing != "" {
		r.Detail["standing"] = a.Standing
	}
	if a.BreakGlass != "" {
		r.Detail["break_glass"] = a.BreakGlass
	}
	if err := e.o.Log.Append(ctx, tx, requestRecord(a, q), r); err != nil {
		return nil, err
	}
	token, err := e.o.Minter.Mint(e.claims(&shown, a.Created, bound, r.Index))
	if err != nil {
		return nil, fmt.Errorf("minting the grant: %w", err)
	}
	return &Used{Grant: token, GrantID: a.GrantID, Index: r.Index, MaxRows: bound, Masks: bounds.Masks, Approval: a}, nil
}

// Standings lists every standing grant, newest first.
func (e *Engine) Standings(ctx context.Context) (out []StandingEntry, err error) {
	if e.o.Box == nil {
		return nil, nil
	}
	err = e.o.Box.View(ctx, func(r *sealed.Reader) error {
		all, err := standing.All(ctx, r)
		for _, s := range all {
			out = append(out, StandingEntry{s.ID, s.Value})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing standing grants: %w", err)
	}
	slices.SortStableFunc(out, func(a, b StandingEntry) int { return b.Since.Compare(a.Since) })
	return out, nil
}

// Revoke ends a standing grant. Anybody who may review may.
func (e *Engine) Revoke(ctx context.Context, id string, by identity.Person, why string) (out StandingEntry, err error) {
	if e.o.Box == nil {
		return out, sealed.ErrNotFound
	}
	err = e.o.Box.Update(ctx, func(w *sealed.Writer) error {
		s, err := standing.Get(ctx, &w.Reader, id)
		if err != nil {
			return err
		}
		if s.Value.Revoked.IsZero() {
			s.Value.Revoked, s.Value.RevokedBy, s.Value.Why = e.now(), by.ID, why
			r := e.standingRecord(id, &s.Value, "revoked", by.ID)
			r.Detail["why"] = why
			if err := standing.Put(ctx, w, s, r); err != nil {
				return err
			}
		}
		out = StandingEntry{id, s.Value}
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("revoking standing grant %s: %w", id, err)
	}
	return out, nil
}
