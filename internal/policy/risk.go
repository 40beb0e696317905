package policy

import (
	"fmt"
	"strings"

	"github.com/assenthq/assent/action"
)

// A Risk is how grave an action is: a sum whose every term can be named. It orders
// what waits for people, and a rule may hold or deny what scores high; nothing is
// ever permitted because it scores low.
type Risk struct {
	Score int // 0 to MaxRisk
	Terms []RiskTerm
}

// A RiskTerm is one part of a score.
type RiskTerm struct {
	Points int
	Why    string // "production"
}

// MaxRisk is the largest score. From RiskCritical and RiskHigh on it is called so.
const (
	MaxRisk      = 99
	RiskCritical = 80
	RiskHigh     = 55
)

// Why is the sum in words: "data.export 60 + production 10".
func (r *Risk) Why() string {
	var b strings.Builder
	sum := 0
	for i, t := range r.Terms {
		if i > 0 {
			b.WriteString(" + ")
		}
		fmt.Fprintf(&b, "%s %d", t.Why, t.Points)
		sum += t.Points
	}
	if sum > MaxRisk {
		fmt.Fprintf(&b, ", %d at most", MaxRisk)
	}
	return b.String()
}

// Denied is r of an action that was denied lately and is asked again, as its approval finds.
func (r Risk) Denied() Risk {
	step := deniedBefore.steps[0]
	r.Terms = append(r.Terms[:len(r.Terms):len(r.Terms)], RiskTerm{step.points, step.why})
	r.Score = min(r.Score+step.points, MaxRisk)
	return r
}

// RiskOf adds up the facts of in, term by term.
func RiskOf(in *Input) Risk {
	var r Risk
	for i := range riskRows {
		row := &riskRows[i]
		step := row.at(in)
		if step < 0 {
			continue
		}
		why := row.steps[step].why
		if row.name == "data" {
			why = strings.Join(in.Action.Data.Groups, ", ") + " data"
		}
		r.Score += row.steps[step].points
		r.Terms = append(r.Terms, RiskTerm{row.steps[step].points, why})
	}
	r.Score = min(r.Score, MaxRisk)
	return r
}

// RiskScore is the score of RiskOf, and allocates nothing.
func RiskScore(in *Input) int {
	sum := 0
	for i := range riskRows {
		row := &riskRows[i]
		if step := row.at(in); step >= 0 {
			sum += row.steps[step].points
		}
	}
	return min(sum, MaxRisk)
}

// Weigh sets the risk of in to what its other facts add up to.
func (in *Input) Weigh() { in.Risk = action.KnownCount(int64(RiskScore(in))) }

// Gravest is the kind that weighs most.
func Gravest(kinds []action.Kind) action.Kind {
	worst := action.Unknown
	for i, k := range kinds {
		if i == 0 || kindPoints(k) > kindPoints(worst) {
			worst = k
		}
	}
	return worst
}

// KindPoints is what one kind contributes: how bad it is when it was wrong.
func kindPoints(k action.Kind) int { return kindSteps[kindStep(k)].points }

// A riskRow is one term: its steps, of which at names the one that holds, -1 for none.
// What nobody knows is a step of its own.
type riskRow struct {
	name  string
	steps []riskStep
	at    func(in *Input) int
}

type riskStep struct {
	points int
	why    string
}

// kindSteps is in the order of action.Kinds. What a step says besides, such as that a
// deletion can't be undone, is a term of its own.
var kindSteps = []riskStep{
	{20, string(action.DataRead)},
	{40, string(action.DataWrite)},
	{55, string(action.DataDelete)},
	{60, string(action.DataExport)},
	{45, string(action.SchemaChange)},
	{70, string(action.PrivilegeChange)},
	{65, string(action.IdentityChange)},
	{65, string(action.SecretAccess)},
	{50, string(action.Execute)},
	{45, string(action.CodeChange)},
	{45, string(action.Deploy)},
	{30, string(action.InfraCreate)},
	{45, string(action.InfraChange)},
	{65, string(action.InfraDestroy)},
	{50, string(action.NetworkChange)},
	{30, string(action.NetFetch)},
	{40, string(action.MessageSend)},
	{70, string(action.Payment)},
	{30, string(action.LLMCall)},
	{30, string(action.ToolCall)},
	{50, string(action.SessionOpen)},
	{80, string(action.AuditChange)},
	{60, string(action.ConfigChange)},
	{60, string(action.Unknown)},
}

// kindStep is the place of k in kindSteps. What is not on the list counts as unknown.
func kindStep(k action.Kind) int {
	for i := range kindSteps {
		if kindSteps[i].why == string(k) {
			return i
		}
	}
	return len(kindSteps) - 1
}

var deniedBefore = riskRow{"denied", []riskStep{{6, "denied before"}}, nil}

// riskRows is the one table of what a risk score is made of. Learning that a fact is
// graver than was thought never takes points away: a test holds each row to it.
var riskRows = []riskRow{
	{"kind", kindSteps, func(in *Input) int { return kindStep(Gravest(in.Action.Kinds)) }},
	{"more kinds", []riskStep{{4, "a second kind"}, {7, "three kinds or more"}}, func(in *Input) int { return min(len(in.Action.Kinds), 3) - 2 }},
	{"reversibility", []riskStep{{5, "can't be undone"}}, func(in *Input) int { return step(!in.Action.Reversible && changes(in.Action.Kinds)) }},
	{"environment", []riskStep{{5, "environment not known"}, {10, "production"}}, func(in *Input) int { return envStep(in.Action.Resource.Env) }},
	{"data", []riskStep{{10, "classed data"}}, func(in *Input) int { return step(len(in.Action.Data.Groups) > 0) }},
	{"secrets", []riskStep{{4, "secrets among it"}}, func(in *Input) int { return step(contains(in.Action.Data.Groups, "secret")) }},
	{"values", []riskStep{{2, "classed values in the request"}, {4, "100 classed values or more in the request"}}, func(in *Input) int { return valuesStep(in.Action.Data.Findings) }},
	{"contents", []riskStep{{4, "contents not fully known"}}, func(in *Input) int { return step(!scanned(&in.Action.Data)) }},
	{"inference", []riskStep{{4, "classed values stand in a condition"}}, func(in *Input) int { return step(in.Action.Data.Inferred) }},
	{"rows", []riskStep{{4, "rows not known"}, {4, "1,000 rows or more"}, {8, "10,000 rows or more"}, {12, "a million rows or more"}}, rowsStep},
	{"destroys", []riskStep{{4, "destroys objects"}, {8, "destroys 10 objects or more"}}, func(in *Input) int { return destroysStep(in.Preview.Destroys) }},
	{"destination", []riskStep{{6, "goes to where nobody vouches for"}, {12, "leaves for outside"}}, func(in *Input) int { return destinationStep(&in.Action.Data) }},
	{"has seen secrets", []riskStep{{3, "what it has seen is not known"}, {6, "its actor has seen what must not leave"}}, func(in *Input) int { return triStep(in.saw(in.SawSensitive)) }},
	{"has read others", []riskStep{{3, "what it has read is not known"}, {6, "its actor has read what others wrote"}}, func(in *Input) int { return triStep(in.saw(in.SawUntrusted)) }},
	{"new shape", []riskStep{{2, "perhaps new to its actor"}, {4, "new to its actor"}}, func(in *Input) int { return triStep(in.NovelShape) }},
	{"new target", []riskStep{{2, "on what is perhaps new to its actor"}, {4, "on what is new to its actor"}}, func(in *Input) int { return triStep(in.NovelTarget) }},
	{"break-glass", []riskStep{{6, "asked for as break-glass"}}, func(in *Input) int { return step(in.Action.Claims.BreakGlass) }},
}

// step is the first step where it holds.
func step(holds bool) int {
	if holds {
		return 0
	}
	return -1
}

// triStep is the first step for what nobody knows and the second for what holds.
func triStep(t Tri) int { return [...]int{0, -1, 1}[t] }

// changes says that one of kinds changes something that could be put back: sending,
// paying and reading can never be undone, which their own points say.
func changes(kinds []action.Kind) bool {
	for _, k := range kinds {
		switch k {
		case action.DataRead, action.DataExport, action.SecretAccess, action.Execute, action.NetFetch, action.MessageSend, action.Payment,
			action.LLMCall, action.ToolCall, action.SessionOpen, action.Unknown:
		default:
			return true
		}
	}
	return false
}

func envStep(env string) int {
	switch {
	case env == "":
		return 0
	case strings.HasPrefix(env, "prod"):
		return 1
	}
	return -1
}

func valuesStep(found map[string]int64) int {
	n := int64(0)
	for _, v := range found {
		n += v
	}
	switch {
	case n >= 100:
		return 1
	case n > 0:
		return 0
	}
	return -1
}

// rowsStep takes the larger of what the action says and what a preview found.
func rowsStep(in *Input) int {
	rows, found := in.Action.Data.Rows, in.Preview.Rows
	n := int64(-1)
	if rows.Known {
		n = rows.N
	}
	if found.Known {
		n = max(n, found.N)
	}
	switch {
	case n < 0:
		return 0
	case n >= 1_000_000:
		return 3
	case n >= 10_000:
		return 2
	case n >= 1_000:
		return 1
	}
	return -1
}

func destroysStep(n action.Count) int {
	switch {
	case !n.Known || n.N <= 0:
		return -1
	case n.N >= 10:
		return 1
	}
	return 0
}

func destinationStep(d *action.Data) int {
	switch {
	case d.DestinationTrust == "external":
		return 1
	case d.DestinationTrust == "" && d.Destination != "" && d.Destination != "client":
		return 0
	}
	return -1
}
