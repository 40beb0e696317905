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
	var parts []string
	say := func(count int, groups ...string) {
		names := make([]string, len(groups))
		for i, g := range groups {
			names[i] = strings.TrimPrefix(g, "group:")
		}
		if p := fmt.Sprintf("%d of %s", max(count, 1), strings.Join(names, " or ")); !slices.Contains(parts, p) {
			parts = append(parts, p)
		}
	}
	for _, r := range reqs {
		if len(r.From) > 0 {
			say(r.Count, r.From...)
		}
		for _, s := range r.AllOf {
			say(s.Count, s.Group)
		}
	}
	return strings.Join(parts, " and ")
}
