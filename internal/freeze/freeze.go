// Package freeze is the switch that stops an actor, a person's agents, a
// resource, a gate or everything.
//
// What is frozen is asked at every action, from memory. It promises that what
// it can't know is frozen: a row that was edited or taken away, or a store that
// doesn't answer for longer than Lease, stops everything until it is whole again.
// Stopping takes one person; letting go is for others to allow (package change).
package freeze

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// Lease is how long a picture of what is frozen may be used without being read again.
const Lease = 10 * time.Second

// What may be frozen.
const (
	Actor      = "actor"
	Person     = "person"     // all that acts for them or belongs to them
	Resource   = "resource"   // by its URN, or the beginning of it up to a slash
	Gate       = "gate"       // by its name
	Everything = "everything" // without a name
)

// Errors of freezes.
var (
	ErrTarget  = errors.New("no such thing can be frozen")
	ErrReason  = errors.New("a freeze needs a reason")
	ErrThawed  = errors.New("it is not frozen any more")
	ErrUnknown = errors.New("what is frozen can't be read")
)

// A Target is what is stopped.
type Target struct {
	What string `json:"what"`
	Name string `json:"name,omitempty"`
}

func (t Target) String() string {
	if t.What == Everything {
		return Everything
	}
	return t.What + " " + t.Name
}

// check errs unless t names something that actions can be held against.
func (t Target) check() error {
	switch t.What {
	case Everything:
		if t.Name == "" {
			return nil
		}
	case Actor, Person, Resource, Gate:
		if t.Name != "" && len(t.Name) <= 512 && strings.TrimSpace(t.Name) == t.Name {
			return nil
		}
	}
	return fmt.Errorf("%w: name an actor, a person, a resource, a gate, or everything", ErrTarget)
}

// A Freeze is one target stopped, from when to when. It is kept for ever.
type Freeze struct {
	Target
	Reason string    `json:"reason"`
	By     string    `json:"by"` // person id, or "assent" where a rule of ours froze it
	ByName string    `json:"by_name"`
	At     time.Time `json:"at"`
	// Owners are people behind the target when it was frozen: they don't let it go.
	Owners []string `json:"owners,omitempty"`
	// Finding names what this server found about itself, where that is why.
	Finding string `json:"finding,omitempty"`

	Thawed   time.Time `json:"thawed,omitzero"`
	ThawedBy string    `json:"thawed_by,omitempty"`
	Change   string    `json:"change,omitempty"` // the change that let it go
}

// Active reports whether f still stops anything.
func (f *Freeze) Active() bool { return f.Thawed.IsZero() }

// An Entry is a Freeze with its id.
type Entry struct {
	ID string
	Freeze
}

// A Stop is what an asker may hear of why it is stopped: who to talk to, and
// neither the reason nor what else is stopped.
type Stop struct {
	ID  string // of the freeze; "" when nobody knows what is frozen
	Who string
}

// Says tells the asker.
func (s *Stop) Says() (reason, hint string) {
	if s.ID == "" {
		return "what is frozen can't be read, so nothing may run", "an operator must look: assent doctor"
	}
	return "frozen by " + s.Who, "ask " + s.Who + "; nobody can approve this while it is frozen"
}

// snapshot is what is frozen at one moment. It never changes.
type snapshot struct {
	read   time.Time
	err    error // not nil: everything is frozen
	all    []Entry
	every  *Entry
	actors map[string]*Entry
	people map[string]*Entry // under each id that leads to them
	gates  map[string]*Entry
	places map[string]*Entry
}

// picture sorts the active ones by what they stop.
func picture(read time.Time, entries []Entry, dir identity.Directory) *snapshot {
	s := &snapshot{
		read: read, all: entries, actors: map[string]*Entry{}, people: map[string]*Entry{},
		gates: map[string]*Entry{}, places: map[string]*Entry{},
	}
	for i := range entries {
		e := &entries[i]
		if !e.Active() {
			continue
		}
		switch e.What {
		case Actor:
			s.actors[e.Name] = e
		case Person:
			s.people[e.Name] = e
			if p, ok := dir.Person(e.Name); ok {
				for _, id := range p.IDs() { // a second account that was let go lately too
					s.people[id] = e
				}
			}
		case Resource:
			s.places[strings.TrimRight(e.Name, "/")] = e
		case Gate:
			s.gates[e.Name] = e
		default: // everything, and whatever a later version may mean
			s.every = e
		}
	}
	return s
}
