package card

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// padded is a plan of harmless reads around one action that isn't.
func padded(n, at int, statement string) *approval.Approval {
	a := &approval.Approval{ID: "apr_plan", State: approval.Pending, Asker: identity.Asker{Chain: []identity.Actor{{ID: "agent:x"}}}}
	for i := range n {
		item := approval.Item{Approval: fmt.Sprint("apr_", i), Kinds: []action.Kind{action.DataRead}, Title: fmt.Sprint("read ", i), Statement: statement, Data: action.Data{Rows: action.KnownCount(1), ClassesKnown: true}}
		if i == at {
			item.Kinds, item.Title = []action.Kind{action.DataRead, action.InfraDestroy}, "drop it"
		}
		a.Items = append(a.Items, item)
	}
	return a
}

func TestTheGravestItemLeadsItsPlan(t *testing.T) {
	for _, at := range []int{0, 25, 49} {
		a := padded(50, at, "select 1")
		c := Of(a, nil, "https://assent.test")
		if len(c.Items) != 50 || c.Items[0].N != at+1 || c.Items[0].Title != "drop it" || c.Items[0].Kind != string(action.InfraDestroy) || !c.Whole() {
			t.Errorf("at %d: %+v of %d", at, c.Items[0], len(c.Items))
		}
		if want := RiskOf(ItemOf(a, at)); c.Risk.Score != want.Score || c.Risk.Class != want.Class || !strings.HasPrefix(c.Risk.Why, fmt.Sprintf("item %d: ", at+1)) {
			t.Errorf("the plan is %+v, its gravest item %+v", c.Risk, want)
		}
		if c.Title != "Plan of 50: drop it, and 49 more" {
			t.Errorf("it is called %s", c.Title)
		}
		seen := map[int]bool{}
		for _, item := range c.Items {
			seen[item.N] = true
		}
		if len(seen) != 50 {
			t.Errorf("%d of 50 are shown", len(seen))
		}
	}
}

func TestACutPlanIsNotWhole(t *testing.T) {
	c := Of(padded(50, 49, strings.Repeat("x", 200)), nil, "https://assent.test")
	if c.Whole() || c.Chat() || c.Items[0].Cut != 0 || c.Items[49].Cut != 200 {
		t.Errorf("%d bytes of the gravest are cut, %d of the last", c.Items[0].Cut, c.Items[49].Cut)
	}
}
