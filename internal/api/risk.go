package api

import (
	"strings"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
)

// A RiskView is how grave an action is, as its card says it.
type RiskView struct {
	Level string `json:"level" enum:"critical,high,moderate"`
	Score int    `json:"score" doc:"0 to 99"`
	Why   string `json:"why" doc:"How the number came about"`
}

func riskView(a *approval.Approval) RiskView {
	r := card.RiskOf(a)
	return RiskView{Level: strings.ToLower(r.Name), Score: r.Score, Why: r.Why}
}
