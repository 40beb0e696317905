package card

import (
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
)

// A Risk orders cards and groups them. It decides nothing: policy did.
type Risk struct {
	Score int    // 0 to 99
	Class string // "crit", "high" or "mod"
	Name  string // "Critical", "High" or "Moderate"
	Why   string // how the number came about
}

// weight is what one kind contributes: how bad it is when it was wrong, and
// how hard to undo.
func weight(k action.Kind) int {
	switch k {
	case action.AuditChange:
		return 80
	case action.PrivilegeChange, action.InfraDestroy, action.Payment:
		return 70
	case action.IdentityChange, action.SecretAccess:
		return 65
	case action.DataExport, action.DataDelete, action.ConfigChange, action.Unknown:
		return 60
	case action.SchemaChange, action.Execute, action.NetworkChange, action.SessionOpen: // what is typed into a session runs
		return 50
	case action.CodeChange, action.Deploy, action.InfraChange:
		return 45
	case action.DataWrite, action.MessageSend:
		return 40
	case action.InfraCreate, action.ToolCall, action.NetFetch, action.LLMCall:
		return 30
	case action.DataRead:
		return 20
	}
	return 60 // a kind this list forgot is treated as unknown
}

// RiskOf adds up what is known, and counts what is unknown against the action.
func RiskOf(a *approval.Approval) Risk {
	if len(a.Items) > 0 {
		return planRisk(a)
	}
	score, why := 0, []string{}
	add := func(n int, reason string) { score, why = score+n, append(why, reason) }
	worst := Worst(a.Kinds)
	add(weight(worst), string(worst))
	if a.Resource.Env == "prod" || a.Resource.Env == "production" {
		add(10, "production")
	}
	if len(a.Data.Groups) > 0 {
		add(10, strings.Join(a.Data.Groups, ", ")+" data")
	}
	if a.Data.DestinationTrust == "external" {
		add(12, "leaves for outside")
	}
	switch rows := a.Data.Rows; {
	case !rows.Known:
		add(4, "rows not known")
	case rows.N >= 10_000:
		add(8, "10,000 rows or more")
	case rows.N >= 1_000:
		add(4, "1,000 rows or more")
	}
	if a.Data.Unscanned || !a.Data.ClassesKnown {
		add(4, "contents not fully known")
	}
	if a.Repeats > 0 {
		add(6, "denied before")
	}
	r := Risk{Score: min(score, 99), Class: "mod", Name: "Moderate", Why: strings.Join(why, " + ")}
	switch {
	case r.Score >= 80:
		r.Class, r.Name = "crit", "Critical"
	case r.Score >= 55:
		r.Class, r.Name = "high", "High"
	}
	return r
}

// Worst is the gravest of kinds.
func Worst(kinds []action.Kind) action.Kind {
	worst := action.Unknown
	for i, k := range kinds {
		if i == 0 || weight(k) > weight(worst) {
			worst = k
		}
	}
	return worst
}
