package approval_test

import (
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/policy"
)

func TestATokenIsEnoughForPlainDataOnly(t *testing.T) {
	plain := map[action.Kind]bool{action.DataRead: true, action.DataWrite: true, action.LLMCall: true}
	for _, k := range action.Kinds() {
		for _, kinds := range [][]action.Kind{{k}, {action.DataRead, k}} {
			a := &approval.Approval{Kinds: kinds, Requirements: []policy.Requirement{{From: []string{"owners"}, Count: 1}}}
			want := "console"
			if plain[k] {
				want = "token"
			}
			if got := a.Assurance(); got != want {
				t.Errorf("%v: %s is enough, want %s", kinds, got, want)
			}
		}
	}
	a := &approval.Approval{Kinds: []action.Kind{action.SessionOpen}, Requirements: []policy.Requirement{{Count: 1, Assurance: "token"}}}
	if got := a.Assurance(); got != "token" {
		t.Errorf("a rule that says token for a terminal: %s", got)
	}
}
