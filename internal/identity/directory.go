package identity

import (
	"fmt"
	"slices"
	"sort"
)

// A Directory knows the people, their groups and the actors of this deployment.
type Directory interface {
	// Person finds a person by id, or by the id of any account that leads to them.
	Person(id string) (Person, bool)
	Members(group string) []Person
	ActorByID(id string) (Actor, bool)
}

// Static is the directory that the configuration holds. It never changes after NewStatic.
type Static struct {
	people   map[string]Person // by id and by account
	groups   map[string][]Person
	actors   map[string]Actor
	actorIDs []string
}

// NewStatic checks the people and actors and indexes them. An id or account
// that leads to two of them is an error: exclusion by person would have a hole.
func NewStatic(people []Person, actors []Actor) (*Static, error) {
	d := &Static{people: map[string]Person{}, groups: map[string][]Person{}, actors: map[string]Actor{}}
	for _, p := range people {
		if p.ID == "" {
			return nil, fmt.Errorf("directory: a person has no id")
		}
		for _, id := range append([]string{p.ID}, p.Accounts...) {
			if other, taken := d.people[id]; taken {
				return nil, fmt.Errorf("directory: %q leads to both %q and %q", id, other.ID, p.ID)
			}
			d.people[id] = p
		}
		for _, g := range slices.Compact(slices.Sorted(slices.Values(p.Groups))) {
			d.groups[g] = append(d.groups[g], p)
		}
	}
	for _, a := range actors {
		if err := d.addActor(a); err != nil {
			return nil, err
		}
	}
	sort.Strings(d.actorIDs)
	return d, nil
}

func (d *Static) addActor(a Actor) error {
	if a.ID == "" || a.Type == "" {
		return fmt.Errorf("directory: actor %q needs an id and a type", a.ID)
	}
	if _, taken := d.actors[a.ID]; taken {
		return fmt.Errorf("directory: actor %q is there twice", a.ID)
	}
	if _, person := d.people[a.ID]; person && a.Type != "human" {
		return fmt.Errorf("directory: %q is both a person and an actor", a.ID)
	}
	for _, id := range append([]string{a.Owner}, a.Related...) {
		if _, known := d.people[id]; id != "" && !known {
			return fmt.Errorf("directory: %q, named by actor %q, is not a known person", id, a.ID)
		}
	}
	d.actors[a.ID] = a
	d.actorIDs = append(d.actorIDs, a.ID)
	return nil
}

// Person finds a person by id or account.
func (d *Static) Person(id string) (Person, bool) {
	p, ok := d.people[id]
	return p, ok
}

// Members lists who is in a group; an unknown group is empty.
func (d *Static) Members(group string) []Person { return slices.Clone(d.groups[group]) }

// ActorByID finds an actor.
func (d *Static) ActorByID(id string) (Actor, bool) {
	a, ok := d.actors[id]
	return a, ok
}

// Actors lists the actors in the order of their ids.
func (d *Static) Actors() []Actor {
	out := make([]Actor, len(d.actorIDs))
	for i, id := range d.actorIDs {
		out[i] = d.actors[id]
	}
	return out
}
