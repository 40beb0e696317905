package approval

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// A Gap says that a rule asks for people who can't be found, so that whatever it
// holds is denied.
type Gap struct {
	Rule, Pack string
	Asks       string // "2 of data-owners"
	Why        string
	Actor      string // only when this one asks; "": whoever asks
}

func (g *Gap) String() string {
	s := fmt.Sprintf("rule %s of pack %s asks for %s", g.Rule, g.Pack, g.Asks)
	if g.Actor != "" {
		s += ", and when " + g.Actor + " asks"
	} else {
		s += ", and"
	}
	return s + " " + g.Why
}

// GapOf looks for the people that one requirement asks for: among all of dir first,
// then without those whom each of actors excludes. Whom an actor acts for isn't known
// before it asks. A group that open reports true for has members that nobody knows
// yet, and is taken to have enough.
func GapOf(dir identity.Directory, r *policy.Requirement, actors []identity.Actor, open func(group string) bool) *Gap {
	g := &Gap{Rule: r.Rule, Pack: r.Pack, Asks: Who([]policy.Requirement{*r})}
	if err := wellFormed(r); err != nil {
		g.Why = "that is nobody in particular"
		return g
	}
	groups := groupsOf(r)
	if slices.ContainsFunc(groups, open) {
		return nil
	}
	var later []string
	for _, e := range r.Escalate {
		later = append(later, e.To...)
	}
	if r.FallBack != nil {
		later = append(later, r.FallBack.To...)
	}
	all := electors(dir, groups, nil)
	if len(emptyPlaces(r, later, slices.Collect(maps.Values(all)))) > 0 {
		g.Why = shortage(dir, groups, len(all))
		mixed := *r
		mixed.Issuers = policy.IssuersAny
		if len(emptyPlaces(&mixed, later, slices.Collect(maps.Values(all)))) == 0 {
			g.Why = there(len(all)) + ", but their accounts are of issuers that this rule doesn't let fill seats together"
		}
		return g
	}
	for _, actor := range actors {
		asker := identity.Asker{Chain: []identity.Actor{actor}}
		left := electors(dir, groups, asker.Excluded())
		if len(emptyPlaces(r, later, slices.Collect(maps.Values(left)))) > 0 {
			g.Actor, g.Why = actor.ID, fmt.Sprintf("only %s, its owner and those related to it left out", there(len(left)))
			return g
		}
	}
	return nil
}

// electors are the people of groups by id, but for those excluded.
func electors(dir identity.Directory, groups []string, excluded map[string]string) map[string]voter {
	out := map[string]voter{}
	gone := map[string]bool{}
	for id := range excluded {
		if p, ok := dir.Person(id); ok {
			gone[p.ID] = true
		}
	}
	for _, g := range groups {
		for _, p := range dir.Members(g) {
			if gone[p.ID] {
				continue
			}
			if _, ok := out[p.ID]; !ok {
				out[p.ID] = voter{groups: map[string]bool{}, issuers: issuersOf(&p)}
			}
			out[p.ID].groups[g] = true
		}
	}
	return out
}

func there(n int) string {
	if n == 1 {
		return "1 person is there"
	}
	return fmt.Sprintf("%d people are there", n)
}

// shortage says what is missing: a group of nobody by its name.
func shortage(dir identity.Directory, groups []string, people int) string {
	var empty []string
	for _, g := range groups {
		if len(dir.Members(g)) == 0 {
			empty = append(empty, strings.TrimPrefix(g, "group:"))
		}
	}
	s := "only " + there(people)
	if len(empty) > 0 {
		s += "; nobody is in " + strings.Join(empty, ", ")
	}
	return s
}
