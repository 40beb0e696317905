package approval

import (
	"slices"

	"github.com/assenthq/assent/internal/identity"
)

// ids are all ids of the human being behind id, as far as is known.
func (e *Engine) ids(id string) []string {
	ids := []string{id}
	if p, ok := e.o.Directory.Person(id); ok {
		ids = append(ids, p.IDs()...)
	}
	return ids
}

// oneHuman reports whether two ids lead to one human being, or did lately.
func (e *Engine) oneHuman(a, b string) bool {
	if a == b {
		return true
	}
	ids := e.ids(a)
	return slices.ContainsFunc(e.ids(b), func(id string) bool { return slices.Contains(ids, id) })
}

// noteStandIn remembers that p could take somebody's seat in group when a was asked.
func (e *Engine) noteStandIn(a *Approval, p *identity.Person, group string) {
	for _, s := range p.StandsFor {
		if !slices.Contains(s.Groups, group) || e.excluded(a, s.Person) != "" {
			continue
		}
		if a.StandIns == nil {
			a.StandIns = map[string][]identity.Standing{}
		}
		of := a.StandIns[p.ID]
		i := slices.IndexFunc(of, func(o identity.Standing) bool { return o.ID == s.ID })
		if i < 0 {
			a.StandIns[p.ID] = append(of, identity.Standing{ID: s.ID, Person: s.Person, Groups: []string{group}})
		} else if !slices.Contains(of[i].Groups, group) {
			of[i].Groups = append(of[i].Groups, group)
		}
	}
}

// lent are the seats that the person with this id may take of a for others:
// by an appointment that held when a was asked and among those that hold now,
// and of nobody who is excluded.
func (e *Engine) lent(a *Approval, id string, now []identity.Standing) []identity.Standing {
	var out []identity.Standing
	for _, then := range a.StandIns[id] {
		i := slices.IndexFunc(now, func(s identity.Standing) bool { return s.ID == then.ID })
		if i < 0 || e.excluded(a, then.Person) != "" {
			continue
		}
		s := identity.Standing{ID: then.ID, Person: then.Person}
		for _, g := range then.Groups {
			if slices.Contains(now[i].Groups, g) {
				s.Groups = append(s.Groups, g)
			}
		}
		if len(s.Groups) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// borrowed are the seats of others that a review may take: those its person
// couldn't fill in their own right.
func (e *Engine) borrowed(a *Approval, r *Review) []identity.Standing {
	var out []identity.Standing
	for _, s := range e.lent(a, r.Person, r.StandsFor) {
		s.Groups = slices.DeleteFunc(s.Groups, func(g string) bool {
			return slices.Contains(a.Eligible[r.Person], g) && slices.Contains(r.Groups, g)
		})
		if len(s.Groups) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// standsIn reports whether p may review a as somebody's stand-in. Once that
// somebody answered, or another stand-in of theirs, the seat is taken.
func (e *Engine) standsIn(a *Approval, p *identity.Person) bool {
	asked := a.Asked()
	return slices.ContainsFunc(e.lent(a, p.ID, p.StandsFor), func(s identity.Standing) bool {
		now := slices.ContainsFunc(s.Groups, func(g string) bool { return slices.Contains(asked, g) })
		return now && !slices.ContainsFunc(a.Reviews, func(r Review) bool {
			return e.oneHuman(r.Person, s.Person) || slices.ContainsFunc(e.borrowed(a, &r), func(o identity.Standing) bool { return e.oneHuman(o.Person, s.Person) })
		})
	})
}

// lend adds to each review's groups those its person may fill for somebody else.
// A seat is filled by its holder or by one stand-in, never by both.
func (e *Engine) lend(a *Approval, reviews []Review, voters []voter) {
	var taken []string
	for _, r := range reviews {
		taken = append(taken, r.Person)
	}
	for i := range reviews {
		for _, s := range e.borrowed(a, &reviews[i]) {
			if slices.ContainsFunc(taken, func(id string) bool { return e.oneHuman(id, s.Person) }) {
				continue
			}
			for _, g := range s.Groups {
				voters[i].groups[g] = true
			}
			taken = append(taken, s.Person)
		}
	}
}
