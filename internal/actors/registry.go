package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// Errors of the registry. Their texts are for people.
var (
	ErrName    = errors.New("an actor's name has lower-case letters, digits, '.', '_' and '-', and is nobody else's, now or before")
	ErrNotYour = errors.New("this is not an actor of yours that was registered here")
	ErrTooMany = errors.New("nobody registers more than 50 actors: retire some")
)

const (
	maxOwned  = 50
	seenEvery = time.Hour // between two notes of one actor, while its credential stays
)

var shortName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// registered is an actor that a person made while the server runs.
type registered struct {
	Type    string    `json:"type"`
	Owner   string    `json:"owner"`
	Created time.Time `json:"created"`
	Retired time.Time `json:"retired,omitzero"`
	By      string    `json:"by,omitempty"` // who retired it
}

// sight is when an actor was last seen, to the hour.
type sight struct {
	At         time.Time `json:"at"`
	Credential string    `json:"credential"`
}

const (
	actorKind = sealed.Kind[registered]("actor")
	seenKind  = sealed.Kind[sight]("seen")
)

// People is the live directory, which the registry tells its actors.
type People interface {
	identity.Directory
	Actors() []identity.Actor
	SetActors(actors []identity.Actor) error
}

// A Registry keeps the actors that people registered, and when each was last
// seen. It is safe for concurrent use.
type Registry struct {
	box    *sealed.Box
	people People
	relate func(context.Context, []identity.Actor) error
	now    func() time.Time
	log    *slog.Logger

	wake    chan struct{}
	changed func()     // told after each reading; set before Run
	mu      sync.Mutex // guards what follows
	rows    map[string]*sealed.Entry[registered]
	seen    map[string]sight // newest known here
	kept    map[string]sight // as stored
}

// OpenRegistry reads what is registered. relate notes who is behind an actor.
func OpenRegistry(ctx context.Context, box *sealed.Box, people People, relate func(context.Context, []identity.Actor) error, log *slog.Logger) (*Registry, error) {
	r := &Registry{box: box, people: people, relate: relate, now: time.Now, log: log, wake: make(chan struct{}, 1), seen: map[string]sight{}, kept: map[string]sight{}}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	box.Watch(string(actorKind), func(string) {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	})
	return r, nil
}

// OnChange has fn called each time that Run has read what is registered. It must
// be quick or hand over, and is set before Run.
func (r *Registry) OnChange(fn func()) { r.changed = fn }

func (r *Registry) load(ctx context.Context) error {
	rows := map[string]*sealed.Entry[registered]{}
	kept := map[string]sight{}
	err := r.box.View(ctx, func(rd *sealed.Reader) error {
		all, err := actorKind.All(ctx, rd)
		if err != nil {
			return err
		}
		for _, e := range all {
			rows[e.ID] = e
		}
		sights, err := seenKind.List(ctx, rd, sealed.Selection{})
		for _, e := range sights {
			kept[e.ID] = e.Value
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the registered actors: %w", err)
	}
	r.mu.Lock()
	r.rows, r.kept = rows, kept
	r.mu.Unlock()
	return r.tell()
}

// tell gives the directory whoever counts. One whose owner is gone doesn't, nor
// one that the configuration has taken over.
func (r *Registry) tell() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []identity.Actor
	for id, e := range r.rows {
		_, owned := r.people.Person(e.Value.Owner)
		if e.Value.Retired.IsZero() && owned && !r.configured(id) {
			list = append(list, identity.Actor{ID: id, Type: e.Value.Type, Owner: e.Value.Owner})
		}
	}
	return r.people.SetActors(list)
}

// configured says that an actor of the directory is not one of ours; mu is held.
func (r *Registry) configured(id string) bool {
	a, known := r.people.ActorByID(id)
	e := r.rows[id]
	return known && (e == nil || a.Owner != e.Value.Owner)
}

// Register makes an actor of p's. A name is given once: what was retired stays what it was.
func (r *Registry) Register(ctx context.Context, p *identity.Person, typ, name string) (identity.Actor, error) {
	if !shortName.MatchString(name) || typ != "agent" && typ != "pipeline" && typ != "service" {
		return identity.Actor{}, ErrName
	}
	a := identity.Actor{ID: typ + ":" + name, Type: typ, Owner: p.ID}
	for _, known := range r.people.Actors() { // two of one name could not log in at a gate
		if strings.HasSuffix(known.ID, ":"+name) {
			return identity.Actor{}, ErrName
		}
	}
	err := r.box.Update(ctx, func(w *sealed.Writer) error {
		all, err := actorKind.All(ctx, &w.Reader)
		if err != nil {
			return err
		}
		owned := 0
		for _, e := range all {
			if strings.HasSuffix(e.ID, ":"+name) {
				return ErrName
			}
			if e.Value.Owner == p.ID && e.Value.Retired.IsZero() {
				owned++
			}
		}
		if owned >= maxOwned {
			return ErrTooMany
		}
		e := &sealed.Entry[registered]{ID: a.ID, Key: p.ID, Value: registered{Type: typ, Owner: p.ID, Created: r.now().UTC()}}
		return actorKind.Put(ctx, w, e, &audit.Record{Type: audit.TypeActor, Person: p.ID, Actor: a.ID, Detail: map[string]string{"what": "registered", "owner": p.ID}})
	})
	if err == nil {
		err = r.load(ctx)
	}
	if err == nil {
		err = r.relate(ctx, []identity.Actor{a})
	}
	return a, err
}

// Retire ends an actor for ever: its tokens, certificates and connections end with it.
func (r *Registry) Retire(ctx context.Context, p *identity.Person, admin bool, id string) error {
	err := r.box.Update(ctx, func(w *sealed.Writer) error {
		e, err := actorKind.Get(ctx, &w.Reader, id)
		if errors.Is(err, sealed.ErrNotFound) || err == nil && e.Value.Owner != p.ID && !admin {
			return ErrNotYour
		}
		if err != nil || !e.Value.Retired.IsZero() {
			return err
		}
		e.Value.Retired, e.Value.By = r.now().UTC(), p.ID
		return actorKind.Put(ctx, w, e, &audit.Record{Type: audit.TypeActor, Person: p.ID, Actor: id, Detail: map[string]string{"what": "retired", "owner": e.Value.Owner}})
	})
	if err != nil {
		return err
	}
	return r.load(ctx)
}

// Seen notes that an actor came with a credential: in memory, and stored now and then.
func (r *Registry) Seen(a *identity.Asker) {
	if a == nil || len(a.Chain) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[a.Chain[0].ID] = sight{At: r.now().UTC(), Credential: a.Credential}
}

// Run reads what other nodes changed, and stores who was seen.
func (r *Registry) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			err = r.load(ctx)
		case <-tick.C:
			err = errors.Join(r.store(ctx), r.load(ctx))
		}
		if err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "the registered actors", "err", err)
		}
		if r.changed != nil {
			r.changed()
		}
	}
}

// store keeps the sights that tell something new.
func (r *Registry) store(ctx context.Context) error {
	r.mu.Lock()
	fresh := map[string]sight{}
	for id, s := range r.seen {
		if k := r.kept[id]; s.Credential != k.Credential && s.At.Sub(k.At) > time.Minute || s.At.Sub(k.At) >= seenEvery {
			fresh[id] = s
		}
	}
	r.mu.Unlock()
	for id, s := range fresh {
		err := r.box.Update(ctx, func(w *sealed.Writer) error {
			e, err := seenKind.Get(ctx, &w.Reader, id)
			if errors.Is(err, sealed.ErrNotFound) {
				e, err = &sealed.Entry[sight]{ID: id}, nil
			}
			if err != nil || !e.Value.At.Before(s.At) { // another node saw it since
				return err
			}
			e.Value = s
			return seenKind.Put(ctx, w, e, &audit.Record{Type: audit.TypeActor, Actor: id, Detail: map[string]string{"what": "seen", "credential": s.Credential}})
		})
		if err != nil {
			return fmt.Errorf("noting that %s was seen: %w", id, err)
		}
	}
	return nil
}

// A View is an actor as people see it.
type View struct {
	identity.Actor
	Registered time.Time // zero: configured
	Retired    time.Time
	Seen       time.Time // zero: never
	Credential string    // it came with then
}

// List is every actor, and those that were retired.
func (r *Registry) List() []View {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []View
	listed := map[string]bool{}
	add := func(v View) {
		s := r.kept[v.ID]
		if now := r.seen[v.ID]; now.At.After(s.At) {
			s = now
		}
		v.Seen, v.Credential = s.At, s.Credential
		out = append(out, v)
		listed[v.ID] = true
	}
	for _, a := range r.people.Actors() {
		v := View{Actor: a}
		if e := r.rows[a.ID]; e != nil && e.Value.Owner == a.Owner {
			v.Registered = e.Value.Created
		}
		add(v)
	}
	for id, e := range r.rows {
		if !listed[id] {
			add(View{Actor: identity.Actor{ID: id, Type: e.Value.Type, Owner: e.Value.Owner}, Registered: e.Value.Created, Retired: e.Value.Retired})
		}
	}
	slices.SortFunc(out, func(a, b View) int { return strings.Compare(a.ID, b.ID) })
	return out
}
