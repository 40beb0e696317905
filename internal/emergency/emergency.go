// Package emergency is break-glass: a person with the right lets one actor's
// actions on one resource run without waiting, for minutes, loudly.
//
// It promises that each use is an alarm on record before it happens, that masks, limits,
// denials and freezes stay, and that somebody else looks at it afterwards: if
// nobody does in time, or finds it wrong, who broke the glass and the actor are frozen.
package emergency

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// Errors of emergencies, whose words are for people.
var (
	ErrRight  = errors.New("you may not break the glass: the configuration names who may (break_glass)")
	ErrBounds = errors.New("name a known actor and a resource, say why, and for at most as long as the configuration allows")
	ErrOwn    = errors.New("whoever is behind it doesn't review it")
	ErrDone   = errors.New("it has been reviewed already")
	// ErrAssurance refuses a token: an agent may share the machine it is kept on.
	ErrAssurance = errors.New("this takes a signed-in session in the console: a token is too little (break_glass.assurance)")
)

// Verdicts of a review.
const (
	Justified = "justified"
	Wrong     = "wrong"
)

// States of an emergency, which its row is found by.
const (
	Open     = "open" // nobody has reviewed it yet
	Reviewed = "reviewed"
	Overdue  = "overdue"
)

// An Emergency is the glass once broken.
type Emergency struct {
	Actor    string    `json:"actor"`
	Resource string    `json:"resource"` // URN, or the beginning of it up to a slash
	Person   string    `json:"person"`
	Name     string    `json:"name"`
	Reason   string    `json:"reason"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	ReviewBy time.Time `json:"review_by"`
	Ran      int       `json:"ran"`

	State      string    `json:"state"`
	Reviewer   string    `json:"reviewer,omitempty"`
	ReviewedAt time.Time `json:"reviewed_at,omitzero"`
	Verdict    string    `json:"verdict,omitempty"`
	Note       string    `json:"note,omitempty"`
}

// An Entry is an Emergency with its id.
type Entry struct {
	ID string
	Emergency
}

// What the alarms of an emergency say. Reports read the log by them: they stay as they are.
const (
	SaysBroken   = "the glass was broken"
	SaysRan      = "ran without waiting for people"
	SaysReviewed = "the emergency was reviewed: " // and the verdict
	SaysLate     = "nobody reviewed the emergency in time"
)

const rows = sealed.Kind[Emergency]("emergency")

// Options says what a Glass works with; Clock and Logger may be left out.
type Options struct {
	Box        *sealed.Box
	Directory  identity.Directory
	Freezes    *freeze.Switch
	Groups     []string      // whose members may break the glass; none: nobody may
	Reviewers  []string      // groups whose members review it, beside those
	Longest    time.Duration // an emergency lasts at most: 1 hour
	ReviewTime time.Duration // from its end to its review: 24 hours
	Tokens     bool          // a token is enough to break the glass and to review; else it takes a console session
	Clock      func() time.Time
	Logger     *slog.Logger
}

// A Glass is broken by people. It is safe for concurrent use.
type Glass struct {
	o    Options
	told atomic.Bool // that rows can't be believed
	news news
}

// New refuses to work with anything missing.
func New(o Options) (*Glass, error) {
	if o.Box == nil || o.Directory == nil || o.Freezes == nil {
		return nil, errors.New("emergencies: sealed rows, a directory and the freezes are needed")
	}
	if o.Longest <= 0 {
		o.Longest = time.Hour
	}
	if o.ReviewTime <= 0 {
		o.ReviewTime = 24 * time.Hour
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Glass{o: o, news: news{ids: map[string]bool{}, poke: make(chan struct{}, 1)}}
	o.Box.Watch(string(rows), g.hear)
	return g, nil
}

func (g *Glass) now() time.Time { return g.o.Clock().UTC().Truncate(time.Microsecond) }

// enough errs when how somebody signed in is too little for breaking the glass, or for reviewing it.
func (g *Glass) enough(assurance string) error {
	if assurance == "console" || assurance == "passkey" || g.o.Tokens && assurance == "token" {
		return nil
	}
	return ErrAssurance
}

// MayBreak reports whether a person has the right, however they signed in.
func (g *Glass) MayBreak(id string) bool {
	p, ok := g.o.Directory.Person(id)
	return ok && p.In(g.o.Groups...) && !g.o.Freezes.Stopped(p.ID)
}

// Break lets an actor's actions on a resource run without waiting from now on.
// assurance is how by signed in.
func (g *Glass) Break(ctx context.Context, by identity.Person, assurance, actor, resource, reason string, life time.Duration) (Entry, error) {
	p, _ := g.o.Directory.Person(by.Key())
	if !g.MayBreak(by.Key()) {
		return Entry{}, ErrRight
	}
	if err := g.enough(assurance); err != nil {
		return Entry{}, err
	}
	reason, resource = strings.TrimSpace(reason), strings.TrimRight(resource, "/")
	_, known := g.o.Directory.ActorByID(actor)
	if !known || resource == "" || reason == "" || len(reason) > 2000 || len(resource) > 512 || life < time.Minute || life > g.o.Longest {
		return Entry{}, ErrBounds
	}
	now := g.now()
	e := Emergency{
		Actor: actor, Resource: resource, Person: p.ID, Name: p.Name, Reason: reason,
		Since: now, Until: now.Add(life), ReviewBy: now.Add(life + g.o.ReviewTime), State: Open,
	}
	entry := &sealed.Entry[Emergency]{ID: newID(), Key: Open, Due: e.ReviewBy, Value: e}
	err := g.o.Box.Update(ctx, func(w *sealed.Writer) error {
		entry.Revision = 0
		return rows.Put(ctx, w, entry, record(entry, SaysBroken, p.ID, map[string]string{"why": reason, "until": e.Until.Format(time.RFC3339)}))
	})
	if err != nil {
		return Entry{}, fmt.Errorf("breaking the glass: %w", err)
	}
	g.o.Logger.ErrorContext(ctx, "alarm: the glass was broken", "emergency", entry.ID, "by", p.ID, "actor", actor, "resource", resource, "until", e.Until)
	return Entry{entry.ID, e}, nil
}

// record is an alarm about an emergency.
func record(e *sealed.Entry[Emergency], what, by string, more map[string]string) *audit.Record {
	r := &audit.Record{Type: audit.TypeAlarm, Person: by, Actor: e.Value.Actor, Resource: e.Value.Resource, Detail: map[string]string{"what": what, "emergency": e.ID}}
	for k, v := range more {
		r.Detail[k] = v
	}
	return r
}

// Allow is an approval.Allowance: it counts a use of the emergency that covers a.
func (g *Glass) Allow(ctx context.Context, tx approval.Tx, a *approval.Approval) (string, error) {
	w := g.o.Box.Join(tx)
	open, err := rows.List(ctx, &w.Reader, sealed.Selection{Key: Open})
	if err != nil {
		return "", err
	}
	now := g.now()
	for _, e := range open {
		v := &e.Value
		if v.Actor != a.Asker.Chain[0].ID || !now.Before(v.Until) || now.Before(v.Since) || !under(a.Resource.URN, v.Resource) || g.o.Freezes.Stopped(v.Person) {
			continue
		}
		if p, ok := g.o.Directory.Person(v.Person); !ok || !p.In(g.o.Groups...) {
			continue
		}
		v.Ran++
		return e.ID, rows.Put(ctx, w, e, record(e, SaysRan, v.Person, map[string]string{"approval": a.ID}))
	}
	return "", nil
}

// under reports whether urn is at, or beneath, a place.
func under(urn, place string) bool {
	rest, ok := strings.CutPrefix(urn, place)
	return ok && (rest == "" || rest[0] == '/')
}

// Active reports whether an emergency of this actor may be open: whether to look.
func (g *Glass) Active(ctx context.Context, actor string) bool {
	all, err := g.List(ctx)
	now := g.now()
	return err == nil && slices.ContainsFunc(all, func(e Entry) bool {
		return e.State == Open && e.Actor == actor && now.Before(e.Until)
	})
}

// Review says afterwards whether an emergency was one. What was wrong is frozen.
// assurance is how by signed in.
func (g *Glass) Review(ctx context.Context, id string, by identity.Person, assurance, verdict, note string) (Entry, error) {
	var out Entry
	if verdict != Justified && verdict != Wrong || strings.TrimSpace(note) == "" || len(note) > 2000 {
		return out, ErrBounds
	}
	err := g.o.Box.Update(ctx, func(w *sealed.Writer) error {
		e, err := rows.Get(ctx, &w.Reader, id)
		if err != nil {
			return err
		}
		if e.Value.State == Reviewed {
			return ErrDone
		}
		if err := g.MayReview(&e.Value, by.Key()); err != nil {
			return err
		}
		if err := g.enough(assurance); err != nil {
			return err
		}
		v := &e.Value
		v.State, v.Reviewer, v.ReviewedAt, v.Verdict, v.Note = Reviewed, by.ID, g.now(), verdict, note
		v.Until = earlier(v.Until, v.ReviewedAt) // what was looked at is over
		e.Key, e.Due = Reviewed, time.Time{}
		if verdict == Wrong {
			if err := g.freeze(ctx, w, v, "an emergency of theirs was found wrong: "+id); err != nil {
				return err
			}
		}
		out = Entry{id, *v}
		return rows.Put(ctx, w, e, record(e, SaysReviewed+verdict, by.ID, map[string]string{"note": note}))
	})
	if err != nil {
		return out, fmt.Errorf("reviewing emergency %s: %w", id, err)
	}
	return out, g.o.Freezes.Load(ctx)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// MayReview errs unless the person with this id is another one than is behind it.
func (g *Glass) MayReview(e *Emergency, id string) error {
	p, ok := g.o.Directory.Person(id)
	if !ok || !p.In(slices.Concat(g.o.Groups, g.o.Reviewers)...) || g.o.Freezes.Stopped(p.ID) {
		return ErrRight
	}
	behind := []string{e.Person}
	if a, ok := g.o.Directory.ActorByID(e.Actor); ok {
		behind = append(append(behind, a.Owner), a.Related...)
	}
	ids := append(p.IDs(), p.ID)
	for _, b := range behind {
		other := []string{b}
		if o, ok := g.o.Directory.Person(b); ok {
			other = append(other, o.IDs()...)
		}
		if b != "" && slices.ContainsFunc(other, func(id string) bool { return slices.Contains(ids, id) }) {
			return ErrOwn
		}
	}
	return nil
}

// freeze stops who broke the glass, and what ran.
func (g *Glass) freeze(ctx context.Context, w *sealed.Writer, e *Emergency, why string) error {
	for _, t := range []freeze.Target{{What: freeze.Person, Name: e.Person}, {What: freeze.Actor, Name: e.Actor}} {
		if _, err := g.o.Freezes.Put(ctx, w, t, why, identity.Person{}); err != nil {
			return err
		}
	}
	return nil
}

// Run freezes what nobody reviewed in time, until ctx ends.
func (g *Glass) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := g.Sweep(ctx); err != nil && ctx.Err() == nil {
			g.o.Logger.ErrorContext(ctx, "looking for emergencies that nobody reviewed", "err", err)
		}
		for looked := false; !looked; {
			g.tell(ctx)
			select {
			case <-ctx.Done():
				return
			case <-g.news.poke:
			case <-tick.C:
				looked = true
			}
		}
	}
}

// Sweep looks once.
func (g *Glass) Sweep(ctx context.Context) error {
	var late []*sealed.Entry[Emergency]
	now := g.now()
	// All of them, held against the log: one that was taken away is looked for too.
	err := g.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		late, err = rows.All(ctx, r)
		return err
	})
	late = slices.DeleteFunc(late, func(e *sealed.Entry[Emergency]) bool { return e.Value.State != Open || e.Due.After(now) })
	if errors.Is(err, sealed.ErrTampered) && g.told.CompareAndSwap(false, true) {
		err = errors.Join(err, g.o.Box.Update(ctx, func(w *sealed.Writer) error {
			return w.Record(ctx, &audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": err.Error(), "so": "emergencies can't be believed: somebody must look"}})
		}))
	}
	if err != nil || len(late) == 0 {
		return err
	}
	var errs []error
	for _, l := range late {
		err := g.o.Box.Update(ctx, func(w *sealed.Writer) error {
			e, err := rows.Get(ctx, &w.Reader, l.ID)
			if err != nil || e.Value.State != Open {
				return err
			}
			e.Value.State, e.Key, e.Due = Overdue, Overdue, time.Time{}
			if err := g.freeze(ctx, w, &e.Value, "nobody reviewed an emergency of theirs in time: "+e.ID); err != nil {
				return err
			}
			return rows.Put(ctx, w, e, record(e, SaysLate, "", nil))
		})
		errs = append(errs, err)
	}
	return errors.Join(append(errs, g.o.Freezes.Load(ctx))...)
}

// List returns every emergency, newest first.
func (g *Glass) List(ctx context.Context) (out []Entry, err error) {
	err = g.o.Box.View(ctx, func(r *sealed.Reader) error {
		all, err := rows.All(ctx, r)
		for _, e := range all {
			out = append(out, Entry{e.ID, e.Value})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing emergencies: %w", err)
	}
	slices.SortStableFunc(out, func(a, b Entry) int { return b.Since.Compare(a.Since) })
	return out, nil
}

func newID() string {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	for i := range b {
		b[i] = digits[b[i]&31]
	}
	return "emg_" + string(b)
}
