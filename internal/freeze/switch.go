package freeze

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// rows is how freezes are stored.
const rows = sealed.Kind[Freeze]("freeze")

const (
	pollEvery = time.Second // beside hints, which may get lost
	readTime  = 5 * time.Second
	maxReason = 2000 // bytes
	bySystem  = "assent"

	anAdministrator = "an administrator"
)

// Options says what a Switch works with; all but Clock and Logger are needed.
type Options struct {
	Box       *sealed.Box
	Directory identity.Directory
	Clock     func() time.Time
	Logger    *slog.Logger
}

// A Switch freezes and knows what is frozen. It is safe for concurrent use.
type Switch struct {
	o      Options
	now    atomic.Pointer[snapshot]
	halted atomic.Pointer[error] // why everything is stopped, though no row says so
	wake   chan struct{}

	mu      sync.Mutex // one reading at a time, so that an older never replaces a newer
	changed []func()   // owned by mu
}

// New returns a Switch for which everything is frozen until Load.
func New(o Options) (*Switch, error) {
	if o.Box == nil || o.Directory == nil {
		return nil, errors.New("freeze: sealed rows and a directory are needed")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Switch{o: o, wake: make(chan struct{}, 1)}
	s.now.Store(&snapshot{err: ErrUnknown})
	o.Box.Watch(string(rows), func(string) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	})
	return s, nil
}

// OnChange calls fn after each reading that found something else frozen than before.
func (s *Switch) OnChange(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = append(s.changed, fn)
}

// Load reads what is frozen.
func (s *Switch) Load(ctx context.Context) error {
	s.mu.Lock()
	before := s.now.Load()
	read := s.o.Clock()
	entries, err := s.read(ctx)
	if err == nil {
		err = forgotten(before.all, entries)
	}
	next := before
	switch {
	case err == nil:
		next = picture(read, entries, s.o.Directory)
	case errors.Is(err, sealed.ErrTampered):
		// Known to be wrong: at once, not when the lease ends.
		next = &snapshot{read: read, err: err, all: before.all}
	}
	s.now.Store(next)
	fns := slices.Clone(s.changed)
	s.mu.Unlock()
	if (before.err == nil) != (next.err == nil) || !slices.EqualFunc(active(before), active(next), func(a, b Entry) bool { return a.ID == b.ID }) {
		for _, fn := range fns {
			fn()
		}
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("reading what is frozen: %w", err)
	if before.err == nil && next.err != nil {
		s.o.Logger.ErrorContext(ctx, "alarm: everything is frozen", "err", err)
		if aerr := s.alarm(ctx, err); aerr != nil {
			err = errors.Join(err, aerr)
		}
	}
	return err
}

// forgotten errs when a freeze that was there is not there any more: they end by a
// revision, so somebody took it away, and from the log as well.
func forgotten(before, now []Entry) error {
	for i := range before {
		id := before[i].ID
		if !slices.ContainsFunc(now, func(e Entry) bool { return e.ID == id }) {
			return fmt.Errorf("%s/%s is gone: %w", string(rows), id, sealed.ErrTampered)
		}
	}
	return nil
}

func (s *Switch) read(ctx context.Context) (out []Entry, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	err = s.o.Box.View(ctx, func(r *sealed.Reader) error {
		out, err = all(ctx, r)
		return err
	})
	return out, err
}

func all(ctx context.Context, r *sealed.Reader) ([]Entry, error) {
	found, err := rows.All(ctx, r)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, len(found))
	for i, e := range found {
		out[i] = Entry{ID: e.ID, Freeze: e.Value}
	}
	slices.SortFunc(out, func(a, b Entry) int { return b.At.Compare(a.At) })
	return out, nil
}

func (s *Switch) alarm(ctx context.Context, what error) error {
	return s.o.Box.Update(ctx, func(w *sealed.Writer) error {
		return w.Record(ctx, &audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": what.Error(), "so": "everything is frozen"}})
	})
}

// Run keeps the picture fresh until ctx ends.
func (s *Switch) Run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-tick.C:
		}
		if err := s.Load(ctx); err != nil && ctx.Err() == nil {
			s.o.Logger.ErrorContext(ctx, "what is frozen could not be read again", "err", err)
		}
	}
}

// Err says why everything is frozen though nobody froze it; nil when that is not so.
func (s *Switch) Err() error {
	if why := s.halted.Load(); why != nil {
		return *why
	}
	now := s.now.Load()
	if now.err != nil {
		return now.err
	}
	if s.o.Clock().Sub(now.read) > Lease {
		return ErrUnknown
	}
	return nil
}

// Frozen says what stops this asker at this place; nil: nothing. Where the
// resource or the gate is not known yet it may be "".
func (s *Switch) Frozen(asker *identity.Asker, resource, gate string) *Stop {
	if s.Err() != nil {
		return &Stop{}
	}
	return s.now.Load().stop(asker, resource, gate)
}

// FrozenNow is Frozen as the store says it within the transaction of r.
func (s *Switch) FrozenNow(ctx context.Context, r *sealed.Reader, asker *identity.Asker, resource, gate string) (*Stop, error) {
	if s.halted.Load() != nil {
		return &Stop{Who: anAdministrator}, nil
	}
	entries, err := all(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("reading what is frozen: %w", err)
	}
	return picture(s.o.Clock(), entries, s.o.Directory).stop(asker, resource, gate), nil
}

func (n *snapshot) stop(asker *identity.Asker, resource, gate string) *Stop {
	if e := n.find(asker, resource, gate); e != nil {
		who := e.ByName
		if e.By == bySystem || who == "" {
			who = anAdministrator
		}
		return &Stop{ID: e.ID, Who: who}
	}
	return nil
}

func (n *snapshot) find(asker *identity.Asker, resource, gate string) *Entry {
	if n.every != nil {
		return n.every
	}
	if e := n.gates[gate]; e != nil && gate != "" {
		return e
	}
	if len(n.places) > 0 {
		for at := resource; at != ""; {
			if e := n.places[at]; e != nil {
				return e
			}
			at = at[:max(strings.LastIndexByte(at, '/'), 0)]
		}
	}
	if asker == nil || len(n.actors) == 0 && len(n.people) == 0 {
		return nil
	}
	if e := n.people[asker.Subject.ID]; e != nil {
		return e
	}
	for i := range asker.Chain {
		c := &asker.Chain[i]
		for _, e := range []*Entry{n.actors[c.ID], n.people[c.Owner], n.people[c.ID]} {
			if e != nil {
				return e
			}
		}
	}
	return nil
}

// Suspended reports whether a person is frozen by name: they approve and change
// nothing. A freeze of everything suspends nobody, or nobody could let it go.
func (s *Switch) Suspended(person string) bool {
	return s.Err() != nil || s.now.Load().people[person] != nil
}

// Stopped reports whether a person is frozen, by name or with everything: they break no glass.
func (s *Switch) Stopped(person string) bool {
	return s.Suspended(person) || s.now.Load().every != nil
}

// List returns the freezes that hold now, newest first, or with old also those that ended.
func (s *Switch) List(old bool) []Entry {
	now := s.now.Load()
	if old {
		return slices.Clone(now.all)
	}
	return active(now)
}

func active(n *snapshot) []Entry {
	out := slices.Clone(n.all)
	return slices.DeleteFunc(out, func(e Entry) bool { return !e.Active() })
}

// Freeze stops target at once; it returns when nothing here lets it through any
// more. What is frozen already stays as it is.
func (s *Switch) Freeze(ctx context.Context, target Target, reason string, by identity.Person) (Entry, error) {
	var out Entry
	err := s.o.Box.Update(ctx, func(w *sealed.Writer) (err error) {
		out, err = s.Put(ctx, w, target, reason, by)
		return err
	})
	if err == nil {
		err = s.Load(ctx)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("freezing %s: %w", target, err)
	}
	return out, nil
}

// Put is Freeze within a transaction that somebody else began. A person without
// an id is this server itself.
func (s *Switch) Put(ctx context.Context, w *sealed.Writer, target Target, reason string, by identity.Person) (Entry, error) {
	reason = strings.TrimSpace(reason)
	if err := target.check(); err != nil {
		return Entry{}, err
	}
	if reason == "" || len(reason) > maxReason {
		return Entry{}, ErrReason
	}
	if target.What == Person {
		p, ok := s.o.Directory.Person(target.Name)
		if !ok {
			return Entry{}, fmt.Errorf("%w: there is no person %s", ErrTarget, target.Name)
		}
		target.Name = p.ID
	}
	there, err := rows.List(ctx, &w.Reader, sealed.Selection{Key: target.String()})
	if err != nil {
		return Entry{}, err
	}
	for _, e := range there {
		if e.Value.Active() {
			return Entry{ID: e.ID, Freeze: e.Value}, nil
		}
	}
	return s.add(ctx, w, Freeze{Target: target, Reason: reason, By: by.ID, ByName: by.Name, Owners: s.owners(target)})
}

func (s *Switch) add(ctx context.Context, w *sealed.Writer, f Freeze) (Entry, error) {
	f.At = s.o.Clock().UTC().Truncate(time.Microsecond)
	if f.By == "" {
		f.By, f.ByName = bySystem, "assent"
	}
	e := &sealed.Entry[Freeze]{ID: newID(), Key: f.Target.String(), Value: f}
	if err := rows.Put(ctx, w, e, record(&f, "frozen", f.By, f.Reason)); err != nil {
		return Entry{}, err
	}
	return Entry{ID: e.ID, Freeze: f}, nil
}

// owners are the people behind a target, as the directory knows them.
func (s *Switch) owners(t Target) (out []string) {
	switch t.What {
	case Person:
		out = append(out, t.Name)
	case Actor:
		a, _ := s.o.Directory.ActorByID(t.Name)
		for _, id := range append([]string{a.Owner}, a.Related...) {
			if id != "" && !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out
}

// Get returns one freeze, as the store has it.
func (s *Switch) Get(ctx context.Context, id string) (Entry, error) {
	var e *sealed.Entry[Freeze]
	err := s.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		e, err = rows.Get(ctx, r, id)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("reading freeze %s: %w", id, err)
	}
	return Entry{ID: e.ID, Freeze: e.Value}, nil
}

// Thaw lets a target go, within the transaction of the change that allowed it.
func (s *Switch) Thaw(ctx context.Context, w *sealed.Writer, id, by, change string) error {
	e, err := rows.Get(ctx, &w.Reader, id)
	if err != nil {
		return err
	}
	if !e.Value.Active() {
		return ErrThawed
	}
	e.Value.Thawed, e.Value.ThawedBy, e.Value.Change = s.o.Clock().UTC().Truncate(time.Microsecond), by, change
	return rows.Put(ctx, w, e, record(&e.Value, "thawed", by, ""))
}

func record(f *Freeze, what, by, why string) *audit.Record {
	r := &audit.Record{Type: audit.TypeFreeze, Person: by, Decision: what, Detail: map[string]string{"what": f.What}}
	if why != "" {
		r.Detail["why"] = why
	}
	if f.Change != "" {
		r.Detail["change"] = f.Change
	}
	switch f.What {
	case Actor:
		r.Actor = f.Name
	case Resource:
		r.Resource = f.Name
	case Gate:
		r.Gate = f.Name
	case Person:
		r.Subject = f.Name
	}
	return r
}

func newID() string {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	for i := range b {
		b[i] = digits[b[i]&31]
	}
	return "frz_" + string(b)
}
