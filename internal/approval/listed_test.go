package approval

import (
	"testing"

	"github.com/assenthq/assent/action"
)

// An item belongs to a plan only where the plan lists it, under a digest that covers the list.
func TestAnItemIsWhereItsPlanListsIt(t *testing.T) {
	plan := func() (*Approval, *Approval) {
		a := &Approval{ID: "apr_plan", Salt: action.Salt{1}, Items: []Item{{Approval: "apr_a", Digest: action.Digest{1}}, {Approval: "apr_b", Digest: action.Digest{2}}}}
		a.Digest = planDigest(a.Salt, a.Items)
		return a, &Approval{ID: "apr_b", Digest: action.Digest{2}, Plan: "apr_plan", Position: 2}
	}
	if a, item := plan(); !item.listedIn(a) {
		t.Fatal("it is not where it is")
	}
	for name, change := range map[string]func(a, item *Approval){
		"another plan":     func(_, item *Approval) { item.Plan = "apr_other" },
		"another place":    func(_, item *Approval) { item.Position = 1 },
		"no place":         func(_, item *Approval) { item.Position = 0 },
		"a place too many": func(_, item *Approval) { item.Position = 3 },
		"another id":       func(_, item *Approval) { item.ID = "apr_c" },
		"another action":   func(_, item *Approval) { item.Digest[5]++ },
		"another order":    func(a, item *Approval) { a.Items[0], a.Items[1], item.Position = a.Items[1], a.Items[0], 1 },
		"one item less":    func(a, _ *Approval) { a.Items = append(a.Items[1:], a.Items[1]) },
		"one item more":    func(a, _ *Approval) { a.Items = append(a.Items, a.Items[0]) },
		"another salt":     func(a, _ *Approval) { a.Salt[5]++ },
	} {
		a, item := plan()
		change(a, item)
		if item.listedIn(a) {
			t.Error(name)
		}
	}
}
