package card

import (
	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/policy"
)

// A Risk orders cards and groups them.
type Risk struct {
	Score int    // 0 to 99
	Class string // "crit", "high" or "mod"
	Name  string // "Critical", "High" or "Moderate"
	Why   string // how the number came about
}

// RiskOf is the risk that policy saw when it had people asked about a, and what their
// being asked adds. For an approval that doesn't tell, it is found from what it does.
func RiskOf(a *approval.Approval) Risk {
	if len(a.Items) > 0 {
		return planRisk(a)
	}
	risk := a.Risk
	if risk == nil {
		found := policy.RiskOf(untold(a))
		risk = &found
	}
	whole := *risk
	if a.Repeats > 0 {
		whole = whole.Denied()
	}
	r := Risk{Score: whole.Score, Class: "mod", Name: "Moderate", Why: whole.Why()}
	switch {
	case r.Score >= policy.RiskCritical:
		r.Class, r.Name = "crit", "Critical"
	case r.Score >= policy.RiskHigh:
		r.Class, r.Name = "high", "High"
	}
	return r
}

// untold is what a says of its action; what it has no place for counts nothing.
func untold(a *approval.Approval) *policy.Input {
	in := &policy.Input{
		Action:     &action.Action{Kinds: a.Kinds, Reversible: true, Resource: a.Resource, Data: a.Data, Claims: a.Claims},
		NovelShape: policy.No, NovelTarget: policy.No, SawSensitive: policy.No, SawUntrusted: policy.No,
	}
	if p := a.Preview; p != nil && !p.Claimed {
		in.Preview = policy.Preview{Rows: p.Rows, Destroys: p.Destroys}
	}
	return in
}

// Worst is the gravest of kinds.
func Worst(kinds []action.Kind) action.Kind { return policy.Gravest(kinds) }
