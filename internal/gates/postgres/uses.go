package postgres

import (
	"slices"

	"github.com/assenthq/assent/action"
)

// uses are what a statement does with classed columns besides showing them, by
// class. Each is nil where it does not, and empty where nobody can say of which class.
type uses struct{ inferred, computed, aggregated []string }

// usesOf tells of columns, and of the sources that steer the outcome. An
// aggregate over rows that a classed column chose or grouped is one over that column.
func usesOf(columns []action.Column, inferred []string, class func(string) string) uses {
	var u uses
	u.inferred = classesOf(nil, inferred, class)
	for _, c := range columns {
		if c.Derived {
			u.computed = classesOf(u.computed, c.Sources, class)
		}
		if c.Turned {
			u.computed = append(u.computed, "*")
		}
		if c.Aggregate {
			u.aggregated = classesOf(u.aggregated, c.Sources, class)
			if u.inferred != nil {
				u.aggregated = append(slices.Clip(u.aggregated), u.inferred...)
				if u.aggregated == nil {
					u.aggregated = []string{}
				}
			}
		}
	}
	for _, list := range []*[]string{&u.inferred, &u.computed, &u.aggregated} {
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

// tell writes them down as facts of an action.
func (u uses) tell(d *action.Data) {
	d.Inferred, d.InferredOf = u.inferred != nil, u.inferred
	d.Computed, d.ComputedOf = u.computed != nil, u.computed
	d.Aggregated, d.AggregatedOf = u.aggregated != nil, u.aggregated
}
