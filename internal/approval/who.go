package approval

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/policy"
)

// Who says in words which people requirements take: "2 of data-owners". Those of
// several rules that ask for the same are one: the same people meet both.
func Who(reqs []policy.Requirement) string {
	return who(reqs, func(int) []string { return nil })
}

// who is Who, with the groups that are asked besides for each requirement.
func who(reqs []policy.Requirement, besides func(requirement int) []string) string {
	var parts []string
	say := func(p string) {
		if !slices.Contains(parts, p) {
			parts = append(parts, p)
		}
	}
	for i, r := range reqs {
		also := besides(i)
		groups := slices.Clone(r.From)
		if len(r.From) > 0 {
			say(some(max(r.Count, 1)+r.More, r.From, also))
		}
		for _, s := range r.AllOf {
			say(some(s.Count, []string{s.Group}, also))
			groups = append(groups, s.Group)
		}
		if len(r.AllOf) > 0 && r.More > 0 {
			say(strings.Replace(some(r.More, groups, also), " of ", " more of ", 1))
		}
		var either []string
		for _, s := range r.AnyOf {
			either = append(either, some(s.Count+r.More, []string{s.Group}, also))
		}
		if len(either) > 0 {
			say(strings.Join(either, ", or "))
		}
	}
	return strings.Join(parts, " and ")
}

// some is "2 of owners or managers".
func some(count int, groups, besides []string) string {
	var names []string
	for _, g := range slices.Concat(groups, besides) {
		if n := strings.TrimPrefix(g, "group:"); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return fmt.Sprintf("%d of %s", max(count, 1), strings.Join(names, " or "))
}
