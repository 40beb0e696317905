package card

import (
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
)

func TestRisk(t *testing.T) {
	known := approval.Approval{Kinds: []action.Kind{action.DataRead}, Data: action.Data{Rows: action.KnownCount(1), ClassesKnown: true}}
	unknown := known
	unknown.Data = action.Data{}
	if RiskOf(&unknown).Score <= RiskOf(&known).Score {
		t.Error("what is unknown counts for nothing")
	}
	if got := RiskOf(&approval.Approval{}); got.Class == "mod" {
		t.Errorf("an approval without kinds is %+v", got)
	}
}

func TestASessionWeighsAsCode(t *testing.T) {
	of := func(k action.Kind) int { return RiskOf(&approval.Approval{Kinds: []action.Kind{k}}).Score }
	if got, want := of(action.SessionOpen), of(action.Execute); got != want {
		t.Errorf("a terminal has risk %d, code %d", got, want)
	}
}
