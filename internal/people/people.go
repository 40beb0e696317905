// Package people is the live directory: who the human beings are, which
// accounts lead to them, in which groups they are, for whom they stand in, and
// which actors work for them. It joins the configuration with what happened
// since: sign-ins, links, stand-ins and swaps of an on-call rotation, all kept
// as sealed rows.
//
// One account leads to one person. Groups of an issuer count under its name and
// immutable id, and only through the configuration's mapping. What makes two
// accounts one human excludes at once, and widens only later: a link counts for
// reviewing after a day, and one that ended is remembered for thirty.
package people

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// How long things count. None of them is a setting.
const (
	LinkDelay  = 24 * time.Hour      // until a new link counts for reviewing
	LinkMemory = 30 * 24 * time.Hour // how long an ended link excludes
	// GroupMemory is how long groups of an issuer make somebody a member who
	// may be asked, without a sign-in. To answer, a live session has to hold them.
	GroupMemory    = 30 * 24 * time.Hour
	LongestStandIn = 30 * 24 * time.Hour
	maxGroups      = 2000 // of one account
	noteEvery      = 12 * time.Hour
)

// Errors of the directory. Their texts are for people.
var (
	ErrUnknown  = errors.New("the directory has no such person, account or entry")
	ErrRefused  = errors.New("this is not possible")
	ErrNotYours = errors.New("this is another person's")
)

// Options says what a Directory works with.
type Options struct {
	Config Config
	Box    *sealed.Box      // nil: nothing is remembered, and only the configuration counts
	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger
	// Gone is told when provisioning, here or by another node, says that an
	// account is disabled. It must be quick or hand over. nil: nobody is.
	Gone func()
	// Changed is told when the directory has taken over what changed in its rows, here
	// or by another node. It must be quick or hand over. nil: nobody is.
	Changed func()
}

// A Directory is safe for concurrent use. What it answers is one immutable
// picture, replaced whole by each change.
type Directory struct {
	o   Options
	cfg *config

	mu       sync.Mutex // guards what follows, and who builds the next picture
	accounts entries[account]
	links    entries[link]
	standins entries[standIn]
	swaps    entries[swap]
	users    entries[ProvisionedUser]
	pgroups  entries[ProvisionedGroup]
	edits    entries[edit]
	live     map[string]*live    // by account: until when its groups are held by a session
	granted  map[string][]string // groups of an account beside its issuer's: the first administrator's
	runtime  []identity.Actor
	last     time.Time
	broken   error // a row that can't be believed: until it is, nobody is in any group

	now   atomic.Pointer[picture]
	dirty chan struct{} // wakes Run
	todo  map[string]map[string]bool
	todoM sync.Mutex
}

type entries[T any] map[string]*sealed.Entry[T]

// Open checks the configuration, reads what is remembered, and notes which
// accounts the configuration gives to whom, or no longer does.
func Open(ctx context.Context, o Options) (*Directory, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	cfg, err := o.Config.check()
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	d := &Directory{
		o: o, cfg: cfg, live: map[string]*live{}, dirty: make(chan struct{}, 1), todo: map[string]map[string]bool{},
		accounts: entries[account]{}, links: entries[link]{}, standins: entries[standIn]{}, swaps: entries[swap]{}, edits: entries[edit]{},
		users: entries[ProvisionedUser]{}, pgroups: entries[ProvisionedGroup]{},
	}
	if o.Box != nil {
		if err := d.load(ctx); err != nil {
			return nil, fmt.Errorf("directory: %w", err)
		}
		d.watch()
		if err := d.noteClaims(ctx); err != nil {
			return nil, fmt.Errorf("directory: %w", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rebuild()
	return d, nil
}

// clock is the time in microseconds, UTC, never running backwards; mu is held.
func (d *Directory) clock() time.Time {
	t := d.o.Clock().UTC().Truncate(time.Microsecond)
	if t.Before(d.last) {
		return d.last
	}
	d.last = t
	return t
}

// picture is the current one; it is drawn anew when time alone has changed it.
func (d *Directory) picture() *picture {
	p := d.now.Load()
	if t := d.o.Clock(); t.Before(p.until) {
		return p
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p = d.now.Load(); !d.clock().Before(p.until) {
		d.rebuild()
	}
	return d.now.Load()
}

// rebuild draws the picture anew; mu is held.
func (d *Directory) rebuild() { d.now.Store(d.draw(d.clock())) }

// Person finds a person by id, or by any account that leads to them. Groups
// that an issuer gave are among theirs while a live session holds them.
func (d *Directory) Person(id string) (identity.Person, bool) {
	e := d.picture().byID[id]
	if e == nil {
		return identity.Person{}, false
	}
	return e.person(d.o.Clock()), true
}

// Members lists who may be asked for a group: those in it, as far as is known,
// and after them those who stand in for one of them.
func (d *Directory) Members(group string) []identity.Person {
	return append([]identity.Person(nil), d.picture().members[group]...)
}

// Everybody lists the persons whom the directory knows, each once, by id; without
// their groups.
func (d *Directory) Everybody() []identity.Person {
	pic := d.picture()
	var out []identity.Person
	for id, e := range pic.byID {
		if e.found.ID == id {
			out = append(out, identity.Person{ID: id, Name: e.found.Name})
		}
	}
	slices.SortFunc(out, func(a, b identity.Person) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// ActorByID finds an actor.
func (d *Directory) ActorByID(id string) (identity.Actor, bool) {
	a, ok := d.picture().actors[id]
	return a, ok
}

// Actors lists the actors in the order of their ids.
func (d *Directory) Actors() []identity.Actor {
	return append([]identity.Actor(nil), d.picture().actorList...)
}

// SetActors replaces the actors that were registered while the server runs.
// One that is also configured, or whose people nobody knows, is an error.
func (d *Directory) SetActors(actors []identity.Actor) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.now.Load()
	for _, a := range actors {
		if _, taken := d.cfg.actors[a.ID]; taken {
			return fmt.Errorf("actor %s is configured: %w", a.ID, ErrRefused)
		}
		for _, id := range append([]string{a.Owner}, a.Related...) {
			if id != "" && p.byID[id] == nil {
				return fmt.Errorf("%s, named by actor %s: %w", id, a.ID, ErrUnknown)
			}
		}
	}
	d.runtime = append([]identity.Actor(nil), actors...)
	d.rebuild()
	return nil
}

// Grant puts an account into our groups, as if its issuer had: for the first
// administrator, whom no configuration names.
func (d *Directory) Grant(account string, groups ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.granted = map[string][]string{account: groups}
	d.rebuild()
}

// Check says what is wrong with the directory; nil when it can be believed.
func (d *Directory) Check(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken
}
