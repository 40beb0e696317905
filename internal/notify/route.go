package notify

import (
	"maps"
	"path"
	"slices"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
)

// Reviewers as a route's place: each person who may answer.
const Reviewers = "reviewers"

// mostAsked bounds how many people one card is sent to one by one.
const mostAsked = 50

// A spot is one place of one channel.
type spot struct{ channel, place string }

// spots are where a belongs, by routes and by what policy names, each once.
func (d *Dispatcher) spots(a *approval.Approval) []spot {
	seen := map[spot]bool{}
	var out []spot
	for i := range d.o.Routes {
		r := &d.o.Routes[i]
		if !r.fits(a) {
			continue
		}
		for _, p := range r.places(a) {
			if s := (spot{r.Channel, p}); !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	for _, s := range d.cards(a) {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func (r *Route) places(a *approval.Approval) []string {
	if r.Place != Reviewers {
		return []string{r.Place}
	}
	var out []string
	for _, id := range slices.Sorted(maps.Keys(a.Eligible)) {
		if _, excluded := a.Excluded[id]; !excluded && len(a.Groups(id)) > 0 && len(out) < mostAsked {
			out = append(out, id)
		}
	}
	return out
}

func (r *Route) fits(a *approval.Approval) bool {
	any := func(want []string, have func(string) bool) bool {
		return len(want) == 0 || slices.ContainsFunc(want, have)
	}
	groups := a.Asked()
	return any(r.Kinds, func(k string) bool {
		for _, have := range a.Kinds {
			if string(have) == k {
				return true
			}
		}
		return false
	}) && any(r.Rules, func(n string) bool {
		for _, h := range a.Rules {
			if h.Rule == n && h.Then == "review" {
				return true
			}
		}
		return false
	}) && any(r.Groups, func(g string) bool { return slices.Contains(groups, g) }) &&
		any(r.Envs, func(e string) bool { return slices.Contains(envs(a), e) }) &&
		any(r.Resources, func(p string) bool {
			return slices.ContainsFunc(a.Places(), func(urn string) bool {
				ok, _ := path.Match(p, urn) // checked when it was configured
				return ok
			})
		}) && r.grave(card.RiskOf(a).Class)
}

// envs are the environments that a is about: of a plan, those of all its items.
func envs(a *approval.Approval) []string {
	out := []string{a.Resource.Env}
	for i := range a.Items {
		out = append(out, a.Items[i].Resource.Env)
	}
	return out
}

func (r *Route) grave(class string) bool {
	switch r.Risk {
	case "critical":
		return class == "crit"
	case "high":
		return class != "mod"
	}
	return true
}

// Check says what is wrong with a route, in words for who configured it.
func (r *Route) Check() error {
	for _, p := range r.Resources {
		if _, err := path.Match(p, ""); err != nil {
			return &routeError{"resources", p}
		}
	}
	if r.Risk != "" && r.Risk != "high" && r.Risk != "critical" {
		return &routeError{"risk", r.Risk}
	}
	return nil
}

type routeError struct{ field, value string }

func (e *routeError) Error() string {
	if e.field == "risk" {
		return `risk is "high" or "critical", not ` + quote(e.value)
	}
	return e.field + " has the pattern " + quote(e.value) + ", which path.Match can't read: * and ? stand for anything but a slash"
}
