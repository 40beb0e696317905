// Package uses tells what a statement does with classed columns besides showing
// them, as the facts of an action that policy asks about.
package uses

import (
	"slices"

	"github.com/assenthq/assent/action"
)

// Uses are what a statement does with classed columns besides showing them, by
// class. Each is nil where it does not, and empty where nobody can say of which class.
type Uses struct{ Inferred, Computed, Aggregated []string }

// Of tells of columns, and of the sources that steer the outcome. An
// aggregate over rows that a classed column chose or grouped is one over that column.
func Of(columns []action.Column, inferred []string, class func(string) string) Uses {
	var u Uses
	u.Inferred = classesOf(nil, inferred, class)
	for _, c := range columns {
		if c.Derived {
			u.Computed = classesOf(u.Computed, c.Sources, class)
		}
		if c.Turned {
			u.Computed = append(u.Computed, "*")
		}
		if c.Aggregate {
			u.Aggregated = classesOf(u.Aggregated, c.Sources, class)
			if u.Inferred != nil {
				u.Aggregated = append(slices.Clip(u.Aggregated), u.Inferred...)
				if u.Aggregated == nil {
					u.Aggregated = []string{}
				}
			}
		}
	}
	for _, list := range []*[]string{&u.Inferred, &u.Computed, &u.Aggregated} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return u
}

// classesOf adds the classes of sources to out. Without class any source may be of any.
func classesOf(out, sources []string, class func(string) string) []string {
	if class == nil {
		if len(sources) > 0 && out == nil {
			return []string{}
		}
		return out
	}
	for _, s := range sources {
		if c := class(s); c != "" {
			out = append(out, c)
		}
	}
	return out
}

// Tell writes them down as facts of an action.
func (u Uses) Tell(d *action.Data) {
	d.Inferred, d.InferredOf = u.Inferred != nil, u.Inferred
	d.Computed, d.ComputedOf = u.Computed != nil, u.Computed
	d.Aggregated, d.AggregatedOf = u.Aggregated != nil, u.Aggregated
}
