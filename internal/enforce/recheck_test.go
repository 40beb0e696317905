package enforce

import (
	"testing"

	"github.com/assenthq/assent/internal/policy"
)

// What the reviewers met must cover what policy asks now; one seat more, the
// price of a denial, covers it too.
func TestSameRequirements(t *testing.T) {
	from := policy.Requirement{Rule: "r", Pack: "p", From: []string{"group:a"}, Count: 1}
	all := policy.Requirement{Rule: "r", Pack: "p", AllOf: []policy.Seats{{Group: "group:a", Count: 1}, {Group: "group:b", Count: 1}}}
	more := func(r policy.Requirement, groups ...string) policy.Requirement {
		r.Count++
		if groups != nil {
			r.From = groups
		}
		return r
	}
	for name, x := range map[string]struct {
		now, met policy.Requirement
		want     bool
	}{
		"the same":                          {from, from, true},
		"from, after a denial":              {from, more(from), true},
		"all_of, after a denial":            {all, more(all, "group:a", "group:b"), true},
		"policy asks for one more":          {more(from), from, false},
		"policy asks others":                {more(from, "group:c"), more(from), false},
		"policy asks a group beside all_of": {more(all, "group:c"), all, false},
		"policy asks all_of now":            {all, from, false},
	} {
		if got := sameRequirements([]policy.Requirement{x.now}, []policy.Requirement{x.met}); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
